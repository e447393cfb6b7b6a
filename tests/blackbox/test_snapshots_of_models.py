"""Snapshots of trainings: minibatches, half precision, real kills."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from adapters import ModelObjective
from blackbox import minimize, snapshot
from tests.blackbox.test_journal_laws import Killed, same


class Mortal(ModelObjective):
    """Dies at a gradient."""

    left = -1

    def _value_and_gradient(self, points):
        if not self.left:
            raise Killed
        self.left -= 1
        return super()._value_and_gradient(points)


def make(left=-1, **settings):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 3, generator=generator)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 1))
    for i, weights in enumerate(model.parameters()):
        nn.init.constant_(weights, 0.1 * i + 0.1)
    targets = inputs.sum(1, keepdim=True)
    objective = Mortal(model, nn.MSELoss(), inputs, targets, **settings)
    objective.left = left
    return objective


KINDS = {
    "epochs": {"batch_size": 16, "sampling": "epochs"},
    "dropout": {"training": True, "randomness": "different"},
    "half": {"autocast": torch.float16},
}


def scale_of(objective):
    return objective._bench.scale.state()


def die_and_go_on(path, kind, method, **options):
    settings = {"method": method, "budget": 60, "seed": 1, "options": options}
    first, last, rest = make(**KINDS[kind]), make(31, **KINDS[kind]), make(**KINDS[kind])
    ends = []
    for objective in (first, rest):
        objective.end = lambda own=objective: ends.append(
            None if own._bench.scale is None else scale_of(own)
        )
    whole = minimize(first, first.x0, **settings)
    with pytest.raises(Killed):
        minimize(last, last.x0, journal=path, **settings)
    assert same(minimize(rest, rest.x0, journal=path, **settings), whole)
    assert ends[0] == ends[-1]
    return -1 - rest.left


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("epochs", 0.0), ("dropout", 0.0), ("half", 0.0), ("half", 1e9)],
    ids=["epochs", "dropout", "half", "half-by-journal"],
)
def test_trainings_go_on(tmp_path, monkeypatch, kind, seconds):
    """By snapshots; or by the journal, which holds short gradients: half precision scales them."""
    monkeypatch.setattr(snapshot, "SECONDS", seconds)
    monkeypatch.setattr(snapshot, "TIMES", 0)
    computed = die_and_go_on(tmp_path / "run.journal", kind, "adam", lr=0.05)
    assert 20 <= computed <= 30  # none is computed again


EPOCHS = {"batch_size": 16, "sampling": "epochs"}
RUNS = {
    "adamw": (EPOCHS, 2, {"schedule": "warmup(5%) + cosine"}),
    "cma+adamw": (EPOCHS, 1, {"cma": {"share": 0.3}}),
}
SCRIPT = """
    import sys, time
    from blackbox import minimize, snapshot
    from tests.blackbox.test_snapshots_of_models import RUNS, make
    snapshot.SECONDS, snapshot.TIMES = 0.02, 0
    data, starts, options = RUNS[sys.argv[1]]
    objective = make(**data)
    print("begun", flush=True)
    found = minimize(objective, [objective.x0, -objective.x0][:starts], method=sys.argv[1], seed=1,
                     options=options, budget=4000, journal=sys.argv[2] if sys.argv[2:] else None)
    print(found.x.tobytes().hex(), found.nfev, found.history.values.tobytes().hex(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals there")
@pytest.mark.parametrize("method", RUNS)
def test_killed_processes_go_on(tmp_path, method):
    path, rng = tmp_path / "run.journal", np.random.default_rng(0)

    def live(*arguments, seconds=None):
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), method, *map(str, arguments)]
        here = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as life:
            assert life.stdout.readline() == "begun\n"
            if seconds is not None:
                try:
                    life.wait(seconds)
                except subprocess.TimeoutExpired:
                    life.send_signal(signal.SIGKILL)
            return life.wait(), life.stdout.read()

    killed = sum(live(path, seconds=float(s))[0] < 0 for s in rng.uniform(0.05, 0.6, 6))
    assert killed >= 3
    assert live(path) == live()
