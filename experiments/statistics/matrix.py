"""One value a run, (problem, seed) pairs by methods: what ranks, wins and tests are made of."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.plan import START
from experiments.record import Axis, Record, Results
from experiments.statistics.curves import best_at
from experiments.statistics.targets import SOLVED, TAUS, absolute, spans

Array = NDArray[np.float64]


class Matrix(NamedTuple):
    """The best values of runs, read where every method had spent the same.

    Attributes
    ----------
    methods
        Of the columns.
    pairs, groups
        Of the rows: problem and seed; the group of the problem.
    values
        (rows, columns), as the problem shows them, but precisions no smaller than 1e-8: what is
        nearer to the optimum is solved. A run without a value has inf; NaN where there is no run.
    at
        By group, what had been spent.
    """

    methods: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]
    groups: tuple[str, ...]
    values: Array
    at: Mapping[str, float]

    def complete(self) -> "Matrix":
        """Return the rows in which no run is missing."""
        kept = np.flatnonzero(~np.isnan(self.values).any(axis=1))
        return self._replace(
            pairs=tuple(self.pairs[i] for i in kept),
            groups=tuple(self.groups[i] for i in kept),
            values=self.values[kept],
        )


def contestants(results: Results) -> list[str]:
    """Return the methods but the pseudo-method "start", in the order of the plan."""
    return [method for method in results.methods if method != START]


def final_values(
    results: Results,
    axis: Axis = "evaluations",
    at: float | None = None,
    methods: Iterable[str] | None = None,
) -> Matrix:
    """Return the best value of each run when all had spent the same.

    Parameters
    ----------
    results, axis
        What was run, and what is spent.
    at
        How much. By default the budget, for evaluations and for passes: a run with gradients is
        read before its end. For seconds, the median time of the fastest method of the group: until
        then all were at work.
    methods
        Which methods; all but the start by default.
    """
    names = tuple(contestants(results) if methods is None else methods)
    records = [record for record in results.records if record.cell.method in names]
    by_group: dict[str, list[Record]] = {}
    for record in records:
        by_group.setdefault(results.group(record), []).append(record)
    read = {
        group: _level(runs, axis) if at is None else float(at) for group, runs in by_group.items()
    }
    pairs = list(dict.fromkeys((record.cell.problem, record.cell.seed) for record in records))
    rows = {pair: i for i, pair in enumerate(pairs)}
    columns = {name: j for j, name in enumerate(names)}
    values = np.full((len(pairs), len(names)), np.nan)
    for group, runs in by_group.items():
        found = best_at(runs, axis, np.array([read[group]]), results.problems)[:, 0]
        for record, value in zip(runs, np.where(np.isnan(found), np.inf, found), strict=True):
            cell = record.cell
            floor = SOLVED if absolute(results.problems[cell.problem]) else -np.inf
            values[rows[cell.problem, cell.seed], columns[cell.method]] = max(value, floor)
    groups = tuple(results.problems[problem].group for problem, _ in pairs)
    return Matrix(names, tuple(pairs), groups, values, read)


def decades(results: Results, matrix: Matrix) -> Array:
    """Return how far runs are from the best, in powers of ten: the same scale for all problems.

    It is the logarithm of the precision, no less than -8, where the problem shows precisions. For
    others it is that of the share of the gain that is still to be had (see `targets.Span`), no less
    than -5. What failed stays inf, what is missing NaN.
    """
    known = spans(results)
    gaps = np.empty_like(matrix.values)
    for gap, values, (problem, _) in zip(gaps, matrix.values, matrix.pairs, strict=True):
        if absolute(results.problems[problem]):
            gap[:] = np.log10(values)
            continue
        best, start = known[problem]
        if not np.isfinite(best):
            gap[:] = values
            continue
        share = (values - best) / (start - best if start > best else 1.0)
        gap[:] = np.log10(np.maximum(share, TAUS[-1]))
    return gaps


def _level(records: list[Record], axis: Axis) -> float:
    if axis != "seconds":
        return float(min(record.cell.budget for record in records))
    times: dict[str, list[float]] = {}
    for record in records:
        if not record.failed:
            times.setdefault(record.cell.method, []).append(record.seconds)
    return min((float(np.median(seconds)) for seconds in times.values()), default=np.inf)
