"""What a comparison says must be true, and readable wherever it is shown."""

import io

import numpy as np
import pytest
from rich.console import Console

from experiments import compare, drawing, telling
from experiments.report import Column, Table

BOX = [(-1, 1)] * 2


def problem(name, function, **attributes):
    def f(x):
        return function(x)

    f.__name__ = name
    f.__dict__ |= {"bounds": BOX} | attributes
    return f


def bowl(x):
    return float(np.sum((x - 0.3) ** 2))


@pytest.fixture(scope="module")
def mixed():
    """Precisions beside values."""
    problems = ["bbob:f=1:n=2", problem("bowl", bowl)]
    return compare(problems, ["start", "cma", "slsqp"], seeds=2, budget=60)


def cells(line):
    """The cells of a line of Markdown; an escaped bar is a part of one."""
    return line.replace("\\|", "/").strip("|").split("|")


def test_names_do_not_break_markdown_tables():
    heat = problem("a|b<i>", bowl, report=lambda x: {"heat|<b>loss": 1.0})
    heat.description = "<script>alert(1)</script> below 3 < 4"
    text = compare([heat], ["slsqp", "random"], 1, 20).table().markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(cells(line)) for line in table}) == 1
    assert "<script>" not in text
    assert "<b>" not in text
    assert "below 3 < 4" in text


def test_a_problem_without_description_has_no_empty_sentence():
    notes = compare([problem("f", bowl)], ["slsqp"], 1, 20).table().notes
    assert not any(note.startswith("f:") for note in notes)


def test_all_that_are_level_are_named():
    said = compare([problem("flat", lambda x: 3.0)], ["cma", "random", "slsqp"], 2, 20).verdict()
    assert said.startswith("cma, random and slsqp have the same median on flat, 3")


def test_a_rival_without_values_is_not_compared():
    def f(x):
        return bowl(x)

    f.x0 = [0.0, 0.0]  # no box, which random search needs
    said = compare([f], ["slsqp", "random"], 2, 20).verdict()
    assert "and random has no value in most of its runs" in said
    assert "against no value" not in said


def test_solved_says_what_it_means_at_an_optimum_of_zero():
    notes = " ".join(compare([problem("f", bowl, optimum=0.0)], ["slsqp"], 1, 20).table().notes)
    assert "within 1 % of the best value known, of one that is 0 within 1e-8" in notes


def test_precisions_are_told_from_values(mixed, tmp_path):
    notes = " ".join(mixed.table().notes)
    assert "Values of bbob:f=1:n=2 are distances from the optimum" in notes
    svg = drawing.convergence(mixed, tmp_path / "c", "evaluations")[0].read_text()
    assert "bbob:f=1:n=2, precision" in svg
    assert "bowl, precision" not in svg


def test_expected_runtimes_have_a_table_for_each_kind_of_target(mixed):
    found = [t for t in telling.content(mixed, "evaluations").tables if "runtimes" in t.title]
    assert [t.title for t in found] == ["Expected runtimes", "Expected runtimes by gain"]
    assert [{row[0] for row in t.rows} for t in found] == [{"bbob:f=1:n=2"}, {"bowl"}]
    texts = {getattr(cell, "text", "") for t in found for row in t.rows for cell in row}
    assert "never" in texts


def test_tables_of_one_comparison_have_titles_of_their_own(mixed):
    titles = [table.title for table in mixed.tables()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_numbers_are_not_broken_in_a_narrow_terminal(width):
    name = "a/long/path/to/a/simulator_of_something.py:function"
    columns = [Column("problem", number=False), *map(Column, ("median", "quartiles", "best", "n"))]
    rows = [[name, "1.234e-18", "1.111e-18 .. 2.222e-18", "9.876e-19", "10,000"]] * 2
    console = Console(width=width, file=io.StringIO())
    console.print(Table("T", columns, rows, ["A note as long as it likes to be. " * 4]).rich(width))
    shown = console.file.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("1.234e-18") == 2
    for number in ("1.111e-18", "2.222e-18", "9.876e-19", "10,000"):
        assert shown.count(number) in (0, 2)
    assert "e-18" not in shown.replace("1.234e-18", "").replace("1.111e-18", "").replace(
        "2.222e-18", ""
    )
    assert "".join(name.split("/")[-1:])[-8:] in "".join(shown.split())
