"""Stacks of linear layers: a whole population in a few matrix products, the samples last.

`torch.nn.Sequential` of linear layers and element-wise functions, under a mean squared error or a
cross-entropy, is computed on activations (candidate, feature, sample). The samples are the long
axis: with them last, products and losses run along memory, and the first layer of all candidates
together is one product against the shared inputs.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapters.bench import Bench
from adapters.flatten import Array

KEPT = 8
"""Batch sizes whose buffers are kept: a solver asks for one or two, over and over."""

_ELEMENTWISE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu,
    nn.Tanh: torch.tanh,
    nn.Sigmoid: torch.sigmoid,
    nn.SiLU: nn.functional.silu,
}
_IN_PLACE: dict[Any, Callable[[Tensor], Tensor]] = {
    torch.relu: torch.relu_,
    torch.tanh: torch.tanh_,
    torch.sigmoid: torch.sigmoid_,
}


class _Product(NamedTuple):
    """A linear layer with its tensors: weight (k, out, in) or (out, in), bias (..., out, 1)."""

    weight: Tensor
    bias: Tensor | None
    stacked: Tensor | None
    """All candidates' rows, (k * out, in), against inputs that they share."""

    def __call__(self, h: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if self.stacked is None:
            h = torch.matmul(weight, h)
        elif h.dim() == 2:
            h = torch.mm(self.stacked, h).view(len(weight), -1, h.shape[1])
        elif bias is not None:
            return torch.baddbmm(bias, weight, h)
        else:
            h = torch.bmm(weight, h)
        return h if bias is None else h + bias


class _Linear(NamedTuple):
    """A linear layer: where its weight and bias are among the free ones, or the fixed tensors."""

    weight: int | Tensor
    bias: int | Tensor | None

    def placed(self, weights: list[Tensor]) -> _Product:
        """Return it with the candidates' tensors (k, ...) in their places."""
        free = isinstance(self.weight, int)
        weight = weights[self.weight] if isinstance(self.weight, int) else self.weight
        bias = weights[self.bias] if isinstance(self.bias, int) else self.bias
        return _Product(
            weight,
            None if bias is None else bias.unsqueeze(-1),
            weight.view(-1, weight.shape[-1]) if free else None,
        )


_Layer = _Product | Callable[[Tensor], Tensor]


class _Unfit(Exception):
    """Says why something is no stack of linear layers."""


class Stacked:
    """Evaluates candidates of a stack of linear layers, samples last.

    Parameters
    ----------
    bench
        The private model; its closure must be a loss of ``model(inputs)`` and ``targets``.
    loss, inputs, targets
        What that closure is made of.
    chunk
        How many candidates one pass takes.

    Raises
    ------
    ValueError
        The model, the loss or the data are of another kind; it says which.
    """

    fewest = 1
    """The smallest batch: even a single candidate costs less than through the modules."""

    def __init__(
        self, bench: Bench, loss: Callable[[Any, Any], Any], inputs: Any, targets: Any, chunk: int
    ) -> None:
        self._bench, self.chunk = bench, chunk
        try:
            self._layers = _read(bench)
            self._inputs = _features_first(inputs, bench)
            self._loss = _read_loss(loss, targets)
        except _Unfit as why:
            raise ValueError(str(why)) from None
        self._slices = list(bench.vector.slices.values())
        self._exact = bench.vector.precision == torch.float64
        self._kept: dict[int, _Scratch] = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kept": {}}

    def values(self, points: Array) -> Array:
        """Return losses (k,)."""
        if len(points) <= self.chunk:
            return self._pass(points)
        starts = range(0, len(points), self.chunk)
        return np.concatenate([self._pass(points[i : i + self.chunk]) for i in starts])

    def _pass(self, points: Array) -> Array:
        # Nothing here requires gradients, so none are tracked in any mode.
        scratch = self._fill(points)
        losses = self._loss(self._forward(scratch.layers, graph=False)).cpu()
        values: Array = (losses if self._exact else losses.double()).numpy()
        return values

    def gradients(self, points: Array) -> tuple[Array, Array]:
        """Return losses (k,) and gradients (k, n): those of the sum, as candidates are apart."""
        values, gradients = [], []
        for i in range(0, len(points), self.chunk):
            chunk = points[i : i + self.chunk]
            weights = [w.clone().requires_grad_() for w in self._fill(chunk).weights]
            with torch.enable_grad():
                losses = self._loss(self._forward(self._place(weights), graph=True))
                parts = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
            flat = [
                (torch.zeros_like(w) if part is None else part).flatten(1)
                for part, w in zip(parts, weights, strict=True)
            ]
            values.append(losses.detach().cpu().double().numpy())
            gradients.append(torch.cat(flat, dim=1).cpu().double().numpy())
        return np.concatenate(values), np.concatenate(gradients)

    def _fill(self, points: Array) -> "_Scratch":
        """Write candidates (k, n) into one tensor (k, ...) a parameter, in its precision."""
        scratch = self._kept.get(len(points))
        if scratch is None:
            scratch = self._new_scratch(len(points))
        # A weight too large for float32 is infinite there, one too small zero; that is no news.
        with nullcontext() if self._exact else np.errstate(all="ignore"):
            for rows, where in zip(scratch.rows, self._slices, strict=True):
                # numpy converts as it copies, in a fraction of the time of a torch operation.
                rows[...] = points[:, where]
        for weight, memory in zip(scratch.weights, scratch.memory, strict=True):
            if weight is not memory:
                weight.copy_(memory)
        return scratch

    def _new_scratch(self, k: int) -> "_Scratch":
        if len(self._kept) >= KEPT:
            self._kept.clear()
        precision, device = self._bench.vector.precision, self._bench.device
        shapes = self._bench.vector.shapes
        memory = [torch.empty((k, *shape), dtype=precision, device="cpu") for shape in shapes]
        weights = [m if device.type == "cpu" else m.to(device) for m in memory]
        rows = [m.numpy().reshape(k, -1) for m in memory]
        scratch = _Scratch(memory, rows, weights, self._place(weights))
        self._kept[k] = scratch
        return scratch

    def _place(self, weights: list[Tensor]) -> list[_Layer]:
        """Return the layers with the candidates' tensors in their places, as they are used."""
        return [
            layer.placed(weights) if isinstance(layer, _Linear) else layer for layer in self._layers
        ]

    def _forward(self, layers: list[_Layer], graph: bool) -> Tensor:
        """Return outputs (k, features, samples)."""
        h, own = self._inputs, False
        for layer in layers:
            if isinstance(layer, _Product):
                h, own = layer(h), True
            elif own and not graph:
                h = _IN_PLACE.get(layer, layer)(h)
            else:
                h = layer(h)
        return h


class _Scratch(NamedTuple):
    """Tensors for k candidates: on the CPU, the same as numpy sees them, where they are used."""

    memory: list[Tensor]
    rows: list[NDArray[Any]]
    weights: list[Tensor]
    layers: "list[_Layer]"


def _read(bench: Bench) -> list[_Linear | Callable[[Tensor], Tensor]]:
    index = {id(weight): i for i, weight in enumerate(bench.weights)}
    layers: list[_Linear | Callable[[Tensor], Tensor]] = []
    searched = False
    for module in _flat(bench.model):
        if type(module) is nn.Linear:
            bias = module.bias
            layers.append(
                _Linear(
                    index.get(id(module.weight), module.weight.detach()),
                    None if bias is None else index.get(id(bias), bias.detach()),
                )
            )
            searched |= id(module.weight) in index or id(bias) in index
        elif type(module) is nn.Identity or (type(module) is nn.Dropout and not module.training):
            continue
        elif type(module) in _ELEMENTWISE:
            layers.append(_ELEMENTWISE[type(module)])
        else:
            raise _Unfit(f"it has a {type(module).__name__}")
    if not searched:
        raise _Unfit("no linear layer is searched")
    return layers


def _flat(module: nn.Module) -> list[nn.Module]:
    """Return the modules of nested sequences in order."""
    _check_plain(module)
    if type(module) is nn.Sequential:
        return [inner for part in module for inner in _flat(part)]
    return [module]


def _check_plain(module: nn.Module) -> None:
    """Make sure that a call of the module does what its type says, and nothing else."""
    hooks = module._forward_hooks, module._forward_pre_hooks
    if any(hooks) or module._backward_hooks or module._backward_pre_hooks:
        raise _Unfit(f"its {type(module).__name__} has hooks")
    if "forward" in vars(module):
        raise _Unfit(f"its {type(module).__name__} has a forward of its own")


def _features_first(inputs: Any, bench: Bench) -> Tensor:
    dtypes = {p.dtype for p in bench.model.parameters()}
    if bench.vector.precision not in (torch.float64, torch.float32):
        # A sum of squares overflows where their mean does not, and numpy knows no bfloat16.
        raise _Unfit(f"it is in {bench.vector.precision}".replace("torch.", ""))
    if not (isinstance(inputs, Tensor) and inputs.dim() == 2 and {inputs.dtype} == dtypes):
        raise _Unfit("the inputs are no matrix in the model's precision")
    return inputs.detach().T.contiguous()


def _read_loss(loss: Any, targets: Any) -> Callable[[Tensor], Tensor]:
    if not isinstance(targets, Tensor) or targets.requires_grad:
        raise _Unfit("the targets are no plain tensor")
    if isinstance(loss, nn.Module):
        _check_plain(loss)
    if loss is nn.functional.mse_loss or (type(loss) is nn.MSELoss and loss.reduction == "mean"):
        if targets.dim() != 2:
            raise _Unfit("the targets are no matrix")
        return _SquaredError(targets.T.contiguous())
    if loss is nn.functional.cross_entropy or (
        type(loss) is nn.CrossEntropyLoss
        and (loss.reduction, loss.weight, loss.label_smoothing) == ("mean", None, 0.0)
    ):
        ignored = getattr(loss, "ignore_index", -100)
        if targets.dim() != 1 or targets.dtype != torch.int64 or (targets == ignored).any():
            raise _Unfit("the targets are no vector of classes, none of them ignored")
        return _CrossEntropy(targets)
    raise _Unfit("the loss is neither mse_loss nor cross_entropy")


class _SquaredError:
    """Mean squared error of outputs (k, features, samples)."""

    def __init__(self, targets: Tensor) -> None:
        self._targets = targets

    def __call__(self, outputs: Tensor) -> Tensor:
        if outputs.shape[1:] != self._targets.shape:
            raise ValueError("outputs and targets differ in shape")
        errors = (outputs - self._targets).flatten(1)
        mean: Tensor = torch.linalg.vecdot(errors, errors) / self._targets.numel()
        return mean


class _CrossEntropy:
    """Mean cross-entropy of scores (k, classes, samples)."""

    def __init__(self, targets: Tensor) -> None:
        self._targets = targets

    def __call__(self, outputs: Tensor) -> Tensor:
        targets = self._targets.expand(len(outputs), -1)
        each = nn.functional.cross_entropy(outputs, targets, reduction="none")
        return each.mean(1)
