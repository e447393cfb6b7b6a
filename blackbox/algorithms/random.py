"""Random search: the baseline that every method has to beat.

Sobol points: Sobol, I. M. (1967); scrambled as in Owen, A. B. (1998), by `scipy.stats.qmc`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from blackbox.types import Array, Ask, Problem, RandomStream, Run


@dataclass(frozen=True)
class Random:
    """Uniform or Sobol points in the box; it never stops by itself.

    Attributes
    ----------
    sampling
        ``"uniform"``, or ``"sobol"`` for a scrambled Sobol sequence, which fills the box evenly
        (best with a `budget` and a `popsize` that are powers of two).
    popsize
        Points a batch.
    """

    sampling: Literal["uniform", "sobol"] = "uniform"
    popsize: int = 64

    def __post_init__(self) -> None:
        if self.sampling not in ("uniform", "sobol"):
            raise ValueError(f"sampling is 'uniform' or 'sobol'; got {self.sampling!r}")
        if self.popsize < 1:
            raise ValueError(f"popsize={self.popsize} is below the minimum of 1")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run; starts that were given come first, in a batch of their own."""
        if len(problem.starts):
            yield Ask(problem.starts.copy())
        width = problem.upper - problem.lower
        draw = _uniform if self.sampling == "uniform" else _sobol
        for unit in draw(rng, self.popsize, problem.n):
            yield Ask(problem.lower + unit * width)
        raise AssertionError("draws never end")


def _uniform(rng: RandomStream, k: int, n: int) -> Iterator[Array]:
    while True:
        yield rng.random((k, n))


def _sobol(rng: RandomStream, k: int, n: int) -> Iterator[Array]:
    from scipy.stats import qmc

    sequence = qmc.Sobol(n, rng=np.random.default_rng(rng), bits=64)
    while True:
        # The sequence is balanced in powers of two only; drawing them keeps scipy from warning.
        block = sequence.random(1 << 10)
        for i in range(0, len(block), k):
            yield block[i : i + k]
