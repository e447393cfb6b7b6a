"""Snapshots that are of no use, and gradients that do not come out again."""

import io
import logging
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from blackbox import JournalError, minimize, read_journal, snapshot
from blackbox.snapshot import snapshot_path
from tests.blackbox.descents import Perceptron
from tests.blackbox.test_journal_laws import Killed, same
from tests.blackbox.test_snapshots import LAST, START, STEPS, Mortal, be_eager


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    be_eager(monkeypatch)


# Snapshots that are of no use: said, and the run comes back without.

SETTINGS = {"x0": START[0], "method": "adam", "seed": 1, "budget": STEPS}


@pytest.fixture
def killed(path):
    with pytest.raises(Killed):
        minimize(Mortal(LAST), journal=path, **SETTINGS)
    return path


@pytest.fixture(scope="module")
def whole():
    return minimize(Perceptron(), **SETTINGS)


def comes_back(path, whole, caplog, words):
    """Go on, and say how many gradients that took."""
    rest = Mortal()
    with caplog.at_level(logging.WARNING):
        assert same(minimize(rest, journal=path, **SETTINGS), whole)
    assert (words is None) == (not caplog.records)
    assert words is None or words in caplog.text
    return rest.count


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def hostile_files():
    objects, tensors, arrays = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(objects, json=np.array([Bomb()], dtype=object))
    torch.save({"weights": Bomb()}, tensors)
    with zipfile.ZipFile(arrays, "w") as file:
        file.writestr("json.npy", pickle.dumps(Bomb()))
    return [pickle.dumps(Bomb()), *(each.getvalue() for each in (objects, tensors, arrays)), b""]


@pytest.mark.parametrize("number", range(5))
def test_nothing_in_a_file_is_executed(killed, whole, caplog, monkeypatch, tmp_path, number):
    monkeypatch.chdir(tmp_path)
    snapshot_path(killed).write_bytes(hostile_files()[number])
    assert comes_back(killed, whole, caplog, "is of no use") == STEPS
    assert not Path("exploded").exists()


@pytest.mark.parametrize("tries", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_no_damage_changes_a_run(killed, whole, caplog, tries):
    log, data = killed.read_bytes(), snapshot_path(killed).read_bytes()
    rng, used = np.random.default_rng(0), 0
    for i in range(tries):
        damaged = bytearray(data)
        if i % 2:
            damaged = damaged[: int(rng.integers(len(data)))]
        else:
            damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        killed.write_bytes(log)
        snapshot_path(killed).write_bytes(damaged)
        caplog.clear()
        rest = Mortal()
        assert same(minimize(rest, journal=killed, **SETTINGS), whole)
        used += rest.count < STEPS  # a bit of the archive's own, which says nothing
        assert (rest.count == STEPS) == ("is of no use" in caplog.text)
        assert not (i % 2 and rest.count < STEPS)
    assert used < tries


def test_a_snapshot_of_another_run_is_of_no_use(killed, whole, caplog, tmp_path):
    other = tmp_path / "other"
    minimize(Perceptron(), journal=other, **SETTINGS | {"x0": START[1]})
    shutil.copy(snapshot_path(other), snapshot_path(killed))
    assert comes_back(killed, whole, caplog, "belongs to another journal") == STEPS


def test_one_of_a_later_state_is_of_no_use_and_one_of_an_earlier_is(killed, whole, caplog):
    log, late = killed.read_bytes(), snapshot_path(killed).read_bytes()
    lines = log.splitlines(keepends=True)
    killed.write_bytes(b"".join(lines[:9]))
    assert comes_back(killed, whole, caplog, "lines that this one has lost") == STEPS
    caplog.clear()
    killed.write_bytes(log)
    snapshot_path(killed).unlink()
    with pytest.raises(Killed):
        minimize(Mortal(LAST + 3), journal=killed, **SETTINGS)
    snapshot_path(killed).write_bytes(late)
    assert comes_back(killed, whole, caplog, None) == STEPS - LAST


def test_a_journal_that_begins_anew_is_not_misled(killed, whole, caplog):
    killed.unlink()
    assert comes_back(killed, whole, caplog, "belongs to another journal") == STEPS


def test_a_budget_that_something_depends_on_is_noticed(path, caplog):
    planned = SETTINGS | {"options": {"schedule": "cosine"}}
    minimize(Mortal(), journal=path, **planned)
    with pytest.raises(JournalError, match="asks for other points"):
        minimize(Mortal(), journal=path, **planned | {"budget": 60})
    assert "it was made under budget=24, and this run plans by 60" in caplog.text


def test_a_full_disk_costs_the_snapshots_only(path, whole, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write_packed", full)
    assert same(minimize(Mortal(), journal=path, **SETTINGS), whole)
    assert "the run goes on without" in caplog.text


# Gradients that do not come out again, bit for bit.


class Shaky(Mortal):
    """Gradients that are off in their last digits, as sums in parallel are; or by more."""

    off = 1e-12

    def value_and_gradient(self, points):
        values, slopes = super().value_and_gradient(points)
        return values * (1 + self.off), slopes * (1 + self.off)


@pytest.fixture
def further(killed):
    """Four evaluations after its snapshot."""
    earlier = snapshot_path(killed).read_bytes()
    with pytest.raises(Killed):
        minimize(Mortal(4), journal=killed, **SETTINGS)
    snapshot_path(killed).write_bytes(earlier)
    return killed


def test_gradients_that_differ_are_made_again_from_the_snapshot(further, caplog):
    earlier, rest = snapshot_path(further).read_bytes(), Shaky()
    found = minimize(rest, journal=further, **SETTINGS)
    assert found.nfev == STEPS
    assert "3 evaluations since the snapshot are made again" in caplog.text
    assert rest.count == STEPS - LAST
    past = read_journal(further)
    assert (past.evaluations, past.repeated) == (STEPS + 3, 3)
    assert "3 made again" in str(past)
    snapshot_path(further).write_bytes(earlier)
    assert same(minimize(Shaky(), journal=further, **SETTINGS), found)


def test_another_function_is_noticed(further):
    class Other(Shaky):
        off = 0.1

    with pytest.raises(JournalError, match="told other values"):
        minimize(Other(), journal=further, **SETTINGS)
