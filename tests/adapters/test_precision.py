"""Mixed precision: gradients that float16 would lose, and what cannot be had."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from adapters.precision import LossScale
from blackbox import minimize
from tests.adapters.cases import normal

FIRST = 2.0**16


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def tiny(output, targets):
    """A loss whose derivatives by the outputs are below what float16 can hold."""
    return 1e-7 * F.mse_loss(output, targets)


def objective(loss=tiny, autocast=torch.float16, model=None, **settings):
    data = normal(32, 6), normal(32, 1)
    return ModelObjective(model or network(), loss, *data, autocast=autocast, **settings)


PATHS = ["stack", "vmap", "loop"]


@pytest.mark.parametrize("plan", PATHS)
@pytest.mark.parametrize("k", [1, 12])
def test_small_gradients_come_out_right_in_float16(plan, k):
    fun, exact = objective(plan=plan), objective(autocast=None)
    points = fun.x0 + 0.1 * np.random.default_rng(0).standard_normal((k, fun.n))
    values, gradients = fun.value_and_gradient(points)
    expected_values, expected = exact.value_and_gradient(points)
    scale = np.abs(expected).max()
    assert 0 < scale < 1e-6
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=0.02 * scale)
    np.testing.assert_allclose(values, expected_values, rtol=0.02)
    fun._bench.scale = None  # without it they vanish: the test would see it
    unscaled = fun.value_and_gradient(points)[1]
    assert np.abs(unscaled - expected).max() > 0.2 * scale


def by_hand(points):
    """Gradients of torch's own recipe, step by step, and the scales."""
    model, scaler = network(), torch.amp.GradScaler("cpu")
    optimizer, gradients, scales = torch.optim.SGD(model.parameters()), [], []
    inputs, targets = normal(32, 6), normal(32, 1)
    for point in points:
        nn.utils.vector_to_parameters(torch.from_numpy(point).float(), model.parameters())
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            output = model(inputs)
        scaler.scale(steep(output.float(), targets)).backward()
        scaler.unscale_(optimizer)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]).numpy())
        scaler.update()
        scales.append(scaler.get_scale())
    return np.array(gradients), scales


def steep(output, targets):
    """A loss whose scaled derivatives overflow until the scale has been halved a few times."""
    return 50.0 * F.mse_loss(output, targets)


def test_it_is_torchs_own_recipe_with_halved_scales_where_gradients_overflow():
    fun = objective(steep, plan="loop")
    points = fun.x0 + 0.1 * np.random.default_rng(0).standard_normal((12, fun.n))
    expected, scales = by_hand(points)
    gradients, found = [], []
    for point in points:
        gradients.append(fun.value_and_gradient(point)[1])
        found.append(fun._bench.scale.scale)
    assert found == scales
    assert FIRST > scales[-1] == scales[-2]
    np.testing.assert_array_equal(np.array(gradients), expected)
    good = np.isfinite(expected).all(axis=1)
    assert not good[0]
    assert good[-1]


def test_a_run_skips_what_overflows_counts_it_and_repeats():
    fun = objective(steep, plan="loop")
    arguments = {"method": "sgd", "options": {"lr": 1e-3}, "budget": 60, "seed": 0}
    result = minimize(fun, fun.x0, **arguments)
    assert result.history.trace.skipped >= 1
    assert np.isfinite(result.fun)
    assert result.fun < fun(fun.x0)


def test_the_scale_doubles_after_two_thousand_good_passes_and_begins_anew():
    scale, values = LossScale(), torch.zeros(3, dtype=torch.float64)
    for count in range(1, 2002):
        gradients = torch.full((3, 2), scale.scale, dtype=torch.float64)
        assert (scale.unscale(values, gradients) == 1.0).all()
        assert scale.scale == (FIRST if count < 2000 else 2 * FIRST)
    scale.restart()
    assert scale.scale == FIRST


def test_a_candidate_whose_loss_is_not_finite_says_nothing_of_the_scale():
    scale = LossScale()
    gradients = torch.tensor([[torch.inf, 1.0], [2.0, 4.0]], dtype=torch.float64) * FIRST
    values = torch.tensor([torch.nan, 1.0], dtype=torch.float64)
    found = scale.unscale(values, gradients)
    assert scale.scale == FIRST
    assert not found[0].isfinite().all()
    assert found[1].tolist() == [2.0, 4.0]
    scale.unscale(torch.ones(2), gradients)
    assert scale.scale == FIRST / 2
    scale.unscale(torch.full((2,), torch.inf), gradients)
    assert scale.scale == FIRST / 2


def test_runs_begin_with_the_first_scale():
    fun = objective(steep, plan="loop", batch_size=8)
    arguments = {"method": "sgd", "options": {"lr": 1e-3}, "budget": 40, "seed": 0}
    first = minimize(fun, fun.x0, **arguments)
    second = minimize(fun, fun.x0, **arguments)
    np.testing.assert_array_equal(first.x, second.x)
    assert first.history.trace.skipped == second.history.trace.skipped >= 1
    assert fun._bench.scale.scale == FIRST


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_other_precisions_need_no_scale(autocast):
    assert objective(autocast=autocast)._bench.scale is None


@pytest.mark.parametrize("autocast", [torch.float64, torch.int8])
def test_what_the_device_cannot_do_is_refused(autocast):
    with pytest.raises(ValueError, match=f"autocast={autocast} cannot be had on the device cpu"):
        objective(autocast=autocast)


def test_what_is_no_dtype_is_refused():
    with pytest.raises(TypeError, match=r"autocast must be a torch\.dtype or None, not 'float16'"):
        objective(autocast="float16")


def test_a_second_run_on_the_same_objective_begins_with_the_first_scale():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 8, generator=generator)
    targets = torch.randint(0, 3, (64,), generator=generator)
    objective = ModelObjective(
        torch.nn.Linear(8, 3),
        lambda scores, right: 1e4 * torch.nn.functional.cross_entropy(scores, right),
        inputs,
        targets,
        autocast=torch.float16,
    )
    first, second = (
        minimize(objective, np.zeros(objective.n), method="adam", budget=40, seed=0)
        for _ in range(2)
    )
    assert first.history.trace.skipped > 0
    assert second.history.trace.skipped == first.history.trace.skipped
    np.testing.assert_array_equal(second.x, first.x)
