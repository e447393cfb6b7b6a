"""An objective whose evaluations are written down, and read again on the way back after a kill.

The search itself is not stored: it is run again from its beginning, with the same seed, and every
evaluation that the journal holds is answered from there. The first that it does not hold is where
the run was killed; from there on it goes on as if nothing had happened.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from blackbox.failures import Failed, Kind
from blackbox.history import History
from blackbox.journal import Journal
from blackbox.lines import Batch, digest
from blackbox.objective import Objective
from blackbox.types import Array

ALIKE = 0.01
"""How far values that are computed again may be off: half precision and the order of sums."""

Evaluating = Callable[[Array, NDArray[Any]], Array | None]
"""Fills the values, (k,), of points, (k, n); gives their gradients, (k, n), or None."""


class Replayed(Objective):
    """Wraps an `Objective`: what a journal holds comes from there, all else is written to it.

    Everything else is the wrapped objective's own.

    Parameters
    ----------
    objective, journal
        What is evaluated, and where it is written down.
    history
        Whose clock is set to the time of what is replayed.

    Attributes
    ----------
    done, failed
        As an `Objective` has them.
    """

    def __init__(self, objective: Objective, journal: Journal, history: History) -> None:
        self._objective, self._journal, self._history = objective, journal, history
        self.gradients = objective.gradients  # asked for at every step
        self.done, self.failed = 0, {}
        self._again = False
        """Whether gradients were computed again, which need not give the last digit again."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objective, name)

    def values(self, points: Array, out: NDArray[Any]) -> None:
        """Fill `out`, (k,), as `Objective.values`."""
        self._fill("values", points, out, self._objective.values)

    def full_values(self, points: Array, out: NDArray[Any]) -> None:
        """Fill `out`, (k,), as `Objective.full_values`."""
        self._fill("full", points, out, self._objective.full_values)

    def values_and_gradients(self, points: Array, out: NDArray[Any]) -> Array:
        """Fill `out` and return the gradients, as `Objective.values_and_gradients`."""
        gradients = self._fill("gradients", points, out, self._objective.values_and_gradients)
        assert gradients is not None
        return gradients

    def gradients_alone(self, points: Array) -> Array:
        """Return gradients, as `Objective.gradients_alone`."""
        if points.dtype.kind == "c":  # of a complex step: computed again
            gradients, self.failed = self._objective.gradients_alone(points), self._objective.failed
            return gradients
        self.failed = {}
        batch = self._next("slopes", points)
        if batch is not None and batch.gradients is not None:
            return batch.gradients.copy()
        self._again |= batch is not None
        gradients, failed = self._objective.gradients_alone(points), self._objective.failed
        if batch is None:
            self._write("slopes", points, np.empty(0), gradients, failed)
            self.failed = dict(failed)
        return gradients

    def through(self, kind: str, function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        """Return another function of points, (k, n) -> (k,), whose values are written down too."""

        def called(points: Array) -> Array:
            batch = self._next(kind, points)
            if batch is not None:
                return batch.values.copy()
            values = np.asarray(function(points), dtype=float)
            self._write(kind, points, values)
            return values

        return called

    def _fill(
        self, kind: str, points: Array, out: NDArray[Any], evaluate: Evaluating
    ) -> Array | None:
        """Fill `out` and return the gradients, from the journal as far as that goes.

        It may hold a part of a batch: of one that the budget cut, or an exception.
        """
        self.done, self.failed, at = 0, {}, 0
        if self._journal.peek() is None:  # as at most times: without copies
            self._history.let_clock_go()
            return self._evaluate(kind, points, out, evaluate)
        gradients = np.empty(points.shape) if kind == "gradients" else None
        while at < len(points) and (batch := self._next(kind, points[at:], at)) is not None:
            end = at + len(batch.values)
            out[at:end] = batch.values
            if gradients is not None:
                gradients[at:end] = self._slopes(batch, points[at:end], evaluate)
            self.done = at = end
        if at < len(points):
            told = self._evaluate(kind, points[at:], out[at:], evaluate, at)
            if gradients is not None:
                gradients[at:] = told
        return gradients

    def _evaluate(
        self, kind: str, points: Array, out: NDArray[Any], evaluate: Evaluating, at: int = 0
    ) -> Array | None:
        """Evaluate points, of a batch from row `at` on, and write down what came of them."""
        objective, told = self._objective, None
        objective.done = 0
        try:
            told = evaluate(points, out)
        finally:
            done, failed = objective.done, objective.failed
            self.done = at + done
            if failed:
                self.failed |= {at + row: how for row, how in failed.items()}
            if done < len(points):
                points, out = points[:done], out[:done]
            if done and (told is not None or kind != "gradients"):
                self._write(kind, points, out, told, failed)
        return told

    def _slopes(self, batch: Batch, points: Array, evaluate: Evaluating) -> Array:
        """Return a batch's gradients; computed again where they were too long to keep."""
        if batch.gradients is not None:
            self._objective.recall(batch.values, batch.gradients)
            return batch.gradients
        values = np.empty(len(points))
        gradients = evaluate(points, values)
        assert gradients is not None
        self._again = True
        if not np.allclose(values, batch.values, rtol=ALIKE, atol=0.0, equal_nan=True):
            raise self._journal.strayed("is told other values")
        return gradients

    def _next(self, kind: str, points: NDArray[Any], at: int = 0) -> Batch | None:
        """Return what the journal holds of the first of these points; None where they are new.

        The first is row `at` of a batch.
        """
        batch = self._journal.peek()
        if batch is None:
            self._history.let_clock_go()
            return None
        known = len(points) if kind == "slopes" else len(batch.values)
        if batch.kind != kind or known > len(points) or batch.digest != digest(points[:known]):
            if not (self._again and self._journal.leave()):
                raise self._journal.strayed()
            self._history.let_clock_go()
            return None
        self._journal.skip()
        self._history.hold_clock(batch.seconds)
        for row, (how, message) in batch.failed.items():
            self.failed[at + row] = Failed(cast(Kind, how), message)
        return batch

    def _write(
        self,
        kind: str,
        points: Array,
        values: NDArray[Any],
        gradients: Array | None = None,
        failed: Mapping[int, Failed] | None = None,
    ) -> None:
        # A value of -inf is a mistake, which ends the run: once it is mended, go on.
        if kind != "validation" and -math.inf in values.tolist():
            if end := int((values == -math.inf).argmax()):
                before = {row: how for row, how in (failed or {}).items() if row < end}
                slopes = None if gradients is None else gradients[:end]
                self._write(kind, points[:end], values[:end], slopes, before)
            return
        how = None
        if failed:
            how = {row: (each.kind, each.message) for row, each in failed.items()}
        self._journal.append(kind, points, values, gradients, self._history.elapsed(), how)
