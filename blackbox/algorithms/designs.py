"""Designs that fill the box evenly: baselines that draw no better point from the values told.

Sobol points: Sobol, I. M. (1967), USSR Computational Mathematics and Mathematical Physics 7,
86-112; scrambled as in Owen, A. B. (1998), by `scipy.stats.qmc`. Latin hypercubes: McKay, M. D.,
Beckman, R. J., Conover, W. J. (1979), Technometrics 21, 239-245.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox.algorithms.in_order import InOrder
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Steady, Stop

SOBOL_VARIABLES = 21_201
"""Variables for which scipy has direction numbers."""

CELLS = 1 << 24
"""Most whole numbers that a design keeps: 64 MiB."""

USUAL_BUDGET = 10_000
"""Points of a grid where there is no budget."""


@dataclass(frozen=True)
class Design(ABC):
    """Points of the unit box, in batches, scaled to the problem's.

    Attributes
    ----------
    popsize
        Points a batch.
    """

    popsize: int = 64

    def __post_init__(self) -> None:
        if self.popsize < 1:
            raise ValueError(f"popsize={self.popsize} is below the minimum of 1")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run; starts that were given come first, in a batch of their own."""
        batches = self.draw(problem, rng)
        if len(problem.unseen):
            yield Ask(problem.unseen.copy())
        width = problem.upper - problem.lower
        for unit in batches:
            # A full step from the lower bound may miss the upper one by a rounding error.
            yield Ask(np.minimum(problem.lower + unit * width, problem.upper))
        return Stop("every point of the design is evaluated", success=False, status=2)

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run: the same points in the same order."""
        return InOrder(self.run(problem, rng))

    @abstractmethod
    def draw(self, problem: Problem, rng: RandomStream) -> Iterator[Array]:
        """Return batches of points of the unit box, (k, n), k at most `popsize`.

        Raises
        ------
        ValueError
            At once, where there is no such design for this problem.
        """


@dataclass(frozen=True)
class Sobol(Design):
    """A scrambled Sobol sequence, which fills the box more evenly than chance; it never ends.

    Best with a `budget` that is a power of two.
    """

    def draw(self, problem: Problem, rng: RandomStream) -> Iterator[Array]:
        """Return batches of the sequence; up to 21,201 variables."""
        if problem.n > SOBOL_VARIABLES:
            raise ValueError(
                f"method 'sobol' takes up to {SOBOL_VARIABLES} variables, and there are "
                f"{problem.n}; use method='random' or 'lhs'"
            )
        return self._points(problem.n, rng)

    def _points(self, n: int, rng: RandomStream) -> Iterator[Array]:
        from scipy.stats import qmc

        # scipy would spawn from the stream, which not every stream can do.
        own = np.random.default_rng(int.from_bytes(rng.bytes(16), "little"))
        sequence = qmc.Sobol(n, rng=own, bits=64)
        # A first draw of any other size than a power of two makes scipy warn.
        first = sequence.random(1)
        yield np.concatenate([first, sequence.random(self.popsize - 1)])
        while True:
            yield sequence.random(self.popsize)


@dataclass(frozen=True)
class LatinHypercube(Design):
    """Latin hypercubes: of k points, each axis has one in each of its k equal intervals.

    With a `budget`, one design of as many points as it leaves after the starts (or several, where
    its order would take more than 64 MiB). Without one, each batch is a design. It never ends.
    """

    def draw(self, problem: Problem, rng: RandomStream) -> Iterator[Array]:
        """Return batches of one design after another."""
        size = self.popsize
        if problem.budget is not None:
            size = problem.budget - len(problem.unseen)
        return self._points(max(1, min(size, CELLS // problem.n)), problem.n, rng)

    def _points(self, size: int, n: int, rng: RandomStream) -> Iterator[Array]:
        while True:
            order = np.empty((size, n), dtype=np.int32)
            for i in range(n):
                order[:, i] = rng.permutation(size)
            for first in range(0, size, self.popsize):
                cells = order[first : first + self.popsize]
                yield (cells + rng.random(cells.shape)) / size


@dataclass(frozen=True)
class Grid(Design):
    """A full grid, corners and edges of the box included, in random order.

    So a grid that the budget cuts short favours no corner. The order is drawn, the points are made
    batch by batch.

    Attributes
    ----------
    points
        Points an axis. None: as many as the budget (or 10,000) allows, and at least 2.
    """

    points: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points is not None and self.points < 1:
            raise ValueError(f"points={self.points} is below the minimum of 1")

    def draw(self, problem: Problem, rng: RandomStream) -> Iterator[Array]:
        """Return batches of the grid; up to 16,777,216 points."""
        n, sides = problem.n, self.points
        if sides is None:
            budget = USUAL_BUDGET if problem.budget is None else problem.budget
            sides = _sides(max(1, budget - len(problem.unseen)), n)
        if n * math.log(sides) > math.log(CELLS) + 1e-9:
            raise ValueError(
                f"a grid of points={sides} an axis has {sides}^{n} points for n = {n} variables, "
                f"more than {CELLS}; give fewer points, or use method='sobol' or 'lhs'"
            )
        return self._points(sides, n, rng)

    def _points(self, sides: int, n: int, rng: RandomStream) -> Iterator[Array]:
        order: NDArray[np.int32] = rng.permutation(np.arange(sides**n, dtype=np.int32))
        for first in range(0, len(order), self.popsize):
            rest, digits = order[first : first + self.popsize], []
            for _ in range(n):
                rest, digit = np.divmod(rest, sides)
                digits.append(digit)
            cells = np.stack(digits, axis=1)
            yield cells / (sides - 1) if sides > 1 else np.full(cells.shape, 0.5)


def _sides(budget: int, n: int) -> int:
    """Points an axis of the largest grid within the budget; at least 2."""
    root: float = budget ** (1 / n)
    sides = max(2, round(root))
    too_many = sides > 2 and math.log(sides) * n > math.log(budget) + 1e-9
    return sides - 1 if too_many else sides
