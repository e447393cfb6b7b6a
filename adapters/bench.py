"""A private model in which candidates are tried, one after another, leaving no trace."""

from collections.abc import Callable, Iterator
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
    model, closure
        ``closure(model)`` is the loss. Both are ours alone where they are modules: weights are
        overwritten.
    names
        The free parameters of ``model``; all others are taken out of autograd.
    """

    def __init__(
        self, model: nn.Module, closure: Callable[[Any], Any], names: tuple[str, ...]
    ) -> None:
        self.model = model
        self.closure = closure
        self.modules = nn.ModuleDict({"model": model})
        if isinstance(closure, nn.Module):
            self.modules["closure"] = closure
        self.modules.requires_grad_(False)
        chosen = frozenset(names)
        self.vector = ParameterVector(model, lambda name, parameter: name in chosen)
        parameters = dict(model.named_parameters())
        self.weights = [parameters[name].requires_grad_() for name in self.vector.names]
        self.device = self.weights[0].device
        self.noise: Noise | None = None
        self.graph = False
        """Whether values need autograd too: losses that differentiate inside themselves."""
        self._buffers = [
            (name, buffer, buffer.clone())
            for name, buffer in self.modules.named_buffers()
            if 0 not in buffer.stride()  # expanded: cannot be written at all
        ]
        self._look()

    def _look(self) -> None:
        """Note what each name in the modules refers to."""
        self._found = [
            (type(module).__name__, present, dict(present))
            for module in self.modules.modules()
            for present in (vars(module), module._parameters, module._buffers)
            if isinstance(present, dict)  # scripted modules hold theirs in C++
        ]
        # The same memory outside autograd, which may then be written in any mode.
        self._memory = [weight.detach() for weight in self.weights]

    def __getstate__(self) -> dict[str, Any]:
        return {name: v for name, v in vars(self).items() if name not in ("_found", "_memory")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._look()

    def loss(self) -> Any:
        """Return what the closure returns under the weights now in the model."""
        return self.closure(self.model)

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

    def write(self, parts: list[Tensor], row: int) -> None:
        """Write one row of a batch, cut up, into the model, in place, as a training loop would."""
        for memory, rows in zip(self._memory, parts, strict=True):
            memory.copy_(rows[row])
        torch.clear_autocast_cache()  # a caller's autocast keeps casts of weights, by identity

    def places(self) -> list[list[tuple[nn.Module, str]]]:
        """Return, for each free parameter, where modules refer to it: several places if tied."""
        places: dict[int, list[tuple[nn.Module, str]]] = {id(w): [] for w in self.weights}
        for module in self.modules.modules():
            for name, parameter in module._parameters.items():
                if id(parameter) in places:
                    places[id(parameter)].append((module, name))
        return list(places.values())

    def changed(self) -> str | None:
        """Name a buffer or attribute that is not as it was found, or None."""
        for owner, now, then in self._found:
            for name in now.keys() | then.keys():
                if now.get(name) is not then.get(name):
                    return f"{owner}.{name}"
        for name, buffer, pristine in self._buffers:
            if not torch.equal(buffer, pristine):
                return name
        return None

    def _put_back(self) -> None:
        for _, now, then in self._found:
            now.update(then)
            if len(now) > len(then):
                for name in now.keys() - then.keys():
                    del now[name]
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
