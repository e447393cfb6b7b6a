"""Networks put together at random: a stack, where it is taken, is what a hand-written loop is."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from tests.adapters.cases import assert_as_by_hand, classes, normal

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.ELU, nn.Softplus, nn.Identity]
SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def flag(draw):
    return draw(st.booleans())


def activation(draw):
    kind = draw(st.sampled_from(ACTIVATIONS))
    return kind(inplace=True) if kind is nn.ReLU and flag(draw) else kind()


class Residual(nn.Module):
    """Adds what a layer makes of its input to it, before or after an activation."""

    def __init__(self, layer, act, first):
        super().__init__()
        self.layer, self.act, self.first = layer, act, first

    def forward(self, x):
        return self.act(self.layer(x)) + x if self.first else self.act(x + self.layer(x))


def dense_layer(draw, width):
    kind = draw(st.sampled_from(["linear", "norm", "batch", "group", "residual", "softmax", "act"]))
    if kind == "linear":
        return nn.Linear(width, draw(st.integers(1, 5)), bias=flag(draw))
    if kind == "norm":
        return nn.LayerNorm(width, elementwise_affine=flag(draw), eps=0.1)
    if kind == "batch":
        return nn.BatchNorm1d(width, affine=flag(draw), eps=0.1).train(flag(draw))
    if kind == "group":
        return nn.GroupNorm(draw(st.sampled_from([1, width])), width, eps=0.1)
    if kind == "residual":
        return Residual(nn.Linear(width, width), activation(draw), flag(draw))
    return nn.Softmax(-1) if kind == "softmax" else activation(draw)


def image_layer(draw, channels):
    kind = draw(st.sampled_from(["convolve", "maximum", "mean", "batch", "residual", "act"]))
    size, step = draw(SIDES), draw(SIDES)
    if kind == "convolve":
        gap, border = draw(st.integers(1, 2)), draw(st.integers(0, 2))
        return nn.Conv2d(
            channels, draw(st.integers(1, 3)), size, step, border, gap, bias=flag(draw)
        )
    if kind == "maximum":
        return nn.MaxPool2d(size, step, padding=min(size) // 2 if flag(draw) else 0)
    if kind == "mean":
        return nn.AvgPool2d(size, step, padding=min(size) // 2 if flag(draw) else 0)
    if kind == "batch":
        return nn.BatchNorm2d(channels, eps=0.1).train(flag(draw))
    if kind == "residual":
        return Residual(nn.Conv2d(channels, channels, 3, padding=1), activation(draw), flag(draw))
    return activation(draw)


@st.composite
def networks(draw):
    """Layers that fit, at most one batch of images among them; a loss; and what is searched."""
    torch.manual_seed(draw(st.integers(0, 99)))
    rows = draw(st.integers(2, 12))
    shape = draw(st.sampled_from([(3,), (1,), (2, 5, 4), (1, 6, 6)]))
    inputs = h = normal(rows, *shape, dtype=torch.float64)
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        make = dense_layer if h.dim() == 2 else image_layer
        layer = make(draw, h.shape[1]).double()
        try:
            made = layer(h.clone())
        except RuntimeError:  # a window larger than what is left of the image
            continue
        layers, h = [*layers, layer], made.detach()
    layers.append(nn.Flatten())
    classify = flag(draw)
    layers.append(nn.Linear(h[0].numel(), 3).double())
    model = nn.Sequential(*layers)
    targets = classes(rows, 3) if classify else normal(rows, 3, dtype=torch.float64)
    for parameter in model.parameters():
        parameter.requires_grad_(draw(st.integers(0, 3)) > 0)
    list(model.parameters())[-draw(st.integers(1, 2))].requires_grad_()
    return model, F.cross_entropy if classify else F.mse_loss, inputs, targets


@given(setup=networks(), k=st.sampled_from([1, 2, 3, 8, 40]), many=st.sampled_from([60, 150, 300]))
@settings(max_examples=50)
def test_a_stack_is_what_a_hand_written_loop_is(setup, k, many):
    assert_as_by_hand(setup, (k, many))


@given(setup=networks(), k=st.sampled_from([3, 150]), size=st.integers(2, 5))
@settings(max_examples=20)
def test_a_stack_takes_minibatches_as_a_loop_does(setup, k, size):
    size = min(size, len(setup[2]))
    stack, loop = (
        ModelObjective(*setup, training=None, batch_size=size, plan=plan)
        for plan in ("auto", "loop")
    )
    points = stack.x0 + 0.3 * np.random.default_rng(k).standard_normal((k, stack.n))
    for seed in range(2):
        for objective in (stack, loop):
            if objective.begin is not None:
                objective.begin(0, np.random.default_rng(seed))
        np.testing.assert_allclose(stack(points), loop(points), rtol=1e-11)
