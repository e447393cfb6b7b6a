"""Chains: one method after another, each from the best point so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox.composing.parts import Composite, Counts, Limit, Part, Pause, Plan
from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.history import History
from blackbox.types import (
    Algorithm,
    Array,
    Ask,
    Problem,
    RandomStream,
    Stop,
    Told,
    default_interval,
)

LAST = 0.3
"""Share of the budget that is kept for the last method; the others have the rest in equal parts."""
PATIENCE = 10
"""Evaluations for each variable, and one more, that the last method may go without a gain."""
GAIN = 1e-6
"""What counts as a gain, as a share of all that the run has gained so far."""


@dataclass(frozen=True)
class Chain(Composite):
    """Runs methods one after another, each from the best feasible point so far.

    Without a budget each runs to its own end, or through its share. With one, each but the last
    ends when its share is spent, and the last when it is done or stops paying. What is then left
    goes back to the methods that were cut short: they go on where they stopped, under the same
    split, and the last begins again where the best point has moved.

    Where the objective changes from batch to batch, the best of the latest batch is handed on, as
    values of different batches can't be compared; and the last method has all that is left, as
    nobody knows when it stops paying.

    Attributes
    ----------
    algorithms
        What runs, in order.
    shares
        What each may spend of the budget that is left when a round begins; they sum to 1.
    polishes
        Whether the last is a local method without a schedule: it may be ended when it stops paying.
    defaults
        Evaluations of methods that never stop by themselves, where there is no budget; else None.
    """

    algorithms: tuple[Algorithm, ...]
    shares: tuple[float, ...]
    polishes: bool
    defaults: tuple[int | None, ...]

    @property
    def constraint_tolerance(self) -> float:
        """The coarsest of the parts."""
        return max(float(getattr(a, "constraint_tolerance", FEASIBILITY)) for a in self.algorithms)

    def parts(self, problem: Problem, rng: RandomStream) -> Plan:
        """Rounds of one part for each method."""
        seen = _Seen(problem, self.constraint_tolerance)
        seen.begin_with(problem.past)
        problem = replace(problem, callback=None)
        pauses = [Pause() for _ in self.algorithms[:-1]]
        try:
            polished = math.inf
            first, counts = True, Counts()
            while True:
                spent, left = seen.evaluation_count, seen.left()
                ran = False
                for i, pause in enumerate(pauses):
                    if not first and pause.run is None:
                        continue  # it came to its own end
                    share = self.shares[i] * left if math.isfinite(left) else self.defaults[i]
                    until = None if share is None else spent + max(1, int(share))
                    part = Part(
                        self.algorithms[i],
                        _shown(problem, seen, share),
                        limit=_Share(seen, until),
                        pause=pause,
                    )
                    stop = yield part
                    counts.add(stop)
                    spent, ran = seen.evaluation_count, True
                if first or seen.best_value != polished:
                    paused = any(pause.run is not None for pause in pauses)
                    ends = paused and self.polishes and not problem.changing
                    limit = _Stalled(seen, problem.n) if ends else _Recorded(seen)
                    shown = _shown(problem, seen, seen.left())
                    stop = yield Part(self.algorithms[-1], shown, limit=limit)
                    counts.add(stop)
                    polished = seen.best_value
                first = False
                if problem.budget is None or not any(p.run is not None for p in pauses) or not ran:
                    return stop._replace(extras=dict(stop.extras) | counts.sums)
        finally:
            for pause in pauses:
                pause.close()


class _Seen(History):
    """What the parts were told, and the point that the next begins at."""

    def __init__(self, problem: Problem, tolerance: float) -> None:
        super().__init__(measure_violation(problem.constraints), tolerance, problem.changing)
        self._problem = problem
        self._size = 1
        self.latest: Array | None = None

    def left(self) -> float:
        """Return how much of the budget is left, after what was evaluated beside the batches."""
        problem = self._problem
        if problem.budget is None:
            return math.inf
        besides = 0
        if problem.full_every != 0:
            usual = default_interval(problem.budget // self._size)
            besides += -(-self.batch_count // (problem.full_every or usual)) + 1
        if problem.validate_every:
            besides += self.batch_count // problem.validate_every
        return max(problem.budget - self.evaluation_count - besides, 0)

    def take(self, ask: Ask, told: Told) -> None:
        """Take in a batch. Values of a complex-step difference are complex."""
        changing, values = self._problem.changing, told.values.real
        self._size = len(values)
        self.record(ask.points, values, stencil=ask.stencil, provisional=changing)
        if changing and not ask.stencil and math.isfinite(values.min()):
            broken = np.array([max(self.violation(x) - self.tolerance, 0.0) for x in ask.points])
            self.latest = ask.points[int(np.lexsort((values, broken))[0])].copy()

    def state(self) -> dict[str, Any]:
        """Return all that was seen."""
        return {name: value for name, value in super().state().items() if name != "_problem"}

    @property
    def handed_on(self) -> Array | None:
        """The best point, (n,), or where values can't be compared the best of the latest batch."""
        return self.latest if self._problem.changing else self.best_x


def _shown(problem: Problem, seen: _Seen, share: float | None) -> Problem:
    """The problem from the best point so far, with what it may spend."""
    x = seen.handed_on
    if x is not None and (seen.evaluation_count or problem.past is None):
        problem = problem.begin_at(x[None].copy())
    budget = None if share is None or math.isinf(share) else max(1, int(share))
    return replace(problem, budget=budget)


class _Recorded(Limit):
    """Keeps count and the incumbent; ends nothing."""

    def __init__(self, seen: _Seen) -> None:
        self.seen = seen

    def after(self, ask: Ask, told: Told) -> None:
        self.seen.take(ask, told)

    def state(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"seen": self.seen.state()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.seen.resume(state["seen"])


class _Share(_Recorded):
    """Ends a part when a count of evaluations is reached, or a batch would pass it."""

    def __init__(self, seen: _Seen, until: int | None) -> None:
        super().__init__(seen)
        self._began, self._until = seen.evaluation_count, until

    def before(self, ask: Ask) -> Stop | None:
        count = self.seen.evaluation_count
        if self._until is None or count == self._began:
            return None  # a first batch is always evaluated
        if count + len(ask.points) > self._until:
            return Stop("its share of the budget is spent", success=False, status=1)
        return None


class _Stalled(_Recorded):
    """Ends a part that no longer gains."""

    def __init__(self, seen: _Seen, n: int) -> None:
        super().__init__(seen)
        self._patience = PATIENCE * (n + 1)
        self._counted, self._value = seen.evaluation_count, seen.best_value
        self._first = float(seen.values[0]) if len(seen.values) else math.inf

    def before(self, ask: Ask) -> Stop | None:
        seen = self.seen
        if seen.evaluation_count - self._counted < self._patience:
            return None
        gained = self._value - seen.best_value
        if not gained > GAIN * (self._first - seen.best_value):
            return Stop("it stopped gaining", success=False, status=1)
        self._counted, self._value = seen.evaluation_count, seen.best_value
        return None

    def state(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"seen": self.seen.state(), "counted": self._counted, "value": self._value}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        super().resume(state)
        self._counted, self._value = int(state["counted"]), float(state["value"])
