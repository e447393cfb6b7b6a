"""Algorithms made of others: restarts, chains, fixed and integer variables."""

import numpy as np
import pytest
from scipy.optimize import Bounds, NonlinearConstraint, OptimizeWarning

from blackbox import ALGORITHMS, Optimizer, minimize
from tests.blackbox.descents import DESCENTS

BOX = [(-5.0, 5.0)] * 3


def bowl(x):
    return float(np.sum((x - 0.7) ** 2))


def rastrigin(x):
    return float(10 * len(x) + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))


def valley(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


# Restarts


def test_restarts_begin_again_and_the_best_end_counts(watched):
    fun = watched(rastrigin)
    once = minimize(rastrigin, [4.4, -4.4, 4.4], method="l-bfgs-b", bounds=BOX)
    many = minimize(
        fun, [4.4, -4.4, 4.4], method="l-bfgs-b", bounds=BOX, seed=0, options={"restarts": 30}
    )
    assert many.runs == 31
    assert many.fun < once.fun
    assert min(fun.values) <= many.fun < min(fun.values) + 1e-9  # a stencil may be lower
    assert many.success
    assert np.array_equal(fun.points[0], [4.4, -4.4, 4.4])


def test_restarts_without_end_stop_with_the_budget_and_have_one_of_their_own():
    for restarts in (True, np.inf):
        options = {"restarts": restarts}
        result = minimize(bowl, np.zeros(3), method="bfgs", budget=500, seed=0, options=options)
        assert result.nfev == 500
        assert result.fun < 1e-12
    assert minimize(bowl, np.zeros(3), method="bfgs", seed=0, options=options).nfev == 10_000


def test_restarts_draw_around_the_start_where_there_is_no_box(watched):
    fun = watched(rastrigin)
    minimize(fun, [100.0, 0.0], method="bfgs", seed=3, options={"restarts": 40})
    spread = np.array(fun.points)
    assert spread[:, 0].std() > 30
    assert 0.3 < spread[:, 1].std() < 30


def test_restarts_repeat_by_their_seed(watched):
    runs = [watched(rastrigin) for _ in range(3)]
    for fun, seed in zip(runs, (1, 1, 2), strict=True):
        minimize(fun, np.ones(3), method="tnc", bounds=BOX, seed=seed, options={"restarts": 3})
    assert np.array_equal(runs[0].asked, runs[1].asked)
    assert len(runs[0].asked) != len(runs[2].asked) or (runs[0].asked != runs[2].asked).any()


def test_a_restarted_method_calls_the_callback_after_its_batches():
    seen = []
    minimize(
        bowl, np.zeros(3), method="bfgs", callback=seen.append, seed=0, options={"restarts": 2}
    )
    assert len(seen) > 3


@pytest.mark.parametrize("restarts", [-1, 1.5, "many", None])
def test_restarts_are_a_number(restarts):
    with pytest.raises(ValueError, match="restarts is a number"):
        minimize(bowl, np.zeros(3), method="bfgs", options={"restarts": restarts})


def test_methods_that_never_end_have_no_restarts():
    for name in ("random", "adam", "pso"):
        with pytest.raises(ValueError, match="restarts"):
            minimize(bowl, np.zeros(3), method=name, bounds=BOX, options={"restarts": 2})


# Chains


def test_a_chain_goes_on_from_the_best_point(watched):
    fun = watched(valley)
    result = minimize(fun, np.zeros(3), method=["random", "slsqp"], bounds=BOX, budget=1000, seed=0)
    assert result.method == "random+slsqp"
    assert result.fun < 1e-5
    first = int(0.7 * 1000)
    best = fun.points[int(np.argmin(fun.values[:first]))]
    assert any(np.array_equal(best, x) for x in fun.points[first - 64 : first + 1])


@pytest.mark.parametrize("name", ["cma+l-bfgs-b", ["cma", "l-bfgs-b"], ("CMA", "L-BFGS-B")])
def test_a_chain_is_written_as_a_text_or_a_sequence(name):
    result = minimize(valley, np.zeros(3), method=name, budget=700, seed=0)
    assert result.method == "cma+l-bfgs-b"
    assert result.nfev <= 700


def test_without_a_budget_each_part_ends_by_itself():
    alone = minimize(valley, np.zeros(3), method="cma", seed=0)
    chain = minimize(valley, np.zeros(3), method="cma+bfgs", seed=0)
    assert alone.nfev < chain.nfev < alone.nfev + 100
    assert chain.success
    assert chain.fun <= alone.fun


def test_what_polishing_leaves_goes_back_to_the_search(watched):
    fun = watched(rastrigin)
    result = minimize(
        fun,
        np.full(3, 3.3),
        method="random+l-bfgs-b",
        bounds=BOX,
        budget=3000,
        seed=0,
        options={"random": {"popsize": 10, "share": 0.1}},
    )
    assert result.nfev == 3000
    batches = np.array(fun.asked)
    # The search drew far more than its first share of 300.
    assert (np.abs(batches).max(axis=1) > 2).sum() > 600


def test_a_chain_of_a_search_in_a_thread_repeats_and_leaves_no_thread(watched, no_thread_left):
    runs = [watched(rastrigin) for _ in range(2)]
    for fun in runs:
        minimize(fun, method="dual_annealing+slsqp", bounds=BOX, budget=900, seed=5)
    assert np.array_equal(runs[0].asked, runs[1].asked)


@pytest.mark.parametrize("name", ["cma+slsqp", "random+nelder-mead", "pso+cma+l-bfgs-b"])
def test_a_chain_asks_and_tells_as_minimize_does(name, watched, finish, no_thread_left):
    fun = watched(valley)
    result = minimize(fun, method=name, bounds=BOX, budget=600, seed=2)
    with Optimizer(name.split("+"), bounds=BOX, budget=600, seed=2) as run:
        batches = finish(run, valley)
    assert np.array_equal(np.concatenate(batches), fun.asked)
    assert run.best_value == min(result.fun, result.get("solver_fun", np.inf))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"method": []}, ValueError, "empty part"),
        ({"method": ["cma", ""]}, ValueError, "empty part"),
        ({"method": "cma+"}, ValueError, "empty part"),
        ({"method": ["cma", 3]}, ValueError, "empty part"),
        ({"method": "auto+cma"}, ValueError, "'auto' is no part"),
        ({"method": "cma+nothing"}, ValueError, "unknown method 'nothing'"),
        ({"method": "cma+random", "bounds": BOX}, ValueError, "a chain without a budget"),
        ({"method": "cma+bfgs", "options": {"popsize": 4}}, ValueError, "options of a chain"),
        ({"method": "cma+bfgs", "options": {"pso": {}}}, ValueError, "options of a chain"),
        ({"method": "cma+bfgs", "options": {"cma": {"share": 1}}}, ValueError, "below 1"),
        ({"method": "cma+bfgs", "options": {"cma": {"share": -0.1}}}, ValueError, "above 0"),
        ({"method": "cma+bfgs", "options": {"bfgs": {"share": "most"}}}, ValueError, "share is"),
        (
            {"method": "cma+bfgs", "options": {"cma": {"share": 0.5}, "bfgs": {"share": 0.4}}},
            ValueError,
            "1 in all",
        ),
        ({"method": "cma+bfgs", "options": {"cma": {"popsiz": 4}}}, ValueError, "popsiz"),
        ({"method": "pso+bfgs"}, ValueError, "finite bounds"),
    ],
)
def test_chains_that_make_no_sense_are_refused_before_anything_is_evaluated(
    arguments, error, match
):
    seen = []
    with pytest.raises(error, match=match):
        minimize(seen.append, np.zeros(3), **arguments)
    assert not seen


# Fixed variables


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_fixed_variable_is_left_out_of_the_search(name, watched):
    fun = watched(bowl)
    bounds = [(-5.0, 5.0), (2.0, 2.0), (-5.0, 5.0)]
    result = minimize(fun, [0.0, 2.0, 1.0], method=name, bounds=bounds, seed=0, budget=400)
    assert (fun.asked[:, 1] == 2.0).all()
    assert result.x.shape == (3,)
    assert result.fun < bowl(np.array([0.0, 2.0, 1.0]))
    assert result.fun == bowl(result.x)


def test_a_fixed_variable_gives_the_run_without_it(watched):
    whole, part = watched(valley), watched(lambda x: valley(np.insert(x, 1, 0.5)))
    for name in ("cma", "nelder-mead", "l-bfgs-b"):
        bounds = [(-5.0, 5.0), (0.5, 0.5), (-2.0, 5.0)]
        result = minimize(whole, [0.0, 0.5, 1.0], method=name, bounds=bounds, seed=0, budget=200)
        expected = minimize(
            part, [0.0, 1.0], method=name, bounds=[bounds[0], bounds[2]], seed=0, budget=200
        )
        assert np.array_equal(np.delete(result.x, 1), expected.x)
        assert np.array_equal(np.delete(whole.asked, 1, axis=1), part.asked)


def test_where_all_are_fixed_the_point_is_evaluated_once(watched):
    fun = watched(bowl)
    for name in ("cma", "slsqp", "random", None):
        fun.points.clear()
        result = minimize(fun, [1.0, 2.0], method=name, bounds=Bounds([1, 2], [1, 2]))
        assert result.success
        assert result.nfev == len(fun.points) == 1
        assert np.array_equal(result.x, [1, 2])
        assert result.fun == bowl(np.array([1, 2]))


def test_derivatives_constraints_and_callbacks_see_all_variables():
    seen = {"jac": [], "constraint": [], "callback": [], "hess": []}

    def remember(name, told):
        def call(x, *args):
            seen[name].append(len(x))
            return told(x)

        return call

    settings = {
        "method": "trust-constr",
        "jac": remember("jac", lambda x: 2 * (x - 0.7)),
        "hess": remember("hess", lambda x: 2 * np.eye(3)),
        "constraints": NonlinearConstraint(
            remember("constraint", lambda x: x[0] - x[1]),
            0,
            np.inf,
            jac=lambda x: [[1.0, -1.0, 0.0]],
            hess=lambda x, v: np.zeros((3, 3)),
        ),
        "bounds": [(-5, 5), (2, 2), (-5, 5)],
        "callback": lambda x, state: seen["callback"].append(len(x)),
    }
    settings["callback"] = remember("callback", lambda x: None)
    result = minimize(bowl, [3.0, 2.0, 1.0], **settings)
    assert np.allclose(result.x, [2, 2, 0.7], atol=1e-3)
    assert all(lengths and set(lengths) == {3} for lengths in seen.values())


# Integers


INTEGERS = [name for name, row in ALGORITHMS.items() if row.integers != "refused"]


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_variables_are_asked_as_integers(name, watched):
    fun = watched(lambda x: float((x[0] - 2.3) ** 2 + (x[1] - 0.6) ** 2 + abs(x[2] + 1.2)))
    settings = {"bounds": [(-3.5, 4.9), (-5, 5), (-9, 9)], "seed": 1, "budget": 3000}
    result = minimize(fun, [0.0, 0.0, 0.0], method=name, integrality=[1, 0, 1], **settings)
    whole = fun.asked[:, [0, 2]]
    assert np.array_equal(whole, np.round(whole))
    assert whole[:, 0].min() >= -3
    assert whole[:, 0].max() <= 4
    if ALGORITHMS[name].kind == "global":
        assert np.array_equal(result.x[[0, 2]], [2, -1])
        assert abs(result.x[1] - 0.6) < 0.1


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - set(INTEGERS)))
def test_methods_that_walk_on_slopes_refuse_integers(name):
    with pytest.raises(ValueError, match=r"integers have none.*'cma'"):
        minimize(bowl, np.zeros(3), method=name, bounds=BOX, integrality=1)


@pytest.mark.parametrize(
    ("integrality", "match"),
    [([1, 0], "3 variables"), (2, "0 .real. or 1"), ("yes", "0 .real. or 1"), ([0, 1, 0.5], "0")],
)
def test_integrality_is_checked(integrality, match):
    with pytest.raises(ValueError, match=match):
        minimize(bowl, np.zeros(3), method="cma", integrality=integrality)


def test_bounds_without_an_integer_are_refused():
    with pytest.raises(ValueError, match="no integer for coordinate 1"):
        minimize(bowl, bounds=[(0, 1), (0.2, 0.8), (0, 1)], method="cma", integrality=1)


# Memory


def test_what_does_not_fit_is_refused_before_it_is_allocated():
    n = 2_000_000
    with pytest.raises(MemoryError, match=r"matrices of 2000000 x 2000000.*sep-cma"):
        minimize(bowl, np.zeros(n), method="cma")
    with pytest.raises(MemoryError, match="'bfgs'"):
        Optimizer("bfgs", np.zeros(n))


# Noise


def test_methods_for_exact_values_warn_of_noise():
    with pytest.warns(OptimizeWarning, match="takes every value for exact"):
        minimize(bowl, np.zeros(3), method="bfgs", noisy=True)


# Several starts


STARTS = np.random.default_rng(4).uniform(-4, 4, (5, 3))
SIDE_BY_SIDE = [name for name, row in ALGORITHMS.items() if row.kind == "local"]


@pytest.mark.parametrize("name", [n for n in SIDE_BY_SIDE if not ALGORITHMS[n].exclusive])
def test_each_start_is_walked_as_it_would_be_alone(name, no_thread_left):
    options = {"maxiter": 15} if "maxiter" in ALGORITHMS[name].options() else {}
    budget = 500 if name in DESCENTS else None
    settings = {"method": name, "bounds": BOX, "options": options}
    result = minimize(rastrigin, STARTS, budget=budget, **settings)
    alone = [minimize(rastrigin, x, **settings) for x in STARTS] if budget is None else []
    for i, one in enumerate(alone):
        assert np.array_equal(result.ends_x[i], one.get("solver_x", one.x))
    if alone:
        assert result.nfev == sum(one.nfev for one in alone)
        assert result.fun == min(one.fun for one in alone)


@pytest.mark.parametrize("name", ["l-bfgs-b", "slsqp"])
@pytest.mark.parametrize("jac", ["joint", "separate", "stencil"])
def test_batches_of_several_starts_are_one(jac, name):
    sizes = []

    def fun(points):
        sizes.append(len(points))
        values = np.sum((points - 0.7) ** 4, axis=1)
        return (values, 4 * (points - 0.7) ** 3) if jac == "joint" else values

    slope = {"joint": True, "separate": lambda points: 4 * (points - 0.7) ** 3, "stencil": None}
    settings = {"method": name, "jac": slope[jac], "batched": True}
    result = minimize(fun, STARTS, **settings)
    assert result.success
    assert sizes[0] == 5
    assert np.mean(sizes) > (8 if jac == "stencil" else 2)
    assert sum(sizes) == result.nfev
    alone = [minimize(fun, x, **settings) for x in STARTS]
    assert result.nfev == sum(one.nfev for one in alone)
    assert result.njev == sum(one.njev for one in alone)


def test_several_starts_begin_again_together():
    result = minimize(
        rastrigin, STARTS, method="bfgs", bounds=BOX, seed=0, options={"restarts": 2, "gtol": 1e-3}
    )
    assert result.runs == 3
    assert result.ends_x.shape == (5, 3)


def test_one_start_only_where_a_library_lets_one_run_be_open():
    with pytest.raises(ValueError, match="begins at one start; x0 has 5"):
        minimize(rastrigin, STARTS, method="cobyqa", bounds=BOX)
