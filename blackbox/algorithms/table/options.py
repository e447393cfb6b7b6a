"""What options take, where their types do not say it; ``method.option`` goes before ``option``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from blackbox.algorithms.takes import ANY, FINITE, Takes

_count = partial(Takes, whole=True, counts=True)
_each = partial(Takes, shapes=((), ("n",)))
"""A number, or one for each variable."""

_ABOVE_0 = "(0, inf)"
_FROM_0 = "[0, inf)"
_AS_MANY = "[0, inf]"
_SOME = "[1, inf]"

_METHOD = Takes(
    texts=(
        *("Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA"),
        *("COBYQA", "SLSQP", "trust-constr", "dogleg", "trust-ncg", "trust-exact"),
        "trust-krylov",
    ),
    kinds=(Callable,),
)


def _around_0(ends: Any) -> bool:
    return (
        bool(np.min(ends) <= 0 <= np.max(ends)) if np.size(ends) == 2 else bool(np.all(ends >= 0))
    )


def _is_definite(matrix: Any) -> bool:
    array = np.asarray(matrix, float)
    if array.shape[0] != array.shape[1] or not np.allclose(array, array.T):
        return False
    return bool((np.linalg.eigvalsh(array) > 0).all())


_LOCAL = {
    "method": _METHOD,
    "args": Takes(kinds=(object,)),
    "jac": Takes(flag=True, kinds=(str, Callable)),
    "hess": Takes(kinds=(object,)),
    "hessp": Takes(kinds=(Callable,)),
    "bounds": Takes(kinds=(object,)),
    "constraints": Takes(kinds=(object,)),
    "tol": Takes(ANY),
    "callback": Takes(kinds=(Callable,)),
    "options": Takes(kinds=(Mapping,)),
}
"""Keywords of `scipy.optimize.minimize`."""

_SHGO = {
    **dict.fromkeys(("maxfev", "maxiter", "maxev", "local_iter"), _count(_FROM_0, flag=True)),
    "maxtime": Takes(_FROM_0),
    "minhgrd": Takes(_FROM_0, whole=True),
    "f_min": Takes(ANY),
    "f_tol": Takes(_FROM_0),
    "minimize_every_iter": Takes(flag=True),
    "infty_constraints": Takes(flag=True),
    "symmetry": Takes(flag=True, kinds=(Sequence,)),
    "disp": Takes(ANY, flag=True),
}

TAKEN: Mapping[str, Takes] = {
    # How long
    "maxiter": _count(_AS_MANY),
    "maxfev": _count(_AS_MANY),
    "maxfun": _count(_AS_MANY),
    "maxeval": _count(_AS_MANY),
    "maxCGit": _count("(-inf, inf]"),
    "maxcor": _count("[1, inf)"),
    "maxls": _count(_SOME),
    "subproblem_maxiter": _count(_SOME),
    "niter": _count(_AS_MANY),
    "mesg_num": _count(FINITE),
    "verbose": _count(FINITE, flag=True),
    "patience": _count(FINITE),
    "max_iter": _count(_AS_MANY),
    "max_eval": _count(_AS_MANY),
    "nelder-mead.maxiter": Takes(_AS_MANY),  # where one of the two is inf, scipy bounds the other
    "nelder-mead.maxfev": Takes("[1, inf]"),
    "powell.maxiter": Takes(_AS_MANY),
    "powell.maxfev": Takes("[1, inf]"),
    "cobyqa.maxiter": _count(_SOME),
    "cobyqa.maxfev": _count(_SOME),
    "direct.maxiter": _count(_SOME),
    "direct.maxfun": _count(_SOME),
    "dual_annealing.maxfun": _count(_SOME),
    # What is printed
    **dict.fromkeys(("disp", "iprint"), Takes(ANY, flag=True)),
    # scipy's local methods
    "c1": Takes("(0, 1)"),
    "c2": Takes("(0, 1)"),
    "norm": Takes("[-inf, 0) or (0, inf]"),
    "l-bfgs-b.ftol": Takes(_AS_MANY),  # below 0 it evaluates once, and ends with an error
    "finite_diff_rel_step": _each(FINITE),
    **{
        f"{method}.eps": _each(FINITE)
        for method in ("cg", "bfgs", "newton-cg", "l-bfgs-b", "tnc", "slsqp")
    },
    "initial_simplex": Takes(FINITE, shapes=(("n+1", "n"),)),
    "direc": Takes(FINITE, shapes=(("n", "n"),)),
    "hess_inv0": Takes(
        FINITE, shapes=(("n", "n"),), must=_is_definite, words="symmetric and positive definite"
    ),
    "tnc.scale": Takes(_ABOVE_0, shapes=(("n",),)),
    "offset": Takes(FINITE, shapes=(("n",),)),
    "initial_trust_radius": Takes(_ABOVE_0),
    "max_trust_radius": Takes("(0, inf]"),
    "eta": Takes("[0, 0.25)"),
    "tnc.eta": Takes(ANY),
    "initial_tr_radius": Takes(_ABOVE_0),
    "final_tr_radius": Takes(_FROM_0),
    "rhobeg": Takes(_ABOVE_0),
    "factorization_method": Takes(
        texts=("NormalEquation", "AugmentedSystem", "QRFactorization", "SVDFactorization")
    ),
    **dict.fromkeys(
        ("initial_constr_penalty", "initial_barrier_parameter", "initial_barrier_tolerance"),
        Takes(_ABOVE_0),
    ),
    "initial_step": _each(_ABOVE_0),
    # scipy's global methods
    "interval": Takes("[1, inf)", whole=True),
    "stepsize": Takes(_FROM_0),
    "T": Takes(_FROM_0),
    "target_accept_rate": Takes("(0, 1)"),
    "stepwise_factor": Takes("(0, 1)"),
    "minimizer_kwargs": Takes(inner=_LOCAL, closed=True),
    "initial_temp": Takes(_ABOVE_0),
    "restart_temp_ratio": Takes("(0, 1)"),
    "visit": Takes("(1, 3]"),
    "accept": Takes("(-inf, 1)"),
    **dict.fromkeys(("f_min_rtol", "vol_tol", "len_tol"), Takes("[0, 1]")),
    "n": Takes("[1, inf)", whole=True),
    "iters": _count("[1, inf]"),
    "options": Takes(inner=_SHGO),
    "sampling_method": Takes(texts=("simplicial", "halton", "sobol"), kinds=(Callable,)),
    "strategy": Takes(
        texts=tuple(
            f"{base}{count}{crossed}"
            for base in ("best", "rand", "randtobest", "currenttobest")
            for count in (1, 2)
            for crossed in ("bin", "exp")
        ),
        kinds=(Callable,),
    ),
    "init": Takes(
        FINITE, shapes=(("k", "n"),), texts=("latinhypercube", "sobol", "halton", "random")
    ),
    "mutation": Takes("[0, 2)", shapes=((), (2,))),
    # Gradient descent
    **dict.fromkeys(
        ("alpha", "lambd", "t0", "beta", "lambda_1", "lambda_2", "lr_power"), Takes(FINITE)
    ),
    "rmsprop.alpha": Takes("[0, 1]"),
    "adafactor.eps": Takes(kinds=(tuple,)),
    "preconditioning_compute_steps": _count(_SOME),
    "ns_steps": Takes("[1, 100)", whole=True),
    "step_sizes": Takes(_ABOVE_0, shapes=((2,),)),
    "adjust_lr_fn": Takes(texts=("original", "match_rms_adamw")),
    "line_search_fn": Takes(texts=("strong_wolfe",)),
    # The library cma
    "BoundaryHandler": Takes(having="has_bounds"),
    "CMA_cmean": Takes(_ABOVE_0),
    "CMA_const_trace": Takes(flag=True, texts=("arithm", "geom", "aeig", "geig")),
    "CMA_diagonal": Takes(_AS_MANY, flag=True),
    "CMA_diagonal_decoding": Takes(_FROM_0),
    "CMA_eigenmethod": Takes(kinds=(Callable,)),
    "CMA_elitist": Takes(flag=True, texts=("initial",)),
    "CMA_mirrormethod": Takes("[0, 2]", whole=True),
    "CMA_mirrors": Takes(_FROM_0, flag=True),
    "CMA_mu": Takes("[1, inf)", whole=True),
    **dict.fromkeys(("CMA_on", "CMA_rankmu", "CMA_rankone"), Takes(_FROM_0)),
    "vkd-cma.CMA_rankmu": Takes(_ABOVE_0),
    "CMA_recombination_weights": Takes(FINITE, shapes=(("k",),)),
    "CMA_sampler": Takes(having="sample"),
    **dict.fromkeys(("CMA_stds", "CMA_teststds"), _each(_ABOVE_0)),
    "CSA_clip_length_value": Takes(
        ANY, shapes=((), (2,)), must=_around_0, words="of two one at most 0, and one at least 0"
    ),
    "conditioncov_alleviate": Takes("[0, inf]", shapes=((2,),)),
    **dict.fromkeys(("maxstd", "maxstd_boundrange"), _each("(0, inf]")),
    "minstd": _each(_FROM_0),
    "mindx": Takes(_FROM_0),
    "popsize_factor": Takes(_ABOVE_0),
    "stall_sigma_change_on_divergence_iterations": Takes(_FROM_0, flag=True),
    "tolxstagnation": Takes(ANY, flag=True, shapes=((), (1,), (2,), (3,), (4,))),
}
"""By option."""

BELOW = (
    ("c1", "c2", False),
    ("initial_trust_radius", "max_trust_radius", False),
    ("final_tr_radius", "initial_tr_radius", True),
)
"""Options of which the one must be below the other, and whether they may be equal."""
