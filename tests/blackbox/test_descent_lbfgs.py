"""torch's L-BFGS beside a plain loop of torch's, and what failures do to it."""

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der

from blackbox import Optimizer, minimize
from tests.blackbox.descents import Perceptron, flat_of, loss_of, start, tensors_of

OPTIONS = [
    {"lr": 0.5},
    {"lr": 0.5, "max_iter": 3},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_eval": 7},
]


def torch_points(x, dtype, calls, options):
    """Every point at which torch's optimizer asks, each run of the same one once."""
    tensors, points = tensors_of(x, dtype), []
    optimizer = torch.optim.LBFGS(tensors, **options)

    def closure():
        point = flat_of(tensors)
        if not points or not np.array_equal(points[-1], point):
            points.append(point)
        optimizer.zero_grad()
        loss = loss_of(tensors)
        loss.backward()
        return loss.item()

    for _ in range(calls):
        optimizer.step(closure)
    return np.array(points)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_walks_as_a_plain_torch_loop(options, dtype):
    fun = Perceptron(dtype)
    result = minimize(fun, start(), method="lbfgs", options=options, budget=40)
    expected = torch_points(start(), dtype, 20, options)
    assert len(expected) >= 40
    assert np.array_equal(fun.walk(), expected[:40])
    assert result.nfev == result.njev == 40


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("jac", [rosen_der, None])
def test_it_ends_by_its_own_tolerances(search, jac):
    options = {"line_search_fn": search}
    result = minimize(rosen, np.zeros(4), method="lbfgs", jac=jac, options=options)
    assert result.success
    assert "tolerance_grad" in result.message
    assert result.fun < 1e-8
    assert result.nit > 5
    assert np.allclose(result.jac, rosen_der(result.x), atol=1e-5)
    rough = minimize(rosen, np.zeros(4), method="lbfgs", jac=jac, options=options, tol=1e-1)
    assert rough.nfev < result.nfev


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_it_keeps_bounds(search, watched):
    fun = watched(rosen)
    options = {"line_search_fn": search}
    result = minimize(fun, np.zeros(3), method="lbfgs", bounds=(-0.5, 0.6), options=options)
    best = minimize(rosen, np.zeros(3), method="l-bfgs-b", bounds=(-0.5, 0.6)).fun
    assert np.abs(fun.asked).max() <= 0.6
    assert result.success
    assert result.fun == pytest.approx(best, rel=1e-6)
    assert result.fun == rosen(result.x)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("what", ["value", "gradient"])
def test_a_wall_of_failures_is_no_end(search, what):
    def fun(x):
        return np.nan if what == "value" and x[0] > 0.9 else float(np.sum((x - 0.8) ** 2))

    def jac(x):
        return np.full(3, np.nan) if x[0] > 0.9 else 2 * (x - 0.8)

    # The first step of this length leads beyond the wall.
    options = {"line_search_fn": search, "lr": 5.0}
    result = minimize(fun, [-3.0, 0.0, 0.0], method="lbfgs", jac=jac, options=options, budget=500)
    assert result.success
    assert result.fun < 1e-6


def test_a_run_that_leaves_the_finite_numbers_keeps_its_best_point():
    def fun(x):
        with np.errstate(over="ignore"):
            return float(x @ x + np.sum(np.exp(x) ** 2))

    def jac(x):
        with np.errstate(over="ignore"):
            return 2 * x + 2 * np.exp(x) ** 2

    x0, options = np.full(2, 3.0), {"lr": 1e4}
    result = minimize(fun, x0, method="lbfgs", jac=jac, options=options, budget=60)
    # Small steps high up, after a leap, are no end either.
    assert not result.success
    assert result.fun < 10 < fun(x0)
    assert result.history.failure_count > 3


def test_a_start_that_fails_ends_it():
    result = minimize(lambda x: np.nan, np.zeros(2), method="lbfgs")
    assert not result.success
    assert "no finite value and gradient" in result.message
    assert result.nfev == 1


def test_what_never_ends_ends_at_a_stated_limit():
    # Steps of one length down a slope: no tolerance is ever met.
    result = minimize(
        lambda x: -float(x.sum()),
        np.zeros(2),
        method="lbfgs",
        jac=lambda x: -np.ones(2),
        options={"max_iter": 2},
    )
    assert not result.success
    assert "1000 steps of max_iter=2" in result.message


def test_it_can_be_asked_and_told():
    fun = Perceptron()
    with Optimizer("lbfgs", start(), gradients=True, line_search_fn="strong_wolfe") as run:
        while run.evaluations < 15:
            run.tell(*fun.value_and_gradient(run.ask()))
    expected = torch_points(start(), "float64", 2, {"line_search_fn": "strong_wolfe"})
    assert np.array_equal(fun.walk(), expected[:15])
