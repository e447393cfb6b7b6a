"""What `minimize` gives back and shows: results, histories, callbacks, the progress line."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, OptimizeResult, OptimizeWarning

from blackbox import ALGORITHMS, Result, minimize
from blackbox.history import History

BOX = [(-5.0, 5.0)] * 2


def bowl(x):
    return float(np.sum((x - 1.0) ** 2))


def valley(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


# Callbacks


@pytest.mark.parametrize("name", ALGORITHMS)
def test_both_signatures_of_a_callback(name):
    points, reports = [], []

    def by_point(xk):
        points.append(xk)

    def by_report(*, intermediate_result):
        reports.append(intermediate_result)

    for callback in (by_point, by_report):
        minimize(valley, [0.0, 0.5], method=name, bounds=BOX, seed=0, budget=250, callback=callback)
    assert len(points) == len(reports) > 1
    assert all(np.array_equal(p, r.x) for p, r in zip(points, reports, strict=True))
    assert all(valley(r.x) == r.fun for r in reports)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_callback_stops_the_run(name):
    calls = []

    def callback(x):
        calls.append(x)
        raise StopIteration

    result = minimize(valley, [0.0, 0.5], method=name, bounds=BOX, seed=0, callback=callback)
    assert len(calls) == 1
    assert not result.success
    own = {"trust-constr": 3, "cobyqa": 3, "cobyla": 30}  # scipy's codes
    assert result.status == own.get(name, 99)
    assert np.isfinite(result.fun)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_callback_must_be_callable(name):
    calls = []
    with pytest.raises(TypeError, match="call"):
        minimize(lambda x: calls.append(x), [0.0, 0.0], method=name, bounds=BOX, callback=3)
    assert not calls


# The result


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_fields_of_a_result(name):
    result = minimize(bowl, [0.0, 0.0], method=name, bounds=BOX, seed=4, budget=100)
    assert isinstance(result, Result)
    assert isinstance(result, OptimizeResult)
    assert result.x.shape == (2,)
    assert isinstance(result.fun, float)
    assert isinstance(result.success, bool)
    assert isinstance(result.status, int)
    assert isinstance(result.message, str)
    assert isinstance(result.nfev, int)
    assert isinstance(result.njev, int)
    assert isinstance(result.nit, int)
    assert result.nit >= 1
    assert result.method == name
    assert result.method_reason
    assert result.seed == 4
    assert 0 < result.seconds < 60
    assert result.history.best_value == pytest.approx(result.fun)
    assert result["x"] is result.x
    assert name in repr(result)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_history_is_consistent(name):
    result = minimize(valley, [-1.0, 2.0], method=name, bounds=BOX, seed=4, budget=300)
    history = result.history
    assert len(history.values) == len(history.evaluations) == len(history.seconds) >= 1
    assert len(history.gradients) == len(history.values)
    assert (np.diff(history.values) < 0).all()
    assert (np.diff(history.evaluations) > 0).all()
    assert (np.diff(history.seconds) >= 0).all()
    assert history.evaluations[0] >= 1
    assert history.evaluations[-1] <= result.nfev
    assert history.values[-1] == history.best_value
    assert valley(history.best_x) == history.best_value


@given(
    st.lists(
        st.lists(st.sampled_from([5.0, 4.0, 4.0, 3.0, 2.0, -1.0, np.nan]), min_size=1, max_size=5),
        min_size=1,
        max_size=8,
    )
)
def test_the_history_is_the_running_minimum(batches):
    history, flat = History(), np.concatenate(batches)
    for values in batches:
        history.failures.add_batch(np.array(values), {})
        values = np.where(np.isfinite(values), values, np.inf)
        history.record(np.arange(len(values) * 2.0).reshape(-1, 2), values)
    expected, best = [], np.inf
    for count, value in enumerate(flat, start=1):
        if value < best:
            best = value
            expected.append((count, value))
    assert list(zip(history.evaluations, history.values, strict=True)) == expected
    assert history.evaluation_count == len(flat)
    assert history.failure_count == np.isnan(flat).sum()
    finite = np.flatnonzero(np.isfinite(flat))
    assert history.failures_in_a_row == len(flat) - 1 - (finite[-1] if len(finite) else -1)


def test_a_better_incumbent_wins_and_the_solvers_own_end_is_kept_beside_it():
    calls = []

    def fun(x):
        # The fourth call is a step of the line search that is too good to be true.
        calls.append(x.copy())
        return -100.0 if len(calls) == 4 else valley(x)

    result = minimize(fun, [-1.0, 1.5], method="slsqp")
    assert result.fun == -100.0
    assert np.array_equal(result.x, calls[3])
    assert result.solver_fun == valley(result.solver_x) > result.fun
    assert result.jac is None


# The progress line


def test_the_progress_line_goes_to_stderr(capsys):
    minimize(bowl, [0.0, 0.0], method="cma", seed=0, budget=200, progress=True)
    out = capsys.readouterr()
    assert out.out == ""
    assert "cma: 200/200 evaluations" in out.err
    assert out.err.endswith("\n")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_nothing_is_printed_unasked(name, capfd):
    minimize(bowl, [0.0, 0.0], method=name, bounds=BOX, seed=0, budget=150)
    with contextlib.suppress(ZeroDivisionError):
        minimize(lambda x: 1 / 0, [0.0, 0.0], method=name, bounds=BOX, seed=0)
    out = capfd.readouterr()
    assert out.out == out.err == ""


def test_hessians_are_not_used_and_that_is_said():
    with pytest.warns(RuntimeWarning, match="Hessian"):
        minimize(bowl, [0.0, 0.0], method="slsqp", hess=lambda x: np.eye(2))


def test_a_start_outside_is_clipped_with_scipys_warning():
    for name in ALGORITHMS:
        with pytest.warns(OptimizeWarning, match="clipped"):
            result = minimize(bowl, [9.0, 0.0], method=name, bounds=BOX, budget=20, seed=0)
        assert (np.abs(result.x) <= 5).all()


@pytest.mark.parametrize(
    "bounds", [(-5, 5), BOX, np.array(BOX), Bounds(-5, 5), Bounds([-5, -5], 5)]
)
def test_bounds_in_any_form_are_the_same(bounds):
    settings = {"method": "pso", "seed": 0, "budget": 500}
    result = minimize(bowl, [0.0, 0.0], bounds=bounds, **settings)
    assert result.fun == minimize(bowl, [0.0, 0.0], bounds=BOX, **settings).fun
