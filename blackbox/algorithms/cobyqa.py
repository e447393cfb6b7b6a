"""COBYQA by scipy, which lets only one run be open at a time in a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from blackbox.algorithms.scipy_local import ScipyLocal
from blackbox.blocking import Blocking, invert
from blackbox.types import Evaluate, Problem, RandomStream, Run, Stop

_LOCK = threading.Lock()
_SOLVING: set[int] = set()
"""Threads in which a run is under way, called or waiting for its turn."""
_PARKED: list[object] = []
"""The run that is parked between two asks, if any."""


@contextmanager
def _alone(parked: bool) -> Iterator[None]:
    """Hold the place of a run; refuse one that would wait for ever.

    Runs called in other threads end by themselves: scipy's own lock makes this one wait for them.
    """
    me, token = threading.get_ident(), object()
    with _LOCK:
        if _PARKED or me in _SOLVING:
            raise RuntimeError(
                "another cobyqa run is open, and scipy lets only one be open at a time in a "
                "process: end or close it first (an Optimizer by `close()` or `with`), run one of "
                "them in a process of its own, or take method='cobyla'"
            )
        if parked:
            _PARKED.append(token)
        else:
            _SOLVING.add(me)
    try:
        yield
    finally:
        with _LOCK:
            if parked:
                _PARKED.remove(token)
            else:
                _SOLVING.discard(me)


@dataclass(frozen=True)
class COBYQA(ScipyLocal):
    """Quadratic models in a trust region, with constraints; options and defaults are scipy's.

    Raises
    ------
    RuntimeError
        Where a run begins while another is parked by an `Optimizer`, or called in the same thread
        (from within an objective): scipy holds a lock for the whole of a run.
    """

    name = "COBYQA"
    slopes = "none"
    constrained = True

    disp: bool = False
    maxfev: int | None = None
    maxiter: int | None = None
    f_target: float = -np.inf
    feasibility_tol: float = 1e-8
    initial_tr_radius: float = 1.0
    final_tr_radius: float = 1e-6
    scale: bool = False

    @property
    def constraint_tolerance(self) -> float:
        """How far a feasible point may break a constraint."""
        return float(self.feasibility_tol)

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        with _alone(parked=False):
            return super().solve(problem, rng, evaluate)

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Return the solver as a `Run`, parked in a thread between two asks."""
        with _alone(parked=True):
            return (yield from invert(_Parked(self), problem, rng))


@dataclass(frozen=True)
class _Parked(Blocking):
    """The solver whose place is held already."""

    algorithm: COBYQA

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        return ScipyLocal.solve(self.algorithm, problem, rng, evaluate)
