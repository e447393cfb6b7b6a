"""Points and their values: what a run was told, and what the next one may know beforehand."""

import logging
from array import array
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.constraints import FEASIBILITY
from blackbox.types import Array, Evaluated

LOG = logging.getLogger("blackbox")
MOST = 10_000
"""Points that a run is told beforehand, at most: the best."""


class Memory:
    """Every point that was evaluated, and its value, in memory that grows."""

    def __init__(self) -> None:
        self._points, self._values = array("d"), array("d")

    def add(self, points: Array, values: Array) -> None:
        """Take in a batch, shapes (k, n) and (k,)."""
        self._points.frombytes(np.ascontiguousarray(points, dtype=float).tobytes())
        self._values.frombytes(np.ascontiguousarray(values, dtype=float).tobytes())

    @property
    def all(self) -> Evaluated:
        """All of them, in order: copies."""
        values = np.array(self._values)
        shape = len(values), len(self._points) // max(1, len(values))
        return Evaluated(np.array(self._points).reshape(shape), values)


def choose_best(
    found: Evaluated,
    lower: Array,
    upper: Array,
    integers: NDArray[np.bool_] | None,
    violation: Callable[[Array], float] | None,
) -> Evaluated:
    """Return the points that a problem can use, distinct ones, the best first.

    Those that are not finite, outside the bounds, or between integers are left out. Feasible ones
    rank before all others, and those by how much they break the constraints.

    Parameters
    ----------
    found
        Shapes (m, n) and (m,).
    lower, upper, integers
        As in `blackbox.types.Problem`.
    violation
        By how much a point, (n,), breaks the constraints; None where there are none.

    Raises
    ------
    ValueError
        If none is left.
    """
    points, values = found
    assert values is not None
    fit = np.isfinite(values) & ((points >= lower) & (points <= upper)).all(axis=1)
    if integers is not None:
        fit &= (points[:, integers] == np.round(points[:, integers])).all(axis=1)
    points, values = points[fit], values[fit]
    if 0 < len(values) < len(fit):
        LOG.info(
            "warm_start: %d of %d points are left out, as they are not finite, outside the bounds, "
            "or not whole where integrality says so",
            len(fit) - len(values),
            len(fit),
        )
    if not len(values):
        raise ValueError(
            f"warm_start holds {len(fit)} points, none of which is finite, inside the bounds and "
            "whole where integrality says so; give others, wider bounds, or leave it out"
        )
    broken = np.zeros(len(values))
    if violation is not None:
        broken = np.array([violation(x) for x in points])
        broken = np.where(np.isnan(broken), np.inf, broken)
    order = np.lexsort((values, np.where(broken > FEASIBILITY, broken, 0.0)))[: 2 * MOST]
    _, first = np.unique(points[order] + 0.0, axis=0, return_index=True)
    kept = order[np.sort(first)[:MOST]]
    return Evaluated(points[kept].copy(), values[kept].copy())


def read_pairs(points: Any, values: Any) -> Evaluated:
    """Return points and values that a user gave, shapes (m, n) and (m,).

    Raises
    ------
    TypeError, ValueError
        If they are not real numbers of these shapes.
    """
    arrays = []
    for name, given in (("points", points), ("values", values)):
        try:
            each = np.asarray(given)
            if each.dtype.kind == "O" and all(isinstance(v, Real) for v in each.flat):
                each = each.astype(float)
            if each.dtype.kind not in "fiub":
                raise TypeError
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise TypeError(
                f"warm_start: {name} must be an array of real numbers; got {given!r:.60}"
            ) from None
        arrays.append(each.astype(float))
    if arrays[0].ndim != 2 or arrays[1].shape != arrays[0].shape[:1] or not arrays[0].size:
        raise ValueError(
            "warm_start is (points, values) of shapes (m, n) and (m,); got shapes "
            f"{arrays[0].shape} and {arrays[1].shape}"
        )
    return Evaluated(*arrays)
