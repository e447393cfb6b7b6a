"""Constraints for local methods that have no way of their own: an augmented Lagrangian.

Birgin, E. G., Martinez, J. M. (2014), Practical augmented Lagrangian methods for constrained
optimization, SIAM.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox.composing.parts import Composite, Counts, Limit, Part, Plan
from blackbox.composing.views import Augmented
from blackbox.types import Algorithm, Ask, Problem, RandomStream, Run, Stop, Told

ROUNDS = 50
"""Most updates of the multipliers."""
SHARED_ROUNDS = 20
"""Updates around a method whose rounds share a budget."""
CUT = 1
"""Status of a round that its share ended."""
CONSTRAINT_TOLERANCE = 1e-6
"""How far the end may break a constraint, and be from complementary."""
GROWTH = 10.0
"""What the penalty is multiplied by when a round brought feasibility less than half as near."""


@dataclass(frozen=True)
class Lagrangian(Composite):
    """Minimizes the augmented Lagrangian by `algorithm`, then moves the multipliers, and again.

    Attributes
    ----------
    algorithm
        What minimizes.
    share
        Evaluations of one round at most; None leaves its end to the algorithm.
    """

    algorithm: Algorithm
    share: int | None = None
    constraint_tolerance = CONSTRAINT_TOLERANCE

    def parts(self, problem: Problem, rng: RandomStream) -> Plan:
        """One part for the start's value, which scales the penalty; then one a round."""
        view = Augmented(problem)
        x = problem.start(rng)
        if problem.integrality is not None:
            x = np.where(problem.integrality, np.round(x), x)
        yield Part(_Start(), replace(view.problem, starts=x[None]), view)
        if view.best_x is not None:  # else the method may find its way to where values are finite
            view.penalty = _first_penalty(view, x)
        far, rounds, counts = np.inf, 0, Counts()
        most = ROUNDS if self.share is None else SHARED_ROUNDS + 1
        while rounds < most:
            view.begin()
            shown = replace(view.problem, starts=x[None])
            if rounds:  # each goes on from the one before
                shown = view.problem.begin_at(x[None])
            if self.share is not None:  # what the method plans with, as a schedule does
                shown = replace(shown, budget=self.share)
            stop = yield Part(self.algorithm, shown, view, _Share(self.share))
            rounds += 1
            counts.add(stop)
            if view.best_x is None:
                break
            x, before = view.best_x, far
            far = view.update(x)
            if far > CONSTRAINT_TOLERANCE and far > before / 2:
                view.penalty *= GROWTH
            # A search that was cut short goes on, also where its point keeps the constraints.
            if far <= CONSTRAINT_TOLERANCE and (stop.status != CUT or rounds == most):
                return self._stop(view, rounds, counts, stop.reason, True)
        why = "constraints are still broken"
        if view.best_x is None:
            why = "no value, of the objective and the constraints, was finite; begin elsewhere"
        return self._stop(view, rounds, counts, why, False)

    @staticmethod
    def _stop(view: Augmented, rounds: int, counts: Counts, why: str, success: bool) -> Stop:
        text = f"augmented Lagrangian, {rounds} rounds: {why}"
        extras: dict[str, Any] = dict(counts.sums)
        if view.best_x is not None:
            extras |= {"x": view.best_x, "fun": view.best_value}
        return Stop(text, success, 0 if success else 4, extras)


def _first_penalty(view: Augmented, x: Any) -> float:
    """As Birgin and Martinez: the value and the squared violation at the start weigh the same."""
    at = view.constraints.residuals(x)
    broken = float(at.equal @ at.equal + np.minimum(at.positive, 0) @ np.minimum(at.positive, 0))
    scale = 2 * max(1.0, abs(view.best_value)) / max(broken, 1.0)
    return float(np.clip(scale, 1e-2, 1e3))


class _Share(Limit):
    """Ends a part after so many evaluations."""

    def __init__(self, share: int | None) -> None:
        self._left = share

    def before(self, ask: Ask) -> Stop | None:
        if self._left is not None and self._left <= 0:
            return Stop("the round's share of the budget is spent", success=False, status=CUT)
        return None

    def after(self, ask: Ask, told: Told) -> None:
        if self._left is not None:
            self._left -= len(told.values)


@dataclass(frozen=True)
class _Start:
    """Evaluates the start."""

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        yield Ask(problem.starts.copy())
        return Stop("", True)
