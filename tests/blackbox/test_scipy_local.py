"""scipy's local methods around the walk: batches, bounds, failures, callbacks, one at a time."""

import math
import pickle
import threading

import numpy as np
import pytest
from scipy.optimize import (
    Bounds,
    OptimizeResult,
    rosen,
    rosen_der,
    rosen_hess,
)
from scipy.optimize import minimize as scipy_minimize

from blackbox import Optimizer, minimize
from blackbox.algorithms import find
from tests.blackbox.beside_scipy import (
    DIFFERENCES,
    NEWTON,
    SCIPYS,
    START,
    UNBOUNDED,
    both,
    logged,
    same,
)

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


@pytest.mark.parametrize("start", [[0.0, 1.0], [2.9, -2.99], [3.0, 0.0]])
def test_a_simplex_in_bounds_is_scipys(start):
    same(*both(rosen, start, method="Nelder-Mead", bounds=[(-3, 3), (-3, 3)]))


def test_a_simplex_leaves_a_lower_bound_where_scipys_never_does():
    start, box = [2.9, -3.0], [(-3, 3), (-3, 3)]
    theirs = scipy_minimize(rosen, start, method="Nelder-Mead", bounds=box)
    ours = minimize(rosen, start, method="Nelder-Mead", bounds=box)
    assert theirs.success
    assert theirs.x[1] == -3.0
    assert ours.success
    assert np.allclose(ours.x, 1, atol=1e-3)


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
