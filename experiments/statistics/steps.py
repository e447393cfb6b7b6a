"""Step functions that rise from 0: empirical distributions and profiles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Steps(NamedTuple):
    """The share of things that are done by then: constant between its steps, 0 before the first.

    Attributes
    ----------
    at
        Where it rises, (m,), finite and ascending.
    share
        How high it is from there on, (m,), rising, at most 1.
    """

    at: Array
    share: Array

    @classmethod
    def of(cls, values: Array, weights: Array | None = None) -> "Steps":
        """Return the distribution of values; infinite ones are never reached.

        Parameters
        ----------
        values
            When each thing is done, any shape; inf for never.
        weights
            What each counts, of the same shape, adding up to 1; all alike by default.
        """
        flat = np.ravel(values)
        if weights is None:
            weights = np.full(flat.shape, 1 / max(len(flat), 1))
        at, place = np.unique(flat[np.isfinite(flat)], return_inverse=True)
        heights = np.bincount(place, np.ravel(weights)[np.isfinite(flat)], minlength=len(at))
        return cls(at, np.minimum(np.cumsum(heights), 1.0))

    def on(self, grid: Array) -> Array:
        """Return the share at each point of a grid."""
        return np.append(0.0, self.share)[np.searchsorted(self.at, grid, side="right")]
