"""Gradient steps within a population's search, and after it."""

import numpy as np
import pytest
import torch
from scipy.optimize import rosen, rosen_der

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.algorithms import find
from blackbox.algorithms.cmaes_strategy import Strategy
from blackbox.blocking import drive
from blackbox.composing.refined import Refinement, refine
from blackbox.problem import make_problem
from blackbox.types import Ask, Stop, Told
from tests.blackbox.minibatches import BOX as FITTED_BOX
from tests.blackbox.minibatches import Differentiable, at_full_fidelity

BOX = [(-5.0, 5.0)] * 4
START = np.zeros(4)
POPULATIONS = ["cma", "sep-cma", "vkd-cma", "bipop-cma", "lq-cma", "differential_evolution", "pso"]
BASELINES = ["random", "lhs", "sobol", "grid"]
ONE_BY_ONE = ["basinhopping", "direct", "dual_annealing", "pyswarm", "shgo"]
STEP = {"lr": 0.02}


def search(method="cma", fun=rosen, jac=rosen_der, refine=STEP, **settings):
    settings = {"x0": START, "bounds": BOX, "budget": 500, "seed": 3} | settings
    own = settings.pop("options", {})
    return minimize(fun, method=method, jac=jac, options={**own, "refine": refine}, **settings)


def torch_walk(x, steps, lr):
    """Adam on Rosenbrock's function, by hand: the points, (steps + 1, n)."""
    point = torch.tensor(x, requires_grad=True)
    adam = torch.optim.Adam([point], lr=lr)
    way = [x.copy()]
    for _ in range(steps):
        adam.zero_grad()
        (100 * (point[1:] - point[:-1] ** 2) ** 2 + (1 - point[:-1]) ** 2).sum().backward()
        adam.step()
        way.append(point.detach().numpy().copy())
    return np.array(way)


class Population:
    """Asks three batches, and keeps what it is told."""

    takes_moved = True

    def __init__(self, batches):
        self.batches, self.told = batches, []

    def run(self, problem, rng):
        for batch in self.batches:
            self.told.append((yield Ask(batch.copy())))
        return Stop("done", True, extras={"x": np.zeros(4), "fun": -99.0, "kept": 7})


def told_to(batches, evaluate, given=None, row="cma", **problem):
    """Run refined batches; return the stop, what the population was told, and all asks."""
    population, asks = Population(batches), []

    def answer(ask):
        asks.append(ask)
        return evaluate(ask)

    shown = make_problem(START, BOX, (), gradients="joint", **problem)
    refined = refine(find(row), population, given or Refinement(options=STEP), shown)
    stop = drive(refined.run(shown, np.random.default_rng(0)), answer)
    return stop, population.told, asks


def rosenbrock(ask):
    values = np.array([rosen(x) for x in ask.points])
    return Told(values, np.array([rosen_der(x) for x in ask.points]) if ask.gradients else None)


BATCHES = np.random.default_rng(8).uniform(-2, 2, (3, 6, 4))


# What is asked and told


def test_the_best_of_a_batch_walks_as_torch_would():
    _, _, asks = told_to(BATCHES[:1], rosenbrock)
    leader = min(BATCHES[0], key=rosen)
    way = np.concatenate([ask.points for ask in asks[1:]])
    np.testing.assert_allclose(way, torch_walk(leader, 5, 0.02), rtol=0, atol=1e-14)
    assert [ask.gradients for ask in asks] == [False, *[True] * 5, False]


@pytest.mark.parametrize("inherit", [False, True])
def test_it_is_told_as_the_lowest_on_its_way(inherit):
    given = Refinement(steps=4, best=2, inherit=inherit, options={"lr": 0.3})
    _, told, asks = told_to(BATCHES, rosenbrock, given)
    assert [len(ask.points) for ask in asks] == 3 * [6, 2, 2, 2, 2, 2]
    for batch, one in zip(BATCHES, told, strict=True):
        plain = np.array([rosen(x) for x in batch])
        expected, points = plain.copy(), batch.copy()
        for i in np.argsort(plain)[:2]:
            way = torch_walk(batch[i], 4, 0.3)
            lowest = min(way, key=rosen)
            expected[i], points[i] = rosen(lowest), lowest
        assert (expected < plain).any()
        np.testing.assert_allclose(one.values, expected, rtol=1e-12)
        if inherit:
            np.testing.assert_allclose(one.points, points, rtol=1e-12)
        else:
            assert one.points is None


def test_more_points_than_a_batch_has_are_all_of_it():
    _, _, asks = told_to(BATCHES[:1], rosenbrock, Refinement(best=50, steps=1))
    assert [len(ask.points) for ask in asks] == [6, 6, 6]


def test_failures_are_not_walked_from():
    def evaluate(ask):
        told = rosenbrock(ask)
        return told._replace(values=np.where(ask.points[:, 0] > 0, np.inf, told.values))

    _, told, asks = told_to(BATCHES, evaluate, Refinement(best=6, steps=1))
    good = [int((batch[:, 0] <= 0).sum()) for batch in BATCHES]
    assert [len(ask.points) for ask in asks] == [size for g in good for size in (6, g, g)]
    assert all((t.values < np.inf).sum() == g for t, g in zip(told, good, strict=True))
    _, told, asks = told_to(BATCHES, lambda ask: Told(np.full(len(ask.points), np.inf)))
    assert [len(ask.points) for ask in asks] == [6, 6, 6]
    assert not np.isfinite([t.values for t in told]).any()


def test_single_points_are_left_as_they_are():
    batches = [BATCHES[0], BATCHES[1][:1], BATCHES[2]]
    _, told, asks = told_to(batches, rosenbrock, Refinement(steps=2))
    assert [len(ask.points) for ask in asks] == [6, 1, 1, 1, 1, 6, 1, 1, 1]
    assert told[1].points is None


def test_an_end_with_a_value_of_another_point_is_left_out():
    stop, _, _ = told_to(BATCHES, rosenbrock)
    assert dict(stop.extras) == {"kept": 7}


def test_on_minibatches_a_whole_batch_is_told_by_one():
    count = 0

    def evaluate(ask):
        nonlocal count
        count += not ask.stencil
        told = rosenbrock(ask)
        return told._replace(values=told.values + 1000 * count)

    given = Refinement(steps=3, options=STEP)
    _, told, asks = told_to(BATCHES[:2], evaluate, given, changing=True)
    assert [len(ask.points) for ask in asks] == 2 * [6, 1, 1, 1, 6]
    for batch, one, last, number in zip(BATCHES, told, (asks[4], asks[9]), (5, 10), strict=False):
        leader = int(np.argmin([rosen(x) for x in batch]))
        moved = batch.copy()
        moved[leader] = torch_walk(batch[leader], 3, 0.02)[-1]
        np.testing.assert_allclose(last.points, moved, rtol=1e-12)
        np.testing.assert_array_equal(one.points, last.points)
        np.testing.assert_allclose(one.values, [rosen(x) + 1000 * number for x in moved])


def test_of_noisy_values_the_last_counts_and_not_the_luckiest():
    luck = np.random.default_rng(0)

    def evaluate(ask):
        told = rosenbrock(ask)
        return told._replace(values=told.values + 100 * luck.standard_normal(len(told.values)))

    seen = []

    def remember(ask):
        told = evaluate(ask)
        seen.append(told.values)
        return told

    given = Refinement(steps=8, options=STEP)
    _, told, asks = told_to(BATCHES[:1], remember, given, row="pso", noisy=True)
    leader = int(np.argmin(seen[0]))
    assert told[0].values[leader] == seen[-1][0] > min(values[0] for values in seen[1:])
    np.testing.assert_array_equal(told[0].points[leader], asks[-1].points[0])


def test_cma_learns_from_points_that_moved_as_its_library_does():
    shown = make_problem(START, BOX, ())
    ours, librarys = (Strategy({}, shown, np.random.default_rng(0)) for _ in range(2))
    for _ in range(5):
        moved = ours.ask()
        np.testing.assert_array_equal(librarys.ask(), moved)
        moved[2] = moved[0] * 0.3 + 0.7
        values = np.array([rosen(x) for x in moved])
        ours.tell(values, moved)
        librarys.es.tell([*librarys.solutions[:2], moved[2], *librarys.solutions[3:]], values)
        np.testing.assert_array_equal(ours.mean, librarys.mean)
    unmoved = Strategy({}, shown, np.random.default_rng(0))
    unmoved.ask()
    unmoved.tell(values)
    assert not np.array_equal(unmoved.mean, ours.mean)


# Whole runs


@pytest.mark.parametrize("jac", ["none", "joint", "separate"])
@pytest.mark.parametrize("method", [*POPULATIONS, *BASELINES])
def test_runs_are_exact_inside_the_box_and_end_at_the_best_point_seen(method, jac):
    spent, slopes, points, values = [0], [0], [], []

    def fun(x):
        points.append(x.copy())
        spent[0] += 1
        values.append(rosen(x))
        return (values[-1], slope(x)) if jac == "joint" else values[-1]

    def slope(x):
        slopes[0] += 1
        return rosen_der(x)

    given = {"none": None, "joint": True, "separate": slope}[jac]
    box = [(-0.5, 0.6)] * 4
    options = {"popsize": 4 if method == "differential_evolution" else 8, "polish": False}
    options = {name: v for name, v in options.items() if name in ALGORITHMS[method].options()}
    if method == "pso":
        options = {"swarmsize": 8}
    settings = {"fun": fun, "jac": given, "bounds": box, "options": options, "budget": 200}
    result = search(method, **settings)
    assert spent[0] == result.nfev
    assert result.nfev == 200 or (method in ("grid", "lq-cma") and result.nfev < 200)
    assert (result.njev > 5) == (jac != "none")
    assert jac != "separate" or slopes[0] == result.njev
    assert np.abs(np.array(points) - 0.05).max() <= 0.55 + 1e-12
    assert result.fun == rosen(result.x)
    assert result.fun <= min(values) + (1e-6 if jac == "none" else 0)  # a stencil may be lower
    again = search(method, **settings)
    assert np.array_equal(again.x, result.x)


@pytest.mark.parametrize("method", ["cma", "differential_evolution"])
def test_ask_and_tell_is_the_same_run(method, watched, no_thread_left):
    fun = watched(rosen)
    options = {} if method == "cma" else {"polish": False}
    search(method, fun, None, budget=400, options=options)
    asked = []
    with Optimizer(
        method, START, bounds=BOX, budget=400, seed=3, refine=STEP, **options
    ) as optimizer:
        while not optimizer.stopped:
            asked.append(optimizer.ask())
            optimizer.tell([rosen(x) for x in asked[-1]])
    assert np.array_equal(np.concatenate(asked), fun.asked)


def test_a_few_steps_help_where_many_variables_have_a_slope():
    """A hundred of them, in no more forward passes: a gradient is two."""
    weights = np.logspace(0, 1, 100)
    settings = {"fun": lambda x: float(weights @ x**2), "jac": lambda x: 2 * weights * x}
    settings |= {"x0": np.ones(100), "bounds": None}
    plain = search(**settings, refine=None, budget=3000)
    refined = search(**settings, refine={"lr": 0.1}, budget=1900)
    assert refined.nfev + 2 * refined.njev <= 3000 == plain.nfev
    assert refined.fun < 0.7 * plain.fun


def test_fixed_variables_stay_and_constraints_hold():
    bounds = [(-5, 5), (0.5, 0.5), (-5, 5), (-5, 5)]
    result = search(bounds=bounds, x0=[0, 0.5, 0, 0])
    assert result.x[1] == 0.5
    disc = {"type": "ineq", "fun": lambda x: 1 - x @ x}
    result = search(constraints=disc, budget=900)
    assert result.maxcv <= 1e-6
    assert result.fun == rosen(result.x) < 2


def test_nothing_but_failures_ends_without_success():
    result = search(fun=lambda x: np.nan, budget=200)
    assert not result.success
    assert result.nfev <= 200


@pytest.mark.parametrize("refine", [STEP, {"inherit": False, "lr": 0.1, "best": 2}])
def test_minibatches_are_searched_to_the_budget_and_judged_on_all_data(refine):
    fun = Differentiable()
    result = search(
        fun=fun,
        jac=None,
        bounds=FITTED_BOX,
        budget=2000,
        refine=refine,
        options={"popsize": 6},
    )
    assert result.nfev == 2000
    assert result.njev > 500
    assert result.fun == pytest.approx(at_full_fidelity(fun, result))
    assert result.fun < 0.3  # the noise alone is 0.25


@pytest.mark.parametrize("refine", ["adam", {"steps": 2, "method": "ADAM"}, {}])
def test_a_name_stands_for_the_defaults(refine):
    given = {"steps": 5, "best": 1} | (refine if isinstance(refine, dict) else {})
    named = search(refine=refine)
    spelled = search(refine={"method": "adam", "lr": 1e-3, "inherit": True, **given})
    assert np.array_equal(named.x, spelled.x)


# Refusals


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"refine": "cma"}, ValueError, "'cma' is no gradient method"),
        ({"refine": "l-bfgs-b"}, ValueError, "no gradient method that walks"),
        ({"refine": "adan"}, ValueError, "did you mean"),
        ({"refine": 5}, TypeError, "a gradient method's name, or a mapping"),
        ({"refine": {"stepz": 3}}, ValueError, "no option 'stepz'.*did you mean 'steps'"),
        ({"refine": {"beta": 3}}, ValueError, "did you mean 'betas'"),
        ({"refine": {"steps": 0}}, ValueError, "steps is a whole number from 1; got 0"),
        ({"refine": {"best": 1.5}}, ValueError, "best is a whole number"),
        ({"refine": {"steps": True}}, ValueError, "steps is a whole number"),
        ({"refine": {"inherit": "yes"}}, ValueError, "inherit is True, False or None"),
        ({"refine": {"lr": -1}}, ValueError, "learning rate"),
        ({"refine": {"lr": [0.1, 0.2]}}, ValueError, "give no lists"),
        ({"method": "pso", "refine": {"inherit": True}}, ValueError, "points that it asked"),
        ({"method": "vkd-cma", "refine": {"inherit": True}}, ValueError, "points that it asked"),
        ({"method": "adam"}, ValueError, "a chain goes"),
        ({"method": "l-bfgs-b"}, ValueError, "walks from one"),
        ({"integrality": [1, 0, 0, 0]}, ValueError, "integers have none"),
        ({"noisy": True}, ValueError, "evaluates points again to measure"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_evaluated(settings, error, match):
    seen = []
    with pytest.raises(error, match=match):
        search(fun=seen.append, **settings)
    assert not seen


@pytest.mark.parametrize("method", ONE_BY_ONE)
def test_methods_that_ask_one_by_one_are_refused(method, no_thread_left):
    seen = []
    with pytest.raises(ValueError, match=f"batches of points, and {method!r} asks one"):
        search(method, fun=seen.append, jac=None)
    assert not seen


# Chains on minibatches


class Lucky(Differentiable):
    """The first minibatch flatters every point."""

    def __call__(self, points):
        values = super().__call__(points)
        return values - 100 * (self.generation == 0)

    def value_and_gradient(self, points):
        values, gradients = super().value_and_gradient(points)
        return values - 100 * (self.generation == 0), gradients


CHAIN = {"cma": {"popsize": 6, "sigma0": 1.0}, "adam": {"lr": 0.05}}


def descend(fun, **settings):
    settings = {"options": CHAIN, "bounds": FITTED_BOX, "budget": 1000, "seed": 0} | settings
    return minimize(fun, np.zeros(4), method=["cma", "adam"], **settings)


def test_a_chain_hands_on_the_best_of_the_latest_batch_and_not_the_luckiest():
    fun = Lucky()
    descend(fun)
    batches = [row for row in fun.log if row[2] is not None and row[0] != "full"]
    sizes = [len(row[2]) for row in batches]
    first = sizes.index(1)  # of adam
    assert sizes[:first] == [6] * first
    assert set(sizes[first:]) == {1}
    _, _, points, values = batches[first - 1]
    np.testing.assert_array_equal(batches[first][2][0], points[values.argmin()])


def test_on_minibatches_the_last_of_a_chain_has_all_that_is_left():
    fun = Differentiable()
    result = descend(fun)
    assert result.nfev == 1000
    assert 200 < result.njev < 300
    assert result.fun == pytest.approx(at_full_fidelity(fun, result))
    assert result.fun < 0.3


@pytest.mark.parametrize("fun", [Differentiable(), rosen], ids=["minibatches", "one-function"])
def test_a_schedule_of_the_last_ends_with_the_budget(fun):
    options = CHAIN | {"adam": {"lr": 0.05, "schedule": "cosine", "share": 0.5}}
    jac = rosen_der if fun is rosen else None
    rates = descend(fun, options=options, jac=jac).history.trace.curves().learning_rate
    rates = rates[np.isfinite(rates)]
    assert rates[0] == 0.05
    assert 0 <= rates[-1] < 0.05 * 0.02
