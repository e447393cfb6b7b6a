import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.plan import START
from experiments.record import ProblemInfo
from experiments.statistics import qualities
from experiments.statistics.area import LIMITS
from tests.experiments.statistics.cases import falling, record, results

KNOWN = {
    "p": ProblemInfo("p", n=2, optimum=0.0, precision=True),
    "q": ProblemInfo("q", n=5, optimum=-3.0),
    "unknown": ProblemInfo("unknown", n=2),
}
TARGETS = [10 ** (2 - i / 5) for i in range(51)]


def share_left(run, n, optimum, target, limit):
    """What a target counts, by walking along the improvements."""
    for spent, value in zip(run.curve.evaluations, run.curve.values, strict=True):
        if value - optimum <= target * (1 + 1e-12):
            return min(1.0, max(0.0, 1 - math.log10(spent / n) / math.log10(limit)))
    return 0.0


def solves(run, problem):
    early = run.curve.values[run.curve.evaluations <= 1000 * problem.n]
    return any(value - problem.optimum <= 1e-8 for value in early)


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_it_is_the_mean_share_of_the_axis_that_is_left_after_each_hit(seed):
    random = np.random.default_rng(seed)
    runs = {
        name: [
            record(name, "a", s, values + KNOWN[name].optimum, spent, budget=6000)
            for s in range(count)
            for values, spent in [falling(random, budget=6000)]
        ]
        for name, count in [("p", 1), ("q", 3)]
    }
    found = qualities(results(*runs["p"], *runs["q"], **KNOWN))["a"]
    for area, limit in zip(found.areas, LIMITS, strict=True):
        of_problems = [
            np.mean(
                [
                    share_left(run, KNOWN[name].n, KNOWN[name].optimum, target, limit)
                    for run in of_problem
                    for target in TARGETS
                ]
            )
            for name, of_problem in runs.items()
        ]
        assert area == pytest.approx(np.mean(of_problems), abs=1e-9)
    solved = [np.mean([solves(run, KNOWN[name]) for run in of]) for name, of in runs.items()]
    assert found.solved == pytest.approx(np.mean(solved))
    assert (found.groups, found.runs) == (2, 4)


def only(values, spent, budget=5000):
    return qualities(results(record("p", "a", 0, values, spent, budget=budget), **KNOWN))["a"]


@pytest.mark.parametrize(
    ("values", "spent", "areas"),
    [
        ([0.0], [1], (1, 1, 1)),  # at once
        ([0.0], [20], (0, 1 / 2, 2 / 3)),  # everything after ten evaluations a variable
        ([0.0], [2000], (0, 0, 0)),  # at the last limit
        ([100.0], [1], (1 / 51, 1 / 51, 1 / 51)),  # the widest target alone
        ([1e3], [1], (0, 0, 0)),  # none
        ([], [], (0, 0, 0)),
        ([100.0, 1e-8], [2, 200], (1 / 51, 1 / 51, (1 + 50 / 3) / 51)),
    ],
)
def test_by_hand(values, spent, areas):
    assert only(values, spent).areas == pytest.approx(areas, abs=1e-12)


def test_a_run_is_solved_by_the_last_limit_or_not_at_all():
    assert only([1e-8], [2000]).solved == 1
    assert only([1e-8], [2001]).solved == 0
    assert only([1.1e-8], [5]).solved == 0


def test_areas_beyond_a_budget_are_not_told():
    areas = only([0.0], [1], budget=200).areas
    assert areas[:2] == pytest.approx((1, 1))
    assert math.isnan(areas[2])


def test_only_methods_and_problems_that_count_are_there():
    runs = [
        record("p", "a"),
        record("q", "a"),
        record("p", "b"),
        record("p", START),
        record("unknown", "a"),
        record("unknown", "c"),
    ]
    found = results(*runs, **KNOWN)
    assert {method: q.groups for method, q in qualities(found).items()} == {"a": 2, "b": 1}
    assert list(qualities(found, ["q"])) == ["a"]
    assert qualities(found, ["unknown"]) == {}


def test_instances_are_one_problem():
    known = KNOWN | {"p2": replace(KNOWN["p"], name="p2", group="p")}
    runs = [
        record("p", "a", 0, [0.0], [1], budget=5000),
        record("p2", "a", 0, [1e3], [1], budget=5000),
        record("q", "a", 0, [1e3], [1], budget=5000),
    ]
    found = qualities(results(*runs, **known))["a"]
    assert found.groups == 2
    assert found.areas == pytest.approx([0.25] * 3)
    assert found.solved == pytest.approx(0.25)
