"""Dual annealing by scipy: one point at a time, its local searches' stencils in one batch each.

Xiang, Y., Sun, D. Y., Fan, W., Gong, X. G. (1997), Physics Letters A 233, 216-220.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import dual_annealing

from blackbox.blocking import Blocking, LastPoint
from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Stop


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
        objective = _Pointwise(problem, evaluate)
        stream = {"seed" if isinstance(rng, np.random.RandomState) else "rng": rng}
        result = dual_annealing(
            objective,
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
            **stream,
        )
        return Stop(
            " ".join(result.message),
            bool(result.success),
            int(result.status),
            {"x": result.x, "fun": float(result.fun), "nit": int(result.nit)},
        )

    def _local(self, problem: Problem, objective: "_Pointwise") -> dict[str, Any]:
        """scipy's default local search, with the stencil or the objective's own gradient."""
        options: dict[str, Any] = {"maxiter": min(max(6 * problem.n, 100), 1000)}
        kwargs: dict[str, Any] = {
            "method": "L-BFGS-B",
            "bounds": list(zip(problem.lower, problem.upper, strict=True)),
            "options": options,
        }
        if problem.gradients != "none":
            kwargs["jac"] = objective.gradient
            return kwargs
        options["workers"] = objective.stencil
        if problem.scheme is not None:
            kwargs["jac"] = problem.scheme
        elif problem.dtype != np.float64:
            options["eps"] = float(np.finfo(problem.dtype).eps) ** 0.5
        return kwargs


class _Pointwise(LastPoint):
    """The objective as scipy calls it: one point at a time, also inside a stencil.

    scipy counts its calls towards ``maxfun``. So a stencil is evaluated as one batch first, and
    then handed out call by call.
    """

    def __init__(self, problem: Problem, evaluate: Evaluate) -> None:
        super().__init__(problem, evaluate)
        self._ready: list[float] = []

    def __call__(self, x: Array) -> float:
        return self._ready.pop() if self._ready else self.value(x)

    def stencil(self, call: Callable[[Array], Any], points: Iterable[Array]) -> list[Any]:
        """scipy's map over the points of a stencil."""
        batch = list(points)
        values = self._evaluate(Ask(np.array(batch), stencil=True)).values
        self._ready = values[::-1].tolist()
        return [call(x) for x in batch]
