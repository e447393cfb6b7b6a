import json
import sys

import numpy as np
import pytest

import experiments.comparison as module
from blackbox import ALGORITHMS
from experiments import Comparison, compare
from experiments.comparison import run_cell
from experiments.plan import Cell, make_cells, parse_method
from experiments.problems import article, find

METHODS = ["slsqp", "cma", "pso"]


@pytest.fixture(scope="module")
def comparison():
    return compare(["article"], METHODS, seeds=3, budget=400)


@pytest.fixture
def log(monkeypatch):
    """Every point evaluated, batch by batch."""
    batches = []

    class Logged:
        batched = True

        def __init__(self):
            self.objective = article.objective()

        def __call__(self, points):
            batches.append(np.array(points))
            return self.objective(points)

    problem = find("article")
    logged = {"article": module.problems.Benchmark(**(vars(problem) | {"make": Logged}))}
    monkeypatch.setattr(module.problems, "PROBLEMS", logged)
    return batches


@pytest.mark.parametrize("method", ALGORITHMS)
@pytest.mark.parametrize("budget", [1, 137])
def test_budget_is_spent_exactly(log, method, budget):
    record = run_cell(Cell("article", method, seed=1, budget=budget))
    assert record.evaluations == budget == sum(map(len, log))


def test_every_method_begins_at_the_starts_of_its_seed(log):
    for method in ("slsqp", "adam"):
        log.clear()
        run_cell(Cell("article", method, seed=5, budget=30))
        np.testing.assert_array_equal(log[0][0], find("article").start(5))


def test_a_method_that_ends_early_begins_again_at_the_next_start(log):
    record = run_cell(Cell("article", "slsqp", seed=2, budget=2000))
    evaluated = {x.tobytes() for batch in log for x in batch}
    assert record.runs > 1
    for run in range(record.runs):
        assert find("article").start(2, run).tobytes() in evaluated


def test_without_restarts_it_stays_ended():
    record = run_cell(Cell("article", "slsqp", seed=2, budget=2000, restarts=False))
    assert record.runs == 1
    assert record.evaluations < 2000


def test_the_best_is_the_best_of_what_was_evaluated_and_its_curve_descends():
    record = run_cell(Cell("article", "slsqp", seed=2, budget=2000))
    assert record.value == record.best[-1] == article.objective()(record.x[None])[0]
    assert (np.diff(record.best) < 0).all()
    assert (np.diff(record.spent) > 0).all()
    assert record.spent[0] >= 1
    assert record.spent[-1] <= 2000


def test_a_cell_gives_the_same_again():
    cell = Cell("article", "cma", seed=4, budget=200)
    first, again = run_cell(cell), run_cell(cell)
    np.testing.assert_array_equal(first.best, again.best)
    np.testing.assert_array_equal(first.x, again.x)
    assert first.value != run_cell(Cell("article", "cma", seed=6, budget=200)).value


def test_gradients_are_used_and_counted_only_when_allowed():
    without = run_cell(Cell("article", "adam", seed=0, budget=22))
    allowed = run_cell(Cell("article", "adam", seed=0, budget=22, gradients=True))
    assert without.gradients == 0
    assert allowed.gradients == 22


def test_statistics_are_those_of_the_records(comparison):
    line = comparison.summary()["methods"][0]
    values = [r.value for r in comparison.records if r.cell.method == line["method"]]
    assert line["median"] == np.median(values)
    assert line["best"] == min(values)
    near = [v <= 1.01 * article.OPTIMUM for v in values]
    assert line["within"] == np.mean(near)
    assert line["evaluations"] == 400


def test_table_has_the_best_median_first(comparison):
    rows = comparison.table().rows
    medians = [float(row[1]) for row in rows]
    assert sorted(row[0] for row in rows) == sorted(METHODS)
    assert medians == sorted(medians)
    assert "begins again" in comparison.table().markdown()


def test_json_holds_all_records(comparison):
    read = json.loads(comparison.to_json())
    assert len(read["records"]) == 9
    assert {row["method"] for row in read["methods"]} == set(METHODS)
    assert read["records"][0]["evaluations"] == 400


def test_plot_is_written(comparison, tmp_path):
    comparison.plot(tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_band_is_the_best_so_far_of_each_seed(comparison):
    records = [r for r in comparison.records if r.cell.method == "cma"]
    band = module._band("cma", records)
    assert band.middle[-1] == np.median([r.value for r in records])
    assert band.middle[0] == np.median([r.best[0] for r in records])
    assert (np.diff(band.middle) <= 0).all()
    assert (band.low <= band.middle).all()
    assert (band.middle <= band.high).all()


def test_nothing_run_is_still_a_table():
    assert list(Comparison(()).table().rows) == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((["nowhere"], ["cma"], 1, 10), "unknown problem"),
        ((["article"], ["slsq"], 1, 10), r"did you mean 'slsqp'"),
        ((["article"], ["cma"], 1, 0), "budget"),
        ((["article"], ["cma"], 0, 10), "at least one"),
        ((["article"], [], 1, 10), "at least one"),
        (([], ["cma"], 1, 10), "at least one"),
        ((["article"], ["cma"], [-1], 10), "seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_cells(*arguments)


def test_cells_are_each_once_and_seed_by_seed():
    cells = make_cells(["article", "article"], ["CMA", "cma", "pso"], [3, 1, 3], 10)
    assert [(c.method, c.seed) for c in cells] == [("cma", 3), ("pso", 3), ("cma", 1), ("pso", 1)]


def test_unequal_numbers_of_seeds_are_said(comparison):
    assert "Stopped early" not in comparison.table().markdown()
    part = Comparison(comparison.records[:-1])
    assert "between 2 and 3 seeds" in part.table().markdown()


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("cma", "cma", {}),
        ("cma:CMA_diagonal=True:popsize=32", "cma", {"CMA_diagonal": True, "popsize": 32}),
        ("pso:updating=immediate", "pso", {"updating": "immediate"}),
        ("pso:updating='immediate'", "pso", {"updating": "immediate"}),
        (" pso : omega = 0.5 ", "pso", {"omega": 0.5}),
        ("cma:sigma0=1e-1:CMA_stds=[1,2]", "cma", {"sigma0": 0.1, "CMA_stds": [1, 2]}),
        ("cma:CMA_sampler_options={'a': 1}", "cma", {"CMA_sampler_options": {"a": 1}}),
        ("cma:popsize=None", "cma", {"popsize": None}),
    ],
)
def test_a_method_is_written_with_its_options(text, name, options):
    assert parse_method(text) == (name, options)


@pytest.mark.parametrize(
    ("method", "match"),
    [
        ("cma:popsise=4", r"did you mean 'popsize'"),
        ("slsqp:ftoll=4", "ftoll"),
        ("slsq:ftol=4", r"did you mean 'slsqp'"),
        ("cma:popsize=1", "minimum of 2"),
        ("cma:popsize=few", "popsize=few"),
        ("cma:popsize=3 + x", "neither a Python literal nor a word"),
        ("cma:CMA_diagonal=true", "Python writes True"),
        ("cma:popsize", "after colons"),
        ("cma:popsize=4:popsize=5", "twice"),
        ("popsize=32", "after colons"),
        ("auto:popsize=32", "takes no options"),
        ("start:popsize=32", "takes no options"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(method, match):
    with pytest.raises(ValueError, match=match):
        make_cells(["article"], ["cma", method], 1, 10)


def test_options_reach_the_method(log):
    run_cell(Cell("article", "pso:swarmsize=7", seed=0, budget=30))
    assert len(log[0]) == 7


def test_cells_keep_the_whole_text_of_a_method():
    methods = ["CMA:popsize=8", "cma : popsize=8", "cma", "cma:popsize=9"]
    cells = make_cells(["article"], methods, 1, 10)
    assert [cell.method for cell in cells] == ["cma:popsize=8", "cma", "cma:popsize=9"]


def test_variants_of_a_method_have_lines_and_colours_of_their_own(tmp_path, monkeypatch):
    from experiments import plots

    variants = ["cma", "cma:popsize=4:CMA_diagonal=True", "pso:swarmsize=5"]
    comparison = compare(["article"], variants, seeds=1, budget=40)
    named = {"cma", "cma popsize=4, CMA_diagonal=True", "pso swarmsize=5"}
    assert {row[0] for row in comparison.table().rows} == named
    drawn = {}
    monkeypatch.setattr(plots, "bands", lambda panels, path, caption: drawn.update(panels))
    comparison.plot(tmp_path / "c.png")
    bands, _ = drawn["article"]
    assert len(set(plots.colours(band.method for band in bands))) == 3
    assert plots.COLOURS["pso"] in plots.colours(band.method for band in bands)
    assert "cma\npopsize=4, CMA_diagonal=True" in [band.label for band in bands]


def test_the_start_alone_is_one_evaluation_of_it(log):
    cells = make_cells(["article"], ["start"], 1, 300)
    record = run_cell(cells[0])
    np.testing.assert_array_equal(np.concatenate(log), find("article").start(0)[None])
    assert (record.evaluations, record.runs) == (1, 1)
    assert record.value == article.objective()(find("article").start(0))
    band = module._band("start", [record])
    assert set(band.middle) == {record.value}
    assert band.spent[-1] == 300


@pytest.fixture(scope="module")
def tuned():
    return compare(["finetune"], ["start", "cma"], seeds=2, budget=60)


def test_what_a_problem_reports_is_in_the_table_and_in_the_json(tuned):
    table = tuned.table()
    titles = [column.title for column in table.columns]
    assert "within 1%" not in titles, "nobody knows the optimum"
    at = titles.index("held-out F1")
    for row in table.rows:
        records = [r for r in tuned.records if r.cell.method == row[0]]
        own = np.median([find("finetune").report(r.x)["held-out F1"] for r in records])
        assert float(row[at]) == pytest.approx(own, abs=1e-3)
    read = json.loads(tuned.to_json())
    assert read["records"][0]["report"] == dict(tuned.records[0].report)
    assert set(read["methods"][0]["report"]) == {"held-out F1"}
    assert find("finetune").description in table.markdown()


def test_problems_that_report_nothing_have_a_dash(tuned, comparison):
    both = Comparison(comparison.records + tuned.records).table()
    titles = [column.title for column in both.columns]
    cells = {(row[0], row[titles.index("held-out F1")] == "-") for row in both.rows}
    assert cells == {("article", True), ("finetune", False)}
    within = {(row[0], row[titles.index("within 1%")] == "-") for row in both.rows}
    assert within == {("article", False), ("finetune", True)}


def test_long_solutions_are_written_in_the_precision_of_their_network(tuned):
    for record, line in zip(tuned.records, tuned.summary()["records"], strict=True):
        assert line["x"] != record.x.tolist()
        np.testing.assert_allclose(line["x"], record.x, rtol=1e-6)


def test_long_curves_are_thinned_and_keep_their_ends():
    kept = module._thinned(100_000)
    assert len(kept) <= module.IMPROVEMENTS
    assert (kept[0], kept[-1]) == (0, 99_999)
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(module._thinned(5), range(5))


def test_a_problem_that_lacks_a_package_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"problem 'quantized': .*pip install"):
        make_cells(["quantized"], ["cma"], 1, 10)
