"""Stacks of known layers: memory, chunks, copies, and what callers may do around them."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective, batched
from tests.adapters.cases import (
    around,
    assert_as_by_hand,
    assert_close,
    classes,
    convolution,
    normal,
    regression,
)


def perceptron(**settings):
    return regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), **settings)


def classifier():
    model = nn.Sequential(nn.Linear(3, 5), nn.SiLU(), nn.Linear(5, 4)).double()
    return model, F.cross_entropy, normal(11, 3, dtype=torch.float64), classes(11, 4)


def any_loss():
    model, _, *data = perceptron()
    return model, lambda output, target: (output - target).abs().amax(), *data


def deep():
    layers = [layer for _ in range(3) for layer in (nn.Linear(3, 3), nn.ReLU())]
    return regression(*layers, nn.Sequential(nn.Linear(3, 1), nn.Identity()), rows=50)


STACKS = {
    "tiny": perceptron,
    "single precision": lambda: perceptron(dtype=torch.float32),
    "many rows": lambda: perceptron(rows=500),
    "one row": lambda: perceptron(rows=1),
    "classes": classifier,
    "any loss": any_loss,
    "deep": deep,
    "images": convolution,
    "one layer": lambda: regression(nn.Linear(3, 2)),
    "one layer twice": lambda: regression(*[nn.Linear(3, 3)] * 2),
    "activation first": lambda: regression(nn.Tanh(), nn.ReLU(), nn.Linear(3, 2)),
    "activation last": lambda: regression(nn.Linear(3, 2), nn.ReLU(), nn.Tanh()),
}


@pytest.fixture(params=STACKS)
def setup(request):
    torch.manual_seed(0)
    return STACKS[request.param]()


def precision(setup):
    return next(setup[0].parameters()).dtype


def test_values_and_gradients_are_those_of_a_hand_written_loop(setup):
    assert_as_by_hand(setup)


def test_chunks_give_what_one_pass_gives(setup, monkeypatch):
    whole = ModelObjective(*setup)
    points = around(whole, 10)
    monkeypatch.setattr(
        batched, "STACK_SCRATCH", 4 * batched.STACK_SCRATCH // (whole.batching.chunk + 1)
    )
    chunked = ModelObjective(*setup)
    assert 1 < chunked.batching.chunk < 10
    assert_close(chunked(points), whole(points), precision(setup))
    for ours, theirs in zip(
        chunked.value_and_gradient(points), whole.value_and_gradient(points), strict=True
    ):
        assert_close(ours, theirs, precision(setup))


def test_results_are_not_written_again(setup):
    objective = ModelObjective(*setup)
    for k in (3, 40, 300):
        first, gradients = objective(around(objective, k)), None
        kept = first.copy()
        if k == 3:
            gradients = objective.value_and_gradient(around(objective, k))[1]
            kept_gradients = gradients.copy()
        objective(around(objective, k) + 1)
        objective.value_and_gradient(around(objective, 3) + 1)
        np.testing.assert_array_equal(first, kept)
        if gradients is not None:
            np.testing.assert_array_equal(gradients, kept_gradients)


def test_copies_and_pickles_give_the_same_values(setup):
    objective = ModelObjective(*setup)
    points = around(objective, 4)
    objective(points)  # what is kept for batches of this size must not be shared or stale
    copies = [copy.deepcopy(objective)]
    if setup[1].__name__ != "<lambda>":
        copies.append(pickle.loads(pickle.dumps(objective)))
    values = objective(points + 0.1)
    for other in copies:
        assert other.batching == objective.batching
        np.testing.assert_array_equal(other(points + 0.1), values)


@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=4), k=st.integers(1, 9))
def test_layers_of_any_width(widths, k):
    torch.manual_seed(sum(widths))
    layers = [nn.Linear(a, b) for a, b in pairwise([3, *widths])]
    setup = regression(*[m for layer in layers for m in (layer, nn.Tanh())])
    assert_as_by_hand(setup, (k, k + 1))


def test_every_batch_size_has_its_own_memory():
    setup = perceptron()
    stack, loop = (ModelObjective(*setup, plan=plan) for plan in ("stack", "loop"))
    for k in [*range(1, 13), 3, 200, 1, 300, 150, 200]:
        points = around(loop, k)
        assert_close(stack(points), loop(points), torch.float64)


def test_inputs_that_require_gradients_are_left_alone():
    inputs = normal(6, 1, dtype=torch.float64).requires_grad_()
    model = nn.Sequential(nn.Identity(), nn.Tanh(), nn.Linear(1, 2)).double()
    before = inputs.detach().clone()
    setup = model, F.mse_loss, inputs, normal(6, 2, dtype=torch.float64)
    stack, loop = (ModelObjective(*setup, plan=plan) for plan in ("stack", "loop"))
    points = around(loop, 5)
    assert_close(stack(points), loop(points), torch.float64)
    stack.value_and_gradient(points)
    assert torch.equal(inputs, before)
    assert inputs.grad is None


def test_targets_that_would_broadcast_are_refused():
    model, loss, inputs, targets = regression(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="inputs hold 9 samples, targets 1"):
        ModelObjective(model, loss, inputs, targets[:1])


def test_no_data_at_all_are_refused():
    with pytest.raises(ValueError, match="the loss is NaN"):
        ModelObjective(*regression(nn.Linear(3, 2), rows=0))


def test_threads_take_turns_with_the_memory():
    stack = ModelObjective(*perceptron(), plan="stack")
    parts = [around(stack, 50) + shift for shift in range(4)]
    expected = [stack(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for values in pool.map(lambda _: [stack(part) for part in parts], range(40)):
            np.testing.assert_array_equal(values, expected)


def test_what_the_caller_has_set_elsewhere_does_not_matter():
    setup = perceptron(dtype=torch.float32)
    for k in (3, 300):
        stack = ModelObjective(*setup, plan="stack")
        points = around(stack, k)
        points[0, 0], points[1, 0] = 1e-50, 1e39
        expected = stack(points)
        gradients = stack.value_and_gradient(around(stack, 3))[1]
        stack = ModelObjective(*setup, plan="stack")
        with np.errstate(all="raise"), torch.device("meta"), torch.inference_mode():
            np.testing.assert_array_equal(stack(points), expected)
            again = stack.value_and_gradient(around(stack, 3))[1]
        np.testing.assert_array_equal(again, gradients)
        np.testing.assert_array_equal(stack(points), expected)


def test_the_users_data_are_not_changed_by_layers_that_overwrite():
    model, loss, inputs, targets = regression(nn.Linear(3, 4), nn.ReLU(inplace=True))
    before = inputs.clone(), targets.clone()
    objective = ModelObjective(model, loss, inputs, targets)
    objective(around(objective, 40))
    objective.value_and_gradient(around(objective, 4))
    assert torch.equal(inputs, before[0])
    assert torch.equal(targets, before[1])
