"""Runs of gradient rules that are killed and go on from their snapshot; who has none."""

import os
import shutil

import numpy as np
import pytest
import torch

from blackbox import journal, minimize, read_journal, snapshot
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


def test_failures_before_the_snapshot_are_counted_after_it(path):
    class Failing(Mortal):
        def value_and_gradient(self, points):
            values, slopes = super().value_and_gradient(points)
            return np.where(np.floor(1e4 * points[:, 0]) % 5 == 0, np.nan, values), slopes

    whole = goes_on(path, Failing, method="adam", options={"lr": 0.01})
    assert 0 < whole.history.failures["nan"].count < STEPS / 2


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
    once = 11 * Mortal.n  # the best point, when it has ended
    assert path.stat().st_size < 700 + 120 * STEPS + once
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
