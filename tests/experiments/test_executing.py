"""Cells run once each, whoever runs them, whatever is killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import experiments.executing as module
from experiments import compare
from experiments.comparison import load
from experiments.executing import Work, execute
from experiments.plan import make_plan
from experiments.storage import Store, StoreError
from tests.experiments import own

OWN = Path(own.__file__)
SMALL = ["bbob:f=1-3:n=2"], ["pso", "slsqp", "random"], 2, 150
MORE = (*SMALL[:2], 12, SMALL[3])


def plain(comparison):
    """All that was found, seconds aside."""
    return [
        (
            record.cell,
            {k: v for k, v in record.plain().items() if k != "seconds" and k != "message"},
            record.x.tolist(),
            record.curve.evaluations.tolist(),
            record.curve.values.tolist(),
        )
        for record in comparison.records
    ]


@pytest.fixture(scope="module")
def whole():
    return compare(*SMALL)


ONE_THREAD = os.environ | {"PYTHONPATH": str(Path.cwd())} | dict.fromkeys(module.THREADS, "1")
"""The last digits of linear algebra may hang on the number of threads."""


def elsewhere(arguments, out, **more):
    """Start a comparison in a process of its own."""
    code = (
        "import sys; from experiments import compare\n"
        f"if __name__ == '__main__': compare(*{arguments!r}, out=sys.argv[1], **{more!r})"
    )
    script = out.with_suffix(".py")
    script.write_text(code)
    command = [sys.executable, str(script), str(out)]
    return subprocess.Popen(command, env=ONE_THREAD, start_new_session=True)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """What one process with one thread gives, for `MORE` and for `SMALL`, which is part of it."""
    folder = tmp_path_factory.mktemp("apart") / "out"
    assert elsewhere(MORE, folder).wait() == 0
    more = load(folder)
    small = tuple(record for record in more.records if record.cell.seed < SMALL[2])
    return more, replace(more, records=small)


def test_workers_give_what_one_process_gives(apart, tmp_path):
    found = compare(*SMALL, out=tmp_path, workers=2)
    assert found.complete
    assert plain(found) == plain(apart[1])
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.sqlite"]


def test_what_is_there_is_not_run_again(whole, tmp_path, monkeypatch):
    compare(*SMALL, out=tmp_path)
    monkeypatch.setattr(module, "run_cell", lambda *_: pytest.fail("it was there"))
    assert plain(compare(*SMALL, out=tmp_path)) == plain(whole)
    assert plain(load(tmp_path)) == plain(whole)


def test_force_runs_it_again(tmp_path):
    first = compare(*SMALL, out=tmp_path)
    again = compare(*SMALL, out=tmp_path, force=True, only=["pso"])
    seconds = [(a.seconds, b.seconds) for a, b in zip(first.records, again.records, strict=True)]
    anew = [
        record.cell.method for record, (a, b) in zip(first.records, seconds, strict=True) if a != b
    ]
    assert set(anew) == {"pso"}
    assert len(anew) == 6
    assert plain(again) == plain(first)


def test_only_a_part_now_and_the_rest_later(whole, tmp_path):
    part = compare(*SMALL, out=tmp_path, only=["seed=1"])
    assert not part.complete
    assert {record.cell.seed for record in part.records} == {1}
    assert plain(compare(*SMALL, out=tmp_path)) == plain(whole)


def test_more_seeds_and_methods_are_added(whole, tmp_path, monkeypatch):
    problems, methods, seeds, budget = SMALL
    compare(problems, methods[:1], 1, budget, out=tmp_path)
    run, ran = module.run_cell, []
    monkeypatch.setattr(
        module, "run_cell", lambda cell, problem: ran.append(cell) or run(cell, problem)
    )
    found = compare(problems, methods, seeds, budget, out=tmp_path)
    assert len(ran) == 18 - 3
    key = lambda row: row[0].key  # noqa: E731
    assert sorted(plain(found), key=key) == sorted(plain(whole), key=key)


def test_ctrl_c_leaves_what_was_done_and_gives_the_rest_back(whole, tmp_path, monkeypatch):
    run, ran = module.run_cell, []

    def stops(cell, problem):
        if len(ran) == 5:
            raise KeyboardInterrupt
        ran.append(cell)
        return run(cell, problem)

    monkeypatch.setattr(module, "run_cell", stops)
    with pytest.raises(KeyboardInterrupt) as stopped:
        compare(*SMALL, out=tmp_path)
    assert len(stopped.value.comparison.records) == 5
    assert not stopped.value.comparison.complete
    monkeypatch.setattr(module, "run_cell", run)
    assert plain(compare(*SMALL, out=tmp_path)) == plain(whole)


@pytest.mark.slow
def test_two_processes_share_a_plan(apart, tmp_path):
    out = tmp_path / "out"
    both = [elsewhere(SMALL, out) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert plain(load(out)) == plain(apart[1])
    assert [path.name for path in out.iterdir()] == ["comparison.sqlite"]


def finished(out):
    """How many cells are written, as far as one can see."""
    if not (out / "comparison.sqlite").exists():
        return 0
    try:
        with Store(out, create=False) as store:
            return len(store.values())
    except StoreError:
        return 0


@pytest.mark.parametrize(
    ("kills", "workers"),
    [(1, 1), *(pytest.param(20, workers, marks=pytest.mark.slow) for workers in (1, 2))],
)
def test_killed_at_any_moment_it_goes_on_to_the_same_end(kills, workers, apart, tmp_path):
    arguments = (*SMALL[:2], 12 * kills, SMALL[3])
    out, moments = tmp_path / "out", np.random.default_rng(kills)
    counts = [0]
    for _ in range(kills):
        process = elsewhere(arguments, out, workers=workers)
        more = counts[-1] + moments.integers(0, 10)
        while finished(out) < more:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.05) if finished(out) else moments.uniform(0, 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        counts.append(finished(out))
    assert counts == sorted(counts)
    assert 0 < counts[-1] < 9 * 12 * kills, "it was killed at work"
    assert elsewhere(arguments, out, workers=workers).wait() == 0
    whole = apart[0]
    if arguments != MORE:
        assert elsewhere(arguments, tmp_path / "whole").wait() == 0
        whole = load(tmp_path / "whole")
    assert len(load(out).records) == 9 * 12 * kills
    assert plain(load(out)) == plain(whole)
    assert [path.name for path in out.iterdir()] == ["comparison.sqlite"]


def test_a_cell_that_kills_its_worker_is_written_off_and_the_others_run(tmp_path):
    found = compare([f"{OWN}:deadly", f"{OWN}:sphere"], ["random"], 1, 20, out=tmp_path, workers=2)
    assert found.complete
    died = [record for record in found.records if "deadly" in record.cell.problem]
    assert all("signal 9" in record.error and record.failed for record in died)
    assert all(record.error == "" for record in found.records if record not in died)


def test_objects_go_to_workers_too_and_leave_the_environment_as_it_was():
    before = dict(os.environ)
    found = compare([own.sphere], ["pso"], 2, 60, workers=2)
    assert dict(os.environ) == before
    assert plain(found) == plain(compare([own.sphere], ["pso"], 2, 60))


def test_an_object_that_cannot_be_sent_to_workers_is_said():
    def local(x):
        return float(x @ x)

    local.bounds = [(-1, 1)] * 2
    with pytest.raises(ValueError, match="can't be sent to worker processes"):
        compare([local], ["cma"], 2, 20, workers=2)


def test_a_store_that_cannot_be_written_stops_the_work_with_a_word(tmp_path, monkeypatch):
    plan = make_plan(*SMALL)
    with Store(tmp_path) as store:
        store.plan(plan.cells, [row.info() for row in plan.problems.values()], plan.settings)
        store._db.one(f"PRAGMA max_page_count={store._db.one('PRAGMA page_count') + 2}")
        work = Work(tmp_path, {cell.key: cell for cell in plan.cells}, plan.problems)
        with pytest.raises(StoreError, match="disk is full"):
            execute(work, store)
        assert 0 < len(store.values()) < 18
        assert store.claims.elsewhere(work.cells) == set()
