"""The learning-rate range test: what it tries, when it ends, and whether its word is good."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from adapters import ModelObjective
from blackbox import lr_range_test, minimize


def bowl(x):
    return float(np.sum((x - 1) ** 2))


def slope(x):
    return 2 * (x - 1)


def test_rates_grow_by_the_same_factor_and_losses_are_those_of_the_walk():
    found = lr_range_test(bowl, [3.0, -2.0], jac=slope, method="sgd", lowest=1e-4, highest=0.4)
    assert found.rates.tolist() == np.geomspace(1e-4, 0.4, 100).tolist()
    x, losses = np.array([3.0, -2.0]), []
    for rate in found.rates:
        losses.append(bowl(x))
        x = x - rate * slope(x)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-10)
    assert (found.method, found.evaluations, found.gradients) == ("sgd", 100, 100)
    assert not found.diverged
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.method = "adam"


def test_smoothed_losses_lie_between_their_neighbours_without_a_lag():
    found = lr_range_test(bowl, [3.0, -2.0], jac=slope, method="sgd", highest=0.4)
    assert found.smoothed.shape == found.losses.shape
    assert (np.diff(found.smoothed) <= 0).all()
    middle = found.losses.max() / 2
    there, smooth = (np.argmax(each < middle) for each in (found.losses, found.smoothed))
    assert abs(there - smooth) <= 1


def test_the_suggestion_is_where_the_loss_falls_steepest():
    found = lr_range_test(bowl, [3.0, -2.0], jac=slope, method="sgd")
    slopes = np.gradient(found.smoothed, np.log(found.rates))
    lowest = found.smoothed.argmin()
    assert found.suggestion == found.rates[slopes[: lowest + 1].argmin()]
    assert f"at {found.suggestion:.2g} the smoothed loss falls steepest" in found.reason
    assert f"lowest at {found.rates[lowest]:.2g}" in found.reason


def test_it_ends_where_the_loss_blows_up():
    """Gradient descent on this bowl diverges from a rate of 1 on."""
    found = lr_range_test(bowl, [3.0, -2.0], jac=slope, method="sgd", highest=1e4)
    assert found.diverged
    assert 1 < found.rates[-1] < 100
    assert found.evaluations == len(found.rates) < 100
    assert np.isfinite(found.losses).all()


def test_it_ends_where_the_loss_is_not_finite():
    def fenced(x):
        return bowl(x) if np.abs(x).max() < 5 else float("nan")

    found = lr_range_test(fenced, [3.0, -2.0], jac=slope, method="sgd", highest=1e4)
    assert found.diverged
    assert np.isfinite(found.losses).all()
    assert 0 < found.suggestion < 1


def test_a_loss_that_never_falls_has_no_suggestion():
    flat = lr_range_test(lambda x: 3.0, [3.0, -2.0], method="sgd")
    assert np.isnan(flat.suggestion)
    assert "did not fall" in flat.reason
    late = lr_range_test(bowl, [3.0], jac=slope, method="sgd", lowest=10, highest=1e5)
    assert np.isnan(late.suggestion)
    assert late.diverged
    assert "rose" in late.reason


def test_a_loss_that_falls_to_the_end_says_so():
    found = lr_range_test(bowl, [3.0], jac=slope, method="sgd", lowest=1e-8, highest=1e-4)
    assert "the highest rate tried" in found.reason
    assert found.suggestion <= 1e-4


def test_finite_differences_are_counted():
    found = lr_range_test(bowl, [3.0, -2.0], method="adam", steps=30, highest=0.1)
    assert found.evaluations == 90
    assert found.gradients == 0


def test_noise_alone_is_no_fall():
    rng = np.random.default_rng(0)
    found = lr_range_test(
        lambda x: 1 + 0.1 * rng.standard_normal(), [0.0], jac=lambda x: 0 * x, method="sgd"
    )
    assert np.isnan(found.suggestion)
    assert not found.diverged


def test_options_reach_the_rule():
    heavy = {"options": {"momentum": 0.9}, "jac": slope, "method": "sgd"}
    plain = lr_range_test(bowl, [3.0, -2.0], jac=slope, method="sgd")
    assert lr_range_test(bowl, [3.0, -2.0], **heavy).suggestion < plain.suggestion


def digits():
    data = pytest.importorskip("sklearn.datasets").load_digits()
    images = torch.tensor(data.data / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return ModelObjective(
        model,
        cross_entropy,
        images[:898],
        labels[:898],
        batch_size=64,
        validation=(images[898:], labels[898:]),
    )


@pytest.mark.parametrize(
    ("rule", "grid"),
    [
        ("adam", [1e-3, 5e-3, 0.02, 0.1]),
        pytest.param("sgd", [0.1, 0.3, 1, 3], marks=pytest.mark.slow),
    ],
)
def test_the_suggestion_trains_nearly_as_well_as_the_best_of_a_grid(rule, grid):
    objective = digits()
    before = torch.random.get_rng_state()
    found = lr_range_test(objective, method=rule, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)

    def validation_loss(rate):
        result = minimize(
            objective,
            objective.x0,
            method=rule,
            options={"lr": rate},
            budget=200,
            validate_every=20,
            seed=0,
        )
        return result.validation_loss

    losses = {rate: validation_loss(rate) for rate in grid}
    assert max(losses.values()) > 2 * min(losses.values()), "else any would do"
    assert validation_loss(found.suggestion) < 1.1 * min(losses.values())


def test_the_same_seed_finds_the_same():
    objective = digits()
    one, two = (lr_range_test(objective, steps=30, seed=3) for _ in range(2))
    assert one.losses.tolist() == two.losses.tolist()
    assert one.suggestion == two.suggestion


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "cma"}, "'cma' has no learning rate.*adam"),
        ({"method": "l-bfgs-b"}, "has no learning rate"),
        ({"method": "adma"}, "unknown method 'adma' .did you mean"),
        ({"lowest": 1.0, "highest": 0.1}, "lowest=1.0 must be below highest=0.1"),
        ({"lowest": 0.0}, "lowest, a learning rate, must be a number above 0; got 0.0"),
        ({"highest": float("inf")}, "highest"),
        ({"highest": "1"}, "highest"),
        ({"steps": 19}, "steps must be a whole number of at least 20; got 19"),
        ({"steps": 50.0}, "steps"),
        ({"options": {"lr": 0.1}}, "option 'lr' is what the test itself sets"),
        ({"options": {"schedule": "cosine"}}, "option 'schedule'"),
        ({"options": {"betas": [(0.9, 0.99), (0.8, 0.9)]}}, "is a list"),
        ({"options": {"momentun": 0.9}, "method": "sgd"}, "did you mean 'momentum'"),
        ({"x0": [[0.0], [1.0]]}, "one start; got 2"),
        ({"fun": lambda x: float("nan")}, "x0 is not finite"),
    ],
)
def test_bad_input_is_refused(settings, message):
    arguments = {"fun": bowl, "x0": [0.0], "jac": slope} | settings
    with pytest.raises(ValueError, match=message):
        lr_range_test(**arguments)
