import json
from dataclasses import replace

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize
from blackbox.choice import check_memory
from experiments import cli, method_cases, method_memory, method_sides
from experiments.method_cases import BENCHMARKS
from experiments.method_memory import MIB, Peak, Refusal
from experiments.problems import find


@pytest.mark.parametrize(
    "benchmark",
    [
        pytest.param(b, id=b.name, marks=[pytest.mark.slow] if i % 3 else [])
        for i, b in enumerate(BENCHMARKS)
    ],
)
def test_both_sides_run_and_do_the_same_work_where_that_is_said(benchmark):
    ours, peer = (side() for side in benchmark.prepare())
    assert min(ours[0], peer[0]) > 0
    assert min(ours[1], peer[1]) > 0
    if benchmark.same_work:
        assert ours[1] == peer[1]


def test_every_kind_of_batch_has_its_goal():
    goals = {b.name: (b.judge, b.goal) for b in BENCHMARKS}
    assert goals["pso, batches"] == ("ratio", 1.15)
    assert goals["direct, point by point"] == ("extra", 10e-6)
    assert goals["cg, stencils of the article's network"] == ("ratio", 1 / 3)
    assert goals["l-bfgs-b, gradients of the digits' network"] == ("ratio", 1.05)
    assert goals["cma+l-bfgs-b, a chain"] == ("ratio", None)
    assert len(goals) == len(BENCHMARKS)


def test_the_swarm_by_hand_is_the_same_search():
    by_hand = method_sides.swarm_by_hand(method_sides.spheres, 30, np.random.default_rng(4))
    options = {"swarmsize": method_sides.SWARM, "maxiter": 30, "minstep": -1.0, "minfunc": -1.0}
    ours = minimize(
        method_sides.spheres, method="pso", bounds=[(-5, 5)] * 10, batched=True, seed=4,
        options=options,
    )  # fmt: skip
    assert by_hand == pytest.approx(ours.fun, rel=1e-9)


def test_the_network_by_hand_has_the_same_loss_and_gradient():
    problem = find("digits-mlp")
    x = problem.start(0, 0)
    value, gradient = method_sides.mlp_by_hand()(x)
    values, gradients = problem.make().value_and_gradient(x[None])
    assert value == pytest.approx(values[0], rel=1e-5)
    np.testing.assert_allclose(gradient, gradients[0], rtol=1e-3, atol=1e-6)


def test_a_child_sees_vectors_and_matrices():
    lean, full = method_memory.peaks(["l-bfgs-b", "bfgs"], [1000])
    assert lean.vectors < 100
    assert full.vectors > 1000
    assert lean.allocated == round(8 * 1000 * lean.vectors)
    if method_memory.CLEAR.exists():
        assert full.process > 7 * MIB > lean.process


def test_a_child_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match=r"memory of .grid. was not measured.*1000"):
        list(method_memory.peaks(["grid"], [1000]))


def test_all_methods_are_measured_or_refuse():
    refusing = {one.method: one for one in method_memory.refusals()}
    assert set(method_memory.scaling()) | set(refusing) | set(method_memory.LEFT_OUT) == {
        row.name for row in ALGORITHMS.values() if row.installed
    }
    assert [name for name, one in refusing.items() if not one.in_time] == []
    bfgs = refusing["bfgs"]
    check_memory(ALGORITHMS["bfgs"], bfgs.n - 1)
    with pytest.raises(MemoryError):
        check_memory(ALGORITHMS["bfgs"], bfgs.n)


def test_a_method_that_does_not_refuse_is_found_out():
    boasting = replace(ALGORITHMS["bfgs"], matrices=1e9)
    found = method_memory._refuse(boasting)
    assert not found.refused
    assert not found.in_time


def test_tables_judge():
    peaks = [
        Peak("cg", 1000, 80_000, None),
        Peak("cg", 10_000, 1_600_000, None),
        Peak("tnc", 1000, 80_000, 90_000),
        Peak("tnc", 10_000, 1_700_000, 2 * MIB),
    ]
    late = Refusal("bfgs", 1.0, 50_000, True, 50_000**2 * 8)
    vectors, matrices = method_memory.tables(peaks, [late])
    linear = [column.title for column in vectors.columns].index("linear")
    assert [row[linear] for row in vectors.rows] == ["yes", "NO"]
    assert vectors.rows[0][1:4] == ["0.0763", "10", "-"]
    assert vectors.rows[1][6] == "2"
    assert [row[-1] for row in matrices.rows] == ["NO"]


@pytest.fixture
def small(monkeypatch):
    chosen = [b for b in BENCHMARKS if b.name in ("pso, batches", "direct, point by point")]
    monkeypatch.setattr(method_cases, "BENCHMARKS", chosen)
    monkeypatch.setattr(method_memory, "scaling", lambda: ["cg"])
    monkeypatch.setattr(method_memory, "refusals", lambda: [Refusal("bfgs", 1.0, 9, True, 99)])


def test_the_page_has_times_and_memory(small, tmp_path, capsys):
    assert cli.main(["speed", "methods", "--quick", "--out", str(tmp_path)]) == 0
    assert "direct, point by point" in capsys.readouterr().out
    page = (tmp_path / "methods.md").read_text()
    assert "# Speed: methods" in page
    assert "`experiments speed methods --quick`" in page
    assert "| cg | " in page
    assert "| bfgs | 1 |" in page
    read = json.loads((tmp_path / "methods.json").read_text())
    assert [one["name"] for one in read["benchmarks"]] == [b.name for b in method_cases.BENCHMARKS]
    assert [one["n"] for one in read["memory"]["vectors"]] == list(method_memory.SIZES)
    assert read["memory"]["matrices"][0]["in_time"]


def test_ctrl_c_while_memory_is_measured_keeps_the_times(small, tmp_path, monkeypatch, capsys):
    def stopped(methods):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(method_memory, "peaks", stopped)
    assert cli.main(["speed", "methods", "--quick", "--out", str(tmp_path), "--json"]) == 130
    read = json.loads((tmp_path / "methods.json").read_text())
    assert len(read["benchmarks"]) == len(method_cases.BENCHMARKS)
    assert "memory" not in read
    assert "stopped" in capsys.readouterr().err
