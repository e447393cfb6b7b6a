"""Points as callers have them: arrays and tensors of every kind, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from adapters import ModelObjective
from tests.adapters.cases import article, assert_close, embedded, lstm, make, perceptron, regression

PLANS = {"stack": perceptron, "vmap": embedded, "loop": lstm}


@pytest.fixture(params=PLANS)
def objective(request):
    return ModelObjective(*make(PLANS[request.param]), plan=request.param)


@pytest.fixture
def double():
    torch.manual_seed(0)
    return ModelObjective(*regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))


def around(objective, k):
    return objective.x0 + 0.1 * np.random.default_rng(k).standard_normal((k, objective.n))


TENSORS = {
    "double": lambda x: torch.tensor(x),
    "single": lambda x: torch.tensor(x).float(),
    "half": lambda x: torch.tensor(x).half(),
    "of autograd": lambda x: torch.tensor(x).requires_grad_(),
    "transposed": lambda x: torch.tensor(x.T.copy()).T,
    "every other": lambda x: torch.tensor(np.repeat(np.repeat(x, 2, 0), 2, 1))[::2, ::2],
    "flipped": lambda x: torch.tensor(x).flip(1).flip(1),
    "a parameter": lambda x: nn.Parameter(torch.tensor(x)),
}


@pytest.mark.parametrize("make_tensor", TENSORS.values(), ids=TENSORS)
def test_tensors_give_tensors(objective, make_tensor):
    for k in (1, 12, 300):
        given = make_tensor(around(objective, k))
        plain = given.detach().double().numpy().copy()
        expected = objective(plain)
        values = objective(given)
        assert isinstance(values, torch.Tensor)
        assert values.shape == (k,)
        assert values.dtype == torch.float64
        assert not values.requires_grad
        assert_close(values.numpy(), expected, torch.float32)
        if k == 12:
            values, gradients = objective.value_and_gradient(given)
            assert gradients.shape == (k, objective.n)
            assert values.dtype == gradients.dtype == torch.float64
            ours = objective.value_and_gradient(plain)
            assert_close(values.numpy(), ours[0], torch.float32)
            assert_close(gradients.numpy(), ours[1], torch.float32)
        np.testing.assert_array_equal(given.detach().double().numpy(), plain)
    assert given.grad is None


def test_one_tensor_gives_one_value(objective):
    x = torch.from_numpy(objective.x0)
    value, gradient = objective.value_and_gradient(x)
    assert objective(x).shape == value.shape == ()
    assert gradient.shape == (objective.n,)
    assert objective(x).item() == objective(objective.x0)
    assert objective.full(x).item() == objective(objective.x0)


def test_tensors_of_inference_mode(objective):
    points = around(objective, 12)
    with torch.inference_mode():
        given = torch.tensor(points)
        inside = objective(given), *objective.value_and_gradient(given)
    outside = objective(given), *objective.value_and_gradient(given)
    for ours, theirs in zip(inside, outside, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(outside[0].numpy(), objective(points))


def read_only(x):
    x.flags.writeable = False
    return x


ARRAYS = {
    "read-only": read_only,
    "in Fortran's order": np.asfortranarray,
    "reversed": lambda x: x[:, ::-1].copy()[:, ::-1],
    "a list": lambda x: x.tolist(),
    "foreign bytes": lambda x: x.astype(">f8"),
    "long": lambda x: x.astype(np.longdouble),
    "of a subclass": lambda x: x.view(type("Mine", (np.ndarray,), {})),
}


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS)
def test_arrays_of_every_kind(objective, change):
    for k in (1, 12, 40):
        points = around(objective, k)
        expected, gradients = objective.value_and_gradient(points)
        given = change(points.copy())
        values = objective(given)
        assert type(values) is np.ndarray
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, objective(points))
        ours = objective.value_and_gradient(given)
        np.testing.assert_array_equal(ours[0], expected)
        np.testing.assert_array_equal(ours[1], gradients)
        np.testing.assert_array_equal(np.asarray(given), points)


def test_single_precision_arrays_give_double_results(double):
    points = around(double, 40).astype(np.float32)
    values = double(points)
    assert values.dtype == np.float64
    assert_close(values, double(points.astype(float)), torch.float64)
    assert double.value_and_gradient(points)[1].dtype == np.float64


def test_whole_numbers_and_truth_values(double):
    for kind in (int, np.uint8, bool):
        points = np.random.default_rng(0).integers(0, 2, (5, double.n)).astype(kind)
        np.testing.assert_array_equal(double(points), double(points.astype(float)))
        np.testing.assert_array_equal(double(torch.from_numpy(points)), double(points))


def test_one_point_gives_plain_numbers(objective):
    for x in (objective.x0, objective.x0.tolist(), tuple(objective.x0)):
        value, gradient = objective.value_and_gradient(x)
        assert type(objective(x)) is type(value) is float
        assert type(gradient) is np.ndarray
        assert gradient.shape == (objective.n,)


def test_no_points_have_no_values(objective):
    for empty in (np.empty((0, objective.n)), torch.empty(0, objective.n)):
        values, gradients = objective.value_and_gradient(empty)
        assert objective(empty).shape == values.shape == (0,)
        assert gradients.shape == (0, objective.n)


def test_points_of_another_width_are_named():
    objective = ModelObjective(*make(article))
    bad = np.zeros(9), np.zeros((2, 11)), np.zeros((1, 2, 10)), 3.0, torch.zeros(9), []
    for points in bad:
        for method in (objective, objective.value_and_gradient, objective.full):
            with pytest.raises(ValueError, match=r"points have shape.*\(k, 10\), as n = 10"):
                method(points)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((2, 10), dtype=complex),
        torch.zeros(2, 10, dtype=torch.complex64),
        np.full((2, 10), "a"),
        np.full((2, 10), None),
        [None] * 10,
    ],
    ids=lambda points: str(getattr(points, "dtype", "list")),
)
def test_points_that_are_no_real_numbers_are_named(points):
    objective = ModelObjective(*make(article))
    for method in (objective, objective.value_and_gradient):
        with pytest.raises(TypeError, match="points must hold real numbers"):
            method(points)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("k", [1, 3, 300])
@pytest.mark.parametrize("wrap", [np.asarray, torch.tensor, torch.FloatTensor])
def test_points_that_are_not_finite_are_named(objective, bad, k, wrap):
    points = around(objective, k)
    points[k // 2, 3] = bad
    for method in (objective, objective.value_and_gradient, objective.full):
        with pytest.raises(ValueError, match=rf"points must be finite; points\[{k // 2}, 3\] is"):
            method(wrap(points))


@pytest.mark.parametrize("layer", [nn.ReLU, nn.Tanh, nn.Hardtanh], ids=lambda kind: kind.__name__)
def test_a_weight_that_is_not_finite_is_named_also_where_the_loss_is_finite(layer):
    torch.manual_seed(0)
    objective = ModelObjective(*regression(nn.Linear(3, 4), layer(), nn.Linear(4, 2)))
    at = objective.vector.slices["0.bias"].start
    for bad in (-np.inf, np.inf, np.nan):
        for k in (1, 300):
            points = around(objective, k)
            points[:, at] = bad
            with pytest.raises(ValueError, match="points must be finite"):
                objective(points)
