"""How well a method searches, in one number: the area under its runtimes, from few evaluations on.

A run hits a target after so many evaluations a variable. A hit at the first evaluation counts 1, a
hit at the limit 0, in between it is the share of the log axis from 1 to the limit that is left. The
mean over runs, targets and problems is the area under COCO's distribution of runtimes, divided by
the axis: no restart is simulated, a run that misses a target misses it.

Hansen, Auger, Ros, Mersmann, Tušar and Brockhoff, "COCO: a platform for comparing continuous
optimizers in a black-box setting", Optimization Methods and Software 36 (2021).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.record import Record, Results
from experiments.statistics.ecdf import area
from experiments.statistics.matrix import contestants
from experiments.statistics.runtime import hits
from experiments.statistics.targets import PRECISIONS

Array = NDArray[np.float64]

LIMITS = (10, 100, 1000)
"""Evaluations a variable at which the axes end."""


class Quality(NamedTuple):
    """How well a method searched.

    Attributes
    ----------
    areas
        From 0 to 1, one for each of `LIMITS`; NaN where a run had no budget to get there.
    solved
        The share of runs that came within 1e-8 of the optimum, before the last of `LIMITS`.
    groups, runs
        Groups of problems (instances are one group) and runs that this is the mean of. Each group
        counts the same.
    """

    areas: tuple[float, ...]
    solved: float
    groups: int
    runs: int


def qualities(results: Results, problems: Collection[str] | None = None) -> dict[str, Quality]:
    """Return how well each method searched, over the problems that it was run on.

    The targets are COCO's, 51 distances from the optimum between 1e2 and 1e-8, so that only
    problems with a known optimum count.

    Parameters
    ----------
    results
        What was run.
    problems
        Names of the problems to look at; all by default.

    Returns
    -------
    dict of str to Quality
        By method, in the order of the plan; without those that no problem is left of.
    """
    chosen = {
        name
        for name, problem in results.problems.items()
        if problem.optimum is not None and (problems is None or name in problems)
    }
    found: dict[str, Quality] = {}
    grouped = results.by_group()
    for method in contestants(results):
        parts = [
            kept
            for group in results.groups
            if (kept := [r for r in grouped.get((group, method), []) if r.cell.problem in chosen])
        ]
        if parts:
            found[method] = _quality(results, parts)
    return found


def _quality(results: Results, parts: list[list[Record]]) -> Quality:
    """Of records by group."""
    reached = [np.array([_runtimes(results, record) for record in part]) for part in parts]
    values = np.concatenate([part.ravel() for part in reached])
    weights = np.concatenate([np.full(p.size, 1 / p.size / len(reached)) for p in reached])
    longest = min(r.cell.budget / results.problems[r.cell.problem].n for p in parts for r in p)
    areas = [
        area(values, weights, 1, limit) if limit <= longest else float("nan") for limit in LIMITS
    ]
    solved = float(np.mean([(part[:, -1] <= LIMITS[-1]).mean() for part in reached]))
    return Quality(tuple(areas), solved, len(parts), sum(map(len, parts)))


def _runtimes(results: Results, record: Record) -> Array:
    """Evaluations a variable until each target was hit, (51,)."""
    problem = replace(results.problems[record.cell.problem], precision=True)
    runtimes: Array = hits(record, PRECISIONS, problem=problem) / problem.n
    return runtimes
