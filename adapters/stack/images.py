"""Windows that move over images: convolution and pooling, on (k, channels, height, width, samples).

A convolution is a product with all that its window sees, gathered by copies whose innermost axis
is the samples; the images themselves, which all candidates share, are gathered once.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.stack.shapes import product, shifted
from adapters.stack.trace import Room, Slot, Trace, Unfit

_HEIGHT, _WIDTH = 2, 3


class _Window(NamedTuple):
    """How a window moves along one axis of an image: its size, step, border, and gaps inside."""

    size: int
    step: int
    border: int = 0
    gap: int = 1

    def places(self, length: int) -> int:
        """Return how many places it takes along so many pixels, the border among them."""
        return (length - self.gap * (self.size - 1) - 1) // self.step + 1

    def views(self, h: Tensor, axis: int) -> list[Tensor]:
        """Return what each part of the window sees of images that have their border already."""
        span = self.step * (self.places(h.shape[axis]) - 1) + 1
        parts = (h.narrow(axis, i * self.gap, span) for i in range(self.size))
        return [part[(slice(None),) * axis + (slice(None, None, self.step),)] for part in parts]


def _windows(x: Slot, size: Any, step: Any, border: Any, gap: Any = 1) -> tuple[_Window, _Window]:
    if x.like.dim() != 5 or not x.samples:
        raise Unfit("a window moves over something that is no batch of images")
    pairs = [(v, v) if isinstance(v, int) else tuple(v) for v in (size, step, border, gap)]
    rows, columns = (_Window(*(pair[i] for pair in pairs)) for i in (0, 1))
    for window, axis in ((rows, _HEIGHT), (columns, _WIDTH)):
        if window.places(x.like.shape[axis] + 2 * window.border) < 1:
            raise Unfit("a window is larger than the image")
    return rows, columns


def _bordered(
    room: Room | None, h: Tensor, windows: tuple[_Window, _Window], fill: float
) -> Tensor:
    """Return images with their border."""
    down, right = (window.border for window in windows)
    if not down and not right:
        return h
    if room is None:
        return F.pad(h, (0, 0, right, right, down, down), value=fill)
    k, channels, height, width, samples = h.shape
    wide = room(k, channels, height + 2 * down, width + 2 * right, samples, fill=fill)
    wide[:, :, down : down + height, right : right + width] = h
    return wide


def convolution(trace: Trace, module: nn.Conv2d, x: Slot) -> Slot:
    """Add a convolution."""
    if module.padding_mode != "zeros":
        raise Unfit("it has a convolution with an unusual border")
    weight = trace.weight(module.weight)
    bias = None if module.bias is None else trace.weight(module.bias)
    settings = module.stride, module.padding, module.dilation, module.groups
    return convolve(trace, x, weight, bias, *settings)


def convolve(
    trace: Trace,
    x: Slot,
    weight: Slot,
    bias: Slot | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Slot:
    """Add a convolution: gather what the window sees, then multiply."""
    if groups != 1 or isinstance(padding, str):
        raise Unfit("it has a convolution with groups, or with an unusual border")
    windows = _windows(x, tuple(weight.like.shape[3:]), stride, padding, dilation)
    rows, columns = windows

    def gather(room: Room | None, h: Tensor) -> Tensor:
        wide = _bordered(room, h, windows, 0.0)
        seen = [part for line in rows.views(wide, _HEIGHT) for part in columns.views(line, _WIDTH)]
        if len(seen) == 1:
            return seen[0]
        k, channels, *rest = seen[0].shape
        out = None if room is None else room(k, channels, len(seen), *rest)
        return torch.stack(seen, dim=2, out=out).flatten(1, 2)

    def multiply(room: Room | None, h: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        out = product(room, h.flatten(2), w.flatten(2), b)
        return out.view(*out.shape[:2], *h.shape[2:])

    seen = trace.emit(gather, x)
    if bias is None:
        return trace.emit(multiply, seen, weight)
    if seen.constant and weight.constant:
        return trace.emit(shifted, trace.emit(multiply, seen, weight), bias)
    return trace.emit(multiply, seen, weight, bias)


def max_pool(trace: Trace, module: nn.MaxPool2d, x: Slot) -> Slot:
    """Add a maximum over windows."""
    if module.return_indices or module.ceil_mode:
        raise Unfit("it has a pooling with indices, or ceil_mode")
    windows = _windows(x, module.kernel_size, module.stride, module.padding, module.dilation)
    return _pool(trace, x, windows, _larger, fill=-math.inf)


def average_pool(trace: Trace, module: nn.AvgPool2d, x: Slot) -> Slot:
    """Add a mean over windows."""
    windows = _windows(x, module.kernel_size, module.stride, module.padding)
    rows, columns = windows
    uneven = (rows.border or columns.border) and not module.count_include_pad
    if module.ceil_mode or module.divisor_override or uneven:
        raise Unfit("it has a pooling with ceil_mode, or means over parts of a window")
    area = rows.size * columns.size
    return trace.emit(lambda room, h: h / area, _pool(trace, x, windows, _sum))


def adaptive_pool(trace: Trace, module: Any, x: Slot) -> Slot:
    """Add a pooling whose windows follow from the size of its result."""
    size = module.output_size
    wanted = (size, size) if isinstance(size, int) else tuple(size)
    lengths = x.like.shape[_HEIGHT : _WIDTH + 1]
    if x.like.dim() != 5 or any(
        part is None or length % part for part, length in zip(wanted, lengths, strict=True)
    ):
        raise Unfit("it has an adaptive pooling with uneven windows")
    window = tuple(length // part for length, part in zip(lengths, wanted, strict=True))
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return average_pool(trace, nn.AvgPool2d(window), x)
    return max_pool(trace, nn.MaxPool2d(window), x)


_Join = Callable[[Room | None, Tensor, Tensor], Tensor]


def _larger(room: Room | None, a: Tensor, b: Tensor) -> Tensor:
    if room is None:  # of two that are equal the first has the gradient, as in torch's pooling
        return torch.where((a >= b) | a.isnan(), a, b)
    return torch.maximum(a, b, out=room(*a.shape))


def _sum(room: Room | None, a: Tensor, b: Tensor) -> Tensor:
    return torch.add(a, b, out=None if room is None else room(*a.shape))


def _pool(
    trace: Trace, x: Slot, windows: tuple[_Window, _Window], join: _Join, fill: float = 0.0
) -> Slot:
    """Join all that a window sees, along rows first: the order in which torch finds a maximum."""
    rows, columns = windows

    def pool(room: Room | None, h: Tensor) -> Tensor:
        h = _bordered(room, h, windows, fill)
        for window, axis in ((columns, _WIDTH), (rows, _HEIGHT)):
            first, *others = window.views(h, axis)
            for other in others:
                first = join(room, first, other)
            h = first
        return h

    # A window of one pixel sees the image itself.
    return trace.emit(pool, x, view=rows.size == columns.size == 1)
