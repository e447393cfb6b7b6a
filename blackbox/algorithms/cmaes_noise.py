"""Uncertainty handling for CMA-ES: how far the noise turns ranks around, and what to do then.

Hansen, N., Niederberger, A. S. P., Guzzella, L., Koumoutsakos, P. (2009), A method for handling
uncertainty in evolutionary optimization with an application to feedback control of combustion,
IEEE Transactions on Evolutionary Computation 13(1), 180-197. Constants are those of
``cma.NoiseHandler`` where the two differ.
"""

import math
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from blackbox.types import Array, Ask, Problem, RandomStream, Told

ACCEPTED = 0.5
"""Rank changes up to this quantile of all possible ones are no cause for concern (theta)."""
CUMULATION = 0.3
"""Weight of the latest measurement in the running one."""
AVERAGES = 100
"""The most evaluations of one point that are averaged."""
SHORTENING = -0.25
"""Power of the widening by which fewer evaluations are averaged where ranks are stable."""


class Uncertainty:
    """Evaluates generations of a noisy objective, and some of their points once more.

    Where ranks change, steps are lengthened, and more evaluations of a point averaged.

    Parameters
    ----------
    problem
        Its dimension and its budget matter.
    rng
        Decides how many points are evaluated once more, where that is no whole number.
    """

    def __init__(self, problem: Problem, rng: RandomStream) -> None:
        self._rng, self._budget = rng, problem.budget
        self._alpha = 1 + 2 / (problem.n + 10)
        self.level = 0.0
        """The running measurement: above 0, the noise turns ranks around."""
        self.averages = 1.0
        """Evaluations of a point that are averaged; rounded down."""
        self.widening = 1.0
        """By what to multiply the step size after this generation."""
        self.spent = 0
        """Evaluations asked so far."""

    def affords(self, popsize: int) -> bool:
        """Whether the budget has room for one more generation, and for the end point."""
        if self._budget is None:
            return True
        again = 1 + math.ceil(_wanted(popsize))
        return self.spent + (popsize + again) * int(self.averages) <= self._budget

    def evaluate(self, points: Array) -> Generator[Ask, Told, Array]:
        """Return values, (k,), of a generation, (k, n), and measure the noise; ``yield from``.

        Where all evaluations failed, the first or the second ones, that says nothing of noise.
        """
        self.widening = 1.0
        first = yield from self._average(points, int(self.averages))
        if first.min() == np.inf:
            return first
        chosen = choose(first, self._rng)
        again = yield from self._average(points[chosen], int(self.averages))
        if again.min() == np.inf:
            return first
        second = first.copy()
        second[chosen] = again
        self.level += CUMULATION * (measure(first, second, chosen) - self.level)
        if self.level > 0:
            self.averages = min(self.averages * self._alpha, AVERAGES)
            self.widening = self._alpha
        else:
            self.averages = max(self.averages * self._alpha**SHORTENING, 1.0)
        return (first + second) / 2

    def evaluate_end(self, x: Array, spend: bool) -> Generator[Ask, Told, float]:
        """Return the average of values at the end point, (n,); `spend` all of the budget on it."""
        left = math.inf if self._budget is None else self._budget - self.spent
        count = int(left if spend else min(int(self.averages), left))
        if count < 1:
            return math.inf
        return float((yield from self._average(x[None], count))[0])

    def _average(self, points: Array, times: int) -> Generator[Ask, Told, Array]:
        """Average several values of each point; those that failed are left out."""
        self.spent += len(points) * times
        if times == 1:
            return (yield Ask(points.copy())).values
        told = yield Ask(np.repeat(points, times, axis=0))
        values = told.values.reshape(len(points), times)
        good = np.isfinite(values)
        count = good.sum(axis=1)
        total = np.where(good, values, 0.0).sum(axis=1)
        averages: Array = np.where(count > 0, total / np.maximum(count, 1), np.inf)
        return averages


def make_uncertainty(problem: Problem, rng: RandomStream) -> Uncertainty | None:
    """Return the handling that a noisy problem needs; None for others.

    Where an objective changes from batch to batch, values of two batches can't be compared.
    """
    return Uncertainty(problem, rng) if problem.noisy and not problem.changing else None


def _wanted(popsize: int) -> float:
    return 2 + popsize / 20


def choose(values: Array, rng: RandomStream) -> NDArray[np.intp]:
    """Choose what to evaluate once more: the first half at random, the rest the best."""
    wanted = _wanted(len(values))
    count = min(int(wanted) + int(wanted % 1 > rng.random()), len(values))
    drawn = count - count // 2  # a generation is in no order, so the first are random ones
    best = drawn + np.argsort(values[drawn:], kind="stable")[: count - drawn]
    return np.concatenate([np.arange(drawn), best])


def measure(first: Array, second: Array, chosen: NDArray[np.intp]) -> float:
    """Measure how far the second values changed ranks: above 0 where it is too far.

    Parameters
    ----------
    first, second
        Shape (k,): values of a generation; the second differ at `chosen` only.
    chosen
        Indices of what was evaluated once more.
    """
    k = len(first)
    rank = np.empty(2 * k, dtype=int)
    rank[np.argsort(np.concatenate([first, second]), kind="stable")] = np.arange(2 * k)
    before, after = rank[:k][chosen], rank[k:][chosen]
    change = np.abs(before - after) - 1
    places = np.arange(1, 2 * k)
    limits = [
        np.percentile(
            np.abs(places - own[:, None] - 1 + (own > other)[:, None]),
            50 * ACCEPTED,
            axis=1,
            method="hazen",
        )
        for own, other in ((before, after), (after, before))
    ]
    # One change of rank is always fine.
    return float(np.mean(change - np.maximum((limits[0] + limits[1]) / 2, 1)))
