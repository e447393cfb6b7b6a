"""What a comparison says, in a sentence or two of plain words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.record import AXES, Axis, ProblemInfo, Record, Results
from experiments.report import number
from experiments.statistics.bootstrap import (
    Interval,
    difference_interval,
    median_interval,
    ratio_interval,
)
from experiments.statistics.matrix import Matrix, contestants, final_values
from experiments.statistics.quantiles import median
from experiments.statistics.ranks import Ranking, compare_methods, signed_rank
from experiments.statistics.targets import SOLVED, absolute

Array = NDArray[np.float64]

TIMES = 1.1
"""Medians further apart than this are compared by their ratio, nearer ones by their difference."""
ENOUGH = 6
"""Of fewer runs no interval is given: not even their whole range holds the true median in 95 % of
cases."""


def verdict(
    results: Results,
    axis: Axis = "evaluations",
    at: float | None = None,
    *,
    alpha: float = 0.05,
) -> str:
    """Say who wins, by how much, and how sure that is, on how many problems or seeds.

    On one group of problems medians are compared, and told apart by Wilcoxon's test with Holm's
    correction; on several, average ranks by Nemenyi's critical difference (see `ranks`). The start
    is no method here. Methods that failed are named.

    Parameters
    ----------
    results, axis, at
        What was run, what is spent, and how much of it when values are read: by default where all
        have spent the same, as `matrix.final_values` says.
    alpha
        The level of the tests.
    """
    methods = contestants(results)
    records = [record for record in results.records if record.cell.method in methods]
    if not records:
        return "No method was run."
    if all(record.failed for record in records):
        return f"No method found a finite, feasible value in any of {_count(len(records), 'run')}."
    matrix = final_values(results, axis, at)
    complete = matrix.complete()
    if len(methods) == 1:
        said = _alone(results, complete)
    elif not complete.pairs:
        said = "There is nothing to compare yet: no start was run with every method"
    else:
        ranking = compare_methods(results, axis, at, alpha=alpha)
        by_seeds = ranking.unit == "seeds"
        said = _medians(results, complete, ranking) if by_seeds else _ranks(ranking, complete)
    where = "" if axis == "evaluations" and at is None else _where(matrix, axis)
    return " ".join([f"{said}{where}.", *_failures(records, methods)])


def _alone(results: Results, matrix: Matrix) -> str:
    name, groups = matrix.methods[0], list(dict.fromkeys(matrix.groups))
    if len(groups) > 1:
        return f"Only {name} was run, on {len(groups)} problems{_each(matrix)}"
    values = matrix.values[:, 0]
    found = median_interval(values)
    problem = _problem(results, matrix)
    said = f"Only {name} was run on {groups[0]}: its {_median(problem)} is "
    said += _value(found.middle, problem)
    return said + (_between(found) if len(values) >= ENOUGH else "") + f" over {_runs(matrix)}"


def _medians(results: Results, matrix: Matrix, ranking: Ranking) -> str:
    """Who wins on one group of problems, by the medians over its runs."""
    order = np.argsort(median(ranking.values), kind="stable")  # ties stay as they are ranked
    names, values = [ranking.methods[j] for j in order], ranking.values[:, order]
    p = ranking.pairs[order[0]][order]
    ahead = [signed_rank(values[:, 0], other).statistic < 0 for other in values.T]
    problem, group, runs = _problem(results, matrix), matrix.groups[0], _runs(matrix)
    others = range(1, len(names))
    if all(p[j] <= ranking.alpha and ahead[j] for j in others):
        margin = _margin(names[1], values[:, 0], values[:, 1], problem)
        sure = _p(max(p[1:]), "or less") if len(names) > 2 else _p(p[1])
        each = " against each of the others" if len(names) > 2 else ""
        return f"{names[0]} is best on {group}: {margin}; Wilcoxon-Holm {sure}{each} over {runs}"
    lead = _lead(names, values, problem, group)
    if ranking.smallest_p > ranking.alpha:
        between = f" between {len(names)} methods" if len(names) > 2 else ""
        least = number(ranking.smallest_p, 2)
        few = f"{runs} cannot show a difference{between}"
        return f"{lead}, but {few}: the smallest p possible is {least}"
    alike = [j for j in others if p[j] > ranking.alpha]
    if not alike:
        rivals = _list([names[j] for j in others if not ahead[j]])
        favours = f"Wilcoxon's test favours {rivals}"
        return f"No method is clearly best: {lead}, but start by start {favours}"
    sure = _p(min(p[j] for j in alike), "or more" if len(alike) > 1 else "")
    return (
        f"No method is clearly best: {lead}, but {names[0]} is not distinguishable from "
        f"{_list([names[j] for j in alike])} (Wilcoxon-Holm {sure} over {runs})"
    )


def _lead(names: Sequence[str], values: Array, problem: ProblemInfo, group: str) -> str:
    """Which median is the lowest, and which the next."""
    middle = median(values)
    low, high = middle[:2]
    if _value(low, problem) == _value(high, problem):
        alike = [j for j in range(len(names)) if _value(middle[j], problem) == _value(low, problem)]
        digits = "" if low == middle[alike[-1]] else " to three digits"
        same = f"{_list([names[j] for j in alike])} have the same {_median(problem)} on {group}"
        return f"{same}{digits}, {_value(low, problem)}"
    lowest = f"{names[0]} has the lowest {_median(problem)} on {group}"
    if np.isinf(high):
        return f"{lowest}, {_value(low, problem)}, and {names[1]} has no value in most of its runs"
    return f"{lowest}, {_value(low, problem)} against {_value(high, problem)} of {names[1]}"


def _margin(rival: str, best: Array, second: Array, problem: ProblemInfo) -> str:
    """By how much the best median is lower than the next."""
    its, low, high = f"its {_median(problem)}", float(median(best)), float(median(second))
    if np.isinf(high):
        return f"{its} is {_value(low, problem)}, and {rival} has no value in most of its runs"
    if absolute(problem) and low <= SOLVED:
        return f"{its} is {_value(low, problem)}, that of {rival} {_value(high, problem)}"
    if min(best.min(), second.min()) > 0 and high >= TIMES * low:
        found, word = ratio_interval(second, best), "times smaller than"
    else:
        found, word = difference_interval(second, best), "lower than"
    between = _between(found) if len(best) >= ENOUGH else ""
    shown = number(found.middle, 2 if found.middle < 100 else 3)
    return f"{its} {_value(low, problem)} is {shown} {word} that of {rival}{between}"


def _ranks(ranking: Ranking, matrix: Matrix) -> str:
    """Who wins over several groups of problems, by average ranks."""
    k, blocks = len(ranking.methods), len(ranking.blocks)
    best, rank, gap = ranking.methods[0], ranking.average[0], ranking.critical_difference
    alike = [m for m, same in zip(ranking.methods, ranking.alike()[0], strict=True) if same][1:]
    on = f"{_rank(rank)} of {k} on {blocks} problems{_each(matrix)}"
    if gap >= k - 1:
        return (
            f"{best} has the best average rank, {on}, but {blocks} problems cannot show a "
            f"difference: ranks would have to differ by more than {number(gap, 2)}"
        )
    if alike:
        return (
            f"{best} has the best average rank, {on}; it is not distinguishable from "
            f"{_list(alike)} (critical difference {number(gap, 2)})"
        )
    return (
        f"{best} is best: its average rank is {on}; the next, {ranking.methods[1]}, has "
        f"{_rank(ranking.average[1])}, further away than the critical difference {number(gap, 2)}"
    )


def _where(matrix: Matrix, axis: Axis) -> str:
    """Where values were read."""
    levels = {level for level in matrix.at.values() if np.isfinite(level)}
    if len(levels) != 1:
        return f", all read after equal {AXES[axis]}"
    level = levels.pop()
    shown = number(level, 3) if axis == "seconds" else f"{level:,.0f}"
    return f", all read after {shown} {AXES[axis]}"


def _failures(records: Sequence[Record], methods: Sequence[str]) -> list[str]:
    clauses = []
    for method in methods:
        failed = [record.failed for record in records if record.cell.method == method]
        if any(failed):
            clauses.append(f"{method} in {sum(failed)} of {_count(len(failed), 'run')}")
    return [f"Nothing was found by {_list(clauses)}."] if clauses else []


def _problem(results: Results, matrix: Matrix) -> ProblemInfo:
    return results.problems[matrix.pairs[0][0]]


def _median(problem: ProblemInfo) -> str:
    return "median precision" if absolute(problem) else "median"


def _value(value: float, problem: ProblemInfo) -> str:
    if np.isinf(value):
        return "no value"
    solved = absolute(problem) and value <= SOLVED
    return f"{number(value, 3)}{' or less' if solved else ''}"


def _between(interval: Interval) -> str:
    low, _, high = interval
    if np.isinf(high):
        return f" (95 % interval from {number(low, 2)} on)" if np.isfinite(low) else ""
    return f" (95 % interval {number(low, 2)} to {number(high, 2)})"


def _runs(matrix: Matrix) -> str:
    several = len({problem for problem, _ in matrix.pairs}) > 1
    return _count(len(matrix.pairs), "run" if several else "seed")


def _each(matrix: Matrix) -> str:
    sizes = [matrix.groups.count(group) for group in dict.fromkeys(matrix.groups)]
    low, high = min(sizes), max(sizes)
    return f", {low if low == high else f'{low} to {high}'} run{'s' * (high > 1)} each"


def _count(number_of: int, thing: str) -> str:
    return f"{number_of:,} {thing}{'s' * (number_of != 1)}"


def _rank(rank: float) -> str:
    return f"{rank:.2g}" if rank < 10 else f"{rank:.1f}"


def _p(p: float, bound: str = "") -> str:
    return f"p = {number(p, 2)} {bound}".rstrip() if p >= 0.001 else "p < 0.001"


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
