"""Derivative-free local methods of the library nlopt, an extra: one point at a time.

BOBYQA: Powell, M. J. D. (2009), report DAMTP 2009/NA06, Cambridge. Sbplx: a variant by S. G.
Johnson of Rowan, T. H. (1990), Functional stability analysis of numerical algorithms, thesis,
University of Texas at Austin.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop

LocalName = Literal["LN_BOBYQA", "LN_COBYLA", "LN_NELDERMEAD", "LN_NEWUOA_BOUND", "LN_SBPLX"]

_TWO = ("LN_BOBYQA", "LN_NEWUOA_BOUND")
"""What needs two variables."""

_REASONS = {
    1: "nlopt is done",
    2: "the value is at most stopval",
    3: "the value changed by no more than ftol_rel or ftol_abs",
    4: "the point moved by no more than xtol_rel or xtol_abs",
    5: "maxeval evaluations are done; raise it to go on",
    6: "maxtime seconds are over; raise it to go on",
    -4: "rounding errors keep nlopt from going on; the result may be useful all the same",
}

STEP = 0.2
"""First step, as a share of the box."""

_HUGE = 1e150
"""Values are kept below this, so that a quadratic model's squares of them are finite."""


@cache
def _library() -> Any:
    with warnings.catch_warnings():  # its bindings may warn as they load
        warnings.simplefilter("ignore")
        import nlopt  # type: ignore[import-untyped, import-not-found, unused-ignore]

    return nlopt


@dataclass(frozen=True)
class _Settings:
    """The library's options.

    Attributes
    ----------
    xtol_rel
        Stop when a step is at most this, relative to the point. The library's own default, 0,
        would never stop.
    xtol_abs, ftol_rel, ftol_abs
        Further tolerances; 0: not looked at.
    maxeval
        Evaluations; 0: as many as it takes.
    initial_step
        Of every variable, or of each, (n,); None: 0.2 of the box where that is finite, else the
        library's own guess. That would be tiny for a start near a bound, in a box too.
    """

    xtol_rel: float = 1e-8
    xtol_abs: float = 0.0
    ftol_rel: float = 0.0
    ftol_abs: float = 0.0
    maxeval: int = 0
    initial_step: Any = None

    def __post_init__(self) -> None:
        if self.initial_step is not None and not np.all(np.asarray(self.initial_step) > 0):
            raise ValueError(f"initial_step must be above 0; got {self.initial_step!r}")


class _Search(Blocking, _Settings):
    """A run of the algorithm that `_name` gives."""

    _name: ClassVar[str]

    def _chosen(self) -> str:
        return self._name

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run nlopt's solver on `evaluate`."""
        nlopt = _library()
        name = self._chosen()
        padding = 1 if problem.n == 1 and name in _TWO else 0
        opt = nlopt.opt(getattr(nlopt, name), problem.n + padding)
        objective = _Objective(opt, Pointwise(problem, evaluate, gradients=False), problem.n)
        opt.set_min_objective(objective)
        opt.set_lower_bounds(np.append(problem.lower, [0.0] * padding))
        opt.set_upper_bounds(np.append(problem.upper, [1.0] * padding))
        opt.set_xtol_rel(self.xtol_rel)
        opt.set_xtol_abs(self.xtol_abs)
        opt.set_ftol_rel(self.ftol_rel)
        opt.set_ftol_abs(self.ftol_abs)
        opt.set_maxeval(self.maxeval)
        steps = self.initial_step
        if steps is None and problem.bounded:
            steps = STEP * (problem.upper - problem.lower)
        if steps is not None:
            steps = np.broadcast_to(np.asarray(steps, dtype=float), problem.n)
            opt.set_initial_step(np.append(steps, [0.25] * padding))
        code = -4
        try:
            opt.optimize(np.append(problem.start(rng), [0.5] * padding))
            code = opt.last_optimize_result()
        except nlopt.ForcedStop:
            pass
        except nlopt.RoundoffLimited:
            pass
        finally:
            raised = objective.release()
        if raised is not None:
            raise raised
        # Its best point is the best one told.
        return Stop(_REASONS.get(code, f"nlopt returned {code}"), 0 < code < 5, int(code))


class _Objective:
    """The objective as nlopt calls it.

    An exception that crossed the library's C code would leak its memory. So it waits here while
    the library stops. A failed evaluation counts as somewhat worse than the worst value so far:
    models are fitted to the values, and infinite ones would leave no model.
    """

    def __init__(self, opt: Any, last: Pointwise, n: int) -> None:
        self._stop: Callable[[], None] = opt.force_stop
        self._last, self._n = last, n
        self._worst = 0.0
        self.raised: BaseException | None = None

    def release(self) -> BaseException | None:
        """Let go of everything, as the library's object and this one hold each other for good.

        Returns what was raised.
        """
        raised, self.raised = self.raised, None
        del self._stop, self._last
        return raised

    def __call__(self, x: Array, gradient: Array) -> float:
        if self.raised is None:
            try:
                return self._value(x[: self._n].copy())
            except BaseException as error:
                self.raised = error
                self._stop()
        return self._worst

    def _value(self, x: Array) -> float:
        value = self._last.value(x)
        if np.isfinite(value):
            value = min(max(value, -_HUGE), _HUGE)
            self._worst = max(self._worst, value)
            return value
        return min(self._worst + abs(self._worst) + 1.0, _HUGE)


@dataclass(frozen=True)
class BOBYQA(_Search):
    """Quadratic models in a trust region inside the bounds, fitted to 2 n + 1 points."""

    _name: ClassVar[str] = "LN_BOBYQA"


@dataclass(frozen=True)
class Sbplx(_Search):
    """Nelder-Mead on a sequence of subspaces, which a noisy or kinked objective does not stop."""

    _name: ClassVar[str] = "LN_SBPLX"


@dataclass(frozen=True)
class NLopt(_Search):
    """Any of nlopt's local methods that need no gradients and draw nothing.

    Attributes
    ----------
    algorithm
        By nlopt's name. Others of the library draw from a random state that all runs of a process
        share, or want gradients; they are refused.
    """

    algorithm: LocalName = "LN_BOBYQA"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm not in get_args(LocalName):
            raise ValueError(
                f"algorithm is one of {', '.join(get_args(LocalName))}; got {self.algorithm!r}"
            )

    def _chosen(self) -> str:
        return self.algorithm
