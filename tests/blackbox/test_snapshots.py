"""Runs of gradient rules that are killed and go on from their snapshot; what no snapshot is."""

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

from blackbox import JournalError, journal, minimize, read_journal, snapshot
from blackbox.snapshot import snapshot_path
from tests.blackbox.descents import INSTALLED, Perceptron, rates
from tests.blackbox.test_journal_laws import Killed, same

STEPS, LAST = 24, 15
QUICK = ("sgd", "adam", "rprop", "muon")
OTHERS = [name for name in INSTALLED if name not in (*QUICK, "torch")]
RULES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
START = np.random.default_rng(0).standard_normal((3, Perceptron.n))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    be_eager(monkeypatch)


def be_eager(monkeypatch):
    """Write a snapshot at each step; gradients and points are too long to keep."""
    monkeypatch.setattr(snapshot, "SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "TIMES", 0)
    monkeypatch.setattr(journal, "POINTS_UP_TO", 5)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the system is not what is tested


class Mortal(Perceptron):
    """Dies at a batch, and counts them."""

    def __init__(self, last=None, dtype="float64", nowhere=None):
        super().__init__(dtype)
        self.last, self.count, self.nowhere = last, 0, nowhere

    def value_and_gradient(self, points):
        if self.count == self.last:
            raise Killed
        self.count += 1
        values, slopes = super().value_and_gradient(points)
        if self.nowhere is not None:
            slopes[points[:, 0] > self.nowhere] = np.nan
        return values, slopes


class Matrices(Mortal):
    """Without vectors, which Muon does not take."""

    blocks = ((2, 13),)


class Epochs(Mortal):
    """On minibatches in an order of its own, which only it knows."""

    order, batch = np.arange(16), 4

    def begin(self, generation, rng):
        if generation == 0 or self.batch == 4:
            self.order, self.batch = rng.permutation(16), 0
        self.rows = self.order[4 * self.batch : 4 * self.batch + 4]
        self.batch += 1

    def full(self, points):
        rows, self.rows = self.rows, slice(None)
        values = self(points)
        self.rows = rows
        return values

    def state(self):
        return {"order": self.order, "batch": self.batch}

    def resume(self, state):
        self.order, self.batch = state["order"], state["batch"]


def goes_on(path, make=Mortal, last=LAST, redone=1, **settings):
    """Run to the end; run, die and go on from a snapshot; the result is the same."""
    settings = {"x0": START[0], "seed": 1, "budget": STEPS} | settings
    first, rest = make(), make()
    whole = minimize(first, **settings)
    with pytest.raises(Killed):
        minimize(make(last), journal=path, **settings)
    shutil.copy(path, path.with_name("killed"))
    assert snapshot_path(path).exists()
    found = minimize(rest, journal=path, **settings)
    assert same(found, whole)
    ours, theirs = (each.history.trace.curves() for each in (found, whole))
    for name in ("evaluations", "loss", "gradient_norm", "step_size", "learning_rate"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name), equal_nan=True)
    # Of what came before the latest step nothing is computed again, and nothing else is left out.
    assert rest.count <= first.count - last + redone
    assert read_journal(path).evaluations == whole.nfev
    again = make()
    assert same(minimize(again, journal=path, **settings), whole)
    assert again.count <= redone
    return whole


@pytest.mark.parametrize("name", RULES)
def test_every_rule_goes_on_from_its_snapshot(path, name):
    goes_on(path, method=name, options=rates(name))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_several_starts_go_on(path, dtype):
    settings = {"x0": START, "method": "adam", "budget": 3 * STEPS}
    goes_on(path, lambda last=None: Mortal(last, dtype), **settings)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "warmup(20%) + cosine"},
        {"schedule": "one-cycle"},
        {"schedule": "plateau(every=2, patience=1)"},
        {"schedule": "adaptive(every=2, patience=0)", "lr": 0.05},
        {"schedule": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda i: 0.9**i)},
        {"schedule": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=1)},
        {"lr": [0.1, 0.01, 0.3], "clip_norm": 0.1},
    ],
    ids=["cosine", "one-cycle", "plateau", "adaptive", "lambda", "theirs", "settings"],
)
def test_schedules_and_settings_go_on(path, options):
    runs = 3 if isinstance(options.get("lr"), list) else 1
    goes_on(path, method="adamw", options=options, budget=runs * STEPS)


@pytest.mark.parametrize("method", ["adam", "muon"])
def test_runs_that_lost_each_other_go_on(path, method):
    """Gradients that are not finite part runs that walk side by side."""

    def make(last=None):
        return Mortal(last, nowhere=0.4)

    whole = goes_on(path, make, x0=START, method=method, budget=3 * STEPS, options={"lr": 0.1})
    assert whole.history.trace.skipped > 3


@pytest.mark.parametrize("accumulate", [1, 3])
def test_minibatches_go_on(path, accumulate):
    options = {"accumulate": accumulate, "schedule": "linear"}
    settings = {"x0": START[:2], "budget": 72, "options": options, "method": "sgd"}
    goes_on(path, Epochs, last=LAST, redone=accumulate, **settings)


def test_validation_losses_go_on(path):
    settings = {"validation": lambda points: np.cos(points.sum(axis=1)), "validate_every": 3}
    options = {"schedule": "plateau(patience=1)", "lr": 0.05}
    goes_on(path, x0=START, method="adam", patience=30, options=options, budget=120, **settings)


FAST = ("Adam", "Muon")
NAMES = [name for name in vars(torch.optim) if name[0].isupper()]
NAMED = [n for n in NAMES if n not in ("Optimizer", "LBFGS", "SparseAdam")]
OWN = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMED]
)
@pytest.mark.parametrize("starts", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_torchs_own_optimizers_by_their_names_go_on(path, name, starts):
    options = {"optimizer": name, "arguments": OWN.get(name, {}), "schedule": "linear"}
    objective = Matrices if name == "Muon" else Mortal
    settings = {"x0": START[:starts], "budget": starts * STEPS}
    goes_on(path, objective, method="torch", options=options, **settings)


def test_a_snapshot_is_small_and_the_journal_holds_no_long_numbers(path):
    minimize(Mortal(), START[0], method="adam", seed=1, budget=STEPS, journal=path)
    assert path.stat().st_size < 700 + 120 * STEPS
    assert {p.name for p in path.parent.iterdir()} == {"run.journal", "run.journal.snapshot"}
    past = read_journal(path)
    assert past.best_value == pytest.approx(Perceptron()(past.best_x[None])[0])


def test_slopes_by_jac_go_on(path):
    def run(last, path=None):
        def slope(x):
            if len(slopes) == last:
                raise Killed
            slopes.append(1)
            return 2 * x

        slopes, calls = [], []
        settings = {"jac": slope, "seed": 1, "budget": 30, "method": "adam", "journal": path}
        found = minimize(lambda x: calls.append(1) or float(x @ x), START[0], **settings)
        return found, len(calls)

    whole, _ = run(None)
    with pytest.raises(Killed):
        run(20, path)
    found, calls = run(None, path)
    assert same(found, whole)
    assert calls == 9  # the value of the step whose slope did not come is written down


def test_finite_differences_go_on_where_more_is_allowed(path):
    def run(path, budget):
        count = []
        settings = {"method": "adam", "seed": 1, "budget": budget, "journal": path}
        found = minimize(lambda x: count.append(1) or float(x @ x), START[0], **settings)
        return found, len(count)

    whole, _ = run(None, 300)
    run(path, 200)
    again, count = run(path, 300)
    assert same(again, whole)
    assert count == 100


def _with_a_function(optimizer):
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scheduler.own = lambda: None
    return scheduler


class Heir(torch.optim.SGD):
    """Remembers elsewhere: its steps become shorter."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["params"][0].grad.div_(self.steps)
        return super().step(closure)


# Who has none: those come back by their journal alone, as they did.


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "torch", "options": {"optimizer": Heir}},
        {"method": "torch", "options": {"optimizer": lambda tensors: torch.optim.Adam(tensors)}},
        {"method": "lbfgs"},
        {"method": "cma+l-bfgs-b"},
        {"method": "adam", "noisy": True},
        {"method": "adam", "options": {"schedule": _with_a_function}},
    ],
    ids=lambda settings: settings["method"],
)
def test_runs_without_snapshots_come_back_by_their_journal(path, settings):
    settings = {"x0": START[0], "seed": 1, "budget": STEPS} | settings
    whole = minimize(Mortal(), **settings)
    with pytest.raises(Killed):
        minimize(Mortal(9), journal=path, **settings)
    assert not snapshot_path(path).exists()
    assert same(minimize(Mortal(), journal=path, **settings), whole)


def test_an_objective_that_changes_and_does_not_say_how_has_none(path):
    class Silent(Epochs):
        state = None

    minimize(Silent(), START[0], method="adam", seed=1, budget=STEPS, journal=path)
    assert not snapshot_path(path).exists()


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
