"""When to stop a run from outside: evaluations, seconds, a target; and when its end is doubted."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from blackbox.history import History
from blackbox.types import Stop

FAILURE_LIMIT = 1000
"""Failed evaluations in a row after which a run is stopped."""
DOUBTFUL = 3
"""Lost evaluations from which the end of a run may be their doing."""


class Halt(BaseException):
    """Unwinds a solver whose run is over; carries why. Not an `Exception`, so none catches it."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.stop = stop


@dataclass(frozen=True)
class Budget:
    """What a run may spend, and the value that is good enough.

    Raises
    ------
    TypeError, ValueError
        When made with a budget below 1, seconds not above 0 or a target that is NaN.
    """

    evaluations: int | None = None
    seconds: float | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        count, seconds, target = self.evaluations, self.seconds, self.target
        if count is not None:
            if isinstance(count, bool) or not isinstance(count, Integral):
                raise TypeError(f"budget is a number of evaluations, an int; got {count!r}")
            if count < 1:
                raise ValueError(
                    f"budget={count!r} leaves no evaluation; give at least 1, or None for the "
                    "method's own stopping rule"
                )
        if seconds is not None and not (isinstance(seconds, Real) and seconds > 0):
            raise ValueError(f"max_seconds must be above 0; got {seconds!r}")
        if target is not None and not (isinstance(target, Real) and not math.isnan(target)):
            raise ValueError(f"target is the objective value to stop at; got {target!r}")

    def left(self, history: History) -> float:
        """Evaluations left; raises `Halt` when there are none or the time is over."""
        if self.seconds is not None and history.elapsed() >= self.seconds:
            raise Halt(self._spent(f"{self.seconds:g} seconds", "max_seconds"))
        if self.evaluations is None:
            return math.inf
        left = self.evaluations - history.evaluation_count
        if left <= 0:
            raise Halt(self.spent())
        return left

    def check(self, history: History) -> None:
        """Raise `Halt` when the target is reached, or when nothing but failures comes back."""
        if self.target is not None and history.best_value <= self.target and history.feasible:
            raise Halt(Stop(f"the target {self.target:g} is reached", success=True))
        if history.failures_in_a_row >= FAILURE_LIMIT:
            raise Halt(
                Stop(
                    f"{history.failures_in_a_row} evaluations in a row failed (NaN, infinite or "
                    "raised); check the objective, the start and the bounds",
                    success=False,
                    status=3,
                )
            )

    def spent(self) -> Stop:
        """Return the stop of a run whose evaluations are spent."""
        return self._spent(f"{self.evaluations} evaluations", "budget")

    @staticmethod
    def _spent(what: str, keyword: str) -> Stop:
        reason = f"the budget of {what} is spent; raise {keyword}= to go on"
        return Stop(reason, success=False, status=1)


def doubt(stop: Stop, history: History) -> Stop:
    """Take back the success of a run that ended among failures.

    A failed point counts as worse than any, a slope that failed as 0: to a method, an outage of the
    objective looks like the surroundings of a minimum. So its word is not taken where most
    evaluations since its best point were lost, or the last of all. Failures that come now and then,
    or fill a region beside the minimum, leave each batch some values and do not count.

    Parameters
    ----------
    stop
        Why the method ended.
    history
        What happened; where nothing gave a finite value, that is all there is to say.
    """
    if not stop.success or not math.isfinite(history.best_value):
        return stop
    since, lost = history.since_best
    if lost >= DOUBTFUL and 2 * lost > since:
        what = f"{lost} of the {since} evaluations since its best point failed"
    elif history.lost_in_a_row >= DOUBTFUL:
        what = f"its last {history.lost_in_a_row} evaluations failed"
    else:
        return stop
    reason = f"{what}, so that this may be no minimum; go on from x. The method said: {stop.reason}"
    return stop._replace(reason=reason, success=False, status=3)
