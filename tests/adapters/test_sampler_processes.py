"""Several processes on one study in an SQLite file, one of them killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest

from adapters.tuning.sampler_replay import ATTRIBUTE

WORKER = """
import sys, time
import optuna
from adapters import BlackboxSampler, Float, Space

optuna.logging.set_verbosity(optuna.logging.ERROR)
url, method, hyperband, count = sys.argv[1:]
space = Space(a=Float(0, 1), b=Float(0, 1), c=Float(0, 1))
options = {"pso": {"swarmsize": 8}, "sobol": {"popsize": 8}}.get(method)
pruner = optuna.pruners.HyperbandPruner(1, 4) if hyperband == "True" else None

def objective(trial):
    found = sum((each - 0.3) ** 2 for each in space.suggest(trial).values())
    time.sleep(0.01)
    for step in range(4 if pruner else 0):
        trial.report(found, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return found

study = optuna.create_study(
    storage=url,
    study_name="shared",
    load_if_exists=True,
    sampler=BlackboxSampler(method, space=space, options=options),
    pruner=pruner,
)
study.optimize(objective, n_trials=int(count))
"""


def start(path, method, hyperband, count):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, f"sqlite:///{path}", method, str(hyperband), str(count)]
    )


def load(path):
    return optuna.load_study(study_name="shared", storage=f"sqlite:///{path}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "hyperband"), [("cma", False), ("cma", True), ("pso", False), ("sobol", False)]
)
def test_processes_share_a_study_and_stand_a_kill(tmp_path, method, hyperband):
    path = tmp_path / "study.db"
    optuna.create_study(storage=f"sqlite:///{path}", study_name="shared")
    killed, other = (start(path, method, hyperband, 30) for _ in range(2))
    deadline = time.monotonic() + 60
    while len(load(path).trials) < 15:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(60)
    later = start(path, method, hyperband, 15)
    assert other.wait(120) == later.wait(120) == 0
    trials = load(path).trials
    asked = [t.system_attrs[ATTRIBUTE] for t in trials if ATTRIBUTE in t.system_attrs]
    assert len(trials) - len(asked) <= 1  # the killed one may just have begun a trial
    if method != "pso":  # whose particles meet in corners
        points = np.array([each["point"] for each in asked])
        assert len(np.unique(points, axis=0)) == len(points)
    rows = [(e["search"], e["generation"], e["row"]) for e in asked if e["row"] is not None]
    assert len(set(rows)) == len(rows)
    assert len({each["search"] for each in asked}) == (2 if hyperband else 1)
    assert max(each["generation"] for each in asked) > (1 if hyperband else 0)
