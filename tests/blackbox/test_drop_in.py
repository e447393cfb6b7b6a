"""`minimize` in place of scipy's: the same walks, arguments, warnings and fields of the result."""

import inspect
import math
import pickle
import threading
import warnings

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import (
    BFGS,
    Bounds,
    NonlinearConstraint,
    OptimizeResult,
    rosen,
    rosen_der,
    rosen_hess,
    rosen_hess_prod,
)

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.algorithms import find

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


# Batches


def test_a_stencil_and_the_first_simplex_are_one_batch():
    sizes = {}
    for name in ("nelder-mead", "l-bfgs-b", "trust-exact"):
        with Optimizer(name, START, budget=60) as run:
            sizes[name] = []
            while not run.stopped:
                points = run.ask()
                sizes[name].append(len(points))
                run.tell([rosen(x) for x in points])
    assert sizes["nelder-mead"][:3] == [4, 1, 1]
    assert sizes["l-bfgs-b"][:4] == [1, 3, 1, 3]
    assert 3 + 3 + 3 in sizes["trust-exact"]  # the diagonal both ways, three pairs


@pytest.mark.parametrize("maxfev", [1, 3, 4, 5, 20])
def test_a_simplex_is_no_batch_where_the_limit_is_shorter(maxfev):
    options = {"maxfev": maxfev}
    same(*both(rosen, method="Nelder-Mead", options=options))


@pytest.mark.parametrize("start", [[0.0, 1.0], [2.9, -3.0], [3.0, 0.0]])
def test_a_simplex_in_bounds_is_scipys(start):
    same(*both(rosen, start, method="Nelder-Mead", bounds=[(-3, 3), (-3, 3)]))


def test_a_given_simplex_is_used():
    simplex = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]]
    same(*both(rosen, method="Nelder-Mead", options={"initial_simplex": simplex}))


def test_a_large_stencil_is_asked_in_several_batches(monkeypatch):
    monkeypatch.setattr("blackbox.stencil.BATCH_BYTES", 8 * 10 * 4)
    sizes = []

    def fun(points):
        sizes.append(len(points))
        return (points**2).sum(axis=1)

    split = minimize(fun, np.ones(10), method="cg", batched=True)
    assert max(sizes) == 4
    monkeypatch.undo()
    whole = minimize(fun, np.ones(10), method="cg", batched=True)
    assert max(sizes) == 10
    assert np.array_equal(split.x, whole.x)
    assert split.nfev == whole.nfev


# Complex steps


@pytest.mark.parametrize(
    "fun",
    [lambda x: float(x @ x), lambda x: abs(x[0]) ** 2, lambda x: math.sin(x[0])],
)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_function_of_real_numbers_is_told_from_a_complex_one(fun):
    with pytest.raises(TypeError, match="jac='cs' differentiates by a complex step"):
        minimize(fun, [1.0, 2.0], method="bfgs", jac="cs")


def test_complex_points_are_counted():
    fun, points = logged(lambda x: x @ x)
    result = minimize(fun, [1.0, 2.0], method="l-bfgs-b", jac="cs")
    assert result.nfev == len(points)
    assert result.history.stencil_count == sum(np.iscomplexobj(x) for x in points) > 0


# Derivatives that are missing, or of no use


@pytest.mark.parametrize("name", NEWTON)
@pytest.mark.parametrize("jac", [None, rosen_der])
def test_a_missing_hessian_is_made_of_differences(name, jac):
    result = minimize(rosen, START, method=name, jac=jac)
    assert result.fun < 1e-6
    if jac is not None:
        assert result.nfev < 150


@pytest.mark.parametrize("name", ["nelder-mead", "powell", "cobyla", "cobyqa"])
def test_a_gradient_of_no_use_warns(name):
    with pytest.warns(RuntimeWarning, match=f"Method {name} does not use gradient information"):
        minimize(rosen, START, method=name, jac=rosen_der, budget=10)


@pytest.mark.parametrize("name", ["bfgs", "cma", "slsqp"])
def test_a_hessian_of_no_use_warns(name):
    with pytest.warns(RuntimeWarning, match=f"Method {name} does not use Hessian information"):
        minimize(rosen, START, method=name, hess=rosen_hess, budget=10)


def test_gradients_alone_cost_no_values():
    fun, points = logged(rosen)
    slopes = []

    def jac(x):
        slopes.append(x)
        return rosen_der(x)

    result = minimize(fun, START, method="newton-cg", jac=jac)
    assert result.nfev == len(points)
    assert result.njev == len(slopes) > 2 * len(points)


# Bounds for methods that know none


@pytest.mark.parametrize("name", UNBOUNDED)
@pytest.mark.parametrize("optimum", [[-9.0, 0.5, 9.0], [9.0, 9.0, 9.0]])
def test_a_method_without_bounds_ends_at_them(name, optimum):
    fun, points = logged(lambda x: float(np.sum((x - optimum) ** 2)))
    result = minimize(fun, [0.1, 0.2, 0.3], method=name, bounds=(-1, 2))
    expected = np.clip(optimum, -1, 2)
    assert np.allclose(result.x, expected, atol=2e-2)
    assert np.min(points) >= -1
    assert np.max(points) <= 2
    assert result.fun == np.sum((result.x - optimum) ** 2)


@pytest.mark.parametrize("name", UNBOUNDED)
def test_bounds_that_are_never_met_change_nothing(name):
    settings = {"method": name, "jac": rosen_der, "hess": None}
    if name in NEWTON:
        settings["hess"] = rosen_hess
    wide, narrow = (minimize(rosen, START, bounds=b, **settings) for b in (None, (-99, 99)))
    assert np.array_equal(wide.x, narrow.x)
    assert wide.nfev == narrow.nfev


# Failures


# TNC differences gradients too, at points that fail here; it then stops, and says so.
@pytest.mark.parametrize("name", [name for name in DIFFERENCES if name != "tnc"])
@pytest.mark.parametrize("scheme", [None, "3-point"])
def test_failed_stencil_points_are_made_up_for(name, scheme):
    def fun(x):
        return np.nan if 0.5 < x[0] < 0.5 + 1e-7 else float((x - 1) @ (x - 1))

    result = minimize(fun, [0.5, 0.0], method=name, jac=scheme, budget=2000)
    assert result.fun < 1e-6


# Callbacks


def test_a_callback_that_stops_keeps_the_solvers_end():
    stops = []

    def callback(x):
        stops.append(x)
        if len(stops) == 3:
            raise StopIteration

    result = minimize(rosen, START, method="bfgs", callback=callback)
    assert len(stops) == 3
    assert result.status == 99
    assert result.message == "`callback` raised `StopIteration`."
    assert result.nit == 3
    assert np.array_equal(result.x, stops[-1])


def test_trust_constr_tells_its_callback_its_state():
    seen = []
    minimize(
        rosen, START, method="trust-constr", callback=lambda x, state: seen.append((x, state.nit))
    )
    assert [nit for _, nit in seen] == list(range(1, len(seen) + 1))


# Custom methods


def test_a_method_of_the_users_own_is_counted():
    def descend(fun, x0, args=(), *, jac, bounds, step, **rest):
        assert args == ()
        assert bounds == "untouched"
        x = x0
        for _ in range(20):
            x = x - step * jac(x)
        return OptimizeResult(x=x, fun=fun(x), success=True, message="done", nit=20)

    settings = {"jac": lambda x, a: 2 * a * x, "args": (2.0,), "options": {"step": 0.1}}
    result = minimize(
        lambda x, a: a * x @ x, [1.0, 2.0], method=descend, bounds="untouched", **settings
    )
    assert (result.nfev, result.nit, result.method) == (1, 20, "descend")
    assert result.success
    assert result.fun < 1e-3
    spent = minimize(rosen, START, method=lambda fun, x0, **_: [fun(x0)] * fun(x0), budget=1)
    assert spent.nfev == 1
    assert not spent.success


# COBYQA: one at a time


def test_a_second_open_run_of_cobyqa_is_refused():
    with Optimizer("cobyqa", START) as run:
        with pytest.raises(RuntimeError, match="only one be open at a time"):
            Optimizer("cobyqa", START)
        with pytest.raises(RuntimeError, match="only one be open at a time"):
            minimize(rosen, START, method="cobyqa")
        run.tell([1.0])
    assert minimize(rosen, START, method="cobyqa", budget=30).nfev == 30


def test_a_nested_run_of_cobyqa_is_refused():
    def fun(x):
        return minimize(rosen, x, method="cobyqa", budget=5).fun

    with pytest.raises(RuntimeError, match="only one be open at a time"):
        minimize(fun, START, method="cobyqa")
    assert minimize(rosen, START, method="cobyqa", budget=30).nfev == 30


def test_runs_of_cobyqa_in_threads_wait_for_each_other():
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(minimize(rosen, START, method="cobyqa", budget=40).fun)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert len(found) == 3


def test_a_stored_run_of_cobyqa_goes_on_when_the_first_is_closed():
    def go_on(run, rounds=None):
        asked = []
        while not run.stopped and (rounds is None or len(asked) < rounds):
            asked.append(run.ask())
            run.tell([rosen(x) for x in asked[-1]])
        return np.concatenate(asked)

    run = Optimizer("cobyqa", START, budget=40)
    go_on(run, 9)
    stored = pickle.dumps(run)
    rest = go_on(run)
    twin = pickle.loads(stored)
    assert np.array_equal(go_on(twin), rest)


def test_names_are_found_as_scipy_spells_them():
    for name, spelled in SCIPYS.items():
        assert find(spelled).name == name
        assert find(name.replace("-", "_").upper()).name == name


def test_scipys_bounds_and_pairs_are_the_same():
    pairs = minimize(rosen, START, method="TNC", bounds=[(-2, 2)] * 3)
    object_ = minimize(rosen, START, method="TNC", bounds=Bounds(-2, 2))
    assert np.array_equal(pairs.x, object_.x)
