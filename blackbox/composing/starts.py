"""A local method from several starts at once: what they ask together is one batch."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox.composing.parts import Counts
from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.types import Algorithm, Array, Ask, Problem, RandomStream, Run, Stop, Told

Kind = tuple[bool, bool]
"""What may be asked together: with or without gradients, stencil or not."""


@dataclass(frozen=True)
class Together:
    """Runs one copy of `algorithm` from each start, side by side; the best end is the run's.

    Each walks as it would alone. Solvers that call their objective are parked in a thread each, so
    this pays where an evaluation of many points costs less than as many of one: a model on whole
    arrays, or workers.
    """

    algorithm: Algorithm

    @property
    def constraint_tolerance(self) -> float:
        """The algorithm's own."""
        return float(getattr(self.algorithm, "constraint_tolerance", FEASIBILITY))

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        shown = replace(problem, callback=None)
        runs = [
            self.algorithm.run(replace(shown, starts=x[None].copy()), rng) for x in problem.starts
        ]
        pending: dict[int, Ask] = {}
        ends: dict[int, Stop] = {}
        lowest: list[tuple[float, Array | None]] = [(math.inf, None)] * len(runs)
        try:
            for i in range(len(runs)):
                _advance(i, runs[i], None, pending, ends)
            while pending:
                members = _choose(pending)
                asks = [pending.pop(i) for i in members]
                first = asks[0]
                points = np.concatenate([ask.points for ask in asks])
                told = yield Ask(points, first.gradients, first.stencil)
                begin = 0
                for i, ask in zip(members, asks, strict=True):
                    share = slice(begin, begin + len(ask.points))
                    begin = share.stop
                    gradients = None if told.gradients is None else told.gradients[share].copy()
                    own = Told(told.values[share].copy(), gradients)
                    if not ask.stencil:
                        lowest[i] = _lower(lowest[i], ask.points, own.values)
                    _advance(i, runs[i], own, pending, ends)
        finally:
            for run in runs:
                run.close()
        # A solver that does not say where it ended ended at its best point.
        return self._best(
            [
                end._replace(extras={"x": lowest[i][1], "fun": lowest[i][0]} | dict(end.extras))
                for i, end in sorted(ends.items())
            ],
            problem,
        )

    def _best(self, ends: list[Stop], problem: Problem) -> Stop:
        violation = measure_violation(problem.constraints)

        def rank(stop: Stop) -> tuple[float, float]:
            return rank_end(stop, violation, self.constraint_tolerance)

        best = min(ends, key=rank)
        nowhere, counts = np.full(problem.n, np.nan), Counts()
        for end in ends:
            counts.add(end)
        extras: dict[str, Any] = (
            dict(best.extras)
            | counts.sums
            | {
                "ends_x": np.array([nowhere if (x := e.extras["x"]) is None else x for e in ends]),
                "ends_fun": np.array([float(e.extras["fun"]) for e in ends]),
            }
        )
        return best._replace(extras=extras)


def rank_end(stop: Stop, violation: Any, tolerance: float) -> tuple[float, float]:
    """How good a solver's own end is: its violation beyond the tolerance, then its value."""
    x, value = stop.extras.get("x"), float(stop.extras.get("fun", math.inf))
    if x is None or not math.isfinite(value):
        return math.inf, math.inf
    broken = 0.0 if violation is None else violation(np.asarray(x, dtype=float))
    return (broken if broken > tolerance else 0.0), value


def _lower(
    lowest: tuple[float, Array | None], points: Array, values: Array
) -> tuple[float, Array | None]:
    leader = int(values.argmin())
    if values[leader] < lowest[0]:
        return float(values[leader]), points[leader].copy()
    return lowest


def _advance(
    i: int, run: Run, told: Told | None, pending: dict[int, Ask], ends: dict[int, Stop]
) -> None:
    try:
        pending[i] = next(run) if told is None else run.send(told)
    except StopIteration as end:
        ends[i] = end.value


def _choose(pending: dict[int, Ask]) -> list[int]:
    """Which runs are answered next: those that want slopes, so that the others catch up."""
    kinds: dict[Kind, list[int]] = {}
    for i, ask in sorted(pending.items()):
        kinds.setdefault((ask.gradients, ask.stencil), []).append(i)
    for kind in ((True, False), (True, True), (False, True), (False, False)):
        if kind in kinds:
            return kinds[kind]
    raise AssertionError("nobody asks")


def draw(problem: Problem, rng: RandomStream) -> Array:
    """Draw as many starts as the problem has, at least one, (k, n): uniform in a finite box.

    Elsewhere normal around the start that was given, as wide as that is far from 0, at least 1.
    """
    k = max(1, len(problem.starts))
    inside: Array
    if problem.bounded:
        inside = problem.lower + rng.random((k, problem.n)) * (problem.upper - problem.lower)
        return inside
    width = np.maximum(1.0, np.abs(problem.starts))
    drawn = problem.starts + width * rng.standard_normal((k, problem.n))
    inside = np.minimum(np.maximum(drawn, problem.lower), problem.upper)
    return inside
