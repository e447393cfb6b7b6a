"""A problem as a run sees it: some variables fixed or integers, constraints told as values."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from blackbox.constraints import FEASIBILITY, Constraints, seen_through
from blackbox.types import Array, Ask, Callback, Evaluated, Problem, Stop, Told


class View(ABC):
    """Stands between a run and who evaluates.

    Attributes
    ----------
    problem
        What the run is shown.
    """

    problem: Problem
    constraint_tolerance = 0.0
    """How far a point may break a constraint, where the view says."""

    def outward(self, ask: Ask) -> Ask:
        """Translate what the run asks."""
        return ask

    @abstractmethod
    def inward(self, ask: Ask, told: Told) -> Told:
        """Translate what came back; `ask` is as it went out."""

    def stop(self, stop: Stop) -> Stop:
        """Translate why the run ended."""
        return stop


class Free(View):
    """Variables fixed by equal bounds are left out."""

    def __init__(self, problem: Problem) -> None:
        self._whole = problem
        self._free = problem.lower != problem.upper
        free = self._free
        integrality = None if problem.integrality is None else problem.integrality[free]
        hess, hessp, callback = problem.hess, problem.hessp, problem.callback
        past = problem.past
        if callable(hess):
            hess = self._see_hessian(hess)
        self.problem = replace(
            problem,
            lower=problem.lower[free],
            upper=problem.upper[free],
            starts=problem.starts[:, free],
            past=None if past is None else past._replace(points=past.points[:, free]),
            constraints=seen_through(problem.constraints, self.embed, lambda j: j[..., free]),
            blocks=(),
            integrality=integrality,
            hess=hess,
            hessp=None if hessp is None else self._see_product(hessp),
            callback=None if callback is None else self._see_callback(callback),
        )

    def embed(self, points: Array, filling: Any = None) -> Array:
        """Put the fixed variables back, (..., m) -> (..., n); `filling` in place of their values.

        Points may be complex.
        """
        whole = np.empty((*points.shape[:-1], self._whole.n), dtype=points.dtype)
        whole[...] = self._whole.lower if filling is None else filling
        whole[..., self._free] = points
        return whole

    def outward(self, ask: Ask) -> Ask:
        """Put the fixed variables back."""
        return ask._replace(points=self.embed(ask.points))

    def inward(self, ask: Ask, told: Told) -> Told:
        """Leave out the fixed variables' slopes."""
        if told.gradients is None:
            return told
        return told._replace(gradients=told.gradients[:, self._free])

    def stop(self, stop: Stop) -> Stop:
        """Put the fixed variables back; as in scipy, their slopes are NaN."""
        extras = dict(stop.extras)
        if extras.get("x") is not None:
            extras["x"] = self.embed(np.asarray(extras["x"], dtype=float))
        for name in ("jac", "grad"):
            slope = extras.get(name)
            if isinstance(slope, np.ndarray) and slope.shape == (self.problem.n,):
                extras[name] = self.embed(slope, np.nan)
            elif slope is not None:
                extras[name] = None  # of constraints, as is all below: of the free variables alone
        for name in ("hess", "hess_inv", "final_simplex", "direc"):
            if name in extras:
                extras[name] = None
        return stop._replace(extras=extras)

    def _see_hessian(self, hess: Callable[..., Any]) -> Callable[..., Any]:
        free = np.flatnonzero(self._free)

        def seen(x: Array, *args: Any) -> Any:
            told = hess(self.embed(x), *args)
            told = told.toarray() if hasattr(told, "toarray") else np.asarray(told)
            return told[np.ix_(free, free)]

        return seen

    def _see_product(self, hessp: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, p, *args: np.asarray(
            hessp(self.embed(x), self.embed(np.asarray(p), 0.0), *args)
        )[self._free]

    def _see_callback(self, callback: Callback) -> Callback:
        from blackbox.evaluation import as_intermediate

        inner = as_intermediate(callback)

        def seen(intermediate_result: Any) -> object:
            whole = type(intermediate_result)(intermediate_result)
            whole.x = self.embed(np.asarray(intermediate_result.x))
            return inner(whole)

        return seen


class Rounded(View):
    """Integer variables are rounded before they are evaluated.

    A run sees a box that is half a unit wider on both sides, so that the outermost integers are as
    likely as the others.
    """

    def __init__(self, problem: Problem) -> None:
        assert problem.integrality is not None
        self._whole, self._integers = problem, problem.integrality
        integers = self._integers
        margin = np.where(integers, 0.5 - 1e-9, 0.0)
        self.problem = replace(
            problem,
            lower=problem.lower - margin,
            upper=problem.upper + margin,
            constraints=seen_through(problem.constraints, self.round, lambda j: j),
            integrality=None,
            callback=None,
        )

    def round(self, points: Array) -> Array:
        """Round the integer variables of points, (..., n)."""
        rounded = np.where(self._integers, np.round(points), points)
        return np.clip(rounded, self._whole.lower, self._whole.upper)

    def outward(self, ask: Ask) -> Ask:
        """Round the integer variables."""
        return ask._replace(points=self.round(ask.points))

    def inward(self, ask: Ask, told: Told) -> Told:
        """Values are those of the rounded points."""
        return told

    def stop(self, stop: Stop) -> Stop:
        """Round the end point."""
        extras = dict(stop.extras)
        if extras.get("x") is not None:
            extras["x"] = self.round(np.asarray(extras["x"], dtype=float))
        return stop._replace(extras=extras)


def _ranked(past: Evaluated | None) -> Evaluated | None:
    """What is known beforehand without the values, which are not those that a run is told."""
    return None if past is None else past._replace(values=None)


TENTH = 100
"""Evaluations for each variable in which the level of `FeasibleFirst` falls to a tenth."""


class FeasibleFirst(View):
    """Every infeasible point is told as worse than every feasible one, by how infeasible it is.

    Deb, K. (2000), An efficient constraint handling method for genetic algorithms, Computer
    Methods in Applied Mechanics and Engineering 186, 311-338. Equalities would leave nothing to
    search among the feasible; so a violation up to a level counts as none, and the level falls from
    that of the first points to nothing (Takahama, T., Sakai, S. (2006), Constrained optimization by
    the epsilon constrained differential evolution, CEC).
    """

    constraint_tolerance = 1e-6

    def __init__(self, problem: Problem) -> None:
        self._constraints = Constraints(problem.constraints)
        self._worst: float | None = None
        # Violations told before any feasible value was known are above 0, so that it has to be 0.
        self._shift, self._told = 0.0, False
        self._level: float | None = None if self._constraints.has_equalities else 0.0
        self._decay = 0.1 ** (1 / (TENTH * problem.n))
        self._best: tuple[float, float] = np.inf, np.inf
        self._best_x: Array | None = None
        self.problem = replace(problem, constraints=(), callback=None, past=_ranked(problem.past))

    def inward(self, ask: Ask, told: Told) -> Told:
        """Add violations to the worst feasible value seen."""
        # A complex step leaves the point, as far as constraints go, where it is.
        broken = np.array([self._constraints.violation(x) for x in ask.points.real])
        if not ask.stencil:
            self._keep_best(ask.points, told.values, broken)
        if self._level is None:
            self._level = float(np.median(broken))
        self._level *= self._decay ** len(broken)
        broken = np.maximum(broken - max(self._level, FEASIBILITY), 0)
        feasible = (broken <= 0) & np.isfinite(told.values)
        if feasible.any():
            worst = float(told.values[feasible].real.max())
            if self._worst is None and self._told:
                self._shift = worst
            self._worst = worst if self._worst is None else max(worst, self._worst)
        self._told = True
        base = 0.0 if self._worst is None else self._worst - self._shift
        values = np.where(broken > 0, base + broken, told.values - self._shift)
        return told._replace(values=np.where(np.isfinite(told.values), values, np.inf))

    def _keep_best(self, points: Array, values: Array, broken: Array) -> None:
        counted = np.where(broken > self.constraint_tolerance, broken, 0.0)
        leader = int(np.lexsort((values, counted))[0])
        rank = float(counted[leader]), float(values[leader])
        if np.isfinite(rank[1]) and rank < self._best:
            self._best, self._best_x = rank, points[leader].copy()

    def stop(self, stop: Stop) -> Stop:
        """Put the best point and its own value in place of the end, whose value is not its own."""
        ranked = ("x", "fun", "jac", "hess_inv", "final_simplex")
        extras = {k: v for k, v in stop.extras.items() if k not in ranked}
        if self._best_x is not None:
            extras |= {"x": self._best_x, "fun": self._best[1]}
        return stop._replace(extras=extras)


class Augmented(View):
    """Constraints as an augmented Lagrangian (Powell, Hestenes, Rockafellar).

    Nocedal, J., Wright, S. J. (2006), Numerical optimization, chapter 17, in the form with one
    penalty: f + rho/2 (|h + lambda/rho|^2 + |max(0, -g + mu/rho)|^2), for h = 0 and g >= 0.
    """

    def __init__(self, problem: Problem) -> None:
        self.constraints = Constraints(problem.constraints)
        self.penalty = 1.0
        self.equal: Array | float = 0.0
        self.positive: Array | float = 0.0
        self.begin()
        self.problem = replace(
            problem,
            constraints=(),
            hess=None,
            hessp=None,
            callback=None,
            past=_ranked(problem.past),
        )

    def begin(self) -> None:
        """Forget the best point so far: values before and after an update can't be compared."""
        self.best_x: Array | None = None
        self.best_value = self._best = np.inf

    def inward(self, ask: Ask, told: Told) -> Told:
        """Add the constraints' terms to the values, and to the gradients."""
        values, rho = told.values.copy(), self.penalty
        gradients = None if told.gradients is None else told.gradients.copy()
        complex_step = np.iscomplexobj(ask.points)
        for i, x in enumerate(ask.points.real):
            at = self.constraints.residuals(x)
            equal = at.equal + self.equal / rho
            positive = np.maximum(0.0, self.positive / rho - at.positive)
            values[i] += rho / 2 * (equal @ equal + positive @ positive)
            if gradients is None and not complex_step:
                continue
            slopes = self.constraints.jacobians(x)
            slope = rho * (equal @ slopes.equal - positive @ slopes.positive)
            if gradients is not None:
                gradients[i] += slope
            if complex_step:  # constraints need not take complex points
                values[i] += 1j * (slope @ ask.points[i].imag)
        values = np.where(np.isfinite(values), values, np.inf)
        leader = int(values.argmin())
        if not ask.stencil and values[leader] < self._best:
            self._best, self.best_value = float(values[leader]), float(told.values[leader])
            self.best_x = ask.points[leader].copy()
        return told._replace(values=values, gradients=gradients)

    def update(self, x: Array) -> float:
        """Move the multipliers by the residuals at `x`; return how far it is from complementary.

        That is the largest of |h| and |min(g, mu / rho)| (Birgin and Martinez, 2014, chapter 4).
        """
        at, rho = self.constraints.residuals(x), self.penalty
        slack = np.minimum(at.positive, self.positive / rho)
        far = max(np.max(np.abs(at.equal), initial=0.0), np.max(np.abs(slack), initial=0.0))
        self.equal = np.clip(self.equal + rho * at.equal, -_LIMIT, _LIMIT)
        self.positive = np.clip(self.positive - rho * at.positive, 0.0, _LIMIT)
        return float(far)


_LIMIT = 1e10
"""Largest multiplier, so that they stay in reason where a problem has no feasible point."""
