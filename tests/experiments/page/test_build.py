from dataclasses import replace

import numpy as np
import pytest

from experiments.page import Line, MethodInfo, Shown, content_from
from experiments.page.write import render
from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Results, Training

METHODS = [MethodInfo("adam", "Adam", "#0072B2"), MethodInfo("cma", "CMA-ES", "#CC79A7")]


def record(problem, method, seed, value, **more):
    curve = Curve(np.array([1]), np.array([0]), np.array([0.1]), np.array([value]))
    if not np.isfinite(value):
        curve = Curve.empty()
    return Record(
        Cell(problem, method, seed, 100), value, np.zeros(2), 100, 10 * seed, 0.5, 1, curve, **more
    )


@pytest.fixture
def results():
    steps = Training(np.array([1, 5]), np.array([2.0, 1.0]), np.array([0.5, 0.1]))
    records = [
        *(record("f:i=1", "adam", s, 4.0 + s, training=steps) for s in range(2)),
        record("f:i=2", "adam", 0, 19.0, training=steps),
        record("f:i=1", "cma", 0, np.inf, error="ValueError: needs bounds"),
        record("f:i=1", "cma", 1, np.inf, error="ValueError: needs bounds"),
        record("f:i=2", "cma", 0, 10.5, report={"accuracy": 0.9}),
        record("g", "cma", 0, 1.0),
    ]
    problems = {
        "f:i=1": ProblemInfo("f:i=1", 2, "A valley", "Somebody, 1960", 1.0, "f", True),
        "f:i=2": ProblemInfo("f:i=2", 2, "A valley", "Somebody, 1960", 10.0, "f", True),
        "g": ProblemInfo("g", 1),
    }
    return Results(tuple(records), problems)


def bands(results):
    line = Line(np.array([1.0, 100.0]), np.array([9.0, np.inf]), np.ones(2), np.full(2, np.inf))
    found = dict.fromkeys(results.by_group(), line)
    return {"evaluations": found, "passes": found}


def test_what_is_shown_of_results(results):
    content = content_from(results, METHODS, bands(results), title="T", command="do it")
    assert dict(content.facts) == {
        "Problems": "2",
        "Methods": "2",
        "Seeds": "2",
        "Runs": "7",
        "Budget": "100 evaluations",
        "Failed": "2 runs",
    }
    convergence, training = content.charts
    assert [panel.name for panel in convergence.panels] == ["f", "g"]
    assert [view.name for view in convergence.panels[0].views] == ["evaluations", "forward passes"]
    assert set(convergence.panels[1].views[0].lines) == {"cma"}
    assert convergence.panels[0].views[0].y_label == "distance from the optimum, 1e-8 at least"
    assert convergence.panels[0].views[0].mark is None
    assert convergence.panels[1].about == "1 variable."
    assert [panel.name for panel in training.panels] == ["f"]
    assert [view.name for view in training.panels[0].views] == ["loss", "gradient norm"]
    assert "Somebody, 1960" in render(content)


def test_medians_are_of_distances_and_never_nan(results):
    (table,) = content_from(results, METHODS, bands(results), title="T").tables
    titles = [column.title for column in table.columns]
    rows = {(row[0], row[1]): dict(zip(titles, row, strict=True)) for row in table.rows}
    adam, cma = rows["f", "adam"], rows["f", "cma"]
    assert (adam["median"], adam["best"], adam["failed"]) == (4.0, 3.0, 0)  # of 3, 4 and 9
    assert adam["quartiles"].text == "3.5 – 6.5"
    assert np.isnan(adam["accuracy"])
    assert (cma["median"], cma["best"]) == (np.inf, 0.5)
    assert cma["failed"] == Shown("2 of 3", 2)
    assert cma["quartiles"].text == "failed – failed"
    assert cma["accuracy"] == 0.9
    assert "nan" not in render(content_from(results, METHODS, bands(results), title="T"))


def test_failures_say_which_and_why(results):
    failures = content_from(results, METHODS, bands(results), title="T").failures
    assert failures.rows == [["f:i=1", "cma", 2, "0, 1", "ValueError: needs bounds"]]


def test_what_went_wrong_has_a_table(results):
    faulty = replace(results.records[0], findings=("overfitting", "exploding"))
    again = replace(results.records[1], findings=("overfitting",))
    found = Results((faulty, again, *results.records[2:]), results.problems)
    content = content_from(found, METHODS, bands(results), title="T")
    assert [table.title for table in content.tables] == ["Results", "What went wrong"]
    assert content.tables[1].rows == [
        ["f", "adam", "overfitting", 2, "0, 1"],
        ["f", "adam", "exploding", 1, "0"],
    ]


def test_one_problem_needs_no_column_of_its_own(results):
    alone = Results(results.records[-1:], results.problems)
    content = content_from(alone, METHODS, bands(alone), title="T")
    assert content.tables[0].columns[0].title == "method"
    assert content.failures is None
    assert len(content.charts) == 1


def test_results_may_be_empty():
    content = content_from(Results((), {}), [], {"evaluations": {}}, title="Nothing yet")
    assert "Nothing yet" in render(content)
