"""Schedules that go by losses: torch's plateau, fed with the same ones, and the one that stops."""

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torchs

from blackbox import minimize
from blackbox.algorithms.descent.rules import SGD, Adam
from blackbox.algorithms.descent.schedule import make_rates

LR = 0.1


def losses_of(steps, seed=0):
    """Losses that fall, stall and scatter."""
    rng = np.random.default_rng(seed)
    falling = np.maximum(2.0 - np.arange(steps) / 40, 0.5)
    return falling + 0.1 * rng.random(steps)


def follow(schedule, losses, validations=None, steps=None, rule=SGD):
    """The learning rate of each step, and why the run ended, if it did."""
    descent = rule(lr=LR, schedule=schedule)
    rates = make_rates(descent, descent.keywords(), steps, validations is not None)
    assert rates.adaptive
    said = []
    for step, loss in enumerate(losses):
        said.append(rates.values["lr"])
        heard = None if validations is None else validations.get(step)
        if (reason := rates.advance(float(loss), heard)) is not None:
            return said, reason
    return said, None


def by_hand(losses_heard, steps, **arguments):
    """The rates of a plain loop in which torch's plateau hears these losses, {step: loss}."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler = torchs.ReduceLROnPlateau(optimizer, **arguments)
    said = []
    for step in range(steps):
        said.append(optimizer.param_groups[0]["lr"])
        if step in losses_heard:
            scheduler.step(losses_heard[step])
    return said


def test_plateau_goes_by_validation_losses_where_there_are_any():
    heard = dict(zip(range(4, 400, 5), losses_of(80).tolist(), strict=False))
    said, _ = follow("plateau(patience=2, factor=0.5)", np.ones(400), heard)
    assert said == by_hand(heard, 400, patience=2, factor=0.5)
    assert len(set(said)) > 3


def test_plateau_goes_by_means_of_training_losses_where_there_are_none():
    losses = losses_of(400)
    means = {end: sum(losses[end - 19 : end + 1].tolist()) / 20 for end in range(19, 400, 20)}
    said, _ = follow("plateau(patience=1, every=20)", losses)
    assert said == by_hand(means, 400, patience=1)
    assert len(set(said)) > 2


def test_how_often_training_losses_are_looked_at():
    losses = losses_of(3000)
    said, _ = follow("plateau(patience=1)", losses, steps=3000)
    assert said == follow("plateau(patience=1, every=1%)", losses, steps=3000)[0]
    assert said == follow("plateau(patience=1, every=30)", losses)[0]
    short, _ = follow("plateau(patience=1)", losses[:200], steps=200)
    assert short == follow("plateau(patience=1, every=10)", losses[:200])[0]


def test_one_minibatch_does_not_decide():
    """With a lucky one now and then the best single loss would never be beaten."""
    rng = np.random.default_rng(0)
    losses = 10 - np.arange(1000) / 200 + 3 * rng.standard_normal(1000)
    averaged, _ = follow("plateau(patience=3, every=50)", losses)
    single, _ = follow("plateau(patience=3, every=1)", losses)
    assert averaged[-1] == LR
    assert single[-1] < LR / 1000


def test_failed_losses_do_not_count_among_others():
    losses = losses_of(100)
    holed = losses.copy()
    holed[::7] = math.inf
    said, _ = follow("plateau(every=10, patience=0)", holed)
    kept = [holed[i : i + 10][np.isfinite(holed[i : i + 10])] for i in range(0, 100, 10)]
    means = {10 * i + 9: sum(k.tolist()) / len(k) for i, k in enumerate(kept)}
    assert said == by_hand(means, 100, patience=0)
    said, _ = follow("plateau(every=10, patience=0)", [math.inf] * 100)
    assert said[-1] < LR, "nothing but failures is no gain"


def test_plateau_after_other_phases_begins_at_the_run_s_own_rate():
    heard = dict.fromkeys(range(9, 200, 10), 1.0)
    said, _ = follow(
        "warmup(20) + constant(30, factor=0.5) + plateau(patience=1)", [1] * 200, heard
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    warmup = torchs.LinearLR(optimizer, 0.01, total_iters=20)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        warmup.step()
    assert said[:20] == expected
    assert said[20:50] == [LR / 2] * 30
    late = {step - 50: loss for step, loss in heard.items() if step >= 50}
    assert said[50:] == by_hand(late, 150, patience=1)


def test_torchs_own_plateau_is_followed():
    losses = losses_of(300)
    said, _ = follow("plateau(patience=1, factor=0.5)", losses)

    def factory(optimizer):
        return torchs.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)

    made = factory(torch.optim.Adam([torch.zeros(3)], lr=LR))
    assert follow(factory, losses)[0] == said
    assert follow(made, losses)[0] == said
    assert made.optimizer.param_groups[0]["lr"] == LR


def test_adaptive_warms_up_reduces_and_ends():
    heard = dict.fromkeys(range(9, 2000, 10), 1.0)
    said, reason = follow("adaptive", np.ones(2000), heard, steps=2000, rule=Adam)
    assert said[0] == pytest.approx(LR / 100)
    assert said[100] == LR
    assert np.diff(said[:100]).min() > 0
    levels = sorted(set(said[100:]), reverse=True)
    assert levels == pytest.approx([LR * 0.3**i for i in range(4)])
    # The first loss is a gain; from there the fourth reduction is due after four times six checks.
    assert len(said) == 100 + 10 * (1 + 4 * 6)
    assert "validation loss has not fallen through 3 reductions" in reason
    assert "0.0027" in reason


def test_adaptive_goes_on_after_a_gain():
    heard = dict.fromkeys(range(9, 1000, 10), 1.0)
    early = len(follow("adaptive(warmup=0, patience=1, reductions=2)", np.ones(1000), heard)[0])
    heard |= {early - 1: 0.5}
    late, reason = follow("adaptive(warmup=0, patience=1, reductions=2)", np.ones(1000), heard)
    assert reason
    assert len(late) == early + 60
    assert late[0] == LR


def test_adaptive_without_validation_goes_by_training_losses():
    said, reason = follow("adaptive(patience=2, every=10)", np.ones(1000), steps=1000)
    assert "training loss" in reason
    assert len(said) == 50 + 10 * (1 + 4 * 3)


def test_a_run_that_adaptive_ends_is_a_success():
    def fun(x):
        return float(np.sum(np.abs(x))) + 1

    result = minimize(
        fun,
        [3.0, -1.0],
        method="adam",
        jac=np.sign,
        options={"lr": 0.1, "schedule": "adaptive(warmup=50, every=10)"},
        budget=5000,
    )
    assert result.success
    assert "reductions of the learning rate" in result.message
    assert result.nfev < 2000
    assert result.fun < 1.01


def test_validation_losses_reach_the_schedule_without_being_asked_for():
    class Model:
        """An objective with validation data, on which all gets worse."""

        batched = True
        has_validation = True

        def __call__(self, points):
            return np.sum(points**2, axis=1)

        def value_and_gradient(self, points):
            return self(points), 2 * points

        def validate(self, points):
            return 5 - np.sum(points**2, axis=1)

    result = minimize(
        Model(),
        [1.0, 1.0],
        method="sgd",
        budget=2000,
        options={"lr": 1e-3, "schedule": "plateau(patience=3, factor=0.5)"},
    )
    rates = result.history.trace.curves().learning_rate
    assert rates[0] == 1e-3
    assert rates[-1] < 1e-3 / 1000
    assert result.history.validation_count > 50


def test_runs_side_by_side_are_judged_each_by_its_own_losses():
    def fun(points):  # the first start is at the optimum, the second one far away
        return np.sum(points**2, axis=-1) + 1

    result = minimize(
        fun,
        [[0.0, 0.0], [50.0, 50.0]],
        method="sgd",
        jac=lambda x: 2 * x,
        batched=True,
        budget=600,
        options={"lr": 1e-3, "schedule": "plateau(patience=2, every=10, factor=0.5)"},
    )
    first, second = (result.history.trace.curves(run).learning_rate for run in (0, 1))
    assert first[-1] < 1e-3 / 100
    assert set(second) == {1e-3}


def test_one_run_that_is_over_leaves_the_others_alone():
    def fun(points):
        return np.sum(points**2, axis=-1) + 1

    schedule = "adaptive(patience=1, every=5, warmup=0, threshold=1e-4, reductions=1)"
    options = {"lr": 0.01, "schedule": schedule}
    settings = {"jac": lambda x: 2 * x, "batched": True, "method": "sgd", "options": options}
    both = minimize(fun, [[0.0, 0.0], [9.0, 9.0]], budget=20_000, **settings)
    alone = minimize(fun, [[9.0, 9.0]], budget=10_000, **settings)
    assert both.success
    assert alone.success
    assert both.nfev == 2 * alone.nfev
    assert both.history.trace.ends_value[1] == alone.fun
