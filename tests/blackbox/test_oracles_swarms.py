"""Our methods walk as other libraries' do: pyswarm's swarms, cma's generations, torch's Adam."""

import cma
import numpy as np
import pyswarm
import pytest
import torch

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.algorithms.pso import PSO
from blackbox.types import Problem, Told

LOW, HIGH = np.array([-3.0, -2.0, -5.0]), np.array([3.0, 4.0, 1.0])
BOUNDS = list(zip(LOW, HIGH, strict=True))


def bumpy(x):
    return float(np.sum((x - 0.5) ** 2) + 0.3 * np.sum(np.cos(5 * x)))


# Swarms


class AdvanceNoise:
    """pyswarm draws the noise of all iterations in advance, ours as it goes: hand out theirs."""

    def __init__(self, seed, iterations, size, n):
        rng = np.random.default_rng(seed)
        self.x, width = rng.random((size, n)), HIGH - LOW
        self.v = rng.uniform(-width, width, (size, n))
        noise = rng.random((iterations, size, n)), rng.random((iterations, size, n))
        self.queue = [self.x, *(each for pair in zip(*noise, strict=True) for each in pair)]

    def random(self, shape):
        drawn = self.queue.pop(0)
        assert drawn.shape == tuple(shape)
        return drawn

    def uniform(self, low, high, shape):
        assert self.v.shape == tuple(shape)
        return self.v


def swarm(options, rng, fun):
    """Run our rule on an injected stream; return the points in order and how it stopped."""
    problem = Problem(LOW, HIGH, np.empty((0, 3)))
    run, seen = PSO(**options).run(problem, rng), []
    ask = next(run)
    while True:
        seen.append(ask.points)
        try:
            ask = run.send(Told(np.array([fun(x) for x in ask.points])))
        except StopIteration as end:
            return np.concatenate(seen), end.value


NEVER = {"minstep": -1.0, "minfunc": -1.0}


@pytest.mark.parametrize("seed", [3, 8])
@pytest.mark.parametrize(
    ("rules", "ended"),
    [
        (NEVER, "Maximum"),
        ({"minstep": 0.5, "minfunc": -1.0}, "minstep"),
        ({"minstep": -1.0, "minfunc": 0.05}, "minfunc"),
        ({}, "min"),
        (NEVER | {"patience": 1}, "patience"),
        (NEVER | {"patience": 2}, "patience"),
        (NEVER | {"omega": 0.7, "phip": 1.5, "phig": 1.2}, "Maximum"),
    ],
)
def test_a_deferred_swarm_walks_as_pyswarm(rules, ended, seed, watched):
    options = {"swarmsize": 10, "maxiter": 90} | rules
    theirs = watched(bumpy)
    expected = pyswarm.pso(theirs, LOW, HIGH, seed=seed, **options)
    points, stop = swarm(options, AdvanceNoise(seed, 90, 10, 3), bumpy)
    assert np.array_equal(theirs.asked, points)
    assert stop.extras["nit"] == len(points) // 10 - 1
    # The library does not count the iteration in which it stops early.
    assert expected.nit == stop.extras["nit"] - stop.success
    assert ended in expected.message
    assert stop.success == (ended != "Maximum")
    assert ("maxiter" if ended == "Maximum" else ended) in stop.reason


@pytest.mark.parametrize("rules", [{}, {"patience": 2}, {"minstep": -1.0, "minfunc": -1.0}])
def test_the_method_pyswarm_is_the_library(rules, watched):
    theirs, ours = watched(bumpy), watched(bumpy)
    options = {"swarmsize": 12, "maxiter": 30} | rules
    expected = pyswarm.pso(theirs, LOW, HIGH, seed=5, **options)
    result = minimize(ours, method="pyswarm", bounds=BOUNDS, seed=5, options=options)
    assert np.array_equal(theirs.asked, ours.asked)
    assert np.array_equal(expected.x, result.x)
    assert expected.fun == result.fun
    assert result.nfev == len(ours.points)
    assert expected.message == result.message


def test_the_method_pyswarm_puts_the_start_first(watched):
    fun = watched(bumpy)
    minimize(fun, [1.0, 2.0, -3.0], method="pyswarm", bounds=BOUNDS, seed=5, budget=20)
    assert np.array_equal(fun.points[0], [1.0, 2.0, -3.0])


def one_by_one(fun, rng, size, iterations, omega=0.5, phip=0.5, phig=0.5):
    """The older rule in plain loops: particle by particle, each seeing the best of a moment ago."""
    n = len(LOW)
    x = LOW + rng.rand(size, n) * (HIGH - LOW)
    high = np.abs(HIGH - LOW)
    low = -high
    v = np.zeros((size, n))
    own, own_value = x.copy(), np.array([fun(each) for each in x])
    g, value = own[own_value.argmin()].copy(), own_value.min()
    for i in range(size):
        v[i] = low + rng.rand(n) * (high - low)
    for _ in range(iterations):
        rp, rg = rng.uniform(size=(size, n)), rng.uniform(size=(size, n))
        for i in range(size):
            for d in range(n):
                pull = phip * rp[i, d] * (own[i, d] - x[i, d])
                push = phig * rg[i, d] * (g[d] - x[i, d])
                v[i, d] = omega * v[i, d] + pull + push
                x[i, d] = min(max(x[i, d] + v[i, d], LOW[d]), HIGH[d])
            told = fun(x[i])
            if told < own_value[i]:
                own[i], own_value[i] = x[i].copy(), told
                if told < value:
                    g, value = x[i].copy(), told
    return g, value


@pytest.mark.parametrize("weights", [{}, {"omega": 0.7, "phip": 1.4, "phig": 1.1}])
def test_an_immediate_swarm_walks_as_the_plain_loop(weights, watched):
    theirs, ours = watched(bumpy), watched(bumpy)
    g, value = one_by_one(theirs, np.random.RandomState(42), 8, 15, **weights)
    result = minimize(
        ours,
        method="pso",
        bounds=BOUNDS,
        seed=np.random.RandomState(42),
        options={"swarmsize": 8, "maxiter": 15, "updating": "immediate"} | NEVER | weights,
    )
    assert np.array_equal(theirs.asked, ours.asked)
    assert np.array_equal(g, result.x)
    assert value == result.fun


# CMA-ES


@pytest.mark.parametrize(
    ("bounds", "options"),
    [
        (None, {"sigma0": 0.5}),
        (None, {"sigma0": 0.3, "popsize": 15}),
        (None, {"sigma0": 0.3, "CMA_diagonal": True}),
        (None, {"sigma0": 0.3, "maxiter": 12}),
        (BOUNDS, {"sigma0": 0.8}),
        (BOUNDS, {"sigma0": 0.8, "popsize": 5, "tolfun": 1e-4}),
        ([(-3.0, None), (None, 0.3), (None, None)], {"sigma0": 1.0}),
    ],
)
def test_cma_walks_as_the_librarys_own_loop(bounds, options, finish):
    x0, rng = np.array([1.0, -1.0, 0.5]), np.random.default_rng(6)
    settings = {k: v for k, v in options.items() if k != "sigma0"}
    if bounds is not None:
        settings["bounds"] = [list(side) for side in zip(*bounds, strict=True)]
    settings |= {"randn": lambda *shape: rng.standard_normal(shape), "seed": np.nan}
    settings |= {"verbose": -10, "verb_log": 0, "signals_filename": ""}
    es = cma.CMAEvolutionStrategy(x0, options["sigma0"], settings)
    theirs = []
    while not es.stop():
        solutions = es.ask()
        theirs.append(np.array(solutions))
        es.tell(solutions, [bumpy(x) for x in solutions])

    run = Optimizer("cma", x0, bounds=bounds, seed=6, **options)
    ours = finish(run, bumpy)
    assert len(theirs) == len(ours) > 5
    for expected, asked in zip(theirs, ours, strict=True):
        if bounds is None:
            assert np.array_equal(expected, asked)
        else:
            # Ours takes back the rounding errors by which the library steps over a bound.
            low = [-np.inf if low is None else low for low, _ in bounds]
            high = [np.inf if high is None else high for _, high in bounds]
            assert np.array_equal(np.clip(expected, low, high), asked)
            assert np.abs(expected - asked).max() < 1e-12
    assert all(name in run.reason for name in es.stop())


# Adam


def slope(x):
    return 2 * (x - 0.5) - 1.5 * np.sin(5 * x)


def torch_walk(starts, dtype, steps, fun_slope=slope, **options):
    """A plain training loop; the points before each step."""
    x = torch.nn.Parameter(torch.tensor(starts, dtype=dtype))
    rule, points = torch.optim.Adam([x], **options), []
    for _ in range(steps):
        points.append(x.detach().numpy().astype(np.float64))
        x.grad = torch.from_numpy(fun_slope(points[-1])).to(dtype)
        rule.step()
    return points


ADAMS = [
    {"lr": 0.1},
    {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-6},
    {"lr": 0.1, "weight_decay": 0.01},
    {"lr": 0.1, "amsgrad": True},
]


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("options", ADAMS)
def test_adam_steps_as_torchs(options, k):
    starts = np.random.default_rng(0).uniform(-2, 2, (k, 3))
    run = Optimizer("adam", starts, gradients=True, **options)
    for expected in torch_walk(starts, torch.float64, 40, **options):
        points = run.ask()
        assert run.wants_gradients
        assert np.array_equal(points, expected)
        run.tell([bumpy(x) for x in points], slope(points))


class SinglePrecision:
    """An objective that computes in single precision and gives its own gradients."""

    dtype, batched = np.float32, True

    def __init__(self):
        self.batches = []

    def __call__(self, points):
        raise AssertionError("the values come with the gradients")

    def value_and_gradient(self, points):
        self.batches.append(points.copy())
        return np.array([bumpy(x) for x in points]), slope(points)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("options", ADAMS)
def test_adam_steps_as_torchs_in_single_precision(options, k):
    starts = np.random.default_rng(1).uniform(-2, 2, (k, 3)).astype(np.float32)
    fun = SinglePrecision()
    result = minimize(fun, starts, method="adam", options=options, budget=40 * k)
    expected = torch_walk(starts, torch.float32, 40, **options)
    assert np.array_equal(np.concatenate(fun.batches), np.concatenate(expected))
    assert result.njev == result.nfev == 40 * k


def test_several_starts_of_adam_walk_as_each_alone():
    starts = np.random.default_rng(2).uniform(-2, 2, (3, 3))
    together = SinglePrecision()
    minimize(together, starts, method="adam", options={"lr": 0.1}, budget=90)
    for i, start in enumerate(starts):
        alone = SinglePrecision()
        minimize(alone, start, method="adam", options={"lr": 0.1}, budget=30)
        assert np.array_equal(np.concatenate(alone.batches), [b[i] for b in together.batches])


def test_adam_without_gradients_uses_a_stencil_a_step(watched):
    fun = watched(bumpy)
    x0 = [0.0, 1.0, -1.0]
    result = minimize(fun, x0, method="adam", options={"lr": 0.1}, budget=80)
    assert result.history.stencil_count == 60
    assert result.njev == 0
    expected = torch_walk([x0], torch.float64, 20, lr=0.1)
    assert np.allclose(fun.asked[::4], np.concatenate(expected), atol=1e-5)


def test_adam_keeps_asking_at_a_corner_until_the_budget_is_spent(watched):
    # The optimum lies outside: Adam stays in the corner, and each look there is an evaluation.
    slopes = []

    def jac(x):
        slopes.append(x)
        assert len(slopes) < 500, "gradients are asked for ever, and nothing is counted"
        return 2 * (x - 10)

    fun = watched(lambda x: float(np.sum((x - 10) ** 2)))
    result = minimize(
        fun, [4.0, 4.0], method="adam", jac=jac, bounds=(-5, 5), budget=50, options={"lr": 0.5}
    )
    assert np.array_equal(result.x, [5.0, 5.0])
    assert result.nfev == len(fun.points) <= 50


def test_every_oracle_is_in_the_table():
    assert {"pso", "pyswarm", "cma", "adam"} <= set(ALGORITHMS)
