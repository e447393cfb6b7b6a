"""What runs saw on their way, step by step: medians with bands over those under way."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, Results, Training
from experiments.statistics.curves import QUARTILES, Band

Array = NDArray[np.float64]

KINDS = {
    "loss": "losses",
    "validation loss": "validation",
    "learning rate": "rates",
    "gradient norm": "norms",
    "step size": "moves",
    "spread": "spreads",
}
"""What there may be to see, by the fields of `Training`."""
POINTS = 200
"""Places along a band at most."""

Courses = dict[str, Band]
"""By kind, what a method's runs saw; only kinds of which there is something."""


def courses(trainings: Sequence[Training], axis: Axis = "evaluations") -> Courses:
    """Return medians and quartiles of what each run saw last, from its first step to its last.

    Parameters
    ----------
    trainings
        One a run of the same method.
    axis
        What was spent; seconds stand for evaluations, which all have in common.
    """
    found = {}
    for kind, name in KINDS.items():
        runs = [_finite(*training.series(name, axis)) for training in trainings]
        runs = [run for run in runs if len(run[0])]
        if runs:
            found[kind] = _band(runs)
    return found


def all_courses(results: Results, axis: Axis) -> dict[str, dict[str, Courses]]:
    """Return the courses by group of problems and method, where there are steps along gradients.

    Beside these, populations show the best and the spread of each generation.
    """
    found: dict[str, dict[str, Courses]] = {}
    stepped = set()
    for (group, method), records in results.by_group().items():
        seen = [record.training for record in records if record.training is not None]
        if seen and (shown := courses(seen, axis)):
            found.setdefault(group, {})[method] = shown
        if any(training.stepped for training in seen):
            stepped.add(group)
    return {group: methods for group, methods in found.items() if group in stepped}


def apart(lines: Iterable[Array]) -> bool:
    """Return whether learning rates are so far apart that a linear axis would not show them.

    One that falls to zero, as along a cosine, is better shown on a linear axis than another.
    """
    tops = [float(line[np.isfinite(line)].max()) for line in lines if np.isfinite(line).any()]
    return bool(tops) and 0 < 5 * min(tops) < max(tops)


def _finite(spent: Array, values: Array) -> tuple[Array, Array]:
    """Where a run has its first and its last number, and what lies between."""
    seen = np.flatnonzero(np.isfinite(values))
    if not len(seen):
        return np.empty(0), np.empty(0)
    part = slice(seen[0], seen[-1] + 1)
    return spent[part], values[part]


def _band(runs: Sequence[tuple[Array, Array]]) -> Band:
    steps = np.unique(np.concatenate([spent for spent, _ in runs]))
    # Evenly over the steps, not over powers of ten: most of what happens is late in a long run.
    grid = steps[np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))]
    rows = np.full((len(runs), len(grid)), np.nan)
    for row, (spent, values) in zip(rows, runs, strict=True):
        at = np.searchsorted(spent, grid, side="right") - 1
        under_way = (at >= 0) & (grid <= spent[-1])
        row[under_way] = values[at[under_way]]
    low, middle, high = _quantiles(rows)
    return Band(low, middle, high, grid)


def _quantiles(rows: Array) -> list[Array]:
    """Quartiles and median of each column's finite numbers; NaN where there are none."""
    ordered = np.sort(np.where(np.isfinite(rows), rows, np.nan), axis=0)  # NaN comes last
    last = np.maximum(np.isfinite(ordered).sum(axis=0) - 1, 0)
    columns = np.arange(rows.shape[1])
    found = []
    for share in QUARTILES:
        low = np.floor(share * last).astype(int)
        weight = share * last - low
        left, right = ordered[low, columns], ordered[np.minimum(low + 1, last), columns]
        found.append(left * (1 - weight) + right * weight)
    return found
