"""How many targets are hit by when: the empirical distribution of runtimes, as COCO draws it.

Hansen, Auger, Ros, Mersmann, Tušar and Brockhoff, "COCO: a platform for comparing continuous
optimizers in a black-box setting", Optimization Methods and Software 36 (2021).
"""

import zlib
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, Record, Results
from experiments.statistics.matrix import contestants
from experiments.statistics.runtime import cost, hits, simulate
from experiments.statistics.steps import Steps
from experiments.statistics.targets import targets

Array = NDArray[np.float64]

SAMPLES = 100
"""Simulated runtimes for each target of a problem, at least."""


class Ecdf(NamedTuple):
    """A method's runtimes over (problem, target) pairs.

    Attributes
    ----------
    steps
        The share of pairs that are hit, by what had been spent: divided by the number of variables,
        but for seconds.
    area
        The mean height of the curve between `first` and `end`, on a log axis: 1 hits all at once.
    first, end
        The range that the area is of: 1, and the largest budget divided by the variables. In
        seconds, the first hit and the longest run of any method.
    pairs, groups
        How many pairs there are, of how many groups of problems.
    """

    steps: Steps
    area: float
    first: float
    end: float
    pairs: int
    groups: int


def ecdfs(
    results: Results,
    axis: Axis = "evaluations",
    *,
    problems: Collection[str] | None = None,
    methods: Iterable[str] | None = None,
    restarts: bool = True,
    samples: int = SAMPLES,
    seed: int = 0,
) -> dict[str, Ecdf]:
    """Return the distribution of each method's runtimes over (problem, target) pairs.

    A problem here is a group of them: its instances and seeds are runs that restarts are drawn
    from. Only groups that all the methods were run on count, so that all have the same pairs.

    Parameters
    ----------
    results, axis
        What was run, and what is spent.
    problems
        Names of the problems to look at; all by default.
    methods
        Which methods; all but the start by default.
    restarts
        Whether runs that miss a target begin again, as `runtime.simulate` has it; else they never
        hit it.
    samples, seed
        Of the simulated restarts: how many at least, and where they are drawn from. The same seed
        gives the same curves, whichever problems are looked at.

    Raises
    ------
    ValueError
        If there is no group that all the methods were run on.
    """
    names = contestants(results) if methods is None else list(methods)
    levels = targets(results)
    grouped = {
        key: kept
        for key, records in results.by_group().items()
        if (kept := [r for r in records if problems is None or r.cell.problem in problems])
    }
    groups = [g for g in results.groups if names and all((g, name) in grouped for name in names)]
    if not groups:
        raise ValueError("no problem was run with all the methods; choose others by methods=")
    times: dict[str, list[Array]] = {}
    for name in names:
        for group in groups:
            reached, ends = _runtimes(results, grouped[group, name], levels, axis)
            if restarts:
                stream = [seed, zlib.crc32(f"{group}\n{name}".encode())]
                reached = simulate(reached, ends, samples, np.random.default_rng(stream))
            times.setdefault(name, []).append(reached)
    records = [record for name in names for group in groups for record in grouped[group, name]]
    first, end = _range(results, records, axis, times)
    return {name: _ecdf(parts, first, end) for name, parts in times.items()}


def area(values: Array, weights: Array, first: float, end: float) -> float:
    """Return the mean height of a distribution's curve between two points of a log axis.

    Parameters
    ----------
    values, weights
        When each thing is done, and what it counts, both (m,); the weights add up to 1.
    first, end
        Where the axis begins and ends. Without any length, it is the height at the end.
    """
    if end <= first:
        return float(weights[values <= end].sum())
    left = np.log(end) - np.log(np.clip(values, first, end))
    return float(np.sum(weights * left) / (np.log(end) - np.log(first)))


def _runtimes(
    results: Results, records: list[Record], levels: dict[str, Array], axis: Axis
) -> tuple[Array, Array]:
    """Hits (runs, k) and ends (runs,), divided by the number of variables."""
    reached, ends = [], []
    for record in records:
        problem = results.problems[record.cell.problem]
        scale = _scale(problem.n, axis)
        reached.append(hits(record, levels[problem.name], axis, problem) / scale)
        ends.append(cost(record, axis) / scale)
    return np.array(reached), np.array(ends)


def _scale(n: int, axis: Axis) -> int:
    return 1 if axis == "seconds" else n


def _range(
    results: Results, records: list[Record], axis: Axis, times: dict[str, list[Array]]
) -> tuple[float, float]:
    if axis != "seconds":
        sizes = [(r.cell.budget, results.problems[r.cell.problem].n) for r in records]
        end = max(budget / n for budget, n in sizes)
        # Where no budget is as large as its problem, there is nothing to see from there.
        return 1.0 if end > 1 else 1 / max(n for _, n in sizes), end
    finite = [part[np.isfinite(part) & (part > 0)] for parts in times.values() for part in parts]
    end = max(record.seconds for record in records)
    return min((float(part.min()) for part in finite if len(part)), default=end), end


def _ecdf(parts: list[Array], first: float, end: float) -> Ecdf:
    values = np.concatenate([part.ravel() for part in parts])
    # Groups differ in their number of runs, and count the same all the same.
    weights = np.concatenate([np.full(part.size, 1 / part.size / len(parts)) for part in parts])
    pairs = sum(part.shape[1] for part in parts)
    found = area(values, weights, first, end)
    return Ecdf(Steps.of(values, weights), found, first, end, pairs, len(parts))
