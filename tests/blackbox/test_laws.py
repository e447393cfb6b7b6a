"""Laws of every method, first part: it solves, repeats itself, stays inside, keeps its word.

A new method is tested by being registered in the table.
"""

import copy
import pickle
import random
import threading
import warnings

import numpy as np
import pytest
import torch

from blackbox import minimize
from blackbox.types import Problem, Told

SEEDS = range(3)


# Law 1: it solves what its row says.


@pytest.mark.law(1)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", ["sphere", "ellipsoid"])
def test_solves_what_its_row_says(row, shape, seed, search, ellipsoid):
    proof = row.proof
    fun = ellipsoid(1.0 if shape == "sphere" else proof.condition, seed)
    start = np.random.default_rng(seed).uniform(-4, 4, 4)
    x0 = start if row.start != "seeded" else None
    result = search(row, fun, x0, budget=proof.budget, options=dict(proof.options), seed=seed)
    assert result.nfev <= proof.budget
    if proof.tolerance is None:
        assert result.fun < fun(start)
    else:
        assert result.fun < proof.tolerance


@pytest.mark.law(1)
def test_a_method_whose_start_is_used_begins_there(row, opened):
    x0 = np.array([1.0, -2.0, 3.0, 0.5])
    first = opened(row, x0).ask()
    if row.start == "seeded":
        assert first.shape[1] == 4
        assert np.array_equal(first[0], x0)
    elif row.many_starts:
        assert np.array_equal(first, x0[None])
    else:
        # A population around the start, or the start itself.
        assert np.linalg.norm(first.mean(axis=0) - x0) < 4
        other = opened(row, -x0).ask()
        assert np.linalg.norm(other.mean(axis=0) - x0) > np.linalg.norm(first.mean(axis=0) - x0)


# Law 2: the same seed gives the same run, and nothing global is touched.


@pytest.mark.law(2)
def test_same_seed_same_run(row, search, sphere, watched):
    runs = [watched(sphere) for _ in range(2)]
    first, second = (search(row, fun, budget=400, seed=7) for fun in runs)
    assert np.array_equal(runs[0].asked, runs[1].asked)
    assert np.array_equal(first.x, second.x)
    assert first.fun == second.fun
    assert first.message == second.message


@pytest.mark.law(2)
def test_another_seed_gives_another_run_where_the_seed_matters(row, search, sphere, watched):
    runs = [watched(sphere) for _ in range(2)]
    for fun, seed in zip(runs, (1, 2), strict=True):
        search(row, fun, np.zeros(4), budget=150, seed=seed)
    assert np.array_equal(runs[0].asked, runs[1].asked) != row.random


@pytest.mark.law(2)
def test_interleaved_runs_do_not_disturb_each_other(row, opened, sphere, finish):
    alone = [finish(opened(row, seed=s, budget=150), sphere) for s in (1, 2)]
    both = [opened(row, seed=s, budget=150) for s in (1, 2)]
    batches = [[], []]
    while not all(run.stopped for run in both):
        for run, seen in zip(both, batches, strict=True):
            seen += finish(run, sphere, rounds=1)
    for expected, seen in zip(alone, batches, strict=True):
        assert len(expected) == len(seen)
        assert all(np.array_equal(a, b) for a, b in zip(expected, seen, strict=True))


@pytest.mark.law(2)
def test_runs_in_threads_do_not_disturb_each_other(row, search, sphere):
    expected = [search(row, sphere, budget=200, seed=s) for s in range(3)]
    told = {}

    def work(seed):
        told[seed] = search(row, sphere, budget=200, seed=seed)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for seed, result in enumerate(expected):
        assert np.array_equal(result.x, told[seed].x)
        assert result.nfev == told[seed].nfev


@pytest.mark.law(2)
def test_ask_and_tell_walks_as_minimize_does(row, search, opened, small, sphere, watched, finish):
    fun = watched(sphere)
    result = search(row, fun, budget=150, options=small(row))
    run = opened(row, budget=150)
    batches = finish(run, sphere)
    assert np.array_equal(np.concatenate(batches), fun.asked)
    assert run.evaluations == result.nfev
    assert run.reason == result.message
    assert run.success == result.success
    assert run.best_value == min(result.fun, result.get("solver_fun", np.inf))


@pytest.mark.law(2)
def test_global_random_state_is_untouched(row, search, opened, sphere, finish):
    np.random.seed(5)  # noqa: NPY002
    before = copy.deepcopy(np.random.get_state())  # noqa: NPY002
    plain, tensors = random.getstate(), torch.random.get_rng_state()
    search(row, sphere, budget=150, seed=3)
    finish(opened(row, budget=50), sphere)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert random.getstate() == plain
    assert torch.equal(torch.random.get_rng_state(), tensors)


@pytest.mark.law(2)
def test_global_settings_are_untouched_by_interleaved_runs(row, opened, sphere, finish):
    finish(opened(row), sphere, rounds=1)  # the method's library is imported now
    filters, errors, threads = list(warnings.filters), np.geterr(), torch.get_num_threads()
    runs = [opened(row, np.zeros(4), seed=s) for s in range(2)]
    for run in runs:
        finish(run, sphere, rounds=2)
    parked = list(warnings.filters)
    for run in runs:
        run.close()
    ended = list(warnings.filters)
    warnings.filters[:] = filters
    assert parked == filters
    assert ended == filters
    assert np.geterr() == errors
    assert torch.get_num_threads() == threads


@pytest.mark.law(2)
@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_the_seed_may_be_a_random_stream(row, make, search, sphere, watched):
    runs = [watched(sphere) for _ in range(2)]
    stream = make(11)
    result = search(row, runs[0], budget=200, seed=stream)
    search(row, runs[1], budget=200, seed=make(11))
    assert np.array_equal(runs[0].asked, runs[1].asked)
    assert result.seed is stream


@pytest.mark.law(2)
def test_the_seed_of_a_result_repeats_the_run(row, search, sphere):
    first = search(row, sphere, budget=150, seed=None)
    second = search(row, sphere, budget=150, seed=first.seed)
    assert isinstance(first.seed, int)
    assert np.array_equal(first.x, second.x)


# Law 3: it never asks outside the bounds.


@pytest.mark.law(3)
@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
@pytest.mark.parametrize("optimum", [-8.0, 0.7, 8.0])
@pytest.mark.parametrize("start", [None, -5.0, 5.0])
def test_never_asks_outside_the_bounds(row, start, optimum, jac, search, watched):
    if jac is not None and row.gradients == "none":
        jac = False
    low, high = np.array([-5.0, -5.0, -1.0, 0.1]), np.array([5.0, -4.9, 5.0, 0.3])
    fun = watched(lambda x: float(np.sum((x - optimum) ** 2)))
    x0 = None if start is None else np.clip(np.full(4, start), low, high)
    bounds = list(zip(low, high, strict=True))
    result = search(row, fun, x0, bounds=bounds, budget=300, jac=jac)
    assert (fun.asked >= low).all()
    assert (fun.asked <= high).all()
    assert (result.x >= low).all()
    assert (result.x <= high).all()


@pytest.mark.law(3)
@pytest.mark.parametrize("optimum", [-8.0, 8.0])
def test_half_open_bounds_are_kept_where_no_box_is_required(row, optimum, search, watched):
    low = np.array([-5.0, -np.inf, -1.0, -np.inf])
    high = np.array([np.inf, 5.0, 1.0, np.inf])
    bounds = [(-5, None), (None, 5), (-1, 1), (None, None)]
    fun = watched(lambda x: float(np.sum((x - optimum) ** 2)))
    if row.bounds == "required":
        with pytest.raises(ValueError, match=r"needs finite bounds.*\[0, 1, 3\]"):
            search(row, fun, np.zeros(4), bounds=bounds, budget=100)
        assert not fun.points
        return
    search(row, fun, np.zeros(4), bounds=bounds, budget=400)
    assert (fun.asked >= low).all()
    assert (fun.asked <= high).all()


@pytest.mark.law(3)
def test_a_narrow_box_far_from_zero_is_kept(row, search, watched):
    low = np.array([1e6, -1e6, 1e-9, 1.0])
    high = low + np.array([1e-3, 1e3, 1e-9, 1e-6])
    fun = watched(lambda x: float(np.sum(((x - low) / (high - low)) ** 2)))
    search(row, fun, bounds=list(zip(low, high, strict=True)), budget=200)
    assert (fun.asked >= low).all()
    assert (fun.asked <= high).all()


# Law 4: ask is idempotent until tell, and gives a copy.


@pytest.mark.law(4)
def test_asking_again_gives_the_same_points(row, opened, sphere, finish):
    run = opened(row)
    for _ in range(3):
        assert np.array_equal(run.ask(), run.ask())
        finish(run, sphere, rounds=1)


@pytest.mark.law(4)
def test_points_and_values_are_the_callers_to_change(row, opened, sphere, finish):
    run, clean = opened(row, budget=60), opened(row, budget=60)
    for expected in finish(clean, sphere):
        points = run.ask()
        assert points.flags.writeable
        assert points.dtype == np.float64
        points[:] = np.nan
        assert np.array_equal(run.ask(), expected)
        values = np.array([sphere(x) for x in expected])
        run.tell(values)
        values[:] = -1.0
    assert run.stopped
    assert run.best_value == clean.best_value
    best = run.best_x
    best[:] = np.nan
    assert np.array_equal(run.best_x, clean.best_x)


@pytest.mark.law(4)
@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([], ValueError),
        ([[1.0]], ValueError),
        (np.ones(77), ValueError),
        (1.0, ValueError),
        ("abc", TypeError),
        (None, TypeError),
    ],
)
def test_a_wrong_tell_changes_nothing(row, values, error, opened, sphere, finish):
    run, clean = opened(row, budget=40), opened(row, budget=40)
    with pytest.raises(error, match="values"):
        run.tell(values)
    with pytest.raises(TypeError, match="values"):
        run.tell(np.ones(len(run.ask())) * 1j)
    with pytest.raises(ValueError, match="-inf"):
        run.tell(np.full(len(run.ask()), -np.inf))
    with pytest.raises(ValueError, match="not asked for"):
        run.tell(np.ones(len(run.ask())), np.ones(run.ask().shape))
    assert run.evaluations == 0
    told = finish(run, sphere)
    assert all(np.array_equal(a, b) for a, b in zip(told, finish(clean, sphere), strict=True))


@pytest.mark.law(4)
def test_a_stopped_run_says_so(row, opened, sphere, finish):
    run = opened(row, budget=10)
    finish(run, sphere)
    with pytest.raises(RuntimeError, match="stopped"):
        run.ask()
    with pytest.raises(RuntimeError, match="stopped"):
        run.tell([1.0])
    assert run.reason
    assert repr(run).count(run.reason) == 1


# Law 5: the budget is exact.


@pytest.mark.law(5)
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("budget", [1, 7, 100, 101])
def test_the_budget_is_exact(row, budget, batched, search, sphere):
    seen = []

    def fun(x):
        rows = np.atleast_2d(x)
        seen.extend(rows.copy())
        values = np.array([sphere(each) for each in rows])
        return values if batched else values[0]

    result = search(row, fun, budget=budget, batched=batched)
    assert result.nfev == len(seen) <= budget
    assert result.history.evaluation_count == len(seen)
    if "budget" in result.message:
        assert result.nfev == budget
        assert not result.success
        assert "raise budget=" in result.message
    else:
        assert result.success or result.status != 1


@pytest.mark.law(5)
def test_a_last_batch_is_cut_and_recorded(row, search, watched, opened, sphere, finish):
    if row.name in ("lhs", "grid"):
        pytest.skip("its design is of the budget's size")
    run = opened(row, bounds=[(-5, 5)] * 4)
    first = len(run.ask())
    batches = finish(run, sphere, rounds=3)
    budget = sum(map(len, batches)) - 1
    cut = opened(row, budget=budget)
    again = finish(cut, sphere)
    assert first >= 1
    assert np.array_equal(np.concatenate(again), np.concatenate(batches)[:budget])
    assert cut.evaluations == budget
    assert cut.stopped


# Law 6: the result is the best finite value told.


def replay(row, fun, options, budget):
    """The best value a plain loop over the bare run sees, stencil points aside."""
    problem = Problem(np.full(4, -5.0), np.full(4, 5.0), np.empty((0, 4)), budget=budget)
    run = row.make(options).run(problem, np.random.default_rng(0))
    best, spent, ask = np.inf, 0, next(run)
    while spent < budget:
        values = np.array([fun(x) for x in ask.points[: budget - spent]])
        values = np.where(np.isfinite(values), values, np.inf)
        spent += len(values)
        if not ask.stencil:
            best = min(best, values.min())
        if len(values) < len(ask.points):
            break
        try:
            ask = run.send(Told(values))
        except StopIteration:
            break
    run.close()
    return best


@pytest.mark.law(6)
@pytest.mark.parametrize("holes", [False, True])
def test_the_result_is_the_best_finite_value_told(row, holes, search, small, sphere, watched):
    def rough(x):
        value = sphere(x) + np.sin(40 * x).sum()
        return np.nan if holes and np.sin(7 * x[1]) > 0.5 else value

    fun = watched(rough)
    result = search(row, fun, budget=333, options=small(row))
    assert result.fun == replay(row, rough, small(row), 333)
    assert any(np.array_equal(result.x, x) for x in fun.points)
    assert rough(result.x) == result.fun


@pytest.mark.law(6)
@pytest.mark.filterwarnings("ignore:Method .* does not use gradient:RuntimeWarning")
def test_the_result_is_the_best_where_gradients_are_given(row, search, watched):
    fun = watched(lambda x: float(np.sum((x - 0.7) ** 2) + np.sin(9 * x).sum()))

    def jac(x):
        return 2 * (x - 0.7) + 9 * np.cos(9 * x)

    # It uses gradients at its end only.
    early = {"maxiter": 2, "popsize": 5} if row.name == "differential_evolution" else {}
    result = search(row, fun, np.full(4, 3.0), jac=jac, budget=200, options=early)
    assert result.fun == min(fun.values)
    assert fun.fun(result.x) == result.fun
    assert (result.njev > 0) == (row.gradients == "optional")


@pytest.mark.law(6)
def test_a_result_can_be_stored(row, search, sphere):
    result = search(row, sphere, budget=60)
    stored = pickle.loads(pickle.dumps(result))
    assert np.array_equal(stored.x, result.x)
    assert np.array_equal(stored.history.values, result.history.values)


def test_auto_is_a_method_of_the_table(sphere):
    result = minimize(sphere, np.zeros(4), seed=0)
    assert result.fun < 1e-6
