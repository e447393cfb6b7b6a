"""The stopwatch: ways to score a population in turns, round after round, and what came out.

A round runs every side once; a ratio is the median over rounds of two sides' ratio in a round, so
that a busy machine slows both.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from experiments.architectures import ARCHITECTURES, Architecture
from experiments.one_by_one import training, tutorial
from experiments.population.memory import scratch
from experiments.population.models import MODELS, Model, population, precision
from experiments.population.sides import CHUNKED, SIDES, Side, best_chunk

Run = Callable[[], object]

MOST_ONE_BY_ONE = 100
"""Candidates on which a side is timed whose price for one cannot depend on their number."""
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
"""Relative difference of losses from the tutorial's loop beyond which a side is wrong."""
FEWEST = 3
"""Rounds, however long they take."""
GRADIENTS = 64
"""Candidates whose gradients are timed."""
SMALL = (1, 2, 5, 10, 100)
"""Numbers of candidates for which every architecture is timed."""
WEIGHED = ("ours", "ours, float64")
WEIGHED_PEERS = ("evotorch vmap", "JAX")
MOST_WEIGHED = 1000
"""The sides whose memory is measured; peers with no more candidates, as they take gigabytes."""


class Pace(NamedTuple):
    """How long to measure: seconds for a cell of a table, and for a turn of a side in it."""

    cell: float
    turn: float


FULL, SMALL_CELLS = Pace(4.0, 0.02), Pace(0.25, 0.004)
QUICK, QUICK_SMALL_CELLS = Pace(0.4, 0.01), Pace(0.05, 0.002)


@dataclass(frozen=True)
class Timing:
    """A population through a model.

    Attributes
    ----------
    model, count
        Which model, how many candidates.
    seconds
        For a candidate, by side, in each round.
    differences
        Largest relative difference of losses from the tutorial's loop, by side.
    failed
        Sides that were not timed, and why.
    chunk
        Candidates that chunked JAX takes at once.
    """

    model: str
    count: int
    seconds: Mapping[str, list[float]]
    differences: Mapping[str, float]
    failed: Mapping[str, str] = field(default_factory=dict)
    chunk: int | None = None

    def faster(self, side: str, than: str) -> float | None:
        """Return how many times faster a side is; None where one of them was not timed."""
        if side not in self.seconds or than not in self.seconds:
            return None
        return _ratio(self.seconds[than], self.seconds[side])


@dataclass(frozen=True)
class Gradients:
    """Values and gradients of `GRADIENTS` candidates: a training loop, and all at once.

    Attributes
    ----------
    model
        Which model.
    loop, ours
        Seconds for a candidate in each round.
    difference
        Largest relative difference of the gradients.
    """

    model: str
    loop: list[float]
    ours: list[float]
    difference: float

    @property
    def faster(self) -> float:
        """How many times faster ours is."""
        return _ratio(self.loop, self.ours)


@dataclass(frozen=True)
class Weight:
    """Scratch memory at the peak of the first call with a whole population.

    Attributes
    ----------
    model, count
        Which model, how many candidates.
    peaks
        MiB by side; None where it cannot be measured.
    failed
        Sides that failed, and how.
    """

    model: str
    count: int
    peaks: Mapping[str, float | None]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Floor:
    """An architecture in small batches, beside the tutorial's loop.

    Attributes
    ----------
    architecture, path
        Which one, and how it is batched.
    faster
        How many times faster ours is from the second call on, by the number of candidates.
    first
        Seconds that making the objective and the first call take beyond a later call: the median
        over the numbers of candidates.
    """

    architecture: str
    path: str
    faster: Mapping[int, float]
    first: float


Finding = Timing | Gradients | Weight | Floor


class Step(NamedTuple):
    """Something to measure, and how it is called while it runs."""

    label: str
    run: Callable[[], Finding]


def steps(device: str = "cpu", threads: int = 1, *, quick: bool = False) -> list[Step]:
    """Return all that is to be measured, in order.

    Parameters
    ----------
    device
        Where; elsewhere than on a processor one large population is enough.
    threads
        For child processes; this one's are the caller's to set.
    quick
        One size a model, fewer rounds, JAX not in chunks, and only our own memory, at a quarter.
    """
    models = [model for model in MODELS.values() if _fits(model, device)]
    pace, small = (QUICK, QUICK_SMALL_CELLS) if quick else (FULL, SMALL_CELLS)
    sides = {k: side for k, side in SIDES.items() if not (quick and k == CHUNKED)}
    found = []
    for model in models:
        for count in _counts(model, device, quick):
            label = f"{model.name}, {count} candidates"
            found.append(Step(label, _bind(time_model, model, count, device, pace, sides)))
    for model in models:
        label = f"{model.name}, gradients of {GRADIENTS}"
        found.append(Step(label, _bind(time_gradients, model, device, pace)))
    for model in models:
        for count, weighed in _weighings(model, quick):
            label = f"{model.name}, memory of {count}"
            found.append(Step(label, _bind(weigh, model, count, weighed, device, threads)))
    for row in ARCHITECTURES.values():
        counts = SMALL[::4] if quick else SMALL
        if not (device == "mps" and row.mixed):
            found.append(Step(row.name, _bind(time_small, row, counts, device, small)))
    return found


def _bind(measure: Callable[..., Finding], *arguments: Any) -> Callable[[], Finding]:
    return lambda: measure(*arguments)


def measure_all(plan: list[Step]) -> Iterator[Finding]:
    """Take the steps, one after the other."""
    for step in plan:
        yield step.run()


def _fits(model: Model, device: str) -> bool:
    return device != "mps" or precision(model.setup()) == np.float32  # it knows no float64


def _counts(model: Model, device: str, quick: bool) -> tuple[int, ...]:
    if device != "cpu":
        return (4096,)
    return (model.quick,) if quick else model.populations


def _weighings(model: Model, quick: bool) -> list[tuple[int, tuple[str, ...]]]:
    if quick:
        return [(model.heaviest // 4, WEIGHED[:1])]
    if model.heaviest <= MOST_WEIGHED:
        return [(model.heaviest, WEIGHED + WEIGHED_PEERS)]
    return [(MOST_WEIGHED, WEIGHED[:1] + WEIGHED_PEERS), (model.heaviest, WEIGHED)]


def time_model(
    model: Model, count: int, device: str, pace: Pace, sides: Mapping[str, Side] = SIDES
) -> Timing:
    """Time all sides on a model, after holding their losses against the tutorial's loop."""
    setup = model.setup()
    points, few = population(setup, count), min(count, MOST_ONE_BY_ONE)
    expected = tutorial(setup)(points[:few])
    tolerance = TOLERANCE[precision(setup).name]
    turns, differences, failed = {}, {}, {}
    for side in sides.values():
        if why := side.missing(device):
            failed[side.name] = why
            continue
        given = points[: few if side.one_by_one else count]
        given = given.astype(np.float64) if side.double else given
        try:
            score = side.make(model, len(given), device)
            differences[side.name] = _difference(score(given)[:few], expected)
        except Exception as error:  # a peer may fail as it likes: it is said, and not timed
            if side.package is None:
                raise
            failed[side.name] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
            continue
        if differences[side.name] > tolerance:
            failed[side.name] = f"its losses differ by {differences[side.name]:.1g}"
        else:
            turns[side.name] = _bind_score(score, given), len(given)
    spent = take_turns({name: run for name, (run, _) in turns.items()}, pace)
    seconds = {name: [s / turns[name][1] for s in spent[name]] for name in turns}
    chunk = best_chunk(model.name) if CHUNKED in turns else None
    return Timing(model.name, count, seconds, differences, failed, chunk)


def _bind_score(score: Callable[[Any], object], points: Any) -> Run:
    return lambda: score(points)


def time_gradients(model: Model, device: str, pace: Pace) -> Gradients:
    """Time values and gradients by a training loop, and of all candidates at once."""
    from adapters import ModelObjective

    setup = model.setup(device)
    points = population(setup, GRADIENTS)
    ours = ModelObjective(*model.setup(device)).value_and_gradient
    loop = training(setup)
    if ours is None:
        raise ValueError(f"{model.name} has no gradients")
    expected, found = loop(points)[1], ours(points)[1]
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    spent = take_turns({"loop": lambda: loop(points), "ours": lambda: ours(points)}, pace)
    a, b = ([s / GRADIENTS for s in spent[name]] for name in ("loop", "ours"))
    return Gradients(model.name, a, b, difference)


def weigh(model: Model, count: int, sides: tuple[str, ...], device: str, threads: int) -> Weight:
    """Measure what scoring a population needs beside it, each side in a process of its own."""
    peaks: dict[str, float | None] = {}
    failed = {}
    for side in (SIDES[name] for name in sides):
        if side.missing(device):
            continue
        try:
            peaks[side.name] = scratch(model.name, count, side.name, device, threads)
        except RuntimeError as error:
            if side.package is None:
                raise
            failed[side.name] = str(error)
    return Weight(model.name, count, peaks, failed)


def time_small(row: Architecture, counts: tuple[int, ...], device: str, pace: Pace) -> Floor:
    """Time an architecture in small batches, from the second call on."""
    faster, first, path = {}, [], ""
    for count in counts:
        setup = row.setup().to(device=None if row.mixed else device)
        points = population(setup, count)
        loop, asked = tutorial(setup), points.astype(np.float64)  # as optimizers ask
        loop(points)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some go one by one is shown
            ours = row.objective(row.setup(), device=device)
            ours(asked)
        spent = time.perf_counter() - began
        turns = take_turns(
            {"loop": _bind_score(loop, points), "ours": _bind_score(ours, asked)}, pace
        )
        faster[count] = _ratio(turns["loop"], turns["ours"])
        first.append(spent - median(turns["ours"]))
        path = ours.batching.path
    return Floor(row.name, path, faster, median(first))


def take_turns(sides: Mapping[str, Run], pace: Pace) -> dict[str, list[float]]:
    """Run all sides in turns; return the seconds of each side's call in each round.

    Every other round goes backwards. A call that is shorter than a turn is repeated to fill it. No
    round but the first three begins after the cell's time.
    """
    repeats = {name: _repeats(run, pace.turn) for name, run in sides.items()}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    began, rounds = time.perf_counter(), 0
    while rounds < FEWEST or time.perf_counter() - began < pace.cell:
        for name in list(sides) if rounds % 2 == 0 else reversed(list(sides)):
            spent[name].append(_seconds(sides[name], repeats[name]))
        rounds += 1
    return spent


def _repeats(run: Run, turn: float) -> int:
    return max(1, min(1000, round(turn / _seconds(run, 1))))


def _seconds(run: Run, repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - began) / repeats


def _ratio(slow: list[float], fast: list[float]) -> float:
    return median(a / b for a, b in zip(slow, fast, strict=True))


def _difference(found: Any, expected: Any) -> float:
    """Return the largest relative difference; NaN counts as infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.max(np.abs(found - expected) / np.abs(expected))
    return float(np.nan_to_num(largest, nan=np.inf))
