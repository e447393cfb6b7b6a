"""Random restarts of a local method."""

import math
from dataclasses import dataclass, replace

import numpy as np

from blackbox.composing.parts import Composite, Part, Plan
from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.types import Algorithm, Array, Problem, RandomStream, Stop


@dataclass(frozen=True)
class Restarted(Composite):
    """Begins again at a random point whenever the method ends; the best end is the run's.

    Attributes
    ----------
    algorithm
        What is restarted.
    restarts
        How many runs follow the first; inf goes on until the budget is spent.
    """

    algorithm: Algorithm
    restarts: float

    @property
    def constraint_tolerance(self) -> float:
        """The method's own."""
        return float(getattr(self.algorithm, "constraint_tolerance", FEASIBILITY))

    def parts(self, problem: Problem, rng: RandomStream) -> Plan:
        """One part a start."""
        violation = measure_violation(problem.constraints)
        problem = replace(problem, callback=None)
        best: Stop | None = None
        rank, iterations, runs = (math.inf, math.inf), 0, 0
        while True:
            shown = problem if runs == 0 else replace(problem, starts=draw(problem, rng)[None])
            stop = yield Part(self.algorithm, shown)
            runs += 1
            iterations += int(stop.extras.get("nit", 0))
            ranked = self._rank(stop, violation)
            if best is None or ranked < rank:
                best, rank = stop, ranked
            if runs > self.restarts:
                extras = dict(best.extras) | {"nit": iterations, "runs": runs}
                return best._replace(extras=extras)

    def _rank(self, stop: Stop, violation: object) -> tuple[float, float]:
        x, value = stop.extras.get("x"), float(stop.extras.get("fun", math.inf))
        if x is None or not math.isfinite(value):
            return math.inf, math.inf
        broken = violation(np.asarray(x)) if callable(violation) else 0.0
        return (broken if broken > self.constraint_tolerance else 0.0), value


def draw(problem: Problem, rng: RandomStream) -> Array:
    """Draw a start, (n,): uniform in the box where it is finite.

    Elsewhere normal around the start that was given, as wide as that is far from 0, at least 1.
    """
    inside: Array
    if problem.bounded:
        inside = problem.lower + rng.random(problem.n) * (problem.upper - problem.lower)
        return inside
    start = problem.starts[0]
    drawn = start + np.maximum(1.0, np.abs(start)) * rng.standard_normal(problem.n)
    inside = np.minimum(np.maximum(drawn, problem.lower), problem.upper)
    return inside
