"""What each batch gave, step by step: the curves of a run, in bounded memory."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from blackbox.thinned import Thinned
from blackbox.types import Array, Ask, Told

NUMBERS_KEPT = 64_000
"""Numbers of a kind that a trace holds, over all of its steps and starts."""
STEPS_KEPT = 2_000
"""Steps that it holds at most; of more, evenly spaced ones, the first and the latest."""

NUMBERS_LOOKED_AT = 1 << 16
"""Numbers from which the spread of a population is estimated."""


class Step(NamedTuple):
    """A batch: what had been spent when it was told, and what it gave.

    Attributes
    ----------
    evaluations, gradients, seconds
        Spent so far, this batch included.
    losses
        Values of the runs that walk side by side, (k,); of a population its best, (1,).
    norms, moves, rates
        Of each run, (k,): the gradient's Euclidean norm before any clipping; how far the point lies
        from the run's point before; the learning rate. NaN where there is none.
    median, spread
        Of a population: the median value, and the root mean square distance of its points from
        their mean. NaN elsewhere.
    """

    evaluations: int
    gradients: int
    seconds: float
    losses: Array
    norms: Array
    moves: Array
    rates: Array
    median: float
    spread: float


class Validated(NamedTuple):
    """Validation losses, (k,), and what had been spent when they were measured."""

    evaluations: int
    gradients: int
    seconds: float
    losses: Array


@dataclass(frozen=True, eq=False)
class Curves:
    """The steps of one run as columns, each (m,), float64 or int64; see `Step`.

    ``validation_evaluations``, ``validation_gradients`` and ``validation_losses`` have a length of
    their own.
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


def _spread(points: Array) -> float:
    """Root mean square distance from the mean; where there are many numbers, from some of them."""
    stride = max(1, points.size // NUMBERS_LOOKED_AT)
    # From one of the points, so that nothing is lost where all of them are close together.
    apart = points[:, ::stride] - points[0, ::stride]
    mean = apart.sum(axis=0) / len(apart)
    squares = float(np.einsum("ij,ij->", apart, apart)) / len(apart) - float(mean @ mean)
    return math.sqrt(max(squares, 0.0) * points.shape[1] / apart.shape[1])


class Trace:
    """The steps of a run.

    Batches that give gradients, or whose method says that its points walk side by side, are steps
    of k runs; other batches of several points are generations of a population. Single points
    without a gradient leave nothing here: the history's improvements show how they went.

    Attributes
    ----------
    skipped
        Gradients that were not finite, over all runs: their steps were not taken.
    ends_x, ends_value
        Where k runs side by side have come to, (k, n) and (k,): each run's best point, or the
        latest where values of different batches can't be compared. None where there are none.
    """

    def __init__(self, changing: bool = False) -> None:
        self.skipped = 0
        self.ends_x: Array | None = None
        self.ends_value: Array | None = None
        self._changing = changing
        self._points: Array | None = None
        self._steps: Thinned[Step] = Thinned(STEPS_KEPT)
        self._validated: Thinned[Validated] = Thinned(STEPS_KEPT)
        self._seen = 0

    def __len__(self) -> int:
        return len(self._steps)

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
        unknown = np.full(k, math.nan)
        norms = unknown
        if told.gradients is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                norms = np.sqrt(np.einsum("ij,ij->i", told.gradients, told.gradients))
            if not math.isfinite(norms.sum()):
                self.skipped += int((~np.isfinite(told.gradients)).any(axis=1).sum())
        moves, before = unknown, self._points
        if before is not None and before.shape == points.shape:
            apart = points - before
            moves = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        self._points = points
        rates = unknown if ask.rates is None else ask.rates[:k].copy()
        if ask.rates is not None and k > 1:
            self._keep_ends(points, told.values)
        self._append(Step(*spent, told.values, norms, moves, rates, math.nan, math.nan))

    def _keep_ends(self, points: Array, values: Array) -> None:
        if self.ends_x is None or self.ends_value is None or self.ends_x.shape != points.shape:
            self.ends_x, self.ends_value = points.copy(), values.copy()
            return
        better = np.isfinite(values) & (self._changing | (values < self.ends_value))
        self.ends_x[better] = points[better]
        self.ends_value[better] = values[better]

    def _record_population(self, points: Array, told: Told, spent: tuple[int, int, float]) -> None:
        self._points = None
        good = sorted(value for value in told.values.tolist() if value < math.inf)
        best, median = (good[0], good[len(good) // 2]) if good else (math.inf, math.inf)
        nothing = np.array([math.nan])
        self._append(
            Step(*spent, np.array([best]), nothing, nothing, nothing, median, _spread(points))
        )

    def _append(self, step: Step) -> None:
        limit = max(200, min(STEPS_KEPT, NUMBERS_KEPT // len(step.losses)))
        if limit < self._steps.limit:
            self._steps.limit = limit
        self._steps.append(step)

    def curves(self, run: int | None = None) -> Curves:
        """Return the steps of one run as columns.

        Parameters
        ----------
        run
            Which of k runs side by side; None: the one that ended lowest.
        """
        steps, validated = list(self._steps), list(self._validated)
        if run is None:
            run = 0 if self.ends_value is None else int(self.ends_value.argmin())

        def column(name: str) -> Array:
            rows = [np.atleast_1d(getattr(step, name)) for step in steps]
            return np.array([row[min(run, len(row) - 1)] for row in rows])

        losses = [row.losses[min(run, len(row.losses) - 1)] for row in validated]
        return Curves(
            evaluations=column("evaluations"),
            gradients=column("gradients"),
            seconds=column("seconds"),
            loss=column("losses"),
            gradient_norm=column("norms"),
            step_size=column("moves"),
            learning_rate=column("rates"),
            median=column("median"),
            spread=column("spread"),
            validation_evaluations=np.array([row.evaluations for row in validated], dtype=float),
            validation_gradients=np.array([row.gradients for row in validated], dtype=float),
            validation_loss=np.array(losses, dtype=float),
        )
