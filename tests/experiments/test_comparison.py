import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import Comparison, compare, tables, telling
from experiments.comparison import load
from experiments.plan import START
from experiments.problems import article, find
from experiments.sections import sections
from experiments.statistics import bands
from experiments.storage import StoreError
from tests.experiments import own

METHODS = ["slsqp", "cma", "pso"]


@pytest.fixture(scope="module")
def comparison():
    return compare(["article"], METHODS, seeds=3, budget=400)


@pytest.fixture(scope="module")
def several():
    return compare(["bbob:f=1,3:n=2:i=1-2", own.moody], ["start", "cma", "slsqp"], 2, "40n")


@pytest.fixture(scope="module")
def tuned():
    return compare(["finetune"], ["start", "cma"], seeds=2, budget=60)


def rows(table):
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def test_statistics_are_those_of_the_records(comparison):
    line = comparison.summary()["methods"][0]
    values = [r.value for r in comparison.records if r.cell.method == line["method"]]
    assert line["median"] == np.median(values)
    assert line["best"] == min(values)
    assert line["solved"] == np.mean([v <= 1.01 * article.OPTIMUM for v in values])
    assert line["evaluations"] == line["passes"] == 400
    assert line["failed"] == 0


def test_a_table_has_the_best_median_first(comparison):
    found = rows(comparison.table())
    medians = [float(row["median"]) for row in found]
    assert sorted(row["method"] for row in found) == sorted(METHODS)
    assert medians == sorted(medians)
    assert "begins again" in comparison.table().markdown()
    assert comparison.table().title == "article: 400 evaluations, 3 seeds"


def test_the_best_of_each_problem_is_marked(several, comparison):
    table = several.table()
    for group in several.groups:
        lines = [i for i, row in enumerate(table.rows) if row[0] == group]
        best = [i for i in lines if table.rows[i][2] == table.rows[lines[0]][2]]
        assert sorted(set(table.best) & set(lines)) == best
    assert f"**{comparison.table().rows[0][0]}**" in comparison.table().markdown()
    assert comparison.table().markdown().count("**") == 2 * len(comparison.table().columns)


def test_json_holds_all_records(comparison):
    read = json.loads(comparison.to_json())
    assert len(read["records"]) == 9
    assert {row["method"] for row in read["methods"]} == set(METHODS)
    assert read["records"][0]["evaluations"] == 400
    assert read["settings"]["budget"] == 400
    assert read["complete"] is True
    assert "numpy" in read["versions"]


def test_a_frame_has_a_line_a_record(comparison):
    frame = comparison.to_frame()
    assert list(frame["value"]) == [record.value for record in comparison.records]
    assert set(frame["method"]) == set(METHODS)


def test_a_plot_is_an_svg_and_a_png(comparison, tmp_path):
    files = comparison.plot(tmp_path / "c.png")
    assert {path.name for path in files} == {"c.png", "c.svg"}
    assert all(path.stat().st_size > 10_000 for path in files)


def test_nothing_run_is_still_a_table():
    assert list(Comparison((), {}).table().rows) == []
    assert Comparison((), {}).table().title == "nothing was run"


def test_an_early_end_is_said(comparison):
    whole = comparison.table().markdown()
    part = Comparison(comparison.records[:-1], comparison.problems, planned=9)
    assert not part.complete
    assert "Incomplete: 8 of 9 cells" in part.table().markdown()
    assert "Incomplete" not in whole


def test_instances_are_shown_together_and_as_distances(several):
    found = rows(several.table())
    assert {row["problem"] for row in found} == {"bbob:f=1:n=2", "bbob:f=3:n=2", "moody"}
    records = [r for r in several.records if several.group(r) == "bbob:f=3:n=2"]
    values = [r.value - find(r.cell.problem).optimum for r in records if r.cell.method == "slsqp"]
    assert len(values) == 4
    (line,) = (r for r in found if r["problem"] == "bbob:f=3:n=2" and r["method"] == "slsqp")
    assert float(line["median"]) == pytest.approx(np.median(values), rel=1e-3)
    assert min(values) >= 0


def test_the_standing_ranks_all_methods_but_the_start(several):
    found = rows(several.standing())
    assert {row["method"] for row in found} == {"cma", "slsqp"}
    ranks = [float(row["average rank"]) for row in found]
    assert sum(ranks) == pytest.approx(3)
    assert ranks == sorted(ranks)
    assert START in several.methods


def test_failed_evaluations_are_shown_with_their_reason(several):
    (line,) = (row for row in rows(several.failures()) if row["method"] == "cma")
    assert line["problem"] == "moody"
    assert line["cells failed"] == "0 of 2"
    count = sum(r.failures for r in several.records if r.cell.method == "cma")
    assert line["evaluations failed"] == str(count)
    assert "not on <this> side" in line["why"]


def test_what_went_wrong_is_counted_by_problem_and_method(several):
    records = [
        replace(r, findings=("flat", "slow") if r.cell.seed else ("flat",)) for r in several.records
    ]
    found = tables.findings(replace(several, records=tuple(records)))
    assert [row["problem"] for row in rows(found)] == [g for g in several.groups for _ in range(3)]
    assert rows(found)[0]["found, and in how many"] == "flat 4, slow 2"


def test_what_went_wrong_is_counted_by_method_where_there_are_many_problems(several, monkeypatch):
    records = [replace(record, findings=("flat",)) for record in several.records]
    monkeypatch.setattr(tables, "GROUPS_LISTED", 2)
    found = rows(tables.findings(replace(several, records=tuple(records))))
    assert found == [
        {"method": method, "cells": "10", "found, and in how many": "flat 10"}
        for method in several.methods
    ]


def test_early_stopping_is_said():
    patient = compare(
        [own.Validated(), own.sphere], ["adam:lr=0.1"], 2, 300, gradients=True, patience=3
    )
    said = " ".join(patient.table().notes)
    assert "3 times in a row is stopped for good" in said
    assert "No problem has validation data" not in said
    assert [row["validation loss"] == "-" for row in rows(patient.table())] == [False, True]
    without = compare([own.sphere], ["slsqp"], 1, 30, patience=3)
    assert "No problem has validation data" in " ".join(without.table().notes)


def test_refused_problems_are_failures_and_the_others_run():
    found = compare([own.unbounded], ["pso", "slsqp"], 2, 50)
    (line,) = rows(found.failures())
    assert line["method"] == "pso"
    assert line["cells failed"] == "2 of 2"
    assert "bounds" in line["why"]
    by_method = {row["method"]: row for row in rows(found.table())}
    assert by_method["pso"]["median"] == "inf"
    assert float(by_method["slsqp"]["median"]) < 1e-6
    assert "pso" in found.verdict()


def test_values_by_passes_are_read_where_all_spent_the_same():
    found = compare(["article"], ["adam:lr=1", "random"], 3, 90, gradients=True)
    by_axis = {}
    for axis in ("evaluations", "passes"):
        by_axis[axis] = {row["method"]: row for row in found.summary(axis)["methods"]}
    assert by_axis["passes"]["random"] == by_axis["evaluations"]["random"]
    early = compare(["article"], ["adam:lr=1"], 3, 30, gradients=True)
    (line,) = early.summary()["methods"]
    assert by_axis["passes"]["adam:lr=1"]["median"] == line["median"]
    assert by_axis["evaluations"]["adam:lr=1"]["median"] < line["median"]


def test_the_page_reads_values_where_the_tables_do():
    found = compare(["article"], ["adam:lr=1", "random"], 3, 90, gradients=True)
    for axis in ("evaluations", "passes"):
        (table,) = (t for t in telling.content(found, axis).tables if t.title == "Results")
        shown = {row[0]: row[1] for row in table.rows}
        assert shown == {row["method"]: row["median"] for row in found.summary(axis)["methods"]}


def test_curves_by_any_axis_end_at_the_same_values(comparison):
    ends = {
        axis: {key: band.middle[-1] for key, band in bands(comparison, axis).items()}
        for axis in ("evaluations", "passes", "seconds")
    }
    assert ends["evaluations"] == ends["passes"] == ends["seconds"]


def test_variants_of_a_method_have_lines_of_their_own():
    variants = ["cma", "cma:popsize=4:CMA_diagonal=True", "pso:swarmsize=5"]
    found = compare(["article"], variants, seeds=1, budget=40)
    named = {"cma", "cma popsize=4, CMA_diagonal=True", "pso swarmsize=5"}
    assert {row["method"] for row in rows(found.table())} == named


def test_what_a_problem_reports_is_in_the_table_and_in_the_json(tuned):
    titles = [column.title for column in tuned.table().columns]
    assert "solved" not in titles, "nobody knows the optimum"
    for row in rows(tuned.table()):
        records = [r for r in tuned.records if r.cell.method == row["method"]]
        own_ = np.median([find("finetune").report(r.x)["held-out F1"] for r in records])
        assert float(row["held-out F1"]) == pytest.approx(own_, abs=1e-3)
    read = json.loads(tuned.to_json())
    assert read["records"][0]["report: held-out F1"] == tuned.records[0].report["held-out F1"]
    assert set(read["methods"][0]["report"]) == {"held-out F1"}
    assert find("finetune").description in tuned.table().markdown()


def test_what_is_kept_can_be_loaded_and_says_how_it_was_made(several, tmp_path):
    made = compare(["bbob:f=1:n=2"], ["cma"], 1, 30, out=tmp_path)
    again = load(tmp_path)
    assert again.table() == made.table()
    assert again.settings == {
        "budget": 30,
        "restarts": True,
        "gradients": False,
        "max_seconds": None,
    }
    assert again.environments[0]["versions"]["ioh"]


def test_there_is_nothing_to_load_from_an_empty_folder(tmp_path):
    with pytest.raises(StoreError, match="no comparison"):
        load(tmp_path)


@pytest.mark.parametrize(
    "problems",
    ["several", *(pytest.param(n, marks=pytest.mark.slow) for n in ("comparison", "tuned"))],
)
def test_a_folder_has_page_report_figures_and_figures_for_machines(problems, tmp_path, request):
    found = request.getfixturevalue(problems)
    files = replace(found, command="experiments compare ...").save(tmp_path / "out")
    assert all(path.stat().st_size for path in files)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "report.html",
        "results.json",
        "figures",
    }
    page = (tmp_path / "out" / "README.md").read_text()
    assert found.verdict() in page
    assert "experiments compare ..." in page
    for path in files:
        if path.suffix == ".png":
            assert f"(figures/{path.name})" in page
    assert "<this>" not in (tmp_path / "out" / "report.html").read_text()


def test_a_single_run_can_be_saved_too(tmp_path):
    found = compare([own.sphere], ["random"], 1, 1)
    found.save(tmp_path)
    assert "random" in (tmp_path / "README.md").read_text()


def test_nothing_but_failures_can_be_saved_too(tmp_path):
    found = compare([own.hopeless], ["random", "cma"], 2, 20)
    found.save(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "ArithmeticError: never" in page
    assert "nan" not in page.lower().replace("dual_annealing", "")


@pytest.mark.usefixtures("undrawn")
def test_a_section_that_no_problem_was_run_in_by_all_is_left_out(tmp_path):
    folder = tmp_path / "some"
    compare(["bbob:f=1:n=2,3"], ["cma", "random"], seeds=2, budget=60, out=folder)
    compare(["bbob:f=1:n=2"], ["slsqp"], seeds=2, budget=60, out=folder)
    found = load(folder)
    assert list(sections(found)) == ["all problems", "2 variables"]
    found.save(folder)
    assert (folder / "report.html").stat().st_size > 10_000
