"""A warm start: where the past comes from, which of it counts, what methods learn from it."""

import copy
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from blackbox.algorithms.cmaes_past import NARROWEST, fit_prior
from blackbox.algorithms.cmaes_strategy import Strategy
from blackbox.evaluated import choose_best
from blackbox.problem import make_problem
from blackbox.types import Evaluated

BOX = [(-3.0, 3.0)] * 3


def bowl(x):
    return float(np.sum([1, 10, 100] * (x - 0.4) ** 2))


def draw(count=60, n=3, fun=bowl, seed=0):
    points = np.random.default_rng(seed).uniform(-3, 3, (count, n))
    return points, np.array([fun(x) for x in points])


class Asked:
    """An objective that remembers."""

    def __init__(self, fun=bowl):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(x.copy())
        return self.fun(x)


# Where it comes from.


def test_every_source_of_the_same_points_gives_the_same_run(tmp_path):
    path = tmp_path / "first.journal"
    before = minimize(
        bowl, method="pso", bounds=BOX, budget=80, seed=1, journal=path, keep_points=True
    )
    kept = before.history.evaluated
    sources = [path, str(path), read_journal(path), before, (kept.points, kept.values), kept]
    runs = []
    for source in sources:
        fun = Asked()
        minimize(fun, method="cma", bounds=BOX, budget=30, seed=2, warm_start=source)
        runs.append(np.array(fun.points))
    assert all(np.array_equal(run, runs[0]) for run in runs)


def test_a_result_that_kept_no_points_is_its_end():
    before = minimize(bowl, method="cma", bounds=BOX, budget=50, seed=1)
    fun = Asked()
    again = minimize(fun, method="nelder-mead", warm_start=before, budget=20)
    assert np.array_equal(fun.points[0], before.x)
    assert again.fun <= before.fun


def test_a_result_of_scipy_is_a_source():
    import scipy.optimize

    before = scipy.optimize.minimize(bowl, np.zeros(3), method="Nelder-Mead", options={"maxfev": 9})
    fun = Asked()
    minimize(fun, method="slsqp", warm_start=before, budget=20)
    assert np.array_equal(fun.points[0], before.x)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("nowhere.journal", JournalError, "nowhere.journal"),
        (3, TypeError, "warm_start is a journal"),
        (np.zeros(3), TypeError, "warm_start is a journal"),
        ((np.zeros((2, 3)),), TypeError, "warm_start is a journal"),
        ((np.zeros((2, 3)), np.zeros(3)), ValueError, r"shapes \(2, 3\) and \(3,\)"),
        ((np.zeros(3), np.zeros(3)), ValueError, r"shapes \(3,\) and \(3,\)"),
        ((np.zeros((0, 3)), np.zeros(0)), ValueError, "shapes"),
        (("a", "b"), TypeError, "points must be an array of real numbers"),
        ((np.zeros((1, 3)), [None]), TypeError, "values must be an array of real numbers"),
        ((np.zeros((1, 3)), [1j]), TypeError, "values must be an array of real numbers"),
        ((np.zeros((2, 4)), np.zeros(2)), ValueError, "4"),
        ((np.full((2, 3), 9.0), np.zeros(2)), ValueError, "2 points, none of which"),
        ((np.zeros((2, 3)), [np.nan, np.inf]), ValueError, "2 points, none of which"),
        (Result(x=None, fun=1.0), ValueError, "no x"),
    ],
)
def test_what_is_no_past_is_refused_before_anything_is_evaluated(source, error, words):
    fun = Asked()
    with pytest.raises(error, match=words):
        minimize(fun, method="cma", bounds=BOX, warm_start=source, budget=20)
    assert not fun.points


def test_x0_beside_a_past_is_refused():
    with pytest.raises(ValueError, match="x0 and warm_start both say where to begin"):
        minimize(bowl, np.zeros(3), bounds=BOX, warm_start=draw())


def test_a_journal_without_points_is_refused(tmp_path):
    path = tmp_path / "empty.journal"
    with Optimizer("random", bounds=BOX, budget=5, journal=path):
        pass
    with pytest.raises(ValueError, match="holds no points yet"):
        minimize(bowl, method="cma", bounds=BOX, warm_start=path)


# Which of it counts.


@given(
    arrays(float, (12, 2), elements=st.floats(-4, 4)),
    arrays(float, 12, elements=st.floats(-5, 5) | st.sampled_from([np.nan, np.inf, -np.inf])),
)
@settings(deadline=None, max_examples=50)
def test_chosen_points_are_inside_finite_distinct_and_in_order(points, values):
    lower, upper = np.array([-3.0, -1.0]), np.array([3.0, 4.0])
    fit = np.isfinite(values) & ((points >= lower) & (points <= upper)).all(axis=1)
    if not fit.any():
        with pytest.raises(ValueError, match="none of which"):
            choose_best(Evaluated(points, values), lower, upper, None, None)
        return
    chosen = choose_best(Evaluated(points, values), lower, upper, None, None)
    assert (np.diff(chosen.values) >= 0).all()
    assert chosen.values[0] == values[fit].min()
    told = {tuple(x + 0.0) for x in points[fit]}
    assert {tuple(x + 0.0) for x in chosen.points} == told
    assert len(chosen.points) == len(told)
    for x, value in zip(chosen.points, chosen.values, strict=True):
        assert value == values[fit & (points == x).all(axis=1)].min()


def test_feasible_points_come_first():
    points, values = draw()
    needs = {"type": "ineq", "fun": lambda x: x[0] - 1}
    problem = make_problem(None, BOX, needs, past=Evaluated(points, values))
    feasible = points[:, 0] >= 1
    assert problem.past.values[0] == values[feasible].min()
    assert (problem.past.points[: feasible.sum(), 0] >= 1).all()
    result = minimize(
        bowl, method="pso", bounds=BOX, constraints=needs, warm_start=(points, values), budget=100
    )
    assert result.maxcv <= 1e-6
    assert result.fun <= values[feasible].min()


def test_only_whole_numbers_count_where_integers_are_asked_for():
    points = np.array([[1.0, 0.5, 2.0], [1.5, 0.5, 2.0], [-1.0, 0.1, 0.0]])
    problem = make_problem(
        None, BOX, integrality=[1, 0, 1], past=Evaluated(points, np.array([3.0, 1.0, 2.0]))
    )
    assert np.array_equal(problem.past.points, points[[2, 0]])


@pytest.mark.parametrize("method", ["cma", "pso", "differential_evolution", "lq-cma", "slsqp"])
def test_fixed_variables_and_points_elsewhere(method):
    points, _ = draw()
    points[::2, 1] = 0.25
    values = np.array([bowl(x) for x in points])
    bounds = [(-3, 3), (0.25, 0.25), (-3, 3)]
    fun = Asked()
    result = minimize(
        fun, method=method, bounds=bounds, warm_start=(points, values), budget=60, seed=0
    )
    assert (np.array(fun.points)[:, 1] == 0.25).all()
    assert result.fun <= values[::2].min()


def test_a_lucky_value_of_a_noisy_objective_does_not_count():
    rng = np.random.default_rng(0)
    points, values = draw()
    result = minimize(
        lambda x: bowl(x) + rng.normal(),
        method="cma",
        bounds=BOX,
        noisy=True,
        warm_start=(points, values - 1000),
        budget=200,
        seed=0,
    )
    assert result.fun > -100


def test_a_target_that_is_known_to_be_reached_costs_nothing():
    fun = Asked()
    points, values = draw()
    for settings_ in ({}, {"steady": True}):
        result = minimize(
            fun,
            method="random",
            bounds=BOX,
            warm_start=(points, values),
            target=values.min(),
            **settings_,
        )
        assert (result.success, result.nfev, len(fun.points)) == (True, 0, 0)
        assert result.fun == values.min()


def test_what_was_given_is_not_changed():
    points, values = draw()
    before = points.copy(), values.copy()
    for each in (points, values):
        each.flags.writeable = False
    minimize(
        bowl, method="differential_evolution", bounds=BOX, warm_start=(points, values), budget=90
    )
    assert np.array_equal(points, before[0])
    assert np.array_equal(values, before[1])


# What methods learn.


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


# It survives as all else does.


def test_a_pickled_run_keeps_its_past():
    with Optimizer("pso", bounds=BOX, seed=0, budget=60, warm_start=draw(), swarmsize=10) as run:
        run.tell([bowl(x) for x in run.ask()])
        with pickle.loads(pickle.dumps(run)) as other:
            assert np.array_equal(run.ask(), other.ask())
            assert run.best_value == other.best_value
        assert copy.copy(run.best_value) == run.best_value


def test_the_journal_of_another_past_is_refused(tmp_path):
    settings_ = {"method": "cma", "bounds": BOX, "budget": 20, "seed": 0}
    path = tmp_path / "run.journal"
    first = minimize(bowl, warm_start=draw(), journal=path, **settings_)
    again = minimize(bowl, warm_start=draw(), journal=path, **settings_)
    assert np.array_equal(first.x, again.x)
    for other in ({"warm_start": draw(seed=1)}, {"x0": np.zeros(3)}):
        with pytest.raises(JournalError, match="the points of warm_start differ"):
            minimize(bowl, journal=path, **settings_, **other)


def test_many_points_are_known_by_their_digest(tmp_path):
    past = draw(9000, n=12, fun=lambda x: float(x @ x))
    settings_ = {"method": "cma", "bounds": [(-3, 3)] * 12, "budget": 24, "seed": 0}
    path = tmp_path / "run.journal"
    first = minimize(lambda x: float(x @ x), warm_start=past, journal=path, **settings_)
    assert path.stat().st_size < 50_000
    again = minimize(lambda x: float(x @ x), warm_start=past, journal=path, **settings_)
    assert np.array_equal(first.x, again.x)
    with pytest.raises(JournalError, match="past"):
        Optimizer.restore(path)


def test_a_source_that_has_grown_or_is_gone_does_not_keep_a_run_from_going_on(tmp_path):
    source, own = tmp_path / "source.journal", tmp_path / "own.journal"
    begun = {"method": "pso", "bounds": BOX, "seed": 0, "options": {"swarmsize": 10}}
    settings_ = {"method": "cma", "bounds": BOX, "budget": 60, "seed": 1, "warm_start": source}
    minimize(bowl, budget=30, journal=source, **begun)
    whole = minimize(bowl, **settings_)

    def dying(x):
        if len(calls.points) == 25:
            raise KeyError
        return bowl(x)

    calls = Asked(dying)
    with pytest.raises(KeyError):
        minimize(calls, journal=own, **settings_)
    minimize(bowl, budget=50, journal=source, **begun)
    grown = minimize(bowl, journal=own, **settings_)
    source.unlink()
    gone = minimize(bowl, journal=own, **settings_)
    for each in (grown, gone):
        assert np.array_equal(each.x, whole.x)
        assert each.nfev == 60


@pytest.mark.parametrize("method", ["adam", "sep-cma"])
def test_the_journal_of_many_variables_that_has_ended_holds_the_best(tmp_path, method):
    path, n = tmp_path / "run.journal", 1200

    class Bowl:
        batched, n = True, 1200

        def __call__(self, points):
            return (points**2).sum(axis=1)

        def value_and_gradient(self, points):
            return self(points), 2 * points

    first = minimize(Bowl(), np.ones(n), method=method, budget=40, journal=path, seed=0)
    past = read_journal(path)
    assert past.reason is not None
    assert np.array_equal(past.best_x, first.history.best_x)
    assert past.best_value == first.history.best_value
    again = minimize(Bowl(), method="l-bfgs-b", warm_start=path, budget=5)
    assert again.fun < first.fun
    assert np.array_equal(
        minimize(Bowl(), np.ones(n), method=method, budget=40, journal=path).x, first.x
    )


SCRIPT = """
import os, signal, sys
import numpy as np
from blackbox import minimize

rng = np.random.default_rng(0)
points = rng.uniform(-3, 3, (50, 3))
calls = []

def fun(x):
    calls.append(x)
    if len(sys.argv) > 1 and len(calls) == 33:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(np.sum((x - 0.4) ** 2))

values = [float(np.sum((x - 0.4) ** 2)) for x in points]
result = minimize(fun, method="pso", bounds=[(-3, 3)] * 3, warm_start=(points, values), seed=3,
                  budget=80, options={"swarmsize": 12}, journal="run.journal", keep_points=True)
print(result.x.tobytes().hex(), result.nfev, len(result.history.evaluated.values))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_with_a_past_ends_as_if_nothing_had_happened(tmp_path):
    def run(folder, *arguments):
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        return done.returncode, done.stdout, done.stderr

    whole = run(tmp_path / "whole")
    assert whole[0] == 0, whole[2]
    assert run(tmp_path / "killed", "kill")[0] == -signal.SIGKILL
    assert run(tmp_path / "killed") == whole


# Every point, if asked for.


@pytest.mark.parametrize("method", ["cma", "slsqp", "nelder-mead", "pso", "trust-constr", "adam"])
def test_kept_points_are_all_that_was_evaluated(method):
    fun = Asked()
    result = minimize(
        fun, np.zeros(3), method=method, bounds=BOX, budget=50, seed=0, keep_points=True
    )
    kept = result.history.evaluated
    assert np.array_equal(kept.points, np.array(fun.points))
    assert np.array_equal(kept.values, [bowl(x) for x in fun.points])
    assert len(kept.values) == result.nfev
    plain = minimize(bowl, np.zeros(3), method=method, bounds=BOX, budget=5)
    assert plain.history.evaluated is None


def test_kept_points_are_there_after_failures_errors_and_on_disk(tmp_path):
    def fun(x):
        if len(calls.points) == 30:
            raise KeyError("no more")
        return np.nan if len(calls.points) % 7 == 0 else bowl(x)

    calls = Asked(fun)
    with pytest.raises(KeyError) as raised:
        minimize(calls, method="random", bounds=BOX, keep_points=True, seed=0)
    kept = raised.value.result.history.evaluated
    assert len(kept.values) == 29
    assert np.isinf(kept.values).sum() == 4
    raised.value.result.save(tmp_path / "run.result")
    loaded = Result.load(tmp_path / "run.result").history.evaluated
    assert np.array_equal(loaded.points, kept.points)
    assert np.array_equal(loaded.values, kept.values)


def test_points_of_a_noisy_objective_are_kept_and_those_of_minibatches_are_not():
    rng = np.random.default_rng(0)
    fun = Asked(lambda x: bowl(x) + rng.normal())
    result = minimize(
        fun, method="cma", bounds=BOX, noisy=True, budget=60, seed=0, keep_points=True
    )
    kept = result.history.evaluated
    asked = {x.tobytes() for x in fun.points}
    assert 30 < len(kept.values) <= 60
    assert {x.tobytes() for x in kept.points} <= asked


def test_objects_that_are_numbers_and_other_dimensions_are_told_apart():
    points, values = draw()
    result = minimize(
        bowl,
        method="cma",
        bounds=BOX,
        warm_start=(points.astype(object), list(values)),
        budget=10,
        seed=0,
    )
    assert result.fun <= values.min()
    with pytest.raises(ValueError, match="but warm_start has 2 coordinates"):
        minimize(bowl, method="cma", bounds=BOX, warm_start=(points[:, :2], values))


def test_a_run_that_evaluated_nothing_has_kept_nothing():
    result = minimize(
        bowl, method="random", bounds=BOX, warm_start=draw(), target=1e9, keep_points=True
    )
    assert result.history.evaluated.points.shape == (0, 0)
    assert result.history.evaluated.values.shape == (0,)
    assert minimize(bowl, method="cma", bounds=BOX, warm_start=result, budget=5).nfev == 5
