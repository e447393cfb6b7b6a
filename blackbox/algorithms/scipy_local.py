"""scipy's local methods: each finite-difference stencil is one batch."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.optimize import Bounds, OptimizeResult

# Kept from the time of import: code that puts another `minimize` into scipy must not end here.
from scipy.optimize import minimize as scipy_minimize

from blackbox.algorithms.around_scipy import shelter
from blackbox.algorithms.projected import moved, project
from blackbox.algorithms.reporting import Reporter
from blackbox.blocking import Blocking, Pointwise
from blackbox.constraints import dense
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop


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
    reports: ClassVar[Literal["point", "result", "state"]] = "result"
    """What scipy can call: a callback of a point, of a result, or of a point and a result too."""
    first_step: ClassVar[float] = float(np.finfo(float).eps) ** 0.5
    """scipy's absolute step of finite differences; 0 for a relative one."""
    needs_finite: ClassVar[bool] = False
    """Whether its line search cannot come back from an infinite value."""

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        bounds = Bounds(problem.lower, problem.upper) if _has_bounds(problem) else None
        projected = bounds is not None and not self.bounded
        caller = np.geterr()

        def search(evaluate: Evaluate) -> Stop:
            seen, asked = project(problem, evaluate) if projected else (problem, evaluate)
            wanted = self.slopes != "none"
            objective = Pointwise(seen, asked, gradients=wanted, finite=self.needs_finite)
            reporter = None
            if problem.callback is not None:
                with np.errstate(**caller):
                    reporter = Reporter(problem.callback, objective, self.reports == "state")
            return self._search(seen, start, objective, reporter, bounds)

        start = problem.start(rng)
        return shelter(search, evaluate)

    def _search(
        self,
        problem: Problem,
        start: Array,
        objective: Pointwise,
        reporter: Reporter | None,
        bounds: Bounds | None,
    ) -> Stop:
        options = self._options() | self._steps(problem) | self._prepare(problem, start, objective)
        jac = self._jac(problem, objective, options)
        if self.slopes == "optional" and not callable(jac):
            options["workers"] = objective.map_stencil
        callback = None
        if reporter is not None:
            callback = reporter.point if self.reports == "point" else reporter.result
        try:
            result = scipy_minimize(
                objective.value,
                start,
                method=self.name,
                jac=jac,
                bounds=bounds if self.bounded else None,
                constraints=self._constraints(problem),
                callback=callback,
                options=options,
                **self._hess(problem, objective),
            )
        except StopIteration:
            if reporter is None or not reporter.stopped:
                raise
            return Stop(STOPPED, success=False, status=99)
        except (ValueError, np.linalg.LinAlgError) as error:
            if BROKEN not in str(error) and not isinstance(error, np.linalg.LinAlgError):
                raise
            return Stop(f"the solver's linear algebra broke down: {error}", success=False, status=4)
        if result.fun >= CAPPED:
            return read_result(OptimizeResult(result, x=None, fun=np.inf))
        if not objective.solved:
            result.fun = np.inf  # solvers have finite numbers of their own for it
        if bounds is not None:
            inside = np.clip(result.x, bounds.lb, bounds.ub)
            if not self.bounded:
                result.fun -= moved(result.x, inside)
            result.x = inside
        if reporter is not None and reporter.stopped:
            result.success = False
        return read_result(result)

    def _constraints(self, problem: Problem) -> Any:
        return tuple(map(dense, problem.constraints)) if self.constrained else ()

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

    def _jac(self, problem: Problem, objective: Pointwise, options: dict[str, Any]) -> Any:
        if self.slopes == "none":
            return None
        if problem.gradients != "none":
            return objective.gradient
        if self.slopes == "required":
            return objective.differences
        scipys = problem.scheme not in (None, "2-point") or not self.first_step
        if scipys or (self.constrained and problem.constraints):
            return problem.scheme  # scipy differentiates constraints by the same scheme
        step = options.get("eps", self.first_step) if problem.scheme is None else None
        relative = options.get("finite_diff_rel_step")
        return lambda x: objective.differences(x, step, relative)

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


BROKEN = "must not contain infs or NaNs"
"""What scipy's linear algebra says of matrices that overflowed."""
CAPPED = 1e30
"""Value from which COBYLA no longer tells one from another: its end says nothing."""
STOPPED = "`callback` raised `StopIteration`."
"""scipy's message, for all its methods."""


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
