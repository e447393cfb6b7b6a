"""How often one method's run ends better than another's from the same start."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, Results
from experiments.statistics.matrix import final_values

Array = NDArray[np.float64]


class Wins(NamedTuple):
    """A win matrix.

    Attributes
    ----------
    methods
        Of the rows and of the columns.
    share
        The share of (problem, seed) pairs in which the row's method is better than the column's,
        ties counting half, (methods, methods): NaN on the diagonal, and where two never met.
    met
        In how many pairs both were run, (methods, methods).
    """

    methods: tuple[str, ...]
    share: Array
    met: NDArray[np.int64]


def wins(
    results: Results,
    axis: Axis = "evaluations",
    at: float | None = None,
    methods: Iterable[str] | None = None,
) -> Wins:
    """Return who wins against whom, and how often; parameters are those of `final_values`.

    Values are read where all have spent the same. Two runs without a value tie.
    """
    matrix = final_values(results, axis, at, methods)
    k = len(matrix.methods)
    share, met = np.full((k, k), np.nan), np.zeros((k, k), dtype=np.int64)
    for i in range(k):
        for j in range(k):
            a, b = matrix.values[:, i], matrix.values[:, j]
            both = ~(np.isnan(a) | np.isnan(b))
            met[i, j] = both.sum()
            if i != j and met[i, j]:
                share[i, j] = np.mean(np.where(a == b, 0.5, a < b)[both])
    return Wins(matrix.methods, share, met)
