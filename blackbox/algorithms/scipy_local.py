"""scipy's local methods: each finite-difference stencil is one batch."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.optimize import Bounds, OptimizeResult

# Kept from the time of import: code that puts another `minimize` into scipy must not end here.
from scipy.optimize import minimize as scipy_minimize

from blackbox.algorithms.around_scipy import shelter
from blackbox.algorithms.projected import moved_by, project
from blackbox.blocking import Blocking, Pointwise
from blackbox.evaluation import wants_result
from blackbox.types import Array, Callback, Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class ScipyLocal(Blocking):
    """Base of scipy's local methods; a subclass's fields are the options, with scipy's defaults.

    scipy is given only the options that are not at their default.
    """

    name: ClassVar[str]
    """The method, as scipy spells it."""
    slopes: ClassVar[Literal["none", "optional", "required"]] = "optional"
    """Whether it uses gradients, and makes its own finite differences where there are none."""
    curvature: ClassVar[Literal["none", "optional", "products", "matrix"]] = "none"
    """Whether it uses Hessians, goes on without, or needs at least their products with vectors."""
    bounded: ClassVar[bool] = True
    """Whether it keeps bounds itself; else see `blackbox.algorithms.projected`."""
    constrained: ClassVar[bool] = False
    """Whether it keeps constraints itself."""
    reports: ClassVar[bool] = True
    """Whether it calls ``callback(intermediate_result)``, not ``callback(x)`` alone."""
    needs_finite: ClassVar[bool] = False
    """Whether its line search cannot come back from an infinite value."""

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem, problem.start(rng)), evaluate)

    def _search(self, problem: Problem, start: Array, evaluate: Evaluate) -> Stop:
        bounds = Bounds(problem.lower, problem.upper) if _has_bounds(problem) else None
        projected = bounds is not None and not self.bounded
        seen, asked = project(problem, evaluate) if projected else (problem, evaluate)
        objective = Pointwise(
            seen, asked, gradients=self.slopes != "none", finite=self.needs_finite
        )
        options = self._options() | self._steps(problem) | self._prepare(seen, start, objective)
        if self.slopes == "optional" and problem.gradients == "none":
            options["workers"] = objective.map_stencil
        result = scipy_minimize(
            objective.value,
            start,
            method=self.name,
            jac=self._jac(seen, objective),
            bounds=bounds if self.bounded else None,
            constraints=problem.constraints if self.constrained else (),
            callback=self._callback(problem.callback, objective),
            options=options,
            **self._hess(seen, objective),
        )
        if projected:
            result.fun -= moved_by(problem, result.x)
            result.x = np.clip(result.x, problem.lower, problem.upper)
        return read_result(result)

    def _callback(self, callback: Callback | None, objective: Pointwise) -> Callback | None:
        """What scipy is to call: it knows ``callback(intermediate_result)`` for some methods only.
        """
        if callback is None or self.reports or not wants_result(callback):
            return callback

        def report(x: Array) -> object:
            value = float(objective.values[0]) if objective.at(x) else np.nan
            return callback(intermediate_result=OptimizeResult(x=x, fun=value))

        return report

    def _options(self) -> dict[str, Any]:
        fields = dataclasses.fields(self)
        values = {f.name: getattr(self, f.name) for f in fields}
        return {f.name: values[f.name] for f in fields if values[f.name] is not f.default}

    def _steps(self, problem: Problem) -> dict[str, Any]:
        """Finite-difference steps that an objective coarser than float64 can see."""
        if problem.dtype == np.float64 or problem.gradients != "none" or self.slopes != "optional":
            return {}
        known = [f.name for f in dataclasses.fields(self)]
        eps = float(np.finfo(problem.dtype).eps)
        if "eps" in known and problem.scheme is None:
            return {} if self._own("eps") is not None else {"eps": eps**0.5}
        if self._own("finite_diff_rel_step") is not None:
            return {}
        return {"finite_diff_rel_step": eps ** (1 / 3 if problem.scheme == "3-point" else 1 / 2)}

    def _own(self, option: str) -> Any:
        return getattr(self, option)

    def _jac(self, problem: Problem, objective: Pointwise) -> Any:
        if self.slopes == "none":
            return None
        if problem.gradients != "none":
            return objective.gradient
        if self.slopes == "required":
            return objective.differences
        return problem.scheme

    def _hess(self, problem: Problem, objective: Pointwise) -> dict[str, Any]:
        if self.curvature == "none":
            return {}
        hess, hessp = problem.hess, problem.hessp
        if hess is None and (hessp is None or self.curvature == "matrix"):
            if self.curvature == "products" and problem.gradients != "none":
                hess = "2-point"
            elif self.curvature != "optional" or problem.gradients == "none":
                hess = objective.hessian
        return {"hess": hess, "hessp": hessp}

    def _prepare(self, problem: Problem, start: Array, objective: Pointwise) -> dict[str, Any]:
        """Evaluate what can be a batch before the solver begins; return options for it."""
        return {}


def read_result(result: OptimizeResult) -> Stop:
    """Return why scipy's solver stopped, with all that it says beside."""
    return Stop(
        str(result.get("message", "")),
        bool(result.get("success", False)),
        int(result.get("status", 0)),
        {_RENAMED.get(k, k): v for k, v in result.items() if k not in _OURS},
    )


_OURS = ("success", "status", "message", "nfev")
"""Fields of scipy's result that `blackbox.types.Stop` has itself, or that we count."""

_RENAMED = {"method": "solver_method"}
"""trust-constr says which of its two algorithms ran, where a result says which method did."""


def _has_bounds(problem: Problem) -> bool:
    return bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())
