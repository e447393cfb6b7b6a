"""A warm start: what methods learn from the past."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import minimize
from blackbox.algorithms.cmaes_past import NARROWEST, fit_prior
from blackbox.algorithms.cmaes_strategy import Strategy
from blackbox.problem import make_problem
from blackbox.types import Evaluated
from tests.blackbox.bowl import BOX, Asked, bowl, draw


@pytest.mark.parametrize("method", ["pso", "differential_evolution"])
@pytest.mark.parametrize("updating", ["deferred", "immediate"])
def test_a_population_takes_the_best_in_and_does_not_evaluate_them(method, updating):
    points, values = draw(200)
    best = points[values.argsort()]
    size = {"swarmsize": 20} if method == "pso" else {"popsize": 7, "polish": False}
    whole = 20 if method == "pso" else 21
    fun = Asked()
    minimize(
        fun,
        method=method,
        bounds=BOX,
        warm_start=(points, values),
        options=size | {"updating": updating, "maxiter": 2},
        seed=0,
    )
    asked = np.array(fun.points)
    assert len(asked) == whole - whole // 2 + 2 * whole
    known = {x.tobytes() for x in best[: whole // 2]}
    assert not known & {x.tobytes() for x in asked}


@pytest.mark.parametrize("method", ["pso", "differential_evolution", "cma", "sep-cma", "random"])
def test_a_steady_run_knows_the_past_too(method):
    points, values = draw(200)
    fun = Asked()
    result = minimize(
        fun, method=method, bounds=BOX, warm_start=(points, values), steady=True, budget=80, seed=9
    )
    assert result.nfev == len(fun.points) == 80
    assert result.fun == min(values.min(), *(bowl(x) for x in fun.points))
    assert not {x.tobytes() for x in points} & {x.tobytes() for x in fun.points}


def test_where_values_are_told_otherwise_known_points_are_evaluated():
    """The penalty of constraints is part of what a swarm is told."""
    points, values = draw(200)
    best = points[values.argmin()]
    fun = Asked()
    needs = {"type": "ineq", "fun": lambda x: 3.5 - x[0]}
    minimize(
        fun,
        method="pso",
        bounds=BOX,
        constraints=needs,
        warm_start=(points, values),
        budget=120,
        seed=0,
    )
    assert np.array_equal(fun.points[0], best)


def test_the_first_distribution_of_cma_is_that_of_the_best_points():
    rng = np.random.default_rng(3)
    shape = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 0.01]])
    points = 0.3 * rng.multivariate_normal(np.zeros(3), shape, 3000)
    # All alike, so that none is better: their order is chance.
    problem = make_problem(None, BOX, past=Evaluated(points, np.arange(3000.0)))
    es = Strategy({}, problem, np.random.default_rng(0)).es
    stds = np.asarray(es.sigma_vec.scaling)
    found = es.sigma**2 * np.outer(stds, stds) * es.sm.covariance_matrix
    least = (NARROWEST * 1.8) ** 2 * np.eye(3)
    assert np.allclose(found, 0.09 * shape + least, atol=0.03)
    assert np.allclose(es.mean, points.mean(axis=0), atol=0.05)
    prior = fit_prior(points, np.full(3, 1.8))
    assert np.allclose(found, np.outer(prior.stds, prior.stds) * prior.correlations)


def test_what_the_user_says_of_the_first_step_stays():
    problem = make_problem(None, BOX, past=Evaluated(*draw()))
    es = Strategy({"sigma0": 0.125}, problem, np.random.default_rng(0)).es
    assert es.sigma == 0.125
    assert np.allclose(es.stds / es.stds[0], 1, rtol=1e-3)


@given(st.integers(1, 30), st.integers(1, 6), st.floats(1e-9, 10))
@settings(deadline=None, max_examples=50)
def test_a_first_distribution_is_never_flat(count, n, width):
    points = width * np.random.default_rng(count).standard_normal((count, n))
    points[: count // 2] = points[0]
    usual = np.full(n, 0.5)
    prior = fit_prior(points, usual)
    if count == 1:
        assert prior is None
        return
    assert (prior.stds >= NARROWEST * usual * (1 - 1e-9)).all()
    assert np.allclose(np.diag(prior.correlations), 1)
    assert np.linalg.eigvalsh(prior.correlations).min() > 0


@pytest.mark.parametrize("method", ["cma", "sep-cma", "vkd-cma", "lq-cma", "bipop-cma"])
@pytest.mark.parametrize("count", [2, pytest.param(1, marks=pytest.mark.slow), 40])
def test_one_variable_and_few_points(method, count):
    points = np.linspace(-2, 2, count)[:, None]
    values = (points[:, 0] - 0.3) ** 2
    result = minimize(
        lambda x: float((x[0] - 0.3) ** 2),
        method=method,
        bounds=[(-3, 3)],
        warm_start=(points, values),
        budget=120,
        seed=0,
    )
    assert result.fun < 1e-4


def test_a_model_of_the_past_saves_evaluations():
    """The quadratic model of lq-cma knows a bowl when it has seen enough of it."""
    fun = Asked()
    result = minimize(
        fun, method="lq-cma", bounds=BOX, warm_start=draw(30), target=1e-8, budget=400, seed=0
    )
    alone = minimize(bowl, method="lq-cma", bounds=BOX, target=1e-8, budget=400, seed=0)
    assert result.fun <= 1e-8
    assert result.nfev < alone.nfev / 2


def test_only_the_first_of_a_chain_learns_and_the_next_goes_on_from_there():
    points, values = draw()
    asked = []
    for options in ({}, {"cma": {"share": 0.5}}):
        fun = Asked()
        result = minimize(
            fun,
            method="cma+slsqp",
            bounds=BOX,
            warm_start=(points, values),
            options=options,
            budget=80,
            seed=0,
        )
        assert result.fun <= values.min()
        asked.append(fun.points)
    alone = Asked()
    minimize(alone, method="cma", bounds=BOX, warm_start=(points, values), budget=20, seed=0)
    assert all(np.array_equal(asked[1][i], alone.points[i]) for i in range(20))
