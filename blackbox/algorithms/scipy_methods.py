"""The local methods of `scipy.optimize.minimize`; options, names and defaults are scipy's.

Their meaning: ``scipy.optimize.show_options("minimize", method)``. Two defaults differ in spelling:
an ``eps`` of None is scipy's own for an objective of float64, the square root of the machine
epsilon for a coarser one; a ``disp`` or ``iprint`` of None is scipy's ``_NoValue``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.algorithms.quasi_newton import QuietBFGS, quiet_constraint, quieted
from blackbox.algorithms.scipy_local import ScipyLocal
from blackbox.blocking import Pointwise
from blackbox.types import Array, Problem


@dataclass(frozen=True)
class NelderMead(ScipyLocal):
    """The downhill simplex; its first simplex is one batch."""

    name = "Nelder-Mead"
    slopes = "none"

    maxiter: int | None = None
    maxfev: int | None = None
    disp: bool = False
    return_all: bool = False
    initial_simplex: Any = None
    xatol: float = 1e-4
    fatol: float = 1e-4
    adaptive: bool = False

    def _prepare(self, problem: Problem, start: Array, objective: Pointwise) -> dict[str, Any]:
        n = problem.n
        if self.initial_simplex is not None:
            simplex = np.array(self.initial_simplex, dtype=float, ndmin=2)
        else:
            simplex = np.tile(start, (n + 1, 1))
            diagonal = np.arange(1, n + 1), np.arange(n)
            moved = np.where(start != 0, (1 + 0.05) * start, 0.00025)
            # Clipped at a lower bound the simplex would be flat, and never leave it.
            stuck = (start == problem.lower) & (moved < start)
            simplex[diagonal] = np.where(stuck, 2 * start - moved, moved)
        if simplex.shape != (n + 1, n) or (self.maxfev is not None and self.maxfev <= n):
            return {}
        lower, upper = problem.lower, problem.upper
        reflected = np.where(simplex > upper, 2 * upper - simplex, simplex)
        simplex = np.clip(reflected, lower, upper)
        objective.prepare(simplex)
        return {"initial_simplex": simplex}


@dataclass(frozen=True)
class Powell(ScipyLocal):
    """Line searches along directions that it turns as it goes."""

    name = "Powell"
    slopes = "none"
    needs_finite = True

    xtol: float = 1e-4
    ftol: float = 1e-4
    maxiter: int | None = None
    maxfev: int | None = None
    disp: bool = False
    direc: Any = None
    return_all: bool = False


@dataclass(frozen=True)
class CG(ScipyLocal):
    """Nonlinear conjugate gradients."""

    name = "CG"
    bounded = False

    gtol: float = 1e-5
    norm: float = np.inf
    eps: Any = None
    maxiter: int | None = None
    disp: bool = False
    return_all: bool = False
    finite_diff_rel_step: Any = None
    c1: float = 1e-4
    c2: float = 0.4


@dataclass(frozen=True)
class BFGS(ScipyLocal):
    """Quasi-Newton with a full matrix."""

    name = "BFGS"
    bounded = False

    gtol: float = 1e-5
    norm: float = np.inf
    eps: Any = None
    maxiter: int | None = None
    disp: bool = False
    return_all: bool = False
    finite_diff_rel_step: Any = None
    xrtol: float = 0
    c1: float = 1e-4
    c2: float = 0.9
    hess_inv0: Any = None


@dataclass(frozen=True)
class NewtonCG(ScipyLocal):
    """Newton's method, its steps by conjugate gradients."""

    name = "Newton-CG"
    slopes = "required"
    curvature = "optional"
    bounded = False

    xtol: float = 1e-5
    eps: Any = None
    maxiter: int | None = None
    disp: bool = False
    return_all: bool = False
    c1: float = 1e-4
    c2: float = 0.9


@dataclass(frozen=True)
class LBFGSB(ScipyLocal):
    """Quasi-Newton in bounds with a few vectors of memory."""

    name = "L-BFGS-B"
    first_step = 1e-8
    needs_finite = True

    disp: Any = None
    maxcor: int = 10
    ftol: float = 2.220446049250313e-09
    gtol: float = 1e-5
    eps: Any = None
    maxfun: int = 15000
    maxiter: int = 15000
    iprint: Any = None
    maxls: int = 20
    finite_diff_rel_step: Any = None

    def _prepare(self, problem: Problem, start: Array, objective: Pointwise) -> dict[str, Any]:
        if problem.gradients != "none" or problem.scheme not in (None, "2-point"):
            return {}
        # scipy counts the points of its own finite differences, and knows nothing of ours.
        return {"maxfun": self.maxfun // (1 + problem.n)}


@dataclass(frozen=True)
class TNC(ScipyLocal):
    """Truncated Newton in bounds."""

    name = "TNC"
    first_step = 1e-8
    reports = "point"
    needs_finite = True

    eps: Any = None
    scale: Any = None
    offset: Any = None
    mesg_num: int | None = None
    maxCGit: int = -1
    eta: float = -1
    stepmx: float = 0
    accuracy: float = 0
    minfev: float = 0
    ftol: float = -1
    xtol: float = -1
    gtol: float = -1
    rescale: float = -1
    disp: bool = False
    finite_diff_rel_step: Any = None
    maxfun: int | None = None


@dataclass(frozen=True)
class COBYLA(ScipyLocal):
    """Linear models on a simplex, with constraints."""

    name = "COBYLA"
    slopes = "none"
    constrained = True

    rhobeg: float = 1.0
    tol: float = 1e-4
    maxiter: int = 1000
    disp: int = 0
    catol: float | None = None
    f_target: float = -np.inf

    @property
    def constraint_tolerance(self) -> float:
        """How far a feasible point may break a constraint."""
        return float(np.finfo(float).eps) ** 0.5 if self.catol is None else float(self.catol)


@dataclass(frozen=True)
class SLSQP(ScipyLocal):
    """Sequential least squares programming, with constraints."""

    name = "SLSQP"
    reports = "point"
    constrained = True

    maxiter: int = 100
    ftol: float = 1e-6
    iprint: int = 1
    disp: bool = False
    eps: Any = None
    finite_diff_rel_step: Any = None

    @property
    def constraint_tolerance(self) -> float:
        """How far a feasible point may break a constraint: the solver's criterion is on the sum."""
        return float(self.ftol)


@dataclass(frozen=True)
class TrustConstr(ScipyLocal):
    """Trust regions, with constraints: sequential quadratic programming or an interior point."""

    name = "trust-constr"
    first_step = 0.0
    reports = "state"
    curvature = "optional"
    constrained = True

    xtol: float = 1e-8
    gtol: float = 1e-8
    barrier_tol: float = 1e-8
    sparse_jacobian: bool | None = None
    maxiter: int = 1000
    verbose: int = 0
    finite_diff_rel_step: Any = None
    initial_constr_penalty: float = 1.0
    initial_tr_radius: float = 1.0
    initial_barrier_parameter: float = 0.1
    initial_barrier_tolerance: float = 0.1
    factorization_method: str | None = None
    disp: bool = False

    @property
    def constraint_tolerance(self) -> float:
        """How far a feasible point may break a constraint."""
        return float(self.gtol)

    def _hess(self, problem: Problem, objective: Pointwise) -> dict[str, Any]:
        if problem.hess is None and problem.hessp is None:
            return {"hess": QuietBFGS()}
        return {"hess": quieted(problem.hess), "hessp": problem.hessp}

    def _constraints(self, problem: Problem) -> Any:
        return [quiet_constraint(one) for one in problem.constraints]


@dataclass(frozen=True)
class _TrustRegion(ScipyLocal):
    slopes = "required"
    bounded = False

    initial_trust_radius: float = 1.0
    max_trust_radius: float = 1000.0
    eta: float = 0.15
    gtol: float = 1e-4
    maxiter: int | None = None
    disp: bool = False
    return_all: bool = False


@dataclass(frozen=True)
class Dogleg(_TrustRegion):
    """Trust region by the dogleg path, for positive definite Hessians."""

    name = "dogleg"
    curvature = "matrix"

    def _hess(self, problem: Problem, objective: Pointwise) -> dict[str, Any]:
        given = super()._hess(problem, objective)
        if problem.hess is None:
            given["hess"] = lambda x: _positive(objective.hessian(x))
        return given


def _positive(matrix: Array) -> Array:
    """The positive definite matrix of the absolute curvatures."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.abs(values)
    floor = 1e-8 * max(float(values.max()), 1.0)
    positive: Array = (vectors * np.maximum(values, floor)) @ vectors.T
    return positive


@dataclass(frozen=True)
class TrustNCG(_TrustRegion):
    """Trust region by conjugate gradients."""

    name = "trust-ncg"
    curvature = "products"


@dataclass(frozen=True)
class TrustKrylov(_TrustRegion):
    """Trust region by a Krylov subspace."""

    name = "trust-krylov"
    curvature = "products"

    inexact: bool = True


@dataclass(frozen=True)
class TrustExact(_TrustRegion):
    """Trust region, its steps nearly exact."""

    name = "trust-exact"
    curvature = "matrix"

    subproblem_maxiter: int | None = None
