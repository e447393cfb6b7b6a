"""Candidates through a stack of layers, chunk by chunk."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.bench import Bench
from adapters.stack import across
from adapters.stack.losses import CrossEntropy, Each, SquaredError, read_loss
from adapters.stack.program import Program
from adapters.stack.shapes import GATHERED
from adapters.stack.trace import Room, Unfit
from adapters.supervised import Supervised, as_float32

KEPT = 8
"""Batch sizes whose memory is kept: a solver asks for one or two, over and over, of minibatches and
of all the data."""

FEW = 4
LARGEST = 64 * 2**20
"""Candidates whose gradients are worth a pass of their own, and the bytes that may take."""

HEAVY = 5 * 2**18
"""Bytes of a candidate from which, on a processor, its gradient is had as cheaply one by one: the
time goes into fresh memory, which autograd needs for all that it keeps."""

SMALL = 2**18
"""Bytes of a pass up to which fresh memory costs no more than a call does."""


class Stacked:
    """Evaluates candidates of a stack of layers, samples last.

    Parameters
    ----------
    bench
        The private model.
    supervised
        Its closure: a loss of the model's outputs.
    scratch
        Bytes that a chunk may write: so many candidates it takes.

    Raises
    ------
    Unfit
        The model, the loss or the data are of another kind; it says which.
    """

    def __init__(self, bench: Bench, supervised: Supervised, scratch: int) -> None:
        inputs, targets = supervised.inputs, supervised.targets
        _check(inputs, bench)
        self._bench = bench
        self._program = Program(bench.model, bench.weights, inputs)
        self._lower = None if supervised.autocast is None else supervised.lower(bench.device)
        self._loss = read_loss(bench, supervised.loss, targets, self._program.like)
        self._shapes = bench.vector.shapes
        self._slices = list(bench.vector.slices.values())
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._dtype, self._device = bench.vector.precision, bench.device
        self._kept: dict[tuple[int, int], _Memory] = {}
        self._rows: Tensor | None = None
        self._gathered: Tensor | None = None
        self._scratch, self._weights = scratch, sum(weight.nbytes for weight in bench.weights)
        self._samples = inputs.shape[0]
        self._count(self._samples)
        self._tiny = (
            self._program.tiny
            and isinstance(self._loss, CrossEntropy | SquaredError)
            and self._lower is None
        )
        self.known = not isinstance(self._loss, Each)
        # Even a single candidate costs less than through the modules; not so with a strange loss.
        self.fewest = 1 if self.known else 2

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        self._rows = rows
        count = self._samples if rows is None else rows.shape[0]
        if count != self._counted:
            self._count(count)

    def _count(self, samples: int) -> None:
        """Set all that hangs on how many samples there are."""
        self._counted = samples
        self._bytes = self._program.bytes * samples // max(1, self._samples)
        bytes = max(1, self._bytes + self._weights)
        self.chunk = max(1, self._scratch // bytes)
        self.gradient_chunk = max(self.chunk // 2, min(FEW, LARGEST // bytes), 1)
        self.gradients_pay = self._device.type != "cpu" or bytes <= HEAVY

    def _gather(self) -> None:
        """Read the samples that were taken: only now, as single gradients go another way."""
        if self._gathered is not self._rows:
            self._program.take(self._rows)
            self._loss.take(self._rows)
            self._gathered = self._rows

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        self._gather()
        # Nothing here requires gradients, so none are tracked in any mode.
        memory = self._memory(points.shape[0])
        weights = memory.weights_of(points)
        if self._lower is not None:  # into fresh memory, of the precision that torch chooses
            return self._loss(None, self._outputs(weights))
        memory.room.restart()
        if isinstance(memory, _Columns):
            assert isinstance(self._loss, CrossEntropy | SquaredError)
            return self._loss.across(memory.room, self._program.across(weights, memory.room))
        return self._loss(memory.room, self._program(weights, memory.room))

    def _outputs(self, weights: list[Tensor]) -> Tensor:
        """Return the outputs in fresh memory."""
        if self._lower is None:
            return self._program(weights, None)
        with self._lower:
            outputs = self._program(weights, None)
        raised: Tensor = as_float32(outputs)
        return raised

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (k,) and gradients (k, n): those of the sum, as candidates are apart."""
        self._gather()
        rows = points.to(self._device, self._dtype, copy=True)
        weights = [part.requires_grad_() for part in self._cut(rows)]
        with torch.enable_grad():
            losses = self._loss(None, self._outputs(weights))
            if not losses.requires_grad:  # as where a loss is flat for these candidates
                return losses, torch.zeros(rows.shape, dtype=torch.float64, device="cpu")
            return losses.detach(), self._bench.slopes(losses, weights)

    def _cut(self, rows: Tensor) -> list[Tensor]:
        """Return candidates' weights (k, ...) as views of their rows."""
        parts = torch.split_with_sizes(rows, self._sizes, 1)
        return [part.view(-1, *shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _memory(self, k: int) -> "_Memory":
        memory = self._kept.get((k, self._counted))
        if memory is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            memory = self._kept[k, self._counted] = self._new_memory(k)
        return memory

    def _new_memory(self, k: int) -> "_Memory":
        if self._tiny and k >= across.FEW:
            return _Columns(self)
        small = self._device.type == "cpu" and k * self._bytes <= SMALL
        return _Small(k, self) if small else _Large(k, self)


class _Small:
    """Memory for a pass whose time goes into calls: weights each in a block, the rest fresh."""

    def __init__(self, k: int, stack: Stacked) -> None:
        self.room = Room(stack._dtype, stack._device, fresh=True)
        shapes = stack._shapes
        self._weights = [
            torch.empty((k, *shape), dtype=stack._dtype, device="cpu") for shape in shapes
        ]
        rows = [weight.numpy().reshape(k, -1) for weight in self._weights]
        self._places = list(zip(rows, stack._slices, strict=True))

    def weights_of(self, points: Tensor) -> list[Tensor]:
        """Return the candidates' weights, in the model's precision."""
        given = points.cpu().numpy()
        if given.dtype == self._places[0][0].dtype:
            self._fill(given)
        else:
            # A weight too large for float32 is infinite there, one too small zero.
            with np.errstate(over="ignore", under="ignore"):
                self._fill(given)
        return self._weights

    def _fill(self, given: NDArray[Any]) -> None:
        for rows, where in self._places:
            rows[...] = given[:, where]


class _Large:
    """Memory for a pass whose time goes into arithmetic."""

    def __init__(self, k: int, stack: Stacked) -> None:
        self.room = Room(stack._dtype, stack._device)
        self._cut = stack._cut
        self._rows = torch.empty((k, sum(stack._sizes)), dtype=stack._dtype, device=stack._device)
        self._weights = self._cut(self._rows)

    def weights_of(self, points: Tensor) -> list[Tensor]:
        """Return the candidates' weights, in the model's precision and place.

        Where few, they are copied to where they always lie, whose views are there already.
        """
        rows = self._rows
        there = points.dtype == rows.dtype and points.device == rows.device
        if there and points.shape[1] > GATHERED:
            return self._cut(points)
        rows.copy_(points)
        return self._weights


class _Columns:
    """Memory for a pass of many candidates through a tiny model: the candidates last."""

    def __init__(self, stack: Stacked) -> None:
        self.room = Room(stack._dtype, stack._device)
        self._shapes, self._sizes = stack._shapes, stack._sizes
        self._kind = stack._device, stack._dtype

    def weights_of(self, points: Tensor) -> list[Tensor]:
        """Return the candidates' weights (shape..., k), in the model's precision and place."""
        columns = points.t().to(*self._kind).contiguous()
        parts = torch.split_with_sizes(columns, self._sizes)
        return [part.view(*shape, -1) for part, shape in zip(parts, self._shapes, strict=True)]


_Memory = _Small | _Large | _Columns
"""What passes of one size read and write."""


def _check(inputs: Any, bench: Bench) -> None:
    dtypes = {parameter.dtype for parameter in bench.model.parameters()}
    if bench.vector.precision not in (torch.float64, torch.float32):
        # A sum of squares overflows where their mean does not.
        raise Unfit(f"it is in {bench.vector.precision}".replace("torch.", ""))
    if not isinstance(inputs, Tensor) or inputs.dim() < 2 or {inputs.dtype} != dtypes:
        raise Unfit("the inputs are no tensor of samples in the model's precision")
    if bench.random:
        raise Unfit("it draws random numbers")
    if bench.graph:
        raise Unfit("the loss differentiates inside itself")
