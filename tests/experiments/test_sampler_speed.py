import json

import pytest

from experiments import sampler_quality, sampler_speed
from experiments.cli import main


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(sampler_speed, "TRIALS", 6)
    monkeypatch.setattr(sampler_quality, "TRIALS", 3)


@pytest.mark.slow
def test_the_command_writes_a_page(small, tmp_path, capsys):
    assert main(["speed", "sampler", "--quick", "--json", "--out", str(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in content["benchmarks"]]
    assert names[0] == "sampling"
    assert "sampling, beside TPESampler" in names
    assert all(row["work"] == {"ours": 6, "peer": 6} for row in content["benchmarks"])
    assert {cell["task"] for cell in content["quality"]["cells"]} == set(sampler_quality.TASKS)
    assert content == json.loads((tmp_path / "sampler.json").read_text())
    page = (tmp_path / "sampler.md").read_text()
    assert all(part in page for part in ("experiments speed sampler --quick", "Hyperband", "TPE"))
