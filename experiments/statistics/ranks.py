"""Which method is better over many problems, or over many seeds of one: ranks and tests.

- Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine
  Learning Research 7 (2006): the whole procedure and the critical difference.
- Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of
  variance", Journal of the American Statistical Association 32 (1937).
- Iman and Davenport, "Approximations of the critical region of the Friedman statistic",
  Communications in Statistics 9 (1980).
- Nemenyi, "Distribution-free multiple comparisons", PhD thesis, Princeton (1963).
- Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1 (1945).
- Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
  Statistics 6 (1979).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy  # loads its parts when they are used
from numpy.typing import NDArray

from experiments.record import Axis, Results
from experiments.statistics.matrix import decades, final_values
from experiments.statistics.quantiles import median

Array = NDArray[np.float64]


class Outcome(NamedTuple):
    """Of a test: the statistic and its p value."""

    statistic: float
    p: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods compared over blocks: problems, or the seeds of one.

    Attributes
    ----------
    methods
        The best average rank first.
    average
        The average ranks, (methods,), from 1.
    blocks, unit
        What the methods were ranked on, and whether that is problems or seeds.
    values
        What the ranks are of, (blocks, methods): median final values over the seeds of a problem,
        or final values.
    ranks
        (blocks, methods), 1 for the lowest value; ties share the average, inf is the worst.
    friedman, iman_davenport
        Whether there is any difference between the methods.
    critical_difference
        By how much average ranks must differ for Nemenyi's test to tell methods apart.
    pairs
        Wilcoxon's signed-rank p values for each two methods, (methods, methods), by Holm's
        procedure over all of them; 1 on the diagonal.
    alpha
        The level of the tests: how often they may see a difference where there is none.
    """

    methods: tuple[str, ...]
    average: Array
    blocks: tuple[str, ...]
    unit: Literal["problems", "seeds"]
    values: Array
    ranks: Array
    friedman: Outcome
    iman_davenport: Outcome
    critical_difference: float
    pairs: Array
    alpha: float

    @property
    def smallest_p(self) -> float:
        """The smallest p value that the corrected tests of so few blocks can give."""
        tests = len(self.methods) * (len(self.methods) - 1) // 2
        return min(1.0, tests * 2.0 ** (1 - len(self.blocks)))

    def alike(self, test: Literal["nemenyi", "wilcoxon"] = "nemenyi") -> NDArray[np.bool_]:
        """Return which methods a test does not tell apart, (methods, methods)."""
        if test == "wilcoxon":
            return np.asarray(self.pairs > self.alpha)
        apart = np.abs(self.average[:, None] - self.average)
        return np.asarray(apart <= self.critical_difference)

    def cliques(self, test: Literal["nemenyi", "wilcoxon"] = "nemenyi") -> list[tuple[str, ...]]:
        """Return the methods that no test tells apart, as a critical-difference diagram joins them.

        Each has two neighbours in the ranking or more, and is part of no other.
        """
        return [self.methods[i:j] for i, j in cliques(self.alike(test))]


def compare_methods(
    results: Results,
    axis: Axis = "evaluations",
    at: float | None = None,
    *,
    methods: Iterable[str] | None = None,
    alpha: float = 0.05,
) -> Ranking:
    """Rank methods on every block, and test whether they differ.

    With two groups of problems or more, each group is a block, and its value the median over its
    instances and seeds. With one group, each run is a block: a seed gives all methods the same
    start. Blocks that not every method was run on are left out.

    Over problems, Wilcoxon's test compares decades (see `matrix.decades`), since values of
    different problems are of different sizes; over seeds, it compares the values.

    Parameters
    ----------
    results, axis, at, methods
        As for `matrix.final_values`.
    alpha
        The level of the tests.

    Raises
    ------
    ValueError
        If there is no method, or no block that all were run on.
    """
    matrix = final_values(results, axis, at, methods)
    if not matrix.methods:
        raise ValueError("results must hold at least one method beside the start; got none")
    matrix = matrix.complete()
    if not matrix.pairs:
        raise ValueError("no problem was run with every method from the same seed; there is none")
    unit: Literal["problems", "seeds"] = "problems" if len(set(matrix.groups)) > 1 else "seeds"
    if unit == "problems":
        blocks = tuple(dict.fromkeys(matrix.groups))
        values = _medians(matrix.values, matrix.groups, blocks)
        compared = _medians(decades(results, matrix), matrix.groups, blocks)
    else:
        several = len({problem for problem, _ in matrix.pairs}) > 1
        blocks = tuple(f"{p}, seed {s}" if several else f"seed {s}" for p, s in matrix.pairs)
        values = compared = matrix.values
    ranks = np.asarray(scipy.stats.rankdata(values, axis=1), dtype=float)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    ranks = ranks[:, order]
    return Ranking(
        methods=tuple(matrix.methods[j] for j in order),
        average=ranks.mean(axis=0),
        blocks=blocks,
        unit=unit,
        values=values[:, order],
        ranks=ranks,
        friedman=friedman(ranks),
        iman_davenport=iman_davenport(ranks),
        critical_difference=critical_difference(len(order), len(ranks), alpha),
        pairs=signed_rank_pairs(compared[:, order]),
        alpha=alpha,
    )


def friedman(ranks: Array) -> Outcome:
    """Return Friedman's chi-squared, corrected for ties, of ranks (blocks, methods)."""
    n, k = ranks.shape
    ties = sum(
        float(np.sum(c**3 - c)) for c in (np.unique(r, return_counts=True)[1] for r in ranks)
    )
    spread = 1 - ties / (n * k * (k**2 - 1)) if k > 1 else 0.0
    if spread <= 0:  # one method, or ties everywhere
        return Outcome(0.0, 1.0)
    squares = float(np.sum(ranks.sum(axis=0) ** 2))
    statistic = max((12 * squares / (n * k * (k + 1)) - 3 * n * (k + 1)) / spread, 0.0)
    return Outcome(statistic, float(scipy.stats.chi2.sf(statistic, k - 1)))


def iman_davenport(ranks: Array) -> Outcome:
    """Return Iman and Davenport's F, of ranks (blocks, methods).

    Where all blocks agree, F is infinite; p is then the probability that they agree by chance.
    """
    n, k = ranks.shape
    statistic = friedman(ranks).statistic
    rest = n * (k - 1) - statistic
    if statistic == 0:
        return Outcome(0.0, 1.0)
    if rest <= 1e-9 * n * k:
        return Outcome(math.inf, float(math.factorial(k)) ** (1 - n))
    f = (n - 1) * statistic / rest
    return Outcome(f, float(scipy.stats.f.sf(f, k - 1, (k - 1) * (n - 1))))


def critical_difference(methods: int, blocks: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's critical difference of average ranks (Demšar 2006, section 3.2.2)."""
    if methods < 2:
        return 0.0
    q = float(scipy.stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def signed_rank(a: Array, b: Array) -> Outcome:
    """Return Wilcoxon's signed-rank test, two-sided, of two paired samples, (n,).

    The statistic is the sum of the signed ranks of the differences: negative where a is lower.

    Equal pairs are left out, those where both are infinite too. A difference from infinity is
    larger than any other. It is exact up to 50 pairs, or 13 where differences tie.
    """
    differences = np.zeros(len(a))
    np.subtract(a, b, out=differences, where=a != b)
    differences = differences[differences != 0]
    if not len(differences):
        return Outcome(0.0, 1.0)
    # The statistic hangs on ranks alone, and these are finite.
    signed = np.sign(differences) * scipy.stats.rankdata(np.abs(differences))
    p = min(float(scipy.stats.wilcoxon(signed).pvalue), 1.0)
    return Outcome(float(signed.sum()), p)


def holm(p: Array) -> Array:
    """Return Holm's step-down adjustment of p values (m,)."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1.0)
    return adjusted


def signed_rank_pairs(values: Array) -> Array:
    """Return Holm-adjusted p values for each two columns of values (n, k), as (k, k)."""
    k = values.shape[1]
    rows, columns = np.triu_indices(k, 1)
    p = [signed_rank(values[:, i], values[:, j]).p for i, j in zip(rows, columns, strict=True)]
    found = np.ones((k, k))
    found[rows, columns] = found[columns, rows] = holm(np.array(p))
    return found


def cliques(alike: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the longest stretches [i, j) of two or more in which all are alike, of (k, k)."""
    found: list[tuple[int, int]] = []
    for i in range(len(alike)):
        j = i + 1
        while j < len(alike) and alike[i:j, j].all():
            j += 1
        if j - i > 1 and (not found or j > found[-1][1]):
            found.append((i, j))
    return found


def _medians(values: Array, groups: tuple[str, ...], blocks: tuple[str, ...]) -> Array:
    owner = np.array(groups)
    return np.array([median(values[owner == block]) for block in blocks])
