"""All checks, in their order."""

import math
from collections.abc import Callable
from typing import Any

from blackbox.diagnosis.ends import at_bound, failures, infeasible, premature, too_short
from blackbox.diagnosis.finding import Diagnosis, Finding, show
from blackbox.diagnosis.record import Record, read
from blackbox.diagnosis.steps import clipped, oscillating, overfitting, skipped, slow
from blackbox.diagnosis.trends import diverging, flat, noise, unfinished

Check = Callable[[Record], Finding | None]

CHECKS: dict[str, Check] = {
    "failures": failures,
    "diverging": diverging,
    "skipped": skipped,
    "flat": flat,
    "infeasible": infeasible,
    "premature": premature,
    "oscillating": oscillating,
    "noise": noise,
    "slow": slow,
    "clipped": clipped,
    "overfitting": overfitting,
    "unfinished": unfinished,
    "at_bound": at_bound,
    "too_short": too_short,
}
"""By the name of what they find, the gravest first."""

NAMES = tuple(CHECKS)
"""What a finding may be called."""

HIDES = {
    "diverging": (
        *("failures", "skipped", "flat", "oscillating"),
        *("noise", "slow", "clipped", "unfinished"),
    ),
    "failures": ("skipped", "too_short"),
    "skipped": ("flat", "slow", "unfinished"),
    "flat": ("premature", "oscillating", "noise", "slow", "unfinished", "too_short"),
    "oscillating": ("noise", "slow", "unfinished"),
    "noise": ("premature", "slow", "unfinished"),
    "clipped": ("slow",),
    "slow": ("unfinished",),
    "overfitting": ("unfinished",),
}
"""What a finding explains, and what is therefore not told beside it."""


def diagnose(result: Any) -> Diagnosis:
    """Return what was wrong with a run, as far as what was recorded of it tells.

    Parameters
    ----------
    result
        A `blackbox.Result`, also one that was attached to an exception or unpickled.
    """
    run = read(result)
    found = {name: finding for name, check in CHECKS.items() if (finding := check(run))}
    hidden = {name for finding in found for name in HIDES.get(finding, ())}
    shown = [finding for name, finding in found.items() if name not in hidden]
    return Diagnosis(shown, _summary(run))


def _summary(run: Record) -> str:
    message = str(run.result.get("message", "")).strip().rstrip(".")
    value = run.result.fun
    best = f"best value {show(float(value))}" if math.isfinite(value) else "no finite value"
    count = f"{run.spent:,} evaluation{'s' * (run.spent != 1)}"
    return f"{run.terms.method}: {best} after {count}; {message}."
