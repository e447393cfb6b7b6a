import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.plan import START, Cell
from experiments.record import AXES, Curve, ProblemInfo, Record, Results
from experiments.statistics import Steps, ecdfs, targets
from experiments.statistics.ecdf import area
from tests.experiments.statistics.cases import by_chance, record, results


@given(st.lists(st.one_of(st.floats(0, 9), st.just(np.inf)), min_size=1, max_size=9))
def test_steps_are_the_share_of_values_that_are_no_larger(values):
    values = np.array(values)
    points = np.concatenate([values[np.isfinite(values)], [-1.0, 4.5, 10.0]])
    expected = [(values <= point).mean() for point in points]
    np.testing.assert_allclose(Steps.of(values).on(points), expected, atol=1e-12)


@settings(max_examples=20)
@given(st.integers(0, 200), st.sampled_from(["evaluations", "passes"]))
def test_without_restarts_it_counts_the_pairs_that_are_hit(seed, axis):
    found = by_chance(seed)
    levels = targets(found)
    for method, curve in ecdfs(found, axis, restarts=False).items():
        for point in (0.4, 1, 7, 33, 60):
            solved = [
                any(v <= t and s / problem.n <= point for s, v in zip(spent, values, strict=True))
                for run in found.records
                if run.cell.method == method
                for problem in [found.problems[run.cell.problem]]
                for spent, values in [(run.curve.spent(axis), problem.shown(run.curve.values))]
                for t in levels[problem.name]
            ]
            assert curve.steps.on(np.array([point]))[0] == pytest.approx(np.mean(solved))
        assert (curve.pairs, curve.groups, curve.first, curve.end) == (4 * 51, 4, 1, 50)


def test_the_area_is_the_mean_height_on_a_log_axis():
    random = np.random.default_rng(3)
    values = np.append(10 ** random.uniform(-0.5, 4, 40), [np.inf] * 5)
    grid = np.geomspace(1, 1000, 200_001)
    expected = Steps.of(values).on(grid).mean()
    assert area(values, np.full(45, 1 / 45), 1, 1000) == pytest.approx(expected, abs=1e-4)


def test_an_axis_without_length_has_the_height_for_area():
    assert area(np.array([1.0, 2.0, np.inf]), np.full(3, 1 / 3), 1, 1) == pytest.approx(1 / 3)


def test_restarts_lift_the_curve_beyond_the_budget_only_where_some_run_hit():
    known = {n: ProblemInfo(n, 2, optimum=0.0, precision=True) for n in ("easy", "hard")}
    runs = [
        record("easy", "a", 0, [1e-9], [10]),
        record("easy", "a", 1, [1e3], [10]),
        record("hard", "a", 0, [1e3], [10]),
    ]
    found = results(*runs, **known)
    plain, again = ecdfs(found, restarts=False)["a"], ecdfs(found)["a"]
    assert plain.steps.share[-1] == pytest.approx(0.25)
    assert again.steps.share[-1] == pytest.approx(0.5)
    assert again.steps.at[0] == 5
    assert again.steps.on(np.array([5.0]))[0] == pytest.approx(0.25)
    assert again.steps.at[1] == 55


def test_groups_with_more_runs_count_the_same():
    known = {n: ProblemInfo(n, 1, optimum=0.0, precision=True) for n in ("p", "q")}
    runs = [record("p", "a", i, [1e-9]) for i in range(7)] + [record("q", "a", 0, [1e3])]
    assert ecdfs(results(*runs, **known))["a"].steps.share[-1] == pytest.approx(0.5)


def test_a_filter_leaves_the_other_problems_as_they_are():
    found = by_chance(5)
    alone = [ecdfs(found, problems=[f"p{i}"])["a"] for i in range(4)]
    points = np.geomspace(0.5, 1e4, 50)
    together = np.mean([curve.steps.on(points) for curve in alone], axis=0)
    np.testing.assert_allclose(ecdfs(found)["a"].steps.on(points), together, atol=1e-12)


def test_only_problems_that_all_methods_were_run_on_count():
    runs = [record("p", "a"), record("p", "b"), record("q", "a"), record("q", START)]
    found = results(*runs)
    assert {m: c.groups for m, c in ecdfs(found).items()} == {"a": 1, "b": 1}
    assert ecdfs(found, methods=["a"])["a"].groups == 2
    with pytest.raises(ValueError, match="all the methods"):
        ecdfs(found, problems=["q"])
    with pytest.raises(ValueError, match="all the methods"):
        ecdfs(results(record(method=START)))


@pytest.mark.parametrize("axis", AXES)
def test_runs_without_any_value_are_a_flat_line(axis):
    found = ecdfs(results(record(values=[]), record(method="b", values=[], seconds=0.0)), axis)
    assert [(len(c.steps.at), c.area) for c in found.values()] == [(0, 0), (0, 0)]


def test_seconds_are_not_divided_by_the_variables():
    runs = [record(method="a", values=[9, 1], seconds=4.0), record(method="b", seconds=2.0)]
    found = ecdfs(results(*runs), "seconds")
    assert found["a"].end == found["b"].end == 4.0
    assert found["b"].first == 0.02
    assert 0 < found["a"].area < found["b"].area <= 1


def test_budgets_below_the_number_of_variables_are_seen_from_one_evaluation_on():
    curve = Curve(np.array([2]), np.array([0]), np.array([0.1]), np.array([1.0]))
    records = tuple(
        Record(Cell("net", m, 0, 50), 1.0, np.zeros(1), 50, 0, 1.0, 1, curve) for m in ("a", "b")
    )
    found = ecdfs(Results(records, {"net": ProblemInfo("net", 100, optimum=0.0)}))
    assert (found["a"].first, found["a"].end) == (0.01, 0.5)
