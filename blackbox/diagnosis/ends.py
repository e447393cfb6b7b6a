"""How the run ended: failures, bounds, constraints, a population that has contracted."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from blackbox.diagnosis import thresholds as at
from blackbox.diagnosis.finding import Fact, Finding
from blackbox.diagnosis.record import Record

Mask = NDArray[np.bool_]

BY_MODEL = ("lq-cma",)
"""Populations that go by a model of the values, not by ranks alone: they may contract faster."""


def failures(run: Record) -> Finding | None:
    """Find many evaluations that failed."""
    failed, spent = run.history.failure_count, run.spent
    if not spent or failed < at.FAILED * spent:
        return None
    evidence: dict[str, Fact] = {"failed": failed, "evaluations": spent, "share": failed / spent}
    words = "Many evaluations failed (NaN, infinite or an exception)."
    remedy = (
        "Find where fun has no value, and keep the search out of there: bounds=, constraints=, or "
        "variables of another kind (the logarithm of a positive one)."
    )
    if not math.isfinite(run.history.best_value):
        words = "No evaluation gave a finite value."
        remedy = "Evaluate fun at the start by hand; check the start, the bounds and the units."
    return Finding("failures", words, evidence, remedy)


def infeasible(run: Record) -> Finding | None:
    """Find a result that breaks a constraint."""
    history = run.history
    broken = run.result.get("maxcv")
    if broken is None or not broken > history.tolerance:
        return None
    evidence: dict[str, Fact] = {"broken by": float(broken), "tolerance": float(history.tolerance)}
    words = "The best point found breaks a constraint."
    remedy = (
        "Begin at a feasible point, check that the constraints allow one at all, or give it more "
        "(budget=)."
    )
    return Finding("infeasible", words, evidence, remedy)


def at_bound(run: Record) -> Finding | None:
    """Find coordinates that ended on a bound."""
    lower, upper = run.terms.lower, run.terms.upper
    x = np.asarray(run.result.x, dtype=float)
    if lower is None or upper is None or not np.isfinite(x).all() or not run.spent:
        return None
    width = np.where(np.isfinite(upper - lower), upper - lower, np.maximum(1.0, np.abs(x)))
    free = upper > lower
    low: Mask = free & (x - lower <= at.AT_BOUND * width)
    high: Mask = free & (upper - x <= at.AT_BOUND * width)
    if not (low | high).any():
        return None
    where = np.flatnonzero(low | high)
    evidence: dict[str, Fact] = {
        "coordinates": where.tolist(),
        "that is": f"{len(where)} of {run.terms.n}",
    }
    pulled = _pulled(run, low, high)
    if len(pulled):
        words = "The run is stuck at a bound: the loss would fall away from it."
        evidence["of these the slope leads inside in"] = pulled.tolist()
        remedy = "Start inside the box, use another method, or go on from here with more budget."
        return Finding("at_bound", words, evidence, remedy)
    words = (
        "The best point lies on a bound. Where the bound is a law, so may the optimum; where it "
        "is a guess, better points may lie beyond it."
    )
    remedy = "If these bounds are guesses, widen them, and see whether the loss falls."
    return Finding("at_bound", words, evidence, remedy, fault=False)


def _pulled(run: Record, low: Mask, high: Mask) -> NDArray[np.intp]:
    """Return which coordinates at a bound would rather be inside, where slopes are known."""
    slope, trace = run.result.get("jac"), run.history.trace
    if slope is None and run.stage == "descent" and trace.ends_gradient is not None:
        slope = trace.ends_gradient[run.row(len(trace.ends_gradient))]
    norms = run.curves.gradient_norm[np.isfinite(run.curves.gradient_norm)]
    if slope is None or np.shape(slope) != low.shape or not np.isfinite(slope).all():
        return np.array([], dtype=np.intp)
    scale = float(norms[0]) if len(norms) else float(np.abs(slope).max())
    inward = (low & (slope < 0)) | (high & (slope > 0))
    return np.flatnonzero(inward & (np.abs(slope) > at.INWARD * scale))


class Contraction(NamedTuple):
    """How a population drew together: its largest spread and a later one, evaluations between."""

    largest: float
    later: float
    evaluations: float

    def speed(self, n: int) -> float:
        """Return n times the logarithm of the contraction for each evaluation."""
        return n * math.log(self.largest / self.later) / self.evaluations


def contraction(run: Record) -> Contraction | None:
    """Return how a population contracted, where it did and never spread out again."""
    spread, spent = run.curves.spread, run.curves.evaluations
    good = np.isfinite(spread)
    spread, spent = spread[good], spent[good]
    if len(spread) < at.GENERATIONS:
        return None
    largest = np.maximum.accumulate(spread)
    small = np.flatnonzero(spread < at.SHRUNK * largest)
    if not len(small) or spread[small[0] :].max() > 0.1 * largest[small[0]]:
        return None  # or it was restarted
    end = int(small[0])
    begin = int(spread[: end + 1].argmax())
    # One batch of which all points are the same has no spread that could be measured.
    later = max(float(spread[end]), at.ROUNDING * float(spread[begin]))
    return Contraction(float(spread[begin]), later, float(spent[end] - spent[begin]))


def premature(run: Record) -> Finding | None:
    """Find a population that drew together before it can have known where."""
    terms = run.terms
    if terms.kind != "global" or terms.method in BY_MODEL or "+" in terms.method:
        return None
    found = contraction(run)
    if found is None:
        return None
    speed = found.speed(terms.n)
    evidence: dict[str, Fact] = {
        "largest spread": found.largest,
        "later spread": found.later,
        "evaluations between": int(found.evaluations),
        "contraction for each evaluation, times n": speed,
    }
    missed = terms.target is not None and run.history.best_value > terms.target
    if speed > at.EARNED:
        words = (
            "The population drew together faster than it can have found an optimum: it has "
            "converged prematurely."
        )
    elif missed and (run.success or terms.budget is None):
        words = "The population converged before it reached the target: to a local optimum."
        evidence |= {"best value": run.history.best_value, "target": float(terms.target or 0.0)}
    else:
        return None
    remedy = (
        "Use a larger population (popsize, swarmsize) or wider first steps (sigma0), gentler "
        "settings, or restarts: method='bipop-cma'."
    )
    return Finding("premature", words, evidence, remedy)


def too_short(run: Record) -> Finding | None:
    """Find a run of which too little is known."""
    if run.spent == 0:
        words = "Nothing was evaluated, so there is nothing to tell."
        return Finding("too_short", words, {"evaluations": 0}, fault=False)
    steps = len(run.told)
    least = at.GENERATIONS if run.stage == "population" else at.STEPS
    if run.spent >= 2 * at.STEPS and run.stage in ("single", "gradient"):
        least = at.FEW  # the others went into finite differences
    if run.success or not run.whole or steps >= least:
        return None
    unit = {"population": "generations", "descent": "steps"}.get(run.stage, "values")
    evidence: dict[str, Fact] = {unit: steps, "needed": least}
    words = "Too short to tell how the run went."
    return Finding("too_short", words, evidence, "Give it more: raise budget=.", fault=False)
