"""Quantiles where some values are infinite: runs that found nothing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def quantiles(values: Array, shares: Sequence[float], axis: int = 0) -> Array:
    """Return quantiles, interpolated linearly between neighbours as numpy does by default.

    A quantile with any weight on an infinite value is infinite, never NaN.

    Parameters
    ----------
    values
        Finite numbers, inf for a run without any value; NaN counts as inf, too.
    shares
        Which quantiles, between 0 and 1.
    axis
        Along which of the values' axes; the others remain, after one for the shares.

    Raises
    ------
    ValueError
        If there are no values along the axis.
    """
    ordered = np.sort(np.where(np.isnan(values), np.inf, values), axis=axis)
    ordered = np.moveaxis(ordered, axis, 0)
    if not len(ordered):
        raise ValueError("values must hold at least one number; got none")
    return np.array([_between(ordered, share * (len(ordered) - 1)) for share in shares])


def median(values: Array, axis: int = 0) -> Array:
    """Return the median along an axis; inf where half of the values or more are infinite or NaN."""
    return np.asarray(quantiles(values, [0.5], axis)[0])


def _between(ordered: Array, position: float) -> Array:
    low = int(position)
    weight = position - low
    if weight == 0:
        return np.asarray(ordered[low])
    left, right = ordered[low], ordered[low + 1]
    # Weights instead of left + weight * (right - left): inf - inf would be NaN.
    return np.asarray(np.clip(left * (1 - weight) + right * weight, left, right))
