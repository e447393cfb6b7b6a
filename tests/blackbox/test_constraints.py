"""Constraints: every method takes them, and the result is the best feasible point."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint

from blackbox import ALGORITHMS, Optimizer, minimize
from blackbox.constraints import Constraints, measure_violation
from tests.blackbox.descents import rates

BOX = [(-5.0, 5.0)] * 2


def bowl(x):
    return float(np.sum((x - 1) ** 2))


def valley(x):
    return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


LINE = {"type": "ineq", "fun": lambda x: x[0] - 2}
DISC = NonlinearConstraint(lambda x: x @ x, -np.inf, 1.5)
EQUAL = LinearConstraint([[1, 1]], 1, 1)
LOCAL = [name for name, row in ALGORITHMS.items() if row.kind == "local"]
SEARCH = [name for name, row in ALGORITHMS.items() if row.kind == "global"]


# Every method


@pytest.mark.law(6)
@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize(
    ("constraint", "x", "value"),
    [
        (LINE, (2, 1), 1.0),
        ((LINE, EQUAL), (2, -1), 5.0),
        (DISC, (0.75**0.5, 0.75**0.5), 2 * (1 - 0.75**0.5) ** 2),
    ],
    ids=["ineq", "ineq and eq", "disc"],
)
def test_local_methods_end_at_the_constrained_optimum(name, constraint, x, value):
    options = rates(name)
    settings = {"constraints": constraint, "bounds": BOX, "seed": 0, "options": options}
    result = minimize(bowl, [0.0, 0.5], method=name, **settings)
    if name in ("adagrad", "lamb", "nadam") and isinstance(constraint, tuple):
        # The budget ends them on the line, on their way along it: they say that they did not end.
        assert not result.success
        assert result.maxcv < 3e-4
        return
    # Steps of these two do not shorten by themselves, or only slowly.
    slack = 20 if name in ("adadelta", "adafactor") else 1
    assert np.allclose(result.x, x, atol=5e-3 * slack)
    assert abs(result.fun - value) < 1e-2 * slack
    assert result.maxcv < (3e-4 if slack == 1 else 0.05)
    assert result.maxcv == measure_violation(given(constraint))(result.x)


@pytest.mark.parametrize("name", SEARCH)
def test_global_methods_end_near_the_constrained_optimum(name):
    settings = {"bounds": BOX, "seed": 1, "budget": 6000}
    result = minimize(valley, [-1.0, 0.5], method=name, constraints=DISC, **settings)
    assert result.maxcv < 1e-5
    # 0.0094... is the least on this disc; swarms and boxes don't polish.
    assert result.fun < (0.07 if name in ("direct", "pyswarm", "pso") else 0.02)


@pytest.mark.parametrize("name", ["differential_evolution", "shgo", "cma", "ipop-cma", "lq-cma"])
def test_equalities_leave_a_search_along_them(name):
    ring = NonlinearConstraint(lambda x: x @ x, 2, 2)
    for constraint, x in ((EQUAL, (0.5, 0.5)), (ring, (1, 1))):
        result = minimize(
            bowl, [-2.0, 1.0], method=name, constraints=constraint, bounds=BOX, seed=1, budget=6000
        )
        assert result.maxcv < 1e-6
        assert np.allclose(result.x, x, atol=0.02)


def test_a_constraint_that_is_nan_is_broken():
    for kind in ("eq", "ineq"):
        constraint = {"type": kind, "fun": lambda x: [0.0, np.nan]}
        assert measure_violation((constraint,))(np.zeros(2)) == np.inf


def test_errors_in_a_constraint_cross_the_library():
    def broken(x):
        raise ZeroDivisionError

    for name in ("pyswarm", "slsqp", "differential_evolution", "cma", "nelder-mead"):
        with pytest.raises(ZeroDivisionError):
            minimize(
                bowl,
                [0.0, 0.0],
                method=name,
                bounds=BOX,
                constraints={"type": "ineq", "fun": broken},
            )


@pytest.mark.law(6)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_method_calls_an_infeasible_end_a_success(name):
    never = {"type": "ineq", "fun": lambda x: -1.0 - x @ x}
    result = minimize(
        bowl, [1.0, 2.0], method=name, bounds=BOX, constraints=never, budget=500, seed=0
    )
    assert not result.success
    assert result.maxcv >= 1
    # What knows that a point is infeasible may spare its evaluation.
    assert np.isfinite(result.fun) or ALGORITHMS[name].constraints == "native"


def given(constraint):
    return constraint if isinstance(constraint, tuple) else (constraint,)


@pytest.mark.parametrize("handling", ["lagrangian", "penalty"])
def test_the_handling_can_be_chosen(handling):
    # Where values jump, as under a penalty, only methods that don't trust slopes get along.
    options = {"constraint_handling": handling}
    settings = {"constraints": LINE, "bounds": BOX, "seed": 0, "options": options}
    for name in ("cma", "nelder-mead" if handling == "lagrangian" else "pso"):
        result = minimize(bowl, [4.0, 0.0], method=name, budget=4000, **settings)
        assert np.allclose(result.x, [2, 1], atol=0.02), name


def test_who_asks_for_a_native_way_gets_it_or_hears_that_there_is_none():
    settings = {"constraints": LINE, "options": {"constraint_handling": "native"}}
    assert minimize(bowl, [3.0, 0.0], method="slsqp", **settings).success
    with pytest.raises(ValueError, match=r"'cma' has no way of its own.*slsqp"):
        minimize(bowl, [3.0, 0.0], method="cma", **settings)
    with pytest.raises(ValueError, match="constraint_handling is"):
        minimize(bowl, [3.0, 0.0], method="cma", options={"constraint_handling": "hard"})


# How constraints are read


def test_jacobians_are_those_of_the_residuals():
    constraints = Constraints(
        (
            {"type": "eq", "fun": lambda x: x[0] * x[1]},
            {"type": "ineq", "fun": lambda x: [x[0], 3 * x[1]], "jac": lambda x: [[1, 0], [0, 3]]},
            LinearConstraint([[1, 2], [3, 4]], [0, 1], [5, 1]),
            NonlinearConstraint(lambda x: x**3, [-1, -np.inf], [1, np.inf]),
        )
    )
    x = np.array([0.4, -0.7])
    at, slopes = constraints.residuals(x), constraints.jacobians(x)
    for residuals, slope, pick in zip(at, slopes, (0, 1), strict=True):
        assert slope.shape == (len(residuals), 2)
        for i in range(2):
            h = np.zeros(2)
            h[i] = 1e-6
            ahead, behind = constraints.residuals(x + h)[pick], constraints.residuals(x - h)[pick]
            assert np.allclose(slope[:, i], (ahead - behind) / 2e-6, atol=1e-8)
    assert len(at.equal) == 2
    assert len(at.positive) == 6


@pytest.mark.parametrize(
    ("constraint", "error", "match"),
    [
        (3, TypeError, r"constraints\[0\]"),
        ({"fun": bowl}, KeyError, "no type"),
        ({"type": "ineq"}, KeyError, "no fun"),
        ({"type": "le", "fun": bowl}, ValueError, "'eq' or 'ineq'"),
    ],
)
@pytest.mark.parametrize("method", ["slsqp", "cma"])
def test_what_is_no_constraint_is_refused_before_anything_is_evaluated(
    method, constraint, error, match
):
    seen = []
    with pytest.raises(error, match=match):
        minimize(seen.append, [0.0, 0.0], method=method, constraints=[constraint])
    assert not seen


# The incumbent


@pytest.mark.parametrize(
    "constraint",
    [
        {"type": "ineq", "fun": lambda x: x[0] - 2},
        [{"type": "ineq", "fun": lambda x, a: x[0] - a, "args": (2,)}],
        LinearConstraint([1, 0], 2, np.inf),
        LinearConstraint([[1, 0]], 2, 9),
        NonlinearConstraint(lambda x: x[0] ** 2, 4, np.inf),
        NonlinearConstraint(lambda x: [x[0]], [2], [np.inf]),
    ],
)
@pytest.mark.parametrize("budget", [None, 6])
def test_an_infeasible_point_is_never_preferred(constraint, budget):
    # The start is the unconstrained optimum: better than any feasible point.
    result = minimize(bowl, [1.0, 1.0], method="slsqp", constraints=constraint, budget=budget)
    if budget is None:
        assert result.success
        assert np.allclose(result.x, [2, 1], atol=1e-5)
    assert result.fun == bowl(result.x)
    assert np.isfinite(result.history.best_violation)


def test_a_feasible_incumbent_is_kept_when_the_budget_ends():
    # Feasible at first, better but infeasible later.
    result = minimize(
        lambda x: float(-x[0]),
        [0.0, 0.0],
        method="slsqp",
        constraints={"type": "ineq", "fun": lambda x: 1 - x @ x},
        budget=9,
    )
    assert result.x @ result.x <= 1 + 1e-9


def test_constraints_work_in_ask_and_tell(finish):
    constraint = {"type": "ineq", "fun": lambda x: x[0] - 2}
    with Optimizer("slsqp", [0.0, 0.0], constraints=constraint) as run:
        finish(run, bowl)
    assert np.allclose(run.best_x, [2, 1], atol=1e-5)


def test_an_error_in_a_constraint_reaches_the_caller_of_tell(finish, no_thread_left):
    calls = []

    def constraint(x):
        calls.append(x)
        if len(calls) > 6:
            raise ZeroDivisionError
        return x[0] - 2

    run = Optimizer("slsqp", [0.0, 0.0], constraints={"type": "ineq", "fun": constraint})
    with pytest.raises(ZeroDivisionError):
        finish(run, bowl)
    assert run.stopped
    assert run.reason


def test_a_feasible_incumbent_beats_an_infeasible_end(monkeypatch):
    from blackbox.algorithms.scipy_local import ScipyLocal
    from blackbox.types import Stop

    def astray(self, problem, rng, evaluate):
        from blackbox.types import Ask

        evaluate(Ask(np.array([[3.0, 1.0], [1.0, 1.0]])))
        return Stop("done", True, 0, {"x": np.array([1.0, 1.0]), "fun": 0.0})

    monkeypatch.setattr(ScipyLocal, "solve", astray)
    result = minimize(bowl, [3.0, 1.0], method="slsqp", constraints=LINE)
    assert np.array_equal(result.x, [3, 1])
    assert result.fun == 4.0
    assert result.maxcv == 0
    assert np.array_equal(result.solver_x, [1, 1])


def two_valleys(x):
    return float((x[0] ** 2 - 1) ** 2 + 0.3 * x[0] + x[1] ** 2)


@pytest.mark.parametrize("method", ["adam", "slsqp"])
def test_all_starts_walk_also_where_rounds_of_multipliers_are_made(method):
    starts, above = [[1.0, 2.0], [-1.0, 2.0]], {"type": "ineq", "fun": lambda x: x[1] - 0.5}
    options = rates(method) | ({"lr": 0.02} if method == "adam" else {})
    result = minimize(
        two_valleys,
        starts,
        method=method,
        jac=lambda x: np.array([4 * x[0] * (x[0] ** 2 - 1) + 0.3, 2 * x[1]]),
        constraints=above,
        options=options,
        budget=1000,
    )
    np.testing.assert_allclose(result.x, [-1.0356, 0.5], atol=0.01)


def test_a_schedule_ends_with_each_round_of_multipliers():
    result = minimize(
        lambda x: (bowl(x), 2 * (x - 1)),
        [0.0, 0.0],
        method="adam",
        jac=True,
        constraints=LINE,
        options={"lr": 0.1, "schedule": "cosine"},
        budget=401,
    )
    rates = result.history.trace.curves().learning_rate
    assert len(rates) == 400  # the start is evaluated before
    np.testing.assert_allclose(rates[:20], 0.05 * (1 + np.cos(np.pi * np.arange(20) / 20)))
    np.testing.assert_array_equal(rates[20:40], rates[:20])


def test_a_schedule_hears_of_validation_losses_under_constraints():
    result = minimize(
        lambda x: (bowl(x), 2 * (x - 1)),
        [0.0, 0.0],
        method="adam",
        jac=True,
        constraints=LINE,
        options={"lr": 0.1, "schedule": "plateau(patience=0, factor=0.5)"},
        budget=400,
        validation=lambda x: 1.0,
        validate_every=5,
    )
    assert {0.1, 0.05, 0.025} <= set(result.history.trace.curves().learning_rate)
