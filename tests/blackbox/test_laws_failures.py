"""Laws of every method, second part: failed evaluations, bad arguments, errors and Ctrl-C."""

import threading

import numpy as np
import pytest
from scipy.optimize import Bounds

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.budget import FAILURE_LIMIT

pytestmark = pytest.mark.usefixtures("no_thread_left")

LOCAL = [
    row.name for row in ALGORITHMS.values() if row.gradients == "optional" and row.start != "seeded"
]
START = np.array([-2.0, 1.0, -1.0, 2.0])


class Broken(Exception):
    """What a failing objective raises."""


def fail(kind):
    if kind == "raise":
        raise Broken("simulated failure")
    return {"nan": np.nan, "inf": np.inf}[kind]


# Law 7: failures in a region, at random, everywhere.


@pytest.mark.law(7)
@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
def test_converges_beside_a_region_of_failures(row, kind, search, sphere, watched):
    proof = row.proof
    fun = watched(lambda x: fail(kind) if x[0] > 2 else sphere(x))
    result = search(
        row,
        fun,
        START,
        budget=proof.budget,
        options=dict(proof.options),
        on_error="penalize" if kind == "raise" else "raise",
    )
    assert np.isfinite(result.fun)
    assert result.x[0] <= 2
    if proof.tolerance is None:
        assert result.fun < sphere(START)
    else:
        assert result.fun < 100 * proof.tolerance
    if row.start == "seeded":
        assert result.history.failure_count > 0


@pytest.mark.law(7)
@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
def test_a_quarter_of_failures_at_random(row, kind, search, sphere):
    proof, coin = row.proof, np.random.default_rng(1)
    near = row.tolerates_failures and proof.tolerance is not None  # what others reach is not said
    seen = []

    def fun(x):
        if seen and coin.random() < 0.25:
            return fail(kind)
        seen.append(sphere(x))
        return seen[-1]

    result = search(
        row,
        fun,
        START,
        budget=min(proof.budget, 6000 if near else 1000),
        options=dict(proof.options),
        on_error="penalize" if kind == "raise" else "raise",
    )
    assert np.isfinite(result.fun)
    assert result.fun == sphere(result.x)
    assert result.fun <= sphere(START)
    if near:
        assert result.fun < max(100 * proof.tolerance, 1e-3)


@pytest.mark.law(7)
@pytest.mark.parametrize("kind", ["nan", "inf", "raise"])
@pytest.mark.parametrize("start", [None, START])
def test_nothing_but_failures_ends_soon(row, kind, start, search, watched):
    fun = watched(lambda x: fail(kind))
    on_error = "penalize" if kind == "raise" else "raise"
    result = search(row, fun, start, on_error=on_error)
    largest = 200
    assert len(fun.points) == result.nfev <= FAILURE_LIMIT + largest
    assert not result.success
    assert result.fun == np.inf
    assert result.x.shape == (4,)
    assert np.isfinite(result.x).all()
    assert result.history.failure_count == result.nfev
    assert "success" not in result.message.lower()


@pytest.mark.law(7)
def test_nothing_but_failures_is_never_a_success(row, small, search):
    # The methods' own stopping rules see a flat landscape here.
    rules = {"patience": 2} if "patience" in row.options() else {}
    result = search(row, lambda x: np.nan, START, options=small(row) | rules)
    assert result.fun == np.inf
    assert not result.success


@pytest.mark.law(7)
def test_failures_end_an_ask_and_tell_run_too(row, opened):
    run = opened(row, START)
    while not run.stopped:
        run.tell(np.full(len(run.ask()), np.nan))
        assert run.evaluations <= FAILURE_LIMIT + 200
    assert not run.success
    assert run.best_value == np.inf


@pytest.mark.law(7)
def test_a_failed_start_is_survived(row, search, sphere, watched):
    fun = watched(lambda x: np.nan if np.array_equal(x, START) else sphere(x))
    result = search(row, fun, START, budget=2000, options=dict(row.proof.options))
    if row.gradients == "optional" and row.start != "seeded":
        # A local method cannot leave a start that has no value; it must not pretend otherwise.
        assert not result.success
    else:
        assert result.fun < sphere(START)
    assert not np.isnan(result.fun)
    assert np.isfinite(result.x).all()


# Law 8: arguments that make no sense are named before the first evaluation.

BOX = [(-5.0, 5.0)] * 4
BAD = {
    "start of nan": ((np.array([1, np.nan, 0, 0]), BOX), ValueError, "x0"),
    "start of inf": ((np.array([1, np.inf, 0, 0]), BOX), ValueError, "x0"),
    "empty start": (([], BOX), ValueError, "x0"),
    "no starts": ((np.empty((0, 4)), BOX), ValueError, "x0"),
    "start of strings": ((["a", "b", "c", "d"], BOX), TypeError, "x0"),
    "complex start": ((np.ones(4) * 1j, BOX), TypeError, "x0"),
    "start of objects": (([None, 1, 2, 3], BOX), TypeError, "x0"),
    "ragged start": (([[1.0], [1.0, 2.0]], BOX), TypeError, "x0"),
    "start of three axes": ((np.ones((2, 2, 4)), BOX), ValueError, "x0"),
    "bounds for another dimension": ((np.ones(3), BOX), ValueError, "bounds"),
    "crossed bounds": ((np.ones(4), [(5, -5)] * 4), ValueError, "bounds"),
    "one crossed pair": ((np.ones(4), [(-5, 5)] * 3 + [(5, -5)]), ValueError, "bounds"),
    "nan bound": ((np.ones(4), [(-5, np.nan)] * 4), ValueError, "bounds"),
    "nan pair for all": ((np.ones(4), (np.nan, 5)), ValueError, "bounds"),
    "nan in Bounds": ((np.ones(4), Bounds(np.nan, 5)), ValueError, "bounds"),
    "bounds of strings": ((np.ones(4), [("a", "b")] * 4), TypeError, "bounds"),
    "bounds of triples": ((np.ones(4), [(1, 2, 3)] * 4), ValueError, "bounds"),
    "empty bounds": ((None, []), ValueError, "bounds"),
    "bounds that are a number": ((np.ones(4), 5), TypeError, "bounds"),
    "bounds at infinity": ((np.ones(4), [(np.inf, np.inf)] * 4), ValueError, "bounds"),
    "neither start nor bounds": ((None, None), ValueError, "x0"),
    "one pair and no dimension": ((None, (-5, 5)), ValueError, "x0"),
}


@pytest.mark.law(8)
@pytest.mark.parametrize("case", BAD)
def test_bad_starts_and_bounds_are_named_before_the_first_evaluation(row, case, watched, sphere):
    (x0, bounds), error, name = BAD[case]
    fun = watched(sphere)
    with pytest.raises(error, match=name):
        minimize(fun, x0, method=row.name, bounds=bounds, seed=0, budget=10)
    assert not fun.points
    with pytest.raises(error, match=name):
        Optimizer(row.name, x0, bounds=bounds, seed=0)


@pytest.mark.law(8)
@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("budget", 0, ValueError),
        ("budget", -3, ValueError),
        ("budget", 10.0, TypeError),
        ("budget", True, TypeError),
        ("seed", -1, ValueError),
        ("seed", 1.5, TypeError),
        ("seed", True, TypeError),
        ("seed", "abc", TypeError),
    ],
)
def test_a_bad_budget_or_seed_is_named(row, argument, value, error, search, watched, sphere):
    fun = watched(sphere)
    with pytest.raises(error, match=argument):
        search(row, fun, **{argument: value})
    assert not fun.points
    with pytest.raises(error, match=argument):
        Optimizer(row.name, np.zeros(4), bounds=BOX, **{argument: value})


@pytest.mark.law(8)
def test_several_starts_only_where_the_row_takes_them(row, search, watched, sphere):
    fun = watched(sphere)
    if row.several_starts:
        starts = np.arange(12.0).reshape(3, 4) / 4 - 1
        result = search(row, fun, starts, bounds=(-9, 9), budget=200)
        assert result.x.shape == (4,)
        # None is dropped in silence.
        assert all(any(np.array_equal(start, x) for x in fun.points) for start in starts)
        if "swarmsize" in row.options():
            with pytest.raises(ValueError, match="x0 has 3 starts for swarmsize=2"):
                search(row, fun, starts, bounds=(-9, 9), options={"swarmsize": 2})
        return
    with pytest.raises(ValueError, match="x0 has 3"):
        search(row, fun, np.zeros((3, 4)), budget=60)
    assert not fun.points


# Law 9: errors and Ctrl-C reach the caller, with the result so far.


def valley(x):
    """Rosenbrock's: no method is done with it soon."""
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


@pytest.mark.law(9)
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("at", [1, 2, 30])
def test_errors_reach_the_caller_with_the_result_so_far(row, at, error, search, watched):
    def breaks(x):
        if len(fun.points) == at:
            raise error("stop here")
        return valley(x)

    fun = watched(breaks)
    with pytest.raises(error, match="stop here") as caught:
        search(row, fun, START)
    assert len(fun.points) == at
    result = caught.value.result
    assert at - 1 <= result.nfev <= at
    assert not result.success
    assert error.__name__ in result.message
    if at > 1:
        assert result.fun in fun.values
        assert valley(result.x) == result.fun


@pytest.mark.law(9)
def test_failed_evaluations_before_an_error_are_counted(row, search, watched):
    def breaks(x):
        if len(fun.points) == 16:
            raise Broken
        return np.nan if len(fun.points) % 3 == 0 else valley(x)

    fun = watched(breaks)
    with pytest.raises(Broken) as caught:
        search(row, fun, START)
    assert 15 <= caught.value.result.nfev <= 16
    assert caught.value.result.history.failure_count >= 5


@pytest.mark.law(9)
def test_an_error_in_a_batched_objective_leaves_the_batches_before(row, small, search):
    told = []

    def fun(points):
        if sum(map(len, told)) > 11:
            raise Broken
        told.append(np.array([valley(x) for x in points]))
        return told[-1]

    with pytest.raises(Broken) as caught:
        search(row, fun, START, batched=True, options=small(row))
    result = caught.value.result
    assert result.nfev == sum(map(len, told))
    assert result.fun in np.concatenate(told)


@pytest.mark.law(9)
@pytest.mark.parametrize("name", LOCAL)
def test_an_error_inside_a_stencil_leaves_no_stencil_point_as_the_best(name, watched):
    fun = watched(lambda x: 1 / 0 if len(fun.points) == 4 else -float(x.sum()))
    with pytest.raises(ZeroDivisionError) as caught:
        minimize(fun, np.ones(4), method=name, bounds=BOX)
    assert min(fun.values) < fun.values[0]
    assert np.array_equal(caught.value.result.x, np.ones(4))
    assert caught.value.result.fun == fun.values[0]


@pytest.mark.law(9)
@pytest.mark.parametrize("name", LOCAL)
def test_an_objective_of_gradients_may_fail(name, watched):
    def fun(x):
        return valley(x)

    def jac(x):
        slopes.append(x)
        if len(slopes) == 3:
            raise Broken
        return 2 * x

    slopes = []
    with pytest.raises(Broken) as caught:
        minimize(fun, START, method=name, bounds=BOX, jac=jac)
    assert np.isfinite(caught.value.result.fun)
    slopes.clear()
    result = minimize(fun, START, method=name, bounds=BOX, jac=jac, on_error="penalize", budget=20)
    assert np.isfinite(result.fun)


@pytest.mark.law(9)
def test_an_error_in_a_callback_reaches_the_caller(row, search, sphere):
    def callback(x):
        raise Broken

    with pytest.raises(Broken) as caught:
        search(row, sphere, START, callback=callback)
    assert np.isfinite(caught.value.result.fun)


@pytest.mark.law(9)
def test_user_code_runs_in_the_callers_thread(row, search, sphere):
    threads = set()

    def fun(x):
        threads.add(threading.current_thread())
        return sphere(x)

    search(row, fun, START, budget=50, callback=lambda x: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}
