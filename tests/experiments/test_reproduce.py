import dataclasses
import json

import numpy as np
import pytest

from experiments import cli, reproduce, reproduce_report
from experiments.problems import article


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduce, "ROW_ORDERS", 5)
        return reproduce.reproduce(3)


def outcome(found, method):
    return next(o for o in found.outcomes if o.entry.method == method)


def changed(found, method, value):
    """The same with another loss for one of the methods."""
    outcomes = tuple(
        dataclasses.replace(o, value=value) if o.entry.method == method else o
        for o in found.outcomes
    )
    return dataclasses.replace(found, outcomes=outcomes)


def test_what_its_seed_determines_comes_back(found):
    assert [c.sentence() for c in found.checks() if not c.passed] == []
    assert [c.name for c in found.checks()] == [
        "loss at the start",
        "Adam",
        "SLSQP",
        "PSO",
        "Dual annealing",
    ]


def test_costs_are_those_of_the_article(found):
    assert (outcome(found, "adam").evaluations, outcome(found, "adam").gradients) == (100, 100)
    assert outcome(found, "pso").evaluations == 10_100
    assert outcome(found, "cma").evaluations == 1000
    assert [o.gradients for o in found.outcomes[1:]] == [0, 0, 0, 0]


def test_every_evaluation_is_in_the_articles_curve(found):
    for o in found.outcomes:
        assert len(o.every) == o.evaluations
        assert o.every[-1] <= o.curve["values"][-1] <= o.value


def test_the_same_stream_gives_the_same_cma_run(found):
    own = reproduce.run(outcome(found, "cma").entry, article.objective())
    assert own.value == outcome(found, "cma").value
    assert len(set(found.cma)) == 3


@pytest.mark.parametrize(
    ("method", "wrong"), [("adam", 91.856129), ("slsqp", 3.0975), ("pso", 1.01950484)]
)
def test_another_loss_is_noticed(found, method, wrong):
    failed = [c for c in changed(found, method, wrong).checks() if not c.passed]
    assert len(failed) == 1
    assert "DOES NOT match" in failed[0].sentence()
    assert repr(wrong) in failed[0].sentence()


def annealing_check(found, own, others):
    found = dataclasses.replace(changed(found, "dual_annealing", own), annealing=np.array(others))
    return found.checks()[-1]


def test_annealing_is_judged_by_its_own_run_or_by_what_most_orders_of_the_rows_give(found):
    right, other = 0.7834294257939689, 0.7831025
    assert annealing_check(found, right, [other] * 20).passed
    assert annealing_check(found, other, [right] * 11 + [other] * 9).passed
    assert not annealing_check(found, other, [right] * 10 + [other] * 10).passed
    assert not annealing_check(found, other, [other] * 20).passed


def test_percentile_counts_runs_at_or_below_the_published_loss(found):
    losses = np.array([1.0, 4.084718909553896, 5.0, 6.0])
    assert dataclasses.replace(found, cma=losses).cma_percentile == 50


def test_everything_is_written(found, tmp_path):
    content = reproduce_report.save(found, tmp_path / "deep" / "folder", "experiments reproduce")
    folder = tmp_path / "deep" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "cma.png",
        "cost.png",
        "evaluations.png",
        "figure.png",
        "results.json",
    ]
    assert content["passed"] is True
    read = json.loads((folder / "results.json").read_text())
    assert [m["method"] for m in read["methods"]] == [e.method for e in reproduce.ENTRIES]
    assert read["cma"]["losses"] == list(found.cma)
    page = (folder / "README.md").read_text()
    assert "| PSO | 1.0195048 | 1.0195048 |" in page
    assert all(f"({p.name})" in page for p in folder.glob("*.png"))


@pytest.mark.usefixtures("undrawn")
def test_a_wrong_loss_ends_the_command_with_1_and_names_it(found, tmp_path, monkeypatch, capsys):
    wrong = changed(found, "pso", 1.5)
    monkeypatch.setattr(reproduce, "reproduce", lambda seeds, advance: wrong)
    assert cli.main(["reproduce", "--seeds", "3", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "PSO: 1.5 DOES NOT match" in shown.err
    assert "NO" in shown.out


@pytest.mark.usefixtures("undrawn")
def test_the_command_with_json(found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "reproduce", lambda seeds, advance: found)
    assert cli.main(["reproduce", "--json", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["passed"] is True
    assert shown.err == ""


@pytest.mark.slow
def test_the_whole_command(tmp_path, capsys):
    assert cli.main(["reproduce", "--out", str(tmp_path)]) == 0
    read = json.loads((tmp_path / "results.json").read_text())
    assert len(read["cma"]["losses"]) == 200
    assert 5 < read["cma"]["published_percentile"] < 80
