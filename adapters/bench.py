"""A private model in which candidates are tried, one after another, leaving no trace."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters.flatten import ParameterVector
from adapters.noise import Noise
from adapters.precision import LossScale
from adapters.supervised import Supervised


class Bench:
    """A private model into which candidates' weights are written, and the loss it then gives.

    Whatever a pass leaves behind (buffers, counters, caches) is put back, so that a candidate's
    loss depends on the candidate alone, and on the noise if passes draw random numbers.

    Parameters
    ----------
    model, closure
        ``closure(model)`` is the loss. Both are ours alone where they are modules: weights are
        overwritten.
    names
        The free parameters of ``model``; all others are taken out of autograd.
    noise
        What random numbers are drawn from.
    """

    def __init__(
        self,
        model: nn.Module,
        closure: Callable[[Any], Any],
        names: tuple[str, ...],
        noise: Noise,
    ) -> None:
        self.model = model
        self.closure = closure
        # Straight to what a call of our own module comes to.
        self._evaluate = closure.forward if isinstance(closure, Supervised) else closure
        self.modules = nn.ModuleDict({"model": model})
        if isinstance(closure, nn.Module):
            self.modules["closure"] = closure
        self.modules.requires_grad_(False)
        chosen = frozenset(names)
        self.vector = ParameterVector(model, lambda name, parameter: name in chosen)
        parameters = dict(model.named_parameters())
        self.weights = [parameters[name] for name in self.vector.names]
        for weight in self.weights:
            weight.requires_grad_()
        self.device = self.weights[0].device
        self.noise = noise
        self.random = False
        """Whether passes draw random numbers."""
        self.graph = False
        """Whether values need autograd too: losses that differentiate inside themselves."""
        self.scale: LossScale | None = None
        """What losses are scaled by before they are differentiated, where that is needed."""
        self.leaves_traces = True
        """Whether a pass changes anything that is to be put back before the next."""
        self._buffers = [
            (name, buffer, buffer.clone())
            for name, buffer in self.modules.named_buffers()
            if 0 not in buffer.stride()  # expanded: cannot be written at all
        ]
        self._plain = _are_plain(self.weights, model)
        self._numeric = all(w.is_cpu and w.dtype in _NUMERIC for w in self.weights)
        self._arrange()

    def _arrange(self) -> None:
        """Note what each name in the modules refers to, and give the weights their places."""
        self._found = [
            (type(module).__name__, present, dict(present))
            for module in self.modules.modules()
            for present in (vars(module), module._parameters, module._buffers)
            if isinstance(present, dict)  # scripted modules hold theirs in C++
        ]
        self._places = [
            (weight.detach(), where)  # the same memory outside autograd, to be written in any mode
            for weight, where in zip(self.weights, self.vector.slices.values(), strict=True)
        ]
        self._memory = _joined(self.vector, self.weights) if self._plain else None

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: v
            for name, v in vars(self).items()
            if name not in ("_found", "_places", "_memory")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._arrange()

    def loss(self) -> Any:
        """Return what the closure returns under the weights now in the model."""
        return self._evaluate(self.model)

    def slopes(self, losses: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Return the derivatives of losses (k,), in float64 on the CPU.

        Parameters
        ----------
        losses
            Of k candidates, or one number.
        weights
            Stacked weights (k, ...), each loss depending on its own row, give (k, n). None: the
            weights now in the model, and (1, n).
        """
        total, rows = (losses, 1) if weights is None else (losses.sum(), len(losses))
        weights = self.weights if weights is None else weights
        if self.scale is not None:
            total = total * self.scale.scale
        parts = [
            (torch.zeros_like(weight) if part is None else part).reshape(rows, -1)
            for part, weight in zip(
                torch.autograd.grad(total, weights, allow_unused=True), weights, strict=True
            )
        ]
        if self._numeric:
            joined = np.concatenate([part.numpy() for part in parts], axis=1, dtype=np.float64)
            return torch.from_numpy(joined)
        # Joined on a device, so that one transfer is enough.
        return torch.cat([part.to(self.device) for part in parts], 1).to("cpu", torch.float64)

    def put_slopes(self, loss: Tensor, row: NDArray[np.float64]) -> None:
        """Write the derivatives of a loss by the weights now in the model into `row`, (n,)."""
        if not self._numeric:
            row[:] = self.slopes(loss)[0].numpy()
            return
        total = loss if self.scale is None else loss * self.scale.scale
        parts = torch.autograd.grad(total, self.weights, allow_unused=True)
        for part, where in zip(parts, self.vector.slices.values(), strict=True):
            row[where] = 0.0 if part is None else part.numpy().reshape(-1)

    def mode(self) -> AbstractContextManager[Any]:
        """Return the autograd mode in which values are computed."""
        return torch.enable_grad() if self.graph else torch.inference_mode()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Make one pass, or several that leave no traces: all is put back afterwards."""
        try:
            if self.random:
                with self.noise.drawn():
                    yield
            else:
                yield
        finally:
            self.put_back()

    def write(self, row: NDArray[Any]) -> None:
        """Write a candidate (n,) into the model, in place, as a training loop would."""
        if self._memory is None:
            for tensor, where in self._places:
                tensor.copy_(torch.from_numpy(row[where]).view(tensor.shape))
        elif self._memory.dtype == row.dtype:
            self._memory[...] = row
        else:
            # A weight too large for its precision is infinite there, one too small zero.
            with np.errstate(over="ignore", under="ignore"):
                self._memory[...] = row

    def look(self, points: Tensor) -> None:
        """Note what passes do besides: whether they draw random numbers, and leave traces."""
        self.random = self.leaves_traces = False
        for row in points.cpu().numpy():
            self.write(row)
            try:
                with self.noise.drawn(), self.mode():
                    self.loss()
                    self.random |= self.noise.used()
                self.leaves_traces |= self.changed() is not None
            finally:
                self.put_back()

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

    def put_back(self) -> None:
        """Put back whatever passes have left behind."""
        for _, now, then in self._found:
            now.update(then)
            if len(now) > len(then):
                for name in now.keys() - then.keys():
                    del now[name]
        if self._buffers:
            with torch.no_grad():
                for _, buffer, pristine in self._buffers:
                    if not torch.equal(buffer, pristine):  # else autograd may hold it
                        buffer.copy_(pristine)


_NUMERIC = (torch.float64, torch.float32)
"""What numpy knows as well."""


def _are_plain(weights: list[nn.Parameter], model: nn.Module) -> bool:
    """Whether the parameters could lie anywhere else on the CPU, in one array."""
    every = {id(t): t for t in (*model.parameters(), *model.buffers())}.values()
    storages = Counter(tensor.untyped_storage().data_ptr() for tensor in every if tensor.numel())
    return weights[0].dtype in _NUMERIC and all(
        w.device.type == "cpu"
        and w.dtype == weights[0].dtype
        and w.is_contiguous()
        and storages[w.untyped_storage().data_ptr()] <= 1
        for w in weights
    )


def _joined(vector: ParameterVector, weights: list[nn.Parameter]) -> NDArray[Any]:
    """Place the parameters side by side in one array: one copy then writes them all."""
    memory = torch.empty(vector.n, dtype=weights[0].dtype, device="cpu")
    for weight, where in zip(weights, vector.slices.values(), strict=True):
        memory[where] = weight.detach().flatten()
        weight.data = memory[where].view(weight.shape)
    array: NDArray[Any] = memory.numpy()
    return array
