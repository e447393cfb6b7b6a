"""Losses of a stack's outputs, those it knows and any other, held to a hand-written loop."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from adapters import ModelObjective
from adapters.stack.losses import _FUNCTIONS, _MODULES
from tests.adapters.cases import around, assert_as_by_hand, assert_close, classes, normal


def net(outputs=4, last=nn.Identity):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.SiLU(), nn.Linear(5, outputs), last())


def real(rows, *shape):
    return normal(rows, *(shape or (4,)), dtype=torch.float64)


def probabilities(rows):
    return torch.softmax(2 * real(rows), 1)


def shares(rows):
    return torch.sigmoid(2 * real(rows))


def labels(rows):
    return classes(rows, 4)


def signs(rows):
    return real(rows).sign()


def some_ignored(rows):
    return labels(rows).where(torch.arange(rows) % 3 != 0, -100)


def likelihoods():
    return nn.LogSoftmax(1)


WEIGHTS = [0.5, 1.0, 2.0, 0.1]


def weights():
    return torch.tensor(WEIGHTS, dtype=torch.float64)


KNOWN = {
    nn.MSELoss: [({}, real, nn.Identity)],
    nn.L1Loss: [({}, real, nn.Identity)],
    nn.SmoothL1Loss: [({}, real, nn.Identity), ({"beta": 0.3}, real, nn.Identity)],
    nn.HuberLoss: [({}, real, nn.Identity), ({"delta": 0.3}, real, nn.Identity)],
    nn.SoftMarginLoss: [({}, signs, nn.Identity)],
    nn.BCELoss: [({}, shares, nn.Sigmoid)],
    nn.BCEWithLogitsLoss: [({}, shares, nn.Identity)],
    nn.NLLLoss: [({}, labels, likelihoods), ({"ignore_index": 9}, labels, likelihoods)],
    nn.CrossEntropyLoss: [
        ({}, labels, nn.Identity),
        ({"label_smoothing": 0.2}, labels, nn.Identity),
        ({}, probabilities, nn.Identity),
        ({"label_smoothing": 0.2}, probabilities, nn.Identity),
    ],
}
"""Settings, targets, and what the model ends with, where the loss is computed for all at once."""


def named(cases):
    return [
        pytest.param(kind, *one, id=f"{kind.__name__}-{i}")
        for kind, several in cases.items()
        for i, one in enumerate(several)
    ]


def setup(loss, targets, last, rows=9, dtype=torch.float64):
    aims = targets(rows)
    aims = aims.to(dtype) if aims.is_floating_point() else aims
    return net(last=last).to(dtype), loss, normal(rows, 3, dtype=dtype), aims


def test_every_known_loss_is_tried():
    assert KNOWN.keys() == _MODULES.keys()
    assert set(_FUNCTIONS.values()) == _MODULES.keys()


@pytest.mark.parametrize(("kind", "settings", "targets", "last"), named(KNOWN))
def test_known_losses(kind, settings, targets, last):
    assert_as_by_hand(setup(kind(**settings), targets, last))
    assert_as_by_hand(setup(kind(**settings), targets, last, 80, torch.float32), (2, 40, 300))


@pytest.mark.parametrize("function", _FUNCTIONS, ids=lambda f: f.__name__)
def test_known_functions(function):
    _, targets, last = KNOWN[_FUNCTIONS[function]][0]
    assert_as_by_hand(setup(function, targets, last))


@pytest.mark.parametrize(("kind", "settings", "targets", "last"), named(KNOWN))
def test_a_known_loss_is_computed_for_all_at_once(kind, settings, targets, last):
    objective = ModelObjective(*setup(kind(**settings), targets, last))
    counts = []
    for k in (10, 20):
        with Counting() as calls:
            objective(np.tile(objective.x0, (k, 1)))
        counts.append(calls.made)
    assert counts[0] == counts[1]


class Counting(TorchFunctionMode):
    """Counts calls of torch's functions."""

    made = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.made += 1
        return func(*args, **(kwargs or {}))


class Weighing(nn.Module):
    """Weighs outputs by what it has seen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(4, dtype=torch.float64))
        self.calls = 0

    def forward(self, output, target):
        self.calls += 1
        self.seen += output.detach().mean(0)
        return ((output - target) * self.seen.clone()).square().mean() * self.calls


class Doubled(nn.MSELoss):
    def forward(self, output, target):
        return 2 * super().forward(output, target)


class Unhashable:
    __hash__ = None

    def __call__(self, output, target):
        return F.mse_loss(output, target)


def accuracy(output, target):
    return (output.argmax(1) == target).double().mean()


def median(output, target):
    return float(np.median(np.abs(output.detach().numpy() - target.numpy())))


def count(output, target):
    return int((output.argmax(1) != target).sum())


def truth(output, target):
    return bool((output.argmax(1) != target).any())


def overwriting(output, target):
    output = output * 1.0
    return output.sub_(target).square_().mean()


def partly_flat(output, target):
    """No derivative where the mean is low."""
    loss = F.mse_loss(output, target)
    return loss if output.mean() > -0.3 else loss.item()


OTHERS = {
    "sum": (nn.MSELoss(reduction="sum"), real),
    "sum of classes": (nn.CrossEntropyLoss(reduction="sum"), labels),
    "sum, as a function": (functools.partial(F.l1_loss, reduction="sum"), real),
    "weighted classes": (nn.CrossEntropyLoss(weights()), labels),
    "weighted and smoothed": (nn.CrossEntropyLoss(weights(), label_smoothing=0.1), labels),
    "weighted probabilities": (nn.CrossEntropyLoss(weights()), probabilities),
    "weighted outputs": (nn.BCEWithLogitsLoss(weight=weights()), shares),
    "weighted positives": (nn.BCEWithLogitsLoss(pos_weight=weights()), shares),
    "ignored": (F.cross_entropy, some_ignored),
    "ignored class": (nn.CrossEntropyLoss(ignore_index=2), labels),
    "ignored and smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), some_ignored),
    "broadcast": (F.l1_loss, lambda rows: real(rows)[:, :1].expand(rows, 4)),
    "whole numbers": (F.l1_loss, lambda rows: (3 * real(rows)).long()),
    "another precision": (F.mse_loss, lambda rows: real(rows).float()),
    "embedding": (lambda output, target: F.cosine_similarity(output, target).mean(), real),
    "several margins": (nn.MultiMarginLoss(), labels),
    "lambda": (lambda output, target: (output - target).abs().amax(), real),
    "one element": (lambda output, target: F.mse_loss(output, target).view(1, 1), real),
    "no targets": (lambda output, target: output.square().mean(), None),
    "all samples": (lambda output, target: (output.mean(0) - target[0]).square().sum(), real),
    "a number": (median, real),
    "a number of numpy's": (lambda o, t: np.float32(o.detach().abs().max()), real),
    "accuracy": (accuracy, labels),
    "a count": (count, labels),
    "true or false": (truth, labels),
    "overwriting": (overwriting, real),
    "a module of its own": (Weighing(), real),
    "unhashable": (Unhashable(), real),
    "a subclass": (
        type("Doubled", (nn.MSELoss,), {"forward": lambda s, o, t: 2 * o.sum()})(),
        real,
    ),
}


@pytest.mark.parametrize(("loss", "targets"), OTHERS.values(), ids=OTHERS)
def test_any_other_loss(loss, targets):
    model, inputs = net().double(), normal(9, 3, dtype=torch.float64)
    setup = model, loss, inputs, None if targets is None else targets(9)
    assert_as_by_hand(setup, (1, 2, 7, 40))


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, nn.HuberLoss()])
@pytest.mark.parametrize("rows", [9, 80])
def test_single_outputs_against_double_targets(loss, rows):
    setup = net(), loss, normal(rows, 3), real(rows)
    assert_as_by_hand(setup, (2, 40, 300))


def test_a_loss_that_is_flat_for_some_candidates_or_all():
    setup = net().double(), partly_flat, normal(9, 3, dtype=torch.float64), real(9)
    stack, loop = (ModelObjective(*setup, plan=plan) for plan in ("stack", "loop"))
    points = around(stack, 40)
    values, gradients = loop.value_and_gradient(points)
    flat = (gradients == 0).all(1)
    assert 0 < flat.sum() < 40
    for some in (slice(None), flat, ~flat):
        assert_close(stack(points[some]), values[some], torch.float64)
        ours = stack.value_and_gradient(points[some])
        assert_close(ours[0], values[some], torch.float64)
        assert_close(ours[1], gradients[some], torch.float64)
