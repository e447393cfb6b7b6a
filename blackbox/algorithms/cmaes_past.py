"""What CMA-ES learns from points whose values are known before it begins.

Nomura, M., Watanabe, S., Akimoto, Y., Ozaki, Y., Onishi, M. (2021), Warm starting CMA-ES for
hyperparameter optimization, AAAI, 9188-9196, begin at the normal distribution of the best points. A
constant of theirs keeps it from being flat, at a tenth of the box: too wide where points come from
a search of the same function that had come near. Here it is a share of the points' own width, which
falls as there are more of them (Ledoit, O., Wolf, M. (2004), A well-conditioned estimator for
large-dimensional covariance matrices, Journal of Multivariate Analysis 88, 365-411, have the idea).
"""

import math
from typing import NamedTuple

import numpy as np

from blackbox.types import Array

BEST = 0.1
"""Share of the points that is looked at, and at least two for each variable."""
NARROWEST = 0.1
"""Least standard deviation, as a share of the one that a run begins with that knows nothing: points
of a local search lie close together, wherever they are."""


class Prior(NamedTuple):
    """The normal distribution to begin with.

    Attributes
    ----------
    mean, stds
        Shape (n,).
    correlations
        Shape (n, n).
    """

    mean: Array
    stds: Array
    correlations: Array


def fit_prior(points: Array, usual: Array) -> Prior | None:
    """Return the normal distribution of the best points; None of a single one.

    Parameters
    ----------
    points
        Shape (m, n): distinct, the best first.
    usual
        Shape (n,): standard deviations of a run that knows nothing, the scale of each variable.
    """
    m, n = points.shape
    count = min(m, max(2 * n, math.ceil(BEST * m)))
    if count < 2:
        return None
    # Weights of recombination, as the strategy itself has them.
    weights = math.log(count + 0.5) - np.log(np.arange(1, count + 1))
    weights /= weights.sum()
    best = points[:count] / usual
    mean = weights @ best
    away = best - mean
    spread = (weights * away.T) @ away
    effective = 1 / float(weights @ weights)
    flat = n / (n + effective)
    spread = (1 - flat) * spread + (flat * np.trace(spread) / n + NARROWEST**2) * np.eye(n)
    stds = np.sqrt(np.diag(spread))
    return Prior(mean * usual, stds * usual, spread / np.outer(stds, stds))
