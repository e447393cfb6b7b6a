"""The best value so far, of many runs on one grid: medians with bands."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.plan import START
from experiments.record import Axis, ProblemInfo, Record, Results
from experiments.statistics.quantiles import quantiles

Array = NDArray[np.float64]

QUARTILES = (0.25, 0.5, 0.75)


class Band(NamedTuple):
    """The median of the best value so far, and the quartiles around it.

    Attributes
    ----------
    low, middle, high
        Lower quartile, median and upper quartile, (m,), as the problem shows its values; inf where
        too many runs have no value yet.
    spent
        What had been spent, (m,), ascending.
    """

    low: Array
    middle: Array
    high: Array
    spent: Array


def best_at(
    records: Sequence[Record],
    axis: Axis,
    grid: Array,
    problems: Mapping[str, ProblemInfo] | None = None,
) -> Array:
    """Return the best value of each run when so much had been spent.

    Parameters
    ----------
    records, axis
        The runs, and what is spent.
    grid
        How much, (m,).
    problems
        By name: values are returned as these show them; by default as they are.

    Returns
    -------
    Array
        A row a run, (runs, m): NaN before the first value; inf all along in a run that failed. A
        run that has ended keeps its last value.
    """
    found = np.full((len(records), len(grid)), np.nan)
    for row, record in zip(found, records, strict=True):
        if record.failed:
            row[:] = np.inf
            continue
        values = record.curve.values
        if problems is not None:
            values = problems[record.cell.problem].shown(values)
        at = np.searchsorted(record.curve.spent(axis), grid, side="right") - 1
        row[at >= 0] = values[at[at >= 0]]
    return found


def grid(records: Sequence[Record], axis: Axis, points: int = 200) -> Array:
    """Return where to look at runs: evenly on a log axis, from the first value to the end.

    Evaluations and passes are whole numbers, from 1 to at least the budget. Seconds begin with the
    first value that any run had. Rounding leaves fewer points than were asked for.

    Raises
    ------
    ValueError
        If there are no records.
    """
    if not records:
        raise ValueError("records must hold at least one run; got none")
    end = _end(records, axis)
    if axis != "seconds":
        return np.unique(np.append(np.round(np.geomspace(1, max(end, 1), points)), end))
    firsts = [record.curve.seconds[0] for record in records if len(record.curve.seconds)]
    tiny = 1e-6  # a clock may say that no time has passed
    first = max(min(firsts, default=tiny), tiny)
    return np.unique(np.append(np.geomspace(first, max(end, first), points)[:-1], max(end, first)))


def bands(
    results: Results, axis: Axis = "evaluations", points: int = 200
) -> dict[tuple[str, str], Band]:
    """Return the median and the interquartile band of the best value so far.

    A run without any value counts as the worst. Each band goes as far as its longest run, or to the
    budget; the start's goes all along, for others to be held against it.

    Returns
    -------
    dict
        By group of problems and method, in the order of the plan.
    """
    grouped = results.by_group()
    by_problem: dict[str, list[Record]] = {}
    for (group, _), records in grouped.items():
        by_problem.setdefault(group, []).extend(records)
    grids = {group: grid(records, axis, points) for group, records in by_problem.items()}
    found = {}
    for (group, method), records in grouped.items():
        spent = grids[group]
        if method != START:
            end = _end(records, axis)
            spent = np.append(spent[spent < end], end)
        values = best_at(records, axis, spent, results.problems)
        low, middle, high = quantiles(values, QUARTILES)
        found[group, method] = Band(low, middle, high, spent)
    return found


def _end(records: Sequence[Record], axis: Axis) -> float:
    ends = [record.end(axis) for record in records]
    if axis != "seconds":
        ends += [record.cell.budget for record in records]
    return float(max(ends))
