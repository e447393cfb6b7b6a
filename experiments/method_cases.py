"""What `experiments speed methods` measures: time, by the kind of a method's batches."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from experiments.method_sides import (
    RESTARTS,
    STARTS,
    STEPS,
    N,
    Side,
    annealing,
    chain,
    digits_mlp,
    direct,
    evolution,
    many_starts,
    nlopt_solver,
    restarts,
    serial,
    stencils,
    swarm,
)
from experiments.problems import digits
from experiments.speed import Benchmark
from experiments.speed_cases import cma_loop

Prepare = Callable[[], tuple[Side, Side]]

BATCH_GOAL: Final = 1.15
SERIAL_GOAL: Final = 10e-6
SLOW_GOAL: Final = 1.05
GRADIENT_GOAL: Final = 1.05
STENCIL_GOAL: Final = 1 / 3

_SERIAL: dict[str, Prepare] = {
    "nelder-mead": partial(
        serial, "nelder-mead", {"maxfev": 2000, "maxiter": 10_000, "xatol": 0.0, "fatol": 0.0}
    ),
    "powell": partial(serial, "powell", {"xtol": 1e-8, "ftol": 1e-8}),
    "direct": partial(direct, 2000),
    "dual_annealing, no local search": partial(annealing, 100),
}
"""Each lasts as long on both sides: its tolerances are out of reach, or met at the same point."""
_NLOPT: dict[str, Prepare] = {
    "bobyqa": partial(nlopt_solver, "bobyqa", "LN_BOBYQA", 1000),
    "sbplx": partial(nlopt_solver, "sbplx", "LN_SBPLX", 2000),
}
_STENCILS: dict[str, dict[str, Any]] = {
    "slsqp": {"maxiter": 100, "eps": 1e-3},
    "l-bfgs-b": {"maxiter": 50, "eps": 1e-3},
    "bfgs": {"maxiter": 50, "eps": 1e-3},
    "tnc": {"maxfun": 100, "eps": 1e-3},
    "trust-constr": {"maxiter": 50, "finite_diff_rel_step": 1e-3},
    "cg": {"maxiter": 50, "eps": 1e-3},
}


def _batches() -> list[Benchmark]:
    rows: list[tuple[str, str, Prepare, bool]] = [
        ("cma", "cma's own ask and tell, same options", partial(cma_loop, N), False),
        ("pso", "pyswarm.pso, particle by particle", partial(swarm, True), False),
        (
            "differential_evolution",
            "scipy's differential_evolution(vectorized=True, updating='deferred')",
            evolution,
            True,
        ),
    ]
    return [
        Benchmark(
            f"{name}, batches",
            f"minimize(method='{name}') on a batched sphere, n = {N}",
            peer,
            31,
            prepare,
            goal=BATCH_GOAL,
            same_work=same,
        )
        for name, peer, prepare, same in rows
    ] + [
        Benchmark(
            "pso, beside a bare loop",
            f"minimize(method='pso') on a batched sphere, n = {N}",
            "the same rule as plain array operations: no checks, counts, history",
            31,
            partial(swarm, False),
            same_work=True,
        )
    ]


def _serials() -> list[Benchmark]:
    there = importlib.util.find_spec("nlopt") is not None
    return [
        Benchmark(
            f"{name}, point by point",
            f"minimize() on Rosenbrock's function, n = {N}",
            "nlopt called by hand" if name in _NLOPT else "scipy's own",
            31,
            prepare,
            judge="extra",
            goal=SERIAL_GOAL,
            same_work=True,
        )
        for name, prepare in (_SERIAL | (_NLOPT if there else {})).items()
    ] + [
        # Written in Python, it takes a millisecond an evaluation: no difference could be told.
        Benchmark(
            "cobyla, point by point",
            f"minimize() on Rosenbrock's function, n = {N}",
            "scipy's own",
            15,
            partial(serial, "cobyla", {"maxiter": 200, "tol": 1e-12}),
            goal=SLOW_GOAL,
            same_work=True,
        )
    ]


def _models() -> list[Benchmark]:
    gradients = [
        Benchmark(
            "l-bfgs-b, gradients of the digits' network",
            f"minimize(method='l-bfgs-b') on ModelObjective, {STEPS} iterations",
            "scipy's own on loss and gradient written by hand in torch",
            15,
            digits_mlp,
            goal=GRADIENT_GOAL,
        )
    ]
    try:
        digits.require()
    except ModuleNotFoundError:
        gradients = []
    return gradients + [
        Benchmark(
            f"{method}, stencils of the article's network",
            f"minimize(method='{method}', jac=False) on ModelObjective, a stencil is one batch",
            "scipy's own on the network point by point",
            31,
            partial(stencils, method, options),
            goal=STENCIL_GOAL,
        )
        for method, options in _STENCILS.items()
    ]


def _composed() -> list[Benchmark]:
    rows = [
        ("cma+l-bfgs-b, a chain", "the chain", "both methods, one call each", chain),
        ("l-bfgs-b, restarts", f"{RESTARTS} restarts", "a call for each start", restarts),
        ("l-bfgs-b, many starts", f"x0 of {STARTS} starts", "a call for each start", many_starts),
    ]
    return [
        Benchmark(name, f"minimize(), {ours}, Rosenbrock's function, n = {N}", peer, 15, prepare)
        for name, ours, peer, prepare in rows
    ]


BENCHMARKS: list[Benchmark] = [*_batches(), *_serials(), *_models(), *_composed()]
"""Those whose libraries are installed."""
