"""Laws of every method, third part: threads, the smallest cases, pickling."""

import gc
import pickle

import numpy as np
import pytest

from blackbox import Optimizer

pytestmark = pytest.mark.usefixtures("frozen")

BOX = [(-5.0, 5.0)] * 4


class Broken(Exception):
    """What an objective raises in the middle of a run."""


# Law 9: no thread or process is left behind.


@pytest.mark.law(9)
@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_abandoned_runs_leave_no_thread(row, rounds, opened, sphere, finish, small):
    count = 1 if row.exclusive else 4
    runs = [Optimizer(row.name, bounds=BOX, seed=s, **small(row)) for s in range(count)]
    for run in runs:
        finish(run, sphere, rounds=rounds)
    del run, runs
    gc.collect()


@pytest.mark.law(9)
@pytest.mark.usefixtures("no_thread_left")
def test_closed_runs_leave_no_thread(row, opened, sphere, finish):
    runs = [opened(row, seed=s) for s in range(3)]
    for run in runs:
        finish(run, sphere, rounds=2)
    for run in runs:
        run.close()
        run.close()  # closing twice is harmless
        assert run.stopped
        assert not run.success
        assert "closed" in run.reason


@pytest.mark.law(9)
@pytest.mark.usefixtures("no_thread_left")
def test_a_with_block_closes_also_on_an_error(row, small, sphere):
    run = Optimizer(row.name, bounds=BOX, seed=0, **small(row))

    def breaks():
        with run:
            run.tell([sphere(x) for x in run.ask()])
            raise Broken

    with pytest.raises(Broken):
        breaks()
    assert run.stopped


@pytest.mark.law(9)
@pytest.mark.usefixtures("no_thread_left")
def test_finished_runs_leave_no_thread(row, opened, sphere, finish):
    run = opened(row, budget=30)
    finish(run, sphere)
    assert run.stopped
    assert run.reason


@pytest.mark.law(9)
@pytest.mark.usefixtures("no_thread_left")
def test_one_of_two_interleaved_runs_may_be_abandoned(row, opened, small, sphere, finish):
    alone = finish(opened(row, seed=1), sphere, rounds=8)
    kept, dropped = opened(row, seed=1), Optimizer(row.name, bounds=BOX, seed=2, **small(row))
    seen = finish(kept, sphere, rounds=3)
    finish(dropped, sphere, rounds=2)
    del dropped
    gc.collect()
    seen += finish(kept, sphere, rounds=5)
    kept.close()
    assert all(np.array_equal(a, b) for a, b in zip(alone, seen, strict=True))


# Law 11: one variable, one point.


@pytest.mark.law(11)
def test_one_variable(row, search):
    result = search(row, lambda x: float((x[0] - 0.7) ** 2), bounds=[(-5, 5)], budget=1000)
    assert result.x.shape == (1,)
    assert result.fun < (0.7**2 if row.proof.tolerance is None or row.default_budget else 1e-3)


@pytest.mark.law(11)
def test_one_start_as_a_row(row, search, watched, sphere):
    flat, rows = watched(sphere), watched(sphere)
    search(row, flat, np.ones(4), budget=50)
    search(row, rows, np.ones((1, 4)), budget=50)
    assert np.array_equal(flat.asked, rows.asked)


@pytest.mark.law(11)
@pytest.mark.parametrize("n", [1, 4])
def test_the_smallest_population(row, n, search, opened, sphere):
    key = next((k for k in ("popsize", "swarmsize") if k in row.options()), None)
    if key is None:
        result = search(row, sphere, bounds=[(-5, 5)] * n, budget=200)
        assert np.isfinite(result.fun)
        return
    with pytest.raises(ValueError, match=f"{key}=0"):
        search(row, sphere, options={key: 0})
    size = 1
    try:
        row.make({key: size})
    except ValueError as error:
        assert "minimum of 2" in str(error)  # noqa: PT017
        size = 2
    result = search(row, sphere, bounds=[(-5, 5)] * n, budget=300, options={key: size})
    assert result.fun < sphere(np.full(n, -5.0))
    largest = max(5, size * n) if row.name == "differential_evolution" else size
    assert len(opened(row, bounds=[(-5, 5)] * n, **{key: size}).ask()) <= largest


@pytest.mark.law(11)
def test_a_box_of_one_number_a_side(row, search, sphere):
    result = search(row, sphere, np.zeros(4), bounds=(-5, 5), budget=50)
    assert result.x.shape == (4,)


# Law 12: a run can be pickled at any moment; replay restores it.


@pytest.mark.law(12)
@pytest.mark.parametrize("rounds", [0, 1, 7, 19])
@pytest.mark.parametrize("seed", [3, np.random.RandomState(4), np.random.default_rng(5)])
def test_a_pickled_run_goes_on_where_it_was(row, rounds, seed, opened, sphere, finish):
    run = opened(row, seed=seed, budget=130)
    finish(run, sphere, rounds=rounds)
    stored, expected = pickle.dumps(run), (run.evaluations, run.best_value)
    ours = finish(run, sphere)  # to its end: some methods let only one run be open
    twin = pickle.loads(stored)
    assert (twin.evaluations, twin.best_value) == expected
    theirs = finish(twin, sphere)
    assert len(ours) == len(theirs)
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert (run.reason, run.success) == (twin.reason, twin.success)
    assert np.array_equal(run.best_x, twin.best_x)
    third = pickle.loads(stored)
    assert third.evaluations < run.evaluations or not ours
    third.close()


@pytest.mark.law(12)
def test_a_stopped_and_a_closed_run_come_back_as_such(row, opened, sphere, finish):
    spent = opened(row, budget=40)
    finish(spent, sphere)
    closed = opened(row)
    finish(closed, sphere, rounds=2)
    closed.close()
    for run in (spent, closed):
        twin = pickle.loads(pickle.dumps(run))
        assert twin.stopped
        assert twin.reason == run.reason
        assert twin.evaluations == run.evaluations
        assert np.array_equal(twin.best_x, run.best_x)
        assert np.array_equal(twin.history.values, run.history.values)


@pytest.mark.law(12)
def test_a_pickled_run_that_saw_failures_goes_on(row, opened, sphere, finish):
    def fun(x):
        return np.nan if x[1] > 0 else sphere(x)

    run = opened(row, budget=80)
    finish(run, fun, rounds=4)
    stored = pickle.dumps(run)
    ours = finish(run, fun)
    twin = pickle.loads(stored)
    theirs = finish(twin, fun)
    assert len(ours) == len(theirs)
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert run.best_value == twin.best_value


@pytest.mark.law(12)
@pytest.mark.usefixtures("no_thread_left")
def test_the_twin_of_a_run_leaves_no_thread(row, opened, sphere, finish):
    run = opened(row)
    finish(run, sphere, rounds=3)
    stored = pickle.dumps(run)
    run.close()
    twin = pickle.loads(stored)
    finish(twin, sphere, rounds=2)
    del twin
    gc.collect()
