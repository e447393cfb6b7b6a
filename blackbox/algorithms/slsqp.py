"""SLSQP by scipy: each finite-difference stencil is one batch.

Kraft, D. (1988), A software package for sequential quadratic programming, DFVLR-FB 88-28.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, minimize

from blackbox.blocking import Blocking, Pointwise, drive
from blackbox.stencil import gradient
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class SLSQP(Blocking):
    """Sequential least squares programming; options and defaults are scipy's.

    Attributes
    ----------
    ftol
        Precision of the value in the stopping criterion.
    eps
        Absolute step of the finite differences. None: scipy's 1.49e-8 for a float64 objective,
        the square root of the machine epsilon for a coarser one.
    maxiter
        Iterations.
    disp, iprint
        What scipy prints.
    finite_diff_rel_step
        Relative step, where ``jac`` names a scheme.
    """

    ftol: float = 1e-6
    eps: float | None = None
    maxiter: int = 100
    disp: bool = False
    iprint: int = 1
    finite_diff_rel_step: Any = None

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        objective = Pointwise(problem, evaluate)
        step = float(np.finfo(problem.dtype).eps) ** 0.5 if self.eps is None else self.eps
        options: dict[str, Any] = {
            "ftol": self.ftol,
            "maxiter": self.maxiter,
            "disp": self.disp,
            "iprint": self.iprint,
            "eps": step,
        }

        def stencil(x: Array) -> Array:
            if not objective.at(x):
                objective.value(x)
            if not np.isfinite(objective.values[0]):
                return np.zeros(problem.n)  # no slope to be had around a failure
            asking = gradient(
                problem, objective.points, objective.values, step, self.finite_diff_rel_step
            )
            slopes: Array = drive(asking, evaluate)[0]
            return slopes

        jac: Any = stencil if problem.gradients == "none" else objective.gradient
        if problem.scheme is not None and problem.constraints:
            # scipy then differentiates the constraints by the same scheme.
            jac = problem.scheme
            options["workers"] = objective.map_stencil
            options["finite_diff_rel_step"] = self.finite_diff_rel_step
        result = minimize(
            objective.value,
            problem.start(rng),
            method="SLSQP",
            jac=jac,
            bounds=_bounds(problem),
            constraints=problem.constraints,
            callback=problem.callback,
            options=options,
        )
        extras = {k: result[k] for k in ("x", "fun", "jac", "nit", "multipliers") if k in result}
        return Stop(result.message, bool(result.success), int(result.status), extras)


def _bounds(problem: Problem) -> Bounds | None:
    if np.isneginf(problem.lower).all() and np.isposinf(problem.upper).all():
        return None
    return Bounds(problem.lower, problem.upper)
