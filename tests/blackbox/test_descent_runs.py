"""Runs side by side walk as each alone; clipping, accumulation, and what failures leave alone."""

import numpy as np
import pytest
import torch
from scipy.optimize import OptimizeWarning

from blackbox import ALGORITHMS, Optimizer, minimize
from tests.blackbox.descents import (
    INSTALLED,
    Minibatches,
    Perceptron,
    build,
    flat_of,
    loss_of,
    rates,
    start,
    tensors_of,
    torch_walk,
)

RULES = [name for name in INSTALLED if name != "torch"]
SETTINGS = {
    "sgd": {"lr": [0.1, 0.02], "momentum": [0.9, 0.5]},
    "adam": {"lr": [0.1, 0.01], "betas": [(0.9, 0.99), (0.8, 0.9)]},
    "rprop": {"lr": [0.1, 0.01], "etas": [(0.5, 1.2), (0.6, 1.3)]},
    "adafactor": {"lr": [0.1, 0.01], "d": [1.0, 2.0]},
    "muon": {"lr": [0.1, 0.01], "adamw_lr": [0.02, 0.03]},
    "shampoo": {"lr": [0.5, 1.0], "momentum": [0.0, 0.9]},
    "torch": {"arguments": {"lr": [0.1, 0.01]}},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INSTALLED)
def test_starts_side_by_side_walk_as_each_alone(name, dtype):
    together, starts = Perceptron(dtype), start(k=3)
    result = minimize(together, starts, method=name, options=rates(name), budget=45)
    for i, x in enumerate(starts):
        alone = Perceptron(dtype)
        minimize(alone, x, method=name, options=rates(name), budget=15)
        assert np.array_equal(together.walk(i), alone.walk())
    assert [len(points) for points in together.asked] == [3] * 15
    assert result.ends_x.shape == starts.shape
    assert result.fun == result.ends_fun.min()


@pytest.mark.parametrize("name", [name for name in SETTINGS if name in INSTALLED])
def test_settings_side_by_side_walk_as_each_alone(name):
    lists = SETTINGS[name]
    together, x = Perceptron(), start()
    result = minimize(together, x, method=name, options=lists, budget=30)
    for i in range(2):
        if name == "torch":
            one = {"arguments": {"lr": lists["arguments"]["lr"][i]}}
        else:
            one = {key: values[i] for key, values in lists.items()}
        alone = Perceptron()
        minimize(alone, x, method=name, options=one, budget=15)
        assert np.array_equal(together.walk(i), alone.walk())
    given = lists.get("lr") or lists["arguments"]["lr"]
    curves = [result.history.trace.curves(run=i) for i in range(2)]
    assert [set(each.learning_rate) for each in curves] == [{rate} for rate in given]


def test_as_many_starts_as_settings_are_pairs():
    fun, starts = Perceptron(), start(k=2)
    minimize(fun, starts, method="adam", options={"lr": [0.1, 0.01]}, budget=20)
    for i, rate in enumerate([0.1, 0.01]):
        expected = torch_walk("adam", starts[i], "float64", 10, {"lr": rate})
        assert np.array_equal(fun.walk(i), expected)


# Clipping


def by_norm(tensors):
    torch.nn.utils.clip_grad_norm_(tensors, 0.3)


def by_value(tensors):
    torch.nn.utils.clip_grad_value_(tensors, 0.05)


def by_both(tensors):
    by_value(tensors)
    by_norm(tensors)


CLIPPED = [
    ({"clip_norm": 0.3}, by_norm),
    ({"clip_value": 0.05}, by_value),
    ({"clip_value": 0.05, "clip_norm": 0.3}, by_both),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
@pytest.mark.parametrize(("habit", "treat"), CLIPPED)
def test_gradients_are_clipped_as_by_torch(habit, treat, name, dtype):
    if not ALGORITHMS[name].installed:
        pytest.skip(f"{name} needs another torch")
    fun, x = Perceptron(dtype), start()
    result = minimize(fun, x, method=name, options=rates(name) | habit, budget=20)
    expected = torch_walk(name, x, dtype, 20, rates(name), treat)
    assert np.array_equal(fun.walk(), expected)
    assert not np.array_equal(fun.walk(), torch_walk(name, x, dtype, 20, rates(name)))
    # What the history tells is the gradient before.
    assert result.history.trace.curves().gradient_norm.max() > 0.3


@pytest.mark.parametrize(("habit", "treat"), CLIPPED)
def test_each_of_several_runs_is_clipped_for_itself(habit, treat):
    fun, starts = Perceptron(), start(k=3)
    minimize(fun, starts, method="sgd", options={"lr": 0.1} | habit, budget=60)
    for i, x in enumerate(starts):
        expected = torch_walk("sgd", x, "float64", 20, {"lr": 0.1}, treat)
        assert np.abs(fun.walk(i) - expected).max() < 1e-12


# Minibatches and accumulation


@pytest.mark.parametrize("name", ["sgd", "adam", "muon", "lamb"])
@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_gradients_of_minibatches_are_averaged_for_a_step(accumulate, name):
    if not ALGORITHMS[name].installed:
        pytest.skip(f"{name} needs a library")
    fun, x = Minibatches(), start()
    options = rates(name) | {"accumulate": accumulate}
    result = minimize(fun, x, method=name, options=options, budget=24, seed=3)
    expected = torch_walk(
        name, x, "float64", 24 // accumulate, rates(name), None, fun.drawn, accumulate
    )
    assert np.array_equal(fun.walk()[::accumulate], expected)
    assert np.array_equal(fun.walk(), np.repeat(expected, accumulate, axis=0))
    assert result.nfev == 24
    assert len(fun.drawn) == 24


def test_a_last_step_without_all_its_gradients_is_not_taken():
    fun = Minibatches()
    minimize(fun, start(), method="sgd", options={"lr": 0.1, "accumulate": 4}, budget=10, seed=3)
    assert len(fun.asked) == 10
    assert len(np.unique(fun.walk(), axis=0)) == 3


def test_averaging_equal_gradients_is_refused():
    fun = Perceptron()
    with pytest.raises(ValueError, match=r"accumulate=4.*never|accumulate=4.*the same one"):
        minimize(fun, start(), method="sgd", options={"accumulate": 4}, budget=100)
    assert not fun.asked
    with pytest.raises(ValueError, match="accumulate=2"):
        Optimizer("adam", start(), gradients=True, accumulate=2).ask()


# Failures


class Failing(Perceptron):
    """Gives no number to one run in some of its batches."""

    def __init__(self, batches, run=1, value=np.nan, dtype="float64"):
        super().__init__(dtype)
        self.batches, self.run, self.value = batches, run, value

    def value_and_gradient(self, points):
        values, slopes = super().value_and_gradient(points)
        if len(self.asked) - 1 in self.batches:
            slopes[self.run] = np.nan
            if np.isnan(self.value):
                values[self.run] = np.nan
        return values, slopes


class FailingBatches(Failing):
    """The same, where batches can't be compared."""

    def begin(self, generation, rng):
        """Nothing to draw."""


@pytest.mark.parametrize("kind", [Failing, FailingBatches])
@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "radam", "asgd", "ftrl", "adafactor"])
def test_a_run_that_fails_leaves_the_others_alone(name, value, kind):
    if not ALGORITHMS[name].installed:
        pytest.skip(f"{name} needs a library")
    options = rates(name) | ({"amsgrad": True} if name == "adam" else {})
    starts = start(k=4)
    clean, fun = Perceptron(), kind([4, 5, 11], value=value)
    for each in (clean, fun):
        result = minimize(each, starts, method=name, options=options, budget=80)
    for i in (0, 2, 3):
        assert np.array_equal(fun.walk(i), clean.walk(i))
    assert not np.array_equal(fun.walk(1), clean.walk(1))
    assert result.history.trace.skipped == 3
    assert np.isfinite(fun.walk(1)).all()


def test_a_minibatch_without_a_gradient_moves_nothing():
    fun = FailingBatches([4, 5], run=0, value=0.0)
    minimize(fun, start(), method="adam", options={"lr": 0.1}, budget=12)
    expected = torch_walk("adam", start(), "float64", 10, {"lr": 0.1})
    assert np.array_equal(fun.walk(), expected[[0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9]])


def test_after_a_failure_a_run_begins_again_at_its_best_point_with_half_the_rate():
    fun = Failing([6], run=0)
    result = minimize(fun, start(), method="adam", options={"lr": 0.05}, budget=12)
    before = torch_walk("adam", start(), "float64", 7, {"lr": 0.05})
    best = before[np.argmin([fun.look(x)[0] for x in before[:6]])]
    after = torch_walk("adam", best, "float64", 5, {"lr": 0.025})
    assert np.array_equal(fun.walk(), np.concatenate([before, after]))
    assert list(result.history.trace.curves().learning_rate) == [0.05] * 7 + [0.025] * 5


def test_the_rate_after_a_failure_is_half_of_what_the_schedule_says():
    fun = Failing([3], run=0)
    options = {"lr": 0.08, "schedule": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5)}
    result = minimize(fun, start(), method="sgd", options=options, budget=8)
    rate = result.history.trace.curves().learning_rate
    assert np.allclose(rate, [0.08, 0.08, 0.04, 0.04, 0.01, 0.01, 0.005, 0.005])


def test_numbers_that_single_precision_cannot_hold_are_no_gradients():
    class Steep(Perceptron):
        def value_and_gradient(self, points):
            values, slopes = super().value_and_gradient(points)
            return values, slopes * (1e200 if len(self.asked) == 3 else 1.0)

    fun = Steep("float32")
    result = minimize(fun, start(), method="sgd", options={"lr": 0.1}, budget=8)
    assert np.isfinite(fun.walk()).all()
    assert result.fun < fun.look(start())[0]


def test_a_run_without_any_finite_gradient_ends():
    result = minimize(
        lambda x: 1.0, np.zeros(2), method="sgd", jac=lambda x: np.full(2, np.nan), budget=5000
    )
    assert not result.success
    assert "no finite gradient" in result.message
    assert result.nfev < 5000
    assert result.fun == 1.0


def test_a_schedule_begins_at_its_first_rate():
    fun = Perceptron()
    warm = {"lr": 0.1, "schedule": lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, 5)}
    minimize(fun, start(), method="sgd", options=warm, budget=3)
    first = torch_walk("sgd", start(), "float64", 2, {"lr": 0.01})
    assert np.allclose(fun.walk()[:2], first, rtol=0, atol=1e-15)


def test_rules_that_write_to_their_gradients_do_not_write_to_yours():
    if not ALGORITHMS["lars"].installed:
        pytest.skip("lars needs a library")
    tensors = tensors_of(start(), "float64")
    slopes = torch.autograd.grad(loss_of(tensors), tensors)
    flat = flat_of(slopes)[None]
    with Optimizer("lars", start(), gradients=True, weight_decay=0.1) as run:
        for _ in range(3):
            run.ask()
            kept = flat.copy()
            run.tell([1.0], flat)
            assert np.array_equal(flat, kept)
    assert len(build("lars", tensors, {})) == 1


def test_noisy_values_are_no_reason_to_warn():
    with pytest.warns(OptimizeWarning, match="takes every value for exact"):
        minimize(lambda x: x @ x, np.ones(2), method="rprop", noisy=True, budget=20)


@pytest.mark.parametrize("left", [1, 2])
def test_what_is_left_for_a_last_batch_is_seen_in_the_curves_of_its_runs_alone(left):
    x, lists = start(), {"lr": [0.1, 0.02, 0.005]}
    result = minimize(Perceptron(), x, method="sgd", options=lists, budget=3 * 15 + left)
    for i, lr in enumerate(lists["lr"]):
        steps = 15 + (i < left)
        alone = minimize(Perceptron(), x, method="sgd", options={"lr": lr}, budget=steps)
        curves = result.history.trace.curves(i)
        np.testing.assert_array_equal(curves.loss, alone.history.trace.curves().loss)
        assert set(curves.learning_rate) == {lr}
        assert result.ends_fun[i] == alone.fun


def test_on_minibatches_ends_are_losses_on_the_same_one():
    lists = {"lr": [0.1, 0.1, 0.1]}
    result = minimize(Minibatches(), start(), method="sgd", options=lists, budget=3 * 15 + 2)
    assert len(set(result.ends_fun)) == 1


@pytest.mark.parametrize("name", ["adam", "rmsprop", "lbfgs"])
def test_half_precision_is_stepped_in_single(name):
    def fun(x):
        return float(np.float16(np.sum((x - 1) ** 2)))

    def slope(x):
        return (2 * (x - 1)).astype(np.float16).astype(float)

    optimizer = Optimizer(name, np.zeros(3), dtype=np.float16, gradients=True, budget=60, lr=0.1)
    while not optimizer.stopped:
        points = optimizer.ask()
        optimizer.tell([fun(x) for x in points], [slope(x) * [1, 1, 0] for x in points])
    assert optimizer.best_value < 1.1  # the last variable has no slope, and stays
    assert optimizer.best_x[2] == 0


def test_a_precision_that_torch_has_not_is_stepped_in_double():
    with Optimizer("adam", [1.0, 2.0], dtype=np.longdouble) as optimizer:
        np.testing.assert_array_equal(optimizer.ask(), [[1.0, 2.0]])
