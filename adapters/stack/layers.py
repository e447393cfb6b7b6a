"""Modules that a stack computes: products, normalisation, activations, shapes.

Activations are (k, features..., samples), weights (k, shape...); a leading axis of 1 means that all
candidates share them. The samples are the long axis: with them last, products, sums over features
and pooling run along memory.

To add a module, write a function of the trace, the module and its input, and name it in `MODULES`.
A module of our own has that function as its static method ``stacked``.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from adapters.stack import images
from adapters.stack.functions import IN_PLACE, dropout, elementwise, flatten, linear, over_axis
from adapters.stack.shapes import aligned
from adapters.stack.trace import Maker, Room, Slot, Trace, Unfit


def _linear(trace: Trace, module: nn.Linear, x: Slot) -> Slot:
    return linear(trace, x, *trace.weights(module.weight, module.bias))


def _batch_norm(trace: Trace, module: nn.BatchNorm2d, x: Slot) -> Slot:
    weights = trace.weights(module.weight, module.bias)
    if module.training or module.running_mean is None or module.running_var is None:
        others = [axis - x.like.dim() for axis in range(2, x.like.dim())]

        def by_batch(room: Room | None, h: Tensor, *weights: Tensor) -> Tensor:
            variance, mean = torch.var_mean(h, others, correction=0, keepdim=True)
            return _scaled((h - mean) * torch.rsqrt(variance + module.eps), weights)

        return trace.emit(by_batch, x, *weights, alone=False)
    channels = [1, -1] + [1] * (x.like.dim() - 2)
    mean = module.running_mean.clone().view(channels)
    scale = torch.rsqrt(module.running_var + module.eps).view(channels)
    return trace.emit(lambda room, h, *weights: _scaled((h - mean) * scale, weights), x, *weights)


def _scaled(h: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
    """Apply a weight and a bias (k, channels) to activations (k, channels, ..., samples)."""
    if not weights:
        return h
    weight, bias = (w.view(*w.shape, *[1] * (h.dim() - 2)) for w in weights)
    return torch.addcmul(bias, h, weight)


def _layer_norm(trace: Trace, module: nn.LayerNorm, x: Slot) -> Slot:
    features = [-2 - i for i in range(len(module.normalized_shape))]

    def normalise(room: Room | None, h: Tensor, *weights: Tensor) -> Tensor:
        variance, mean = torch.var_mean(h, features, correction=0, keepdim=True)
        h = (h - mean) * torch.rsqrt(variance + module.eps)
        if not weights:
            return h
        scale, *shift = (aligned(w, h) for w in weights)
        return torch.addcmul(shift[0], h, scale) if shift else h * scale

    return trace.emit(normalise, x, *trace.weights(module.weight, module.bias))


def _group_norm(trace: Trace, module: nn.GroupNorm, x: Slot) -> Slot:
    def normalise(room: Room | None, h: Tensor, *weights: Tensor) -> Tensor:
        groups = h.reshape(h.shape[0], module.num_groups, -1, h.shape[-1])
        variance, mean = torch.var_mean(groups, 2, correction=0, keepdim=True)
        groups = (groups - mean) * torch.rsqrt(variance + module.eps)
        return _scaled(groups.view(h.shape), weights)

    return trace.emit(normalise, x, *trace.weights(module.weight, module.bias))


def _activation(trace: Trace, module: nn.Module, x: Slot) -> Slot:
    in_place = getattr(module, "inplace", False)
    if in_place:
        module = copy.copy(module)
        module.inplace = False  # type: ignore[assignment]
    made: Slot = elementwise(module, _IN_PLACE.get(type(module)))(trace, x, inplace=in_place)
    return made


def _dropout(trace: Trace, module: nn.Dropout, x: Slot) -> Slot:
    return dropout(trace, x, module.p, module.training)


def _softmax(trace: Trace, module: nn.Softmax | nn.LogSoftmax, x: Slot) -> Slot:
    if module.dim is None:
        raise Unfit("it has a softmax over an unnamed axis")
    function = torch.softmax if isinstance(module, nn.Softmax) else torch.log_softmax
    made: Slot = over_axis(function)(trace, x, module.dim)
    return made


def _flatten(trace: Trace, module: nn.Flatten, x: Slot) -> Slot:
    return flatten(trace, x, module.start_dim, module.end_dim)


def _identity(trace: Trace, module: nn.Module, x: Slot) -> Slot:
    return x


_IN_PLACE: dict[type[nn.Module], Callable[..., Any]] = {
    nn.ReLU: IN_PLACE["relu"],
    nn.Sigmoid: IN_PLACE["sigmoid"],
    nn.Tanh: IN_PLACE["tanh"],
}

_ACTIVATIONS: list[type[nn.Module]] = [
    *_IN_PLACE,
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardshrink,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.LogSigmoid,
    nn.Mish,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Softplus,
    nn.Softshrink,
    nn.Softsign,
    nn.Tanhshrink,
    nn.Threshold,
]

MODULES: dict[type[nn.Module], Maker] = {
    **dict.fromkeys(_ACTIVATIONS, _activation),
    nn.AdaptiveAvgPool2d: images.adaptive_pool,
    nn.AdaptiveMaxPool2d: images.adaptive_pool,
    nn.AvgPool2d: images.average_pool,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: images.convolution,
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
    nn.Flatten: _flatten,
    nn.GroupNorm: _group_norm,
    nn.Identity: _identity,
    nn.LayerNorm: _layer_norm,
    nn.Linear: _linear,
    nn.LogSoftmax: _softmax,
    nn.MaxPool2d: images.max_pool,
    nn.Softmax: _softmax,
}
"""Modules by type: ``make(trace, module, x)``."""
