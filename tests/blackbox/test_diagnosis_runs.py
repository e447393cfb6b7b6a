"""The diagnosis of the fixed set of runs: some of them, and all."""

from collections import Counter

import pytest

from blackbox.diagnosis import NAMES
from experiments import cli, diagnosis, diagnosis_cases, diagnosis_tuning, diagnosis_tuning_more
from experiments.diagnosis_problems import HEALTHY, quiet

CASES = diagnosis_cases.cases()
FAST = [
    "cma, powers", "de, half-space", "nelder-mead, levy", "sgd, bound is a law", "chain",
    "cma, one in 20 fails", "l-bfgs-b, slopes", "nelder-mead, short", "adam, edge",
    "constant, powell", "faint, slsqp", "sgd, valley", "no floor, cg", "by heart, adam",
    "small box, slsqp", "roots, cma", "greedy swarm", "wrong hole, cma", "noise, nelder-mead",
    "torn", "clipped, autoencoder", "nadam, low", "impossible", "four steps",
]  # fmt: skip
"""Of every kind one at least that takes little time."""

WRONG = {
    "autoencoder, lbfgs", "deep, SiLU", "lhs", "small weights", "default swarm, 30 variables",
    "noise, pso", "few samples", "adam, low", "sgd, low, minibatches",
}  # fmt: skip
"""Known errors. The rules were not made to fit them: that is what a test set is for."""


def test_the_set_is_large_and_has_every_kind_of_fault():
    expected = Counter(case.expected for case in CASES)
    assert expected[HEALTHY] >= 24
    assert sum(expected.values()) - expected[HEALTHY] >= 24
    assert set(expected) == {HEALTHY, *NAMES}


def test_the_tuning_sets_have_other_problems():
    def problem(case):
        make = case.make
        return make.args[0] if getattr(make, "func", None) is quiet else getattr(make, "func", make)

    tuning = diagnosis_tuning.cases() + diagnosis_tuning_more.cases()
    assert not {problem(case) for case in CASES} & {problem(case) for case in tuning}
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", FAST)
def test_some_runs_get_their_diagnosis(name):
    (case,) = (case for case in CASES if case.name == name)
    (outcome,) = diagnosis.outcomes([case])
    assert outcome.right, str(outcome.diagnosis)


@pytest.mark.slow
def test_all_runs_but_the_known_errors_get_their_diagnosis():
    found = list(diagnosis.outcomes(CASES))
    assert {one.case.name for one in found if not one.right} <= WRONG


def test_tables_and_files_say_what_was_found(tmp_path, monkeypatch):
    chosen = [case for case in CASES if case.name in ("chain", "torn")]
    swapped = [type(case)(case.name, "noise", case.make) for case in chosen[:1]]
    found = diagnosis.run(chosen, swapped)
    rates, confusion, errors = diagnosis.tables(found)
    assert rates.rows == [
        ["test set", "1 of 1", "1 of 1", "2 of 2"],
        ["tuning sets", "0 of 0", "0 of 1", "0 of 1"],
    ]
    assert [row[:3] for row in confusion.rows] == [["healthy", "1", "1"], ["skipped", "1", "-"]]
    assert errors.rows == []
    content = diagnosis.summary(found, "experiments diagnosis")
    diagnosis.save(found, tmp_path, content)
    assert "| skipped | 1 | - | 1 |" in (tmp_path / "diagnosis.md").read_text()
    assert content["test"][1]["findings"][0]["name"] == "skipped"


def test_the_command_writes_both_files(tmp_path, monkeypatch, capsys):
    from argparse import Namespace

    from experiments.commands.diagnosing import diagnosis as command

    few = [case for case in CASES if case.name == "chain"]
    monkeypatch.setattr(diagnosis_cases, "cases", lambda: few)
    monkeypatch.setattr(diagnosis_tuning, "cases", lambda: few)
    monkeypatch.setattr(diagnosis_tuning_more, "cases", list)
    assert command(Namespace(out=tmp_path, json=True)) == cli.OK
    assert {path.name for path in tmp_path.iterdir()} == {"diagnosis.json", "diagnosis.md"}
    assert '"run": "chain"' in capsys.readouterr().out
