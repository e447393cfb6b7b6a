"""nlopt's methods walk as nlopt's own do; what the objective raises crosses its C code unharmed."""

import threading

import numpy as np
import pytest

from blackbox import ALGORITHMS, Optimizer, minimize

nlopt = pytest.importorskip("nlopt", reason="nlopt is an extra")

BOX = [(-2.0, 3.0), (-4.0, 1.5), (-1.0, 5.0)]
NAMES = {"bobyqa": "LN_BOBYQA", "sbplx": "LN_SBPLX"}
LOCAL = ["LN_BOBYQA", "LN_COBYLA", "LN_NELDERMEAD", "LN_NEWUOA_BOUND", "LN_SBPLX"]
START = np.array([-1.0, 0.5, 2.0])


def valley(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def reference(watched, name, fun=valley, bounds=BOX, steps=None, **tolerances):
    """nlopt called directly: what it asked, and its answer."""
    told = watched(fun)
    opt = nlopt.opt(getattr(nlopt, name), len(START))
    opt.set_min_objective(lambda x, gradient: told(x))
    if bounds is not None:
        opt.set_lower_bounds([low for low, _ in bounds])
        opt.set_upper_bounds([high for _, high in bounds])
    for key, value in ({"xtol_rel": 1e-8} | tolerances).items():
        getattr(opt, f"set_{key}")(value)
    if steps is None and bounds is not None and np.isfinite(bounds).all():
        steps = [0.2 * (high - low) for low, high in bounds]
    if steps is not None:
        opt.set_initial_step(steps)
    x = opt.optimize(START)
    return told, x, opt.last_optimum_value(), opt.last_optimize_result()


@pytest.mark.parametrize("bounds", [None, BOX])
@pytest.mark.parametrize("algorithm", LOCAL)
def test_walks_as_nlopt(algorithm, bounds, watched):
    if algorithm == "LN_COBYLA" and bounds is None:
        bounds = [(-np.inf, np.inf)] * 3
    told, x, value, code = reference(watched, algorithm, bounds=bounds, xtol_rel=1e-3)
    fun = watched(valley)
    options = {"algorithm": algorithm, "xtol_rel": 1e-3}
    result = minimize(fun, START, method="nlopt", bounds=bounds, options=options)
    assert np.array_equal(told.asked, fun.asked)
    assert value == result.fun
    assert np.array_equal(x, result.x)
    assert result.status == code
    assert result.success


@pytest.mark.parametrize(
    ("options", "tolerances", "steps"),
    [
        ({"initial_step": 0.3, "xtol_rel": 1e-4}, {"xtol_rel": 1e-4}, 0.3),
        ({"initial_step": [0.1, 0.2, 0.3], "xtol_rel": 1e-4}, {"xtol_rel": 1e-4}, [0.1, 0.2, 0.3]),
        ({"xtol_rel": 1e-3}, {"xtol_rel": 1e-3}, None),
        ({"ftol_rel": 1e-3, "xtol_rel": 0.0}, {"ftol_rel": 1e-3, "xtol_rel": 0.0}, None),
        ({"ftol_abs": 1e-2, "xtol_abs": 1e-3}, {"ftol_abs": 1e-2, "xtol_abs": 1e-3}, None),
        ({"maxeval": 30}, {"maxeval": 30}, None),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_options_are_nlopts(name, options, tolerances, steps, watched):
    told, *_, code = reference(watched, NAMES[name], steps=steps, **tolerances)
    fun = watched(valley)
    result = minimize(fun, START, method=name, bounds=BOX, options=options)
    assert np.array_equal(told.asked, fun.asked)
    assert result.status == code
    assert result.success == ("maxeval" not in options)
    assert ("maxeval" in result.message) == ("maxeval" in options)


@pytest.mark.parametrize("name", NAMES)
def test_tol_sets_the_relative_step(name, watched):
    one, other = watched(valley), watched(valley)
    minimize(one, START, method=name, bounds=BOX, tol=1e-2)
    minimize(other, START, method=name, bounds=BOX, options={"xtol_rel": 1e-2})
    assert np.array_equal(one.asked, other.asked)


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", [*NAMES, "nlopt"])
def test_what_the_objective_raises_arrives_as_it_is(name, kind, watched):
    cause = KeyError("the cause")
    error = kind("of the user's")

    def fun(x):
        if len(watching.points) == 12:
            raise error from cause
        return valley(x)

    watching = watched(fun)
    with pytest.raises(kind) as caught:
        minimize(watching, START, method=name, bounds=BOX)
    assert caught.value is error
    assert error.__cause__ is cause
    assert len(watching.points) == 12
    assert caught.value.result.fun == min(watching.values)


def test_every_variable_at_a_bound_and_a_bound_that_is_near(watched):
    fun = watched(lambda x: float(np.sum((x - 0.4) ** 2)))
    box = [(0.0, 1.0), (0.0, 1e-7), (0.3, 0.5)]
    for name in NAMES:
        result = minimize(fun, [0.0, 1e-7, 0.5], method=name, bounds=box)
        assert np.allclose(result.x, [0.4, 1e-7, 0.4], atol=1e-5)
    assert (fun.asked >= [0, 0, 0.3]).all()
    assert (fun.asked <= [1, 1e-7, 0.5]).all()


@pytest.mark.parametrize("algorithm", LOCAL)
def test_one_variable(algorithm):
    options = {"algorithm": algorithm, "initial_step": 0.5}
    for bounds in (None, [(-4.0, 4.0)], [(None, 0.5)]):
        result = minimize(
            lambda x: float((x[0] - 0.7) ** 2),
            [-2.0],
            method="nlopt",
            bounds=bounds,
            options=options,
        )
        best = 0.5 if bounds == [(None, 0.5)] else 0.7
        assert abs(result.x[0] - best) < 1e-4
        assert result.x.shape == (1,)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_overflow_a_model_do_not_stop_it(name):
    def fun(x):
        value = float(np.sum((x - 0.3) ** 2))
        return 1e300 * value if value > 5 else value

    assert minimize(fun, START, method=name, bounds=BOX, budget=3000).fun < 1e-6


def test_parked_runs_interleave_and_are_abandoned():
    alone = minimize(valley, START, method="bobyqa", bounds=BOX)
    runs = [Optimizer("bobyqa", START, bounds=BOX) for _ in range(4)]
    runs.pop().close()
    while not all(run.stopped for run in runs):
        for run in runs:
            if not run.stopped:
                run.tell([valley(x) for x in run.ask()])
    assert [run.best_value for run in runs] == [alone.fun] * 3
    assert not [t for t in threading.enumerate() if t.name == "blackbox-solver"]


@pytest.mark.parametrize("algorithm", ["LN_PRAXIS", "GN_CRS2_LM", "LD_LBFGS", "bobyqa", "exit"])
def test_other_algorithms_are_refused(algorithm):
    with pytest.raises(ValueError, match=r"algorithm is one of LN_BOBYQA.*LN_SBPLX"):
        minimize(valley, START, method="nlopt", options={"algorithm": algorithm})


@pytest.mark.parametrize("step", [0, -1.0, [1.0, 0.0, 1.0], np.nan])
def test_a_step_that_is_none_is_refused(step):
    with pytest.raises(ValueError, match="initial_step"):
        minimize(valley, START, method="bobyqa", options={"initial_step": step})


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("bobyqa", "sbplx", "nlopt"):
        assert not ALGORITHMS[name].installed
        with pytest.raises(ImportError, match="pip install 'nlopt'"):
            minimize(valley, START, method=name)
