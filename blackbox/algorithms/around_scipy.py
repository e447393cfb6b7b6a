"""What scipy's global solvers have in common: stream, error state, exceptions, local searches."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import Bounds

from blackbox.blocking import Pointwise
from blackbox.history import all_finite
from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Told

Returned = TypeVar("Returned")


def stream(rng: RandomStream) -> dict[str, RandomStream]:
    """Return the keyword by which scipy takes this stream as it is."""
    return {"seed" if isinstance(rng, np.random.RandomState) else "rng": rng}


class _Carried(BaseException):
    """Carries an exception of the user's past solvers that would catch or reword it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def shelter(solver: Callable[[Evaluate], Returned], evaluate: Evaluate) -> Returned:
    """Run a solver undisturbed by failed evaluations, and the user's code undisturbed by it.

    The solver's own arithmetic on ``+inf`` warns of nothing. What `evaluate` calls runs under the
    caller's numpy error state, and what it raises arrives unchanged.
    """
    caller = np.geterr()

    def evaluated(ask: Ask) -> Told:
        try:
            with np.errstate(**caller):
                return evaluate(ask)
        except Exception as error:
            raise _Carried(error) from error

    try:
        with np.errstate(all="ignore"):
            return solver(evaluated)
    except _Carried as carried:
        raised = carried.error
    raise raised


class LocalView:
    """The objective as the local searches of a global solver call it: value and slope.

    A line search that leaves the finite numbers is told ``+inf`` there and nothing is asked; a
    slope is 0 where there is none to be had. So one failed descent does not end the whole run.

    Parameters
    ----------
    problem, evaluate
        What `blackbox.blocking.Blocking.solve` is given.
    step
        Absolute step of the finite differences for a float64 objective; for a coarser one it is
        the square root of its machine epsilon.
    slopes
        Whether `slope` will be called.
    """

    def __init__(
        self, problem: Problem, evaluate: Evaluate, step: float = 1e-8, *, slopes: bool = True
    ) -> None:
        self._problem = problem
        self._last = Pointwise(problem, evaluate, gradients=slopes)
        coarse = problem.dtype != np.float64
        self._step = float(np.finfo(problem.dtype).eps) ** 0.5 if coarse else step

    @property
    def solved(self) -> bool:
        """Whether any value was finite."""
        return self._last.solved

    def value(self, x: Array) -> float:
        """Value at `x`, shape (n,)."""
        return self._last.value(x) if all_finite(x) else np.inf

    def slope(self, x: Array) -> Array:
        """Gradient at `x`, shape (n,): the objective's own, or a stencil in one batch."""
        if not all_finite(x):
            return np.zeros_like(x)
        if self._problem.gradients != "none":
            own = self._last.gradient(x)
            return own if all_finite(own) else np.where(np.isfinite(own), own, 0.0)
        return self._last.differences(x, self._step)


def descent(view: LocalView, problem: Problem) -> dict[str, Any]:
    """Return the arguments of `scipy.optimize.minimize` for L-BFGS-B inside the bounds."""
    return {
        "method": "L-BFGS-B",
        "jac": view.slope,
        "bounds": Bounds(problem.lower, problem.upper),
    }
