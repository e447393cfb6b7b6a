"""Functions, operators and methods that a stack computes, by what `torch.fx` calls them.

To add a function of single numbers, name it in `_ELEMENTWISE`; for another, write what adds it,
``make(trace, *arguments)``, and name it in `FUNCTIONS` or `METHODS`.
"""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.stack import across, images
from adapters.stack.shapes import added, aligned, first_product, product, shifted
from adapters.stack.trace import Maker, Room, Slot, Trace, Unfit, view


def linear(trace: Trace, x: Slot, weight: Slot, bias: Slot | None = None) -> Slot:
    """Add a product of activations with a weight (out, in)."""
    if not x.samples or weight.samples or weight.like.dim() != 3:
        raise Unfit("it has a product of another kind")
    if x.like.dim() > 3:  # an axis between, of positions
        return trace.emit(_product_at_places, x, weight, *([] if bias is None else [bias]))
    if not x.constant:
        inputs = [x, weight] if bias is None else [x, weight, bias]
        return trace.emit(product, *inputs, across=across.product)
    if weight.constant:
        made = trace.emit(product, x, weight)
    else:
        shared = trace.constant(x.like.squeeze(0), samples=True)
        made = trace.emit(first_product, shared, weight, across=across.first_product)
    if bias is None:
        return made
    return trace.emit(added if made.constant else shifted, made, bias, across=across.shifted)


def _product_at_places(room: Room | None, h: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Return the product with h (k, places..., in, samples): each place has the same weights."""
    out = torch.matmul(w.view(w.shape[0], *[1] * (h.dim() - 3), *w.shape[1:]), h)
    return out if b is None else out + aligned(b, out)


def flatten(trace: Trace, x: Slot, start_dim: int = 0, end_dim: int = -1) -> Slot:
    """Add a flattening of all features."""
    last = x.like.dim() - 2  # of the plain tensor, whose first axis is the samples
    if not x.samples or start_dim % (last + 1) != 1 or end_dim % (last + 1) != last:
        raise Unfit("it flattens other axes than the features")
    return x if last == 1 else trace.emit(_flat, x, view=True)


def _flat(room: Room | None, h: Tensor) -> Tensor:
    return view(room, lambda h: h.flatten(1, -2), h)


def _detached(room: Room | None, h: Tensor) -> Tensor:
    return h.detach()


def _view(trace: Trace, x: Slot, *shape: Any) -> Slot:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if not x.samples:
        raise Unfit("it changes the shape of a weight")
    samples, features = x.like.shape[-1], x.like[..., 0].numel()
    if len(sizes) != 2 or tuple(sizes) not in {(samples, -1), (-1, features), (samples, features)}:
        raise Unfit("it changes shapes otherwise than by flattening features")
    return flatten(trace, x, 1)


class Samples(int):
    """How many samples there are now: minibatches have others, so nothing is computed with it."""


def _refuse_samples(*arguments: Any) -> None:
    if any(isinstance(argument, Samples) for argument in arguments):
        raise Unfit("it computes with the number of samples")


def _size(trace: Trace, x: Slot, axis: int | None = None) -> Any:
    if not x.samples:
        raise Unfit("it reads the shape of a weight")
    plain = (Samples(x.like.shape[-1]), *x.like.shape[1:-1])
    return plain if axis is None else plain[axis]


def _attribute(trace: Trace, x: Any, name: str) -> Any:
    if name == "shape" and isinstance(x, Slot):
        return _size(trace, x)
    raise Unfit(f"it reads .{name}")


def _item(trace: Trace, x: Any, key: Any) -> Any:
    if isinstance(x, Slot):
        raise Unfit("it takes parts of a tensor")
    return x[key]


def dropout(
    trace: Trace, x: Slot, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Slot:
    """Add nothing: without training it is the identity."""
    if training and p > 0:
        raise Unfit("it has dropout in training")
    return x


def over_axis(function: Callable[..., Tensor]) -> Maker:
    """Return what adds a function along one axis of features."""

    def make(trace: Trace, x: Slot, dim: int, **settings: Any) -> Slot:
        axes = x.like.dim() - 1  # of the plain tensor
        if not x.samples or not isinstance(dim, int) or dim % axes == 0 or _some(settings):
            raise Unfit(f"it has a {function.__name__} over the samples")
        return trace.emit(lambda room, h: function(h, dim % axes), x)

    return make


def _some(settings: dict[str, Any]) -> bool:
    return any(value is not None for name, value in settings.items() if name != "_stacklevel")


def elementwise(plain: Callable[..., Any], in_place: Callable[..., Any] | None = None) -> Maker:
    """Return what adds a function of single numbers; its other arguments are constants."""

    def make(trace: Trace, x: Any, *rest: Any, inplace: bool = False, **settings: Any) -> Slot:
        if not isinstance(x, Slot) or any(isinstance(r, Slot) for r in (*rest, *settings.values())):
            raise Unfit(f"it has a {getattr(plain, '__name__', 'function')} of several tensors")
        _refuse_samples(*rest, *settings.values())
        if inplace and not x.alone:
            raise Unfit("it overwrites what is read again")
        over = in_place if in_place is not None and x.free else plain
        once: Callable[..., Any] = plain
        again: Callable[..., Any] = over
        if rest or settings:
            once, again = (partial(_called, f, rest, settings) for f in (plain, over))

        def apply(room: Room | None, h: Tensor) -> Tensor:
            result: Tensor = once(h) if room is None else again(h)
            return result

        # Those that overwrite are monotone, all three.
        return trace.emit(apply, x, across=apply, monotone=in_place is not None)

    return make


def _called(
    function: Callable[..., Any], rest: tuple[Any, ...], settings: dict[str, Any], h: Tensor
) -> Any:
    return function(h, *rest, **settings)


def _overwriting(plain: Callable[..., Any], over: Callable[..., Any] | None = None) -> Maker:
    """Return what adds a function that overwrites its first argument."""
    make = elementwise(plain, over)
    return lambda trace, x, *rest, **settings: make(trace, x, *rest, inplace=True, **settings)


def arithmetic(function: Callable[..., Any], overwrites: bool = False) -> Maker:
    """Return what adds an operator between activations, weights and numbers."""

    def make(trace: Trace, a: Any, b: Any) -> Any:
        slots = [x for x in (a, b) if isinstance(x, Slot)]
        _refuse_samples(a, b)
        if not slots:
            return function(a, b)
        if overwrites and not (isinstance(a, Slot) and a.alone):
            raise Unfit("it overwrites what is read again")
        if len(slots) == 1:
            if slots[0] is a:
                return trace.emit(lambda room, h: function(h, b), a)
            return trace.emit(lambda room, h: function(a, h), b)
        samples = any(slot.samples for slot in slots)
        axes = max(slot.like.dim() + (samples and not slot.samples) for slot in slots)
        if any(slot.samples and slot.like.dim() != axes for slot in slots):
            raise Unfit("it joins activations of different shapes")
        first, second = (_shaper(slot, axes, samples) for slot in slots)
        return trace.emit(lambda room, h, g: function(first(h), second(g)), a, b)

    return make


def _shaper(slot: Slot, axes: int, samples: bool) -> Callable[[Tensor], Tensor]:
    """Return what gives a tensor the axes that it is to be joined with."""
    tail = [1] if samples and not slot.samples else []
    ones = [1] * (axes - slot.like.dim() - len(tail))
    if not ones and not tail:
        return lambda h: h
    return lambda w: w.reshape(w.shape[0], *ones, *w.shape[1:], *tail)


def _pooling(module: Callable[..., nn.Module], make: Maker) -> Maker:
    """Return what adds a pooling function: as the module of the same settings does."""
    return lambda trace, x, *rest, **settings: make(trace, module(*rest, **settings), x)


IN_PLACE: dict[str, Callable[..., Any]] = {
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
}

_ELEMENTWISE = [
    *("abs", "acos", "asin", "atan", "ceil", "clamp", "clamp_max", "clamp_min", "clip", "cos"),
    *("erf", "exp", "expm1", "floor", "frac", "log", "log1p", "neg", "reciprocal", "relu"),
    *("round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "square", "tanh", "trunc"),
]

_ACTIVATIONS = [
    *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
]

_OPERATORS = [
    (operator.add, "add"),
    (operator.mul, "mul"),
    (operator.sub, "sub"),
    (operator.truediv, "div"),
    (operator.pow, "pow"),
    (torch.maximum, "maximum"),
    (torch.minimum, "minimum"),
]

FUNCTIONS: dict[Callable[..., Any], Maker] = {
    **{
        getattr(torch, name): elementwise(getattr(torch, name), IN_PLACE.get(name))
        for name in _ELEMENTWISE
    },
    **{
        getattr(F, name): elementwise(getattr(F, name), IN_PLACE.get(name)) for name in _ACTIVATIONS
    },
    **{function: arithmetic(function) for function, _ in _OPERATORS},
    **{getattr(torch, name): arithmetic(function) for function, name in _OPERATORS},
    operator.iadd: arithmetic(operator.add, overwrites=True),
    operator.imul: arithmetic(operator.mul, overwrites=True),
    operator.isub: arithmetic(operator.sub, overwrites=True),
    operator.neg: elementwise(operator.neg),
    operator.getitem: _item,
    getattr: _attribute,
    torch.flatten: flatten,
    F.adaptive_avg_pool2d: _pooling(nn.AdaptiveAvgPool2d, images.adaptive_pool),
    F.avg_pool2d: _pooling(nn.AvgPool2d, images.average_pool),
    F.conv2d: images.convolve,
    F.linear: linear,
    F.max_pool2d: _pooling(nn.MaxPool2d, images.max_pool),
    F.dropout: dropout,
    F.softmax: over_axis(torch.softmax),
    F.log_softmax: over_axis(torch.log_softmax),
    torch.softmax: over_axis(torch.softmax),
    torch.log_softmax: over_axis(torch.log_softmax),
}
"""Functions and operators: ``make(trace, *arguments)``."""

METHODS: dict[str, Maker] = {
    **{name: elementwise(getattr(torch, name), IN_PLACE.get(name)) for name in _ELEMENTWISE},
    **{name: arithmetic(function) for function, name in _OPERATORS},
    **{f"{name}_": _overwriting(getattr(torch, name), f) for name, f in IN_PLACE.items()},
    "contiguous": lambda trace, x: x,  # so is every value
    "detach": lambda trace, x: trace.emit(_detached, x, view=True),
    "flatten": flatten,
    "log_softmax": over_axis(torch.log_softmax),
    "reshape": _view,
    "size": _size,
    "softmax": over_axis(torch.softmax),
    "view": _view,
}
"""Methods of tensors: ``make(trace, x, *arguments)``."""
