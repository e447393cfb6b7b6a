"""scipy's three ways to write a constraint, read as one: by how much a point breaks it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint

from blackbox.types import Array

FEASIBILITY = 1e-8
"""How far a point may break a constraint and still count as feasible: solvers' rounding errors."""


class Residuals(NamedTuple):
    """Constraints at one point: equalities, which are to be 0; others, which are to be >= 0."""

    equal: Array
    positive: Array


@dataclass(frozen=True)
class Row:
    """One constraint: ``lower <= fun(x) <= upper``.

    Attributes
    ----------
    fun
        ``fun(x) -> (m,)``.
    jac
        ``jac(x) -> (m, n)``; None: by finite differences of `fun`.
    lower, upper
        Scalars or (m,); infinite where there is no bound.
    """

    fun: Callable[[Array], Array]
    jac: Callable[[Array], Array] | None
    lower: Any
    upper: Any


class Constraints:
    """All constraints of a problem.

    Parameters
    ----------
    given
        dicts, `LinearConstraint`, `NonlinearConstraint`, as `scipy.optimize.minimize` takes them.

    Raises
    ------
    TypeError, ValueError
        For anything else; it says which one, and what to give.
    """

    def __init__(self, given: tuple[Any, ...]) -> None:
        self._rows = [read_constraint(one, i) for i, one in enumerate(given)]

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def has_equalities(self) -> bool:
        """Whether any of them leaves no room."""
        return any(np.any(np.equal(row.lower, row.upper)) for row in self._rows)

    def violation(self, x: Array) -> float:
        """By how much `x`, (n,), breaks the worst broken constraint; 0 if none, inf for NaN."""
        worst = 0.0
        for row in self._rows:
            told = row.fun(x)
            broken = np.maximum(row.lower - told, told - row.upper)
            if np.isnan(broken).any():
                return np.inf
            worst = max(worst, float(np.max(broken, initial=0.0)))
        return worst

    def residuals(self, x: Array) -> Residuals:
        """Equalities and inequalities at `x`, (n,), each a flat array."""
        equal, positive = [], []
        for row in self._rows:
            told = row.fun(x)
            fixed, below, above = _sides(row, len(told))
            equal.append((told - np.broadcast_to(row.lower, told.shape))[fixed])
            positive.append((told - np.broadcast_to(row.lower, told.shape))[below])
            positive.append((np.broadcast_to(row.upper, told.shape) - told)[above])
        return Residuals(np.concatenate(equal), np.concatenate(positive))

    def jacobians(self, x: Array) -> Residuals:
        """Jacobians of `residuals` at `x`: (m, n) each."""
        equal, positive = [], []
        for row in self._rows:
            slope = _slope(row, x)
            fixed, below, above = _sides(row, len(slope))
            equal.append(slope[fixed])
            positive += [slope[below], -slope[above]]
        return Residuals(np.concatenate(equal), np.concatenate(positive))


def measure_violation(constraints: tuple[Any, ...]) -> Callable[[Array], float] | None:
    """Return a function of a point, (n,): by how much it breaks the constraints, 0 if it does not.

    None where there are no constraints.
    """
    return Constraints(constraints).violation if constraints else None


def read_constraint(given: Any, index: int = 0) -> Row:
    """Read one of scipy's constraints.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if isinstance(given, dict):
        return _read_dict(given, index)
    if isinstance(given, (LinearConstraint, NonlinearConstraint)):
        _check_limits(given, index)
    if isinstance(given, LinearConstraint):
        matrix = given.A.toarray() if hasattr(given.A, "toarray") else np.atleast_2d(given.A)
        return Row(lambda x: matrix @ x, lambda x: matrix, given.lb, given.ub)
    if isinstance(given, NonlinearConstraint):
        jac = given.jac if callable(given.jac) else None
        fun = given.fun
        return Row(lambda x: _flat(fun(x.copy())), jac and _matrix(jac), given.lb, given.ub)
    raise TypeError(
        f"constraints[{index}] must be a dict, a LinearConstraint or a NonlinearConstraint, as "
        f"scipy's; got {type(given).__name__}"
    )


def check_constraints(constraints: tuple[Any, ...], n: int) -> None:
    """Check constraints before anything is evaluated.

    Raises
    ------
    TypeError, ValueError, KeyError
        For one that makes no sense for `n` variables.
    """
    for i, one in enumerate(constraints):
        read_constraint(one, i)
        if isinstance(one, LinearConstraint):
            shape = one.A.shape if hasattr(one.A, "toarray") else np.atleast_2d(one.A).shape
            if shape[1] != n:
                raise ValueError(
                    f"constraints[{i}] is a LinearConstraint of {shape[1]} columns, but there are "
                    f"{n} variables"
                )


def _check_limits(given: Any, index: int) -> None:
    lower, upper = np.atleast_1d(given.lb), np.atleast_1d(given.ub)
    try:
        crossed = (lower > upper).any()
    except ValueError:
        raise ValueError(
            f"constraints[{index}] has {lower.size} lower and {upper.size} upper limits; give as "
            "many of each, or one for all"
        ) from None
    if crossed:
        i = int(np.flatnonzero(np.broadcast_to(lower > upper, max(lower.size, upper.size)))[0])
        raise ValueError(f"constraints[{index}]: limits are crossed at row {i}: no point keeps it")


def _read_dict(given: dict[str, Any], index: int) -> Row:
    for name in ("type", "fun"):
        if name not in given:
            raise KeyError(f"Constraint {index} has no {name} defined.")
    kind = given["type"]
    if not isinstance(kind, str) or kind.lower() not in ("eq", "ineq"):
        raise ValueError(f"Unknown constraint type {kind!r} (constraint {index}): 'eq' or 'ineq'")
    fun, args, jac = given["fun"], given.get("args", ()), given.get("jac")
    if not callable(fun):
        raise TypeError(f"constraints[{index}]: fun must be callable; got {type(fun).__name__}")
    upper = 0.0 if kind.lower() == "eq" else np.inf
    slope = (lambda x: jac(x, *args)) if callable(jac) else None
    return Row(lambda x: _flat(fun(x.copy(), *args)), slope and _matrix(slope), 0.0, upper)


def _flat(told: Any) -> Array:
    if told is None:
        raise TypeError("a constraint returned None; it must return a number (forgot `return`?)")
    return np.atleast_1d(np.asarray(told, dtype=float)).ravel()


def _matrix(jac: Callable[[Array], Any]) -> Callable[[Array], Array]:
    def rows(x: Array) -> Array:
        told = jac(x.copy())
        told = told.toarray() if hasattr(told, "toarray") else told
        return np.atleast_2d(np.asarray(told, dtype=float))

    return rows


def _sides(row: Row, m: int) -> tuple[Any, Any, Any]:
    lower, upper = np.broadcast_to(row.lower, m), np.broadcast_to(row.upper, m)
    fixed = lower == upper
    return fixed, ~fixed & np.isfinite(lower), ~fixed & np.isfinite(upper)


def _slope(row: Row, x: Array) -> Array:
    """The constraint's own Jacobian, or central differences: its calls are no evaluations."""
    if row.jac is not None:
        return row.jac(x)
    steps = np.finfo(float).eps ** (1 / 3) * np.maximum(1.0, np.abs(x))
    columns = []
    for i, h in enumerate(steps):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += h
        behind[i] -= h
        columns.append((row.fun(ahead) - row.fun(behind)) / (ahead[i] - behind[i]))
    return np.stack(columns, axis=1)


def seen_through(
    constraints: tuple[Any, ...],
    outward: Callable[[Array], Array],
    inward: Callable[[Array], Array],
) -> tuple[Any, ...]:
    """Return the constraints as functions of other variables.

    Parameters
    ----------
    constraints
        scipy's.
    outward
        From the new variables, (m,), to the old, (n,).
    inward
        From a Jacobian by the old variables, (..., n), to one by the new, (..., m).
    """
    return tuple(_seen(one, outward, inward) for one in constraints)


def dense(given: Any) -> Any:
    """Return the constraint; a linear one with an array of coefficients where they are sparse."""
    if isinstance(given, LinearConstraint) and hasattr(given.A, "toarray"):
        return LinearConstraint(given.A.toarray(), given.lb, given.ub, given.keep_feasible)
    return given


def _seen(given: Any, outward: Callable[[Array], Array], inward: Callable[[Array], Array]) -> Any:
    if isinstance(given, dict):
        changed, fun = dict(given), given["fun"]
        changed["fun"] = lambda x, *args: np.atleast_1d(fun(outward(x), *args))
        if callable(jac := given.get("jac")):
            changed["jac"] = lambda x, *args: inward(np.atleast_2d(jac(outward(x), *args)))
        return changed
    if isinstance(given, LinearConstraint):
        matrix = given.A.toarray() if hasattr(given.A, "toarray") else np.atleast_2d(given.A)
        return NonlinearConstraint(
            lambda x: matrix @ outward(x), given.lb, given.ub, jac=lambda x: inward(matrix)
        )
    fun, slope, curvature = given.fun, given.jac, given.hess
    if callable(slope):
        slope = lambda x: inward(np.atleast_2d(given.jac(outward(x))))  # noqa: E731
    if callable(curvature):  # else a strategy of scipy's, which has nothing to see
        curvature = lambda x, v: _square(given.hess(outward(x), v), inward)  # noqa: E731
    return NonlinearConstraint(
        lambda x: fun(outward(x)), given.lb, given.ub, jac=slope, hess=curvature
    )


def _square(matrix: Any, inward: Callable[[Array], Array]) -> Array:
    dense = matrix.toarray() if hasattr(matrix, "toarray") else matrix @ np.eye(matrix.shape[1])
    return inward(inward(np.asarray(dense)).T).T
