"""Trials of a batched objective: many are begun together, trained together, told together."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from adapters.tuning.session import Begun, Session
from blackbox.failures import Failed
from blackbox.returned import as_vector

Ended = tuple[int, "float | Failed | None"]
"""The number of a trial, and its value; None where it was stopped, or how it failed."""


LARGEST = 64
"""A generation without an end, as that of random points, is trained in parts of so many trials."""


def begin_together(
    session: Session, at_once: int | None, default: int, epochs: int | None
) -> list[Begun]:
    """Begin as many trials as are trained together; fewer where the budget ends, [] at its end.

    Parameters
    ----------
    session
        Hands them out.
    at_once
        How many; None: a generation of the method.
    default
        How many, where it has none.
    epochs
        Steps of a whole training: no more are begun than can be trained to the end.
    """
    if at_once is None:
        rows_left = getattr(session.study.sampler, "rows_left", None)
        at_once = default if rows_left is None else min(rows_left(session.study), LARGEST)
        at_once = int(max(1, min(at_once, session.steps_left() / (epochs or 1))))
    begun: list[Begun] = []
    while len(begun) < at_once and (trial := session.begin()) is not None:
        begun.append(trial)
    return begun


def train_whole(objective: Callable[[Any], Any], begun: list[Begun]) -> Iterator[Ended]:
    """Train trials in one program, and say how each ended.

    Parameters
    ----------
    objective
        Takes a list of k parameter dictionaries and returns values (k,).
    begun
        The trials.
    """
    try:
        given = objective([each.params for each in begun])
    except Exception as error:
        for each in begun:
            yield each.number, Failed("raised", error=error)
        return
    values = as_vector(given, len(begun))
    for each, value in zip(begun, values.tolist(), strict=True):
        yield each.number, value


def train_in_steps(objective: Any, begun: list[Begun], session: Session) -> Iterator[Ended]:
    """Train trials in one program epoch by epoch; those that are stopped leave it.

    Parameters
    ----------
    objective
        Has ``start(params) -> trainings``, whose ``step() -> (k,)`` is an epoch and whose
        ``keep(rows)`` goes on with those alone; and ``epochs``.
    begun
        The trials.
    session
        Hears of intermediate values, and says which go on.
    """
    alive = [each.number for each in begun]
    try:
        trainings = objective.start([each.params for each in begun])
        for step in range(1, objective.epochs + 1):
            values = np.asarray(trainings.step(), dtype=float).tolist()
            rows = []
            for row, (number, value) in enumerate(zip(alive, values, strict=True)):
                goes_on = session.report(number, value, step)
                if step == objective.epochs or not math.isfinite(value):
                    yield number, value
                elif goes_on:
                    rows.append(row)
                else:
                    yield number, None
            if not rows:
                return
            if len(rows) < len(alive):
                alive = [alive[row] for row in rows]
                trainings.keep(rows)
    except Exception as error:
        for number in alive:
            yield number, Failed("raised", error=error)
