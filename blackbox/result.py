"""What `minimize` returns: the solver's own end point, or a better one that it was told."""

import contextlib
import math
import os
from typing import Any, cast

import numpy as np
from scipy.optimize import OptimizeResult

from blackbox.constraints import FEASIBILITY, measure_violation
from blackbox.diagnosis import Diagnosis, diagnose
from blackbox.history import History
from blackbox.saving import load_result, save_result
from blackbox.types import Problem, Stop


class Result(OptimizeResult):
    """What `minimize` returns: scipy's `OptimizeResult` and more.

    Attributes
    ----------
    x, fun
        The solver's own end point, shape (n,), and its value; or the incumbent, where a better
        finite, feasible one was told. Then the solver's own are `solver_x` and `solver_fun`.
        Always at full fidelity, where the objective changes from batch to batch.
    nfev, njev, nit
        Evaluations (all of them, those at full fidelity too); gradients, those by differences too
        where the solver counts them; iterations or batches.
    success, status, message
        Whether the method's own criterion or the target was met by a feasible point, the solver's
        code, and why it stopped.
    maxcv
        By how much `x` breaks the constraints; only where there are any.
    jac
        The gradient at the end where the solver reports one, else None.
    history
        A `blackbox.history.History`: counts, and each improvement.
    method, method_reason, seed, seconds
        The method that ran, why ``"auto"`` chose it, the seed that repeats the run, its duration.
    """

    def diagnose(self) -> Diagnosis:
        """Say what was wrong with the run, if anything: findings with evidence and remedy.

        Costs no evaluations: all of it comes from what was recorded. ``print(result.diagnose())``
        shows it in words; `blackbox.diagnosis` says what each finding means.
        """
        return diagnose(self)

    def save(self, path: "str | os.PathLike[str]") -> list[str]:
        """Write it to a file that is safe to open; return the names of what can't be stored."""
        return save_result(self, path)

    @classmethod
    def load(cls, path: "str | os.PathLike[str]") -> "Result":
        """Read what `save` wrote; fields that were left out are named in ``left_out``."""
        return cast(Result, load_result(path, cls))


def make_result(stop: Stop, problem: Problem, history: History, fields: dict[str, Any]) -> Result:
    """The solver's own end point, unless a better one was told."""
    extras: dict[str, Any] = dict(stop.extras)
    # scipy can't print an empty dict.
    extras = {k: v for k, v in extras.items() if not isinstance(v, dict) or v}
    restored = extras.pop("restored", False)
    x, value = extras.pop("x", None), float(extras.pop("fun", math.inf))
    extras.setdefault("jac", None)
    if history.trace.ends_x is not None:
        extras.setdefault("ends_x", history.trace.ends_x)
        extras.setdefault("ends_fun", history.trace.ends_value)
    if history.validation_count:
        extras["validation_loss"] = history.validated_value
    own_count = extras.pop("njev", 0)  # the solver's own: gradients by differences
    if x is None or (not restored and _beats(history, problem, x, value)):
        if x is not None:
            extras |= {"solver_x": x, "solver_fun": value}
            # The gradient that the solver reports is the one at its own end point.
            extras["jac"] = None
        x, value = history.best_x, history.best_value
    if x is None:
        x = problem.starts[0].copy() if len(problem.starts) else np.full(problem.n, np.nan)
    solved = math.isfinite(value)
    message = stop.reason
    if stop.success and not solved:
        message = "no evaluation gave a finite value; check the objective, the start and the bounds"
    if (violation := measure_violation(problem.constraints)) is not None:
        extras["maxcv"] = violation(np.asarray(x, dtype=float))
        if stop.success and solved and extras["maxcv"] > history.tolerance:
            solved = False
            message += f" But the best point found breaks a constraint by {extras['maxcv']:.3g}"
    return Result(
        x=np.array(x, dtype=float),
        fun=value,
        nfev=history.evaluation_count,
        njev=history.gradient_count or own_count,
        nit=extras.pop("nit", history.batch_count),
        success=stop.success and solved,
        status=stop.status,
        message=message,
        history=history,
        seconds=history.elapsed(),
        **fields,
        **extras,
    )


def _beats(history: History, problem: Problem, x: Any, value: float) -> bool:
    """Whether the incumbent is better than the solver's end point, and no less feasible."""
    if not math.isfinite(value):
        return True
    violation = measure_violation(problem.constraints)
    if violation is None:
        return history.best_value < value
    own = violation(np.asarray(x, dtype=float))
    if own > history.tolerance:
        return history.feasible or history.best_violation < own
    if history.best_value >= value:
        return False
    # What breaking a constraint by a rounding error buys is no gain.
    large = value - history.best_value > 1e-6 * max(1.0, abs(value))
    return history.best_violation <= max(own, FEASIBILITY if large else 0.0)


class Outcome:
    """What a run has come to, which whatever is raised takes along: for ``with``, around all of it.

    Also Ctrl-C while files and workers are being closed, when the run itself is over.

    Attributes
    ----------
    result
        The result so far; to be set. With an exception before that there is none.
    """

    result: "Result | None" = None

    def __init__(self, returns: bool) -> None:
        self._returns = returns

    def __enter__(self) -> "Outcome":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        """Leave the result on the exception; swallow Ctrl-C where the result is to be returned."""
        if error is None or self.result is None:
            return False
        if self._returns and isinstance(error, KeyboardInterrupt):
            return True
        with contextlib.suppress(AttributeError, TypeError):  # some refuse attributes
            error.result = self.result  # type: ignore[attr-defined]
        return False
