"""scipy's global methods and the user's code do not disturb each other."""

import logging

import numpy as np
import pytest

from blackbox import minimize

BOX = [(-3.0, 4.0), (-2.0, 5.0), (-4.0, 4.0)]
STREAMS = [("rng", np.random.default_rng), ("seed", np.random.RandomState)]
NAMES = ["differential_evolution", "basinhopping", "shgo", "direct", "dual_annealing"]


def ripples(x):
    return float(np.sum((x - 0.3) ** 2) - np.cos(4 * x).sum())


def slope(x):
    return 2 * (x - 0.3) + 4 * np.sin(4 * x)


def assert_same(theirs, expected, ours, result):
    assert np.array_equal(theirs.asked, ours.asked)
    assert min(theirs.values) == result.fun == min(expected.fun, result.fun)
    assert expected.nit == result.nit
    assert expected.success == result.success


# All of them: the user's code and the solver do not disturb each other.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [TypeError, ValueError, AttributeError, StopIteration])
@pytest.mark.parametrize("at", [3, 40])
def test_what_the_objective_raises_arrives_as_it_is(name, kind, at, watched):
    cause = KeyError("the cause")
    error = kind("of the user's")

    def fun(x):
        if len(watching.points) == at:
            raise error from cause
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    watching = watched(fun)
    with pytest.raises(kind) as caught:
        minimize(watching, [0.0, 1.0, 2.0], method=name, bounds=BOX, seed=0)
    assert caught.value is error
    assert error.__cause__ is cause
    assert len(watching.points) == at


@pytest.mark.parametrize("name", NAMES)
def test_the_objective_runs_under_the_callers_error_state(name):
    seen = set()

    def fun(x):
        seen.add(tuple(np.geterr().values()))
        return np.inf if x[0] > 1 else ripples(x)

    with np.errstate(over="raise", invalid="call", divide="print", under="warn"):
        before = tuple(np.geterr().values())
        minimize(fun, [0.0, 0.0, 0.0], method=name, bounds=BOX, seed=0, budget=300)
        assert tuple(np.geterr().values()) == before
    assert seen == {before}


@pytest.mark.parametrize("name", ["differential_evolution", "basinhopping", "shgo"])
@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_local_searches_take_steps_that_fit_single_precision(name, jac):
    class Coarse:
        dtype, batched = np.float32, False

        def __call__(self, x):
            return float(np.sum((x.astype(np.float32) - np.float32(0.25)) ** 2) + 1)

    options = {"niter": 3} if name == "basinhopping" else {}
    settings = {"method": name, "bounds": (-4, 4), "seed": 0, "options": options}
    result = minimize(Coarse(), [1.0, -1.0], jac=jac, budget=4000, **settings)
    assert result.history.stencil_count > 0
    assert result.fun < 1 + 1e-5


@pytest.mark.parametrize("name", ["differential_evolution", "basinhopping", "shgo"])
def test_a_gradient_that_is_nan_ends_a_descent_and_not_the_run(name):
    calls = []

    def jac(x):
        calls.append(x)
        return np.full(3, np.nan) if len(calls) % 2 else slope(x)

    options = {"niter": 5} if name == "basinhopping" else {}
    settings = {"method": name, "bounds": BOX, "seed": 0, "options": options}
    result = minimize(ripples, [1.0, 1.0, 1.0], jac=jac, **settings)
    assert calls
    assert "not finite" not in result.message
    assert np.isfinite(result.fun)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("differential_evolution", "updating", "later"),
        ("differential_evolution", "popsize", 0),
        ("basinhopping", "niter", 0),
    ],
)
def test_options_that_make_no_sense_are_named(name, option, value):
    with pytest.raises(ValueError, match=option):
        minimize(ripples, [0.0, 0.0, 0.0], method=name, bounds=BOX, options={option: value})


def test_nothing_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        minimize(ripples, method="shgo", bounds=BOX)
    assert not caplog.records


def test_a_noisy_objective_is_not_polished():
    settings = {"method": "differential_evolution", "bounds": BOX, "seed": 1}
    assert minimize(ripples, noisy=True, **settings).history.stencil_count == 0
