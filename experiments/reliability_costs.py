"""What journals and histories cost: time an evaluation, memory, and how fast a replay is."""

import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blackbox import minimize
from blackbox.lines import digest

US = "us an evaluation"


class Cost(NamedTuple):
    """Something measured, and the most it may be."""

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is within its goal, or has none."""
        return self.goal is None or self.value <= self.goal


def _sphere(x: Any) -> float:
    return float(x @ x)


def _seconds(call: Callable[[], Any]) -> float:
    """Return the processor time that a call takes: others may be at work beside it."""
    began = time.process_time()
    call()
    return time.process_time() - began


def journal(quick: bool) -> list[Cost]:
    """Measure a journal's share of a serial method's time, beside a run without."""
    count = 4_000 if quick else 20_000
    rows = []
    for n in (2, 10, 100):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, str(i)) for i in range(3 if quick else 9)]
            pairs = [(_simplex(n, count, None), _simplex(n, count, path)) for path in paths]
            plain, kept = (min(seconds) for seconds in zip(*pairs, strict=True))
            again = min(_simplex(n, count, path) for path in paths)
            size = paths[0].stat().st_size
        cost = (kept - plain) / count * 1e6
        rows.append(Cost(f"journal, nelder-mead, n = {n}", cost, US, 20.0))
        if n == 10:
            rows.append(Cost("the same beside an objective of 1 ms", cost / 10, "% of it", 3.0))
        rows += [
            Cost(f"replay, nelder-mead, n = {n}", again / count * 1e6, US),
            Cost(f"file, n = {n}", size / count, "bytes an evaluation"),
        ]
    return rows


def _simplex(n: int, count: int, path: Path | None) -> float:
    """Return what a run of a serial method takes, in processor time: others may be at work."""
    noise = np.random.default_rng(0).random(count).tolist()
    options = {"maxiter": 10**9, "maxfev": 10**9, "xatol": 0.0, "fatol": 0.0}
    began = time.process_time()
    minimize(
        lambda x: noise.pop(),
        np.ones(n),
        method="nelder-mead",
        budget=count,
        options=options,
        journal=path,
    )
    return time.process_time() - began


def training(quick: bool) -> list[Cost]:
    """Measure what a training by adam costs on disk, and to come back: 2,410 weights."""
    n, steps = 2_410, 2_000 if quick else 20_000

    class Bowl:
        batched = True

        def __call__(self, points: Any) -> Any:
            return (points**2).sum(axis=1)

        def value_and_gradient(self, points: Any) -> Any:
            return self(points), 2 * points

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.journal")

        def run(path: Path | None) -> None:
            minimize(Bowl(), np.ones(n), method="adam", budget=steps, seed=0, journal=path)

        run(None)
        plain = min(_seconds(lambda: run(None)) for _ in range(3))
        paths = [path, Path(folder, "second"), Path(folder, "third")]
        kept = min(_seconds(lambda each=each: run(each)) for each in paths)  # type: ignore[misc]
        again = min(_seconds(lambda each=each: run(each)) for each in paths)  # type: ignore[misc]
        beside = path.with_name(f"{path.name}.snapshot")
        snapshot = beside.stat().st_size if beside.exists() else 0
        return [
            Cost("adam, 2,410 weights, without a journal", plain / steps * 1e6, "us a step"),
            Cost("its journal and snapshots", (kept - plain) / steps * 1e6, "us a step"),
            Cost(f"to come back after {steps:,} steps", again, "s"),
            Cost("its journal", path.stat().st_size / steps, "bytes a step"),
            Cost("its snapshot", snapshot / 1e6, "MB"),
        ]


def _hangs(x: Any) -> float:
    if x[0] == START:
        time.sleep(60)
    return float(x @ x)


START = 2.125


def guards(quick: bool) -> list[Cost]:
    """Measure what it takes to evaluate in a child, and how long a hang lasts; by the clock."""
    count = 1_000 if quick else 5_000

    def run(fun: Any, budget: int, timeout: float | None) -> float:
        began = time.perf_counter()
        start, box = np.full(2, START), (-5, 5)
        minimize(fun, start, method="random", bounds=box, budget=budget, seed=0, timeout=timeout)
        return time.perf_counter() - began

    begin = min(run(_sphere, 1, 5.0) for _ in range(5))
    plain, kept = (min(run(_sphere, count, t) for _ in range(5)) for t in (None, 5.0))
    hung = run(_hangs, 50, 1.0) - run(_sphere, 50, 1.0)
    return [
        Cost("timeout=: beside no child", (kept - begin - plain) / count * 1e6, US, 200.0),
        Cost("the same: until the child is there", begin, "s"),
        Cost("a hang of 60 s with timeout=1", hung, "s", 2.0),
    ]


def million(quick: bool) -> list[Cost]:
    """Measure the memory of a long run of a serial method, and of its replay."""
    count = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.journal")

        def run(budget: int, path: Path) -> float:
            """Return the most memory that it had on its way."""
            seen, calls = [_memory()], itertools.count()

            def look(x: Any) -> None:  # it is called on the way back, too
                if next(calls) % 1_000 == 0:
                    seen.append(_memory())

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                minimize(
                    _sphere,
                    np.full(10, 3.0),
                    method="dual_annealing",
                    bounds=(-5, 5),
                    budget=budget,
                    seed=0,
                    journal=path,
                    callback=look,
                    options={"maxiter": 10**9, "no_local_search": True},
                )
            return max(seen)

        before = run(5_000, Path(folder, "first"))
        began = time.process_time()
        long = run(count, path)
        seconds, began = time.process_time() - began, time.process_time()
        back = run(count, path)
        again = time.process_time() - began
        name = f"{count:,} evaluations, n = 10"
        return [
            Cost(f"{name}: memory grows by", max(0.0, long - before), "MB", 100.0),
            Cost(f"{name}: on the way back by", max(0.0, back - before), "MB", 100.0),
            Cost(f"{name}: takes", seconds, "s"),
            Cost(f"{name}: its replay", again, "s"),
            Cost(f"{name}: file", path.stat().st_size / 1e6, "MB"),
        ]


def long_points(quick: bool) -> list[Cost]:
    """Measure what the history of a run over many variables holds."""
    n, count = 10_000, 1_000 if quick else 10_000
    found = minimize(
        lambda x: digest_value(x), np.ones(n), method="random", bounds=(-5, 5), budget=count, seed=0
    )
    held = len(pickle.dumps(found.history)) / 1e6
    # The incumbent is one point, a population's record none.
    return [Cost(f"n = 10,000, {count:,} evaluations: history holds", held, "MB", 1.0)]


def digest_value(x: Any) -> float:
    """Return a value that follows from a point, and is cheap."""
    return int(digest(x[:8]), 16) / 2**48


def _memory() -> float:
    """Return the memory of this process, MB; where it can't be told the most it has had."""
    table = Path("/proc/self/statm")
    if table.exists():
        return int(table.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


TOPICS = {
    "journal": journal,
    "training": training,
    "guards": guards,
    "million": million,
    "long_points": long_points,
}


def measure(topic: str, quick: bool) -> list[Cost]:
    """Measure a topic in a process of its own, so that its memory is its own."""
    here = Path(__file__).parents[1]
    command = [sys.executable, "-m", "experiments.reliability_costs", topic, str(int(quick))]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring {topic} failed: {done.stderr[-2000:]}")
    return [Cost(*row) for row in json.loads(done.stdout)]


if __name__ == "__main__":
    print(json.dumps(TOPICS[sys.argv[1]](bool(int(sys.argv[2])))))
