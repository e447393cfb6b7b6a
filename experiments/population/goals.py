"""What the measurements should show, and whether they do."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from experiments.population.measure import Finding, Floor, Gradients, Timing, Weight
from experiments.report import number

MOST_MEMORY = 64.0
LEAST_FLOOR = 0.95
LEAST_GRADIENTS = 2.0
SPEED = (
    ("M1", (1000,), "ours", "tutorial", 60.0),
    ("M1", (1000,), "ours", "JAX", 1.0),
    ("M1", (1000,), "lean loop", "tutorial", 2.2),
    ("M2", (10, 100, 1000, 4096), "ours", "tutorial", 3.3),
    ("M2", (10, 100, 1000, 4096), "ours", "evotorch", 3.0),
    ("M2", (10, 100, 1000, 4096), "ours", "JAX", 1.3),
    ("M3", (10, 100, 1000), "ours", "tutorial", 3.8),
    ("M3", (10, 100, 1000), "ours", "evotorch", 4.0),
    ("M4", (10, 100, 1000), "ours", "tutorial", 1.2),
)
"""Model, numbers of candidates, side, beside which other, and how many times faster at least."""


class Verdict(NamedTuple):
    """A goal held against what was measured.

    Attributes
    ----------
    what, goal
        The goal in words.
    measured
        The worst of what was measured, and where; a dash where nothing was.
    reached
        Whether it was reached; None where nothing was measured.
    """

    what: str
    goal: str
    measured: str
    reached: bool | None


def judge(findings: Iterable[Finding]) -> list[Verdict]:
    """Hold all goals against the findings."""
    found = list(findings)
    timings = [f for f in found if isinstance(f, Timing)]
    verdicts = [_speed(timings, *goal) for goal in SPEED]
    memory = [
        (peak, f"{w.model}, {name}")
        for w in found
        if isinstance(w, Weight)
        for name, peak in w.peaks.items()
        if name.startswith("ours") and peak is not None
    ]
    verdicts.append(
        _verdict("scratch memory", memory, max, MOST_MEMORY, lambda x: f"{number(x, 3)} MiB")
    )
    gradients = [(g.faster, g.model) for g in found if isinstance(g, Gradients) and g.model == "M2"]
    verdicts.append(
        _verdict("64 gradients, beside a training loop", gradients, min, LEAST_GRADIENTS, _times)
    )
    floors = [
        (ratio, f"{f.architecture}, {count}")
        for f in found
        if isinstance(f, Floor)
        for count, ratio in f.faster.items()
    ]
    what = "any architecture, beside the tutorial's loop"
    verdicts.append(_verdict(what, floors, min, LEAST_FLOOR, _times))
    return verdicts


def better(timing: Timing, side: str, peer: str) -> float | None:
    """Return how many times faster a side is than the better of a peer's ways."""
    ratios = [timing.faster(side, than) for than in timing.seconds if than.startswith(peer)]
    known = [ratio for ratio in ratios if ratio is not None]
    return min(known) if known else None


def _speed(
    timings: list[Timing], model: str, counts: tuple[int, ...], side: str, peer: str, least: float
) -> Verdict:
    ratios = [
        (ratio, f"{t.count} candidates")
        for t in timings
        if t.model == model and t.count in counts and (ratio := better(t, side, peer)) is not None
    ]
    beside = "the tutorial's loop" if peer == "tutorial" else f"the better of {peer}'s ways"
    return _verdict(f"{model}: {side} beside {beside}", ratios, min, least, _times)


def _verdict(
    what: str,
    measured: list[tuple[float, str]],
    worst: Callable[[list[tuple[float, str]]], tuple[float, str]],
    limit: float,
    show: Callable[[float], str],
) -> Verdict:
    sign = ">=" if worst is min else "<="
    goal = f"{sign} {show(limit)}"
    if not measured:
        return Verdict(what, goal, "-", None)
    value, where = worst(measured)
    reached = value >= limit if worst is min else value <= limit
    return Verdict(what, goal, f"{show(value)} ({where})", reached)


def _times(value: float) -> str:
    return f"{number(value, 3)} x"
