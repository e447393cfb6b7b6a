"""`tune`: what it finds, what it keeps, what it refuses."""

import logging
import math
import os
import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from adapters import Choice, Float, Int, Log, Space, TuneResult, tune
from adapters.tuning.sampler_generations import METHODS
from adapters.tuning.searching import FAILURE_LIMIT

SPACE = Space(lr=Log(1e-5, 1e-2), width=Int(8, 128))


def train(lr: float, width: int) -> float:
    return (math.log10(lr) + 3) ** 2 + ((width - 64) / 64) ** 2


CORE = ["auto", "tpe", "gp", "grid", "cma", "random"]
REST = [pytest.param(name, marks=pytest.mark.slow) for name in METHODS if name not in CORE]


@pytest.mark.parametrize("method", CORE + REST)
def test_every_method_searches_within_the_budget(method: str) -> None:
    asked: list[tuple[float, int]] = []

    def note(lr: float, width: int) -> float:
        asked.append((lr, width))
        return train(lr, width)

    result = tune(note, SPACE, method, budget=12, seed=0)
    assert result.n_trials == len(asked) == 12
    values = [train(*each) for each in asked]
    assert result.best_value == min(values)
    assert result.best_params == dict(
        zip(("lr", "width"), asked[values.index(min(values))], strict=True)
    )
    assert result.trials["value"].tolist() == values
    assert result.trials[["lr", "width"]].to_numpy().tolist() == [list(each) for each in asked]
    assert all(1e-5 <= lr <= 1e-2 and 8 <= width <= 128 for lr, width in asked)


@pytest.mark.parametrize("method", ["auto", "tpe", "cma", "grid", "random"])
def test_the_same_seed_is_the_same_search(method: str) -> None:
    one, again, other = (
        tune(train, SPACE, method, budget=15, seed=seed).trials["lr"].tolist() for seed in (3, 3, 4)
    )
    assert one == again != other


def test_a_fresh_seed_is_told_and_repeats_the_search() -> None:
    first = tune(train, SPACE, "tpe", budget=12)
    again = tune(train, SPACE, "tpe", budget=12, seed=first.seed)
    assert first.trials["lr"].tolist() == again.trials["lr"].tolist()


def test_a_sampler_of_optunas_is_taken_as_it_is() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(5))
    study.optimize(lambda trial: train(**SPACE.suggest(trial)), n_trials=8)
    result = tune(train, SPACE, optuna.samplers.RandomSampler(5), budget=8)
    assert [trial.params for trial in study.trials] == [t.params for t in result.study.trials]
    assert result.method == "RandomSampler"


def test_maximizing_finds_the_largest() -> None:
    result = tune(train, SPACE, "tpe", budget=30, seed=0, direction="maximize")
    assert result.best_value == result.trials["value"].max() > result.trials["value"].median()


def test_a_grid_is_every_point_once_and_then_ends() -> None:
    space = Space(
        act=Choice("relu", "tanh"),
        slope=Choice(0.1, 0.2, when={"act": "relu"}),
        depth=Int(1, 3),
    )
    result = tune(lambda act, depth, slope=0.0: depth + slope, space, "grid", budget=100, seed=0)
    points = {tuple(result.params_of(trial).items()) for trial in result.finished}
    assert result.n_trials == len(points) == 2 * 3 + 3
    assert "grid's 9 points" in result.stopped


def test_a_grid_has_as_many_points_of_numbers_as_the_budget_allows() -> None:
    result = tune(lambda a, b: a + b, Space(a=Float(0, 1), b=Float(0, 1)), "grid", budget=11)
    assert result.n_trials == 9
    assert sorted(result.trials["a"].unique()) == [0, 0.5, 1]


def test_options_that_a_database_does_not_know_reach_train_as_they_are(tmp_path: Path) -> None:
    space = Space(
        hidden=Choice((32,), (64, 64), None),
        how=Choice(math.sin, math.cos),
        rate=Float(0, 1, when={"hidden": (64, 64)}),
        extra=7,
    )

    def note(hidden: Any, how: Any, extra: int, rate: float | None = None) -> float:
        assert hidden in ((32,), (64, 64), None)
        assert how in (math.sin, math.cos)
        assert (rate is not None) == (hidden == (64, 64))
        return float(how(extra))

    for method, file in (("tpe", tmp_path / "study.db"), ("cma", None)):
        result = tune(note, space, method, budget=6, seed=0, storage=file)
        assert result.trials["state"].unique().tolist() == ["complete"]
        assert note(**result.best_params) == result.best_value


def yields(lr: float, width: int) -> Iterator[float]:
    for epoch in range(6):
        yield train(lr, width) + 1 / (epoch + 1)


def reports(lr: float, width: int, report: Any) -> float:
    for epoch in range(6):
        report(train(lr, width) + 1 / (epoch + 1))
    return train(lr, width) + 1 / 6


class Yields:
    def __call__(self, lr: float, width: int) -> Iterator[float]:
        yield from yields(lr, width)


@pytest.mark.parametrize("each", [yields, reports, Yields(), partial(yields)])
def test_intermediate_values_are_kept_and_the_last_is_the_result(each: Any) -> None:
    result = tune(each, SPACE, "tpe", budget=5, seed=0, fidelity="median")
    for trial in result.finished:
        value = train(**trial.params)
        expected = {epoch + 1: value + 1 / (epoch + 1) for epoch in range(6)}
        assert trial.intermediate_values == pytest.approx(expected)
        assert trial.value == pytest.approx(value + 1 / 6)
    assert result.steps == 30


@pytest.mark.parametrize("fidelity", ["hyperband", "halving", "median"])
@pytest.mark.parametrize("each", [yields, reports])
def test_a_fidelity_saves_steps(fidelity: str, each: Any) -> None:
    result = tune(each, SPACE, "random", budget=40, seed=0, fidelity=fidelity)
    assert result.n_trials == 40
    assert result.steps < 0.8 * 40 * 6
    assert {"complete", "pruned"} == set(result.trials["state"])
    complete = result.trials[result.trials["state"] == "complete"]
    assert result.best_value == complete["value"].min()


@pytest.mark.parametrize("workers", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("each", [yields, reports])
def test_steps_are_never_more_than_the_budget(
    each: Any, workers: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "blackbox"):
        result = tune(each, SPACE, "tpe", steps=33, seed=0, workers=workers)
    assert result.steps == 33
    assert result.n_trials in ([6] if workers is None else [6, 7])  # both may be at their last
    assert result.trials["state"].tolist().count("pruned") >= 1
    assert "cut: all 33 steps" in result.trials["reason"].iloc[-1]
    assert "was cut after" in caplog.text


def test_a_training_that_never_reports_is_one_step() -> None:
    def silent(lr: float, width: int, report: Any) -> float:
        return lr

    result = tune(silent, SPACE, "random", steps=7, seed=0)
    assert result.n_trials == 7
    assert "7 steps" in result.stopped


def test_a_stopped_generator_is_closed() -> None:
    closed = []

    def watched(lr: float, width: int) -> Iterator[float]:
        try:
            yield from yields(lr, width)
        finally:
            closed.append(lr)

    result = tune(watched, SPACE, "random", budget=20, seed=0, fidelity="median")
    assert len(closed) == 20
    assert (result.trials["state"] == "pruned").any()


def test_what_train_catches_is_not_the_order_to_stop() -> None:
    def stubborn(lr: float, width: int, report: Any) -> float:
        for epoch in range(6):
            try:
                report(train(lr, width) + 1 / (epoch + 1))
            except Exception:
                pytest.fail("it should not be caught by this")
        return train(lr, width)

    result = tune(stubborn, SPACE, "random", budget=20, seed=0, fidelity="median")
    assert (result.trials["state"] == "pruned").any()


def test_failures_are_recorded_and_the_search_goes_on() -> None:
    def fragile(lr: float, width: int) -> float:
        if width > 100:
            raise MemoryError("too wide")
        return math.nan if width > 80 else -math.inf if width < 20 else train(lr, width)

    result = tune(fragile, SPACE, "random", budget=40, seed=0)
    table = result.trials
    failed = table["state"] == "failed"
    assert (failed == ((table["width"] > 80) | (table["width"] < 20))).all()
    wide = table[table["width"] > 100]
    assert len(wide)
    assert set(wide["reason"]) == {"raised: MemoryError: too wide"}
    assert set(table["reason"]) >= {"nan: the value was nan", "infinite: the value was -inf"}
    assert math.isfinite(result.best_value)


def test_nothing_but_failures_ends_the_search() -> None:
    result = tune(lambda lr, width: math.nan, SPACE, "tpe", budget=300)
    assert result.n_trials == FAILURE_LIMIT
    assert "in a row failed; the last: nan" in result.stopped
    with pytest.raises(ValueError, match=r"none of 25 trials is complete.*the value was nan"):
        _ = result.best_params
    assert "25 failed" in repr(result)


def test_an_exception_may_end_the_search_with_the_result_so_far() -> None:
    def breaks(lr: float, width: int) -> float:
        if width > 100:
            raise RuntimeError("broken")
        return lr

    with pytest.raises(RuntimeError, match="broken") as caught:
        tune(breaks, SPACE, "random", budget=50, seed=0, on_error="raise")
    result: TuneResult = caught.value.result  # type: ignore[attr-defined]
    assert result.trials["state"].iloc[-1] == "failed"
    assert result.n_trials > 1


@pytest.mark.parametrize("returned", [None, "1.5", 1j, [1.0, 2.0], np.zeros(2), True])
def test_what_is_no_number_is_a_mistake(returned: Any) -> None:
    with pytest.raises(TypeError, match=r"train returned .* must be a number"):
        tune(lambda lr, width: returned, SPACE, "random", budget=5)


def test_numbers_of_all_kinds_are_taken() -> None:
    import torch

    given = iter([1, np.float32(2), np.array([3.0]), torch.tensor(4.0, requires_grad=True)])
    result = tune(lambda lr, width: next(given), SPACE, "random", budget=4)
    assert result.trials["value"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_hangs_and_crashes_in_workers_cost_one_trial_each(workers: int) -> None:
    def hostile(mood: str) -> float:
        import os
        import time

        if mood == "slow":
            time.sleep(60)
        if mood == "dead":
            os._exit(3)
        return 1.0

    space = Space(mood=Choice("good", "slow", "dead"))
    result = tune(hostile, space, "grid", budget=3, seed=0, workers=workers, timeout=0.5)
    reasons = dict(zip(result.trials["mood"], result.trials["reason"], strict=True))
    assert reasons.pop("good") == ""
    assert reasons.pop("slow").startswith("timeout: it took longer than timeout=0.5")
    assert reasons.pop("dead").startswith("lost: the process")


def test_trainings_in_workers_are_stopped_as_they_are_here() -> None:
    here, there = (
        tune(
            each,
            SPACE,
            "random",
            budget=15,
            seed=0,
            fidelity="median",
            workers=workers,
            timeout=limit,
        ).trials.drop(columns="seconds")
        for each, workers, limit in ((yields, None, None), (reports, 1, 60))
    )
    assert (here["state"] == "pruned").any()
    assert here.equals(there)


def test_an_executor_trains_and_hands_on_intermediate_values() -> None:
    with ThreadPoolExecutor(3) as executor:
        result = tune(yields, SPACE, "random", budget=7, seed=0, workers=executor)
    assert result.n_trials == 7
    assert all(len(trial.intermediate_values) == 6 for trial in result.finished)


class Whole:
    """A batched objective, as a user would write one."""

    batched = True

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, params: list[dict[str, Any]]) -> list[float]:
        self.sizes.append(len(params))
        return [train(**each) for each in params]


def test_a_batched_objective_gets_whole_generations() -> None:
    objective = Whole()
    result = tune(objective, SPACE, "cma", budget=21, seed=0, options={"popsize": 8})
    assert objective.sizes == [8, 8, 5]
    alone = tune(train, SPACE, "cma", budget=21, seed=0, options={"popsize": 8})
    assert alone.trials["lr"].tolist() == result.trials["lr"].tolist()
    tune(objective, SPACE, "tpe", budget=21, seed=0, at_once=7)
    assert objective.sizes[3:] == [7, 7, 7]


def test_a_batch_that_fails_is_failed_trials_and_a_wrong_shape_an_error() -> None:
    objective: Any = Whole()
    objective.__class__ = type("Broken", (Whole,), {"__call__": lambda self, params: 1 / 0})
    result = tune(objective, SPACE, "tpe", budget=3)
    assert set(result.trials["reason"]) == {"raised: ZeroDivisionError: division by zero"}
    objective.__class__ = type("Short", (Whole,), {"__call__": lambda self, params: [0.0]})
    with pytest.raises(ValueError, match="shape"):
        tune(objective, SPACE, "tpe", budget=3)


def test_a_callback_sees_each_trial_and_may_stop() -> None:
    seen: list[int] = []

    def look(result: TuneResult) -> None:
        seen.append(result.n_trials)
        if result.n_trials == 4:
            raise StopIteration("good enough")

    result = tune(train, SPACE, "tpe", budget=20, seed=0, callback=look)
    assert seen == [1, 2, 3, 4]
    assert result.stopped == "good enough"


def test_progress_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tune(train, SPACE, "tpe", budget=5, seed=0, progress=True)
    shown = capsys.readouterr()
    assert "tpe: 5/5 trials, best" in shown.err
    assert shown.err.endswith("\n")
    assert not shown.out


def test_seconds_end_a_search() -> None:
    result = tune(train, SPACE, "random", max_seconds=0.2)
    assert result.n_trials > 1
    assert "0.2 seconds are over" in result.stopped


def test_an_interrupt_comes_with_the_result_so_far() -> None:
    def interrupted(lr: float, width: int) -> float:
        if width > 100:
            os.kill(os.getpid(), signal.SIGINT)
        return lr

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            tune(interrupted, SPACE, "random", budget=50, seed=0)
    finally:
        signal.signal(signal.SIGINT, before)
    result: TuneResult = caught.value.result  # type: ignore[attr-defined]
    assert (result.trials["state"] == "complete").all()
    assert not any(trial.state.name == "RUNNING" for trial in result.study.trials)


def test_optuna_neither_speaks_nor_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    before, filters = optuna.logging.get_verbosity(), list(warnings.filters)
    level = optuna.logging.INFO
    optuna.logging.set_verbosity(level)
    optuna.logging.enable_propagation()
    try:
        with caplog.at_level(logging.DEBUG):
            tune(train, SPACE, "auto", budget=3, seed=0)
        assert not [each for each in caplog.records if each.levelno >= logging.INFO]
        optuna.create_study(study_name="heard")
        assert any("heard" in each.message for each in caplog.records)
        assert optuna.logging.get_verbosity() == level
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(before)
    assert list(warnings.filters) == filters
