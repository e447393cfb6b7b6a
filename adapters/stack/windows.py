"""Windows that move over images (k, channels, height, width, samples), and their derivatives.

torch's own derivative of a slice fills a whole image with zeros; one of all slices together writes
each number once. So what windows see has a derivative of its own here.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from adapters.stack.trace import Room, view

HEIGHT, WIDTH = 2, 3


class Window(NamedTuple):
    """How a window moves along one axis of an image: its size, step, border, and gaps inside."""

    size: int
    step: int
    border: int = 0
    gap: int = 1

    def places(self, length: int) -> int:
        """Return how many places it takes along so many pixels, the border among them."""
        return (length - self.gap * (self.size - 1) - 1) // self.step + 1

    def part(self, axis: int, i: int, h: Tensor) -> Tensor:
        """Return what the i-th part of the window sees of images that have their border."""
        begin = i * self.gap
        end = begin + self.step * (self.places(h.shape[axis]) - 1) + 1
        return h[(slice(None),) * axis + (slice(begin, end, self.step),)]


Windows = tuple[Window, Window]
"""Along rows, and along columns."""


def bordered(room: Room | None, h: Tensor, windows: Windows, fill: float) -> Tensor:
    """Return images with their border."""
    down, right = (window.border for window in windows)
    if not down and not right:
        return h
    if room is None or room.fresh:
        return F.pad(h, (0, 0, right, right, down, down), value=fill)
    k, channels, height, width, samples = h.shape
    wide = room(k, channels, height + 2 * down, width + 2 * right, samples, fill=fill)
    inside = (..., slice(down, down + height), slice(right, right + width), slice(None))
    room.once(lambda wide: wide[inside], wide).copy_(h)
    return wide


def gathered(room: Room | None, h: Tensor, windows: Windows) -> Tensor:
    """Return what windows see, by one copy: (k, channels * size, rows, columns, samples)."""
    wide = bordered(room, h, windows, 0.0)
    if wide.requires_grad:
        made: Tensor = _Gather.apply(wide, windows)  # type: ignore[no-untyped-call]
        return made
    if room is None or room.fresh:
        return _joined(_seen(windows, wide.contiguous()))
    seen = room.once(partial(_seen, windows), wide)
    return room.once(_joined, room(*seen.shape).copy_(seen))


def _seen(windows: Windows, wide: Tensor) -> Tensor:
    """Return the same memory as windows see it: (k, channels, *size, rows, columns, samples)."""
    (down, right), strides = windows, wide.stride()
    k, channels, height, width, samples = wide.shape
    size = down.size, right.size, down.places(height), right.places(width)
    moves = down.gap, right.gap, down.step, right.step
    steps = [move * stride for move, stride in zip(moves, strides[2:4] * 2, strict=True)]
    return wide.as_strided((k, channels, *size, samples), (*strides[:2], *steps, strides[4]))


def _joined(seen: Tensor) -> Tensor:
    return seen.flatten(1, 3)


class _Gather(Function):
    """What windows see; backwards, each pixel adds up what its views give."""

    @staticmethod
    def forward(ctx: Any, wide: Tensor, windows: Windows) -> Tensor:
        ctx.windows, ctx.shape = windows, wide.shape
        return _joined(_seen(windows, wide.contiguous()).contiguous())

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None]:
        rows, columns = ctx.windows
        total = slopes.new_zeros(ctx.shape)
        parts = slopes.view(len(slopes), -1, rows.size, columns.size, *slopes.shape[2:])
        for i in range(rows.size):
            line = rows.part(HEIGHT, i, total)
            for j in range(columns.size):
                columns.part(WIDTH, j, line).add_(parts[:, :, i, j])
        return total, None


def largest(room: Room | None, h: Tensor, windows: Windows) -> Tensor:
    """Return the largest number that each place of the windows sees."""
    rows, columns = windows
    h = bordered(room, h, windows, -torch.inf)
    # Along rows first: the order in which torch finds a maximum, should several be equal.
    for window, axis in ((columns, WIDTH), (rows, HEIGHT)):
        if h.requires_grad:
            h = _Largest.apply(h, window, axis)  # type: ignore[no-untyped-call]
        else:
            first, *others = _parts(room, h, window, axis)
            for other in others:
                out = None if room is None else room.out(first.shape)
                first = torch.maximum(first, other, out=out)
            h = first
    return h


def _parts(room: Room | None, h: Tensor, window: Window, axis: int) -> list[Tensor]:
    return [view(room, partial(window.part, axis, i), h) for i in range(window.size)]


class _Largest(Function):
    """The maximum over a window along one axis; the first of several has the derivative."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, window: Window, axis: int) -> Tensor:
        ctx.window, ctx.axis, ctx.shape = window, axis, h.shape
        first, *others = _parts(None, h, window, axis)
        winner = torch.zeros(first.shape, dtype=torch.uint8, device=h.device)
        for i, other in enumerate(others, start=1):
            kept = (first >= other).logical_or_(first.isnan())
            first = torch.where(kept, first, other)
            winner.mul_(kept).add_(kept.logical_not(), alpha=i)
        ctx.save_for_backward(winner)
        return first.clone() if not others else first

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None, None]:
        (winner,) = ctx.saved_tensors
        total = slopes.new_zeros(ctx.shape)
        for i, part in enumerate(_parts(None, total, ctx.window, ctx.axis)):
            part.addcmul_(slopes, winner == i)
        return total, None, None


def summed(room: Room | None, h: Tensor, windows: Windows) -> Tensor:
    """Return the sum of what each place of the windows sees."""
    rows, columns = windows
    h = bordered(room, h, windows, 0.0)
    for window, axis in ((columns, WIDTH), (rows, HEIGHT)):
        if h.requires_grad:
            h = _Sum.apply(h, window, axis)  # type: ignore[no-untyped-call]
        else:
            first, *others = _parts(room, h, window, axis)
            for other in others:
                out = None if room is None else room.out(first.shape)
                first = torch.add(first, other, out=out)
            h = first
    return h


class _Sum(Function):
    """The sum over a window along one axis."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, window: Window, axis: int) -> Tensor:
        ctx.window, ctx.axis, ctx.shape = window, axis, h.shape
        first, *others = _parts(None, h, window, axis)
        total = first.clone()
        for other in others:
            total.add_(other)
        return total

    @staticmethod
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor, None, None]:
        total = slopes.new_zeros(ctx.shape)
        for part in _parts(None, total, ctx.window, ctx.axis):
            part.add_(slopes)
        return total, None, None
