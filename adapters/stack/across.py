"""Tiny layers, the candidates last: (features..., samples, k), weights (shape..., k).

A product of a few numbers costs less than the call that makes it. With the candidates innermost it
becomes a few sums over long rows: for networks of a handful of units, many candidates at once,
nothing is faster.
"""

import torch
from torch import Tensor

from adapters.stack.trace import Room

FEW = 128
"""Candidates from which this pays."""

TINY = 2**8
"""Multiplications of a candidate beyond the first layer, up to which this pays."""


def first_product(room: Room | None, h: Tensor, w: Tensor) -> Tensor:
    """Return w (out, in, k) times h (in, samples), which all candidates share."""
    out = None if room is None else room.out((w.shape[0], h.shape[1], w.shape[2]))
    return torch.matmul(h.t(), w, out=out)


def product(room: Room | None, h: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Return w (out, in, k) times h (in, samples, k), plus b (out, k)."""
    shape = w.shape[0], h.shape[1], w.shape[2]
    first = torch.mul(w[:, 0, None], h[0], out=None if room is None else room.out(shape))
    for i in range(1, w.shape[1]):
        first.addcmul_(w[:, i, None], h[i])
    return first if b is None else first.add_(b[:, None])


def shifted(room: Room | None, h: Tensor, b: Tensor) -> Tensor:
    """Return h (out, samples, k) plus b (out, k)."""
    return h.add_(b[:, None])
