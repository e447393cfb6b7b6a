"""The part of `experiments reliability` that kills workers: what counts, what is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import reliability
from experiments.arguments import RELIABILITY
from experiments.cli import main
from experiments.reliability import Found
from experiments.reliability_workers import ENGINES, Shipped, Survived, kill_workers, ship_data

GOOD = Survived("int", 100, 1600, 1600, 2, 2, 0, same=True, seconds=40.0)


@pytest.mark.parametrize(
    "change",
    [
        {"told": 1599},
        {"told": 1601},
        {"counted": 3},
        {"twice": 1},
        {"same": False},
        {"watchdog": True},
    ],
)
def test_what_is_not_as_it_should_be_is_said(change):
    found = Found(survived=[GOOD, GOOD._replace(**change)])
    [sentence] = found.broken()["workers"]
    assert sentence.startswith("int, killed: ")
    assert not any(Found(survived=[GOOD]).broken().values())


def test_data_that_is_sent_again_misses_its_goal():
    once, again = Shipped("ray", 100, 2.0, 3.0, 1.0), Shipped("dask", 100, 2.0, 47.0, 3.0)
    assert len(Found(shipped=[once, again]).missed()["workers"]) == 1


def test_parts_are_done_alone():
    assert {step.part for step in reliability.steps(quick=True)} == set(RELIABILITY)
    for part in RELIABILITY:
        assert {step.part for step in reliability.steps(True, [part])} == {part}
    assert len(reliability.steps(True, ["workers"])) == len(ENGINES)


def test_an_unknown_part_is_refused(capsys):
    assert main(["reliability", "--only", "workers,sabotage"]) == 2
    said = capsys.readouterr().err
    assert "there is no part 'sabotage'; the parts are costs, bad-input" in said


@pytest.fixture
def only_int(monkeypatch):
    """Nothing is killed, and engines other than ours are not installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    module = reliability.workers
    monkeypatch.setattr(module, "kill_workers", lambda engine, kills: GOOD._replace(kills=kills))
    monkeypatch.setattr(module, "ship_data", lambda engine: Shipped(engine, 100, 1.0, 0.1, 0.1))


def test_a_page_and_a_file_are_written_for_this_part_alone(tmp_path, only_int, capsys):
    assert main(["reliability", "--only", "workers", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"workers.json", "workers.md"}
    page = (tmp_path / "workers.md").read_text()
    assert "Made by `experiments reliability --only workers`" in page
    assert "No run hung, and none came short; 2 evaluations were lost" in page
    assert "Skipped, as it is not installed: dask." in page
    assert "Skipped, as it is not installed: ray." in page
    said = json.loads((tmp_path / "workers.json").read_text())["workers"]
    assert said["survived"][0]["kills"] == 100
    assert said["skipped"] == ["dask", "ray"]


def test_a_watchdog_that_fires_fails_the_command(tmp_path, only_int, monkeypatch, capsys):
    hung = GOOD._replace(watchdog=True)
    monkeypatch.setattr(reliability.workers, "kill_workers", lambda engine, kills: hung)
    assert main(["reliability", "--only", "workers", "--out", str(tmp_path)]) == 1
    assert "FIRED" in (tmp_path / "workers.md").read_text()


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing():
    found = kill_workers("int", 5)
    assert found.kept
    assert found.kills == 5


@pytest.mark.slow
def test_large_data_is_shipped_once():
    assert ship_data("int").kept


@pytest.mark.slow
def test_the_watchdog_ends_what_hangs():
    code = """
import time
from experiments import reliability_workers as workers
workers.WATCHDOG = 0.2
workers._wind_up()
time.sleep(60)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Timeout (" in done.stderr
