"""Objectives that give another value each time: winners are evaluated again before they count.

The best of many noisy values is one that was lucky. So a point becomes the incumbent only after
repeated evaluations, by its mean; each challenge evaluates the incumbent once more as well, so that
its own luck wears off. A challenger that falls behind the incumbent's mean is given up at once
(racing: Maron, O., Moore, A. W. (1994), Hoeffding races, NIPS 6).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox.budget import Halt
from blackbox.evaluation import Evaluator
from blackbox.types import Array, Ask, Stop, Told

FIRST = 4
"""Evaluations of a point before it can be the incumbent."""
MOST = 30
"""Evaluations of a challenger, at most; the incumbent may have had more."""
SHARE = 0.25
"""Share of all evaluations that may be repeats, beyond those of the first incumbent."""


def search_share(budget: int | None) -> int | None:
    """Return what of the budget the search may plan with: repeats take the rest."""
    return None if budget is None else max(1, int((1 - SHARE) * budget))


@dataclass
class Estimate:
    """Values of one point, (n,): their count, mean and sum of squared deviations (Welford).

    Failures are counted apart; a point that fails as often as not has no mean.
    """

    x: Array
    violation: float = 0.0
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    failures: int = 0

    def add(self, value: float) -> None:
        """Take in one more value; inf is a failure."""
        if not math.isfinite(value):
            self.failures += 1
            if self.failures >= self.count:
                self.mean = math.inf
            return
        if not math.isfinite(self.mean):
            return
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        if self.count < 2 or not math.isfinite(self.mean):
            return math.inf
        return math.sqrt(self.squares / (self.count - 1) / self.count)


class Averaging(Evaluator):
    """Evaluates winners of batches again; the incumbent is the point of the least mean.

    Repeats are counted as evaluations, and are about a quarter of them at most. The result's
    ``fun`` is a mean, ``fun_error`` its standard error, ``fun_count`` of how many values.
    """

    provisional = True
    _incumbent: Estimate | None = None
    _repeats = 0

    def _conclude(self, stop: Stop) -> Stop:
        """Let the solver's own end point challenge, where the budget allows; report the mean."""
        own: Any = stop.extras.get("x")
        try:
            if own is not None:
                self._challenge(Estimate(np.array(own, dtype=float), self._break(own)))
            self._budget.check(self._history)
        except Halt as halt:
            if halt.stop.success:
                stop = halt.stop._replace(extras=stop.extras)
        budget = self._budget.evaluations
        early = budget is not None and self._history.evaluation_count < budget
        if stop.status == 1 and early and "max_seconds" not in stop.reason:
            stop = stop._replace(
                reason=f"the search has spent its share of the budget of {budget} evaluations, "
                "repeats have the rest; raise budget= to go on"
            )
        return super()._conclude(self.interrupt(stop))

    def interrupt(self, stop: Stop) -> Stop:
        """Put the incumbent's mean in place of a solver's single values."""
        extras = {k: v for k, v in stop.extras.items() if k not in ("x", "fun", "jac")}
        best = self._incumbent
        if best is not None:
            extras |= {"fun_error": best.error, "fun_count": best.count}
        elif self._history.provisional_x is not None:
            extras |= {"x": self._history.provisional_x, "fun": self._history.provisional_value}
            extras |= {"fun_error": math.inf, "fun_count": 1}
        return stop._replace(extras=extras)

    def state(self) -> None:
        """Return None: its means are in no snapshot, and such runs come back by their journal."""

    def _after(self, ask: Ask) -> None:
        if not ask.stencil and self._latest is not None:
            points, values = self._latest
            self._elect(points, values)
        super()._after(ask)

    _latest: tuple[Array, Array] | None = None

    def _evaluate(self, points: Array, ask: Ask) -> Told:
        told = super()._evaluate(points, ask)
        if not ask.stencil:
            self._latest = points, told.values
        return told

    def _elect(self, points: Array, values: Array) -> None:
        broken = np.array([self._break(x) for x in points]) if self._history.constrained else None
        if broken is None:
            leader = int(values.argmin())
        else:
            leader = int(np.lexsort((values, np.where(np.isfinite(values), broken, np.inf)))[0])
        if not math.isfinite(values[leader]):
            return
        violation = 0.0 if broken is None else float(broken[leader])
        challenger = Estimate(points[leader].copy(), violation)
        challenger.add(float(values[leader]))
        allowed = FIRST + SHARE * self._history.evaluation_count
        closer = self._incumbent is not None and violation < self._incumbent.violation
        target = self._budget.target
        final = closer and target is not None and challenger.mean <= target
        if self._incumbent is None or self._repeats < allowed or final:
            self._challenge(challenger)
        elif closer:  # no luck makes up for a broken constraint
            self._put(challenger)

    def _break(self, x: Any) -> float:
        """By how much a point breaks the constraints beyond the tolerance; 0 if it does not."""
        broken = self._history.violation(np.asarray(x, dtype=float))
        return broken if broken > self._history.tolerance else 0.0

    def _challenge(self, challenger: Estimate) -> None:
        """Evaluate until the challenger has fallen behind, or has won."""
        best = self._incumbent
        if best is not None and challenger.violation > best.violation:
            return
        if best is not None and np.array_equal(best.x, challenger.x):
            return
        closer = best is not None and challenger.violation < best.violation
        if best is not None and not closer:
            if challenger.count and challenger.mean >= best.mean:
                return
            self._repeat(best)
        most = FIRST if best is None or closer else min(max(best.count, FIRST), MOST)
        while challenger.count < most:
            try:
                self._repeat(challenger)
            except Halt:
                if challenger.count and (best is None or closer):
                    self._put(challenger)
                raise
            behind = best is not None and not closer and challenger.mean >= best.mean
            if behind or math.isinf(challenger.mean):
                break
        else:
            best = challenger
        if best is not None:
            self._put(best)

    def _put(self, best: Estimate) -> None:
        self._incumbent = best
        self._history.set_incumbent(best.x, best.mean, best.violation)

    def _repeat(self, point: Estimate) -> None:
        """Evaluate a point once more; raises `Halt` when the budget is spent."""
        self._budget.left(self._history)
        values = np.full(1, np.nan)
        try:
            self._objective.values(point.x[None], values)
            values = self._settle(values)
        finally:
            if self._objective.done:
                self._history.record_repeat()
        self._repeats += 1
        point.add(float(values[0]))
