"""Children beside processes: killed, stopped, orphaned, idle; and what guarding costs."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from blackbox import minimize
from blackbox.calls import Call
from blackbox.guarded import Crew

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
START = np.zeros(2)


def gone(pid):
    """Whether a process has ended, and was waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


LONG = """
import os, sys, time
from blackbox import minimize

def fun(x):
    open(sys.argv[1] + f"/{os.getpid()}", "w").close()
    if len(sys.argv) > 2:
        import subprocess
        child = subprocess.Popen(["sleep", "600"])
        open(sys.argv[1] + f"/{child.pid}", "w").close()
    time.sleep(600)

minimize(fun, [0.0, 0.0], method="cma", seed=0, workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="orphans are told by their parent's number")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("more", [[], ["more"]], ids=["alone", "with programs"])
def test_children_do_not_outlive_their_parent(number, more, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path), *more],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )

    def begun():
        return [int(path.name) for path in tmp_path.iterdir()]

    wait_until(lambda: len(begun()) == 2 + 2 * len(more), 60)
    process.send_signal(number)
    assert process.wait(10) == -number
    wait_until(lambda: all(map(gone, begun())))


@pytest.mark.skipif(os.name != "posix", reason="processes come in groups")
def test_programs_of_a_late_evaluation_end_with_it(tmp_path):
    def fun(x):
        child = subprocess.Popen(["sleep", "600"])
        (tmp_path / str(child.pid)).touch()
        time.sleep(600)

    with Crew(1, 0.5) as crew:
        [given] = crew.map(Call(fun, ()), np.ones((1, 1)))
    assert given.kind == "timeout"
    [pid] = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: gone(pid))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_stopped_child_is_late_even_for_long_points():
    def fun(x):
        if x[0]:
            os.kill(os.getpid(), signal.SIGSTOP)
        return x[0]

    points = np.zeros((3, 100_000))
    points[1] = 1
    with Crew(1, 1.0) as crew:
        given = list(crew.map(Call(fun, ()), points))
    assert [given[0], given[1].kind, given[2]] == [0.0, "timeout", 0.0]


def test_idle_children_end_and_are_replaced(monkeypatch):
    monkeypatch.setattr("blackbox.guarded.IDLE_LIMIT", 0.5)
    with Crew(1) as crew:
        call = Call(lambda x: float(os.getpid()), ())
        [first] = crew.map(call, np.zeros((1, 1)))
        wait_until(lambda: not crew._idle[0].running)
        [second] = crew.map(call, np.zeros((1, 1)))
    assert first != second


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_hundred_kills_lose_nothing(tmp_path):
    seen, over, kills = tmp_path, threading.Event(), []

    def fun(x):
        (seen / str(os.getpid())).touch()
        time.sleep(0.002)
        return float(np.sum((x - 1) ** 2))

    def enough(x):
        if len(kills) >= 100:
            raise StopIteration

    def kill():
        rng = np.random.default_rng(0)
        while len(kills) < 100 and not over.wait(0.05 * rng.random()):
            for path in seen.iterdir():  # those that have begun to evaluate
                path.unlink()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(path.name), signal.SIGKILL)
                    kills.append(path.name)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        settings = {"method": "random", "bounds": (-3, 3), "seed": 0}
        result = minimize(fun, START, workers=2, budget=10**6, callback=enough, **settings)
    finally:
        over.set()
        killer.join()
    assert len(kills) >= 100
    lost = result.history.failures["lost"].count if result.history.failures else 0
    assert result.history.failure_count == lost  # where both tries were hit
    alone = minimize(fun, START, budget=result.nfev, **settings)
    assert result.nfev == alone.nfev
    if not lost:
        assert np.array_equal(result.x, alone.x)


def test_guarding_is_cheap():
    call = Call(lambda x: float(x @ x), ())
    points = np.ones((1, 10))
    with Crew(1, 60.0) as crew:
        list(crew.map(call, points))
        times = []
        for _ in range(2000):
            began = time.perf_counter()
            list(crew.map(call, points))
            times.append(time.perf_counter() - began)
    assert np.quantile(times, 0.25) < 200e-6  # others may be busy beside it
