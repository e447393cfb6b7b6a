"""Both sides of `experiments speed methods`: our `minimize`, and each method's own library."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import article, classifiers, digits
from experiments.speed import Timed, clock
from experiments.speed_cases import rosenbrock, tutorial_objective

Array = NDArray[np.float64]
Side = Callable[[], Timed]
Work = Callable[[], int]
"""A run, which returns its evaluations."""

N = 10
LOW, HIGH = -5.0, 5.0
START = np.full(N, -1.0)
SWARM, ITERATIONS = 100, 100
GENERATIONS, POPSIZE = 60, 15
STEPS = 40
RESTARTS, STARTS = 20, 20


def spheres(points: Array) -> Array:
    """The sum of squares of each point, (k, n) -> (k,)."""
    values: Array = np.einsum("ij,ij->i", points, points)
    return values


def _sides(ours: Work, peer: Work) -> tuple[Side, Side]:
    return partial(clock, ours), partial(clock, peer)


# Methods whose batches are populations: time an evaluation.


def swarm(library: bool) -> tuple[Side, Side]:
    """A swarm by minimize, and by pyswarm, or the same rule as a bare loop over arrays."""
    import pyswarm

    from blackbox import minimize

    mine, theirs = count(1), count(1)
    options = {"swarmsize": SWARM, "maxiter": ITERATIONS, "minstep": -1.0, "minfunc": -1.0}

    def ours() -> int:
        result = minimize(
            spheres,
            method="pso",
            bounds=[(LOW, HIGH)] * N,
            batched=True,
            options=options,
            seed=next(mine),
        )
        return int(result.nfev)

    def peer() -> int:
        seed = next(theirs)
        if library:
            box = [LOW] * N, [HIGH] * N
            return int(pyswarm.pso(lambda x: float(x @ x), *box, seed=seed, **options).nfev)
        swarm_by_hand(spheres, ITERATIONS, np.random.default_rng(seed))
        return SWARM * (1 + ITERATIONS)

    return _sides(ours, peer)


def swarm_by_hand(
    fun: Callable[[Array], Array], iterations: int, rng: np.random.Generator
) -> float:
    """Return the best value of a particle swarm that is written down as plainly as can be."""
    shape, width = (SWARM, N), HIGH - LOW
    x = LOW + rng.random(shape) * width
    v = rng.uniform(-width, width, shape)
    best, best_values = x.copy(), fun(x)
    leader = best[best_values.argmin()]
    for _ in range(iterations):
        own, common = rng.random(shape), rng.random(shape)
        v = 0.5 * v + 0.5 * own * (best - x) + 0.5 * common * (leader - x)
        x = np.clip(x + v, LOW, HIGH)
        values = fun(x)
        better = values < best_values
        best[better], best_values[better] = x[better], values[better]
        leader = best[best_values.argmin()]
    return float(best_values.min())


def evolution() -> tuple[Side, Side]:
    """Differential evolution by minimize, and scipy's own, vectorized."""
    from scipy.optimize import differential_evolution

    from blackbox import minimize

    mine, theirs = count(1), count(1)
    box = [(LOW, HIGH)] * N
    options = {"maxiter": GENERATIONS, "popsize": POPSIZE, "tol": 0.0, "polish": False}

    def ours() -> int:
        result = minimize(
            spheres,
            method="differential_evolution",
            bounds=box,
            batched=True,
            options=options,
            seed=next(mine),
        )
        return int(result.nfev)

    def peer() -> int:
        rng = np.random.default_rng(next(theirs))
        points = 0

        def columns(x: Array) -> Array:
            nonlocal points
            points += x.shape[1]
            return spheres(x.T)

        differential_evolution(
            columns,
            box,
            vectorized=True,
            updating="deferred",
            rng=rng,
            **options,
        )
        return points

    return _sides(ours, peer)


# Methods that ask for one point at a time: what an evaluation costs more.


def serial(method: str, options: dict[str, Any]) -> tuple[Side, Side]:
    """A method of `scipy.optimize.minimize` that wants values alone."""
    import scipy.optimize

    from blackbox import minimize

    def ours() -> int:
        return int(minimize(rosenbrock, START, method=method, options=options).nfev)

    def peer() -> int:
        found = scipy.optimize.minimize(rosenbrock, START, method=method, options=options)
        return int(found.nfev)

    return _sides(ours, peer)


def direct(evaluations: int) -> tuple[Side, Side]:
    """Dividing rectangles."""
    import scipy.optimize

    from blackbox import minimize

    options: dict[str, Any] = {"maxfun": evaluations, "vol_tol": 0.0, "len_tol": 0.0}
    box = [(LOW, HIGH)] * N

    def ours() -> int:
        return int(minimize(rosenbrock, method="direct", bounds=box, options=options).nfev)

    def peer() -> int:
        return int(scipy.optimize.direct(rosenbrock, box, **options).nfev)

    return _sides(ours, peer)


def annealing(iterations: int) -> tuple[Side, Side]:
    """The chain of dual annealing, without local searches."""
    import scipy.optimize

    from blackbox import minimize

    options: dict[str, Any] = {"maxiter": iterations, "no_local_search": True}
    box = [(LOW, HIGH)] * N
    mine, theirs = count(1), count(1)

    def ours() -> int:
        result = minimize(
            rosenbrock,
            START,
            method="dual_annealing",
            bounds=box,
            options=options,
            seed=next(mine),
        )
        return int(result.nfev)

    def peer() -> int:
        rng = np.random.default_rng(next(theirs))
        result = scipy.optimize.dual_annealing(rosenbrock, box, x0=START, rng=rng, **options)
        return int(result.nfev)

    return _sides(ours, peer)


def nlopt_solver(method: str, name: str, evaluations: int) -> tuple[Side, Side]:
    """A method of nlopt, until so many evaluations are spent."""
    import nlopt  # type: ignore[import-untyped, import-not-found, unused-ignore]

    from blackbox import minimize

    options = {"xtol_rel": 1e-15, "maxeval": evaluations}

    def ours() -> int:
        return int(minimize(rosenbrock, START, method=method, options=options).nfev)

    def peer() -> int:
        opt = nlopt.opt(getattr(nlopt, name), N)
        opt.set_min_objective(lambda x, gradient: rosenbrock(x))
        opt.set_xtol_rel(1e-15)
        opt.set_maxeval(evaluations)
        opt.optimize(START)
        return int(opt.get_numevals())

    return _sides(ours, peer)


# Models: gradients by autograd, and stencils in one batch.


def digits_mlp() -> tuple[Side, Side]:
    """L-BFGS-B on a small network, with its gradients, on all the training data."""
    import scipy.optimize

    from blackbox import minimize

    mlp = next(one for one in classifiers.CLASSIFIERS if one.name == "digits-mlp")
    objective, loss = mlp.objective(), mlp_by_hand()
    start = mlp.benchmark(0).draw(np.random.default_rng(0))
    options = {"maxiter": STEPS}

    def ours() -> int:
        return int(minimize(objective, start, method="l-bfgs-b", options=options).nfev)

    def peer() -> int:
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        return int(found.nfev)

    return _sides(ours, peer)


def mlp_by_hand() -> Callable[[Array], tuple[float, Array]]:
    """Loss and gradient of the digits' network, as written for one optimizer."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils import parameters_to_vector, vector_to_parameters

    mlp = next(one for one in classifiers.CLASSIFIERS if one.name == "digits-mlp")
    model = mlp.network()
    weights = list(model.parameters())
    images, labels = (part[: classifiers.TRAINING] for part in digits.load())

    def loss(x: Array) -> tuple[float, Array]:
        vector_to_parameters(torch.from_numpy(x).float(), weights)
        value = cross_entropy(model(images), labels)
        gradient = parameters_to_vector(torch.autograd.grad(value, weights))
        return value.item(), gradient.double().numpy()

    return loss


def stencils(method: str, options: dict[str, Any]) -> tuple[Side, Side]:
    """A method by finite differences on the article's network: in batches, and point by point."""
    import scipy.optimize

    from blackbox import minimize

    objective, loss, start = article.objective(), tutorial_objective(), article.start()

    def ours() -> int:
        return int(minimize(objective, start, method=method, jac=False, options=options).nfev)

    def peer() -> int:
        found = scipy.optimize.minimize(loss, start, method=method, options=options)
        return int(found.nfev)

    return _sides(ours, peer)


# What composes methods: chains, restarts and several starts.


def chain() -> tuple[Side, Side]:
    """CMA-ES, then L-BFGS-B: as a chain, and by two calls."""
    from blackbox import minimize

    mine, theirs = count(1), count(1)
    options = {"cma": {"maxiter": GENERATIONS}, "l-bfgs-b": {}}

    def ours() -> int:
        result = minimize(
            rosenbrock, START, method="cma+l-bfgs-b", options=options, seed=next(mine)
        )
        return int(result.nfev)

    def peer() -> int:
        first = minimize(rosenbrock, START, method="cma", options=options["cma"], seed=next(theirs))
        return int(first.nfev) + int(minimize(rosenbrock, first.x, method="l-bfgs-b").nfev)

    return _sides(ours, peer)


def restarts() -> tuple[Side, Side]:
    """L-BFGS-B restarted at random, and a loop of calls."""
    from blackbox import minimize

    box, mine, theirs = [(LOW, HIGH)] * N, count(1), count(1)
    options = {"restarts": RESTARTS}

    def ours() -> int:
        result = minimize(
            rosenbrock, START, method="l-bfgs-b", bounds=box, options=options, seed=next(mine)
        )
        return int(result.nfev)

    def peer() -> int:
        rng = np.random.default_rng(next(theirs))
        starts = [START, *rng.uniform(LOW, HIGH, (RESTARTS, N))]
        return sum(
            int(minimize(rosenbrock, start, method="l-bfgs-b", bounds=box).nfev) for start in starts
        )

    return _sides(ours, peer)


def many_starts() -> tuple[Side, Side]:
    """L-BFGS-B from several starts at once, and a loop of calls."""
    from blackbox import minimize

    starts = np.random.default_rng(0).uniform(LOW, HIGH, (STARTS, N))

    def ours() -> int:
        return int(minimize(rosenbrock, starts, method="l-bfgs-b", seed=0).nfev)

    def peer() -> int:
        return sum(int(minimize(rosenbrock, x, method="l-bfgs-b").nfev) for x in starts)

    return _sides(ours, peer)
