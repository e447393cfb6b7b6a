"""Losses of candidates, and their gradients: one by one, or many in one pass."""

from collections.abc import Sequence
from numbers import Real
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from adapters.bench import Bench
from adapters.flatten import Array


class Evaluator(Protocol):
    """Evaluates candidates (k, n), float64."""

    def values(self, points: Array) -> Array:
        """Return losses (k,)."""
        ...

    def gradients(self, points: Array) -> tuple[Array, Array]:
        """Return losses (k,) and gradients (k, n), zero where a loss is constant."""
        ...


class Loop:
    """One candidate after another, by the operations of a hand-written training loop."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def values(self, points: Array) -> Array:
        """Return losses (k,)."""
        bench, values = self._bench, np.empty(len(points))
        parts = bench.vector.cut(torch.from_numpy(points))
        with bench.mode():
            for row in range(len(points)):
                bench.write(parts, row)
                with bench.attempt():
                    values[row] = _number(bench.loss())
        return values

    def gradients(self, points: Array) -> tuple[Array, Array]:
        """Return losses (k,) and gradients (k, n), zero where a loss is constant."""
        bench, values, gradients = self._bench, np.empty(len(points)), np.zeros(points.shape)
        parts = bench.vector.cut(torch.from_numpy(points))
        with torch.enable_grad():
            for row in range(len(points)):
                bench.write(parts, row)
                with bench.attempt():
                    loss = bench.loss()
                    values[row] = _number(loss)
                    if isinstance(loss, Tensor) and loss.requires_grad:
                        gradients[row] = _slopes(loss, bench.weights, 1)[0]
        return values, gradients


class Vmapped:
    """Chunks of candidates in one pass each, by `torch.vmap` over their stacked weights."""

    fewest = 5
    """The smallest batch: a pass has the fixed cost of four or five plain ones."""

    def __init__(self, bench: Bench, chunk: int) -> None:
        self._bench = bench
        self._places = bench.places()
        self.chunk = chunk

    def values(self, points: Array) -> Array:
        """Return losses (k,)."""
        bench, values = self._bench, []
        for chunk in torch.split(torch.from_numpy(points), self.chunk):
            with bench.attempt(), bench.mode():
                values.append(_numpy(self.losses(bench.vector.stack(chunk))))
        return np.concatenate(values)

    def gradients(self, points: Array) -> tuple[Array, Array]:
        """Return losses (k,) and gradients (k, n): those of the sum, as candidates are apart."""
        bench, values, gradients = self._bench, [], []
        for chunk in torch.split(torch.from_numpy(points), self.chunk):
            stacked = [weights.requires_grad_() for weights in bench.vector.stack(chunk)]
            with bench.attempt(), torch.enable_grad():
                losses = self.losses(stacked)
                values.append(_numpy(losses))
                gradients.append(_slopes(losses.sum(), stacked, len(chunk)))
        return np.concatenate(values), np.concatenate(gradients)

    def losses(self, stacked: list[Tensor]) -> Tensor:
        """Return the losses (k,) under stacked weights."""
        try:
            losses: Tensor = torch.vmap(self._loss, randomness="error")(*stacked)
            return losses
        finally:
            self._swap(self._bench.weights)

    def _loss(self, *weights: Tensor) -> Tensor:
        self._swap(weights)
        loss: Tensor = self._bench.loss()
        return loss.reshape(()) if isinstance(loss, Tensor) and loss.dim() else loss

    def _swap(self, weights: Sequence[Tensor]) -> None:
        # As functional_call does, less its walk over the whole module at every call.
        for weight, places in zip(weights, self._places, strict=True):
            for module, name in places:
                module._parameters[name] = weight  # type: ignore[assignment]


def _number(loss: object) -> float:
    """Return a loss as a float, or say what is wrong with it."""
    if isinstance(loss, Tensor):
        if loss.numel() == 1 and not loss.is_complex():
            return float(loss.item())
        what = f"a {loss.dtype} tensor of shape {tuple(loss.shape)}"
    elif isinstance(loss, (Real, np.bool_)):
        return float(loss)
    elif isinstance(loss, np.ndarray) and loss.size == 1 and loss.dtype.kind in "fiub":
        return float(loss.item())
    else:
        what = f"{type(loss).__name__} ({loss!r:.60})"
    raise TypeError(f"the loss must be one real number, not {what}; reduce it, say by .mean()")


def _slopes(total: Tensor, weights: list[Tensor], rows: int) -> Array:
    """Return the derivatives of ``total`` as float64 (rows, n)."""
    parts = torch.autograd.grad(total, weights, allow_unused=True)
    device = weights[0].device  # joined there, so that one transfer is enough
    flat = [
        (torch.zeros_like(weight) if part is None else part).reshape(rows, -1).to(device)
        for part, weight in zip(parts, weights, strict=True)
    ]
    return _numpy(torch.cat(flat, dim=1))


def _numpy(tensor: Tensor) -> Array:
    # Off the device first: not every device knows float64.
    array: Array = tensor.detach().cpu().double().numpy()
    return array
