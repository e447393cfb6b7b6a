import numpy as np
import pytest
import torch

from experiments.architectures import ARCHITECTURES
from experiments.one_by_one import apart, training, tutorial, weights

ROWS = pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=lambda row: row.name)


def around(setup, count):
    center = weights(setup.model)
    return center + 0.1 * np.random.default_rng(0).standard_normal((count, len(center)))


@ROWS
def test_the_same_at_every_call_without_touching_the_global_state(row):
    before = torch.get_rng_state()
    first, again = row.setup(), row.setup()
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(weights(first.model), weights(again.model))
    for a, b in zip(first[2:], again[2:], strict=True):
        assert torch.equal(a, b)
    assert {module.training for module in first.model.modules()} == {row.training}


@ROWS
def test_in_one_precision_but_the_mixed_one(row):
    setup = row.setup(torch.float64)
    floating = [t.dtype for t in setup.model.parameters()]
    floating += [t.dtype for t in setup[2:] if t.is_floating_point()]
    expected = {torch.float64, torch.float32} if row.mixed else {torch.float64}
    assert set(floating) == expected


REPEATABLE = [r for r in ARCHITECTURES.values() if not r.random and "counter" not in r.name]


@pytest.mark.parametrize("row", REPEATABLE, ids=lambda row: row.name)
def test_fresh_copies_give_the_tutorials_losses_where_nothing_carries_over(row):
    setup = row.setup()
    points = around(setup, 3)
    losses, _ = apart(setup, points)
    np.testing.assert_allclose(tutorial(row.setup())(points), losses, rtol=1e-6)


def test_nothing_carries_over_between_fresh_copies():
    setup = ARCHITECTURES["counter in a buffer"].setup()
    points = around(setup, 1).repeat(3, axis=0)
    losses, gradients = apart(setup, points)
    assert len(set(losses)) == 1
    assert (gradients == gradients[0]).all()
    assert setup.model.passes == 0
    assert len(set(tutorial(setup)(points))) == 3


@pytest.mark.parametrize("name", ["perceptron", "residual blocks", "tied weights"])
def test_the_training_loop_has_the_gradients_of_fresh_copies(name):
    setup = ARCHITECTURES[name].setup(torch.float64)
    points = around(setup, 3)
    losses, gradients = training(ARCHITECTURES[name].setup(torch.float64))(points)
    expected = apart(setup, points)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradients, expected[1], rtol=1e-14)


def test_gradients_of_fresh_copies_are_those_of_differences():
    setup = ARCHITECTURES["seven nonlinearities"].setup(torch.float64)
    point, step = weights(setup.model), 1e-6
    stencil = np.concatenate([point + step * np.eye(len(point)), point - step * np.eye(len(point))])
    ahead, behind = np.split(apart(setup, stencil)[0], 2)
    gradient = apart(setup, point[None])[1][0]
    np.testing.assert_allclose(gradient, (ahead - behind) / (2 * step), atol=1e-9)
