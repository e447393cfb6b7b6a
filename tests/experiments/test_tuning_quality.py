import json

import numpy as np
import pytest

from adapters import tune
from experiments.cli import main
from experiments.tuning_quality import report, runs
from experiments.tuning_quality.tasks import TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_task_gives_the_same_finite_loss_twice(name):
    task = TASKS[name]
    params = task.space.draw(np.random.default_rng(1))
    first, second = task.make()(**params), task.make()(**params)
    assert first == second
    assert np.isfinite(first)
    assert first > 0


def made(values_by_method, task="svr", seed=0):
    return [
        runs.Run(runs.Cell(task, method, seed, len(values)), method, values, 1.0)
        for method, values in values_by_method.items()
    ]


def test_ranks_are_of_the_best_loss():
    found = made({"tpe": [3.0, 1.0, 2.0], "random": [2.0, np.nan, 4.0], "auto": [3.0, 1.0, 2.0]})
    standing = report.measure(found)
    assert standing.methods == ["auto", "tpe", "random"]
    assert standing.finals.tolist() == [[1.0, 1.0, 2.0]]
    assert standing.ranks.tolist() == [[1.5, 1.5, 3.0]]
    assert not standing.reached  # without gp it is not known
    worse = report.measure(made({"tpe": [1.0], "gp": [3.0], "random": [2.0], "auto": [1.5]}))
    assert not worse.reached
    assert report.measure(made({m: [1.0] for m in ("auto", *report.RIVALS)})).reached


def test_only_what_all_methods_were_run_on_counts():
    found = made({"tpe": [1.0], "random": [2.0]}) + made({"tpe": [9.0]}, seed=1)
    assert report.measure(found).seeds == 1
    with pytest.raises(ValueError, match="no task was run by every method"):
        report.measure(made({"tpe": [1.0]}) + made({"random": [9.0]}, seed=1))


def test_auto_is_the_run_of_the_method_that_it_chooses():
    cell = runs.Cell("ridge", "auto", 0, 4)
    named = runs.sibling(cell)
    assert named.method != "auto"
    task = TASKS["ridge"]
    ours, theirs = (
        tune(task.make(), task.space, each.method, budget=4, seed=0) for each in (cell, named)
    )
    assert ours.method == theirs.method == named.method
    assert [t.value for t in ours.study.trials] == [t.value for t in theirs.study.trials]


def test_a_stopped_command_goes_on(tmp_path, capsys):
    words = ["tuning-quality", "--budget", "2", "--methods", "random,sobol", "--out", str(tmp_path)]
    assert main([*words, "--seeds", "1"]) == 0
    kept = (tmp_path / runs.FILE).read_text()
    torn = kept[: len(kept) // 2]
    (tmp_path / runs.FILE).write_text(torn)
    assert main([*words, "--seeds", "1", "--json"]) == 0
    capsys.readouterr()

    def values(text):
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return {(x["cell"]["task"], x["cell"]["method"]): x["values"] for x in lines}

    assert values((tmp_path / runs.FILE).read_text()) == values(kept)
    assert "median rank" in (tmp_path / "tuning.md").read_text()
    assert (tmp_path / "tuning.png").stat().st_size > 10_000


def test_a_method_that_is_none_is_refused(tmp_path, capsys):
    assert main(["tuning-quality", "--methods", "nonsense", "--out", str(tmp_path)]) == 2
    assert "nonsense" in capsys.readouterr().err
