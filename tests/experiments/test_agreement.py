import json

import numpy as np
import pytest
import torch

from experiments import agreement, cli
from experiments.agreement import Agreement, Case, Difference, cases, compare
from experiments.architectures import ARCHITECTURES, Architecture

SOME = ["perceptron", "BatchNorm1d, eval", "LSTM", "dropout, training", "float64 before float32"]


def test_all_architectures_come_in_both_precisions_but_mixed_ones():
    found = [(case.architecture.name, case.precision) for case in cases()]
    assert len(set(found)) == len(found)
    mixed = {name for name, row in ARCHITECTURES.items() if row.mixed}
    assert {name for name, precision in found if precision == "float32"} == set(ARCHITECTURES)
    assert {name for name, precision in found if precision == "float64"} == {*ARCHITECTURES} - mixed


@pytest.mark.parametrize("case", cases(SOME), ids=lambda case: case.label)
def test_paths_agree_or_say_why_they_are_impossible(case):
    found = compare(case)
    assert found.beyond() == []
    assert isinstance(found.paths["loop"], Difference)
    assert isinstance(found.paths[found.taken], Difference)
    for path in found.paths.values():
        assert isinstance(path, Difference) or path


def test_a_path_that_is_impossible_has_its_reason():
    (case, _) = cases(["LSTM"])
    assert "lstm" in compare(case).paths["vmap"]


def wrong(change):
    """Make an architecture's objective give other losses."""
    real = Architecture.objective
    return lambda row, setup, plan="auto": Changed(real(row, setup, plan), change)


class Changed:
    def __init__(self, objective, change):
        self.batching, self._objective, self._change = objective.batching, objective, change

    def __call__(self, points):
        return self._change(self._objective(points))

    def value_and_gradient(self, points):
        values, gradients = self._objective.value_and_gradient(points)
        return self._change(values), gradients


@pytest.mark.parametrize("change", [lambda v: v * (1 + 1e-10), lambda v: v * np.nan])
def test_other_losses_are_beyond_the_tolerance(change, monkeypatch):
    monkeypatch.setattr(Architecture, "objective", wrong(change))
    found = compare(Case(ARCHITECTURES["perceptron"], torch.float64))
    (sentence,) = [s for s in found.beyond() if "by the loop" in s]
    assert sentence.startswith("perceptron, float64: losses by the loop differ by")


def test_random_networks_must_give_equal_candidates_equal_losses(monkeypatch):
    def drift(values):
        return values + np.arange(np.size(values)) if np.ndim(values) else values

    monkeypatch.setattr(Architecture, "objective", wrong(drift))
    assert compare(Case(ARCHITECTURES["sampling in forward"], torch.float32)).beyond()


def test_the_command_writes_a_page_and_valid_json(tmp_path, capsys, monkeypatch):
    chosen = cases(SOME)
    monkeypatch.setattr(agreement, "cases", lambda: chosen)
    assert cli.main(["agreement", "--out", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "agreement.json").read_text())
    assert [row["architecture"] for row in printed["rows"]] == [c.architecture.name for c in chosen]
    assert all(row["within_tolerance"] for row in printed["rows"])
    page = (tmp_path / "README.md").read_text()
    assert "All are within tolerance." in page
    assert all(name in page for name in SOME)
    assert str(tmp_path) not in page


def test_the_command_fails_where_a_difference_is_beyond_its_tolerance(
    tmp_path, capsys, monkeypatch
):
    case = Case(ARCHITECTURES["perceptron"], torch.float64)
    paths = {"stack": Difference(1e-9, None), "vmap": "no rule", "loop": Difference(0.0, np.inf)}
    found = Agreement(case, "stack", "because", paths)
    monkeypatch.setattr(agreement, "cases", lambda: [case])
    monkeypatch.setattr(agreement, "compare", lambda case: found)
    assert cli.main(["agreement", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "losses by the stack differ by 1.0e-09, beyond 1e-12" in shown.err
    assert "gradients by the loop differ by inf" in shown.err
    page = (tmp_path / "README.md").read_text()
    assert "Beyond tolerance" in page
    assert "| 1e-9 ! / none | - | 0 / inf ! |" in page
    assert "| perceptron | vmap | no rule |" in page
    json.loads((tmp_path / "agreement.json").read_text())


def test_ctrl_c_keeps_what_was_compared(tmp_path, capsys, monkeypatch):
    def stopped(given):
        yield compare(given[0])
        raise KeyboardInterrupt

    chosen = cases(SOME[:2])
    monkeypatch.setattr(agreement, "cases", lambda: chosen)
    monkeypatch.setattr(agreement, "compare_all", stopped)
    assert cli.main(["agreement", "--out", str(tmp_path)]) == 130
    assert "stopped after 1 of 4" in capsys.readouterr().err
    read = json.loads((tmp_path / "agreement.json").read_text())
    assert len(read["rows"]) == 1
    assert "stopped early" in read["command"]
