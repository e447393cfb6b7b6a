"""Steady state: values are told as they come, in whatever order; each method searches by them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import rosen

from blackbox import minimize
from tests.blackbox.conftest import BOX, shifted_sphere
from tests.blackbox.shuffled import STEADY, WIDTH, Shuffled, run, same


@pytest.mark.parametrize("name", STEADY)
def test_values_may_come_in_any_order(name, watched):
    budget = 625  # a grid of five a side
    fun, pool = watched(shifted_sphere), Shuffled(budget)
    result = run(fun, name, budget, workers=pool)
    assert result.nfev == len(fun.values) <= pool.count <= budget
    assert result.nfev == budget or result.success
    assert result.fun == min(fun.values)
    assert pool.most == WIDTH
    assert (np.abs(fun.asked) <= 5).all()
    reached = {"cma": 1e-4, "sep-cma": 1e-4, "pso": 0.1, "differential_evolution": 0.5}
    assert result.fun < reached.get(name, np.median(fun.values) / 10)


@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize("steady", [pytest.param(True, marks=pytest.mark.slow), 7])
def test_one_at_a_time_a_run_repeats(name, steady, watched):
    runs = [watched(rosen) for _ in range(2)]
    first, second = (run(fun, name, 81, steady=steady, workers=None) for fun in runs)
    assert same(first, second)
    assert np.array_equal(runs[0].asked, runs[1].asked)
    assert len(runs[0].values) == first.nfev == 81


@pytest.mark.parametrize(
    ("name", "options"),
    [("random", {}), ("sobol", {}), ("lhs", {}), ("grid", {}), ("pso", {"updating": "immediate"})],
)
def test_one_at_a_time_it_is_the_usual_run(name, options, watched):
    usual, steady = watched(rosen), watched(rosen)
    settings = {"budget": 300, "method": name, "bounds": BOX, "seed": 3}
    settings["options"] = {"maxiter": 20, "swarmsize": 9, **options} if options else {}
    expected = minimize(usual, [0.5] * 4, **settings)
    result = minimize(steady, [0.5] * 4, **settings, steady=True)
    assert np.array_equal(usual.asked, steady.asked)
    assert (result.fun, result.nfev, result.message) == (
        expected.fun,
        expected.nfev,
        expected.message,
    )


@pytest.mark.parametrize("name", ["cma", "sep-cma"])
def test_one_at_a_time_cma_samples_as_by_generations(name, watched):
    usual, steady = watched(rosen), watched(rosen)
    settings = {"budget": 160, "method": name, "bounds": BOX, "seed": 3}
    minimize(usual, **settings)
    minimize(steady, **settings, steady=True)
    np.testing.assert_allclose(steady.asked, usual.asked, rtol=1e-9)


STRATEGIES = [
    pytest.param(kind + end, marks=[] if kind + end == "randtobest1bin" else pytest.mark.slow)
    for kind in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
    for end in ("bin", "exp")
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_of_differential_evolution_get_as_far_as_scipys(strategy):
    # scipy's own updating="immediate" is the same rule, with other random draws.
    options = {"strategy": strategy, "polish": False, "tol": 0, "popsize": 5, "mutation": 0.6}
    settings = {"method": "differential_evolution", "bounds": BOX, "budget": 500}
    reached = []
    for more in ({"steady": True}, {"options": options | {"updating": "immediate"}}):
        given = settings | {"options": options} | more
        runs = [minimize(shifted_sphere, seed=seed, **given) for seed in range(8)]
        reached.append(np.median([np.log10(result.fun) for result in runs]))
    assert abs(reached[0] - reached[1]) < 1


def test_a_strategy_of_the_users_sees_the_best_member_first():
    values = {}

    def fun(x):
        values[x.tobytes()] = shifted_sphere(x)
        return values[x.tobytes()]

    def strategy(candidate, population, rng=None):
        known = [shifted_sphere(x) for x in population]
        assert known[0] == min(known)
        assert 0 <= candidate < len(population)
        return population[0] + rng.uniform(-0.1, 0.1, 4)

    options = {"strategy": strategy, "popsize": 3}
    result = run(fun, "differential_evolution", 300, options=options, workers=None)
    assert result.fun < 0.05
    options["strategy"] = lambda candidate, population, rng=None: population[0, :2]
    with pytest.raises(ValueError, match=r"strategy must return a point of shape \(4,\)"):
        run(fun, "differential_evolution", 300, options=options, workers=None)


def test_a_slow_evaluation_holds_up_nobody():
    others, lock, count = threading.Event(), threading.Lock(), iter(range(100))

    def fun(x):
        with lock:
            number = next(count)
        if number == 0:
            assert others.wait(30)
        elif number == 59:  # all but the first
            others.set()
        return shifted_sphere(x)

    with ThreadPoolExecutor(2) as pool:
        result = run(fun, budget=60, workers=pool, options={"popsize": 6})
    assert result.nfev == 60


@pytest.mark.parametrize("name", [pytest.param("cma", marks=pytest.mark.slow), "sep-cma"])
def test_more_points_under_way_than_a_usual_population(name):
    result = run(method=name, budget=1500, workers=Shuffled(1500, width=40))
    assert result.fun < 0.01


def test_more_points_under_way_than_particles():
    result = run(
        method="pso", budget=900, workers=Shuffled(900, width=40), options={"swarmsize": 15}
    )
    assert result.fun < 1


def test_the_end_of_a_grid_and_of_maxiter():
    result = run(method="grid", budget=100, options={"points": 3}, workers=Shuffled(81))
    assert result.nfev == 81
    assert "every point of the design" in result.message
    for name, size in (("pso", {"swarmsize": 6}), ("differential_evolution", {"popsize": 2})):
        options = {"maxiter": 2, **size}
        result = run(rosen, name, None, workers=None, options=options, steady=3)
        assert "maxiter=2" in result.message
        assert result.nfev == 3 * (6 if name == "pso" else 8)
        assert result.nit == 2


# Engines.


@pytest.mark.slow
def test_it_is_faster_where_a_few_evaluations_are_slow():
    import time

    def fun(x):
        time.sleep(0.1 if int(1e6 * abs(x[0])) % 5 == 0 else 0.01)
        return shifted_sphere(x)

    seconds = []
    for steady in (False, True):
        with ThreadPoolExecutor(WIDTH) as pool:
            seconds.append(run(fun, budget=400, workers=pool, steady=steady).seconds)
    assert seconds[1] < 0.8 * seconds[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_dask():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
        distributed.Client(made) as client,
    ):
        for workers in (client, client.get_executor()):
            result = run(rosen, budget=60, workers=workers)
            assert result.nfev == 60


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_ray():
    ray = pytest.importorskip("ray")
    from blackbox import RayExecutor

    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False)
    try:
        executor = RayExecutor(num_cpus=1)
        assert executor.max_workers == 2
        assert run(rosen, budget=40, workers=executor).nfev == 40
    finally:
        ray.shutdown()
