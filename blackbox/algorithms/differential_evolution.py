"""Differential evolution by scipy: one batch a generation.

Storn, R., Price, K. (1997), Journal of Global Optimization 11, 341-359; constraints as in Lampinen,
J. (2002), Congress on Evolutionary Computation, 1468-1473.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import (
    Bounds,
    NonlinearConstraint,
    OptimizeResult,
    differential_evolution,
    minimize,
)

from blackbox.algorithms.around_scipy import LocalView, shelter, stream
from blackbox.algorithms.differential_evolution_steady import SteadyEvolution
from blackbox.blocking import Blocking
from blackbox.composing.views import Free
from blackbox.constraints import Row, read_constraint
from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Steady, Stop, Told


@dataclass(frozen=True)
class DifferentialEvolution(Blocking):
    """Differential evolution; options are scipy's, and so are all defaults but one.

    `updating` is ``"deferred"``: a generation is one batch. ``"immediate"``, scipy's default,
    evaluates one point at a time. A point that breaks constraints is not evaluated, but for the end
    of a search that found no other. `polish` ends the search with L-BFGS-B, or with constraints
    with SLSQP, which unlike scipy's choice, trust-constr, stays inside the bounds; its gradients
    are the objective's own, or stencils of one batch each. Integer variables are not polished, nor
    is a noisy objective.

    Of what is known beforehand, the best points take up to half of the first population, and are
    not evaluated; the others are drawn uniformly, unless `init` is a population.
    """

    strategy: Any = "best1bin"
    maxiter: int = 1000
    popsize: int = 15
    tol: float = 0.01
    mutation: float | tuple[float, float] = (0.5, 1)
    recombination: float = 0.7
    disp: bool = False
    polish: bool = True
    init: Any = "latinhypercube"
    atol: float = 0
    updating: Literal["immediate", "deferred"] = "deferred"

    def __post_init__(self) -> None:
        if self.updating not in ("immediate", "deferred"):
            raise ValueError(f"updating is 'immediate' or 'deferred'; got {self.updating!r}")
        if self.popsize < 1:
            raise ValueError(f"popsize={self.popsize} is below the minimum of 1")

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem, rng), evaluate)

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run: each trial replaces its parent once its value is there."""
        try:
            self.solve(replace(problem, past=None), rng, _take_first)
        except _First as drawn:
            first, known = drawn.points, np.empty(0)
            if problem.past is not None and isinstance(self.init, str):
                points = problem.past.points[: len(first) // 2]
                first[: len(points)] = points
                if problem.past.values is not None:
                    known = problem.past.values[: len(points)]
            return SteadyEvolution(self, problem, rng, first, known)
        raise RuntimeError("scipy's solver ended before it asked for anything")

    def _search(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        first = self._first(problem, rng)
        view = _Population(problem, evaluate, first)
        deferred = self.updating == "deferred"
        result = differential_evolution(
            view.value,
            list(zip(problem.lower, problem.upper, strict=True)),
            strategy=self.strategy,
            maxiter=self.maxiter,
            popsize=self.popsize,
            tol=self.tol,
            mutation=self.mutation,
            recombination=self.recombination,
            disp=self.disp,
            polish=False,
            init=self.init if first is None else first,
            atol=self.atol,
            updating=self.updating,
            workers=view.values if deferred else 1,
            constraints=tuple(_readable(read_constraint(c)) for c in problem.constraints),
            x0=_inside(problem) if first is None and len(problem.starts) else None,
            integrality=problem.integrality,
            **stream(rng),
        )
        nit = {"nit": int(result.nit)}
        if problem.constraints and not np.isfinite(result.fun):
            # Nothing feasible was found: evaluate what breaks the constraints least.
            view.value(result.x)
        elif self.polish and not problem.noisy:
            _polish(problem, evaluate, result)
        # Its best point is the best one told, and feasible.
        return Stop(str(result.message), bool(result.success), 0 if result.success else 2, nit)

    def _first(self, problem: Problem, rng: RandomStream) -> Array | None:
        """The first population, (k, n), with what is known beforehand; None without it."""
        if problem.past is None or not isinstance(self.init, str):
            return None
        width = problem.upper - problem.lower
        size = max(5, self.popsize * int(np.count_nonzero(width)))  # as scipy counts
        first: Array = problem.lower + rng.random((size, problem.n)) * width
        if problem.integrality is not None:
            first = np.where(problem.integrality, np.round(first), first)
        known = problem.past.points[: size // 2]
        first[: len(known)] = known
        return first


class _First(BaseException):
    """Carries the first population out of scipy's solver, which ends by that."""

    def __init__(self, points: Array) -> None:
        super().__init__()
        self.points = points


def _take_first(ask: Ask) -> Told:
    raise _First(ask.points)


class _Population:
    """The objective as scipy's solver calls it: for a generation, or for one point."""

    def __init__(self, problem: Problem, evaluate: Evaluate, first: Array | None) -> None:
        self._problem, self._evaluate = problem, evaluate
        self._start = problem.starts[0] if len(problem.starts) and first is None else None
        self._known, self._values, self._first = problem.starts[:0], np.empty(0), 0
        past = problem.past
        if first is not None and past is not None and past.values is not None:
            self._first = len(first)
            self._known, self._values = past.points[: self._first // 2], past.values
            self._values = self._values[: len(self._known)]

    def values(self, fun: Callable[..., Any], points: Iterable[Array]) -> list[float]:
        """Evaluate a generation, (k, n), as one batch; scipy's ``workers``."""
        batch = np.array(list(points))
        if not len(batch):
            return []
        batch = np.minimum(np.maximum(batch, self._problem.lower), self._problem.upper)
        if self._start is not None:
            # scipy scales the start to the unit box and back, which may round it.
            first, self._start = self._start, None
            if np.allclose(batch[0], first, rtol=1e-9, atol=0):
                batch[0] = first
        told, new = np.empty(len(batch)), np.ones(len(batch), bool)
        if len(self._known):
            told, new = self._recall(batch)
        if new.any():
            told[new] = self._evaluate(Ask(batch[new])).values
        values: list[float] = told.tolist()
        return values

    def _recall(self, batch: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return what is known of a batch, and which of its points are new.

        scipy scales points to the unit box and back, which may round them.
        """
        told, new = np.empty(len(batch)), np.ones(len(batch), bool)
        near = 1e-12 * (self._problem.upper - self._problem.lower)
        for point, value in zip(self._known, self._values, strict=True):
            same = (np.abs(batch - point) <= near).all(axis=1)
            told[same], new[same] = value, False
        self._first -= len(batch)
        if self._first <= 0:
            self._known = self._known[:0]
        return told, new

    def value(self, x: Array) -> float:
        """Evaluate one point, (n,)."""
        return self.values(self.value, [x])[0]


def _inside(problem: Problem) -> Array:
    """The start, where scipy's scaling to the unit box would round it out of it a little inside."""
    start, width = problem.starts[0], problem.upper - problem.lower
    middle = 0.5 * (problem.lower + problem.upper)
    scaled = (start - middle) * (1 / width) + 0.5
    within = middle + (start - middle) * (1 - 1e-14)
    x0: Array = np.where((scaled < 0) | (scaled > 1), within, start)
    return x0


def _readable(row: Row) -> NonlinearConstraint:
    """A constraint that takes NaN for broken."""
    broken = np.where(np.isfinite(row.lower), -np.inf, np.inf)

    def fun(x: Array) -> Array:
        told = row.fun(x)
        kept: Array = np.where(np.isnan(told), broken, told)
        return kept

    return NonlinearConstraint(fun, row.lower, row.upper)


def _polish(problem: Problem, evaluate: Evaluate, result: OptimizeResult) -> None:
    """Search on locally from the solver's best point; integers stay as they are."""
    whole = np.zeros(problem.n, bool) if problem.integrality is None else problem.integrality
    if whole.all() or not np.isfinite(result.fun):
        return
    x = np.clip(result.x, problem.lower, problem.upper)
    lower, upper = np.where(whole, x, problem.lower), np.where(whole, x, problem.upper)
    seen = Free(replace(problem, lower=lower, upper=upper, integrality=None))

    def outside(ask: Ask) -> Told:
        ask = seen.outward(ask)
        return seen.inward(ask, evaluate(ask))

    view = LocalView(seen.problem, outside)
    minimize(
        view.value,
        x[~whole],
        method="SLSQP" if problem.constraints else "L-BFGS-B",
        jac=view.slope,
        bounds=Bounds(seen.problem.lower, seen.problem.upper),
        constraints=seen.problem.constraints,
        options={"ftol": 1e-10} if problem.constraints else {},  # so near it keeps them, too
    )
