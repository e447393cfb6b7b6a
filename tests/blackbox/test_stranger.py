"""What strangers ran into: constraints, integers, noise, starts, chains and parking, combined."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import LinearConstraint
from scipy.sparse import csr_array

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.algorithms.cmaes_integers import centred

CENTRE = np.array([0.6, 1.0, 1.4])


def bowl(x):
    return ((x - CENTRE[: len(x)]) ** 2).sum()


def slope(x):
    return 2 * (x - CENTRE[: len(x)])


SUM_IS_ONE = {"type": "eq", "fun": lambda x: x.sum() - 1}
LEFT = {"type": "ineq", "fun": lambda x: 0.5 - x[0]}


def remembering(fun: Callable) -> tuple[Callable, list]:
    calls = []

    def called(x):
        calls.append(x.copy())
        return fun(x)

    return called, calls


@pytest.mark.parametrize("method", ["l-bfgs-b", "bfgs", "cma", "nelder-mead", "basinhopping"])
def test_ranking_by_feasibility_never_changes_the_value_reported(method):
    result = minimize(
        lambda x: float(bowl(x)),
        [0.2, 0.2, 0.2],
        method=method,
        bounds=(-3, 4),
        constraints=[SUM_IS_ONE, LEFT],
        options={"constraint_handling": "penalty"},
        budget=300,
        seed=0,
    )
    assert result.fun == bowl(result.x)


@pytest.mark.parametrize("method", ["trust-exact", "trust-ncg", "newton-cg"])
@pytest.mark.parametrize("budget", range(3, 12))
def test_a_difference_of_gradients_is_not_cut_by_the_budget(method, budget):
    result = minimize(
        lambda x: float(bowl(x)),
        np.zeros(3),
        method=method,
        jac=slope,
        constraints=LEFT,
        budget=budget,
    )
    assert result.nfev <= budget
    assert result.fun == bowl(result.x)


@pytest.mark.parametrize("method", ["bobyqa", "nelder-mead", "powell", "direct", "cma"])
def test_integers_are_whole_at_drawn_starts_of_an_augmented_lagrangian(method):
    called, calls = remembering(lambda x: float(bowl(x)))
    minimize(
        called,
        method=method,
        bounds=[(-3, 4)] * 3,
        constraints=LEFT,
        integrality=[1, 0, 0],
        options={"constraint_handling": "lagrangian"},
        budget=60,
        seed=3,
    )
    assert all(x[0] == np.round(x[0]) for x in calls)


@pytest.mark.parametrize("method", ["l-bfgs-b", "bfgs", "random+l-bfgs-b"])
def test_complex_steps_go_with_constraints_and_chains(method):
    slopes = {"type": "ineq", "fun": lambda x: float(0.5 - x[0])}  # takes no complex points
    result = minimize(
        bowl, np.zeros(3), method=method, jac="cs", bounds=(-3, 4), constraints=slopes, budget=900
    )
    assert result.x == pytest.approx([0.5, 1.0, 1.4], abs=1e-4)
    assert result.maxcv < 1e-6


def test_integers_with_next_to_no_room_are_centred_without_a_warning():
    with np.errstate(over="raise"):
        moved = centred(np.array([[1e-320], [0.9]]), np.zeros(1), np.array([True]))
    assert np.array_equal(np.rint(moved), [[0.0], [1.0]])


def test_the_last_batch_of_a_budget_counts_for_target_and_callback():
    seen = []
    told = {"bounds": [(-3, 4)] * 3, "seed": 0, "budget": 40, "callback": seen.append}
    result = minimize(lambda x: float(bowl(x)), method="random", target=1e3, **told)
    assert result.success
    assert "target" in result.message
    minimize(lambda x: float(bowl(x)), method="random", **told)
    assert len(seen) == 1


def test_with_noise_a_feasible_point_is_never_passed_over_for_want_of_repeats():
    for budget in range(4, 40):
        noise = np.random.default_rng(budget)
        called, calls = remembering(lambda x, noise=noise: float(bowl(x) + noise.normal(0, 0.1)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cobyla is no method for noise
            result = minimize(
                called,
                [0.0, 3.0],
                method="cobyla",
                bounds=(-3, 4),
                constraints=[SUM_IS_ONE, LEFT],
                integrality=[1, 1],
                noisy=True,
                budget=budget,
            )
        assert result.nfev == len(calls) <= budget
        if any(x.sum() == 1 and x[0] <= 0.5 for x in calls):
            assert result.maxcv == 0


def test_noise_looks_past_failures_that_are_the_most_feasible():
    def fails_inside(x):
        return np.nan if x[0] < 0.5 else float(bowl(x))

    result = minimize(
        fails_inside,
        method="random",
        bounds=[(0, 1)] * 3,
        constraints=LEFT,
        noisy=True,
        budget=60,
        seed=0,
    )
    assert np.isfinite(result.fun)


def test_a_chain_goes_on_after_a_method_that_found_nothing():
    result = minimize(
        lambda x: float(bowl(x)),
        method=["shgo", "bobyqa"],
        bounds=[(-3, 4)] * 3,
        constraints=[{"type": "eq", "fun": lambda x: x.sum() - 2}],
        seed=0,
    )
    assert result.nfev > 0
    assert result.maxcv < 1e-6


def test_a_chain_names_each_method_once():
    with pytest.raises(ValueError, match="each method once"):
        minimize(bowl, np.zeros(3), method="cma+cma")


def test_a_start_where_a_constraint_is_nan_ends_no_global_search():
    narrow = {"type": "ineq", "fun": lambda x: np.nan if x[0] < 0 else 1 - x[0]}
    result = minimize(
        lambda x: float(bowl(x)),
        [-1.0, 0.0],
        method="direct",
        bounds=(-3, 4),
        constraints=narrow,
        budget=600,
    )
    assert result.fun < 1e-3


@pytest.mark.parametrize("method", ["ipop-cma", "bipop-cma"])
def test_endless_restarts_are_refused_by_name(method):
    with pytest.raises(ValueError, match="restarts must be a whole number"):
        minimize(bowl, np.zeros(3), method=method, options={"restarts": np.inf})


def test_pyswarm_regrets_nothing_on_stdout(capsys):
    impossible = {"type": "ineq", "fun": lambda x: -1.0 - x[0] ** 2}
    options = {"swarmsize": 5, "maxiter": 2}
    result = minimize(
        bowl, method="pyswarm", bounds=[(-1, 1)] * 2, constraints=impossible, options=options
    )
    assert not result.success
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("method", ["cma", "vkd-cma", "bfgs", "cg", "newton-cg", "trust-constr"])
def test_runs_side_by_side_leave_the_warnings_filters_alone(method):
    def kinked(points):
        return np.abs(points - 0.3).sum(axis=1) + (points[:, 0] > 0.5)

    before = list(warnings.filters)
    runs = [Optimizer(method, start, seed=0, budget=300) for start in np.eye(3)]
    while any(not run.stopped for run in runs):
        for run in runs:
            if not run.stopped:
                points = run.ask()
                assert list(warnings.filters) == before
                run.tell(kinked(points))
    for run in runs:
        run.close()
    assert list(warnings.filters) == before


def test_an_optimizer_calls_no_infeasible_end_a_success():
    impossible = {"type": "ineq", "fun": lambda x: -1.0 - x[0] ** 2}
    with Optimizer("nelder-mead", [1.0], bounds=[(1, 1)], constraints=impossible) as run:
        while not run.stopped:
            run.tell((run.ask() ** 2).sum(axis=1))
    assert not run.success


@pytest.mark.parametrize("method", sorted(ALGORITHMS))
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.filterwarnings("ignore:method .* takes every value for exact")
def test_a_stop_iteration_of_the_objective_is_the_users(method, noisy):
    values = iter([3.0, 2.0])
    options = {"algorithm": "LN_COBYLA"} if method == "nlopt" else {}
    with pytest.raises(StopIteration) as caught:
        minimize(
            lambda x: next(values),
            [0.5, 0.5],
            method=method,
            bounds=(-2, 2),
            options=options,
            noisy=noisy,
            budget=50,
            seed=0,
        )
    assert caught.value.result.nfev == 2


@pytest.mark.parametrize("method", ["slsqp", "trust-constr", "cobyla", "cobyqa", "cma"])
def test_linear_constraints_may_be_sparse(method):
    total = LinearConstraint(csr_array([[1.0, 1.0]]), -np.inf, 1.0)
    result = minimize(
        lambda x: float(bowl(x)), [0.0, 0.0], method=method, constraints=total, budget=900, seed=0
    )
    assert result.x == pytest.approx([0.3, 0.7], abs=1e-2)


def test_a_constraint_that_returns_nothing_says_so():
    with pytest.raises(TypeError, match="a constraint returned None"):
        minimize(bowl, [0.0, 0.0], method="cma", constraints={"type": "eq", "fun": lambda x: None})


def test_options_that_are_no_dict_are_named():
    with pytest.raises(TypeError, match="options must be a dict"):
        minimize(bowl, [0.0, 0.0], options=[1])


@pytest.mark.parametrize("method", ["auto", "cma", "bipop-cma"])
def test_noise_without_a_budget_ends(method):
    noise = np.random.default_rng(0)
    told = {"method": method, "noisy": True, "bounds": (-3, 3), "seed": 0}
    result = minimize(lambda x: float(x @ x + noise.normal()), [1.0, 1.0], **told)
    assert result.nfev <= 10_000


def test_noise_tells_seconds_from_evaluations():
    noise = np.random.default_rng(0)
    told = {"method": "cma", "noisy": True, "seed": 0, "max_seconds": 0.05, "budget": 10**8}
    result = minimize(lambda x: float(x @ x + noise.normal()), [1.0, 1.0], **told)
    assert "max_seconds" in result.message
