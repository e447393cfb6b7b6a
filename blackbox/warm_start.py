"""Where a run's past comes from: a journal, a result, points and values."""

import os
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from blackbox.evaluated import read_pairs
from blackbox.header import first_line
from blackbox.lines import JournalError, unpack
from blackbox.past import Past, read_journal
from blackbox.types import Evaluated

WarmStart: TypeAlias = (
    str | os.PathLike[str] | Past | OptimizeResult | Evaluated | tuple[ArrayLike, ArrayLike]
)
"""What a run may be told beforehand."""


def read_past(source: Any, journal: Any = None) -> Evaluated:
    """Return the points that a user wants told beforehand, and their values.

    Parameters
    ----------
    source
        What `read_journal` returned, or the path of a journal; a result (all its points, if it was
        made with ``keep_points=True``; else where it ended); or ``(points, values)``, shapes (m, n)
        and (m,).
    journal
        The path of this run's own, if it has one. Where `source` is a journal that has grown since
        this run began, or is gone, this one's first line says what it held then.

    Raises
    ------
    JournalError
        If the journal can't be read.
    TypeError, ValueError
        If it is none of these.
    """
    if isinstance(source, (str, os.PathLike, Past)):
        if (begun := _begun_with(journal)) is not None:
            return begun
        past = source if isinstance(source, Past) else read_journal(source)
        if not len(past.values):
            raise ValueError(f"warm_start: {past.path} holds no points yet")
        return Evaluated(past.points, past.values)
    if isinstance(source, OptimizeResult):
        return _of_result(source)
    if isinstance(source, (tuple, list)) and len(source) == 2:
        return read_pairs(*source)
    raise TypeError(
        "warm_start is a journal (its path, or what read_journal returned), a Result, or a pair "
        f"(points, values); got {source!r:.60}"
    )


def _begun_with(journal: Any) -> Evaluated | None:
    """Return what a run began with, if its journal is there and holds it."""
    try:
        header = first_line(journal)
        table = unpack(header["past"], header["n"] + 1)
    except (JournalError, KeyError, TypeError, ValueError):
        return None  # a new run; or whoever opens the journal says what is wrong with it
    return Evaluated(table[:, :-1], table[:, -1]) if len(table) else None


def _of_result(result: OptimizeResult) -> Evaluated:
    """Return all that a result holds: every point that was kept, and its ends."""
    try:
        x, value = np.asarray(result["x"], dtype=float), float(result["fun"])
        if x.ndim != 1:
            raise TypeError
    except (KeyError, TypeError, ValueError):
        raise ValueError("warm_start: the result has no x, (n,), with a value, fun") from None
    points, values = [x[None]], [np.array([value])]
    if result.get("ends_x") is not None:
        points.append(np.asarray(result["ends_x"], dtype=float))
        values.append(np.asarray(result["ends_fun"], dtype=float))
    kept = getattr(result.get("history"), "evaluated", None)
    if kept is not None and len(kept.values):
        points.append(kept.points)
        values.append(kept.values)
    return read_pairs(np.concatenate(points), np.concatenate(values))
