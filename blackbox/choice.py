"""From a method's name to a configured algorithm that fits the problem; ``"auto"`` chooses one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from blackbox.algorithms import Method, find
from blackbox.types import Algorithm, Problem

GRADIENT_LOCAL = 100
"""Variables up to which SLSQP, with its n x n matrices, is preferred: a rule of thumb."""
DIAGONAL_FROM = 500
"""Variables from which CMA-ES learns variances alone: a rule of thumb."""


class Choice(NamedTuple):
    """A method, its options, and why."""

    method: str
    options: dict[str, Any]
    reason: str


def choose(problem: Problem) -> Choice:
    """Choose a method by constraints, gradients, bounds, dimension and budget.

    1. Constraints: ``slsqp``, the one that takes them.
    2. The objective gives gradients: ``slsqp`` up to 100 variables, ``adam`` above, and always
       where the objective changes from batch to batch.
    3. Fewer than 100 evaluations a variable: ``slsqp`` on finite differences, which gains the most
       early on; not where the objective changes.
    4. Else ``cma``; from 500 variables with a diagonal covariance matrix.
    """
    n, budget = problem.n, problem.budget
    if problem.constraints:
        return Choice("slsqp", {}, "constraints are given, and slsqp takes them")
    if problem.changing and problem.gradients != "none":
        return Choice("adam", {}, "the objective gives gradients, and changes from batch to batch")
    if problem.gradients != "none":
        if n <= GRADIENT_LOCAL:
            return Choice("slsqp", {}, f"the objective gives gradients, and n = {n} is small")
        return Choice("adam", {}, f"the objective gives gradients, and n = {n} is large")
    if budget is not None and budget < 100 * n and not problem.changing:
        why = f"{budget} evaluations are fewer than 100 for each of {n} variables"
        return Choice("slsqp", {}, f"{why}: a local search gains the most early on")
    settings: dict[str, Any] = {"CMA_diagonal": True} if n >= DIAGONAL_FROM else {}
    if problem.changing:
        return Choice("cma", settings, f"no gradients, n = {n}, changing from batch to batch")
    if settings:
        return Choice("cma", settings, f"no gradients, and n = {n} is large")
    return Choice("cma", {}, f"no gradients, n = {n}, and evaluations enough to learn the shape")


def choose_method(
    name: str | None, problem: Problem, options: Mapping[str, Any] | None, tol: float | None
) -> tuple[Method, Algorithm, str]:
    """Return the row, the configured algorithm and the reason for it.

    Raises
    ------
    TypeError, ValueError
        If the name, an option or `tol` is not known, or the method does not fit the problem.
    """
    reason, settings = "named by the caller", dict(options or {})
    if name is None:  # scipy's rule
        bounded = np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any()
        name = "SLSQP" if problem.constraints else "L-BFGS-B" if bounded else "BFGS"
    if isinstance(name, str) and name.lower() == "auto":
        choice = choose(problem)
        name, reason = choice.method, choice.reason
        settings = choice.options | settings
    row = find(name)
    if tol is not None:
        if row.tolerance_option is None:
            raise ValueError(f"method {row.name!r} has no tolerance that tol={tol!r} could set")
        settings.setdefault(row.tolerance_option, tol)
    check_fit(row, problem)
    return row, row.make(settings), reason


def check_fit(row: Method, problem: Problem) -> None:
    """Refuse a problem that the method cannot take.

    Raises
    ------
    ValueError
        With what is missing, and what to do.
    """
    if problem.constraints and not row.constraints:
        raise ValueError(
            f"method {row.name!r} takes no constraints; use method='slsqp', or return NaN where "
            "a constraint is broken"
        )
    if problem.changing and not row.changing:
        raise ValueError(
            f"method {row.name!r} compares values of different batches, and the objective changes "
            "from batch to batch (minibatches or fresh noise). Evaluate it on the full data (a "
            "model: batch_size=None and randomness='fixed'), or use method='cma', or 'adam' where "
            "there are gradients"
        )
    if row.bounds == "required" and not problem.bounded:
        unbounded = np.flatnonzero(~(np.isfinite(problem.lower) & np.isfinite(problem.upper)))
        raise ValueError(
            f"method {row.name!r} needs finite bounds for every variable; coordinates "
            f"{unbounded[:5].tolist()} have none. Give bounds=(min, max)"
        )
    if not row.fixed_variables and (problem.lower == problem.upper).any():
        fixed = np.flatnonzero(problem.lower == problem.upper)[:5].tolist()
        raise ValueError(
            f"method {row.name!r} needs bounds with room between them; coordinates {fixed} are "
            "fixed by bounds (equal min and max). Leave those variables out"
        )
    if not len(problem.starts) and not problem.bounded:
        raise ValueError("x0 is missing and bounds are not finite; give a start or a finite box")
    if len(problem.starts) > 1 and not row.many_starts:
        raise ValueError(
            f"method {row.name!r} begins at one start; x0 has {len(problem.starts)}. Give one, or "
            "call minimize once for each"
        )
