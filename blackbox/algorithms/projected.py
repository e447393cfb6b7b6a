"""Bounds for methods that know none: beyond them lies a bowl around the box."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blackbox.types import Array, Ask, Evaluate, Problem, Told

EDGE = 1e-6
"""So far from a bound, relative to where that is, slopes are taken towards the inside."""


def project(problem: Problem, evaluate: Evaluate) -> tuple[Problem, Evaluate]:
    """Return the problem without its bounds, and an `evaluate` that never asks beyond them.

    A point x outside counts as f(p) + |x - p|^2, where p is the nearest point of the box. So
    inside nothing changes, a minimum of the new function is one of f in the box, and its gradient
    outside leads back. A point of a finite difference that steps outwards at a bound counts as
    failed, so that the other side is tried: beyond the bound f has no slope. That holds a little
    before it, too, so that slopes nearby are taken in the same way and can be compared.
    """
    lower, upper = problem.lower, problem.upper
    near = _edge(lower, upper)
    low, high = lower + near, upper - near
    centre: Array | None = None

    def evaluated(ask: Ask) -> Told:
        nonlocal centre
        if np.iscomplexobj(ask.points):  # a complex step, from a point inside
            return evaluate(ask)
        if not ask.stencil:
            centre = ask.points[0] if len(ask.points) == 1 else None
        if ask.stencil and not ask.gradients and centre is not None:
            down = (ask.points < np.minimum(centre, low)) & (centre >= lower)
            up = (ask.points > np.maximum(centre, high)) & (centre <= upper)
            left: NDArray[np.bool_] = np.any(down | up, axis=1)
            if left.any():
                return _without(left, ask, evaluated)
        points = np.clip(ask.points, lower, upper)
        moved = ask.points - points
        if not moved.any():
            return evaluate(ask)
        told = evaluate(ask._replace(points=points))
        gradients = told.gradients
        if gradients is not None:
            gradients = np.where(moved == 0, gradients, 2 * moved)
        return Told(told.values + (moved**2).sum(axis=1), gradients)

    without = np.full(problem.n, np.inf)
    return replace(problem, lower=-without, upper=without), evaluated


def _without(left: NDArray[np.bool_], ask: Ask, evaluate: Evaluate) -> Told:
    """Evaluate all points but some, (k,), which count as failed."""
    values = np.full(len(left), np.inf)
    if not left.all():
        values[~left] = evaluate(ask._replace(points=ask.points[~left])).values
    return Told(values)


def moved(x: Array, inside: Array) -> float:
    """What `project` added to the value at `x`, (n,), whose nearest point is `inside`."""
    return float(((x - inside) ** 2).sum())


def _edge(lower: Array, upper: Array) -> Array:
    """How far from the bounds, (n,), their edges reach."""
    size = np.maximum(*(np.where(np.isfinite(bound), np.abs(bound), 0) for bound in (lower, upper)))
    edge: Array = np.minimum(EDGE * np.maximum(1.0, size), (upper - lower) / 4)
    return edge
