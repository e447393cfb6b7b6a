"""scipy's quasi-Newton updates without their warning of a linear function."""

import copy
from typing import Any

import numpy as np
from scipy.optimize import BFGS, LinearConstraint, NonlinearConstraint

from blackbox.types import Array


class QuietBFGS(BFGS):
    """scipy's BFGS update; a step along which the gradient stays is left out without a word.

    scipy warns of it, where a constraint is linear at each step, and then leaves it out.
    """

    def update(self, delta_x: Array, delta_grad: Array) -> None:
        """Update the matrix by a step and what it did to the gradient."""
        if np.any(delta_grad != 0):
            super().update(delta_x, delta_grad)


def quieted(hess: Any) -> Any:
    """Return a Hessian as given to scipy, but a plain BFGS update as a quiet one."""
    if type(hess) is not BFGS:
        return hess
    quiet = copy.copy(hess)
    quiet.__class__ = QuietBFGS
    return quiet


def quiet_constraint(given: Any) -> Any:
    """Return one of scipy's constraints with `quieted` updates; a dict as a constraint object."""
    if isinstance(given, LinearConstraint):
        return given
    if isinstance(given, dict):
        fun, args, jac = given["fun"], given.get("args", ()), given.get("jac")
        upper = 0.0 if given["type"].lower() == "eq" else np.inf
        return NonlinearConstraint(
            lambda x: fun(x, *args),
            0.0,
            upper,
            jac=(lambda x: jac(x, *args)) if callable(jac) else "2-point",
            hess=QuietBFGS(),
        )
    quiet = copy.copy(given)
    quiet.hess = quieted(given.hess)
    return quiet
