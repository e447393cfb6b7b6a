"""What a training step costs: the sides do the same, and the page says what was measured."""

import json

import pytest

pytest.importorskip("sklearn")

from experiments import training_speed
from experiments.cli import main


@pytest.mark.parametrize("name", ["sgd", "muon", "lbfgs"])
def test_a_rule_is_timed_on_every_side(name):
    timing = training_speed.time_one(name, 20, 2)
    whole = name == "lbfgs"
    assert timing.whole == whole
    assert set(timing.seconds) == {"hand", "ours"} | (set() if whole else {"ours, no full"})
    assert all(len(s) == 2 and min(s) > 0 for s in timing.seconds.values())


def test_a_ratio_is_the_median_of_rounds_and_many_runs_have_a_goal_of_their_own():
    seconds = {"hand": [1.0, 2.0, 4.0], "ours": [1.0, 2.4, 40.0]}
    one = training_speed.Timing("sgd", 1, False, seconds)
    assert one.ratio("ours") == 1.2
    assert not one.reached
    many = training_speed.Timing("sgd", 64, False, {"hand": [1.0], "ours": [0.15]})
    assert many.reached


def test_every_rule_of_torch_is_measured():
    names = training_speed.rules()
    assert {"adam", "sgd", "lbfgs", "muon"} <= set(names)
    assert [step.label for step in training_speed.steps()][:-1] == names


def test_the_command_writes_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training_speed, "rules", lambda: ["adam"])
    monkeypatch.setattr(training_speed, "STEPS", 40)
    monkeypatch.setattr(training_speed, "FEW_STEPS", 8)
    assert main(["speed", "training", "--quick", "--json", "--out", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["runs"] for row in content["training"]] == [1, 64]
    assert content["training"][1]["ratio"]["ours"] < 1
    assert content == json.loads((tmp_path / "training.json").read_text())
    page = (tmp_path / "training.md").read_text()
    assert all(
        part in page for part in ("experiments speed training --quick", "64 starts", "torch")
    )
