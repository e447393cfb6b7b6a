"""A warm start: where the past comes from, and which of it counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from blackbox.evaluated import choose_best
from blackbox.problem import make_problem
from blackbox.types import Evaluated
from tests.blackbox.bowl import BOX, Asked, bowl, draw

# Where it comes from.


def test_every_source_of_the_same_points_gives_the_same_run(tmp_path):
    path = tmp_path / "first.journal"
    before = minimize(
        bowl, method="pso", bounds=BOX, budget=80, seed=1, journal=path, keep_points=True
    )
    kept = before.history.evaluated
    sources = [path, str(path), read_journal(path), before, (kept.points, kept.values), kept]
    runs = []
    for source in sources:
        fun = Asked()
        minimize(fun, method="cma", bounds=BOX, budget=30, seed=2, warm_start=source)
        runs.append(np.array(fun.points))
    assert all(np.array_equal(run, runs[0]) for run in runs)


def test_a_result_that_kept_no_points_is_its_end():
    before = minimize(bowl, method="cma", bounds=BOX, budget=50, seed=1)
    fun = Asked()
    again = minimize(fun, method="nelder-mead", warm_start=before, budget=20)
    assert np.array_equal(fun.points[0], before.x)
    assert again.fun <= before.fun


def test_a_result_of_scipy_is_a_source():
    import scipy.optimize

    before = scipy.optimize.minimize(bowl, np.zeros(3), method="Nelder-Mead", options={"maxfev": 9})
    fun = Asked()
    minimize(fun, method="slsqp", warm_start=before, budget=20)
    assert np.array_equal(fun.points[0], before.x)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("nowhere.journal", JournalError, "nowhere.journal"),
        (3, TypeError, "warm_start is a journal"),
        (np.zeros(3), TypeError, "warm_start is a journal"),
        ((np.zeros((2, 3)),), TypeError, "warm_start is a journal"),
        ((np.zeros((2, 3)), np.zeros(3)), ValueError, r"shapes \(2, 3\) and \(3,\)"),
        ((np.zeros(3), np.zeros(3)), ValueError, r"shapes \(3,\) and \(3,\)"),
        ((np.zeros((0, 3)), np.zeros(0)), ValueError, "shapes"),
        (("a", "b"), TypeError, "points must be an array of real numbers"),
        ((np.zeros((1, 3)), [None]), TypeError, "values must be an array of real numbers"),
        ((np.zeros((1, 3)), [1j]), TypeError, "values must be an array of real numbers"),
        ((np.zeros((2, 4)), np.zeros(2)), ValueError, "4"),
        ((np.full((2, 3), 9.0), np.zeros(2)), ValueError, "2 points, none of which"),
        ((np.zeros((2, 3)), [np.nan, np.inf]), ValueError, "2 points, none of which"),
        (Result(x=None, fun=1.0), ValueError, "no x"),
    ],
)
def test_what_is_no_past_is_refused_before_anything_is_evaluated(source, error, words):
    fun = Asked()
    with pytest.raises(error, match=words):
        minimize(fun, method="cma", bounds=BOX, warm_start=source, budget=20)
    assert not fun.points


def test_x0_beside_a_past_is_refused():
    with pytest.raises(ValueError, match="x0 and warm_start both say where to begin"):
        minimize(bowl, np.zeros(3), bounds=BOX, warm_start=draw())


def test_a_journal_without_points_is_refused(tmp_path):
    path = tmp_path / "empty.journal"
    with Optimizer("random", bounds=BOX, budget=5, journal=path):
        pass
    with pytest.raises(ValueError, match="holds no points yet"):
        minimize(bowl, method="cma", bounds=BOX, warm_start=path)


# Which of it counts.


@given(
    arrays(float, (12, 2), elements=st.floats(-4, 4)),
    arrays(float, 12, elements=st.floats(-5, 5) | st.sampled_from([np.nan, np.inf, -np.inf])),
)
@settings(deadline=None, max_examples=50)
def test_chosen_points_are_inside_finite_distinct_and_in_order(points, values):
    lower, upper = np.array([-3.0, -1.0]), np.array([3.0, 4.0])
    fit = np.isfinite(values) & ((points >= lower) & (points <= upper)).all(axis=1)
    if not fit.any():
        with pytest.raises(ValueError, match="none of which"):
            choose_best(Evaluated(points, values), lower, upper, None, None)
        return
    chosen = choose_best(Evaluated(points, values), lower, upper, None, None)
    assert (np.diff(chosen.values) >= 0).all()
    assert chosen.values[0] == values[fit].min()
    told = {tuple(x + 0.0) for x in points[fit]}
    assert {tuple(x + 0.0) for x in chosen.points} == told
    assert len(chosen.points) == len(told)
    for x, value in zip(chosen.points, chosen.values, strict=True):
        assert value == values[fit & (points == x).all(axis=1)].min()


def test_feasible_points_come_first():
    points, values = draw()
    needs = {"type": "ineq", "fun": lambda x: x[0] - 1}
    problem = make_problem(None, BOX, needs, past=Evaluated(points, values))
    feasible = points[:, 0] >= 1
    assert problem.past.values[0] == values[feasible].min()
    assert (problem.past.points[: feasible.sum(), 0] >= 1).all()
    result = minimize(
        bowl, method="pso", bounds=BOX, constraints=needs, warm_start=(points, values), budget=100
    )
    assert result.maxcv <= 1e-6
    assert result.fun <= values[feasible].min()


def test_only_whole_numbers_count_where_integers_are_asked_for():
    points = np.array([[1.0, 0.5, 2.0], [1.5, 0.5, 2.0], [-1.0, 0.1, 0.0]])
    problem = make_problem(
        None, BOX, integrality=[1, 0, 1], past=Evaluated(points, np.array([3.0, 1.0, 2.0]))
    )
    assert np.array_equal(problem.past.points, points[[2, 0]])


@pytest.mark.parametrize("method", ["cma", "pso", "differential_evolution", "lq-cma", "slsqp"])
def test_fixed_variables_and_points_elsewhere(method):
    points, _ = draw()
    points[::2, 1] = 0.25
    values = np.array([bowl(x) for x in points])
    bounds = [(-3, 3), (0.25, 0.25), (-3, 3)]
    fun = Asked()
    result = minimize(
        fun, method=method, bounds=bounds, warm_start=(points, values), budget=60, seed=0
    )
    assert (np.array(fun.points)[:, 1] == 0.25).all()
    assert result.fun <= values[::2].min()


def test_a_lucky_value_of_a_noisy_objective_does_not_count():
    rng = np.random.default_rng(0)
    points, values = draw()
    result = minimize(
        lambda x: bowl(x) + rng.normal(),
        method="cma",
        bounds=BOX,
        noisy=True,
        warm_start=(points, values - 1000),
        budget=200,
        seed=0,
    )
    assert result.fun > -100


def test_a_target_that_is_known_to_be_reached_costs_nothing():
    fun = Asked()
    points, values = draw()
    for settings_ in ({}, {"steady": True}):
        result = minimize(
            fun,
            method="random",
            bounds=BOX,
            warm_start=(points, values),
            target=values.min(),
            **settings_,
        )
        assert (result.success, result.nfev, len(fun.points)) == (True, 0, 0)
        assert result.fun == values.min()


def test_what_was_given_is_not_changed():
    points, values = draw()
    before = points.copy(), values.copy()
    for each in (points, values):
        each.flags.writeable = False
    minimize(
        bowl, method="differential_evolution", bounds=BOX, warm_start=(points, values), budget=90
    )
    assert np.array_equal(points, before[0])
    assert np.array_equal(values, before[1])
