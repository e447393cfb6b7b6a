"""What `experiments speed` measures; the peer's side is the library as its documents use it."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import article
from experiments.speed import Benchmark, Timed, clock

Array = NDArray[np.float64]
Side = Callable[[], Timed]

GENERATIONS = {10: 120, 100: 60}
SWARM, ITERATIONS = 100, 10
SWITCHES = 1500


def tutorial_objective() -> Callable[[Array], float]:
    """The article's loss as tutorials write it: vector into the parameters, forward, item."""
    import torch
    from torch.nn.functional import mse_loss
    from torch.nn.utils import vector_to_parameters

    model, data = article.network()

    def loss(x: Array) -> float:
        vector_to_parameters(torch.from_numpy(x), model.parameters())
        with torch.no_grad():
            return mse_loss(model(data), data).item()

    return loss


def rosenbrock(x: Array) -> float:
    """Rosenbrock's function, in plain numpy."""
    ahead, behind = x[1:], x[:-1]
    rise = ahead - behind * behind
    slack = 1.0 - behind
    return float(100.0 * (rise @ rise) + slack @ slack)


def sphere(x: Array) -> float:
    """The sum of squares."""
    return float(x @ x)


def _spheres(points: Array) -> Array:
    values: Array = np.einsum("ij,ij->i", points, points)
    return values


def cma_loop(n: int) -> tuple[Side, Side]:
    """Our loop around the library cma, and its own ask and tell."""
    import cma

    from blackbox import minimize

    start, generations, seeds = np.ones(n), GENERATIONS[n], count(1)

    def ours() -> int:
        options = {"sigma0": 0.5, "maxiter": generations}
        result = minimize(
            _spheres, start, method="cma", batched=True, options=options, seed=next(seeds)
        )
        return int(result.nfev)

    def peer() -> int:
        options = {"maxiter": generations, "verbose": -9, "verb_log": 0, "seed": next(seeds)}
        es = cma.CMAEvolutionStrategy(start, 0.5, options)
        while not es.stop():
            solutions = es.ask()
            es.tell(solutions, _spheres(np.array(solutions)).tolist())
        return int(es.countevals)

    return partial(clock, ours), partial(clock, peer)


def slsqp_model() -> tuple[Side, Side]:
    """SLSQP on the article's network."""
    import scipy.optimize

    from blackbox import minimize

    objective, loss, start = article.objective(), tutorial_objective(), article.start()
    options = {"maxiter": 100, "eps": 1e-3}

    def ours() -> int:
        return int(minimize(objective, start, method="slsqp", jac=False, options=options).nfev)

    def peer() -> int:
        return int(scipy.optimize.minimize(loss, start, method="SLSQP", options=options).nfev)

    return partial(clock, ours), partial(clock, peer)


def slsqp_free(fun: Callable[[Array], float], repeats: int) -> tuple[Side, Side]:
    """SLSQP on a function of numpy, one point at a time, `repeats` whole calls a run."""
    import scipy.optimize

    from blackbox import minimize

    start = np.full(10, -1.0)

    def ours() -> int:
        return sum(int(minimize(fun, start, method="slsqp").nfev) for _ in range(repeats))

    def peer() -> int:
        call = scipy.optimize.minimize
        return sum(int(call(fun, start, method="SLSQP").nfev) for _ in range(repeats))

    return partial(clock, ours), partial(clock, peer)


def swarm() -> tuple[Side, Side]:
    """A swarm through the article's network: whole, and particle by particle."""
    import pyswarm

    from blackbox import minimize

    objective, loss = article.objective(), tutorial_objective()
    low, high = np.full(article.N, -1.0), np.full(article.N, 1.0)
    options = {"swarmsize": SWARM, "maxiter": ITERATIONS}

    def ours() -> int:
        result = minimize(objective, method="pso", bounds=article.BOUNDS, options=options, seed=1)
        return int(result.nfev)

    def peer() -> int:
        calls = count()

        def counted(x: Array) -> float:
            next(calls)
            return loss(x)

        pyswarm.pso(counted, low, high, seed=1, **options)
        return next(calls)

    return partial(clock, ours), partial(clock, peer)


def switch(method: str, *, pinned: bool) -> tuple[Side, Side]:
    """A solver parked in a thread, asked and told, and the same solver driven directly."""
    from blackbox import Optimizer, minimize

    start, bounds = np.full(10, -1.0), (-5.0, 5.0)

    def asked() -> Timed:
        asks = 0

        def work() -> int:
            nonlocal asks
            with Optimizer(method, start, bounds=bounds, seed=1, budget=SWITCHES) as optimizer:
                while not optimizer.stopped:
                    optimizer.tell([rosenbrock(x) for x in optimizer.ask()])
                    asks += 1
            return asks

        return _pinned(work) if pinned else clock(work)

    def direct() -> Timed:
        batches = 0

        def batch(points: Array) -> Array:
            nonlocal batches
            batches += 1
            return np.array([rosenbrock(x) for x in points])

        def work() -> int:
            minimize(
                batch, start, method=method, bounds=bounds, seed=1, budget=SWITCHES, batched=True
            )
            return batches

        return _pinned(work) if pinned else clock(work)

    return asked, direct


def _pinned(work: Callable[[], int]) -> Timed:
    """Time a run on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        return clock(work)
    finally:
        os.sched_setaffinity(0, before)


def python(ours: list[str], peer: list[str]) -> tuple[Side, Side]:
    """Two fresh interpreters."""
    return partial(_spawn, ours), partial(_spawn, peer)


def _spawn(arguments: list[str]) -> Timed:
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, *arguments]

    def work() -> int:
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
        return 1

    return clock(work)


def _switches() -> list[Benchmark]:
    rows = []
    for pinned in [False, True] if hasattr(os, "sched_setaffinity") else [False]:
        for method in ("slsqp", "dual_annealing"):
            rows.append(
                Benchmark(
                    name=f"switch to a parked {method}" + (", pinned to a core" if pinned else ""),
                    ours="Optimizer, ask and tell around the solver's thread",
                    peer="minimize, the solver driven directly",
                    rounds=15,
                    prepare=partial(switch, method, pinned=pinned),
                    unit="batch",
                    judge="extra",
                )
            )
    return rows


def _row(name: str, ours: str, peer: str, prepare: Any, **rest: Any) -> Benchmark:
    return Benchmark(name, ours, peer, rest.pop("rounds", 31), prepare, **rest)


BENCHMARKS: list[Benchmark] = [
    _row(
        "CMA-ES loop, n = 10",
        "minimize(method='cma') on a batched sphere",
        "cma's own ask and tell, same options",
        partial(cma_loop, 10),
        goal=1.10,
    ),
    _row(
        "CMA-ES loop, n = 100",
        "minimize(method='cma') on a batched sphere",
        "cma's own ask and tell, same options",
        partial(cma_loop, 100),
        goal=1.10,
    ),
    _row(
        "SLSQP, the article's network",
        "minimize(method='slsqp') on ModelObjective, a stencil is one batch",
        "scipy.optimize.minimize on the network point by point",
        slsqp_model,
        goal=0.5,
        same_work=True,
    ),
    _row(
        "SLSQP, Rosenbrock n = 10",
        "minimize(method='slsqp')",
        "scipy.optimize.minimize",
        partial(slsqp_free, rosenbrock, 3),
        goal=1.15,
        same_work=True,
    ),
    _row(
        "SLSQP, sphere n = 10, short calls",
        "minimize(method='slsqp')",
        "scipy.optimize.minimize",
        partial(slsqp_free, sphere, 20),
        same_work=True,
    ),
    _row(
        f"PSO, the article's network, swarm of {SWARM}",
        "minimize(method='pso') on ModelObjective, a swarm is one batch",
        "pyswarm.pso on the network particle by particle",
        swarm,
        goal=1 / 8,
    ),
    *_switches(),
    _row(
        "import blackbox",
        "python -c 'import blackbox'",
        "python -c 'import numpy, scipy.optimize'",
        partial(python, ["-c", "import blackbox"], ["-c", "import numpy, scipy.optimize"]),
        unit="import",
        judge="extra",
        goal=0.10,
        rounds=9,
    ),
    _row(
        "experiments --help",
        "python -m experiments --help",
        "python -c pass",
        partial(python, ["-m", "experiments", "--help"], ["-c", "pass"]),
        unit="call",
        judge="extra",
        goal=1.0,
        rounds=9,
    ),
]
