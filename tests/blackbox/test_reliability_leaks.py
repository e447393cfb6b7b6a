"""Many runs, whatever becomes of them: no thread, process, file or memory is left."""

import contextlib
import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from tests.blackbox.conftest import shifted_sphere

BOX = [(-5.0, 5.0)] * 2
FEW = ("l-bfgs-b", "nelder-mead", "random")
MANY = ("cma", "l-bfgs-b", "cobyla", "pso", "adam", "differential_evolution")
LOADS, TASKS = Path("/proc/self/fd"), Path("/proc/self/task")


class Broken(Exception):
    """What an objective raises."""


def ways_of(methods):
    """How many ways to end there are; children take their time to start."""
    return 7 if methods is MANY else 6


def lives(folder, number, methods):
    """A run that ends in one of several ways."""
    path = folder / f"{number}.journal"
    method = methods[number % len(methods)]
    ways = number // len(methods) % ways_of(methods)
    calls = iter(range(12 + number % 5))

    def breaks(x):
        if next(calls, None) is None:
            raise Broken
        return shifted_sphere(x)

    arguments = {"method": method, "bounds": BOX, "seed": number, "budget": 30, "journal": path}
    if ways == 0:
        minimize(shifted_sphere, **arguments).save(folder / "result")
        Result.load(folder / "result")
    elif ways == 1:
        with contextlib.suppress(Broken):  # some end before
            minimize(breaks, **arguments)
        minimize(shifted_sphere, **arguments)
    elif ways == 2:
        with Optimizer(method, bounds=BOX, seed=number, journal=path) as run:
            run.tell([shifted_sphere(x) for x in run.ask()])
        Optimizer.restore(path).close()
    elif ways == 3:
        run = Optimizer(method, bounds=BOX, seed=number, journal=path)
        run.tell([shifted_sphere(x) for x in run.ask()])
        with pytest.raises(JournalError):
            Optimizer.restore(path)  # its writer is still there
        run.close()
    elif ways == 4:
        path.write_text("no journal")
        for use in (lambda: minimize(shifted_sphere, **arguments), lambda: read_journal(path)):
            with pytest.raises(JournalError):
                use()
    elif ways == 5:
        run = Optimizer(method, bounds=BOX, seed=number, journal=path)
        run.tell([shifted_sphere(x) for x in run.ask()])
        del run  # dropped, not closed
        gc.collect()
        with Optimizer.restore(path):
            pass
    else:
        minimize(lambda x: float(x @ x), workers=2, **arguments)
        with pytest.raises(ZeroDivisionError):
            minimize(lambda x: 1 / 0, timeout=60, **arguments | {"journal": None})
    path.unlink()


def open_files():
    return len(list(LOADS.iterdir())) if LOADS.exists() else 0


def processes():
    """The processes that this one has started, where the system tells."""
    lists = [file.read_text() for file in TASKS.glob("*/children")]
    return sorted(number for text in lists for number in text.split())


@pytest.mark.parametrize(
    ("methods", "runs"), [(FEW, 6), pytest.param(MANY, 200, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("frozen")
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_left_of_many_runs(tmp_path, methods, runs):
    each = ways_of(methods) * len(methods)
    for number in range(each):  # what is loaded and cached once is no leak
        lives(tmp_path, number, methods)
    gc.collect()
    threads, files, children = threading.active_count(), open_files(), processes()
    tracemalloc.start()
    for number in range(each):
        lives(tmp_path, number, methods)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(runs):
        lives(tmp_path, number, methods)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert threading.active_count() == threads
    assert open_files() == files
    assert processes() == children
    assert grown < 100_000 + 2000 * runs  # a run that is held takes ten times that
    assert {p.name for p in tmp_path.iterdir()} <= {"result"}  # no locks, no parts of files


@pytest.mark.slow
def test_a_long_serial_run_holds_no_more_than_a_short_one():
    code = """
import resource, sys
from blackbox import minimize
options = {"maxiter": 10**9, "no_local_search": True}
def run(budget):
    minimize(lambda x: float(x @ x), [3.0] * 10, method="dual_annealing", bounds=(-5, 5), seed=0,
             budget=budget, options=options)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = run(2000)
print(run(200_000) - before)
"""
    pytest.importorskip("resource")
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    scale = 1 if sys.platform == "darwin" else 1000
    assert int(told.stdout) * scale < 20e6


def test_a_history_of_long_points_holds_few_of_them():
    n = 10_000
    rng = np.random.default_rng(0)
    found = minimize(lambda x: rng.random(), np.ones(n), method="random", bounds=(-5, 5), budget=99)
    assert len(pickle.dumps(found.history)) < 5 * 8 * n
