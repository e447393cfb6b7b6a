"""Minibatches: which samples each generation sees."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from adapters import data

Sampling = Literal["independent", "epochs"]


class Minibatches:
    """Draws the samples of each generation.

    Parameters
    ----------
    samples, size
        How many there are, and how many of them a minibatch has: fewer.
    sampling
        ``"independent"``: distinct samples, whatever the generations before have seen.
        ``"epochs"``: the next ones in an order that is drawn anew when all have been seen. The last
        minibatch of an epoch has what is left, as a `torch.utils.data.DataLoader` has it.

    References
    ----------
    Bottou, L. (2009), Curiously fast convergence of some stochastic gradient descent algorithms,
    Symposium on learning and data science, Paris (epochs against independent draws).
    """

    def __init__(self, samples: int, size: int, sampling: Sampling) -> None:
        self._samples, self._size, self._sampling = samples, size, sampling
        self.restart()

    @property
    def sizes(self) -> list[int]:
        """The numbers of samples that minibatches have."""
        rest = self._samples % self._size if self._sampling == "epochs" else 0
        return [self._size, rest] if rest else [self._size]

    def restart(self) -> None:
        """Begin a run, with a new epoch."""
        self._order, self._seen = np.arange(self._samples), self._samples

    def state(self) -> dict[str, Any]:
        """Return where the epoch is."""
        order = self._order if self._sampling == "epochs" else np.arange(0)
        return {"order": order, "seen": self._seen}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        if self._sampling == "epochs":
            if state["order"].shape != self._order.shape:
                raise ValueError("there are other samples")
            self._order, self._seen = state["order"], int(state["seen"])

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Return which samples the next generation sees, as row numbers."""
        if self._sampling == "independent":
            rows = rng.choice(self._samples, self._size, replace=False, shuffle=False)
            return torch.from_numpy(rows)
        if self._seen >= self._samples:
            self._order, self._seen = rng.permutation(self._samples), 0
        first, self._seen = self._seen, self._seen + self._size
        return torch.from_numpy(self._order[first : self._seen])


def make_minibatches(
    inputs: Any, targets: Any, size: int | None, sampling: Sampling
) -> Minibatches | None:
    """Return what draws minibatches of so many samples; None where that is all of them.

    Raises
    ------
    TypeError
        The size is no int; or the data have no samples to count.
    ValueError
        There are not so many samples; or no such sampling.
    """
    if sampling not in get_args(Sampling):
        raise ValueError(f"sampling must be one of {get_args(Sampling)}; got {sampling!r}")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"batch_size must be an int or None, not {size!r}")
    samples = data.count(inputs, targets)
    if not 1 <= size <= samples:
        raise ValueError(f"batch_size={size} must be between 1 and the {samples} samples there are")
    return Minibatches(samples, size, sampling) if size < samples else None
