"""The terms of a run, from what `minimize` was given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blackbox.algorithms import find
from blackbox.algorithms.custom import Custom
from blackbox.budget import Budget
from blackbox.choice import Chosen
from blackbox.diagnosis.terms import Terms
from blackbox.types import Problem


def make_terms(
    chosen: Chosen, problem: Problem, limits: Budget, options: Mapping[str, Any] | None
) -> Terms:
    """Return what a diagnosis must know of a run before it begins.

    Parameters
    ----------
    chosen, problem, limits, options
        What runs, on what, how far, and the method's options as the user gave them.
    """
    last = chosen.name.split("+")[-1]
    custom = isinstance(chosen.algorithm, Custom)
    own: Mapping[str, Any] = {} if custom or options is None else options
    if isinstance(own.get(last), Mapping):  # a chain's
        own = own[last]
    bounded = np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any()
    whole = np.zeros(problem.n, bool) if problem.integrality is None else problem.integrality
    return Terms(
        method=chosen.name,
        kind=None if custom else find(last).kind,
        n=problem.n,
        lower=np.where(whole, -np.inf, problem.lower) if bounded else None,
        upper=np.where(whole, np.inf, problem.upper) if bounded else None,
        budget=limits.evaluations,
        target=limits.target,
        changing=problem.changing,
        noisy=problem.noisy,
        blocks=problem.blocks,
        clip_norm=own.get("clip_norm"),
        restarts=bool(own.get("restarts")),
    )
