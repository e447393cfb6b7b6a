"""Differential evolution member by member: a trial replaces its parent once its value is there.

The order in which values come does not matter to the rule, so that no evaluation is waited for:
Zhabitskaya, E., Zhabitsky, M. (2013), Asynchronous differential evolution with restart, Numerical
Analysis and Its Applications, 555-561.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.algorithms.cmaes_integers import integer_box, rounded
from blackbox.types import Array, Problem, Proposal, RandomStream, Stop

Indices = NDArray[np.int64]
Mutation = Callable[[Array, Array, Array, Indices, float], Array]
"""From the population, (k, n), its best member, the parent, members drawn at random and the scale
to a mutant, (n,)."""

MUTATIONS: dict[str, Mutation] = {
    "best1": lambda p, best, x, r, f: best + f * (p[r[0]] - p[r[1]]),
    "best2": lambda p, best, x, r, f: best + f * (p[r[0]] + p[r[1]] - p[r[2]] - p[r[3]]),
    "rand1": lambda p, best, x, r, f: p[r[0]] + f * (p[r[1]] - p[r[2]]),
    "rand2": lambda p, best, x, r, f: p[r[0]] + f * (p[r[1]] + p[r[2]] - p[r[3]] - p[r[4]]),
    "randtobest1": lambda p, best, x, r, f: p[r[0]] + f * (best - p[r[0]] + p[r[1]] - p[r[2]]),
    "currenttobest1": lambda p, best, x, r, f: x + f * (best - x + p[r[0]] - p[r[1]]),
}
"""scipy's strategies, by the part of the name before ``bin`` or ``exp``."""


class SteadyEvolution:
    """A population whose members are replaced one by one: a `blackbox.types.Steady`.

    Parameters
    ----------
    options
        A `blackbox.algorithms.differential_evolution.DifferentialEvolution`. Its `polish` is left
        out: a local search goes step by step.
    problem, rng
        What is searched, and the only source of randomness.
    first
        Shape (k, n): the first population.
    known
        Shape (j,): values of the first j of them, which are not evaluated.

    Raises
    ------
    ValueError
        For a strategy that scipy does not have.
    """

    def __init__(
        self, options: Any, problem: Problem, rng: RandomStream, first: Array, known: Array
    ) -> None:
        self._options, self._rng = options, rng
        self._problem, self._first = problem, first
        # As in scipy, members are points of a unit box, in which an integer has a unit to itself.
        self._low, high = integer_box(problem, margin=0.5)
        self._width = high - self._low
        self._members = (first - self._low) / self._width
        self._values = np.full(len(first), np.inf)
        self._values[: len(known)] = known
        self._proposed = self._accepted = len(known)
        self._scale = 0.0

    def propose(self) -> Proposal | Stop:
        """Return the next of the first population, then a trial for each member in turn."""
        generation, i = divmod(self._proposed, len(self._members))
        if generation > self._options.maxiter:
            reason = f"maxiter={self._options.maxiter} generations are done; raise it to go on"
            return Stop(reason, False, 2, {"nit": self._options.maxiter})
        self._proposed += 1
        if not generation:
            return Proposal(self._first[i].copy(), (i, self._members[i].copy()))
        if i == 0:
            self._scale = self._draw_scale()
        trial = self._cross(self._members[i], self._mutate(i))
        outside = (trial < 0) | (trial > 1) | np.isnan(trial)
        trial[outside] = self._rng.random(int(outside.sum()))
        return Proposal(self._place(trial), (i, trial))

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Put a trial in its parent's place where it is no worse; look at the spread each round."""
        i, trial = proposal.origin
        if value <= self._values[i]:
            self._members[i], self._values[i] = trial, value
        self._accepted += 1
        generation, nth = divmod(self._accepted, len(self._members))
        if nth or generation < 2 or not self._converged():
            return None
        reason = "the population's values hardly differ (tol, atol)"
        return Stop(reason, True, 0, {"nit": generation - 1})

    def _converged(self) -> bool:
        values, options = self._values, self._options
        if not np.isfinite(values).all():
            return False
        return bool(values.std() <= options.atol + options.tol * abs(values.mean()))

    def _draw_scale(self) -> float:
        """Return the mutation's factor, drawn anew for each round where a range is given."""
        given = np.atleast_1d(np.asarray(self._options.mutation, dtype=float))
        low, high = float(given.min()), float(given.max())
        return low + float(self._rng.random()) * (high - low) if len(given) > 1 else low

    def _mutate(self, i: int) -> Array:
        members, best = self._members, int(self._values.argmin())
        strategy = self._options.strategy
        if callable(strategy):
            return self._ask_user(i, best)
        others: Indices = self._rng.permutation(len(members))
        others = np.resize(others[others != i], 5)  # there may be four
        mutation = MUTATIONS[strategy[:-3]]
        return mutation(members, members[best], members[i], others, self._scale)

    def _ask_user(self, i: int, best: int) -> Array:
        """Return what a strategy of the user's makes; as in scipy, the best member is number 0."""
        order = np.arange(len(self._members))
        order[[0, best]] = best, 0
        parent = int(np.flatnonzero(order == i)[0])
        given = self._options.strategy(parent, self._place(self._members[order]), rng=self._rng)
        mutant = np.asarray(given, dtype=float)
        if mutant.shape != (self._problem.n,):
            raise ValueError(
                f"strategy must return a point of shape ({self._problem.n},); got {mutant.shape}"
            )
        return (mutant - self._low) / self._width

    def _cross(self, parent: Array, mutant: Array) -> Array:
        """Take each coordinate from the mutant or the parent; at least one from the mutant."""
        n, strategy = len(parent), self._options.strategy
        if callable(strategy):
            return mutant
        start = int(self._rng.random() * n)
        taken = self._rng.random(n) < self._options.recombination
        if strategy.endswith("exp"):  # a run of coordinates, up to the first that is not taken
            taken[0] = True
            taken = np.roll(np.logical_and.accumulate(taken), start)
        taken[start] = True
        return np.where(taken, mutant, parent)

    def _place(self, members: Array) -> Array:
        """Return what members, (..., n), stand for in the problem's box."""
        x, problem = self._low + members * self._width, self._problem
        if problem.integrality is None:
            return np.clip(x, problem.lower, problem.upper)
        return rounded(x, problem.integrality, problem.lower, problem.upper)
