"""Windows that move over images: convolution and pooling, on (k, channels, height, width, samples).

A convolution is a product with all that its window sees, gathered by copies whose innermost axis
is the samples; the images themselves, which all candidates share, are gathered once.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn

from adapters.stack.shapes import added, first_product, product, shifted
from adapters.stack.trace import Room, Slot, Trace, Unfit, view
from adapters.stack.windows import HEIGHT, WIDTH, Window, Windows, gathered, largest, summed


def _windows(x: Slot, size: Any, step: Any, border: Any, gap: Any = 1) -> Windows:
    if x.like.dim() != 5 or not x.samples:
        raise Unfit("a window moves over something that is no batch of images")
    pairs = [(v, v) if isinstance(v, int) else tuple(v) for v in (size, step, border, gap)]
    rows, columns = (Window(*(pair[i] for pair in pairs)) for i in (0, 1))
    for window, axis in ((rows, HEIGHT), (columns, WIDTH)):
        if window.places(x.like.shape[axis] + 2 * window.border) < 1:
            raise Unfit("a window is larger than the image")
    return rows, columns


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
    seen = trace.emit(partial(_gathered, windows), x)
    if seen.constant and not weight.constant:
        shared = trace.constant(seen.like.squeeze(0), samples=True)
        made = trace.emit(_first_multiplied, shared, weight)
    else:
        made = trace.emit(_multiplied, seen, weight)
    if bias is None:
        return made
    return trace.emit(added if made.constant else shifted, made, bias, monotone=True)


def _gathered(windows: Windows, room: Room | None, h: Tensor) -> Tensor:
    return gathered(room, h, windows)


def _multiplied(room: Room | None, h: Tensor, w: Tensor) -> Tensor:
    columns, weight = view(room, _flat, h), view(room, _flat, w)
    made = product(room, columns, weight)
    return view(room, lambda made: made.view(*made.shape[:2], *h.shape[2:]), made)


def _first_multiplied(room: Room | None, h: Tensor, w: Tensor) -> Tensor:
    columns = view(room, lambda h: h.flatten(1), h)
    made = first_product(room, columns, view(room, _flat, w))
    return view(room, lambda made: made.view(*made.shape[:2], *h.shape[1:]), made)


def _flat(tensor: Tensor) -> Tensor:
    return tensor.flatten(2)


def max_pool(trace: Trace, module: nn.MaxPool2d, x: Slot) -> Slot:
    """Add a maximum over windows."""
    if module.return_indices or module.ceil_mode:
        raise Unfit("it has a pooling with indices, or ceil_mode")
    windows = _windows(x, module.kernel_size, module.stride, module.padding, module.dilation)
    begin, later = trace.lift(x)
    pooled = trace.emit(lambda room, h: largest(room, h, windows), begin, view=_are_single(windows))
    return trace.again(pooled, later)


def average_pool(trace: Trace, module: nn.AvgPool2d, x: Slot) -> Slot:
    """Add a mean over windows."""
    windows = _windows(x, module.kernel_size, module.stride, module.padding)
    rows, columns = windows
    uneven = (rows.border or columns.border) and not module.count_include_pad
    if module.ceil_mode or module.divisor_override or uneven:
        raise Unfit("it has a pooling with ceil_mode, or means over parts of a window")
    area = rows.size * columns.size
    return trace.emit(lambda room, h: summed(room, h, windows) / area, x)


def adaptive_pool(trace: Trace, module: Any, x: Slot) -> Slot:
    """Add a pooling whose windows follow from the size of its result."""
    size = module.output_size
    wanted = (size, size) if isinstance(size, int) else tuple(size)
    lengths = x.like.shape[HEIGHT : WIDTH + 1]
    if x.like.dim() != 5 or any(
        part is None or length % part for part, length in zip(wanted, lengths, strict=True)
    ):
        raise Unfit("it has an adaptive pooling with uneven windows")
    window = tuple(length // part for length, part in zip(lengths, wanted, strict=True))
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return average_pool(trace, nn.AvgPool2d(window), x)
    return max_pool(trace, nn.MaxPool2d(window), x)


def _are_single(windows: Windows) -> bool:
    """Whether a window sees one pixel, so that what it sees is the image itself."""
    return all(window.size == 1 for window in windows)
