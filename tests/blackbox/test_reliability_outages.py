"""An outage: for a while every evaluation fails. Methods that stand failures go on after it."""

import re

import cma
import numpy as np
import pytest

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.budget import FAILURE_LIMIT
from blackbox.history import History
from tests.blackbox.conftest import shifted_sphere

TOLERANT = [
    row
    for row in ALGORITHMS.values()
    if row.tolerates_failures and row.installed and row.kind != "baseline"
]
START = np.array([-2.0, 1.0, -1.0, 2.0])
BOX = [(-5.0, 5.0)] * 4


class Outage:
    """The sphere, which fails for some batches."""

    batched = True

    def __init__(self, begin, length=3, noise=0.0):
        self.failing, self.seen = range(begin, begin + length), []
        self._noise, self._coin = noise, np.random.default_rng(0)

    def __call__(self, points):
        self.seen.append(points)
        if len(self.seen) - 1 in self.failing:
            return np.full(len(points), np.nan)
        values = np.array([shifted_sphere(x) for x in points])
        return values + self._noise * self._coin.standard_normal(len(points))

    @property
    def lost(self):
        return sum(map(len, self.seen[self.failing.start : self.failing.stop]))


@pytest.mark.parametrize("begin", [0, 8, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("row", [*TOLERANT, ALGORITHMS["lq-cma"]], ids=lambda row: row.name)
def test_three_generations_that_fail_whole_are_survived(row, begin):
    in_parts = row.name == "lq-cma"  # a generation is several batches
    begin = min(begin, 5) if in_parts else begin  # it needs a few batches only
    fun = Outage(begin, 300 if row.batch.startswith("one") else 30 if in_parts else 3)
    options, proof = dict(row.proof.options), row.proof
    settings = {"bounds": BOX, "seed": 0, "budget": proof.budget, "target": proof.tolerance}
    result = minimize(fun, START, method=row.name, options=options, **settings)
    assert result.history.failure_count == fun.lost > 0
    assert result.fun <= proof.tolerance


@pytest.mark.parametrize(("name", "options"), [("cma", {}), ("sep-cma", {"CMA_diagonal": True})])
def test_cma_walks_as_the_library_that_is_not_told_what_failed(name, options):
    rng = np.random.default_rng(3)
    own = {"randn": lambda *shape: rng.standard_normal(shape), "seed": np.nan, "verbose": -10}
    es = cma.CMAEvolutionStrategy(START, 0.7, own | options | {"verb_log": 0})
    with Optimizer(name, START, seed=3, sigma0=0.7) as opt:
        for generation in range(30):
            theirs, ours = np.array(es.ask()), opt.ask()
            assert np.array_equal(theirs, ours)
            values = np.array([shifted_sphere(x) for x in ours])
            if generation % 10 in (0, 4, 5, 6):
                opt.tell(np.full(len(ours), np.inf))
            else:
                es.tell(list(theirs), values.tolist())
                opt.tell(values)


@pytest.mark.parametrize("name", ["cma", "vkd-cma"])
@pytest.mark.parametrize("start", [START, START[:1]], ids=["4", "1"])
def test_every_other_generation_may_fail_whole(name, start):
    with Optimizer(name, start, bounds=(-5, 5), seed=0) as opt:
        for number in range(400):
            if opt.stopped:
                break
            values = np.array([shifted_sphere(x) for x in opt.ask()])
            opt.tell(np.full(len(values), np.nan) if number % 2 else values)
    assert opt.best_value < 1e-8


def test_an_outage_says_nothing_of_noise():
    quiet, disturbed = Outage(0, 0, noise=0.01), Outage(30, 6, noise=0.01)
    settings = {"method": "cma", "noisy": True, "seed": 0, "budget": 3000}
    whole, found = (minimize(fun, START, **settings) for fun in (quiet, disturbed))
    assert shifted_sphere(found.x) < 0.01 + 2 * shifted_sphere(whole.x)


@pytest.mark.parametrize(
    ("name", "noisy"),
    [("cma", False), ("cma", True), ("ipop-cma", False), ("lq-cma", False), ("vkd-cma", True)],
)
def test_an_outage_without_an_end_ends_at_the_limit(name, noisy):
    result = minimize(Outage(5, 10**9), START, method=name, seed=0, noisy=noisy)
    assert not result.success
    assert "evaluations in a row failed" in result.message
    assert np.isfinite(result.fun)
    assert FAILURE_LIMIT <= result.history.failure_count < FAILURE_LIMIT + 50


SOON = ["bfgs", "cobyla", "l-bfgs-b", "newton-cg", "powell", "shgo", "slsqp", "tnc"]
LATER = [
    row.name
    for row in ALGORITHMS.values()
    if row.installed and row.kind != "baseline" and row.name not in SOON
]


def until(number, edge=np.inf):
    """The sphere, which fails from this evaluation on; and beyond an edge from the beginning."""
    seen = []

    def fun(x):
        seen.append(x)
        return np.nan if len(seen) > number or x[0] > edge else shifted_sphere(x)

    return fun


@pytest.mark.parametrize(
    "name", [*SOON, *(pytest.param(name, marks=pytest.mark.slow) for name in LATER)]
)
@pytest.mark.parametrize("number", [1, 4, 12, 17])
def test_what_ended_among_failures_has_not_converged(name, number):
    result = minimize(until(number), START, method=name, bounds=BOX, seed=0, budget=2000)
    assert not result.success or result.history.failure_count == 0
    assert result.fun == shifted_sphere(result.x)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("l-bfgs-b", "its last 3 evaluations failed, .* The method said: CONVERGENCE"),
        ("powell", "27 of the 27 evaluations since .* The method said: Optimization term"),
    ],
)
def test_it_is_said_how_many_failed_and_what_the_method_thought(name, said):
    result = minimize(until(17), START, method=name, bounds=BOX)
    assert (result.success, result.status) == (False, 3)
    assert re.match(said, result.message)


def test_patience_that_ends_among_failures_is_no_success_either():
    result = minimize(until(60), START, method="cma", bounds=BOX, seed=0, patience=4)
    assert "The method said: stopped early" in result.message
    assert not result.success


def test_a_run_that_is_told_failures_has_not_converged():
    fun = until(17)
    with Optimizer("l-bfgs-b", START, bounds=BOX) as opt:
        while not opt.stopped:
            opt.tell([fun(x) for x in opt.ask()])
    assert not opt.success
    assert "The method said: CONVERGENCE" in opt.reason


@pytest.mark.parametrize("name", ["cma", "differential_evolution", "nelder-mead", "cobyqa"])
def test_a_minimum_at_the_edge_of_failures_is_one(name):
    inside = minimize(shifted_sphere, START, method=name, bounds=BOX, seed=0)
    edge = inside.x[0] - 0.4
    result = minimize(until(np.inf, edge), START, method=name, bounds=BOX, seed=0)
    assert result.history.failure_count > 10
    assert result.success
    assert result.fun == pytest.approx(inside.fun + 0.4**2, abs=0.1)


@pytest.mark.parametrize("name", ["bfgs", "l-bfgs-b", "powell", "nelder-mead", "cma"])
def test_failures_now_and_then_cast_no_doubt(name):
    coin, seen = np.random.default_rng(5), []

    def fun(x):
        seen.append(x)
        fails = len(seen) > 1 and coin.random() < 0.04
        return np.nan if fails else 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    result = minimize(fun, START[:2], method=name, bounds=BOX[:2], seed=0)
    assert result.history.failure_count > 2
    assert result.success
    assert result.fun < 1e-6


def test_what_came_after_the_best_point_is_counted():
    rng = np.random.default_rng(0)
    for _ in range(30):
        history, spent, lost, trail, best = History(), 0, 0, 0, np.inf
        for _ in range(12):
            k, stencil = int(rng.integers(1, 4)), rng.random() < 0.3
            values = np.where(rng.random(k) < 0.6, np.inf, rng.standard_normal(k))
            history.record(rng.random((k, 2)), values, stencil=stencil)
            gone = np.isinf(values).all()
            trail, spent, lost = (trail + k if gone else 0), spent + k, lost + k * gone
            if not stencil and values.min() < best:
                best, spent, lost = values.min(), 0, 0
            assert history.since_best == (spent, lost)
            assert history.lost_in_a_row == trail
