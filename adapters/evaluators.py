"""Losses of candidates, and their gradients: one by one, or many in one pass."""

from collections.abc import Sequence
from numbers import Real
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from adapters.bench import Bench


class Evaluator(Protocol):
    """Evaluates candidates, a tensor (k, n) of any floating type, not to be written."""

    chunk: int
    gradient_chunk: int
    """How many candidates go through in one pass; and where gradients are wanted."""

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        ...

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (k,) and gradients (k, n), zero where a loss is constant."""
        ...


class Loop:
    """One candidate after another, by the operations of a hand-written training loop."""

    chunk = gradient_chunk = 1

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        bench, rows, values = self._bench, points.cpu().numpy(), np.empty(len(points))
        with bench.mode():
            if bench.leaves_traces or bench.random:
                for i, row in enumerate(rows):
                    bench.write(row)
                    with bench.attempt():
                        values[i] = as_number(bench.loss())
            else:
                try:
                    for i, row in enumerate(rows):
                        bench.write(row)
                        values[i] = as_number(bench.loss())
                finally:
                    bench.put_back()
        return torch.from_numpy(values)

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (k,) and gradients (k, n), zero where a loss is constant."""
        bench, rows = self._bench, points.cpu().numpy()
        values, gradients = np.empty(len(rows)), np.zeros(rows.shape)
        with torch.enable_grad():
            for i, row in enumerate(rows):
                bench.write(row)
                with bench.attempt():
                    loss = bench.loss()
                    values[i] = as_number(loss)
                    if isinstance(loss, Tensor) and loss.requires_grad:
                        bench.put_slopes(loss, gradients[i])
        return torch.from_numpy(values), torch.from_numpy(gradients)


class Vmapped:
    """A chunk of candidates in one pass, by `torch.vmap` over their stacked weights."""

    def __init__(self, bench: Bench, chunk: int) -> None:
        self._bench = bench
        self._holders = _holders(bench)
        self.chunk = self.gradient_chunk = chunk
        # On a processor a pass has the fixed cost of many plain ones; elsewhere each call has.
        self.fewest = 10 if bench.device.type == "cpu" else 2

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        bench = self._bench
        with bench.attempt(), torch.enable_grad() if bench.graph else torch.no_grad():
            return self.losses(bench.vector.stack(points)).detach()

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (k,) and gradients (k, n): those of the sum, as candidates are apart."""
        bench = self._bench
        stacked = [weights.requires_grad_() for weights in bench.vector.stack(points)]
        with bench.attempt(), torch.enable_grad():
            losses = self.losses(stacked)
            return losses.detach(), bench.slopes(losses, stacked)

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
        for weight, holders in zip(weights, self._holders, strict=True):
            for module, name in holders:
                module._parameters[name] = weight  # type: ignore[assignment]


def _holders(bench: Bench) -> list[list[tuple[nn.Module, str]]]:
    """Return, for each free parameter, where modules refer to it: several places if tied."""
    holders: dict[int, list[tuple[nn.Module, str]]] = {id(w): [] for w in bench.weights}
    for module in bench.modules.modules():
        for name, parameter in module._parameters.items():
            if id(parameter) in holders:
                holders[id(parameter)].append((module, name))
    return list(holders.values())


def as_number(loss: object) -> float:
    """Return a loss as a float, or say what is wrong with it.

    Raises
    ------
    TypeError
        It is not one real number.
    """
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
