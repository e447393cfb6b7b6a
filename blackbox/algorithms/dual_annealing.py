"""Dual annealing by scipy: one point at a time, its local searches' stencils in one batch each.

Xiang, Y., Sun, D. Y., Fan, W., Gong, X. G. (1997), Physics Letters A 233, 216-220.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, dual_annealing, minimize

from blackbox.algorithms.around_scipy import shelter, stream
from blackbox.blocking import Blocking, Pointwise
from blackbox.history import all_finite
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class DualAnnealing(Blocking):
    """Generalized simulated annealing with local search; options and defaults are scipy's."""

    maxiter: int = 1000
    minimizer_kwargs: dict[str, Any] | None = None
    initial_temp: float = 5230.0
    restart_temp_ratio: float = 2e-5
    visit: float = 2.62
    accept: float = -5.0
    maxfun: float = 1e7
    no_local_search: bool = False

    def __post_init__(self) -> None:
        if self.maxiter < 1:
            raise ValueError(f"maxiter must be at least 1; got {self.maxiter}")

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem, rng), evaluate)

    def _search(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        # The chain wants values alone; only its local searches want gradients.
        objective = _Surviving(problem, evaluate, gradients=False)
        result = dual_annealing(
            objective.value,
            list(zip(problem.lower, problem.upper, strict=True)),
            maxiter=self.maxiter,
            minimizer_kwargs=self.minimizer_kwargs or self._local(problem, objective),
            initial_temp=self.initial_temp,
            restart_temp_ratio=self.restart_temp_ratio,
            visit=self.visit,
            accept=self.accept,
            maxfun=self.maxfun,
            no_local_search=self.no_local_search,
            x0=problem.starts[0].copy() if len(problem.starts) else None,
            **stream(rng),
        )
        return Stop(
            " ".join(result.message),
            bool(result.success),
            int(result.status),
            # Its best point is the best one told; where values overflow, its own x may be another.
            {"nit": int(result.nit)},
        )

    def _local(self, problem: Problem, objective: Pointwise) -> dict[str, Any]:
        """scipy's default local search, with the stencil or the objective's own gradient."""
        options: dict[str, Any] = {"maxiter": min(max(6 * problem.n, 100), 1000)}
        kwargs: dict[str, Any] = {
            "method": "L-BFGS-B",
            "bounds": list(zip(problem.lower, problem.upper, strict=True)),
            "options": options,
        }
        if problem.gradients != "none":
            return kwargs | {
                "method": _descend,
                "jac": objective.gradient,
                "options": {"objective": objective, "options": options},
            }
        options["workers"] = objective.map_stencil
        eps = float(np.finfo(problem.dtype).eps)
        coarse = problem.dtype != np.float64
        if problem.scheme is not None:
            kwargs["jac"] = problem.scheme
            if coarse:
                root = 1 / 2 if problem.scheme == "2-point" else 1 / 3
                options["finite_diff_rel_step"] = eps**root
        elif coarse:
            options["eps"] = eps**0.5
        return kwargs


class _Surviving(Pointwise):
    """A descent whose slope failed may leave the finite numbers: it ends there, not the chain."""

    def value(self, x: Array) -> float:
        """Value at `x`, (n,); inf, and nothing is asked, where that is not finite."""
        if self._ready or all_finite(x):
            return super().value(x)
        self.points, self.values, self._told = x[None].copy(), np.array([np.inf]), np.inf
        return np.inf

    def gradient(self, x: Array) -> Array:
        """Gradient at `x` as the objective gives it; 0 where `x` is not finite."""
        return super().gradient(x) if all_finite(x) else np.zeros_like(x)


def _descend(
    fun: Callable[..., float],
    x0: Array,
    *,
    jac: Callable[[Array], Array],
    bounds: Any,
    objective: Pointwise,
    options: dict[str, Any],
    **_: Any,
) -> OptimizeResult:
    """scipy's default local search by the objective's own gradient; a ``method`` of scipy's."""
    objective.gradients = True
    try:
        return minimize(fun, x0, method="L-BFGS-B", jac=jac, bounds=bounds, options=options)
    finally:
        objective.gradients = False
