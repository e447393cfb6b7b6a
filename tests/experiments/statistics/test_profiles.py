import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.record import ProblemInfo
from experiments.statistics import Times, data_profiles, performance_profiles, times
from tests.experiments.statistics.cases import by_chance, record, results

spending = st.one_of(st.integers(1, 20).map(float), st.just(np.inf))


@given(st.lists(st.tuples(spending, spending, spending), min_size=1, max_size=6))
def test_profiles_are_those_of_their_definitions(rows):
    n = np.arange(1.0, len(rows) + 1)
    made = Times(("a", "b", "c"), tuple(("p", i) for i in range(len(rows))), np.array(rows), n)
    ratios, grads = performance_profiles(made), data_profiles(made)
    for j, name in enumerate(made.methods):
        for point in (0.5, 1, 1.5, 2, 5, 25):
            close = [np.isfinite(row[j]) and row[j] <= point * min(row) for row in rows]
            assert ratios[name].on(np.array([point]))[0] == pytest.approx(np.mean(close))
            within = [row[j] <= point * (v + 1) for row, v in zip(rows, n, strict=True)]
            assert grads[name].on(np.array([point]))[0] == pytest.approx(np.mean(within))


@given(st.integers(0, 200), st.sampled_from([0.0, 1e-3, 0.1, 1.0]))
def test_times_are_those_of_the_convergence_test(seed, tau):
    found = by_chance(seed, missing=0.1)
    made = times(found, tau)
    for (problem, s), row in zip(made.pairs, made.spent, strict=True):
        runs = [r for r in found.records if r.cell.problem == problem and not r.failed]
        if not runs:
            assert np.isinf(row).all()
            continue
        info = found.problems[problem]
        best = min(r.value for r in runs) if info.optimum is None else 0.0
        start = max(np.median([r.curve.values[0] for r in runs]), best)
        for name, spent in zip(made.methods, row, strict=True):
            (run,) = [
                r
                for r in found.records
                if (r.cell.problem, r.cell.method, r.cell.seed) == (problem, name, s)
            ]
            passed = start - run.curve.values >= (1 - tau) * (start - best)
            expected = run.curve.evaluations[passed.argmax()] if passed.any() else np.inf
            assert spent == expected
    complete = {
        pair
        for pair in {(r.cell.problem, r.cell.seed) for r in found.records}
        if sum((r.cell.problem, r.cell.seed) == pair for r in found.records) == 3
    }
    assert set(made.pairs) == complete


def test_a_fastest_that_took_no_time():
    made = Times(("a", "b"), (("p", 0),), np.array([[0.0, 2.0]]), np.array([1.0]))
    found = performance_profiles(made)
    assert found["a"].on(np.array([1.0]))[0] == 1
    assert len(found["b"].at) == 0


def test_seconds_are_not_divided():
    known = {"p": ProblemInfo("p", n=9)}
    made = times(results(record(values=[9, 1], seconds=50.0), **known), 0.0, "seconds")
    assert data_profiles(made, "seconds")["a"].at == pytest.approx(1.0)
    assert data_profiles(made)["a"].at == pytest.approx(0.1)


def test_nothing_in_common_gives_flat_profiles():
    made = times(results(record("p", "a"), record("q", "b")))
    assert made.spent.shape == (0, 2)
    assert [len(s.at) for s in performance_profiles(made).values()] == [0, 0]


def test_a_tolerance_is_a_share():
    with pytest.raises(ValueError, match="tau is a share"):
        times(results(record()), 2)
