"""Random numbers that passes draw, by torch's global generator: ours while a pass runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Randomness = Literal["fixed", "shared", "different"]


class Noise:
    """Torch's random state, as passes find it; the caller's is put back after each.

    Parameters
    ----------
    randomness
        ``"fixed"``: every pass draws the same numbers. ``"shared"``: every pass until the next
        `renew`. ``"different"``: no two passes.
    seed
        Where it begins, and what `fixed` goes back to.
    device
        Where passes run.
    """

    def __init__(self, randomness: Randomness, seed: int, device: torch.device) -> None:
        if randomness not in get_args(Randomness):
            raise ValueError(
                f"randomness must be one of {get_args(Randomness)}; got {randomness!r}"
            )
        self.randomness = randomness
        self._device = device
        self._first = self._state = self._seeded(seed)

    def renew(self, rng: np.random.Generator) -> None:
        """Begin a generation, with numbers that follow from ``rng``."""
        if self.randomness != "fixed":
            self._state = self._seeded(int(rng.integers(2**63)))

    @contextmanager
    def fixed(self) -> Iterator[None]:
        """Draw what the seed alone gives, whatever the generation; go on afterwards."""
        state, randomness = self._state, self.randomness
        self._state, self.randomness = self._first, "fixed"
        try:
            yield
        finally:
            self._state, self.randomness = state, randomness

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Run one pass on these numbers."""
        before = _states(self._device)
        _set_states(self._device, self._state)
        try:
            yield
        finally:
            if self.randomness == "different":
                self._state = _states(self._device)
            _set_states(self._device, before)

    def used(self) -> bool:
        """Whether the global state is another than the one that passes begin with."""
        now = _states(self._device)
        return any(not torch.equal(a, b) for a, b in zip(now, self._state, strict=True))

    def _seeded(self, seed: int) -> list[Tensor]:
        before = _states(self._device)
        try:
            torch.default_generator.manual_seed(seed)
            if self._device.type == "cuda":
                with torch.cuda.device(self._device):
                    torch.cuda.manual_seed(seed)
            return _states(self._device)
        finally:
            _set_states(self._device, before)


def _states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def _set_states(device: torch.device, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
