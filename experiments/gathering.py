"""The steps of a cell's runs, put together in bounded memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.history import History
from experiments.record import Training

Array = NDArray[np.float64]

STEPS_KEPT = 1000
"""Steps of gradient methods that a record holds over all of its restarts, and validations."""
GENERATIONS_KEPT = 100
"""Generations of populations, where there are no other steps."""
ROOM = 8
"""So many times as many are held until they are thinned again."""

COLUMNS = {
    "losses": "loss",
    "norms": "gradient_norm",
    "rates": "learning_rate",
    "moves": "step_size",
    "medians": "median",
    "spreads": "spread",
}
"""Fields of `Training`, and what a trace calls them."""


class Steps:
    """Takes in the trace of each run of a cell."""

    def __init__(self) -> None:
        self._steps = np.empty((0, 3 + len(COLUMNS)))
        self._validations = np.empty((0, 3))
        self._stepped = False

    def add(self, history: History, evaluations: int, gradients: int, seconds: float) -> None:
        """Take in a run, before which so much had been spent."""
        trace = history.trace
        if not len(trace) and not history.validation_count:
            return
        curves = trace.curves()
        columns = [getattr(curves, name) for name in COLUMNS.values()]
        spent = (
            curves.evaluations + evaluations,
            curves.gradients + gradients,
            curves.seconds + seconds,
        )
        validated = (
            curves.validation_evaluations + evaluations,
            curves.validation_gradients + gradients,
            curves.validation_loss,
        )
        self._stepped |= bool(np.isfinite([curves.learning_rate, curves.gradient_norm]).any())
        self._steps = self._join(self._steps, [*spent, *columns])
        self._validations = self._join(self._validations, validated)

    def _join(self, rows: Array, columns: Iterable[Any]) -> Array:
        joined = np.concatenate([rows, np.column_stack(list(columns))])
        room = ROOM * STEPS_KEPT
        return _thinned(joined, room // 2) if len(joined) > room else joined

    def training(self) -> Training | None:
        """Return what was taken in, thinned; None where there is nothing."""
        if not len(self._steps) and not len(self._validations):
            return None
        steps = _thinned(self._steps, STEPS_KEPT if self._stepped else GENERATIONS_KEPT)
        validations = _thinned(self._validations, STEPS_KEPT)
        evaluations, gradients, seconds, *columns = steps.T.copy()
        validated, slopes, losses = validations.T.copy()
        return Training(
            evaluations=evaluations.astype(np.int64),
            gradients=gradients.astype(np.int64),
            seconds=seconds,
            **dict(zip(COLUMNS, columns, strict=True)),
            validated=validated.astype(np.int64),
            validated_gradients=slopes.astype(np.int64),
            validation=losses,
        )


def _thinned(rows: Array, count: int) -> Array:
    """So many of the rows, evenly over what was spent; always the first and the last."""
    if len(rows) <= count:
        return rows
    spent = rows[:, 0]
    return rows[np.unique(np.searchsorted(spent, np.linspace(spent[0], spent[-1], count)))]
