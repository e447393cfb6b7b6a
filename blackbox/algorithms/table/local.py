"""Local methods: from a start to the nearest optimum."""

from typing import Any

from blackbox.algorithms.method import Method, Proof


def _scipys(name: str, where: str, summary: str, **facts: Any) -> Method:
    """A row of `scipy.optimize.minimize`'s methods, with what they have in common."""
    common: dict[str, Any] = {
        "kind": "local",
        "gradients": "optional",
        "bounds": "strict",
        "start": "used",
        "batch": "one point, then its stencil",
        "constraints": "lagrangian",
        "integers": "refused",
        "random": False,
        "callback": "solver",
        "lenient": True,
    }
    return Method(name, where, summary, "scipy", **common | facts)


_FULL_MATRIX = {"memory": "a quasi-Newton matrix, n x n", "matrices": 1}
_HESSIAN = {
    "hessian": True,
    "tolerance_options": ("gtol",),
    "memory": "the Hessian, n x n",
    "matrices": 2,
    "batch": "one point, then the stencils of its gradient and Hessian",
}
_BOOK = "Nocedal, J., Wright, S. J. (2006), Numerical optimization, Springer"

ROWS = [
    _scipys(
        "nelder-mead",
        "scipy_methods:NelderMead",
        "The downhill simplex: values alone, for a few variables",
        gradients="none",
        batch="the first simplex, then one point",
        integers="rounded",
        proof=Proof(1e-6, 100, 2000, {"xatol": 1e-6, "fatol": 1e-8, "maxiter": 2000}),
        tolerance_options=("xatol", "fatol"),
        paper="Nelder, J. A., Mead, R. (1965), A simplex method for function minimization, "
        "The Computer Journal 7, 308-313",
        memory="the simplex, n x n",
        matrices=1,
    ),
    _scipys(
        "powell",
        "scipy_methods:Powell",
        "Line searches along conjugate directions: values alone",
        gradients="none",
        batch="one point",
        integers="rounded",
        proof=Proof(1e-6, 100, 2000, {"xtol": 1e-6, "ftol": 1e-8}),
        tolerance_options=("xtol", "ftol"),
        paper="Powell, M. J. D. (1964), An efficient method for finding the minimum of a function "
        "of several variables without calculating derivatives, The Computer Journal 7, 155-162",
        memory="the directions, n x n",
        matrices=1,
    ),
    _scipys(
        "cg",
        "scipy_methods:CG",
        "Nonlinear conjugate gradients by Polak and Ribiere",
        proof=Proof(1e-6, 100, 4000),
        tolerance_options=("gtol",),
        paper=_BOOK,
        memory="a few vectors",
    ),
    _scipys(
        "bfgs",
        "scipy_methods:BFGS",
        "Quasi-Newton with a full matrix; scipy's default without bounds and constraints",
        proof=Proof(1e-6, 100, 2000),
        tolerance_options=("gtol",),
        paper=_BOOK,
        **_FULL_MATRIX,
    ),
    _scipys(
        "newton-cg",
        "scipy_methods:NewtonCG",
        "Newton's method, its steps by conjugate gradients",
        proof=Proof(1e-6, 100, 4000),
        **_HESSIAN | {"tolerance_options": ("xtol",)},
        paper=_BOOK,
    ),
    _scipys(
        "l-bfgs-b",
        "scipy_methods:LBFGSB",
        "Quasi-Newton in bounds with little memory: fast on smooth problems of any size",
        proof=Proof(1e-6, 100, 2000),
        tolerance_options=("ftol", "gtol"),
        paper="Byrd, R. H., Lu, P., Nocedal, J., Zhu, C. (1995), A limited memory algorithm for "
        "bound constrained optimization, SIAM Journal on Scientific Computing 16, 1190-1208",
        memory="ten pairs of vectors and work space, about 45 n",
        holds=("2 maxcor variables", "11 maxcor maxcor"),
    ),
    _scipys(
        "tnc",
        "scipy_methods:TNC",
        "Truncated Newton in bounds",
        proof=Proof(1e-6, 100, 4000),
        tolerance_options=("xtol", "ftol", "gtol"),
        paper="Nash, S. G. (1984), Newton-type minimization via the Lanczos method, SIAM Journal "
        "on Numerical Analysis 21, 770-788",
        memory="a few vectors",
    ),
    _scipys(
        "cobyla",
        "scipy_methods:COBYLA",
        "Linear models on a simplex, with constraints: values alone",
        gradients="none",
        batch="one point",
        integers="rounded",
        constraints="native",
        proof=Proof(1e-4, 10, 4000, {"tol": 1e-6, "maxiter": 4000}),
        tolerance_options=("tol",),
        paper="Powell, M. J. D. (1994), A direct search optimization method that models the "
        "objective and constraint functions by linear interpolation, Advances in Optimization and "
        "Numerical Analysis, 51-67",
        memory="the simplex, n x n",
        matrices=4,
    ),
    _scipys(
        "cobyqa",
        "cobyqa:COBYQA",
        "Quadratic models in a trust region, with constraints: values alone",
        gradients="none",
        batch="one point",
        integers="rounded",
        constraints="native",
        exclusive=True,
        proof=Proof(1e-6, 100, 1000),
        tolerance_options=("final_tr_radius",),
        paper="Ragonneau, T. M. (2022), Model-based derivative-free optimization methods and "
        "software, thesis, The Hong Kong Polytechnic University",
        memory="interpolation models, 10 n x n",
        matrices=10,
    ),
    _scipys(
        "slsqp",
        "scipy_methods:SLSQP",
        "Sequential least squares programming: fast local search with constraints",
        constraints="native",
        proof=Proof(1e-6, 100, 2000, {"ftol": 1e-10, "maxiter": 1000}),
        tolerance_options=("ftol",),
        paper="Kraft, D. (1988), A software package for sequential quadratic programming, "
        "DFVLR-FB 88-28",
        **_FULL_MATRIX,
    ),
    _scipys(
        "trust-constr",
        "scipy_methods:TrustConstr",
        "Trust regions with constraints: the most general, and thorough",
        constraints="native",
        hessian=True,
        proof=Proof(1e-6, 100, 4000),
        tolerance_options=("xtol", "gtol", "barrier_tol"),
        paper="Byrd, R. H., Hribar, M. E., Nocedal, J. (1999), An interior point algorithm for "
        "large-scale nonlinear programming, SIAM Journal on Optimization 9, 877-900",
        memory="a quasi-Newton matrix and the constraints' Jacobians, n x n",
        matrices=4,
    ),
    _scipys(
        "dogleg",
        "scipy_methods:Dogleg",
        "Trust region by the dogleg path; needs positive definite Hessians",
        proof=Proof(1e-6, 100, 4000),
        paper=_BOOK,
        **_HESSIAN,
    ),
    _scipys(
        "trust-ncg",
        "scipy_methods:TrustNCG",
        "Newton in a trust region, its steps by conjugate gradients",
        proof=Proof(1e-6, 100, 4000),
        paper=_BOOK,
        **_HESSIAN,
    ),
    _scipys(
        "trust-krylov",
        "scipy_methods:TrustKrylov",
        "Newton in a trust region, its steps in a Krylov subspace",
        proof=Proof(1e-6, 100, 4000),
        paper="Gould, N. I. M., Lucidi, S., Roma, M., Toint, P. L. (1999), Solving the "
        "trust-region subproblem using the Lanczos method, SIAM Journal on Optimization 9, 504-525",
        **_HESSIAN,
    ),
    _scipys(
        "trust-exact",
        "scipy_methods:TrustExact",
        "Newton in a trust region, its steps nearly exact",
        proof=Proof(1e-6, 100, 4000),
        paper="Conn, A. R., Gould, N. I. M., Toint, P. L. (2000), Trust region methods, SIAM",
        **_HESSIAN,
    ),
]
