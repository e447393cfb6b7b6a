"""Stacks of linear layers, samples last: held to the loop, candidate by candidate."""

import copy
import pickle
import threading
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from tests.adapters.cases import around, assert_close, classes, normal


def regression(*layers, dtype=torch.float64, rows=9):
    model = nn.Sequential(*layers).to(dtype)
    inputs = normal(rows, 3, dtype=dtype)
    with torch.no_grad():
        outputs = model(inputs)
    return model, F.mse_loss, inputs, normal(*outputs.shape, dtype=dtype)


def tied():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return regression(first, nn.Tanh(), second)


def frozen(which):
    setup = regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    setup[0][which].requires_grad_(False)
    return setup


def only(name):
    setup = regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for other, parameter in setup[0].named_parameters():
        parameter.requires_grad_(other == name)
    return setup


def repeated():
    layer = nn.Linear(3, 3)
    return regression(layer, nn.Tanh(), layer)


def classifier(loss, dtype=torch.float64):
    model = nn.Sequential(nn.Linear(3, 5), nn.SiLU(), nn.Linear(5, 4)).to(dtype)
    return model, loss, normal(11, 3, dtype=dtype), classes(11, 4)


STACKS = {
    "one layer": lambda: regression(nn.Linear(3, 2)),
    "no biases": lambda: regression(
        nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False)
    ),
    "sigmoid": lambda: regression(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2)),
    "activation first": lambda: regression(nn.Tanh(), nn.ReLU(), nn.Linear(3, 2)),
    "two activations": lambda: regression(nn.Linear(3, 4), nn.Tanh(), nn.ReLU(), nn.Linear(4, 2)),
    "activation last": lambda: regression(nn.Linear(3, 2), nn.ReLU()),
    "four layers": lambda: regression(
        *[m for _ in range(3) for m in (nn.Linear(3, 3), nn.Tanh())], nn.Linear(3, 1)
    ),
    "nested": lambda: regression(
        nn.Sequential(nn.Linear(3, 4), nn.Identity()), nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
    ),
    "dropout, evaluated": lambda: _evaluated(
        regression(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    ),
    "tied": tied,
    "one layer twice": repeated,
    "one row": lambda: regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), rows=1),
    "first frozen": lambda: frozen(0),
    "middle frozen": lambda: frozen(2),
    "last frozen": lambda: frozen(4),
    "first weight only": lambda: only("0.weight"),
    "first bias only": lambda: only("0.bias"),
    "last bias only": lambda: only("2.bias"),
    "loss module": lambda: _with_loss(nn.MSELoss()),
    "cross-entropy": lambda: classifier(F.cross_entropy),
    "cross-entropy module": lambda: classifier(nn.CrossEntropyLoss()),
    "float32": lambda: regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), dtype=torch.float32),
    "float32 classes": lambda: classifier(F.cross_entropy, torch.float32),
}


def _evaluated(setup):
    setup[0].eval()
    return setup


def _with_loss(loss):
    model, _, *data = regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return model, loss, *data


@pytest.fixture(params=STACKS)
def setup(request):
    torch.manual_seed(0)
    return STACKS[request.param]()


def both(setup):
    return ModelObjective(*setup, plan="stack"), ModelObjective(*setup, plan="loop")


def test_values_and_gradients_are_the_loops(setup):
    stack, loop = both(setup)
    precision = next(setup[0].parameters()).dtype
    assert ModelObjective(*setup).path == "stack"
    for k in (1, 2, 7, 100):
        points = around(loop, k)
        given_points = points.copy()
        assert_close(stack(points), loop(points), precision)
        values, gradients = stack.value_and_gradient(points)
        expected_values, expected = loop.value_and_gradient(points)
        assert_close(values, expected_values, precision)
        assert_close(gradients, expected, precision)
        np.testing.assert_array_equal(points, given_points)


def test_data_and_weights_are_never_written(setup):
    model, _, inputs, targets = setup
    before = [t.clone() for t in (inputs, targets, *model.parameters())]
    stack, _ = both(setup)
    for k in (1, 5):
        stack(around(stack, k))
        stack.value_and_gradient(around(stack, k))
    after = (inputs, targets, *model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    points = around(stack, 5)
    np.testing.assert_array_equal(stack(points), stack(points))


def test_chunks_give_what_one_pass_gives(setup):
    stack, _ = both(setup)
    points = around(stack, 10)
    whole, (_, gradients) = stack(points), stack.value_and_gradient(points)
    precision = next(setup[0].parameters()).dtype
    stack._plan.batch.chunk = 3
    assert_close(stack(points), whole, precision)
    assert_close(stack.value_and_gradient(points)[1], gradients, precision)


@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=4), k=st.integers(1, 9))
def test_layers_of_any_width(widths, k):
    torch.manual_seed(sum(widths))
    sizes = [3, *widths]
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    setup = regression(*[m for layer in layers for m in (layer, nn.Tanh())])
    stack, loop = both(setup)
    points = around(loop, k)
    assert_close(stack(points), loop(points), torch.float64)
    gradients, expected = (o.value_and_gradient(points)[1] for o in (stack, loop))
    assert_close(gradients, expected, torch.float64)


def test_a_single_column_that_shares_memory_is_never_written():
    inputs = normal(6, 1, dtype=torch.float64).requires_grad_()
    model = nn.Sequential(nn.Identity(), nn.Tanh(), nn.Linear(1, 2)).double()
    given_inputs = inputs.detach().clone()
    stack, loop = both((model, F.mse_loss, inputs, normal(6, 2, dtype=torch.float64)))
    points = around(loop, 5)
    assert_close(stack(points), loop(points), torch.float64)
    stack.value_and_gradient(points)
    assert torch.equal(inputs, given_inputs)
    assert inputs.grad is None


def test_copies_and_pickles_give_the_same_values(setup):
    stack, _ = both(setup)
    points = around(stack, 4)
    stack(points)  # what is kept for batches of this size must not be shared or stale
    copies = copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))
    values = stack(points + 0.1)
    for other in copies:
        np.testing.assert_array_equal(other(points + 0.1), values)


def test_weights_that_are_not_finite_give_what_the_loop_gives():
    stack, loop = both(regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    points = around(stack, 4)
    points[0, 0], points[1, 3], points[2, -1] = np.nan, np.inf, -np.inf
    values = stack(points)
    np.testing.assert_allclose(values, loop(points))
    assert not np.isfinite(values[:3]).any()
    assert np.isfinite(values[3])


def test_an_empty_batch_is_empty():
    stack, _ = both(regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    assert stack(np.empty((0, stack.n))).shape == (0,)


def test_every_batch_size_has_its_own_memory():
    stack, loop = both(regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    for k in [*range(1, 13), 3, 1]:
        points = around(loop, k)
        assert_close(stack(points), loop(points), torch.float64)


def test_no_data_at_all_give_nan():
    setup = regression(nn.Linear(3, 2), rows=0)
    objective = ModelObjective(*setup)
    assert np.isnan(objective(around(objective, 6))).all()


def test_threads_take_turns_with_the_memory():
    stack, _ = both(regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    parts = [around(stack, 50) + shift for shift in range(4)]
    expected = [stack(part) for part in parts]
    results = [[] for _ in parts]

    def work(i):
        results[i] += [stack(parts[i]) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for values, one in zip(results, expected, strict=True):
        np.testing.assert_array_equal(values, [one] * 50)


def test_what_the_caller_has_set_elsewhere_does_not_matter():
    setup = regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), dtype=torch.float32)
    stack, _ = both(setup)
    points = around(stack, 3)
    points[0, 0], points[1, 0] = 1e-50, 1e39
    expected = stack(points)
    stack, _ = both(setup)
    with np.errstate(all="raise"), torch.device("meta"), torch.inference_mode():
        np.testing.assert_array_equal(stack(points), expected)


def test_the_callers_autocast_lowers_the_precision_as_in_the_loop():
    setup = regression(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), dtype=torch.float32)
    stack, loop = both(setup)
    points = around(stack, 3)
    with torch.autocast("cpu"):
        np.testing.assert_allclose(stack(points), loop(points), rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_no_stack(dtype):
    model, loss, inputs, targets = regression(nn.Linear(3, 2), dtype=dtype, rows=900)
    setup = model, loss, 10 * inputs, 10 * targets  # a sum of squares would overflow float16
    with pytest.raises(ValueError, match=r"it is in b?float16"):
        ModelObjective(*setup, plan="stack")
    objective = ModelObjective(*setup)
    points = around(objective, 6)
    values = objective(points)
    assert np.isfinite(values).all()
    expected = ModelObjective(*setup, plan="loop")(points)
    np.testing.assert_allclose(values, expected, rtol=0.02)


def test_targets_that_would_broadcast_are_no_stack():
    model, loss, inputs, targets = regression(nn.Linear(3, 2))
    setup = model, loss, inputs, targets[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(ValueError, match="differ in shape"):
            ModelObjective(*setup, plan="stack")
        objective = ModelObjective(*setup)
        points = around(objective, 6)
        expected = ModelObjective(*setup, plan="loop")(points)
        assert_close(objective(points), expected, torch.float64)


class Other(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


def _hooked():
    setup = regression(nn.Linear(3, 2))
    setup[0][0].register_forward_hook(lambda module, args, output: output * 2)
    return setup


def _hooked_backward():
    setup = regression(nn.Linear(3, 2))
    setup[0][0].register_full_backward_pre_hook(lambda module, gradients: None)
    return setup


def _hooked_loss():
    loss = nn.MSELoss()
    loss.register_forward_hook(lambda module, args, output: None)
    return _with_loss(loss)


def _shadowed():
    setup = regression(nn.Linear(3, 2))
    layer = setup[0][0]
    layer.forward = lambda x: F.linear(x, layer.weight)
    return setup


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: regression(Other(3, 2)), "Other"),
        (lambda: regression(nn.Linear(3, 2), nn.Softmax(1)), "Softmax"),
        (
            lambda: regression(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))),
            "ParametrizedLinear",
        ),
        (_hooked, "hooks"),
        (_hooked_backward, "its Linear has hooks"),
        (_hooked_loss, "its MSELoss has hooks"),
        (_shadowed, "forward of its own"),
        (lambda: regression(nn.Linear(3, 3), nn.Dropout(0.5)), "random"),
        (lambda: regression(nn.Linear(3, 3), nn.Dropout(0.0)), "Dropout"),
        (lambda: _with_loss(F.l1_loss), "neither mse_loss nor cross_entropy"),
        (lambda: _with_loss(nn.MSELoss(reduction="sum")), "neither mse_loss nor cross_entropy"),
        (
            lambda: classifier(nn.CrossEntropyLoss(label_smoothing=0.1)),
            "neither mse_loss nor cross_entropy",
        ),
    ],
)
def test_what_is_no_stack_says_why_and_goes_another_way(build, why):
    setup = build()
    with pytest.raises(ValueError, match=why):
        ModelObjective(*setup, plan="stack")
    objective = ModelObjective(*setup)
    assert objective.path != "stack"
    points = around(objective, 6)
    assert_close(objective(points), ModelObjective(*setup, plan="loop")(points), torch.float64)


@pytest.mark.parametrize(
    ("loss", "ignored"), [(F.cross_entropy, -100), (nn.CrossEntropyLoss(ignore_index=2), 2)]
)
def test_ignored_classes_are_no_stack(loss, ignored):
    model, loss, inputs, targets = classifier(loss)
    targets[0] = ignored
    objective = ModelObjective(model, loss, inputs, targets)
    assert objective.path != "stack"
    with pytest.raises(ValueError, match="none of them ignored"):
        ModelObjective(model, loss, inputs, targets, plan="stack")
    points = around(objective, 6)
    loop = ModelObjective(model, loss, inputs, targets, plan="loop")
    assert_close(objective(points), loop(points), torch.float64)


def test_a_closure_is_no_stack():
    model, loss, inputs, targets = regression(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="function of its own"):
        ModelObjective.from_function(model, lambda m: loss(m(inputs), targets), plan="stack")
