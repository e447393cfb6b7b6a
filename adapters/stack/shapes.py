"""How weights and activations come together, whose axes differ."""

import torch
from torch import Tensor

from adapters.stack.trace import Room, view

GATHERED = 2**14
"""Numbers of a weight up to which those of all candidates are brought together, for one product:
one is faster than many, by less than copying large weights would cost."""


def aligned(weight: Tensor, like: Tensor) -> Tensor:
    """Return a weight (k, ...) shaped to broadcast over activations, as it would plainly."""
    ones = like.dim() - 1 - weight.dim()
    return weight.reshape(weight.shape[0], *[1] * ones, *weight.shape[1:], 1)


def first_product(room: Room | None, h: Tensor, w: Tensor) -> Tensor:
    """Return w (k, out, in) times h (in, samples), which all candidates share."""
    k, out, width = w.shape
    if room is None or room.fresh:
        together = view(room, lambda w: w.reshape(k * out, width), w)
        return torch.mm(together, h).view(k, out, -1)
    result = room(k, out, h.shape[1])
    if out * width > GATHERED:
        return torch.bmm(w, room.once(lambda h: h.expand(k, -1, -1), h), out=result)
    together = w.reshape(k * out, width)
    torch.mm(together, h, out=room.once(lambda made: made.view(k * out, -1), result))
    return result


def product(room: Room | None, h: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Return w (k, out, in) times h (k, in, columns), plus b (k, out)."""
    k, own = w.shape[0], h.shape[0]
    if b is not None and b.shape[0] > max(k, own):
        return added(room, product(room, h, w), b)
    if own < k:
        h = view(room, lambda h: h.expand(k, -1, -1), h)
    elif k < own:
        w = view(room, lambda w: w.expand(own, -1, -1), w)
    bias = None if b is None else view(room, lambda b: b.unsqueeze(-1), b)
    if room is None or room.fresh:
        return torch.bmm(w, h) if bias is None else torch.baddbmm(bias, w, h)
    made = torch.bmm(w, h, out=room(max(k, own), w.shape[1], h.shape[2]))
    return made if bias is None else made.add_(bias)


def shifted(room: Room | None, h: Tensor, b: Tensor) -> Tensor:
    """Return h (k, out, ..., samples), which may be overwritten, plus b (k, out)."""
    if room is None or h.shape[0] < b.shape[0]:
        return added(room, h, b)
    return h.add_(view(room, lambda b: b.view(*b.shape, *[1] * (h.dim() - 2)), b))


def added(room: Room | None, h: Tensor, b: Tensor) -> Tensor:
    """Return h (k, out, ..., samples) plus b (k, out), in memory of its own."""
    return h + view(room, lambda b: b.view(*b.shape, *[1] * (h.dim() - 2)), b)
