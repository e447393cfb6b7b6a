"""Bounds for methods that know none: beyond them lies a bowl around the box."""

from dataclasses import replace

import numpy as np

from blackbox.types import Array, Ask, Evaluate, Problem, Told


def project(problem: Problem, evaluate: Evaluate) -> tuple[Problem, Evaluate]:
    """Return the problem without its bounds, and an `evaluate` that never asks beyond them.

    A point x outside counts as f(p) + |x - p|^2, where p is the nearest point of the box. So
    inside nothing changes, a minimum of the new function is one of f in the box, and its gradient
    outside leads back.
    """
    lower, upper = problem.lower, problem.upper

    def evaluated(ask: Ask) -> Told:
        if np.iscomplexobj(ask.points):  # a complex step, from a point inside
            return evaluate(ask)
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


def moved(x: Array, inside: Array) -> float:
    """What `project` added to the value at `x`, (n,), whose nearest point is `inside`."""
    return float(((x - inside) ** 2).sum())
