"""Early stopping by validation losses, and the point that is restored."""

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

from blackbox import minimize
from blackbox.budget import Budget, Halt
from blackbox.history import History
from blackbox.types import Ask, Told
from blackbox.validation import STALLED, Validation
from tests.blackbox.minibatches import Differentiable
from tests.blackbox.overfitting import AIM, TURN, Held, N, descend, evaluate, sphere


def test_it_stops_early_and_restores_the_best_point():
    held = Held()
    result = descend(validation=held, validate_every=5, patience=4, budget=5000)
    assert "stopped early: the validation loss has not improved for 4" in result.message
    assert (result.success, result.status) == (True, STALLED)
    best = int(np.argmin([np.sum((x - TURN) ** 2) for x in held.points]))
    assert len(held.points) == best + 1 + 4
    np.testing.assert_array_equal(result.x, held.points[best])
    assert result.fun == sphere(result.x)
    assert result.validation_loss == np.sum((result.x - TURN) ** 2) < 0.1
    assert result.history.best_value < result.fun


def test_the_best_is_restored_also_where_the_budget_ends_the_run():
    held = Held()
    result = descend(validation=held, validate_every=5, patience=50, budget=150)
    assert "budget" in result.message
    assert not result.success
    np.testing.assert_array_equal(result.x, held.lowest)
    assert result.fun == sphere(result.x)


def test_a_solver_end_point_gives_way_to_the_restored_one():
    held = Held()
    result = minimize(
        sphere,
        np.zeros(N),
        method="nelder-mead",
        validation=held,
        validate_every=1,
        patience=10_000,
    )
    np.testing.assert_array_equal(result.x, held.lowest)
    assert result.fun == sphere(result.x)
    np.testing.assert_allclose(result.solver_x, AIM, atol=1e-3)
    assert result.solver_fun < result.fun


def test_runs_side_by_side_share_the_patience_and_the_best_of_all_is_restored():
    held, starts = Held(), np.array([np.zeros(N), np.full(N, -1.0), np.full(N, 1.2)])
    arguments = {"validation": held, "validate_every": 5, "patience": 3}
    result = descend(x0=starts, budget=5000, **arguments)
    assert "stopped early" in result.message
    assert len(held.points) % 3 == 0
    np.testing.assert_array_equal(result.x, held.lowest)
    assert result.fun == sphere(result.x)
    trace = result.history.trace
    for run in range(3):
        expected = [np.sum((x - TURN) ** 2) for x in held.points[run::3]]
        np.testing.assert_allclose(trace.curves(run).validation_loss, expected)


def test_patience_alone_counts_generations_without_a_better_incumbent():
    def plateau(x):
        return max(sphere(x), 5.0)

    result = descend(plateau, patience=7, budget=1000)
    assert "the incumbent has not improved for 7 generations" in result.message
    assert result.fun == 5.0
    values = descend(plateau, budget=1000).history.evaluations
    assert result.nfev == values[-1] + 7


def generations_until_halt(history):
    """On a way along which the value rises."""
    validation = Validation(None, history, Budget(), patience=3)
    for count, x in enumerate(np.linspace(-3.0, 0.0, 31), start=1):
        points, values = np.array([[x]]), np.array([x + 10.0])
        history.record(points, values)
        try:
            validation.measure(Ask(points), Told(values))
        except Halt:
            return count
    return None


def test_patience_alone_takes_a_smaller_violation_for_an_improvement():
    assert generations_until_halt(History()) == 1 + 3
    assert generations_until_halt(History(lambda x: max(0.0, -float(x[0])))) is None


@pytest.mark.parametrize("patience", [2, 5])
def test_patience_alone_on_minibatches_counts_values_at_full_fidelity(patience):
    """In between no incumbent can improve."""
    fun = Differentiable()
    arguments = {"method": "sgd", "seed": 0, "patience": patience, "budget": 300}
    still = {"options": {"lr": 1e-300}}
    result = minimize(fun, np.zeros(4), **arguments | still)
    assert f"has not improved for {patience} evaluations at full fidelity" in result.message
    assert result.nit == 10 * patience + 1
    improving = minimize(Differentiable(), np.zeros(4), **arguments)
    assert "budget" in improving.message


def test_the_target_goes_before_the_lowest_validation_loss():
    result = descend(validation=Held(), validate_every=1, patience=1000, target=1.0, budget=2000)
    assert "target" in result.message
    assert result.success
    assert result.fun <= 1.0


def test_a_callback_may_end_it_and_the_best_is_restored():
    held, calls = Held(), []

    def stop(x):
        calls.append(x)
        if len(calls) == 90:
            raise StopIteration

    result = descend(validation=held, validate_every=5, patience=1000, callback=stop, budget=2000)
    assert result.status == 99
    np.testing.assert_array_equal(result.x, held.lowest)


@pytest.mark.parametrize("searcher", ["sgd", "cma"])
def test_on_minibatches_the_restored_point_is_evaluated_at_full_fidelity(searcher):
    fun = Differentiable()
    result = minimize(
        fun,
        np.zeros(4),
        method=searcher,
        budget=2000,
        seed=0,
        options={"lr": 0.01} if searcher == "sgd" else {"popsize": 8},
        validation=evaluate,
        validate_every=2,
        patience=3,
    )
    assert "stopped early" in result.message
    assert result.validation_loss == evaluate(result.x[None])[0]
    assert result.fun == fun.score(result.x[None])[0]
    assert result.nfev == fun.count("batch") + fun.count("full") + result.history.validation_count


# Failures


def test_losses_that_are_not_finite_are_never_the_best():
    def partly(x):
        return np.nan if x[0] > 0.5 else float(np.sum((x - TURN) ** 2))

    result = descend(validation=partly, validate_every=2, patience=4, budget=900)
    assert "stopped early" in result.message
    assert result.x[0] <= 0.5
    assert result.validation_loss == np.sum((result.x - TURN) ** 2)


def test_no_finite_loss_at_all_is_no_success():
    result = descend(validation=lambda x: np.nan, validate_every=2, patience=4, budget=900)
    assert "4 validations gave no finite loss" in result.message
    assert not result.success
    assert result.validation_loss == np.inf
    assert result.fun == sphere(result.x)


def test_a_point_whose_own_value_failed_is_not_restored():
    def failing(points):
        values = np.sum((points - AIM) ** 2, axis=1)
        values[np.abs(points - TURN).max(axis=1) < 0.2] = np.nan
        return values

    result = minimize(
        failing,
        np.array([TURN, np.zeros(N)]),
        method="sgd",
        batched=True,
        bounds=(-5, 5),
        budget=400,
        seed=0,
        options={"lr": 0.001},
        validation=lambda points: np.sum((points - TURN) ** 2, axis=1),
        validate_every=1,
        patience=30,
    )
    assert np.isfinite(result.fun)
    assert np.abs(result.x - TURN).max() >= 0.2


def test_a_point_that_breaks_a_constraint_is_not_restored():
    """The lowest validation loss lies outside; what is restored keeps the constraint."""
    rule = NonlinearConstraint(lambda x: x[0], 1.5, np.inf)
    held = Held()
    result = minimize(
        sphere,
        [0.0, 0.0, 0.0],
        method="cma",
        constraints=rule,
        budget=600,
        seed=0,
        validation=held,
        validate_every=1,
        patience=1000,
    )
    assert result.maxcv <= 1e-8
    assert held.lowest[0] < 1.5 <= result.x[0] + 1e-8


@pytest.mark.parametrize("on_error", ["raise", "penalize"])
def test_what_validation_raises_reaches_the_caller_with_the_result_so_far(on_error):
    calls = []

    def breaking(x):
        calls.append(x.copy())
        if len(calls) == 4:
            raise RuntimeError("the file is gone")
        return float(np.sum((x - TURN) ** 2))

    arguments = {"validate_every": 5, "patience": 10, "budget": 500, "on_error": on_error}
    with pytest.raises(RuntimeError, match="the file is gone") as caught:
        descend(validation=breaking, **arguments)
    result = caught.value.result
    np.testing.assert_array_equal(result.x, min(calls[:3], key=Held()))
    assert result.fun == sphere(result.x)
    assert result.nfev == 20 + 3


@pytest.mark.parametrize("changing", [False, True])
def test_ctrl_c_keeps_the_best_validated_point(changing):
    class Interrupted(Differentiable):
        def value_and_gradient(self, points):
            if len(self.calls("batch")) == 57:
                raise KeyboardInterrupt
            return super().value_and_gradient(points)

    fun, asked = Interrupted(), []
    if not changing:
        fun.begin, fun.drawn, fun.rows = None, slice(None), len(fun.targets)

    def validate(points):
        asked.append(points[0].copy())
        return evaluate(points)

    arguments = {"method": "sgd", "options": {"lr": 0.05}, "seed": 0, "budget": 900}
    with pytest.raises(KeyboardInterrupt) as caught:
        minimize(fun, np.zeros(4), validation=validate, validate_every=1, patience=500, **arguments)
    result = caught.value.result
    best = min(asked, key=lambda x: evaluate(x[None])[0])
    np.testing.assert_array_equal(result.x, best)
    if changing:
        assert "minibatch" in result.message
    else:
        assert result.fun == fun.score(best[None])[0]


def test_a_noisy_run_is_validated_at_its_incumbent():
    rng, held = np.random.default_rng(0), Held()
    result = minimize(
        lambda x: sphere(x) + 0.1 * rng.standard_normal(),
        np.zeros(N),
        method="cma",
        noisy=True,
        budget=800,
        seed=0,
        validation=held,
        validate_every=3,
        patience=500,
    )
    assert result.nfev <= 800
    np.testing.assert_array_equal(result.x, held.lowest)
    assert result.fun == pytest.approx(sphere(result.x), abs=0.5)
    assert not hasattr(result, "fun_error") or np.array_equal(result.x, result.history.best_x)
