import json

import numpy as np
import pytest
import torch

from experiments import cli
from experiments.architectures import ARCHITECTURES
from experiments.one_by_one import tutorial
from experiments.population import measure, memory, report
from experiments.population.goals import judge
from experiments.population.measure import (
    Floor,
    Gradients,
    Pace,
    Step,
    Timing,
    Weight,
    steps,
    take_turns,
    time_gradients,
    time_model,
    time_small,
)
from experiments.population.models import MODELS, population, precision
from experiments.population.sides import SIDES, Side

BRIEF = Pace(cell=0.0, turn=0.0)
M1 = MODELS["M1"]
linux = pytest.mark.skipif(not memory.CLEAR.exists(), reason="a peak is measured on Linux alone")


@pytest.fixture
def one_thread():
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def losses_of(model, change=lambda values: values):
    return lambda points: change(tutorial(model.setup())(points))


def stub(name, change=lambda values: values, **rest):
    return Side(name, lambda model, count, device: losses_of(model, change), **rest)


def named(*sides):
    return {side.name: side for side in (stub("tutorial"), *sides)}


def test_sides_take_turns_and_every_other_round_goes_backwards():
    called = []
    sides = {name: lambda name=name: called.append(name) for name in "abc"}
    spent = take_turns(sides, BRIEF)
    assert "".join(called[3:]) == "abc" + "cba" + "abc"
    assert {name: len(seconds) for name, seconds in spent.items()} == dict.fromkeys("abc", 3)
    assert all(s > 0 for seconds in spent.values() for s in seconds)


def test_a_short_call_is_repeated_to_fill_its_turn():
    calls = []
    take_turns({"a": lambda: calls.append(1)}, Pace(cell=0.0, turn=10.0))
    assert len(calls) == 1 + 3 * 1000


def test_rounds_go_on_until_the_time_is_up(monkeypatch):
    spent = []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(len(spent)))
    found = take_turns({"a": lambda: spent.append(1)}, Pace(cell=20.0, turn=0.0))
    assert found == {"a": [1.0] * 20}


def test_a_wrong_side_is_said_and_not_timed(one_thread):
    sides = named(stub("off", lambda v: v + 1e-3), stub("lost", lambda v: v * np.nan), stub("good"))
    found = time_model(M1, 5, "cpu", BRIEF, sides)
    assert set(found.seconds) == {"tutorial", "good"}
    assert "its losses differ by" in found.failed["off"]
    assert "its losses differ by inf" in found.failed["lost"]
    assert found.faster("off", "tutorial") is None
    assert found.faster("good", "tutorial") > 0


def test_a_peer_that_fails_or_is_missing_is_said(one_thread):
    def broken(points):
        raise OSError("out of order\nfor a long time")

    there = Side("broken", lambda model, count, device: broken, package="numpy")
    missing = stub("missing", package="no_such_package")
    found = time_model(M1, 5, "cpu", BRIEF, named(there, missing))
    assert found.failed == {
        "broken": "OSError: out of order",
        "missing": "no_such_package is not installed; the extra `peers` has it",
    }
    assert set(found.seconds) == {"tutorial"}


def test_our_own_failure_is_an_error():
    def broken(points):
        raise OSError("ours")

    with pytest.raises(OSError, match="ours"):
        time_model(M1, 5, "cpu", BRIEF, {"ours": Side("ours", lambda *rest: broken)})


def test_sides_get_what_they_say_they_take(one_thread, monkeypatch):
    monkeypatch.setattr(measure, "MOST_ONE_BY_ONE", 2)
    given = {}

    def recording(name):
        def make(model, count, device):
            def score(points):
                given[name] = points.dtype, points.shape, count
                return losses_of(model)(points)

            return score

        return make

    sides = named(
        Side("each", recording("each"), one_by_one=True),
        Side("all", recording("all")),
        Side("double", recording("double"), double=True),
    )
    model, count = MODELS["M3"], 3
    points = population(model.setup(), count)
    assert points.dtype == np.float32
    time_model(model, count, "cpu", BRIEF, sides)
    assert given == {
        "each": (np.float32, (2, points.shape[1]), 2),
        "all": (np.float32, points.shape, count),
        "double": (np.float64, points.shape, count),
    }


@pytest.mark.parametrize("side", SIDES.values(), ids=lambda side: side.name)
def test_every_side_has_the_tutorials_losses(side, one_thread):
    if side.package is not None:
        pytest.importorskip(side.package)
    for model in MODELS.values():
        points = population(model.setup(), 3)
        expected = tutorial(model.setup())(points)
        found = side.make(model, 3, "cpu")(points)
        rtol = measure.TOLERANCE[precision(model.setup()).name]
        np.testing.assert_allclose(found, expected, rtol=rtol, err_msg=model.name)


def test_models_are_what_they_say():
    assert {m.name: population(m.setup(), 2).shape for m in MODELS.values()} == {
        "M1": (2, 10),
        "M2": (2, 64 * 32 + 32 + 320 + 10),
        "M3": (2, 72 + 8 + 8 * 16 * 9 + 16 + 640 + 10),
        "M4": (2, 784 * 128 + 128 + 1280 + 10),
    }
    assert {m.name: len(m.setup().inputs) for m in MODELS.values()} == {
        "M1": 32,
        "M2": 1797,
        "M3": 256,
        "M4": 256,
    }


def test_gradients_of_the_loop_and_of_a_batch(one_thread):
    found = time_gradients(M1, "cpu", BRIEF)
    assert found.faster > 0
    assert found.difference < 1e-14
    assert len(found.loop) == len(found.ours) == 3


@pytest.mark.parametrize("name", ["perceptron", "LSTM", "float64 before float32"])
def test_small_batches(name, one_thread):
    row = ARCHITECTURES[name]
    found = time_small(row, (1, 5), "cpu", BRIEF)
    assert found.path == row.objective(row.setup()).batching.path
    assert set(found.faster) == {1, 5}


@linux
def test_scratch_is_what_a_call_holds_at_its_peak(monkeypatch, one_thread):
    def hungry(points):
        if len(points) == 7:
            np.ones(64 * 2**20 // 8).sum()

    monkeypatch.setitem(SIDES, "hungry", Side("hungry", lambda model, count, device: hungry))
    peak = memory.measure("M1", 7, "hungry", "cpu")
    assert 60 < peak < 70
    assert memory.measure("M1", 8, "hungry", "cpu") < 4


@linux
@pytest.mark.slow
def test_scratch_is_measured_in_a_child():
    assert 0 <= memory.scratch("M1", 4, "tutorial", "cpu", 1) < 64


def test_a_child_that_fails_says_how(monkeypatch):
    monkeypatch.setattr(memory, "CLEAR", memory.Path(__file__))
    with pytest.raises(RuntimeError, match="memory of ours on M9 was not measured: KeyError"):
        memory.scratch("M9", 4, "ours", "cpu", 1)


def test_where_a_peak_cannot_be_measured_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "missing")
    assert memory.scratch("M1", 4, "ours", "cpu", 1) is None
    assert memory.scratch("M1", 4, "ours", "mps", 1) is None
    assert memory.scratch("M1", 4, "JAX", "cuda", 1) is None


def test_steps_by_device():
    labels = [step.label for step in steps()]
    assert len(set(labels)) == len(labels)
    assert {f"{name}, 1000 candidates" for name in MODELS} <= set(labels)
    assert set(ARCHITECTURES) <= set(labels)
    assert len(steps(quick=True)) < len(labels)
    assert "M2, 4096 candidates" in [step.label for step in steps("cuda")]
    assert "M2, 10 candidates" not in [step.label for step in steps("cuda")]
    on_mps = [step.label for step in steps("mps")]
    assert not [label for label in on_mps if label.startswith("M1")]  # it is in float64
    assert "float64 before float32" not in on_mps


def timing(model, count, **seconds):
    return Timing(model, count, {n.replace("_", " "): s for n, s in seconds.items()}, {})


def test_a_ratio_is_the_median_of_each_rounds_ratio():
    found = timing("M1", 10, tutorial=[4.0, 9.0, 1.0], ours=[1.0, 3.0, 1.0])
    assert found.faster("ours", "tutorial") == 3.0


def verdicts(*findings):
    return {v.what: v for v in judge(findings)}


def test_goals_are_held_against_the_worst():
    beside = "M3: ours beside the tutorial's loop"
    good = timing("M3", 10, tutorial=[4.0], ours=[1.0])
    bad = timing("M3", 100, tutorial=[3.0], ours=[1.0])
    elsewhere = timing("M3", 4096, tutorial=[1.0], ours=[1.0])
    assert verdicts(good, elsewhere)[beside].reached is True
    verdict = verdicts(good, bad, elsewhere)[beside]
    assert verdict.reached is False
    assert verdict.measured == "3 x (100 candidates)"
    assert verdicts()[beside] == (beside, ">= 3.8 x", "-", None)


def test_of_a_peers_ways_the_better_counts():
    found = timing("M2", 10, tutorial=[9.0], ours=[1.0], evotorch_vmap=[3.5], evotorch=[2.0])
    beside = "M2: ours beside the better of evotorch's ways"
    assert verdicts(found)[beside].reached is False
    assert "2 x" in verdicts(found)[beside].measured


def test_memory_gradients_and_floor_have_goals():
    heavy = Weight("M1", 4096, {"ours": 3.0, "ours, float64": 65.0, "JAX": 900.0})
    unknown = Weight("M2", 4096, {"ours": None})
    slow = Gradients("M2", [3.0], [2.0], 0.0)
    floors = [Floor("a", "loop", {1: 0.96, 2: 0.95}, 0.1), Floor("b", "loop", {1: 0.94}, 0.1)]
    found = verdicts(heavy, unknown, slow, *floors)
    assert found["scratch memory"].measured == "65 MiB (M1, ours, float64)"
    assert found["scratch memory"].reached is False
    assert verdicts(unknown)["scratch memory"].reached is None
    assert found["64 gradients, beside a training loop"].measured == "1.5 x (M2)"
    assert found["any architecture, beside the tutorial's loop"].measured == "0.94 x (b, 1)"
    assert verdicts(floors[0])["any architecture, beside the tutorial's loop"].reached is True


FINDINGS = [
    Timing(
        "M1",
        1000,
        {"tutorial": [4e-5, 4e-5], "ours": [1e-6, 1e-6], "lean loop": [1e-5, 1e-5]},
        {"ours": 1e-16},
        {"JAX": "jax is not installed", "evotorch vmap": "its losses differ by 0.1"},
    ),
    Timing(
        "M2",
        10,
        {"tutorial": [5e-4] * 3, "ours": [1e-4] * 3},
        {},
        {"JAX": "jax is not installed"},
        4,
    ),
    Gradients("M2", [1e-3] * 3, [4e-4] * 3, 1e-7),
    Weight("M1", 4096, {"ours": 3.5, "JAX": None}, {"evotorch vmap": "killed"}),
    Floor("LSTM", "loop", {1: 0.9, 100: 1.2}, 0.012),
]


@pytest.fixture
def measured(monkeypatch):
    plan = [Step(f"step {i}", lambda found=found: found) for i, found in enumerate(FINDINGS)]
    monkeypatch.setattr(measure, "steps", lambda device, threads, quick: plan)
    return plan


def test_the_command_writes_page_and_json(measured, tmp_path, capsys):
    assert cli.main(["speed", "population", "--out", str(tmp_path)]) == 0
    assert "NO" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["population.json", "population.md"]
    page = (tmp_path / "population.md").read_text()
    assert "`experiments speed population`" in page
    assert "on cpu, 1 thread;" in page
    missed = "M1: ours beside the tutorial's loop; any architecture, beside the tutorial's loop."
    assert f"Goals missed: {missed} Not measured: M1: ours beside the better of JAX's" in page
    assert "| M1 | 4,096 | 3.5 | - |" in page
    assert "| M1 | 1,000 | 40 us | 4 | 40 | - |" in page
    assert "Not timed: JAX: jax is not installed." in page
    assert "Not timed: evotorch vmap (M1 with 1,000): its losses differ by 0.1." in page
    assert "JAX's chunks, the fastest of a few sizes: M2 4 candidates." in page
    assert "Some cannot be measured" in page
    assert "M1: killed." in page
    assert "| LSTM | loop | 0.9 ! | 1.2 | +12 |" in page
    read = json.loads((tmp_path / "population.json").read_text())
    assert read["torch_threads"] == 1
    assert read["speed"][0]["times_faster"]["ours"] == pytest.approx(40)
    assert read["memory_mib"][0]["peaks"] == {"ours": 3.5, "JAX": None}
    assert {goal["reached"] for goal in read["goals"]} == {True, False, None}


def test_options_are_in_the_command_and_the_files_name(measured, tmp_path, capsys):
    arguments = ["speed", "population", "--quick", "--threads", "2", "--json"]
    before = torch.get_num_threads()
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 0
    assert torch.get_num_threads() == before
    read = json.loads(capsys.readouterr().out)
    assert read["command"] == "experiments speed population --threads 2 --quick"
    assert read["torch_threads"] == 2
    assert (tmp_path / "population-2-threads.md").exists()
    assert report.stem("cuda", 1) == "population-cuda"


def test_ctrl_c_keeps_what_was_measured(measured, tmp_path, capsys):
    def interrupted():
        raise KeyboardInterrupt

    measured[1] = Step("stopped", interrupted)
    assert cli.main(["speed", "population", "--out", str(tmp_path)]) == 130
    assert "stopped after 1 of 5" in capsys.readouterr().err
    read = json.loads((tmp_path / "population.json").read_text())
    assert "stopped early" in read["command"]
    assert len(read["speed"]) == 1


def test_a_device_that_is_not_there_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    target = tmp_path / "new"
    assert cli.main(["speed", "population", "--device", "cuda", "--out", str(target)]) == 2
    assert "torch finds no cuda device here" in capsys.readouterr().err
    assert not target.exists()


def test_missing_digits_are_a_usage_error(tmp_path, capsys, monkeypatch):
    def missing():
        raise ModuleNotFoundError("the digits come with scikit-learn")

    monkeypatch.setattr("experiments.problems.digits.require", missing)
    assert cli.main(["speed", "population", "--out", str(tmp_path)]) == 2
    assert "scikit-learn" in capsys.readouterr().err


def test_the_loops_page_links_to_the_populations(tmp_path):
    from experiments import speed

    content = speed.summary([], "experiments speed")
    speed.save([], tmp_path, content)
    assert "population.md" not in (tmp_path / "README.md").read_text()
    (tmp_path / "population.md").write_text("there")
    speed.save([], tmp_path, content)
    assert "[population.md](population.md)" in (tmp_path / "README.md").read_text()
