"""Random restarts of a local method."""

import math
from dataclasses import dataclass, replace

from blackbox.composing.parts import Composite, Counts, Part, Plan
from blackbox.composing.starts import draw, rank_end
from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.types import Algorithm, Problem, RandomStream, Stop


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
        rank, counts, runs = (math.inf, math.inf), Counts(), 0
        while True:
            shown = problem if runs == 0 else problem.begin_at(draw(problem, rng))
            stop = yield Part(self.algorithm, shown)
            runs += 1
            counts.add(stop)
            ranked = rank_end(stop, violation, self.constraint_tolerance)
            if best is None or ranked < rank:
                best, rank = stop, ranked
            if runs > self.restarts:
                extras = dict(best.extras) | counts.sums | {"runs": runs}
                return best._replace(extras=extras)
