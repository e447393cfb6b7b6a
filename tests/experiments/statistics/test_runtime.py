import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.record import AXES, ProblemInfo
from experiments.statistics import cost, ert, hits, simulate, success_rate
from tests.experiments.statistics.cases import falling, record

INF = np.inf


@given(st.integers(0, 1000), st.sampled_from(list(AXES)))
def test_a_hit_is_the_first_value_at_the_target_or_below(seed, axis):
    values, spent = falling(np.random.default_rng(seed))
    run = record(values=values, spent=spent, gradients=1)
    levels = np.array([INF, 1e3, 1.0, 1e-3, -INF, *values])
    pairs = list(zip(run.curve.spent(axis), values, strict=True))
    expected = [min((s for s, v in pairs if v <= level), default=INF) for level in levels]
    np.testing.assert_array_equal(hits(run, levels, axis), expected)


def test_targets_are_on_the_scale_that_the_problem_shows():
    problem = ProblemInfo("p", n=2, optimum=10.0, precision=True)
    found = hits(record(values=[12, 11]), np.array([2.0, 1.0, 0.5]), problem=problem)
    np.testing.assert_array_equal(found, [1, 2, INF])


def test_the_expected_runtime_counts_what_failures_cost():
    reached = np.array([[10.0, 90.0], [INF, INF], [30.0, INF]])
    np.testing.assert_array_equal(ert(reached, np.array([100, 100, 200])), [70, 390])
    assert ert(np.array([INF, 20.0]), np.array([100, 100])) == 120
    assert ert(np.array([INF]), np.array([100])) == INF
    np.testing.assert_array_equal(ert(np.empty((0, 2)), np.empty(0)), [INF, INF])


def test_the_share_of_successes():
    np.testing.assert_array_equal(success_rate(np.array([[1.0, INF], [INF, INF]])), [0.5, 0])
    np.testing.assert_array_equal(success_rate(np.empty((0, 2))), [0, 0])


def test_a_run_that_broke_off_is_charged_its_budget():
    assert cost(record(values=[], end=3)) == 3
    assert cost(record(values=[], end=3, error="ValueError")) == 100
    assert cost(record(values=[5], gradients=1, error="ValueError"), "passes") == 300
    assert cost(record(values=[], seconds=2.0, error="ValueError"), "seconds") == 2


def test_where_all_runs_hit_the_sample_repeats_them():
    reached = np.array([[3.0, 30.0], [5.0, 50.0], [4.0, 40.0]])
    found = simulate(reached, np.full(3, 100.0), 10, np.random.default_rng(0))
    assert found.shape == (12, 2)
    np.testing.assert_array_equal(np.sort(found[:, 0]), [3] * 4 + [4] * 4 + [5] * 4)
    np.testing.assert_array_equal(found[:, 1], 10 * found[:, 0])


def test_simulated_runtimes_have_the_expected_runtime_for_a_mean():
    reached = np.array([[3.0, 30.0, INF], [5.0, INF, INF], [4.0, INF, INF], [7.0, INF, INF]])
    ends = np.array([100.0, 80.0, 120.0, 100.0])
    found = simulate(reached, ends, 40_000, np.random.default_rng(1))
    np.testing.assert_allclose(found[:, :2].mean(axis=0), ert(reached, ends)[:2], rtol=0.02)
    assert np.isinf(found[:, 2]).all()


def test_the_number_of_restarts_is_geometric():
    found = simulate(
        np.array([[0.0], [INF]]), np.array([9.0, 1.0]), 40_000, np.random.default_rng(2)
    )
    restarts = np.bincount(found[:, 0].astype(int))[:6] / len(found)
    np.testing.assert_allclose(restarts, 0.5 ** np.arange(1, 7), atol=0.01)


def test_the_same_stream_gives_the_same_sample():
    reached, ends = np.array([[1.0], [INF], [4.0]]), np.array([8.0, 9.0, 7.0])
    one, other = (simulate(reached, ends, 50, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_no_runs_cannot_begin_again():
    with pytest.raises(ValueError, match="at least one run"):
        simulate(np.empty((0, 2)), np.empty(0), 5, np.random.default_rng(0))
