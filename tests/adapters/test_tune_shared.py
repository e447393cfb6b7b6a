"""`tune` on a study that is kept: kills, several processes, another study of the same name."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from adapters import Choice, Int, Log, Space, tune
from adapters.tuning import presence
from adapters.tuning.opening import IDENTITY
from adapters.tuning.presence import Locks, Pulses
from adapters.tuning.session import OWNER, SURPLUS, TASK

SPACE = Space(lr=Log(1e-5, 1e-2), width=Int(8, 128))
ROOT = Path(__file__).parents[2]


def train(lr: float, width: int) -> float:
    return lr + width


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def study_in(file: Path) -> optuna.Study:
    return optuna.load_study(study_name="train", storage=f"sqlite:///{file}")


def test_the_same_call_goes_on_and_a_larger_budget_too(file: Path) -> None:
    first = tune(train, SPACE, "cma", budget=4, seed=0, storage=file)
    same = tune(train, SPACE, "cma", budget=4, seed=0, storage=f"sqlite:///{file}")
    assert same.trials["lr"].tolist() == first.trials["lr"].tolist()
    more = tune(train, SPACE, "cma", budget=9, storage=file)
    alone = tune(train, SPACE, "cma", budget=9, seed=0)
    assert more.seed == 0
    assert more.trials["lr"].tolist() == alone.trials["lr"].tolist()
    for other, error in (
        ({"direction": "maximize"}, "is to minimize, not maximize; give another name="),
        ({"space": Space(lr=Log(1e-5, 1), width=3)}, r"another space \(lr\).*0.01.*this is.*1"),
        ({"method": "tpe"}, "another method: it was made with 'cma'"),
        ({"seed": 5}, "another seed: it was made with 0, and this is 5"),
        ({"options": {"popsize": 9}}, "another options"),
    ):
        given: dict[str, Any] = {"space": SPACE, "method": "cma", "budget": 9, **other}
        with pytest.raises(ValueError, match=error):
            tune(train, storage=file, **given)
    assert tune(train, SPACE, "random", budget=2, storage=file, name="another").n_trials == 2
    assert not list(file.parent.glob("*.lock"))


def test_a_trial_of_a_dead_process_is_done_again_and_counts_once(file: Path) -> None:
    tune(train, SPACE, "random", budget=2, seed=0, storage=file)
    study = study_in(file)
    dead = study.ask(SPACE.to_optuna())
    dead.set_user_attr(OWNER, "a token that nobody holds")
    half = study.ask()  # killed before it had all its parameters: it was never begun
    half.set_user_attr(OWNER, "another")
    half.suggest_float("lr", 1e-5, 1e-2, log=True)
    result = tune(train, SPACE, "random", budget=6, seed=0, storage=file)
    trials = result.study.trials
    assert result.n_trials == 6
    assert [trials[number].state for number in (2, 3)] == [TrialState.FAIL] * 2
    again = [trial for trial in trials if trial.user_attrs.get(TASK) == "again 2"]
    assert [trial.params for trial in again] == [dead.params]
    assert not [trial for trial in trials if trial.user_attrs.get(TASK) == "again 3"]
    assert again[0].state == TrialState.COMPLETE
    assert {2, 3}.isdisjoint(result.trials["number"])


@pytest.mark.slow
def test_a_trial_that_kills_its_process_again_and_again_fails_in_the_end(file: Path) -> None:
    tune(train, SPACE, "random", budget=1, seed=0, storage=file)
    study = study_in(file)
    study.enqueue_trial({"lr": 1e-3, "width": 100})
    for _ in range(3):
        study.ask(SPACE.to_optuna()).set_user_attr(OWNER, "dead")
        with pytest.raises(KeyboardInterrupt):
            tune(interrupted, SPACE, "random", budget=4, storage=file, name="train")
    result = tune(train, SPACE, "random", budget=4, storage=file)
    reasons = [reason for reason in result.trials["reason"] if reason]
    assert result.n_trials == 4
    assert all(reason.startswith("lost: the process that trained it ended") for reason in reasons)


def interrupted(lr: float, width: int) -> float:
    raise KeyboardInterrupt


def test_trials_of_living_processes_are_waited_for(file: Path) -> None:
    tune(train, SPACE, "random", budget=1, seed=0, storage=file)
    other, study = Locks(file), study_in(file)
    trial = study.ask(SPACE.to_optuna())
    trial.set_user_attr(OWNER, other.token)
    start = time.monotonic()
    result = tune(train, SPACE, "random", budget=3, seed=0, storage=file, max_seconds=1)
    assert time.monotonic() - start > 1
    assert result.n_trials == 2  # the third is the running one, which counts
    assert study.trials[trial.number].state == TrialState.RUNNING
    other.close()
    result = tune(train, SPACE, "random", budget=3, seed=0, storage=file)
    assert [each.state for each in result.finished] == [TrialState.COMPLETE] * 3


@pytest.mark.slow
def test_who_comes_too_late_gives_its_trial_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes see one trial left, and both begin one."""
    study = optuna.create_study(study_name="train", storage=f"sqlite:///{file}")
    real = optuna.Study.ask
    asked: list[int] = []

    def race(self: optuna.Study, *given: Any) -> optuna.Trial:
        if len(asked) == 1:
            faster = real(study, SPACE.to_optuna())
            study.tell(faster, 1.0)
        asked.append(0)
        return real(self, *given)

    monkeypatch.setattr(optuna.Study, "ask", race)
    result = tune(train, SPACE, "random", budget=2, seed=0, storage=file)
    assert result.n_trials == 2
    assert [trial.user_attrs.get("reason") for trial in result.study.trials] == [
        None,
        None,
        SURPLUS,
    ]


def test_a_study_that_tune_did_not_make_is_left_alone(file: Path) -> None:
    study = optuna.create_study(study_name="train", storage=f"sqlite:///{file}")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(ValueError, match="was not made by tune"):
        tune(train, SPACE, budget=3, storage=file)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, " * 100)
    with pytest.raises(ValueError, match="can't be used"):
        tune(train, SPACE, budget=3, storage=file)
    assert file.read_text() == "not a database, " * 100


def test_locks_say_who_lives(file: Path) -> None:
    one, other = Locks(file), Locks(file)
    assert one.lives(other.token)
    assert one.lives(one.token)
    other.close()
    assert not one.lives(other.token)
    assert not one.lives("never heard of")
    one.close()
    assert not list(file.parent.glob("*.lock"))


def test_pulses_say_who_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PULSE", 0.02)
    monkeypatch.setattr(presence, "SILENCE", 0.5)
    study = optuna.create_study(study_name="pulses")
    one, other = Pulses(study), Pulses(study)
    for _ in range(8):
        assert one.lives(other.token)
        time.sleep(0.1)
    other._over.set()  # killed: it does not say goodbye
    until = time.monotonic() + 30
    while one.lives(other.token):
        assert time.monotonic() < until
        time.sleep(0.02)
    last = Pulses(study)
    last.close()
    assert not one.lives(last.token)
    one.close()


def test_a_storage_of_optunas_is_shared_by_pulses(tmp_path: Path) -> None:
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    result = tune(train, SPACE, "random", budget=3, seed=0, storage=storage)
    assert result.n_trials == 3
    assert [count for name, count in result.study.user_attrs.items() if "alive" in name] == [-1]


SCRIPT = """
import sys, time
from adapters import Choice, Int, Log, Space, tune
space = Space(lr=Log(1e-5, 1e-2), width=Int(8, 128))
def train(lr, width):
    time.sleep(0.03)
    return lr + width
result = tune(train, space, sys.argv[2], budget=int(sys.argv[3]), storage=sys.argv[1], seed=0)
print(result.n_trials)
"""


def start(file: Path, method: str, budget: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(file), method, str(budget)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tpe", "cma", "grid"])
def test_processes_share_a_budget_and_survive_kills(file: Path, method: str) -> None:
    budget, rng = 60, random.Random(method)
    running = [start(file, method, budget) for _ in range(2)]
    for _ in range(6):
        time.sleep(rng.uniform(1.5, 4.0))
        victim = rng.randrange(2)
        if running[victim].poll() is None:
            running[victim].send_signal(signal.SIGKILL)
            running[victim].communicate()
            running[victim] = start(file, method, budget)
    assert [process.communicate(timeout=120)[0].strip() for process in running] == [str(budget)] * 2
    result = tune(train, SPACE, method, budget=budget, storage=file, seed=0)
    assert result.n_trials == budget
    assert len({tuple(trial.params.items()) for trial in result.finished}) == budget
    tried = {tuple(trial.params.items()) for trial in result.finished}
    for trial in result.study.trials:  # nothing that was begun is lost
        if trial.state == TrialState.FAIL and len(trial.params) == 2:
            assert tuple(trial.params.items()) in tried
    assert not list(file.parent.glob("*.lock"))


@pytest.mark.slow
def test_workers_of_several_processes_share_a_budget(file: Path) -> None:
    script = SCRIPT.replace("seed=0", "seed=0, workers=2")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(file), "cma", "30"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    assert [process.wait(timeout=180) for process in running] == [0, 0]
    result = tune(train, SPACE, "cma", budget=30, storage=file, seed=0)
    assert result.n_trials == 30
    assert len({tuple(trial.params.items()) for trial in result.finished}) == 30


def test_what_a_study_was_made_with_is_kept_in_it(file: Path) -> None:
    space = Space(lr=Log(1e-5, 1e-2), act=Choice("relu", "tanh"))
    result = tune(lambda lr, act: lr, space, budget=2, seed=7, storage=file, name="mine")
    kept = result.study.user_attrs[IDENTITY]
    assert Space.from_dict(kept["space"]) == space
    assert (kept["method"], kept["chosen"], kept["seed"]) == ("auto", result.method, 7)
