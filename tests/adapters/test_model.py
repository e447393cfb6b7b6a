import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective, SlowPathWarning
from tests.adapters.cases import (
    Remembering,
    around,
    assert_close,
    assert_same,
    embedded,
    lstm,
    make,
    normal,
    normalised_train,
    perceptron,
    reading,
    snapshot,
    tutorial,
    weighted_loss,
    write,
)


@pytest.mark.parametrize("plan", ["stack", "loop"])
@pytest.mark.parametrize("convert", [float, np.float32, np.asarray, lambda v: int(v * 1000)])
def test_a_loss_that_is_a_number_but_no_tensor(convert, plan):
    model, _, inputs, targets = make(perceptron)

    def loss(output, target):
        return convert(F.cross_entropy(output, target).numpy()[()])

    objective = ModelObjective(model, loss, inputs, targets, plan=plan)
    assert objective.batching.path == plan
    assert objective.value_and_gradient is None
    points = around(objective, 12)
    expected = tutorial(model, F.cross_entropy, inputs, targets, points)
    if convert not in (float, np.float32, np.asarray):
        expected = np.trunc(expected * 1000)
    np.testing.assert_allclose(objective(points), expected, rtol=1e-5)


def test_a_backward_pass_that_fails_means_no_gradients_and_says_why():
    class Stubborn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise NotImplementedError("nobody wrote this")

    model, _, inputs, targets = make(perceptron)
    objective = ModelObjective(
        model, lambda o, t: Stubborn.apply(F.cross_entropy(o, t)), inputs, targets
    )
    assert not objective.differentiable
    assert "nobody wrote this" in objective.batching.reason
    assert np.isfinite(objective(around(objective, 3))).all()


def test_derivatives_by_something_else_are_none():
    other = torch.ones(1, requires_grad=True)

    def closure(model):
        return other.sum() * (model(INPUTS) > 0).float().mean()

    objective = ModelObjective.from_function(nn.Linear(3, 2), closure)
    assert not objective.differentiable
    assert other.grad is None


def test_weights_that_the_loss_ignores_have_derivative_zero():
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "idle": nn.Linear(2, 1)})
    objective = ModelObjective.from_function(model, lambda m: m["used"].weight.square().sum())
    assert objective.batching.path == "vmap"
    for k in (1, 12):
        points = around(objective, k)
        values, gradients = objective.value_and_gradient(points)
        assert_close(values, (points[:, :2] ** 2).sum(1), torch.float32)
        assert_close(gradients[:, :2], 2 * points[:, :2], torch.float32)
        assert (gradients[:, 2:] == 0).all()


@pytest.mark.parametrize("plan", ["auto", "loop", "vmap"])
@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda o, t: F.cross_entropy(o, t, reduction="none"), r"shape \(20,\)"),
        (lambda o, t: None, "None"),
        (lambda o, t: "low", "low"),
        (lambda o, t: (o.sum(), o.mean()), "tuple"),
        (lambda o, t: 1j * o.sum(), "complex64"),
        (lambda o, t: 1j, "complex"),
        (lambda o, t: np.zeros(3), "array"),
    ],
)
def test_what_is_no_loss_is_refused_at_once(loss, said, plan):
    model, _, inputs, targets = make(perceptron)
    with pytest.raises(TypeError, match=f"the loss must be one real number.*{said}"):
        ModelObjective(model, loss, inputs, targets, plan=plan)


def test_nan_and_infinite_losses_are_returned_as_they_are():
    for case in (perceptron, weighted_loss, embedded, reading):
        objective = ModelObjective(*make(case), plan="loop" if case is reading else "auto")
        points = around(objective, 12)
        points[1] = 1e39  # infinite in float32
        values = objective(points)
        assert not np.isfinite(values[1])
        assert np.isfinite(np.delete(values, 1)).all()
        gradients = objective.value_and_gradient(points)[1]
        assert np.isfinite(np.delete(gradients, 1, axis=0)).all()


INPUTS, TARGETS = normal(6, 3), normal(6, 2)


def penalised(model):
    weights = torch.cat([p.reshape(-1) for p in model.parameters()])
    return F.mse_loss(model(INPUTS), TARGETS) + 0.1 * weights.square().sum()


def test_a_closure_sees_the_candidates_weights():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    before = snapshot(model)
    objective = ModelObjective.from_function(model, penalised)
    assert objective.batching.path == "vmap", objective.batching.reason
    points = around(objective, 12)
    expected, gradients = [], []
    for point in points:
        fresh = copy.deepcopy(model)
        write(list(fresh.parameters()), point)
        value = penalised(fresh)
        value.backward()
        expected.append(value.item())
        gradients.append(torch.cat([p.grad.reshape(-1) for p in fresh.parameters()]).numpy())
    for plan in ("vmap", "loop"):
        objective = ModelObjective.from_function(model, penalised, plan=plan)
        assert_close(objective(points), np.array(expected), torch.float32)
        assert_close(objective.value_and_gradient(points)[1], np.array(gradients), torch.float32)
    assert_same(model, before)


def test_a_closure_may_do_what_vmap_cannot():
    def closure(model):
        predicted = model(normal(10, 3)).numpy()
        return float(np.median(np.abs(predicted)))

    objective = ModelObjective.from_function(nn.Linear(3, 2), closure)
    assert objective.batching.path == "loop"
    assert objective.value_and_gradient is None
    with pytest.warns(SlowPathWarning, match="one by one: .*vmap failed"):
        assert len(set(objective(around(objective, 12)))) == 12


@pytest.mark.filterwarnings("ignore::adapters.SlowPathWarning")
def test_a_closure_may_differentiate_inside():
    def physics(model):
        x = torch.linspace(0, 1, 10).reshape(-1, 1).requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return (slope - 1.0).square().mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    objective = ModelObjective.from_function(model, physics)
    points = around(objective, 12)
    expected = []
    for point in points:
        fresh = copy.deepcopy(model)
        write(list(fresh.parameters()), point)
        expected.append(physics(fresh).item())
    assert objective.differentiable
    assert_close(objective(points), np.array(expected), torch.float32)


def test_selected_weights_alone_are_free():
    model, loss, inputs, targets = make(perceptron)
    objective = ModelObjective(model, loss, inputs, targets, select="2.*")
    assert objective.n == 27
    same = ModelObjective(model, loss, inputs, targets, select=model[2])
    frozen_model = copy.deepcopy(model)
    frozen_model[0].requires_grad_(False)
    points = around(objective, 12)
    expected = tutorial(frozen_model, loss, inputs, targets, points)
    assert_close(objective(points), expected, torch.float32)
    np.testing.assert_array_equal(same(points), objective(points))


def test_a_device_means_a_copy_there():
    model, loss, inputs, targets = make(weighted_loss)
    objective = ModelObjective(model, loss, (inputs,)[0], targets, device="cpu")
    assert objective(objective.x0) == ModelObjective(model, loss, inputs, targets)(objective.x0)
    with pytest.raises(ValueError, match="device='nowhere'"):
        ModelObjective(model, loss, inputs, targets, device="nowhere")


def test_inputs_may_be_nested():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, both):
            return self.layer(both["a"] + both["b"][0])

    inputs = {"a": normal(5, 3), "b": [normal(5, 3).numpy()]}
    setup = Pair(), F.mse_loss, inputs, normal(5, 2)
    objective = ModelObjective(*setup, device="cpu")
    assert objective.batching.path == "vmap"
    points = around(objective, 12)
    as_tensors = {"a": inputs["a"], "b": [torch.from_numpy(inputs["b"][0])]}
    expected = tutorial(setup[0], F.mse_loss, as_tensors, setup[3], points)
    assert_close(objective(points), expected, torch.float32)


@pytest.mark.parametrize(
    "case", [perceptron, weighted_loss, embedded, normalised_train, lstm], ids=lambda c: c.__name__
)
@pytest.mark.filterwarnings("ignore::adapters.SlowPathWarning")
def test_copies_and_pickles_give_equal_values(case):
    setup = make(case)
    objective = ModelObjective(*setup, training=None)
    points = around(objective, 12)
    expected = objective(points)
    gradients = objective.value_and_gradient(points)[1]
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        for _ in range(2):
            np.testing.assert_array_equal(other(points), expected)
        np.testing.assert_array_equal(other.value_and_gradient(points)[1], gradients)
        assert other.batching[:2] == objective.batching[:2]
        applied = other.apply(points[0])
        assert applied is not setup[0]
        np.testing.assert_array_equal(objective(points), expected)


@pytest.mark.parametrize("plan", ["stack", "loop"])
def test_a_model_that_keeps_activations_can_still_be_copied(plan):
    setup = Remembering(), F.mse_loss, normal(6, 3), normal(6, 2)
    objective = ModelObjective(*setup, plan=plan)
    points = around(objective, 12)
    objective.value_and_gradient(points)
    np.testing.assert_array_equal(copy.deepcopy(objective)(points), objective(points))
    assert setup[0].last is None


def test_any_autograd_mode_of_the_caller_will_do():
    for case in (perceptron, weighted_loss, embedded, lstm):
        objective = ModelObjective(*make(case), plan="loop" if case is lstm else "auto")
        points = around(objective, 12)
        expected = objective.value_and_gradient(points)
        for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
            with mode():
                values, gradients = objective.value_and_gradient(points)
                np.testing.assert_array_equal(objective(points), expected[0])
            np.testing.assert_array_equal(values, expected[0])
            np.testing.assert_array_equal(gradients, expected[1])


@pytest.mark.parametrize("case", [perceptron, embedded], ids=lambda c: c.__name__)
def test_an_objective_made_in_inference_mode_works_outside(case):
    setup = make(case)
    expected = ModelObjective(*setup)
    with torch.inference_mode():
        objective = ModelObjective(*setup)
    assert objective.batching.reason == expected.batching.reason
    points = around(objective, 12)
    np.testing.assert_array_equal(objective(points), expected(points))
    for ours, theirs in zip(
        objective.value_and_gradient(points), expected.value_and_gradient(points), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_the_callers_autocast_does_not_matter(plan):
    objective = ModelObjective(*make(perceptron), plan=plan)
    points = around(objective, 12)
    values, gradients = objective.value_and_gradient(points)
    with torch.autocast("cpu"):
        made_inside = ModelObjective(*make(perceptron), plan=plan)
        for other in (objective, made_inside):
            np.testing.assert_array_equal(other(points), objective(points))
            again = other.value_and_gradient(points)
            np.testing.assert_array_equal(again[0], values)
            np.testing.assert_array_equal(again[1], gradients)


@pytest.mark.parametrize("case", [perceptron, embedded, lstm], ids=lambda c: c.__name__)
def test_threads_take_turns(case):
    objective = ModelObjective(*make(case), plan="loop" if case is lstm else "auto")
    points = around(objective, 40)
    expected = [objective(points[part::4]) for part in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            results = list(pool.map(objective, [points[part::4] for part in range(4)]))
            for values, one in zip(results, expected, strict=True):
                np.testing.assert_array_equal(values, one)


def test_the_thread_count_stays():
    before = torch.get_num_threads()
    objective = ModelObjective(*make(perceptron))
    objective(around(objective, 100))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": 3}, TypeError, "model must be"),
        ({"loss": 3}, TypeError, "loss must be callable"),
        ({"plan": "fast"}, ValueError, "plan must be one of"),
        ({"select": "nope"}, ValueError, "matches no parameter"),
    ],
)
def test_bad_arguments_are_named(change, error, said):
    model, loss, inputs, targets = make(perceptron)
    arguments = {"model": model, "loss": loss, "inputs": inputs, "targets": targets} | change
    with pytest.raises(error, match=said):
        ModelObjective(**arguments)


def test_a_model_that_is_not_finite_is_refused():
    model, *rest = make(perceptron)
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        ModelObjective(model, *rest)


def test_what_the_model_raises_comes_through():
    model, loss, _, targets = make(perceptron)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        ModelObjective(model, loss, normal(20, 5), targets)
