"""Runtimes: what it takes to reach a target, over runs some of which never do.

- Hansen, Auger, Ros, Mersmann, Tušar and Brockhoff, "COCO: a platform for comparing continuous
  optimizers in a black-box setting", Optimization Methods and Software 36 (2021).
- Auger and Hansen, "Performance evaluation of an advanced local search evolutionary algorithm",
  IEEE Congress on Evolutionary Computation (2005).
- Price, "Differential evolution vs. the functions of the 2nd ICEO", IEEE International Conference
  on Evolutionary Computation (1997).
"""

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, ProblemInfo, Record

Array = NDArray[np.float64]


def hits(
    record: Record, targets: Array, axis: Axis = "evaluations", problem: ProblemInfo | None = None
) -> Array:
    """Return what a run had spent when it first was at a target or below, inf where it never was.

    Parameters
    ----------
    record, axis
        The run, and what is spent.
    targets
        Values to reach, (k,), as the problem shows them; plain values where none is given.
    problem
        What the record's problem is.

    Returns
    -------
    Array
        (k,).
    """
    values = record.curve.values
    if problem is not None:
        values = problem.shown(values)
    first = np.searchsorted(-values, -np.asarray(targets, dtype=float), side="left")
    return np.append(record.curve.spent(axis), np.inf)[first]


def cost(record: Record, axis: Axis = "evaluations") -> float:
    """Return what a run spent in vain where it missed a target.

    That is all it spent. One that broke off with an error is charged its whole budget, so that
    failing early never pays; in seconds, what it took.
    """
    end = record.end(axis)
    return max(end, float(record.cell.budget)) if record.error and axis != "seconds" else end


def ert(hits: Array, ends: Array) -> Array:
    """Return the expected runtime: all that was spent by all runs, a success.

    Parameters
    ----------
    hits
        What each run had spent when it hit each target, (runs, k) or (runs,); inf for never.
    ends
        What each run spent where it missed, (runs,).

    Returns
    -------
    Array
        (k,) or (): inf where no run hit the target, or where there are no runs.
    """
    reached = np.isfinite(hits)
    spent = np.where(reached, hits, np.reshape(ends, (-1,) + (1,) * (np.ndim(hits) - 1)))
    count = reached.sum(axis=0)
    return np.where(count > 0, spent.sum(axis=0) / np.maximum(count, 1), np.inf)


def success_rate(hits: Array) -> Array:
    """Return the share of runs that hit each target, of hits (runs, k) or (runs,)."""
    return np.asarray(np.isfinite(hits).mean(axis=0)) if len(hits) else np.zeros(hits.shape[1:])


def simulate(hits: Array, ends: Array, samples: int, random: np.random.Generator) -> Array:
    """Return runtimes of a method that begins again until it hits: COCO's simulated restarts.

    Each sample is a sequence of runs, drawn with replacement. A target's runtime is what the runs
    that missed it spent, and then that of the first which hit it. The first runs are drawn without
    replacement, over and over: where all runs hit, the sample repeats them as they are.

    Parameters
    ----------
    hits, ends
        As for `ert`: (runs, k), and (runs,).
    samples
        How many at least; there are as many as the next multiple of the number of runs.
    random
        Where the draws come from.

    Returns
    -------
    Array
        (samples, k): inf for targets that no run hit.

    Raises
    ------
    ValueError
        If there are no runs.
    """
    runs = len(hits)
    if not runs:
        raise ValueError("hits must hold at least one run; got none")
    rounds = -(-samples // runs)
    drawn = random.permuted(np.tile(np.arange(runs), (rounds, 1)), axis=1).ravel()
    found = np.full((len(drawn), hits.shape[1]), np.inf)
    possible = np.isfinite(hits).any(axis=0)
    spent, open_ = np.zeros(len(drawn)), np.arange(len(drawn))
    while len(open_):
        now = spent[open_, None] + hits[drawn]
        found[open_] = np.where(np.isinf(found[open_]), now, found[open_])
        spent[open_] += ends[drawn]
        open_ = open_[np.isinf(found[open_][:, possible]).any(axis=1)]
        drawn = random.integers(runs, size=len(open_))
    return found
