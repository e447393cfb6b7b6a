"""What methods hold in memory: those that scale in vectors, the others in refusals.

A method without matrices is run for a few evaluations in a child process of its own, twice: once
for the memory that the process gains at its peak (``/proc/self/clear_refs``, Linux; libraries' own
included), and once for what Python and numpy allocate (`tracemalloc`, to the byte). A method with
matrices is given a problem whose matrices would fill more than half of the memory, and should
refuse it before it makes any.
"""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.report import Column, Table, number

if TYPE_CHECKING:
    from blackbox.algorithms import Method

Array = NDArray[np.float64]

SIZES = (1_000, 10_000)
"""Variables; the last is ten times the first."""
EVALUATIONS = 200
SMALL = 10
"""Variables of a first run, in which libraries load what they need."""
LINEAR = 2.0
"""Goal: a variable costs at most so much more in the largest problem than in the smallest."""
VECTORS = 1_000
"""Goal: a refusal comes before so many vectors are made."""
LEFT_OUT = ("grid",)
"""No method for many variables: two points an axis are 2^n points."""
OPTIONS: dict[str, dict[str, Any]] = {
    "pso": {"swarmsize": 20, "maxiter": 10},
    "pyswarm": {"swarmsize": 20, "maxiter": 10},
}
"""Of short runs: pyswarm draws the noise of all iterations in advance."""

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
MIB = 2**20


@dataclass(frozen=True)
class Peak:
    """What a short run of a method held beyond what was there before, in bytes.

    Attributes
    ----------
    method, n
        Which, with how many variables.
    allocated
        By Python and numpy.
    process
        By the whole process, in pages; None where it can't be told.
    """

    method: str
    n: int
    allocated: int
    process: int | None

    @property
    def vectors(self) -> float:
        """What was allocated, in vectors of n floats."""
        return self.allocated / (8 * self.n)


@dataclass(frozen=True)
class Refusal:
    """What a method with matrices does when they don't fit.

    Attributes
    ----------
    method, matrices
        Which, and how many n x n matrices it says to hold.
    n
        Variables for which they take more than half of the memory.
    refused
        Whether it raised MemoryError before the first evaluation.
    allocated
        What was allocated until then, in bytes.
    """

    method: str
    matrices: float
    n: int
    refused: bool
    allocated: int

    @property
    def in_time(self) -> bool:
        """Whether it refused before it made more than some vectors."""
        return self.refused and self.allocated <= VECTORS * 8 * self.n


class Sphere:
    """The sum of squares in batches, with its gradient, and nothing made beside them."""

    batched = True

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, points: Array) -> Array:
        """Return the values (k,) of points (k, n)."""
        self.calls += 1
        values: Array = np.einsum("ij,ij->i", points, points)
        return values

    def value_and_gradient(self, points: Array) -> tuple[Array, Array]:
        """Return values (k,) and gradients (k, n)."""
        return self(points), 2.0 * points


def scaling() -> list[str]:
    """Return the methods that say to hold vectors only, if their library is here."""
    from blackbox import ALGORITHMS

    return [
        row.name
        for row in ALGORITHMS.values()
        if row.installed and not row.matrices and row.name not in LEFT_OUT
    ]


def peaks(methods: Iterable[str], sizes: Iterable[int] = SIZES) -> Iterator[Peak]:
    """Measure methods in child processes, one at a time.

    Raises
    ------
    RuntimeError
        If a child fails; it says how.
    """
    cases = [(method, n) for method in methods for n in sizes]
    for method, n in cases:
        done = subprocess.run(
            [sys.executable, "-m", __name__, method, str(n)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise RuntimeError(f"the memory of {method!r} was not measured: {last}")
        yield Peak(method, n, **json.loads(done.stdout.splitlines()[-1]))


def refusals() -> list[Refusal]:
    """Give each method with matrices a problem that is too large for this machine."""
    from blackbox import ALGORITHMS

    return [_refuse(row) for row in ALGORITHMS.values() if row.installed and row.matrices]


def tables(found: list[Peak], refused: list[Refusal]) -> list[Table]:
    """Return a line a method: those with vectors only, then those with matrices."""
    return [_vectors(found), _matrices(refused)]


def summary(found: list[Peak], refused: list[Refusal]) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    return {
        "evaluations": EVALUATIONS,
        "vectors": [asdict(one) | {"vectors": one.vectors} for one in found],
        "matrices": [asdict(one) | {"in_time": one.in_time} for one in refused],
    }


def measure(method: str, n: int) -> dict[str, int | None]:
    """Return the peaks of a short run, in bytes; for a process of its own."""
    _run(method, SMALL, Sphere())
    process = None
    if CLEAR.exists():
        CLEAR.write_text("5")
        before = _status("VmRSS")
        _run(method, n, Sphere())
        process = max(_status("VmHWM") - before, 0)
    tracemalloc.start()
    try:
        _run(method, n, Sphere())
        allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return {"allocated": allocated, "process": process}


def _run(method: str, n: int, objective: Sphere) -> None:
    from blackbox import ALGORITHMS, minimize

    row = ALGORITHMS[method]
    bounds = [(-5.0, 5.0)] * n if row.bounds == "required" else None
    minimize(
        objective,
        np.ones(n),
        method=method,
        bounds=bounds,
        options=OPTIONS.get(method),
        budget=EVALUATIONS,
        seed=0,
    )


def _refuse(row: "Method") -> Refusal:
    n = _too_large(row)
    objective, refused = Sphere(), False
    tracemalloc.start()
    try:
        _run(row.name, n, objective)
    except MemoryError:
        refused = not objective.calls
    finally:
        allocated = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return Refusal(row.name, row.matrices, n, refused, allocated)


def _too_large(row: "Method") -> int:
    """The smallest n that is refused."""
    from blackbox.choice import check_memory

    low, high = 1, 2**30
    while low < high:
        middle = (low + high) // 2
        try:
            check_memory(row, middle)
        except MemoryError:
            high = middle
        else:
            low = middle + 1
    return low


def _status(field: str) -> int:
    """Return a field of this process's status, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {field}")


def _vectors(found: list[Peak]) -> Table:
    from blackbox import ALGORITHMS

    by_method: dict[str, list[Peak]] = {}
    for peak in found:
        by_method.setdefault(peak.method, []).append(peak)
    sizes = list(dict.fromkeys(peak.n for peak in found))
    columns = [Column("method", number=False)]
    for n in sizes:
        columns += [
            Column(f"MiB, n = {n:,}"),
            Column("vectors"),
            Column("process, MiB", extra=True),
        ]
    columns += [
        Column("growth a variable"),
        Column("linear", number=False),
        Column("said to hold", number=False, extra=True),
    ]
    rows = []
    for method, peaks_ in by_method.items():
        texts = [method]
        for peak in peaks_:
            process = None if peak.process is None else peak.process / MIB
            texts += [
                number(peak.allocated / MIB, 3),
                number(peak.vectors, 3),
                number(process, 3),
            ]
        growth = peaks_[-1].vectors / peaks_[0].vectors
        linear = "yes" if growth <= LINEAR else "NO"
        rows.append([*texts, number(growth, 3), linear, ALGORITHMS[method].memory])
    notes = [
        f"A run of {EVALUATIONS} evaluations of a sphere with gradients: the most that Python and "
        "numpy held beyond what was there before, in MiB and in vectors of n floats, batches "
        "included; and what the process gained, libraries' own memory included. Growth a variable: "
        f"vectors of the largest n by those of the smallest, {LINEAR:g} at most to be linear."
    ]
    return Table("Memory of methods that hold vectors", columns, rows, notes)


def _matrices(found: list[Refusal]) -> Table:
    columns = [
        Column("method", number=False),
        Column("matrices"),
        *(Column(f"MiB, n = {n:,}") for n in SIZES),
        Column("too large here from n ="),
        Column("held until refused, vectors"),
        Column("refused in time", number=False),
    ]
    rows = [
        [
            one.method,
            number(one.matrices),
            *(number(one.matrices * n * n * 8 / MIB, 3) for n in SIZES),
            f"{one.n:,}",
            number(one.allocated / (8 * one.n), 3),
            "yes" if one.in_time else "NO",
        ]
        for one in found
    ]
    notes = [
        "Estimates: matrices of n x n floats. A problem is refused where they would take more than "
        "half of this machine's memory, before any is made."
    ]
    return Table("Memory of methods that hold matrices", columns, rows, notes)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
