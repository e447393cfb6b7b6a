"""How sure a median is: bootstrap intervals.

Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979); the
percentile interval as in Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter
13. Bias correction by the jackknife (BCa) is no use for medians, whose jackknife values are two at
most.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.statistics.quantiles import median

Array = NDArray[np.float64]

RESAMPLES = 5000


class Interval(NamedTuple):
    """An estimate and the interval around it. All may be infinite, where runs failed."""

    low: float
    middle: float
    high: float


def median_interval(
    values: Array, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the median of values and its percentile bootstrap interval.

    Of very few values the interval is too narrow: of a single one it has no width.

    Parameters
    ----------
    values
        (n,), at least one; inf for a run that failed.
    confidence
        How often such intervals hold the true median, over many samples.
    resamples, seed
        How many samples are drawn, and from which stream.

    Raises
    ------
    ValueError
        If there are no values, or the confidence is not between 0 and 1.
    """
    return _interval([values], lambda medians: medians[0], confidence, resamples, seed)


def difference_interval(
    a: Array, b: Array, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return how much larger the median of a is than that of b, with its interval.

    Pairs are drawn together: a and b, both (n,), are runs from the same starts. Where both medians
    are infinite, they differ by 0. Further parameters are those of `median_interval`.
    """
    return _interval([a, b], _difference, confidence, resamples, seed)


def ratio_interval(
    a: Array, b: Array, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return how many times larger the median of a is than that of b, with its interval.

    As for `difference_interval`, and two infinite medians have the ratio 1.

    Raises
    ------
    ValueError
        If a value is 0 or negative: ratios mean nothing there.
    """
    if np.min(a, initial=np.inf) <= 0 or np.min(b, initial=np.inf) <= 0:
        raise ValueError("a and b must be positive for a ratio; use difference_interval")
    return _interval([a, b], _ratio, confidence, resamples, seed)


def _difference(medians: list[Array]) -> Array:
    a, b = medians
    found = np.zeros(np.shape(a))
    np.subtract(a, b, out=found, where=np.asarray(a != b))
    return found


def _ratio(medians: list[Array]) -> Array:
    a, b = medians
    found = np.ones(np.shape(a))
    np.divide(a, b, out=found, where=np.asarray(a != b))
    return found


def _interval(
    samples: list[Array],
    statistic: Callable[[list[Array]], Array],
    confidence: float,
    resamples: int,
    seed: int,
) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is between 0 and 1; got {confidence}")
    sizes = {len(sample) for sample in samples}
    if sizes == {0} or len(sizes) > 1:
        raise ValueError(f"samples must hold the same number of values, at least 1; got {sizes}")
    n = sizes.pop()
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    medians = statistic([median(np.asarray(sample)[drawn], axis=1) for sample in samples])
    ordered = np.sort(medians)
    cut = int((1 - confidence) / 2 * (resamples - 1))  # outwards, and never between infinities
    low, high = ordered[cut], ordered[-1 - cut]
    middle = statistic([median(np.asarray(sample)) for sample in samples])
    return Interval(float(low), float(middle), float(high))
