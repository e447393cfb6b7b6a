"""`minimize` in place of scipy's: the same walks, arguments, warnings and fields of the result."""

import inspect
import threading

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import (
    BFGS,
    NonlinearConstraint,
    rosen,
    rosen_der,
    rosen_hess,
    rosen_hess_prod,
)

from blackbox import ALGORITHMS, minimize
from tests.blackbox.beside_scipy import (
    BOUNDED,
    DIFFERENCES,
    NEWTON,
    SCIPYS,
    SHORT,
    START,
    both,
    logged,
    same,
)

# The walks are scipy's


@pytest.mark.parametrize("name", [name for name in SCIPYS if name not in NEWTON])
def test_without_gradients_the_walk_is_scipys(name):
    same(*both(rosen, method=SCIPYS[name], options=SHORT.get(name)))


@pytest.mark.parametrize("name", BOUNDED)
def test_in_bounds_the_walk_is_scipys(name):
    bounds = [(-2, 0.9), (None, 0.8), (0.1, None)]
    start = [-1.2, 0.5, 0.7]
    same(*both(rosen, start, method=SCIPYS[name], bounds=bounds, options=SHORT.get(name)))


@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_by_a_scheme_are_scipys(name, scheme):
    same(*both(rosen, method=SCIPYS[name], jac=scheme))


@pytest.mark.parametrize("name", [*DIFFERENCES, "newton-cg"])
def test_with_gradients_the_walk_is_scipys(name):
    same(*both(rosen, method=SCIPYS[name], jac=rosen_der))


@pytest.mark.parametrize("name", [*NEWTON, "trust-constr"])
def test_with_hessians_the_walk_is_scipys(name):
    same(*both(rosen, method=SCIPYS[name], jac=rosen_der, hess=rosen_hess))


@pytest.mark.parametrize("name", ["newton-cg", "trust-ncg", "trust-krylov", "trust-constr"])
@pytest.mark.parametrize(
    "curvature",
    [{"hessp": rosen_hess_prod}, {"hess": "2-point"}, {"hess": "3-point"}, {"hess": "cs"}],
    ids=["product", "2-point", "3-point", "cs"],
)
def test_with_products_of_hessians_the_walk_is_scipys(name, curvature):
    same(*both(rosen, method=SCIPYS[name], jac=rosen_der, **curvature))


@pytest.mark.parametrize("name", ["newton-cg", "trust-ncg", "trust-krylov", "trust-constr"])
def test_with_quasi_newton_updates_the_walk_is_scipys(name):
    ours, theirs = logged(rosen), logged(rosen)
    settings = {"method": SCIPYS[name], "jac": rosen_der}
    result = minimize(ours[0], START, hess=BFGS(), **settings)
    expected = scipy.optimize.minimize(theirs[0], START, hess=BFGS(), **settings)
    same(result, expected, np.array(ours[1]), np.array(theirs[1]))


@pytest.mark.parametrize("name", ["slsqp", "cobyla", "cobyqa", "trust-constr"])
@pytest.mark.parametrize("kind", ["dict", "object"])
def test_with_constraints_the_walk_is_scipys(name, kind):
    def fun(x):
        return 1.5 - x @ x

    constraint = (
        {"type": "ineq", "fun": fun} if kind == "dict" else NonlinearConstraint(fun, 0, np.inf)
    )
    settings = {"constraints": constraint, "options": {"maxiter": 60}}
    result, expected, ours, theirs = both(rosen, method=SCIPYS[name], **settings)
    assert np.array_equal(ours, theirs)
    assert (result.message, result.status) == (expected.message, expected.status)
    for field in ("v", "multipliers", "constr_violation"):
        if field in expected:
            assert np.array_equal(np.ravel(result[field]), np.ravel(expected[field]))


def test_arguments_reach_all_functions():
    def fun(x, a, b):
        return a * x @ x + b

    settings = {
        "method": "trust-constr",
        "jac": lambda x, a, b: 2 * a * x,
        "hess": lambda x, a, b: 2 * a * np.eye(3),
        "args": (3.0, 1.0),
    }
    same(*both(fun, **settings))
    settings["method"] = "trust-ncg"
    settings["hessp"] = lambda x, p, a, b: 2 * a * p
    del settings["hess"]
    same(*both(fun, **settings))


def test_the_default_method_by_scipys_rule():
    def chosen(**settings):
        return minimize(lambda x: float(x @ x), [1.0, 2.0], method=None, **settings).method

    assert chosen() == "bfgs"
    assert chosen(bounds=[(None, None)] * 2) == "l-bfgs-b"
    assert chosen(bounds=(-3, 3), constraints={"type": "eq", "fun": lambda x: x[0] - 1}) == "slsqp"


@pytest.mark.parametrize("name", SCIPYS)
def test_the_tolerance_sets_scipys_options(name):
    extra = {}
    if name in NEWTON:
        extra = {"jac": rosen_der, "hess": rosen_hess}
    same(*both(rosen, method=SCIPYS[name], tol=1e-2, **extra))


# Options


@pytest.mark.parametrize("name", SCIPYS)
def test_options_have_scipys_names_and_defaults(name):
    from scipy.optimize import _minimize as where

    functions = {
        "nelder-mead": ["_minimize_neldermead"],
        "newton-cg": ["_minimize_newtoncg"],
        "l-bfgs-b": ["_minimize_lbfgsb"],
        "trust-constr": ["_minimize_trustregion_constr"],
        "trust-exact": ["_minimize_trustregion_exact"],
    }
    found = functions.get(name, [f"_minimize_{name.replace('-', '_')}"])[0]
    theirs = dict(inspect.signature(getattr(where, found)).parameters)
    if name in ("dogleg", "trust-ncg", "trust-krylov", "trust-exact"):
        from scipy.optimize._trustregion import _minimize_trust_region

        theirs |= inspect.signature(_minimize_trust_region).parameters
        skipped = {"subproblem", "inexact", "subproblem_maxiter"} - set(ALGORITHMS[name].options())
    else:
        skipped = set()
    arguments = {"fun", "func", "x0", "args", "jac", "grad", "hess", "hessp", "bounds"}
    skipped |= {*arguments, "constraints", "callback", "workers"}
    expected = {
        key: parameter.default
        for key, parameter in theirs.items()
        if key not in skipped and parameter.kind is not parameter.VAR_KEYWORD
    }
    ours = ALGORITHMS[name].options()
    assert set(ours) == set(expected)
    for key, default in ours.items():
        if default is None and expected[key] is not None:
            # The step fits the precision; `disp` of L-BFGS-B has no value by default.
            assert key == "eps" or (name == "l-bfgs-b" and key in ("disp", "iprint"))
        else:
            assert default == expected[key]


def test_unknown_options_only_warn():
    with pytest.warns(scipy.optimize.OptimizeWarning, match="Unknown solver options: nonsense"):
        minimize(rosen, START, method="BFGS", options={"nonsense": 1})


def test_workers_may_be_among_the_options():
    calls = []

    def workers(function, points):
        points = list(points)
        calls.append(len(points))
        return map(function, points)

    result = minimize(rosen, START, method="bfgs", options={"workers": workers})
    assert 3 in calls
    assert sum(calls) == result.nfev


@pytest.mark.parametrize("name", [n for n, row in ALGORITHMS.items() if row.library == "scipy"])
def test_the_users_code_runs_in_the_callers_thread(name):
    threads = {}

    def noting(what, told):
        def call(x, *args):
            threads.setdefault(what, set()).add(threading.get_ident())
            return told(x)

        return call

    row = ALGORITHMS[name]
    result = minimize(
        noting("fun", rosen),
        START,
        method=name,
        jac=noting("jac", rosen_der) if row.gradients == "optional" else None,
        hess=noting("hess", rosen_hess) if row.hessian else None,
        constraints={"type": "ineq", "fun": noting("constraint", lambda x: 3 - x.sum())},
        bounds=[(-2, 2)] * 3,
        callback=noting("callback", lambda x: None),
        budget=300,
        seed=0,
    )
    assert np.isfinite(result.fun)
    assert {"fun", "constraint", "callback"} <= set(threads)
    assert all(seen == {threading.get_ident()} for seen in threads.values())
