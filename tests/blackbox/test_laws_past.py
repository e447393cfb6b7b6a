"""Law 14 of every method: what is known beforehand is learnt from, and never lost."""

import numpy as np
import pytest

LAW = pytest.mark.law(14)


@pytest.fixture
def past(sphere):
    """Points in the common box and their values, not in the order of these."""
    points = np.random.default_rng(5).uniform(-4, 4, (60, 4))
    return points, np.array([sphere(x) for x in points])


@LAW
def test_the_result_is_no_worse_than_the_best_of_the_past(row, search, sphere, watched, past):
    fun = watched(sphere)
    result = search(row, fun, warm_start=past, budget=40)
    assert result.fun <= past[1].min()
    assert result.fun in {past[1].min(), *fun.values}
    assert result.fun == sphere(result.x)
    assert result.nfev == len(fun.values) <= 40
    assert result.history.evaluations[0] == 0
    assert result.history.values[0] == past[1].min()


@LAW
def test_it_begins_where_its_row_says(row, search, sphere, watched, past, small):
    fun = watched(sphere)
    search(row, fun, warm_start=past, budget=30, options=small(row))
    best = past[0][past[1].argmin()]
    if row.past == "start":
        assert np.array_equal(fun.asked[0], best)
    elif row.past == "best":
        alone = watched(sphere)
        search(row, alone, None, budget=30, options=small(row))
        assert np.array_equal(fun.asked, alone.asked)
    else:
        # Near what is known to be good, or told of it: lower than where it begins alone.
        alone = watched(sphere)
        search(row, alone, None, budget=30, options=small(row))
        assert min(np.mean(fun.values), np.mean(past[1])) < np.mean(alone.values)
        assert not np.array_equal(fun.asked[: len(alone.asked)], alone.asked[: len(fun.asked)])


@LAW
def test_the_same_past_gives_the_same_run_in_any_order(row, search, sphere, watched, past):
    points, values = past
    order = np.random.default_rng(6).permutation(len(values))
    runs = []
    for source in (past, (points[order].tolist(), values[order].tolist())):
        fun = watched(sphere)
        search(row, fun, warm_start=source, budget=30)
        runs.append(fun.asked)
    assert np.array_equal(*runs)


@LAW
def test_a_run_with_a_past_goes_on_from_its_journal_alone(row, opened, sphere, past, tmp_path):
    from blackbox import Optimizer

    whole = opened(row, warm_start=past, budget=30)
    assert whole.best_value == past[1].min()
    asked = []
    while not whole.stopped:
        asked.append(whole.ask())
        whole.tell([sphere(x) for x in asked[-1]])
    whole.close()
    path = tmp_path / "run.journal"
    with opened(row, warm_start=past, budget=30, journal=path) as part:
        if not part.stopped:
            part.tell([sphere(x) for x in part.ask()])
    with Optimizer.restore(path) as rest:
        for batch in asked[1:]:
            assert np.array_equal(rest.ask(), batch)
            rest.tell([sphere(x) for x in batch])
        assert rest.stopped
        assert rest.best_value == whole.best_value
