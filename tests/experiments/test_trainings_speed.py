"""`experiments speed trainings`: many trainings at once, beside one after another."""

import json

import pytest

from experiments import trainings_speed
from experiments.cli import main

pytest.importorskip("sklearn")


def test_goals_are_for_many_trainings_of_the_plain_network_and_for_weights():
    seconds = {"hand": [10.0, 11.0, 9.0], "ours": [1.0, 2.0, 1.0]}
    timing = trainings_speed.Timing("64-32-10", 64, "stack", seconds)
    assert timing.faster == 9.0
    assert timing.reached
    assert trainings_speed.Timing("64-32-10", 8, "stack", seconds).reached is None
    assert not trainings_speed.Gap("adam", 1e-9).reached


def test_weights_are_compared_with_torchs(monkeypatch):
    monkeypatch.setattr(trainings_speed, "STEPS", 10)
    monkeypatch.setattr(trainings_speed, "COMPARED", 2)
    for rule in ("sgd", "adamw"):
        assert trainings_speed.compare(rule).reached


def test_the_command_writes_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainings_speed, "COUNTS", (2,))
    monkeypatch.setattr(trainings_speed, "MODELS", ("64-32-10",))
    monkeypatch.setattr(trainings_speed, "RULES", {"adam": trainings_speed.RULES["adam"]})
    monkeypatch.setattr(trainings_speed, "STEPS", 5)
    monkeypatch.setattr(trainings_speed, "COMPARED", 1)
    assert main(["speed", "trainings", "--quick", "--json", "--out", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["trainings"] for row in content["trainings"]] == [2]
    assert content == json.loads((tmp_path / "trainings.json").read_text())
    page = (tmp_path / "trainings.md").read_text()
    assert all(part in page for part in ("experiments speed trainings --quick", "adam", "torch"))
