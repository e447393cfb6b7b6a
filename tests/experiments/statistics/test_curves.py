import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.plan import START
from experiments.record import AXES, ProblemInfo
from experiments.statistics import bands, best_at, grid
from tests.experiments.statistics.cases import falling, record, results


def slowly(run, axis, spent):
    """The best so far by its definition."""
    seen = [v for v, s in zip(run.curve.values, run.curve.spent(axis), strict=True) if s <= spent]
    if run.failed:
        return np.inf
    return min(seen, default=np.nan)


@given(st.integers(0, 1000), st.sampled_from(list(AXES)))
def test_best_at_is_the_least_value_until_then(seed, axis):
    random = np.random.default_rng(seed)
    runs = [record(values=v, spent=s, gradients=1) for v, s in [falling(random) for _ in range(4)]]
    points = np.array([0.001, 0.01, 0.5, 1, 2, 3, 10, 50, 99, 100, 300])
    expected = [[slowly(run, axis, point) for point in points] for run in runs]
    np.testing.assert_array_equal(best_at(runs, axis, points), expected)


def test_values_are_those_that_the_problem_shows():
    problem = ProblemInfo("p", n=2, optimum=10.0, precision=True)
    found = best_at([record(values=[12, 11])], "evaluations", np.array([1, 2]), {"p": problem})
    np.testing.assert_array_equal(found, [[2, 1]])


def test_evaluations_are_whole_numbers_from_one_to_the_budget():
    points = grid([record(budget=1000), record(end=17, budget=500)], "evaluations")
    assert points[0] == 1
    assert points[-1] == 1000
    assert (points == np.round(points)).all()
    assert (np.diff(points) > 0).all()
    assert 100 < len(points) <= 201


def test_passes_go_on_as_far_as_the_gradients():
    assert grid([record(budget=100, gradients=1)], "passes")[-1] == 300


def test_seconds_begin_with_the_first_value():
    runs = [record(values=[3, 2], seconds=50.0), record(values=[], seconds=0.0)]
    points = grid(runs, "seconds", 11)
    assert points[0] == pytest.approx(0.5)
    assert points[-1] == 50
    assert len(points) == 11
    assert len(grid([record(values=[], seconds=0.0)], "seconds")) == 1


def test_no_runs_have_no_grid():
    with pytest.raises(ValueError, match="at least one run"):
        grid([], "seconds")


def test_bands_are_quartiles_and_failed_runs_are_the_worst():
    runs = [record(seed=i, values=[9, 4 - i]) for i in range(4)] + [record(seed=4, values=[])]
    band = bands(results(*runs))["p", "a"]
    assert band.spent[0] == 1
    assert (band.low[0], band.middle[0], band.high[0]) == (9, 9, 9)
    assert (band.low[-1], band.middle[-1], band.high[-1]) == (2, 3, 4)
    two_failed = bands(results(*runs[:3], record(seed=8, values=[]), runs[4]))["p", "a"]
    assert (two_failed.middle[-1], two_failed.high[-1]) == (4, np.inf)


@pytest.mark.parametrize("axis", AXES)
def test_a_band_ends_where_its_runs_do_but_the_starts_goes_on(axis):
    slow, fast = record(method="slow", seconds=8.0, gradients=1), record(method="fast", seconds=2.0)
    start = record(method=START, end=1)
    found = {m: b for (_, m), b in bands(results(slow, fast, start), axis).items()}
    assert found["slow"].spent[-1] == slow.end(axis)
    assert found["fast"].spent[-1] == fast.end(axis)
    assert found[START].spent[-1] == slow.end(axis)


def test_instances_of_a_group_are_one_band():
    known = {n: ProblemInfo(n, 2, group="g") for n in ("i1", "i2")}
    found = bands(results(record("i1", values=[1]), record("i2", values=[3]), **known))
    assert list(found) == [("g", "a")]
    assert found["g", "a"].middle[-1] == 2


@pytest.mark.slow
def test_a_large_comparison_takes_seconds():
    spent, values = np.arange(1, 4001), np.geomspace(1e3, 1e-8, 4000)
    runs = [
        record(f"p{p}", f"m{m}", 0, values, spent, budget=5000)
        for p in range(480)
        for m in range(7)
    ]
    known = {f"p{p}": ProblemInfo(f"p{p}", 5, group=f"g{p // 5}") for p in range(480)}
    began = time.perf_counter()
    assert len(bands(results(*runs, **known))) == 96 * 7
    assert time.perf_counter() - began < 5
