"""Random search: the baseline that every method has to beat."""

from dataclasses import dataclass

from blackbox.algorithms.in_order import InOrder
from blackbox.types import Ask, Problem, RandomStream, Run, Steady


@dataclass(frozen=True)
class Random:
    """Uniform points in the box; it never stops by itself.

    Attributes
    ----------
    popsize
        Points a batch.
    """

    popsize: int = 64

    def __post_init__(self) -> None:
        if self.popsize < 1:
            raise ValueError(f"popsize={self.popsize} is below the minimum of 1")

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run: the same points."""
        return InOrder(self.run(problem, rng))

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run; starts that were given come first, in a batch of their own."""
        if len(problem.unseen):
            yield Ask(problem.unseen.copy())
        width = problem.upper - problem.lower
        while True:
            yield Ask(problem.lower + rng.random((self.popsize, problem.n)) * width)
