import json
from itertools import cycle

import pytest
import torch

from experiments import cli, speed
from experiments.speed import Benchmark, measure
from experiments.speed_cases import BENCHMARKS, python, slsqp_free, slsqp_model, sphere


def sides(ours, peer):
    """Two sides that take turns through given (seconds, work)."""

    def prepare():
        a, b = cycle(ours), cycle(peer)
        return lambda: next(a), lambda: next(b)

    return prepare


def test_ratio_is_the_median_of_each_rounds_ratio_per_unit():
    ours, peer = [(1.0, 10), (2.0, 10), (9.0, 10)], [(1.0, 5), (1.0, 5), (1.0, 5)]
    found = measure(Benchmark("b", "o", "p", 3, sides(ours, peer), goal=1.0))
    assert found.judged == pytest.approx(1.0)
    assert (found.ours, found.peer) == pytest.approx((0.2, 0.2))
    assert found.work == (10, 5)
    assert found.reached is True


def test_difference_is_in_seconds_per_unit():
    found = measure(Benchmark("b", "o", "p", 3, sides([(3.0, 2)], [(1.0, 1)]), judge="extra"))
    assert found.judged == pytest.approx(0.5)
    assert found.reached is None


def test_a_goal_is_missed_when_above_it_or_when_the_work_differs():
    slow = Benchmark("b", "o", "p", 3, sides([(2.0, 1)], [(1.0, 1)]), goal=1.5)
    assert measure(slow).reached is False
    unequal = Benchmark("b", "o", "p", 3, sides([(1.0, 2)], [(1.0, 1)]), goal=1.5, same_work=True)
    assert measure(unequal).reached is False


def test_quick_has_fewer_rounds():
    benchmark = Benchmark("b", "o", "p", 40, sides([(1.0, 1)], [(1.0, 1)]))
    assert (measure(benchmark).rounds, measure(benchmark, quick=True).rounds) == (40, 10)


def test_a_slow_machine_gets_fewer_rounds_but_three():
    benchmark = Benchmark("b", "o", "p", 40, sides([(1.0, 1)], [(1.0, 1)]), limit=0.0)
    assert measure(benchmark).rounds == 3


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with speed.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("prepare", [slsqp_model, lambda: slsqp_free(sphere, 2)])
def test_both_sides_do_the_same_work(prepare):
    ours, peer = prepare()
    assert ours()[1] == peer()[1] > 0


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda b: b.name)
def test_both_sides_of_every_benchmark_run(benchmark):
    for side in benchmark.prepare():
        seconds, work = side()
        assert seconds > 0
        assert work > 0


def test_names_are_unique():
    assert len({b.name for b in BENCHMARKS}) == len(BENCHMARKS)


def test_an_interpreter_that_fails_is_an_error():
    with pytest.raises(Exception, match="exit status 3"):
        python(["-c", "raise SystemExit(3)"], [])[0]()


@pytest.fixture
def measured():
    good = Benchmark("good", "ours", "theirs", 3, sides([(1.0, 1)], [(2.0, 1)]), goal=0.9)
    bad = Benchmark("bad", "ours", "theirs", 3, sides([(5.0, 1)], [(2.0, 1)]), goal=0.9)
    return [measure(good), measure(bad)]


def test_a_missed_goal_is_said_and_is_no_failure(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "measure_all", lambda benchmarks, quick: iter(measured))
    monkeypatch.setattr("experiments.speed_cases.BENCHMARKS", [m.benchmark for m in measured])
    assert cli.main(["speed", "--out", str(tmp_path)]) == 0
    assert "NO" in capsys.readouterr().out
    page = (tmp_path / "README.md").read_text()
    assert "Goals missed: bad." in page
    read = json.loads((tmp_path / "speed.json").read_text())
    assert [b["reached"] for b in read["benchmarks"]] == [True, False]
    assert read["torch_threads"] == 1


def test_ctrl_c_keeps_what_was_measured(measured, tmp_path, monkeypatch, capsys):
    def stopped(benchmarks, quick):
        yield measured[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure_all", stopped)
    assert cli.main(["speed", "--out", str(tmp_path)]) == 130
    assert "stopped after 1 of" in capsys.readouterr().err
    read = json.loads((tmp_path / "speed.json").read_text())
    assert [b["name"] for b in read["benchmarks"]] == ["good"]
