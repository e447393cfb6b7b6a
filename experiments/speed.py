"""How fast we are, beside the libraries called by hand: interleaved runs, medians of ratios.

Each benchmark runs ours and the peer's in turn, many times, in one process with one thread for
torch (the command line fixes that of the linear algebra libraries too, before they load). A round's
ratio compares two runs that lie milliseconds apart, so that a busy machine slows both.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from experiments.environment import describe, machine, versions
from experiments.report import Column, Table, number, to_json, write

LIMIT = 15.0
"""Seconds for one benchmark, after its first rounds."""
PAGES = {
    "loop": "README",
    "methods": "methods",
    "harness": "harness",
    "population": "population",
    "sampler": "sampler",
}
"""The page of each topic, and where its numbers are: README's in ``speed.json``."""
Timed = tuple[float, int]
"""Seconds and units of work (evaluations, switches, imports) of one run."""


@dataclass(frozen=True)
class Benchmark:
    """Something to measure.

    Attributes
    ----------
    name, ours, peer
        What is measured, and the two sides in a few words.
    rounds
        How many pairs of runs; a quarter of it in a quick benchmark.
    prepare
        Returns the two sides: functions that run once and return seconds and units of work.
    unit
        What a unit of work is.
    judge
        ``"ratio"``: ours over the peer's time per unit; ``"extra"``: ours less the peer's.
    goal
        What the judged number should not exceed; None where it is only reported.
    same_work
        Whether both sides must have done the same number of units.
    limit
        No round but the first three begins after so many seconds.
    """

    name: str
    ours: str
    peer: str
    rounds: int
    prepare: Callable[[], tuple[Callable[[], Timed], Callable[[], Timed]]]
    unit: str = "evaluation"
    judge: str = "ratio"
    goal: float | None = None
    same_work: bool = False
    limit: float = LIMIT


@dataclass(frozen=True)
class Measurement:
    """What a benchmark gave: medians over rounds.

    Attributes
    ----------
    benchmark
        What was measured.
    ours, peer
        Median seconds per unit of work.
    judged, quartiles
        The median ratio (or difference in seconds) within a round, and its quartiles.
    work
        Units of work of both sides in the last round.
    rounds
        Pairs of runs.
    """

    benchmark: Benchmark
    ours: float
    peer: float
    judged: float
    quartiles: tuple[float, float]
    work: tuple[int, int]
    rounds: int

    @property
    def reached(self) -> bool | None:
        """Whether the goal was reached; None without one."""
        goal = self.benchmark.goal
        if goal is None:
            return None
        equal = not self.benchmark.same_work or self.work[0] == self.work[1]
        return equal and self.judged <= goal


def measure(benchmark: Benchmark, *, quick: bool = False) -> Measurement:
    """Run a benchmark: one round to warm up, then the rounds that count.

    A machine that is slow or busy gets fewer rounds: none begins after the benchmark's limit but
    the first three.
    """
    ours, peer = benchmark.prepare()
    ours(), peer()
    rounds = max(3, benchmark.rounds // 4) if quick else benchmark.rounds
    began = time.perf_counter()
    pairs: list[tuple[Timed, Timed]] = []
    while len(pairs) < rounds and (len(pairs) < 3 or time.perf_counter() - began < benchmark.limit):
        pairs.append((ours(), peer()))
    a = [seconds / work for (seconds, work), _ in pairs]
    b = [seconds / work for _, (seconds, work) in pairs]
    judged = sorted(
        x / y if benchmark.judge == "ratio" else x - y for x, y in zip(a, b, strict=True)
    )
    quartiles = judged[len(judged) // 4], judged[(3 * len(judged)) // 4]
    work = pairs[-1][0][1], pairs[-1][1][1]
    return Measurement(benchmark, median(a), median(b), median(judged), quartiles, work, len(pairs))


def measure_all(benchmarks: Sequence[Benchmark], *, quick: bool = False) -> Iterator[Measurement]:
    """Run benchmarks, one after the other."""
    for benchmark in benchmarks:
        with threads(1):
            found = measure(benchmark, quick=quick)
        yield found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give torch so many threads, as many as it had afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock(work: Callable[[], int]) -> Timed:
    """Time a run that returns how many units of work it did."""
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def table(found: list[Measurement]) -> Table:
    """Return a line a benchmark."""
    rows = []
    for m in found:
        low, high = m.quartiles
        show = _ratio if m.benchmark.judge == "ratio" else duration
        goal = "-" if m.benchmark.goal is None else f"<= {show(m.benchmark.goal)}"
        reached = {None: "-", True: "yes", False: "NO"}[m.reached]
        rows.append(
            [
                m.benchmark.name,
                duration(m.ours),
                duration(m.peer),
                show(m.judged) if m.benchmark.judge == "ratio" else f"{_signed(m.judged)}",
                f"{show(low)} .. {show(high)}",
                goal,
                reached,
                f"{m.work[0]:,} / {m.work[1]:,}",
                str(m.rounds),
            ]
        )
    columns = [
        Column("benchmark", number=False),
        *map(Column, ("ours", "peer", "ours : peer")),
        Column("quartiles", extra=True),
        Column("goal"),
        Column("reached", number=False),
        Column("units of work", extra=True),
        Column("rounds", extra=True),
    ]
    notes = [
        "Time per evaluation (switch, import), medians of interleaved runs in one process with one "
        "thread; ours : peer is the median over rounds of their ratio, or of the difference "
        "where a + stands before it."
    ]
    return Table("Speed", columns, rows, notes)


def summary(found: list[Measurement], command: str, *more: str) -> dict[str, Any]:
    """Return all numbers, ready for JSON; `more` are packages whose versions count, too."""
    return {
        "command": command,
        "versions": versions(*more),
        "machine": machine(),
        "torch_threads": 1,
        "benchmarks": [
            {
                "name": m.benchmark.name,
                "ours": m.benchmark.ours,
                "peer": m.benchmark.peer,
                "unit": m.benchmark.unit,
                "seconds_per_unit": {"ours": m.ours, "peer": m.peer},
                "judge": m.benchmark.judge,
                "judged": m.judged,
                "quartiles": m.quartiles,
                "goal": m.benchmark.goal,
                "reached": m.reached,
                "work": {"ours": m.work[0], "peer": m.work[1]},
                "rounds": m.rounds,
            }
            for m in found
        ],
    }


def save(
    found: list[Measurement],
    folder: Path,
    content: Mapping[str, Any],
    topic: str = "loop",
    tables: Sequence[Table] = (),
) -> None:
    """Write a topic's page and its JSON; `tables` come after the page's own."""
    folder.mkdir(parents=True, exist_ok=True)
    page = PAGES[topic]
    data = "speed.json" if topic == "loop" else f"{page}.json"
    write(folder / data, to_json(content))
    sides = "\n".join(
        f"- {m.benchmark.name}. Ours: {m.benchmark.ours}. Peer: {m.benchmark.peer}." for m in found
    )
    missed = [m.benchmark.name for m in found if m.reached is False]
    verdict = f"Goals missed: {'; '.join(missed)}." if missed else "Every goal was reached."
    others = [
        f"[{PAGES[name]}.md]({PAGES[name]}.md)"
        for name in PAGES
        if name != topic and (folder / f"{PAGES[name]}.md").exists()
    ]
    more = f" Other pages: {', '.join(others)}." if others else ""
    text = f"""# Speed{"" if topic == "loop" else f": {topic}"}

Made by `{content["command"]}`; the numbers are in `{data}`. {verdict}{more}

{"".join(one.markdown() + chr(10) for one in [table(found), *tables])}
{sides}

{describe(content["versions"], content["machine"])}.
"""
    write(folder / f"{page}.md", text)


def _ratio(value: float) -> str:
    return number(value, 3)


def duration(value: float) -> str:
    """Write seconds with three digits, in seconds, milliseconds or microseconds."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + duration(value)
