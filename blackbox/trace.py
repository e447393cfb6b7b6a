"""What each batch gave, step by step: the curves of a run, in bounded memory."""

import math
from array import array
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from blackbox.thinned import Thinned
from blackbox.types import Array, Ask, Told

NUMBERS_KEPT = 64_000
"""Numbers of a kind that a trace holds, over all of its steps and starts."""
STEPS_KEPT = 2_000
"""Steps that it holds at most; of more, evenly spaced ones, the first and the latest."""

VARIABLES_APART = 64
"""Up to so many variables, slopes are kept of each of them, where there are no tensors."""

NUMBERS_LOOKED_AT = 1 << 16
"""Numbers from which the spread of a population is estimated."""


class Validated(NamedTuple):
    """Validation losses, (k,), and what had been spent when they were measured."""

    evaluations: int
    gradients: int
    seconds: float
    losses: Array


@dataclass(frozen=True, eq=False)
class Curves:
    """The steps of one run as columns, each (m,), float64; NaN where there is nothing to tell.

    Attributes
    ----------
    evaluations, gradients, seconds
        Spent when the step was told, by all runs.
    loss
        The value of the run's point; of a population its best.
    gradient_norm
        The gradient's Euclidean norm, before any clipping.
    step_size
        How far the point lies from the run's point before.
    learning_rate
        That of the step that was taken from here.
    median, spread
        Of a population: the median value, and the root mean square distance of its points from
        their mean.
    validation_evaluations, validation_gradients, validation_loss
        Each validation, and what had been spent by then: with a length of their own.
    """

    evaluations: Array
    gradients: Array
    seconds: Array
    loss: Array
    gradient_norm: Array
    step_size: Array
    learning_rate: Array
    median: Array
    spread: Array
    validation_evaluations: Array
    validation_gradients: Array
    validation_loss: Array


class Slopes(NamedTuple):
    """How steep it was in each tensor of a model, or else in each variable, at a step.

    Attributes
    ----------
    step
        From 0.
    sizes
        Shape (k, b): the root mean square of the gradient's parts.
    zeros
        Shape (k, b): which share of them is exactly 0.
    """

    step: int
    sizes: Array
    zeros: Array


class Series:
    """Values and what had been spent when they were told: evenly spaced ones of a long series."""

    def __init__(self) -> None:
        self._rows = array("d")
        self._left, self._stride = 1, 1

    def append(self, evaluations: int, value: float) -> None:
        """Take in the next value."""
        self._left -= 1
        if self._left:
            return
        self._rows.extend((evaluations, value))
        if len(self._rows) > 2 * STEPS_KEPT:
            kept = np.array(self._rows).reshape(-1, 2)[::2]
            self._rows = array("d", kept.tobytes())
            self._stride *= 2
        self._left = self._stride

    def columns(self) -> tuple[Array, Array]:
        """Return evaluations and values, (m,) each."""
        evaluations, values = np.array(self._rows).reshape(-1, 2).T
        return evaluations.copy(), values.copy()


def _spread(points: Array) -> float:
    """Root mean square distance from the mean; where there are many numbers, from some of them."""
    stride = max(1, points.size // NUMBERS_LOOKED_AT)
    # From one of the points, so that nothing is lost where all of them are close together.
    apart = points[:, ::stride] - points[0, ::stride]
    mean = apart.sum(axis=0) / len(apart)
    squares = float(np.einsum("ij,ij->", apart, apart)) / len(apart) - float(mean @ mean)
    return math.sqrt(max(squares, 0.0) * points.shape[1] / apart.shape[1])


_NONE = np.array([math.nan])
CUT = -math.inf
"""In place of the value of a run that the budget left out of its last batch."""


class _Table:
    """Steps as rows of numbers: what was spent, a population's figures, and four for each run."""

    SHARED, OWN = 5, 4

    def __init__(self) -> None:
        self._rows = np.empty((16, self.SHARED + self.OWN))
        self._length = self._count = 0
        self._stride = 1

    def __len__(self) -> int:
        return self._length

    def append(self, shared: tuple[float, ...], *own: Array) -> None:
        k = len(own[0])
        if k > (self._rows.shape[1] - self.SHARED) // self.OWN:
            self._widen(k)
        if self._length == len(self._rows):
            self._make_room()
        if not self._count or (self._count - 1) % self._stride == 0:
            self._length += 1
        # Else the latest was held as such only, and gives its place.
        row = self._rows[self._length - 1]
        row[: self.SHARED] = shared
        if k == 1:
            row[self.SHARED :] = math.nan
            row[self.SHARED :: (len(row) - self.SHARED) // self.OWN] = [part[0] for part in own]
        else:
            parts = row[self.SHARED :].reshape(self.OWN, -1)
            parts.fill(math.nan)
            for part, given in zip(parts, own, strict=True):
                part[: len(given)] = given
        self._count += 1

    def _widen(self, k: int) -> None:
        wide = np.full((len(self._rows), self.OWN, k), math.nan)
        old = self._rows[:, self.SHARED :].reshape(len(self._rows), self.OWN, -1)
        wide[:, :, : old.shape[2]] = old
        self._rows = np.hstack([self._rows[:, : self.SHARED], wide.reshape(len(wide), -1)])

    def _make_room(self) -> None:
        """Grow by doubling, up to the limit; from there hold every second step."""
        runs = (self._rows.shape[1] - self.SHARED) // self.OWN
        limit = max(200, min(STEPS_KEPT, NUMBERS_KEPT // runs))
        if self._length < limit:
            more = np.empty((min(limit, 2 * self._length), self._rows.shape[1]))
            more[: self._length] = self._rows
            self._rows = more
            return
        self._stride *= 2
        kept = np.arange(0, self._length, 2)
        if (self._count - 1) % self._stride:
            kept = np.append(kept, self._length - 1)
        self._rows[: len(kept)] = self._rows[kept]
        self._length = len(kept)

    def columns(self, run: int) -> list[Array]:
        rows = self._rows[: self._length]
        runs = (rows.shape[1] - self.SHARED) // self.OWN
        own = rows[:, self.SHARED :].reshape(len(rows), self.OWN, runs)
        mine = own[:, :, min(run, own.shape[2] - 1)]
        # A population's figures, and a run alone, stand in the first place.
        mine = np.where(np.isnan(mine[:, :1]), own[:, :, 0], mine)
        told = mine[:, 0] != CUT
        return [*rows[told, : self.SHARED].T.copy(), *mine[told].T.copy()]


def _lengths(rows: Array) -> Array:
    """Euclidean norms of the rows; infinite where they are too large to be squared."""
    if len(rows) == 1:
        return np.sqrt([np.vdot(rows, rows)])
    with np.errstate(over="ignore", invalid="ignore"):
        lengths: Array = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


class Trace:
    """The steps of a run.

    Batches that give gradients, or whose method says that its points walk side by side, are steps
    of k runs; other batches of several points are generations of a population. Single points
    without a gradient are no steps: of them there are only values.

    Attributes
    ----------
    skipped
        Gradients that were not finite, over all runs: their steps were not taken.
    ends_x, ends_value
        Where k runs side by side have come to, (k, n) and (k,): each run's best point, or the
        latest where values of different batches can't be compared. None where there are none.
    singles, fulls
        A `Series`: values of single points; values at full fidelity, where others are provisional.
    slopes
        A `Slopes` of the first step, and one of a later step, no earlier than half way.
    ends_gradient
        The latest gradients, (k, n), of runs within bounds; else None.
    """

    def __init__(
        self,
        changing: bool = False,
        blocks: tuple[tuple[int, ...], ...] = (),
        bounded: bool = False,
    ) -> None:
        self.skipped = 0
        self.ends_x: Array | None = None
        self.ends_value: Array | None = None
        self.ends_gradient: Array | None = None
        self.singles, self.fulls = Series(), Series()
        self.slopes: list[Slopes] = []
        self._blocks, self._bounded, self._slope_count = blocks, bounded, 0
        self._changing = changing
        self._points: Array | None = None
        self._table = _Table()
        self._validated: Thinned[Validated] = Thinned(STEPS_KEPT)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def validations(self) -> list[Validated]:
        """Every validation, in order."""
        return list(self._validated)

    def record(
        self, ask: Ask, points: Array, told: Told, evaluations: int, gradients: int, seconds: float
    ) -> None:
        """Take in a batch that is no stencil; `points`, (k, n), are those that were evaluated."""
        if told.gradients is not None or ask.rates is not None:
            self._record_runs(ask, points, told, (evaluations, gradients, seconds))
        elif len(points) > 1:
            self._record_population(points, told, (evaluations, gradients, seconds))

    def validate(self, losses: Array, evaluations: int, gradients: int, seconds: float) -> None:
        """Take in validation losses, (k,)."""
        self._validated.append(Validated(evaluations, gradients, seconds, losses))

    def _record_runs(
        self, ask: Ask, points: Array, told: Told, spent: tuple[int, int, float]
    ) -> None:
        k = len(points)
        norms = moves = rates = _NONE if k == 1 else np.full(k, math.nan)
        if told.gradients is not None:
            norms = _lengths(told.gradients)
            if not math.isfinite(norms.sum()):
                self.skipped += int((~np.isfinite(told.gradients)).any(axis=1).sum())
            self._keep_slopes(told.gradients)
        if self._points is not None and self._points.shape == points.shape:
            moves = _lengths(points - self._points)
        self._points = points
        if ask.rates is not None:
            rates = ask.rates[:k]
        values, whole = told.values, len(ask.points)
        # Of different batches, values of all runs count, or of none.
        comparable = k == whole or not self._changing or self.ends_x is None
        if ask.rates is not None and whole > 1 and comparable:
            self._keep_ends(points, values)
        if k < whole:
            values = np.full(whole, CUT)
            values[:k] = told.values
        self._table.append((*spent, math.nan, math.nan), values, norms, moves, rates)

    def _keep_slopes(self, gradients: Array) -> None:
        count = self._slope_count
        self._slope_count += 1
        if self._bounded:
            self.ends_gradient = gradients
        if count & (count - 1):  # the first, and every power of two
            return
        n, sizes = gradients.shape[1], [math.prod(shape) for shape in self._blocks]
        if sum(sizes) != n:
            sizes = [1] * n if n <= VARIABLES_APART else [n]
        starts = np.cumsum([0, *sizes[:-1]])
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.add.reduceat(gradients * gradients, starts, axis=1) / sizes
        zeros = np.add.reduceat(gradients == 0, starts, axis=1, dtype=float) / sizes
        self.slopes[1:] = []
        self.slopes.append(Slopes(count, np.sqrt(squares), zeros))

    def _keep_ends(self, points: Array, values: Array) -> None:
        k = len(points)
        if self.ends_x is None or self.ends_value is None or len(self.ends_x) < k:
            self.ends_x, self.ends_value = points.copy(), values.copy()
            return
        # The budget may have cut the last batch: then its runs are the first.
        ends_x, ends_value = self.ends_x[:k], self.ends_value[:k]
        better = np.isfinite(values) & (self._changing | (values < ends_value))
        ends_x[better] = points[better]
        ends_value[better] = values[better]

    def _record_population(self, points: Array, told: Told, spent: tuple[int, int, float]) -> None:
        self._points = None
        good = sorted(value for value in told.values.tolist() if value < math.inf)
        best, median = (good[0], good[len(good) // 2]) if good else (math.inf, math.inf)
        self._table.append((*spent, median, _spread(points)), np.array([best]), _NONE, _NONE, _NONE)

    def curves(self, run: int | None = None) -> Curves:
        """Return the steps of one run as columns.

        Parameters
        ----------
        run
            Which of k runs side by side; None: the one that ended lowest.
        """
        validated = list(self._validated)
        if run is None:
            run = 0 if self.ends_value is None else int(self.ends_value.argmin())
        evaluations, gradients, seconds, median, spread, *own = self._table.columns(run)
        loss, norm, move, rate = own
        losses = [row.losses[min(run, len(row.losses) - 1)] for row in validated]
        return Curves(
            evaluations=evaluations,
            gradients=gradients,
            seconds=seconds,
            loss=loss,
            gradient_norm=norm,
            step_size=move,
            learning_rate=rate,
            median=median,
            spread=spread,
            validation_evaluations=np.array([row.evaluations for row in validated], dtype=float),
            validation_gradients=np.array([row.gradients for row in validated], dtype=float),
            validation_loss=np.array(losses, dtype=float),
        )
