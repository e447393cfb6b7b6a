"""Answers what a run asks: counts exactly, records, settles failures, ends the run."""

import cmath
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from blackbox.budget import Budget, Halt, doubt
from blackbox.history import History
from blackbox.objective import Objective
from blackbox.types import Array, Ask, Callback, Stop, Told
from blackbox.validation import Validation

ASTRAY = Stop(
    "the method proposed a point that is not finite; the values or gradients it was told left it "
    "nowhere to go",
    success=False,
    status=4,
)


class Evaluator:
    """Answers every `Ask` of one run: counts, records, and ends the run when it is over.

    Parameters
    ----------
    objective, history, budget
        What is evaluated, where it is recorded, what may be spent.
    callback
        scipy's: ``callback(intermediate_result)`` or ``callback(x)``, after each batch.
    watch
        Called with the history after each batch (a progress line).
    validation
        Measures losses on validation data now and then.
    """

    provisional = False
    """Whether the values of batches are provisional."""

    def __init__(
        self,
        objective: Objective,
        history: History,
        budget: Budget,
        callback: Callback | None = None,
        watch: Callable[[History], None] | None = None,
        validation: Validation | None = None,
    ) -> None:
        self._objective, self._history, self._budget = objective, history, budget
        self._validation = validation
        self._callback = None if callback is None else as_intermediate(callback)
        self._watch = watch
        record = history.record
        self._record = partial(record, provisional=True) if self.provisional else record
        # Points whose values alone were asked: their gradients may be asked next.
        self._valued: tuple[Array, Array] | None = None

    def __call__(self, ask: Ask) -> Told:
        """Evaluate a batch. Raises `Halt` when the run is over."""
        if ask.gradients and self._valued is not None and not ask.stencil:
            (points, values), self._valued = self._valued, None
            where = _rows(points, ask.points)
            if where is not None:
                return Told(values[where], self._separate(ask.points))
        points, cut = ask.points, False
        left = self._budget.left(self._history)
        if not _all_finite(points):
            raise Halt(ASTRAY)
        if ask.stencil and ask.gradients and self._objective.gradients == "separate":
            # A finite difference of gradients wants no values, and costs no evaluations.
            return Told(np.full(len(points), math.inf), self._separate(points))
        if len(points) > left:
            points, cut = points[: int(left)], True
        told = self._evaluate(points, ask)
        if not ask.stencil:
            self._history.record_step(ask, points, told)
        self._after(ask)
        if cut:
            raise Halt(self._budget.spent())
        if self._validation is not None and not ask.stencil:
            return self._validation.measure(ask, told)
        return told

    def begin(self) -> None:
        """Look at what is known beforehand. Raises `Halt` where that is enough."""
        self._budget.check(self._history)

    def count_rounds(self, size: int) -> None:
        """Count so many batches as one generation: values come one by one."""
        if self._validation is not None:
            self._validation.round = size

    def finish(self, stop: Stop) -> Stop:
        """Take in why the run ended; return what its result should go by."""
        return self._conclude(doubt(stop, self._history))

    def _conclude(self, stop: Stop) -> Stop:
        """Evaluate what is left to do; return what the result should go by."""
        if self._validation is None:
            return stop
        return self._validation.restore(self._validation.close(stop))

    def state(self) -> dict[str, Any] | None:
        """Return where it stands, for `blackbox.snapshot`; None where that can't be said."""
        return {} if self._valued is None else None

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""

    def interrupt(self, stop: Stop) -> Stop:
        """Take in that an exception ended the run; return what its result should go by."""
        return stop if self._validation is None else self._validation.restore(stop)

    def _evaluate(self, points: Array, ask: Ask) -> Told:
        k, objective = len(points), self._objective
        joint = ask.gradients and objective.gradients == "joint"
        # Points of a complex-step difference are complex, and so are their values.
        values, gradients = np.empty(k, dtype=points.dtype), None
        values.fill(math.nan)
        try:
            if joint:
                gradients = objective.values_and_gradients(points, values)
            else:
                objective.values(points, values)
            values = self._settle(values)
        except BaseException:
            done = objective.done
            self._history.failures.add_batch(values[:done], objective.failed)
            kept = settle(values[:done], strict=False)
            self._record(points[:done], kept.real, stencil=ask.stencil)
            raise
        self._record(points, values.real, gradients=k if joint else 0, stencil=ask.stencil)
        if objective.gradients == "separate":
            if ask.gradients:
                gradients = self._separate(points)
            elif not ask.stencil:
                self._valued = points, values
        return Told(values, gradients)

    def _settle(self, values: Array) -> Array:
        """Return values as a run is told them; take in those that failed."""
        failed = self._objective.failed
        if not failed and _all_finite(values):
            return values
        settled = settle(values)
        self._history.failures.add_batch(values, failed)
        return settled

    def _separate(self, points: Array) -> Array:
        gradients = self._objective.gradients_alone(points)
        if self._objective.failed:
            self._history.failures.add_batch(np.empty(0), self._objective.failed)
        self._history.gradient_count += len(points)
        return gradients

    def _after(self, ask: Ask) -> None:
        history = self._history
        self._budget.check(history)
        if self._watch is not None:
            self._watch(history)
        if self._callback is not None and not ask.stencil:
            report = OptimizeResult(
                x=history.best_x,
                fun=history.best_value,
                nfev=history.evaluation_count,
                nit=history.batch_count,
            )
            try:
                self._callback(report)
            except StopIteration:
                reason = "`callback` raised `StopIteration`"
                raise Halt(Stop(reason, success=False, status=99)) from None


def _all_finite(array: NDArray[Any]) -> bool:
    """Whether every element is finite; as `all_finite`, but they may be complex."""
    if array.size <= 32:
        return all(map(cmath.isfinite, array.ravel().tolist()))
    return bool(np.isfinite(array).all())


def _rows(points: Array, asked: Array) -> NDArray[np.intp] | None:
    """Which of `points`, (k, n), each asked one is; None where one is none of them.

    Of several starts, some ask for their slopes at once and some later.
    """
    if np.array_equal(points, asked):
        return np.arange(len(points))
    if len(asked) > len(points):
        return None
    same = (points[None] == asked[:, None]).all(axis=2)
    return same.argmax(axis=1) if same.any(axis=1).all() else None


def settle(values: Array, strict: bool = True) -> Array:
    """Failed evaluations, NaN, become ``+inf``; ``-inf`` is no value to go by."""
    if strict and (values == -math.inf).any():
        raise ValueError(
            "the objective returned -inf, so nothing could ever be better; return a finite value, "
            "or NaN for a failed evaluation"
        )
    return np.where(np.isfinite(values), values, math.inf)


def as_intermediate(callback: Callback) -> Callable[[OptimizeResult], object]:
    """Wrap either of scipy's callback signatures as one of the intermediate result."""
    if not callable(callback):
        raise TypeError(f"callback must be callable; got {callback!r}")
    if wants_result(callback):
        return lambda report: callback(intermediate_result=report)
    return lambda report: callback(np.copy(report.x))


def wants_result(callback: Callback) -> bool:
    """Whether a callback is scipy's ``callback(intermediate_result)``."""
    try:
        return set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):
        return False
