"""What happened in a run, in bounded memory."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from blackbox.constraints import FEASIBILITY
from blackbox.diagnosis.terms import Terms
from blackbox.evaluated import Memory
from blackbox.failures import FailureCounts
from blackbox.thinned import Thinned
from blackbox.trace import Trace
from blackbox.types import Array, Ask, Evaluated, Told

IMPROVEMENTS_KEPT = 10_000
"""Improvements that a history holds; of more, evenly spaced ones and the latest."""


def all_finite(array: Array) -> bool:
    """Whether every element is finite; Python floats are faster where they are few."""
    if array.size <= 32:
        return all(map(math.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())


class Improvement(NamedTuple):
    """A new best value, and what had been spent when it came."""

    evaluations: int
    gradients: int
    seconds: float
    value: float
    violation: float = 0.0


class History:
    """Counts, the incumbent, and each improvement of the best value.

    Attributes
    ----------
    best_x, best_value
        The incumbent: the best finite, feasible point told at full fidelity. Stencil points never
        are it. ``best_value`` is ``inf`` and ``best_x`` the first point until one is told.
    provisional_x, provisional_value
        The best point told on minibatches; None and ``inf`` where there is none.
    evaluation_count, gradient_count, stencil_count
        Points evaluated (all of them), gradients, stencil points.
    full_count
        Winners of minibatches that were evaluated once more, at full fidelity.
    repeat_count
        Evaluations that repeated one, because of noise.
    batch_count
        Batches of points, stencils and evaluations at full fidelity aside.
    failures
        All there were, by kind, see `blackbox.failures`: ``failures["raised"].count``, and
        ``.message`` of the first. Points that got a value by ``on_error``, and gradients that
        failed, are there too; losses on validation data are not.
    failures_in_a_row
        Failures since the last finite value, stencils aside.
    lost_in_a_row
        Failures since the last batch that gave any finite value; stencils are batches, too.
    validation_count
        Evaluations on validation data.
    validated_x, validated_value
        The point with the lowest validation loss, and that loss; None and ``inf`` where none was
        measured.
    trace
        A `blackbox.trace.Trace`: what each batch gave.
    terms
        A `blackbox.diagnosis.Terms`: what `minimize` was given; None without it.
    """

    def __init__(
        self,
        violation: Callable[[Array], float] | None = None,
        tolerance: float = FEASIBILITY,
        changing: bool = False,
        terms: Terms | None = None,
        keep_points: bool = False,
    ) -> None:
        self._memory = Memory() if keep_points else None
        self._changing = changing
        self.tolerance = tolerance
        self.terms = terms
        bounded = terms is not None and terms.lower is not None
        self.trace = Trace(changing, terms.blocks if terms else (), bounded)
        self.validation_count = 0
        self.validated_x: Array | None = None
        self.validated_value = math.inf
        self.best_x: Array | None = None
        self.best_value = math.inf
        self.best_violation = math.inf if violation else 0.0
        self.provisional_x: Array | None = None
        self.provisional_value = math.inf
        self.evaluation_count = 0
        self.full_count = 0
        self.repeat_count = 0
        self.gradient_count = 0
        self.stencil_count = 0
        self.failures = FailureCounts()
        self.failures_in_a_row = 0
        self.lost_in_a_row = 0
        self._lost = 0
        self._best_came = (0, 0)
        self._batch_end = 0
        self.batch_count = 0
        self._violation = violation
        self._improvements: Thinned[Improvement] = Thinned(IMPROVEMENTS_KEPT)
        self._began = time.perf_counter()

    @property
    def failure_count(self) -> int:
        """How many failures there were, of all kinds."""
        return sum(each.count for each in self.failures.values())

    @property
    def feasible(self) -> bool:
        """Whether the incumbent keeps the constraints, or there are none."""
        return self.best_violation <= self.tolerance

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_violation": None}  # the user's constraints may not be picklable

    def state(self) -> dict[str, Any]:
        """Return all that has happened, for `blackbox.snapshot`."""
        own = ("_violation", "terms", "_began", "_held")
        told = {name: value for name, value in vars(self).items() if name not in own}
        return told | {"seconds": self.elapsed()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned; the clock is held there."""
        vars(self).update({name: value for name, value in state.items() if name != "seconds"})
        self.hold_clock(float(state["seconds"]))

    def hold_clock(self, seconds: float) -> None:
        """Let `elapsed` be this from here on: what is replayed has its own times."""
        self._held = seconds

    def let_clock_go(self) -> None:
        """Let a clock that is held go on from where it is."""
        if self._held is not None:
            self._began, self._held = time.perf_counter() - self._held, None

    _held: float | None = None

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began if self._held is None else self._held

    def record(
        self,
        points: Array,
        values: Array,
        *,
        gradients: int = 0,
        stencil: bool = False,
        provisional: bool = False,
    ) -> None:
        """Count a batch and keep what it improved.

        Parameters
        ----------
        points, values
            Shapes (k, n) and (k,); failed evaluations are ``+inf``.
        gradients
            How many gradients came with it.
        stencil
            Whether these are points of a finite difference.
        provisional
            Whether these are values of a minibatch, which improve nothing.
        """
        k = len(values)
        self.gradient_count += gradients
        self._batch_end = self.evaluation_count + k
        self._count_failures(values, stencil)
        if stencil:
            self.stencil_count += k
        elif k:
            self.batch_count += 1
            if provisional:
                self._record_provisional(points, values)
            elif self._violation is not None:
                self._record_constrained(points, values)
            elif k == 1:
                if values[0] < self.best_value:
                    self._improve(points[0], float(values[0]), 1)
            else:
                self._record_batch(points, values)
            if self.best_x is None:
                self.best_x = points[0].copy()
        compared = not (provisional and self._changing)
        if self._memory is not None and compared and points.dtype.kind == "f":
            self._memory.add(points, values)
        self.evaluation_count += k

    @property
    def evaluated(self) -> Evaluated | None:
        """Every point and its value, in order, if ``keep_points=True`` asked for them.

        Shapes (m, n) and (m,); a failed evaluation is ``+inf``. Points of finite differences are
        among them; of minibatches, only what was evaluated at full fidelity.
        """
        return None if self._memory is None else self._memory.all

    _memory: Memory | None = None

    def record_full(self, points: Array, values: Array) -> None:
        """Count points evaluated at full fidelity, no batch of their own; keep what they improved.

        Shapes as in `record`.
        """
        batches = self.batch_count
        self.record(points, values)
        self.batch_count = batches
        self.full_count += len(values)
        self.trace.fulls.append(self.evaluation_count, float(values[-1]))

    def record_repeat(self) -> None:
        """Count one more evaluation of a point that was evaluated before."""
        self.repeat_count += 1
        self.evaluation_count += 1

    def begin_with(self, past: Evaluated | None) -> None:
        """Take the best of what is known beforehand for the incumbent, at no evaluations."""
        if past is not None and past.values is not None:
            best = past.points[0]
            self.set_incumbent(best, float(past.values[0]), self.violation(best))

    def set_incumbent(self, x: Array, value: float, violation: float = 0.0) -> None:
        """Put an estimate, made of repeated evaluations, in the incumbent's place.

        Its value may rise: the mean of a lucky point does.
        """
        if value != self.best_value or self.best_x is None or not np.array_equal(x, self.best_x):
            self.best_violation = violation
            self._improve(x, value, 0)

    def violation(self, x: Array) -> float:
        """By how much a point, (n,), breaks the constraints; 0 where there are none."""
        return 0.0 if self._violation is None else self._violation(x)

    @property
    def constrained(self) -> bool:
        """Whether there are constraints."""
        return self._violation is not None

    def _record_provisional(self, points: Array, values: Array) -> None:
        leader = int(values.argmin())
        if values[leader] < self.provisional_value:
            self.provisional_x = points[leader].copy()
            self.provisional_value = float(values[leader])

    def record_step(self, ask: Ask, points: Array, told: Told) -> None:
        """Take in what a batch gave as a step of the run, once it is recorded."""
        if ask.rates is not None or told.gradients is not None or len(points) > 1:
            spent = self.evaluation_count, self.gradient_count, self.elapsed()
            self.trace.record(ask, points, told, *spent)
        elif len(points) == 1:
            self.trace.singles.append(self.evaluation_count, told.values.item())

    def record_validation(self, points: Array, losses: Array) -> bool:
        """Count losses on validation data; return whether one is the lowest so far.

        Parameters
        ----------
        points, losses
            Shapes (k, n) and (k,); failed evaluations are ``+inf``.
        """
        self.evaluation_count += len(losses)
        self.validation_count += len(losses)
        spent = self.evaluation_count, self.gradient_count, self.elapsed()
        self.trace.validate(losses, *spent)
        leader = int(losses.argmin())
        if not losses[leader] < self.validated_value:
            return False
        self.validated_x, self.validated_value = points[leader].copy(), float(losses[leader])
        return True

    def _record_batch(self, points: Array, values: Array) -> None:
        # Python floats beat array operations on batches of this size.
        if len(values) > 64 and not values.min() < self.best_value:
            return
        for i, value in enumerate(values.tolist()):
            if value < self.best_value:
                self._improve(points[i], value, i + 1)

    def _record_constrained(self, points: Array, values: Array) -> None:
        """Feasible beats infeasible, then the value decides, or the violation (Deb, 2000)."""
        assert self._violation is not None
        for i in range(len(values)):
            if not math.isfinite(values[i]):
                continue
            violation = self._violation(points[i])
            counted = violation if violation > self.tolerance else 0.0
            best = self.best_violation if not self.feasible else 0.0
            if counted < best or (counted == best and values[i] < self.best_value):
                self.best_violation = violation
                self._improve(points[i], float(values[i]), i + 1)

    def _improve(self, point: Array, value: float, nth: int) -> None:
        self.best_x, self.best_value = point.copy(), value
        self._best_came = max(self.evaluation_count, self._batch_end), self._lost
        self._improvements.append(
            Improvement(
                self.evaluation_count + nth,
                self.gradient_count,
                self.elapsed(),
                value,
                self.best_violation,
            )
        )

    def _count_failures(self, values: Array, stencil: bool) -> None:
        k = len(values)
        if all_finite(values):
            if k:
                self.lost_in_a_row = 0
            if not stencil:
                self.failures_in_a_row = 0
            return
        good = np.flatnonzero(np.isfinite(values))
        if len(good):
            self.lost_in_a_row = 0
        else:
            self._lost += k
            self.lost_in_a_row += k
        if stencil:
            return  # a centre that keeps failing is a failure whatever surrounds it
        if len(good):
            self.failures_in_a_row = k - 1 - int(good[-1])
        else:
            self.failures_in_a_row += k

    @property
    def since_best(self) -> tuple[int, int]:
        """How many evaluations came after the incumbent's batch, and how many were lost.

        Lost are those of batches in which nothing gave a finite value.
        """
        spent, lost = self._best_came
        return self.evaluation_count - spent, self._lost - lost

    @property
    def evaluations(self) -> NDArray[np.int64]:
        """Evaluations spent at each improvement, ascending."""
        return np.array([row.evaluations for row in self._improvements], dtype=np.int64)

    @property
    def gradients(self) -> NDArray[np.int64]:
        """Gradients spent at each improvement."""
        return np.array([row.gradients for row in self._improvements], dtype=np.int64)

    @property
    def seconds(self) -> Array:
        """Seconds since the run began at each improvement."""
        return np.array([row.seconds for row in self._improvements], dtype=float)

    @property
    def values(self) -> Array:
        """The incumbent's value after each improvement; it may rise where feasibility is won."""
        return np.array([row.value for row in self._improvements], dtype=float)

    @property
    def violations(self) -> Array:
        """By how much the incumbent broke the constraints after each improvement."""
        return np.array([row.violation for row in self._improvements], dtype=float)

    def __repr__(self) -> str:
        return (
            f"<History: best {self.best_value:g} after {self.evaluation_count} evaluations, "
            f"{self.gradient_count} gradients, {self.failure_count} failures>"
        )
