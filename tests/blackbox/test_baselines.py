"""Baselines: what a design promises of its points, and that it is what its library draws."""

import itertools

import numpy as np
import pytest
from scipy.stats import qmc

from blackbox import minimize

BOX = (-3.0, 5.0)
STREAMS = [np.random.default_rng, np.random.RandomState]


def bowl(x):
    return float(x @ x)


def points(watched, method, n, budget, x0=None, seed=9, **options):
    """All points that a design asks in its box, scaled back to the unit box, and its result."""
    fun = watched(bowl)
    box = [BOX] * n
    result = minimize(fun, x0, method=method, bounds=box, options=options, budget=budget, seed=seed)
    return (fun.asked + 3.0) / 8.0, result


# Sobol


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("n", [1, 3, 10])
@pytest.mark.parametrize("popsize", [1, 64, 100])
def test_sobol_asks_scipys_scrambled_sequence(n, popsize, stream, watched):
    fun = watched(bowl)
    options = {"popsize": popsize}
    box = [BOX] * n
    minimize(fun, method="sobol", bounds=box, options=options, budget=1500, seed=stream(9))
    own = np.random.default_rng(int.from_bytes(stream(9).bytes(16), "little"))
    assert np.array_equal(
        fun.asked, -3.0 + 8.0 * qmc.Sobol(n, rng=own, bits=64).random(2048)[:1500]
    )


def test_sobol_is_evener_than_chance(watched):
    asked, _ = points(watched, "sobol", 3, 256)
    uniform, _ = points(watched, "random", 3, 256)
    assert qmc.discrepancy(asked) < 0.2 * qmc.discrepancy(uniform)


def test_sobol_says_how_many_variables_it_takes(watched):
    fun = watched(bowl)
    with pytest.raises(ValueError, match=r"21201 variables.*21202"):
        minimize(fun, np.zeros(21_202), method="sobol", bounds=BOX, budget=10)
    assert not fun.points


# Latin hypercubes


def once_in_each_cell(unit):
    k = len(unit)
    return all(sorted(np.floor(axis * k).astype(int)) == list(range(k)) for axis in unit.T)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("budget", [1, 7, 64, 200])
def test_lhs_is_one_design_of_the_budgets_size(budget, stream, watched):
    asked, result = points(watched, "lhs", 3, budget, seed=stream(9))
    assert len(asked) == result.nfev == budget
    assert once_in_each_cell(asked)
    if budget > 50:
        assert np.abs(np.corrcoef(asked.T) - np.eye(3)).max() < 0.35


def test_lhs_leaves_room_for_the_starts(watched):
    starts = np.array([[1.0, 2.0], [0.0, 0.0]])
    asked, _ = points(watched, "lhs", 2, 52, starts)
    assert np.array_equal(asked[:2] * 8 - 3, starts)
    assert once_in_each_cell(asked[2:])


def test_lhs_without_a_budget_makes_a_design_of_each_batch(watched):
    asked, result = points(watched, "lhs", 2, None, popsize=50)
    assert result.nfev == 10_000
    assert all(once_in_each_cell(asked[i : i + 50]) for i in range(0, 10_000, 50))


# Grids


@pytest.mark.parametrize(
    ("n", "budget", "sides"),
    [(1, 100, 100), (2, 100, 10), (2, 99, 9), (3, 1000, 10), (3, 999, 9), (4, 16, 2), (2, 3, 2)],
)
def test_a_grid_is_as_fine_as_the_budget_allows(n, budget, sides, watched):
    asked, result = points(watched, "grid", n, budget)
    full = {tuple(x) for x in itertools.product(range(sides), repeat=n)}
    seen = [tuple(x) for x in np.rint(asked * (sides - 1)).astype(int)]
    assert len(seen) == len(set(seen)) == min(budget, sides**n) == result.nfev
    assert set(seen) <= full
    np.testing.assert_allclose(asked * (sides - 1), seen, atol=1e-12)


def test_a_grid_ends_when_it_is_done(watched):
    asked, result = points(watched, "grid", 2, None, points=7)
    assert result.nfev == len(asked) == 49
    assert not result.success
    assert "every point" in result.message


def test_a_grid_without_a_budget_has_ten_thousand_points(watched):
    assert points(watched, "grid", 4, None)[1].nfev == 10_000


def test_a_grid_of_one_point_is_the_middle(watched):
    asked, _ = points(watched, "grid", 3, None, points=1)
    assert np.array_equal(asked, [[0.5, 0.5, 0.5]])


def test_a_grid_reaches_both_bounds_exactly(watched):
    fun = watched(bowl)
    low, high = np.array([0.1, -1 / 3]), np.array([0.7, 1e-3])
    bounds = list(zip(low, high, strict=True))
    minimize(fun, method="grid", bounds=bounds, options={"points": 5}, seed=0)
    assert np.array_equal(fun.asked.min(axis=0), low)
    assert np.array_equal(fun.asked.max(axis=0), high)


@pytest.mark.parametrize("seed", range(3))
def test_a_grid_cut_short_favours_no_corner(seed, watched):
    asked, _ = points(watched, "grid", 3, 200, points=20, seed=seed)
    assert np.abs(asked.mean(axis=0) - 0.5).max() < 0.1
    assert np.abs(asked.std(axis=0) - 0.3).max() < 0.06


@pytest.mark.parametrize(("n", "options"), [(30, {}), (9, {"points": 10}), (100_000, {})])
def test_a_grid_that_is_too_large_is_refused_at_once(n, options, watched):
    fun = watched(bowl)
    with pytest.raises(ValueError, match=f"for n = {n} variables.*'sobol'"):
        minimize(fun, method="grid", bounds=[BOX] * n, options=options, budget=50)
    assert not fun.points


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [("grid", "points", 0), *((name, "popsize", 0) for name in ("random", "sobol", "lhs", "grid"))],
)
def test_options_that_make_no_sense_are_named(method, option, value):
    with pytest.raises(ValueError, match=f"{option}=0"):
        minimize(bowl, method=method, bounds=[BOX], options={option: value})
