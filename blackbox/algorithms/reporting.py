"""The user's callback as scipy's solvers call it."""

import inspect

import numpy as np
from scipy.optimize import OptimizeResult

from blackbox.blocking import Pointwise
from blackbox.evaluation import as_intermediate, wants_result
from blackbox.types import Array, Callback


class Reporter:
    """Calls the user's callback, in either of its forms, and notes when that stops the run.

    The callback is given copies, and runs under the numpy error state of its caller.

    Parameters
    ----------
    callback
        ``callback(x)`` or ``callback(intermediate_result)``; with `with_state` also
        ``callback(x, state)``.
    objective
        Knows the value at the point that was asked last.
    with_state
        Whether scipy knows the third form for this method.

    Attributes
    ----------
    stopped
        Whether the callback raised `StopIteration`.

    Raises
    ------
    TypeError
        If `callback` can't be called.
    """

    def __init__(self, callback: Callback, objective: Pointwise, with_state: bool = False) -> None:
        self._call = as_intermediate(callback)
        if with_state and not wants_result(callback) and _takes_two(callback):
            self._call = lambda report: callback(np.copy(report.x), report)
        self._objective = objective
        self._caller = np.geterr()
        self.stopped = False

    def result(self, intermediate_result: OptimizeResult) -> object:
        """What solvers call that report a result."""
        report = OptimizeResult(intermediate_result)
        report.x = np.copy(report.x)
        try:
            with np.errstate(**self._caller):
                return self._call(report)
        except StopIteration:
            self.stopped = True
            raise

    def point(self, x: Array) -> object:
        """What solvers call that report a point."""
        known = self._objective.at(x)
        value = float(self._objective.values[0]) if known else np.nan
        return self.result(OptimizeResult(x=x, fun=value))


def _takes_two(callback: Callback) -> bool:
    try:
        inspect.signature(callback).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True
