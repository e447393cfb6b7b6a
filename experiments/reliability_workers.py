"""Workers that are killed while they evaluate, and data that is to reach each of them once."""

import contextlib
import faulthandler
import importlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blackbox import RayExecutor, minimize, read_journal

ENGINES = {"int": None, "dask": "distributed", "ray": "ray"}
"""Who evaluates, by 2 processes each; and the module that it takes."""
WATCHDOG = 120.0
"""Seconds without a new evaluation after which a run hangs, and is ended."""
BUDGET = 200
"""Evaluations of one run; runs follow each other until there were kills enough."""
LASTS = 0.02
"""Seconds that an evaluation takes, so that it can be hit."""
APART = 16
"""Evaluations from one kill to the next, on average: an engine has to get on in between."""
MEGABYTES = 100
"""Of the data that an objective holds."""
BATCH = 60
"""Points of a batch, where data is shipped."""
CARRIED = 10.0
"""Milliseconds by which a task may take longer with the data; to send it takes several times that,
each time."""


class Survived(NamedTuple):
    """How runs ended whose workers were killed.

    Attributes
    ----------
    engine, kills
        Who evaluated, and how many workers were killed, in the middle of an evaluation.
    told, budget
        Evaluations that the runs counted, and those they had.
    lost, counted
        Evaluations that were given up, as the first and the second try were hit; failures that the
        histories know of.
    twice
        Evaluations in the journals beyond one for each point.
    same
        Whether all other values are those of runs that nobody disturbed, bit for bit.
    seconds
        What it took.
    watchdog
        Whether a run hung, and had to be ended.
    """

    engine: str
    kills: int
    told: int
    budget: int
    lost: int
    counted: int
    twice: int
    same: bool
    seconds: float
    watchdog: bool = False

    @property
    def kept(self) -> bool:
        """Whether it is as it should be."""
        right = self.same and not self.twice and not self.watchdog
        return right and self.told == self.budget and self.lost == self.counted


class Shipped(NamedTuple):
    """What large data of an objective costs.

    Attributes
    ----------
    engine, megabytes
        Who evaluated, and how much data the objective had.
    first
        Seconds that the first batch took: the data is on its way then.
    later, alone
        Milliseconds a task in later batches, with the data and without any.
    """

    engine: str
    megabytes: int
    first: float
    later: float
    alone: float

    @property
    def kept(self) -> bool:
        """Whether the data stays where it is."""
        return self.later - self.alone <= CARRIED


def is_there(engine: str) -> bool:
    """Whether an engine is installed."""
    module = ENGINES[engine]
    return module is None or importlib.util.find_spec(module) is not None


def bowl(x: Any) -> float:
    """Return the squared distance from 1."""
    return float(np.sum((x - 1) ** 2))


def _leaving(marks: Path, log: Path) -> Callable[[Any], float]:
    """Return an objective that leaves its process's number in a folder while it evaluates.

    A byte for each evaluation that ends goes to a log.
    """

    def fun(x: Any) -> float:
        mark = marks / str(os.getpid())
        mark.touch()
        time.sleep(LASTS)
        mark.unlink(missing_ok=True)
        with log.open("ab") as file:
            file.write(b".")
        return bowl(x)

    return fun


class Killer:
    """Kills processes that evaluate, at random moments.

    Parameters
    ----------
    marks, log
        Where the objective leaves its traces.
    most
        How many, at most.
    """

    def __init__(self, marks: Path, log: Path, most: int) -> None:
        self.kills = 0
        self._marks, self._log, self._most = marks, log, most
        self._rng, self._over = np.random.default_rng(0), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self.kills < self._most and self._let_pass(int(self._rng.integers(2 * APART))):
            if self._over.wait(float(self._rng.uniform(0, LASTS))):
                return
            while not (marks := list(self._marks.iterdir())):
                if self._over.wait(LASTS / 10):
                    return
            mark = marks[self._rng.integers(len(marks))]
            with contextlib.suppress(OSError):  # it has just ended
                os.kill(int(mark.name), getattr(signal, "SIGKILL", signal.SIGTERM))
                self.kills += 1
            mark.unlink(missing_ok=True)

    def _let_pass(self, evaluations: int) -> bool:
        """Wait for so many; return False where the runs are over before."""
        seen = self._log.stat().st_size
        goal = seen + evaluations
        while seen < goal:
            if self._over.wait(LASTS / 4):
                return False
            before, seen = seen, self._log.stat().st_size
            if seen > before:
                _wind_up()
        return True

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextlib.contextmanager
def _open(engine: str) -> Iterator[Any]:
    """Yield what ``workers=`` takes: two processes of an engine, on this machine; watched."""
    _wind_up()
    try:
        with _started(engine) as workers:
            yield workers
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def _started(engine: str) -> Iterator[Any]:
    if engine == "int":
        yield 2
    elif engine == "dask":
        dask, distributed = map(importlib.import_module, ("dask", "distributed"))
        # A local cluster gives up for good a worker that is away when it looks, some time after it
        # was lost: with kill upon kill it would have none in the end.
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1 day"}),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
    else:
        ray = importlib.import_module("ray")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=50)
        try:
            with RayExecutor(num_cpus=1) as pool:
                yield pool
        finally:
            ray.shutdown()


class _Ran(NamedTuple):
    """What a run told, lost, counted as failed and wrote twice; whether the rest is right."""

    told: int
    lost: int
    counted: int
    twice: int
    same: bool


def survive(engine: str, kills: int) -> Survived:
    """Kill so many workers, and see what became of the runs."""
    began = time.perf_counter()
    runs: list[_Ran] = []
    with tempfile.TemporaryDirectory() as folder, _open(engine) as workers:
        marks, log = Path(folder, "marks"), Path(folder, "log")
        marks.mkdir()
        log.touch()
        with Killer(marks, log, kills) as killer:
            while killer.kills < kills:
                runs.append(_run(_leaving(marks, log), workers, len(runs), Path(folder)))
    return Survived(
        engine,
        killer.kills,
        told=sum(run.told for run in runs),
        budget=BUDGET * len(runs),
        lost=sum(run.lost for run in runs),
        counted=sum(run.counted for run in runs),
        twice=sum(run.twice for run in runs),
        same=all(run.same for run in runs),
        seconds=time.perf_counter() - began,
    )


def _run(fun: Callable[[Any], float], workers: Any, seed: int, folder: Path) -> _Ran:
    settings: dict[str, Any] = {"method": "random", "bounds": [(-3, 3)] * 3, "seed": seed}
    settings |= {"budget": BUDGET, "x0": np.zeros(3)}
    watched, alone = folder / f"{seed}.journal", folder / f"{seed}.alone"
    history = minimize(fun, workers=workers, journal=watched, **settings).history
    minimize(bowl, journal=alone, **settings)
    ours, theirs = read_journal(watched), read_journal(alone)
    good = np.isfinite(ours.values)
    same = np.array_equal(ours.points, theirs.points)
    return _Ran(
        told=history.evaluation_count,
        lost=history.failures["lost"].count if "lost" in history.failures else 0,
        counted=history.failure_count,
        twice=len(ours.points) - len(np.unique(ours.points, axis=0)),
        same=same and np.array_equal(ours.values[good], theirs.values[good]),
    )


def _wind_up() -> None:
    """Have the watchdog wait anew."""
    faulthandler.dump_traceback_later(WATCHDOG, exit=True)


def ship(engine: str, megabytes: int = MEGABYTES) -> Shipped:
    """Evaluate an objective that holds large data, and one without."""
    with _open(engine) as workers:
        alone = _batches(np.ones(1), workers)
        with_data = _batches(np.ones(megabytes * 125_000), workers)
    later, without = (1e3 * min(seconds[1:]) / BATCH for seconds in (with_data, alone))
    return Shipped(engine, megabytes, with_data[0], later, without)


def _batches(data: Any, workers: Any) -> list[float]:
    """Return the seconds that each of some batches takes."""
    ends = [time.perf_counter()]
    minimize(
        lambda x: float(np.sum((x - data[-1]) ** 2)),
        np.zeros(3),
        method="random",
        bounds=(-3, 3),
        seed=0,
        budget=6 * BATCH,
        options={"popsize": BATCH},
        workers=workers,
        callback=lambda x: ends.append(time.perf_counter()),
    )
    return [after - before for before, after in pairwise(ends)]


def watch(engine: str, what: str, *more: object) -> list[Any] | None:
    """Do something in a process of its own; return what it gives, None where it hangs."""
    here = Path(__file__).parents[1]
    command = [sys.executable, "-m", "experiments.reliability_workers", what, engine]
    path = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
    more_environment = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    # Files, not pipes: what an engine has started may hold on to them.
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as wrong:
        process = subprocess.Popen(
            [*command, *map(str, more)],
            cwd=here,
            env=os.environ | more_environment,
            stdout=said,
            stderr=wrong,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(OSError, AttributeError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        for file in (said, wrong):
            file.seek(0)
        lines, errors = said.read().splitlines(), wrong.read()
    if code and "Timeout (" in errors:
        return None
    if code:
        raise RuntimeError(f"{what} by {engine} failed: {errors[-2000:]}")
    found: list[Any] = json.loads(lines[-1])
    return found


def kill_workers(engine: str, kills: int) -> Survived:
    """Kill so many workers of an engine, in a process of its own, with a watchdog."""
    found = watch(engine, "survive", kills)
    if found is None:
        return Survived(engine, 0, 0, 0, 0, 0, 0, same=False, seconds=WATCHDOG, watchdog=True)
    return Survived(*found)


def ship_data(engine: str) -> Shipped:
    """Measure what large data costs with an engine; infinite where that hangs."""
    found = watch(engine, "ship")
    if found is None:
        return Shipped(engine, MEGABYTES, math.inf, math.inf, 0.0)
    return Shipped(*found)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the engines
    what, engine, *more = sys.argv[1:]
    print(json.dumps(ship(engine) if what == "ship" else survive(engine, int(more[0]))))
