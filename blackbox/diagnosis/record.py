"""A run as its diagnosis sees it: levels of its loss, how much they fluctuate, its last stage."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from blackbox.diagnosis import thresholds as at
from blackbox.diagnosis.terms import Terms
from blackbox.types import Array

if TYPE_CHECKING:
    from blackbox.history import History
    from blackbox.trace import Curves

Stage = Literal["descent", "gradient", "population", "single", "none"]


@dataclass(frozen=True, eq=False)
class Track:
    """Values in the order in which they were told, (m,) each.

    Attributes
    ----------
    spent, values
        Evaluations by then; finite values.
    """

    spent: Array
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def between(self, begin: float, end: float) -> Array:
        """Return the values of a stretch, given as shares of the track."""
        if not len(self):
            return self.values
        first, last = self.spent[0], self.spent[-1]
        low, high = first + begin * (last - first), first + end * (last - first)
        part: Array = self.values[(self.spent >= low) & (self.spent <= high)]
        return part

    def level(self, begin: float, end: float) -> float:
        """Return the median of a stretch; NaN where there is nothing in it."""
        part = self.between(begin, end)
        return float(np.median(part)) if len(part) else math.nan


def fluctuation(values: Array) -> float:
    """Standard deviation from one value to the next, whatever the trend.

    By the median of successive differences (von Neumann, J. (1941), Distribution of the ratio of
    the mean square successive difference to the variance, Annals of Mathematical Statistics 12).
    """
    if len(values) < 3:
        return math.nan
    # 0.6745 is the normal distribution's median deviation.
    return float(np.median(np.abs(np.diff(values)))) / 0.6745 / math.sqrt(2)


@dataclass(frozen=True, eq=False)
class Record:
    """What the checks go by.

    Attributes
    ----------
    result, history, terms
        The run's.
    curves
        Of the run that ended lowest: its steps.
    stage
        In what way the run searched last: by a rule of torch, with gradients in some other way, by
        a population, point by point.
    told
        What that stage was told, its best value a batch.
    true
        The same without noise: of minibatches, the values at full fidelity. Empty where there are
        none.
    """

    result: Any
    history: "History"
    terms: Terms
    curves: "Curves"
    stage: Stage
    told: Track
    true: Track

    @property
    def exact(self) -> bool:
        """Whether, for all that is known, values are without noise."""
        return not (self.terms.changing or self.terms.noisy)

    @property
    def success(self) -> bool:
        """Whether the method ended the run by its own criterion, or the target was reached."""
        return bool(self.result.success)

    @property
    def descends(self) -> bool:
        """Whether it ended as gradient descent by a rule of torch, with steps enough to judge."""
        return self.stage == "descent" and len(self.curves.loss) >= at.STEPS

    def row(self, k: int) -> int:
        """Return which of k runs side by side is meant: the one that ended lowest."""
        ends = self.history.trace.ends_value
        return min(k - 1, 0 if ends is None else int(ends.argmin()))

    def best_at(self, share: float) -> float:
        """Return the incumbent's value when that share of the evaluations was spent."""
        history = self.history
        kept = history.violations <= history.tolerance
        spent, values = history.evaluations[kept], history.values[kept]
        if not len(values):
            return math.nan
        row = int(np.searchsorted(spent, share * self.spent, "right")) - 1
        return float(values[max(0, row)])

    @property
    def everything(self) -> Array:
        """All finite values that are known, those of a population's best and median."""
        curves = self.curves
        parts = [curves.loss, curves.median, self.history.trace.singles.columns()[1]]
        values = np.concatenate(parts)
        found: Array = values[np.isfinite(values)]
        return found

    @property
    def whole(self) -> bool:
        """Whether the last stage is the only one."""
        medians = int(np.isfinite(self.curves.median).sum())
        return 2 * len(self.told) >= len(self.everything) - medians

    @property
    def calm(self) -> Track:
        """What shows trends best: values without noise where there are enough, else all."""
        return self.true if len(self.true) >= at.STEPS // 2 else self.told

    @property
    def fall(self) -> float:
        """By how much the loss ever fell, in the last stage or over the whole run."""
        values = self.told.values
        here = float(values[0] - values.min()) if len(values) else 0.0
        return float(np.nanmax([here, self.best_at(0.0) - self.best_at(1.0), 0.0]))

    @property
    def spent(self) -> int:
        """All evaluations."""
        return self.history.evaluation_count

    @property
    def first(self) -> float:
        """Where the last stage began: its first value, or the level of the first few of many."""
        values = self.told.values
        count = 1 if self.exact else max(1, min(5, len(values) // 20))
        return float(np.median(values[:count])) if len(values) else math.nan


def read(result: Any) -> Record:
    """Gather what was recorded of a run."""
    history = result.history
    terms = getattr(history, "terms", None) or Terms(str(result.get("method")), None, len(result.x))
    curves = history.trace.curves()
    stage, spent, values = _last_stage(history, curves)
    told = _track(spent, values)
    true = _track(*history.trace.fulls.columns()) if terms.changing else told
    if terms.noisy and not terms.changing:
        true = Track(spent[:0], values[:0])
    return Record(result, history, terms, curves, stage, told, true)


def _last_stage(history: "History", curves: "Curves") -> tuple[Stage, Array, Array]:
    singles, values = history.trace.singles.columns()
    rows = len(curves.loss)
    late = singles > (curves.evaluations[-1] if rows else -1.0)
    if late.sum() > (1 if rows else 0):  # one alone is what was left of the budget for a batch
        return "single", singles[late], values[late]
    if not rows:
        return "none", singles, values
    kinds = np.where(
        ~np.isnan(curves.spread), "population", np.where(np.isnan(curves.learning_rate), "", "d")
    )
    kind = kinds[-1]
    others = np.flatnonzero(kinds != kind)
    since = slice(int(others[-1]) + 1 if len(others) else 0, None)
    stages: dict[str, Stage] = {"population": "population", "d": "descent", "": "gradient"}
    return stages[str(kind)], curves.evaluations[since], curves.loss[since]


def _track(spent: Array, values: Array) -> Track:
    good = np.isfinite(values)
    return Track(spent[good], values[good])


def tenths(values: Array) -> tuple[float, float]:
    """Return the medians of the first and the last tenth."""
    count = max(1, len(values) // 10)
    return float(np.median(values[:count])), float(np.median(values[-count:]))
