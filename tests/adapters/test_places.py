"""Where and how precisely a model computes: devices, autocast, and chunks that fit into memory."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from adapters.batched import in_chunks
from tests.adapters.cases import around, classes, convolution, make, normal, perceptron, regression


class Limited:
    """Adds up rows, with memory for so many at once."""

    def __init__(self, fits):
        self.fits, self.passes = fits, []

    def __call__(self, points):
        self.passes.append(len(points))
        if len(points) > self.fits:
            raise torch.OutOfMemoryError("not enough")
        return points.sum(1)


@pytest.mark.parametrize("k", [1, 2, 7, 64, 65, 200])
@pytest.mark.parametrize(("size", "fits"), [(64, 64), (64, 63), (64, 5), (64, 1), (7, 3), (1, 1)])
def test_chunks_that_do_not_fit_are_halved(k, size, fits):
    evaluate = Limited(fits)
    points = torch.from_numpy(np.random.default_rng(0).standard_normal((k, 3)))
    parts, fitted = in_chunks(evaluate, points, size)
    assert torch.equal(torch.cat(parts), points.sum(1))
    assert 1 <= fitted <= size
    assert sum(passed > fits for passed in evaluate.passes) <= np.log2(size)
    again = Limited(fits)
    in_chunks(again, points, fitted)
    assert max(again.passes) <= fits


def test_a_candidate_that_does_not_fit_alone_is_an_error():
    evaluate = Limited(0)
    with pytest.raises(torch.OutOfMemoryError, match="not enough"):
        in_chunks(evaluate, torch.zeros(16, 3), 16)
    assert evaluate.passes == [16, 8, 4, 2, 1]


@pytest.mark.parametrize("plan", ["auto", "stack", "vmap", "loop"])
@pytest.mark.parametrize("case", [perceptron, convolution], ids=lambda case: case.__name__)
def test_bfloat16_is_near_the_full_precision(case, plan):
    low = ModelObjective(*make(case), plan=plan, autocast=torch.bfloat16)
    full = ModelObjective(*make(case))
    assert low.batching.path == ("stack" if plan == "auto" else plan)
    assert low.dtype == np.float32
    for k in (1, 40, 300):
        points = around(full, k)
        values = low(points)
        assert not np.array_equal(values, full(points))
        np.testing.assert_allclose(values, full(points), rtol=0.03)
    values, gradients = low.value_and_gradient(points[:12])
    expected_values, expected = full.value_and_gradient(points[:12])
    np.testing.assert_allclose(values, expected_values, rtol=0.03)
    assert np.linalg.norm(gradients - expected) < 0.05 * np.linalg.norm(expected)


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_the_loss_is_given_single_precision_under_autocast(plan):
    model, _, inputs, targets = make(perceptron)
    seen = set()

    def loss(output, target):
        seen.add(output.dtype)
        return F.cross_entropy(output, target)

    objective = ModelObjective(model, loss, inputs, targets, plan=plan, autocast=torch.bfloat16)
    objective.value_and_gradient(around(objective, 12))
    objective(around(objective, 12))
    assert seen == {torch.float32}


def test_autocast_is_over_after_each_call():
    objective = ModelObjective(*make(perceptron), autocast=torch.bfloat16)
    objective.value_and_gradient(around(objective, 12))
    assert not torch.is_autocast_enabled("cpu")
    layer = nn.Linear(2, 2)
    assert layer(torch.ones(1, 2)).dtype == torch.float32


def test_a_device_that_is_not_there_is_named():
    for device in ("nowhere", "cuda:99", 1.5):
        with pytest.raises(ValueError, match=r"device=.* cannot be used here"):
            ModelObjective(*make(perceptron), device=device)


def test_a_model_without_data_of_its_own_is_refused():
    with torch.device("meta"):
        model = nn.Linear(3, 2)
    with pytest.raises((ValueError, NotImplementedError), match="meta"):
        ModelObjective(model, F.mse_loss, normal(5, 3), normal(5, 2))


def test_the_meta_device_cannot_evaluate():
    with pytest.raises(ValueError, match="meta"):
        ModelObjective(*make(perceptron), device="meta")


def test_the_callers_default_device_does_not_matter():
    setup = regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for plan in ("stack", "vmap", "loop"):
        expected = ModelObjective(*setup, plan=plan)
        points = around(expected, 12)
        objective = ModelObjective(*setup, plan=plan)
        with torch.device("meta"):
            values = objective(points), *objective.value_and_gradient(points)
        for ours, theirs in zip(
            values, (expected(points), *expected.value_and_gradient(points)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_classes_of_other_integers_are_taken_where_the_loss_takes_them():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    inputs = normal(9, 3)
    plain = ModelObjective(model, F.cross_entropy, inputs, classes(9, 3))
    given = ModelObjective(model, F.cross_entropy, inputs, classes(9, 3).numpy().astype(np.int32))
    points = around(plain, 12)
    np.testing.assert_array_equal(given(points), plain(points))
