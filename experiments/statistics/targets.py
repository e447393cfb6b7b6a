"""Which values count as solved: the targets of runtimes, distributions and profiles.

A problem that shows its distance from a known optimum has COCO's absolute targets, all others have
targets relative to what there was to gain. Either way there are as many, so that every problem
weighs the same.

- Hansen, Auger, Ros, Mersmann, Tušar and Brockhoff, "COCO: a platform for comparing continuous
  optimizers in a black-box setting", Optimization Methods and Software 36 (2021).
- Moré and Wild, "Benchmarking derivative-free optimization algorithms", SIAM Journal on
  Optimization 20 (2009), equation 2.2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.plan import START
from experiments.record import ProblemInfo, Record, Results

Array = NDArray[np.float64]

PRECISIONS: Array = 10.0 ** np.linspace(2, -8, 51)
"""COCO's: distances from the optimum, five a decade."""
TAUS: Array = 10.0 ** np.linspace(-1, -5, 51)
"""Moré and Wild's tolerances: shares of the gain from the start to the best, still to be had."""
SOLVED = 1e-8
"""A precision of which COCO asks no more: what is nearer to the optimum is as good."""


class Span(NamedTuple):
    """What there was to gain on a problem.

    Attributes
    ----------
    best
        The optimum where it is known, else the best value that any run found; inf where none did.
    start
        The median value of the starts; at least the best.
    """

    best: float
    start: float

    def target(self, tau: float | Array) -> Array:
        """Return the value at which all but a share tau of the gain is had; -inf without runs."""
        if not np.isfinite(self.best):
            return np.full(np.shape(tau), -np.inf)
        return np.asarray(self.best + np.asarray(tau) * (self.start - self.best))


def absolute(problem: ProblemInfo) -> bool:
    """Return whether a problem has COCO's targets: whether it shows precisions."""
    return problem.precision and problem.optimum is not None


def spans(results: Results) -> dict[str, Span]:
    """Return what there was to gain on each problem that was run, as the problem shows its values.

    The start's value is that of the pseudo-method "start" where it was run, else the first value of
    every run: some methods never evaluate the start itself.
    """
    by_problem: dict[str, list[Record]] = {}
    for record in results.records:
        by_problem.setdefault(record.cell.problem, []).append(record)
    return {name: _span(results.problems[name], runs) for name, runs in by_problem.items()}


def targets(results: Results) -> dict[str, Array]:
    """Return the targets of each problem that was run, (51,), falling, on the scale that it shows.

    They are `PRECISIONS` where the problem shows precisions, else `TAUS` of what there was to gain.
    """
    return {
        name: PRECISIONS if absolute(results.problems[name]) else span.target(TAUS)
        for name, span in spans(results).items()
    }


def _span(problem: ProblemInfo, records: list[Record]) -> Span:
    found = [record for record in records if not record.failed]
    if problem.optimum is not None:
        best = float(problem.shown(np.array(problem.optimum)))
    elif found:
        best = min(record.value for record in found)
    else:
        return Span(np.inf, np.inf)
    starts = [record for record in found if record.cell.method == START] or found
    if not starts:
        return Span(best, best)
    firsts = problem.shown(np.array([record.curve.values[0] for record in starts]))
    return Span(best, max(float(np.median(firsts)), best))
