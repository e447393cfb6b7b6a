import sys
import time

import numpy as np
import pytest

from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Results, Training
from experiments.tensorboard import Events, write_events

pytest.importorskip("tensorboard")


def record(problem="article", method="adam", seed=0, **more):
    spent = np.array([1, 4, 9])
    curve = Curve(spent, np.array([0, 2, 5]), np.array([0.5, 1.0, 2.0]), np.array([8.0, 2.0, 0.5]))
    steps = Training(np.array([1, 2]), np.array([8.0, np.nan]), np.array([3.0, 1.5]))
    whole = {"curve": curve, "training": steps, "value": 0.5} | more
    return Record(
        cell=Cell(problem, method, seed, 20),
        x=np.zeros(2),
        evaluations=20,
        gradients=7,
        seconds=4.0,
        runs=1,
        **whole,
    )


def scalars(folder):
    """By tag, the events as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    told.Reload()
    return {tag: told.Scalars(tag) for tag in told.Tags()["scalars"]}


def test_events_come_back(tmp_path):
    told = scalars(Events(tmp_path).add(record()))
    best = [(event.step, event.value) for event in told["best/evaluations"]]
    assert best == [(1, 8.0), (4, 2.0), (9, 0.5), (20, 0.5)]
    assert [event.step for event in told["best/passes"]] == [1, 8, 19, 34]
    assert [event.value for event in told["train/gradient_norm"]] == [3.0, 1.5]
    assert [event.step for event in told["train/loss"]] == [1, 2]
    assert np.isnan(told["train/loss"][1].value)


def test_every_curve_has_its_scalars_where_there_is_something_to_tell(tmp_path):
    numbers = np.array([3.0, 1.5, 1.0])
    steps = Training(
        np.array([1, 2, 10]),
        numbers,
        numbers,
        seconds=np.array([0.5, 1.0, 3.0]),
        rates=numbers / 10,
        moves=np.array([np.nan, 0.25, 0.5]),
        validated=np.array([6]),
        validation=np.array([2.5]),
    )
    told = scalars(Events(tmp_path).add(record(training=steps)))
    assert {tag for tag in told if "best" not in tag} == {
        "train/loss",
        "train/gradient_norm",
        "train/learning_rate",
        "train/step_size",
        "validation/loss",
    }
    assert [(event.step, event.value) for event in told["train/step_size"]] == [
        (2, 0.25),
        (10, 0.5),
    ]
    assert [event.value for event in told["train/learning_rate"]] == pytest.approx([0.3, 0.15, 0.1])
    (validation,) = told["validation/loss"]
    assert (validation.step, validation.value) == (6, 2.5)
    times = [event.wall_time for event in told["train/loss"]]
    assert np.diff(times) == pytest.approx([0.5, 2.0], abs=1e-3)
    assert validation.wall_time - times[1] == pytest.approx(1.0, abs=1e-3)


def test_a_population_has_its_own(tmp_path):
    none, some = np.full(2, np.nan), np.array([2.0, 1.0])
    generations = Training(np.array([9, 18]), some, none, medians=some, spreads=some)
    told = scalars(Events(tmp_path).add(record(training=generations)))
    assert {tag for tag in told if "best" not in tag} == {
        "train/loss",
        "population/median",
        "population/spread",
    }


def test_times_are_those_of_the_run(tmp_path):
    now = time.time()
    told = scalars(Events(tmp_path).add(record()))["best/evaluations"]
    assert now - 0.01 <= told[-1].wall_time <= now + 5
    assert np.diff([event.wall_time for event in told]) == pytest.approx([0.5, 1.0, 2.0], abs=1e-3)


def test_a_run_without_a_value_has_no_events(tmp_path):
    place = Events(tmp_path).add(record(curve=Curve.empty(), training=None, value=np.inf))
    assert scalars(place) == {}


def test_long_runs_are_thinned_between_their_ends(tmp_path):
    spent = np.arange(1, 5001)
    curve = Curve(spent, spent, spent / 1e4, 1.0 / spent)
    told = scalars(Events(tmp_path).add(record(curve=curve)))["best/evaluations"]
    assert len(told) == 1000
    assert (told[0].step, told[-1].step) == (1, 5000)
    assert all(event.value == pytest.approx(1 / event.step) for event in told)


def test_a_run_that_is_written_again_is_there_once(tmp_path):
    with Events(tmp_path) as events:
        first, second = (events.add(record(seed=0)) for _ in range(2))
    assert first == second
    assert len(list(first.glob("events.*"))) == 1


def test_each_run_has_a_folder_within(tmp_path):
    names = ["../../up", "a/b", "a_b", "a:b", "a,b", "C:\\x", ".", "", "é<script>", "x" * 300]
    places = {Events(tmp_path).add(record(problem=name)) for name in names}
    places |= {Events(tmp_path).add(record(method=name, seed=3)) for name in names}
    assert len(places) == 2 * len(names)
    assert all(place.resolve().is_relative_to(tmp_path.resolve()) for place in places)
    assert all(len(place.relative_to(tmp_path).parts) == 3 for place in places)


def test_results_and_records_are_written_alike(tmp_path):
    both = (record(), record(method="cma:popsize=20", training=None))
    results = Results(both, {"article": ProblemInfo("article", 2)})
    whole = write_events(results, tmp_path / "whole")
    assert [place.parts[-3:] for place in whole] == [
        ("article", "adam", "seed-0"),
        ("article", "cma,popsize=20", "seed-0"),
    ]
    assert len(write_events(both[0], tmp_path / "one")) == 1
    assert "train/loss" not in scalars(whole[1])


def test_a_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e \"\.\[tensorboard\]\""):
        Events(tmp_path)
