"""Evaluation in child interpreters: what hangs, crashes or raises costs one evaluation."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from blackbox import minimize
from blackbox.calls import Call
from blackbox.child import RemoteTraceback
from blackbox.failures import Failed
from blackbox.guarded import Crew, WorkerError

ROOT = Path(__file__).resolve().parents[2]
START = np.zeros(2)


def outcomes(fun, points, workers=2, timeout=None):
    with Crew(workers, timeout) as crew:
        return list(crew.map(Call(fun, ()), np.asarray(points, dtype=float)[:, None]))


def test_each_way_to_fail_costs_one_evaluation(no_thread_left):
    def fun(x):
        if x[0] == 1:
            time.sleep(60)
        elif x[0] == 2:
            os._exit(3)
        elif x[0] == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif x[0] == 4:
            raise ValueError("four")
        elif x[0] == 5:
            return "text"
        return x[0] / 10

    began = time.monotonic()
    given = outcomes(fun, range(9), timeout=1.0)
    assert time.monotonic() - began < 10  # 60 would be a hang
    kinds = [each.kind if isinstance(each, Failed) else each for each in given]
    assert kinds == [0.0, "timeout", "lost", "lost", "raised", "text", 0.6, 0.7, 0.8]
    assert "timeout=1 seconds" in given[1].message
    assert "exit code 3" in given[2].message
    assert "SIGSEGV" in given[3].message
    assert given[4].message == "ValueError: four"


def test_a_run_goes_on_past_all_of_them(no_thread_left):
    def fun(x):
        if x[0] > 1.5:
            time.sleep(60)
        if x[1] > 1.5:
            os._exit(1)
        return float(np.sum((x - 1) ** 2))

    settings = {"method": "random", "bounds": [(-2, 2)] * 2, "seed": 6, "budget": 12}
    result = minimize(fun, workers=2, timeout=0.5, **settings)
    assert result.nfev == 12
    failures = result.history.failures
    assert set(failures) == {"timeout", "lost"}
    assert sum(each.count for each in failures.values()) == result.history.failure_count


def test_values_are_those_of_a_serial_run():
    scale = np.array([1.0, 3.0])  # a closure, and data

    def fun(x):
        return float(np.sum(scale * (x - 1) ** 2))

    settings = {"method": "cma", "seed": 0, "budget": 100}
    alone = minimize(fun, START, **settings)
    for where in ({"workers": 2}, {"timeout": 60}):
        result = minimize(fun, START, **settings, **where)
        assert result.fun == alone.fun
        assert np.array_equal(result.x, alone.x)


def test_gradients_are_guarded_too():
    def pair(x):
        return float(np.sum((x - 1) ** 2)), 2 * (x - 1)

    def late(x):
        time.sleep(60)

    found = minimize(pair, START, jac=True, method="l-bfgs-b", timeout=60)
    assert found.fun < 1e-12
    assert found.njev == found.nfev
    result = minimize(lambda x: pair(x)[0], START, jac=late, method="l-bfgs-b", timeout=0.3)
    assert result.history.failures["timeout"].count == result.njev > 0


def test_complex_points_travel():
    result = minimize(lambda x: np.sum((x - 1) ** 2), START, jac="cs", method="bfgs", workers=2)
    assert result.fun < 1e-12


class Homely(Exception):
    """Can be pickled, and then not be read."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


def test_an_exception_comes_over_as_it_was():
    class Own(Homely):
        pass

    def fun(x):
        raise Own("away", 7)

    with pytest.raises(Own, match="away") as caught:
        minimize(fun, START, method="cma", timeout=60)
    assert caught.value.second == 7
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in fun" in str(caught.value.__cause__)
    assert caught.value.result.nfev == 0


def test_one_that_cannot_travel_is_named():
    def fun(x):
        raise ValueError(threading.Lock())

    with pytest.raises(RuntimeError, match="ValueError: <unlocked"):
        minimize(fun, START, method="cma", timeout=60)


def test_an_exit_is_no_failed_evaluation():
    with pytest.raises(SystemExit):
        minimize(lambda x: sys.exit(2), START, method="cma", timeout=60, on_error="penalize")


def test_printing_and_reading_do_not_disturb(capfd):
    def fun(x):
        print("from python")
        os.write(1, b"from below\n")
        subprocess.run(["echo", "from a program"], check=True)
        assert sys.stdin.read() == ""
        return x[0]

    assert outcomes(fun, [1, 2], workers=1) == [1.0, 2.0]
    told = capfd.readouterr()
    assert told.out == ""
    assert all(f"from {what}" in told.err for what in ("python", "below", "a program"))


def test_what_is_printed_at_the_start_does_not_either(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('welcome')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert outcomes(lambda x: x[0], [1], workers=1) == [1.0]


class Data:
    """Notes each time that it is read."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        vars(self).update(state)
        with self.path.open("a") as file:
            file.write("read\n")


def test_the_function_and_its_data_go_to_each_child_once(tmp_path):
    data = Data(tmp_path / "log")
    result = minimize(
        lambda x, data: float(x @ x) if data.path else 0.0,
        START + 1,
        (data,),
        method="cma",
        workers=2,
        budget=60,
    )
    assert result.nfev == 60
    assert 1 <= len(data.path.read_text().splitlines()) <= 2


def test_what_cannot_be_sent_is_said():
    lock = threading.Lock()
    with pytest.raises(WorkerError, match=r"can't be sent there: .*lock.* ThreadPoolExecutor"):
        minimize(lambda x: float(lock.locked()), START, method="cma", workers=2)


def test_what_cannot_be_read_there_is_said(tmp_path, monkeypatch):
    class Absent:
        def __reduce__(self):
            return __import__, ("no_such_module",)

    with pytest.raises(WorkerError, match="can't be read in another process: ModuleNotFoundError"):
        minimize(lambda x, y: 0.0, START, (Absent(),), method="cma", workers=2)


def test_children_that_never_start_are_said():
    class Deadly:
        def __reduce__(self):
            return os._exit, (9,)

    with pytest.raises(WorkerError, match=r"made ready to evaluate: exit code 9, 5 times"):
        minimize(lambda x, y: 0.0, START, (Deadly(),), method="cma", workers=2)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        *((timeout, ValueError) for timeout in (0, -1, np.nan, np.inf)),
        *((timeout, TypeError) for timeout in (True, "1")),
    ],
)
def test_timeouts_of_no_meaning_are_refused(timeout, error):
    with pytest.raises(error, match="timeout"):
        minimize(np.sum, START, timeout=timeout)


def test_a_batched_objective_takes_no_timeout():
    with pytest.raises(ValueError, match="timeout= are for a function of one point"):
        minimize(lambda p: p.sum(axis=1), START, batched=True, timeout=1)


def test_an_executor_guards_in_its_workers(no_thread_left):
    def fun(x):
        if x[0] > 1.5:
            time.sleep(60)
        return float(np.sum((x - 1) ** 2)) + 0 * os.getpid()

    with ThreadPoolExecutor(2) as pool:
        result = minimize(
            fun, START, method="cma", seed=0, budget=40, workers=pool, timeout=0.5, on_error="raise"
        )
    assert result.nfev == 40
    assert set(result.history.failures) == {"timeout"}


SCRIPT = """
import os, sys, time
import numpy as np
from blackbox import minimize

CENTRE = np.ones(2)

def distance(x):
    return float(((x - CENTRE) ** 2).sum())

def fun(x):
    if x[0] > 1.2:
        os._exit(1)
    return distance(x)

settings = {"bounds": [(-2, 2)] * 2, "seed": 1, "budget": 10, "workers": 2}
print(minimize(fun, method="random", **settings).history.failures.keys())
"""


@pytest.mark.parametrize(
    "way", ["script", *(pytest.param(way, marks=pytest.mark.slow) for way in ("-c", "stdin"))]
)
def test_a_script_needs_no_guard(way, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    words = {"script": [str(path)], "-c": ["-c", SCRIPT], "stdin": ["-"]}[way]
    done = subprocess.run(
        [sys.executable, *words],
        input=SCRIPT if way == "stdin" else "",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "dict_keys(['lost'])\n"
