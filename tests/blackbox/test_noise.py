"""Noisy objectives: winners are evaluated again, and the result is a mean."""

import math

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize
from blackbox.noise import FIRST, SHARE, Estimate
from tests.blackbox.descents import rates

BOX = [(-5.0, 5.0)] * 3
STANDING = [name for name, row in ALGORITHMS.items() if row.noise != "exact"]


class Noisy:
    """A bowl with normal noise, which keeps what it gave."""

    def __init__(self, seed, noise=1.0):
        self.rng, self.noise, self.points = np.random.default_rng(seed), noise, []

    def __call__(self, x):
        self.points.append(x.copy())
        return self.true(x) + self.noise * self.rng.standard_normal()

    @staticmethod
    def true(x):
        return float(np.sum((x - 0.7) ** 2))


def test_an_estimate_is_that_of_numpy():
    values = np.random.default_rng(0).standard_normal(20)
    estimate = Estimate(np.zeros(1))
    for value in values:
        estimate.add(value)
    assert math.isclose(estimate.mean, values.mean())
    assert math.isclose(estimate.error, values.std(ddof=1) / math.sqrt(20))
    for _ in range(19):
        estimate.add(math.inf)
    assert math.isclose(estimate.mean, values.mean())
    estimate.add(math.inf)
    assert estimate.mean == math.inf


@pytest.mark.parametrize("name", STANDING)
def test_the_value_of_the_result_is_not_the_luckiest_one(name):
    options = rates(name)
    gaps = {False: [], True: []}
    for noisy in gaps:
        for seed in range(4):
            result = minimize(
                Noisy(seed),
                np.full(3, 3.0),
                method=name,
                bounds=BOX,
                budget=800,
                seed=seed,
                noisy=noisy,
                options=options,
            )
            gaps[noisy].append(abs(result.fun - Noisy.true(result.x)))
    assert np.mean(gaps[True]) < 0.8
    assert np.mean(gaps[True]) < np.mean(gaps[False])


@pytest.mark.parametrize("name", ["cma", "random", "differential_evolution"])
def test_repeats_are_counted_and_kept_to_their_share(name):
    fun = Noisy(0)
    result = minimize(fun, np.zeros(3), method=name, bounds=BOX, budget=777, seed=0, noisy=True)
    history = result.history
    assert result.nfev == len(fun.points) == history.evaluation_count <= 777
    assert result.fun_count >= FIRST
    assert 0 < result.fun_error < 1
    assert history.repeat_count <= 2 * FIRST + 31 + SHARE * 777
    same = sum(np.array_equal(x, result.x) for x in fun.points)
    assert same >= result.fun_count
    assert result.fun == history.best_value


def test_values_without_noise_have_no_error():
    result = minimize(
        Noisy(0, 0.0), np.zeros(3), method="cma", bounds=BOX, budget=2000, seed=0, noisy=True
    )
    assert result.fun_error == 0
    assert result.fun < 1e-6


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8])
def test_a_budget_too_small_to_repeat_still_gives_the_best_value_seen(budget):
    result = minimize(Noisy(0), np.zeros(3), method="cma", budget=budget, seed=0, noisy=True)
    assert result.nfev == budget
    assert np.isfinite(result.fun)
    assert not result.success


def test_an_error_on_the_way_leaves_the_estimate():
    fun = Noisy(0)

    def breaking(x):
        if len(fun.points) > 300:
            raise ZeroDivisionError
        return fun(x)

    with pytest.raises(ZeroDivisionError) as caught:
        minimize(breaking, np.zeros(3), method="cma", seed=0, noisy=True)
    result = caught.value.result
    assert result.nfev == len(fun.points)
    assert result.fun_count >= FIRST


def test_the_best_is_feasible():
    result = minimize(
        Noisy(0, 0.1),
        np.zeros(3),
        method="cma",
        bounds=BOX,
        budget=1500,
        seed=0,
        noisy=True,
        constraints={"type": "ineq", "fun": lambda x: x[0] - 2},
    )
    assert result.maxcv == 0
    assert abs(result.x[0] - 2) < 0.4


def test_failures_are_no_estimate():
    fun = Noisy(0)
    result = minimize(
        lambda x: np.nan if fun.rng.random() < 0.2 else fun(x),
        np.zeros(3),
        method="cma",
        bounds=BOX,
        budget=1500,
        seed=0,
        noisy=True,
    )
    assert np.isfinite(result.fun)
    assert result.history.failure_count > 100


def test_a_target_is_reached_by_a_mean():
    result = minimize(
        Noisy(3, 0.5), np.full(3, 3.0), method="cma", bounds=BOX, seed=0, noisy=True, target=0.3
    )
    assert result.success
    assert result.fun <= 0.3
    assert result.fun_count >= FIRST
