"""Profiles: on which share of problems a method comes within a tolerance of the best, and how fast.

- Dolan and Moré, "Benchmarking optimization software with performance profiles", Mathematical
  Programming 91 (2002).
- Moré and Wild, "Benchmarking derivative-free optimization algorithms", SIAM Journal on
  Optimization 20 (2009): the convergence test (equation 2.2) and data profiles (2.8).

A problem is here a problem from the start of one seed.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, Record, Results
from experiments.statistics.matrix import contestants
from experiments.statistics.runtime import hits
from experiments.statistics.steps import Steps
from experiments.statistics.targets import spans

Array = NDArray[np.float64]

TAU = 1e-3


class Times(NamedTuple):
    """What each method spent until it passed the convergence test.

    Attributes
    ----------
    methods, pairs
        Of the columns; of the rows: problem and seed.
    spent
        (rows, columns), inf for never.
    variables
        Of each row's problem, (rows,).
    """

    methods: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]
    spent: Array
    variables: Array


def times(
    results: Results,
    tau: float = TAU,
    axis: Axis = "evaluations",
    methods: Iterable[str] | None = None,
) -> Times:
    """Return what each method spent until only a share tau of the gain was still to be had.

    The gain is from the start to the optimum, or to the best that any run found where no optimum is
    known (see `targets.Span`). Starts from which not all the methods were run are left out.

    Raises
    ------
    ValueError
        If tau is not between 0 and 1.
    """
    if not 0 <= tau <= 1:
        raise ValueError(f"tau is a share of the gain, between 0 and 1; got {tau}")
    names = tuple(contestants(results) if methods is None else methods)
    goals = {name: span.target(tau) for name, span in spans(results).items()}
    runs: dict[tuple[str, int], dict[str, Record]] = {}
    for record in results.records:
        if record.cell.method in names:
            pair = (record.cell.problem, record.cell.seed)
            runs.setdefault(pair, {})[record.cell.method] = record
    pairs = tuple(pair for pair, found in runs.items() if len(found) == len(names))
    spent = np.empty((len(pairs), len(names)))
    for row, (problem, seed) in zip(spent, pairs, strict=True):
        for j, name in enumerate(names):
            record = runs[problem, seed][name]
            row[j] = hits(record, np.array([goals[problem]]), axis, results.problems[problem])[0]
    variables = np.array([results.problems[problem].n for problem, _ in pairs], dtype=float)
    return Times(names, pairs, spent, variables)


def performance_profiles(times: Times) -> dict[str, Steps]:
    """Return, by method, on which share of problems it needs at most so many times the least.

    The axis is the ratio to the fastest method on the same problem, from 1.
    """
    best = times.spent.min(axis=1, keepdims=True, initial=np.inf)
    ratios = np.where(np.isfinite(times.spent), 1.0, np.inf)
    slower = np.isfinite(times.spent) & (times.spent > best)
    # A clock may say that the fastest took no time: others are then infinitely slower.
    with np.errstate(divide="ignore"):
        np.divide(times.spent, best, out=ratios, where=slower)
    return {name: Steps.of(ratios[:, j]) for j, name in enumerate(times.methods)}


def data_profiles(times: Times, axis: Axis = "evaluations") -> dict[str, Steps]:
    """Return, by method, which share of problems it solves within so many simplex gradients.

    One is n + 1 evaluations, or passes, on n variables. Seconds are not divided.
    """
    scale = np.ones_like(times.variables) if axis == "seconds" else times.variables + 1
    return {name: Steps.of(times.spent[:, j] / scale) for j, name in enumerate(times.methods)}
