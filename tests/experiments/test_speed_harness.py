import json

import pytest

from experiments import cli, harness_cases, harness_size
from experiments.problems import bbob
from experiments.speed import measure


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(harness_cases, "A_VARIABLE", 16)
    monkeypatch.setattr(harness_cases, "SEEDS", 2)
    monkeypatch.setattr(harness_cases, "BUDGET", 150)
    monkeypatch.setattr(harness_size, "RUNS", 4)
    monkeypatch.setattr(harness_size, "METHODS", 2)


@pytest.mark.parametrize(
    ("prepare", "work"),
    [
        pytest.param(harness_cases.bbob_cma, len(bbob.NAMES) * 160, marks=pytest.mark.slow),
        (harness_cases.bbob_random, len(bbob.NAMES) * 160),
        (harness_cases.article_cma, 300),
    ],
)
def test_both_sides_do_the_same_work(small, prepare, work):
    ours, peer = (side()[1] for side in prepare())
    assert ours == work
    assert abs(peer - work) <= 0.2 * work, "but for the last generation or batch"


@pytest.mark.slow
def test_the_page_has_ratios_and_sizes(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        harness_cases, "BENCHMARKS", [b for b in harness_cases.BENCHMARKS if "Random" in b.name]
    )
    monkeypatch.setattr("experiments.speed.measure", lambda b, quick: measure(b, quick=True))
    assert cli.main(["speed", "harness", "--quick", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "harness.md").read_text()
    assert "`experiments speed harness --quick`" in page
    assert "| store |" in page
    assert "4 runs of 100,000 evaluations" in page
    read = json.loads((tmp_path / "harness.json").read_text())
    assert read["versions"]["ioh"]
    assert 10_000 < read["long_runs"]["store"] < 10e6
    assert read["long_runs"]["memory"] > 50e6
    assert "report, memory" in capsys.readouterr().out


def test_a_figure_beyond_its_goal_is_said():
    table = harness_size.table(harness_size.Size(store=51_000_000, memory=10, seconds=1.0))
    assert [row[3] for row in table.rows] == ["NO", "yes", "yes"]
