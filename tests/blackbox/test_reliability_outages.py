"""An outage: for a while every evaluation fails. Methods that stand failures go on after it."""

import cma
import numpy as np
import pytest

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.budget import FAILURE_LIMIT
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
