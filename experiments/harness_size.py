"""What the results of long runs take: on disk, in memory, and until they are told."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.executing import describe
from experiments.plan import Cell
from experiments.problems import find
from experiments.record import Curve, Record
from experiments.report import Column, Table
from experiments.running import IMPROVEMENTS_KEPT
from experiments.speed import duration
from experiments.storage import FILE, Store

RUNS, METHODS, EVALUATIONS = 200, 10, 100_000
STORE, SECONDS, MEMORY = 50e6, 20.0, 1e9
"""Goals: bytes on disk, seconds of `experiments report`, and its bytes in memory."""

_PEAK = """
import resource, sys
from experiments.cli import main
code = main(["report", sys.argv[1], "--json"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Size:
    """What was measured.

    Attributes
    ----------
    store, memory
        Bytes on disk; the most that the report held in memory.
    seconds
        How long the report took, Python's start included.
    """

    store: int
    memory: int
    seconds: float


def measure() -> Size:
    """Write runs as long as a record can be, and time the report of them in a child process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder)
        store = (folder / FILE).stat().st_size
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(folder)], capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - began
    unit = 1 if sys.platform == "darwin" else 1024
    return Size(store, unit * int(done.stderr.split()[-1]), seconds)


def table(size: Size) -> Table:
    """Return a line a figure."""
    megabytes = "{:.0f} MB".format
    rows = [
        ["store", megabytes(size.store / 1e6), megabytes(STORE / 1e6), size.store <= STORE],
        ["report, time", duration(size.seconds), duration(SECONDS), size.seconds <= SECONDS],
        ["report, memory", megabytes(size.memory / 1e6), megabytes(MEMORY / 1e6),
         size.memory <= MEMORY],
    ]  # fmt: skip
    columns = [
        Column("figure", number=False),
        Column("is"),
        Column("goal"),
        Column("reached", number=False),
    ]
    texts = [[*map(str, row[:3]), "yes" if row[3] else "NO"] for row in rows]
    note = (
        f"{RUNS} runs of {EVALUATIONS:,} evaluations, {METHODS} methods, each with "
        f"{IMPROVEMENTS_KEPT:,} improvements, the most that is kept; made up, not run."
    )
    return Table("Long runs", columns, texts, [note])


def _fill(folder: Path) -> None:
    rng, here = np.random.default_rng(0), describe()
    names = [f"cma:popsize={10 + i}" for i in range(METHODS)]
    cells = [
        Cell("article", name, seed, EVALUATIONS)
        for seed in range(RUNS // METHODS)
        for name in names
    ]
    with Store(folder) as store:
        store.plan(cells, [find("article").info()], {"budget": EVALUATIONS})
        for cell in cells:
            store.write(_record(cell, rng), here)


def _record(cell: Cell, rng: np.random.Generator) -> Record:
    spent = np.sort(rng.choice(EVALUATIONS, IMPROVEMENTS_KEPT, replace=False)) + 1
    values = np.sort(10 ** rng.uniform(-6, 5, IMPROVEMENTS_KEPT))[::-1]
    seconds = np.sort(rng.uniform(0, 10, IMPROVEMENTS_KEPT))
    return Record(
        cell,
        float(values[-1]),
        rng.standard_normal(10),
        evaluations=EVALUATIONS,
        gradients=0,
        seconds=10.0,
        runs=1,
        curve=Curve(spent, np.zeros_like(spent), seconds, values),
    )
