"""A private model in which candidates are tried, one after another, leaving no trace."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from adapters.flatten import ParameterVector


class Bench:
    """A private model into which candidates' weights are written, and the loss it then gives.

    Whatever a pass leaves behind (buffers, counters, caches) is put back after it, so that a
    candidate's loss depends on the candidate alone. If passes draw random numbers, every pass
    draws the same ones, from torch's state as it was when this was made.

    Parameters
    ----------
    module
        ``module()`` is the loss. Ours alone: its weights are overwritten.
    model
        The model inside ``module`` whose weights are searched.
    names
        The free parameters of ``model``; all others are taken out of autograd.
    """

    def __init__(self, module: nn.Module, model: nn.Module, names: tuple[str, ...]) -> None:
        self.module = module
        chosen = frozenset(names)
        module.requires_grad_(False)
        self.vector = ParameterVector(model, lambda name, parameter: name in chosen)
        parameters = dict(model.named_parameters())
        self.weights = [parameters[name].requires_grad_() for name in self.vector.names]
        self.device = self.weights[0].device
        self.noise: Noise | None = None
        self.graph = False
        """Whether values need autograd too: losses that differentiate inside themselves."""
        self._buffers = [(name, buffer, buffer.clone()) for name, buffer in module.named_buffers()]
        self._found = [
            (m, [dict(d) for d in _dictionaries(m)]) for m in module.modules()
        ]  # shallow: what each name refers to

    def mode(self) -> AbstractContextManager[Any]:
        """Return the autograd mode in which values are computed."""
        return torch.enable_grad() if self.graph else torch.no_grad()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Make one pass: with the same noise as every other, and all put back afterwards."""
        with nullcontext() if self.noise is None else self.noise.replayed():
            try:
                yield
            finally:
                self._put_back()

    def write(self, stacked: list[Tensor], row: int) -> None:
        """Write one row of stacked weights into the model, in place, as a training loop would."""
        with torch.no_grad():
            for weight, rows in zip(self.weights, stacked, strict=True):
                weight.copy_(rows[row])

    def places(self) -> list[list[tuple[nn.Module, str]]]:
        """Return, for each free parameter, where modules refer to it: several places if tied."""
        places: dict[int, list[tuple[nn.Module, str]]] = {id(w): [] for w in self.weights}
        for module in self.module.modules():
            for name, parameter in module._parameters.items():
                if id(parameter) in places:
                    places[id(parameter)].append((module, name))
        return list(places.values())

    def changed(self) -> str | None:
        """Name a buffer or attribute that is not as it was found, or None."""
        for module, found in self._found:
            for now, then in zip(_dictionaries(module), found, strict=True):
                if now is module._parameters:
                    continue  # written by the evaluator
                for name in now.keys() | then.keys():
                    if now.get(name) is not then.get(name):
                        return f"{type(module).__name__}.{name}"
        for name, buffer, pristine in self._buffers:
            if not torch.equal(buffer, pristine):
                return name
        return None

    def _put_back(self) -> None:
        for module, found in self._found:
            for now, then in zip(_dictionaries(module), found, strict=True):
                now.clear()
                now.update(then)
        if self._buffers:
            with torch.no_grad():
                for _, buffer, pristine in self._buffers:
                    buffer.copy_(pristine)


class Noise:
    """Torch's random state at one moment, to be drawn from again and again."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._state = _states(device)

    def advanced(self) -> bool:
        """Whether the global state has moved on since."""
        return any(
            not torch.equal(now, then)
            for now, then in zip(_states(self._device), self._state, strict=True)
        )

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Start from this state; put back the global one afterwards."""
        before = _states(self._device)
        _set_states(self._device, self._state)
        try:
            yield
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


def _dictionaries(module: nn.Module) -> tuple[dict[str, Any], ...]:
    every = (vars(module), module._parameters, module._buffers)
    # Scripted modules hold theirs in C++, behind wrappers which cannot be written.
    return tuple(d for d in every if isinstance(d, dict))
