import sys
from dataclasses import replace

import pytest

from experiments.methods import check_method, label, parse_method
from experiments.plan import make_plan, select
from tests.experiments import own


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((["nowhere"], ["cma"], 1, 10), "unknown problem"),
        ((["article"], ["slsq"], 1, 10), r"did you mean 'slsqp'"),
        ((["article"], ["cma"], 1, 0), "budget"),
        ((["article"], ["cma"], 1, "n"), "budget"),
        ((["article"], ["cma"], 1, "0n"), "budget"),
        ((["article"], ["cma"], 1, 1.5), "budget"),
        ((["article"], ["cma"], 1, True), "budget"),
        ((["article"], ["cma"], 0, 10), "at least one"),
        ((["article"], [], 1, 10), "at least one"),
        (([], ["cma"], 1, 10), "at least one"),
        ((["article"], ["cma"], [-1], 10), "seeds"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        make_plan(*arguments)


def test_seconds_must_be_some():
    with pytest.raises(ValueError, match="max_seconds"):
        make_plan(["article"], ["cma"], 1, 10, max_seconds=0)


@pytest.mark.parametrize("name", ["validate_every", "patience"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_validations_and_patience_are_counted(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1"):
        make_plan(["article"], ["cma"], 1, 10, **{name: value})


def test_a_cells_name_is_that_of_earlier_versions():
    (cell,) = make_plan(["article"], ["cma"], [3], 10).cells
    assert cell.key == "e531195918cf5d76b0b898e0"
    (patient,) = make_plan(["article"], ["cma"], [3], 10, patience=5).cells
    assert patient.key not in (cell.key, replace(patient, patience=6).key)
    assert "patience" not in cell.plain()


def test_cells_are_each_once_and_seed_by_seed():
    cells = make_plan(["article", "article"], ["CMA", "cma", "pso"], [3, 1, 3], 10).cells
    assert [(c.method, c.seed) for c in cells] == [("cma", 3), ("pso", 3), ("cma", 1), ("pso", 1)]


def test_a_budget_a_variable():
    plan = make_plan(["bbob:f=1:n=2,5", own.sphere], ["cma"], 1, "30n")
    assert [cell.budget for cell in plan.cells] == [60, 150, 90]
    assert plan.settings["budget"] == "30n"


def test_texts_objects_and_benchmarks_are_problems():
    plan = make_plan(["article", own.sphere, "bbob:f=2:n=2"], ["cma"], 1, 10)
    assert list(plan.problems) == ["article", "sphere", "bbob:f=2:n=2:i=1"]
    assert plan.given == {"sphere"}
    again = make_plan(list(plan.problems.values()), ["cma"], 1, 10)
    assert again.cells == plan.cells


def test_two_objects_of_one_name_are_refused():
    def sphere(x):
        return 0.0

    sphere.bounds = [(0, 1)]
    with pytest.raises(ValueError, match="two problems have the name 'sphere'"):
        make_plan([own.sphere, sphere], ["cma"], 1, 10)


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
        (
            "adam:lr=0.01:schedule='warmup(5%) + cosine'",
            "adam",
            {"lr": 0.01, "schedule": "warmup(5%) + cosine"},
        ),
        ('sgd:schedule="a:b=1, (c"', "sgd", {"schedule": "a:b=1, (c"}),
        ("sgd:schedule=cosine", "sgd", {"schedule": "cosine"}),
        ("sgd:schedule=warmup(5%):lr=1", "sgd", {"schedule": "warmup(5%)", "lr": 1}),
        ("sgd:schedule=step(30, x=0.1)", "sgd", {"schedule": "step(30, x=0.1)"}),
        (
            "adam:schedule='warmup(5%) + cosine'+cma:popsize=9",
            "adam+cma",
            {"adam": {"schedule": "warmup(5%) + cosine"}, "cma": {"popsize": 9}},
        ),
    ],
)
def test_a_method_is_written_with_its_options(text, name, options):
    assert parse_method(text) == (name, options)


def test_a_method_for_people():
    assert label("cma:popsize=4:CMA_diagonal=True") == ("cma", "popsize=4, CMA_diagonal=True")


@pytest.mark.parametrize(
    ("method", "match"),
    [
        ("cma:popsise=4", r"did you mean 'popsize'"),
        ("slsqp:ftoll=4", "ftoll"),
        ("slsq:ftol=4", r"did you mean 'slsqp'"),
        ("cma:popsize=1", "minimum of 2"),
        ("cma:popsize=few", "popsize=few"),
        ("cma:popsize=3 * x", "neither a Python literal nor a word"),
        ("cma:CMA_diagonal=true", "Python writes True"),
        ("cma:popsize", "after colons"),
        ("cma:popsize=4:popsize=5", "twice"),
        ("popsize=32", "after colons"),
        ("auto:popsize=32", "takes no options"),
        ("start:popsize=32", "takes no options"),
        ("cma:schedule=cosine", "'cma' has no learning rate that a schedule could change"),
        ("slsqp:schedule=cosine", "'slsqp' has no learning rate"),
        ("adam:schedule=cosin", "cosin"),
        ("adam:schedule=warmup(5", "neither a Python literal nor a word; put texts in quotes"),
        ("adam:lr=-1", "learning rate, must be above 0"),
        ("adam:schedule=warmup(5%)+cosine", "a schedule of several parts stands in quotes"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(method, match):
    with pytest.raises(ValueError, match=match):
        make_plan(["article"], ["cma", method], 1, 10)


def test_cells_keep_the_whole_text_of_a_method():
    methods = ["CMA:popsize=8", "cma : popsize=8", "cma", "cma:popsize=9"]
    cells = make_plan(["article"], methods, 1, 10).cells
    assert [cell.method for cell in cells] == ["cma:popsize=8", "cma", "cma:popsize=9"]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["cma"], 12),
        (["cma:popsize=9"], 6),
        (["seed=1"], 9),
        (["bbob*"], 12),
        (["article", "pso"], 6 + 4),
        (["cma:CMA_stds=[1,1]"], 0),
    ],
)
def test_a_part_of_a_plan(words, count):
    methods = ["cma:popsize=8", "cma:popsize=9", "pso"]
    cells = make_plan(["article", "bbob:f=1,2:n=2"], methods, 2, 10).cells
    if count:
        assert len(select(cells, words)) == count
    else:
        with pytest.raises(ValueError, match="names nothing in this plan"):
            select(cells, words)


def test_a_method_with_brackets_is_found_by_its_own_text():
    cells = make_plan(["bbob:f=1:n=2"], ["cma:CMA_stds=[1,1]", "pso"], 1, 10).cells
    assert select(cells, ["cma:CMA_stds=[1,1]"]) == [cells[0]]


def test_a_problem_that_lacks_a_package_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"'quantized'.*pip install"):
        make_plan(["quantized"], ["cma"], 1, 10)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("CMA + L-BFGS-B", "cma+l-bfgs-b"),
        ("cma:popsize=8:share=0.2+bfgs", "cma:popsize=8:share=0.2+bfgs"),
        ("slsqp:restarts=inf+ipop_cma", "slsqp:restarts=inf+ipop-cma"),
        ("adam:lr=1e+1", "adam:lr=1e+1"),
        ("slsqp:restarts=3:constraint_handling=lagrangian", None),
    ],
)
def test_chains_and_common_options_are_written(text, written):
    assert check_method(text) == (written or text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cma+", "unknown method ''"),
        ("cma+start", "'start' is no part of a chain"),
        ("auto+bfgs", "'auto' is no part of a chain"),
        ("cma:share=0.5", "no option 'share'"),
        ("cma+zzz", "unknown method 'zzz'"),
    ],
)
def test_chains_that_are_none_are_refused(text, match):
    with pytest.raises(ValueError, match=match):
        check_method(text)


def test_a_chain_is_labelled_by_its_links():
    assert label("cma:popsize=8:share=0.2+bfgs") == ("cma+bfgs", "cma popsize=8, share=0.2")
