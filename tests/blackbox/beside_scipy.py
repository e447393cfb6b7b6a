"""The same call of ours and of scipy's, point by point."""

import warnings

import numpy as np
import scipy.optimize

from blackbox import ALGORITHMS, minimize

SCIPYS = {
    row.name: row.load().name for row in ALGORITHMS.values() if row.where.startswith("scipy_m")
}
SCIPYS["cobyqa"] = "COBYQA"
NEWTON = ["newton-cg", "dogleg", "trust-ncg", "trust-krylov", "trust-exact"]
DIFFERENCES = ["cg", "bfgs", "l-bfgs-b", "tnc", "slsqp", "trust-constr"]
# COBYLA and trust-constr step over bounds, where we evaluate the nearest point inside.
BOUNDED = ["nelder-mead", "powell", "l-bfgs-b", "tnc", "cobyqa", "slsqp"]
UNBOUNDED = ["cg", "bfgs", *NEWTON]
START = [-1.2, 1.0, 0.7]
SHORT = {"cobyla": {"maxiter": 150}, "cobyqa": {"maxfev": 80}, "nelder-mead": {"maxfev": 120}}


def logged(fun):
    points = []

    def call(x, *args):
        points.append(x.copy())
        return fun(x, *args)

    return call, points


def both(fun, x0=START, **settings):
    """The same call of ours and of scipy's: results and points."""
    ours, theirs = logged(fun), logged(fun)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = minimize(ours[0], x0, **settings)
        expected = scipy.optimize.minimize(theirs[0], x0, **settings)
    return result, expected, np.array(ours[1]), np.array(theirs[1])


def same(result, expected, ours, theirs):
    assert np.array_equal(ours, theirs)
    assert result.nfev == len(ours)
    assert result.message == expected.message
    assert result.status == expected.status
    assert result.success == expected.success
    assert result.get("nit") == expected.get("nit", result.get("nit"))
    if "solver_x" not in result:
        assert np.array_equal(result.x, expected.x)
        assert result.fun == expected.fun
    if "njev" in expected:  # a gradient that is known is not asked again
        assert 0 < result.njev <= expected.njev
    if "nhev" in expected:
        assert result.nhev == expected.nhev
