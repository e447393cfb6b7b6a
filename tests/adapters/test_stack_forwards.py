"""Forwards of every kind, of whose weights some are searched: what is overwritten, and folded."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.adapters.cases import ModelObjective, assert_as_by_hand, by_hand, normal, regression


class Forward(nn.Module):
    """Layers put together by a function."""

    def __init__(self, how, **layers):
        super().__init__()
        self._how = how
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self._how(self, x)


def dense(how, **others):
    """Layers 3 -> 4 -> 4 -> 2, on samples (3,)."""
    layers = {"first": nn.Linear(3, 4), "middle": nn.Linear(4, 4), "last": nn.Linear(4, 2)}
    return regression(Forward(how, **layers, **others))


def images(how, **others):
    """Convolutions 2 -> 3 -> 3, and a layer 24 -> 2, on images (2, 4, 2)."""
    layers = {
        "first": nn.Conv2d(2, 3, 3, padding=1),
        "middle": nn.Conv2d(3, 3, 3, padding=1),
        "last": nn.Linear(24, 2),
    }
    return regression(Forward(how, **layers, **others), shape=(2, 4, 2))


def block(m, x):
    h = torch.relu(m.first(x))
    return m.last(torch.relu(h + m.middle(h)))


def before_activation(m, x):
    h = m.first(x)
    return m.last(torch.relu(h) + h)


def overwriting_a_sum(m, x):
    h = torch.tanh(m.first(x))
    a = m.middle(h)
    a += h
    a = F.relu(a, inplace=True)
    a = m.middle(a)
    a -= 0.5
    return m.last(a.tanh_() + h)


def read_by_three(m, x):
    h = torch.sigmoid(m.first(x))
    return m.last(torch.tanh(h) * torch.relu(h) + h)


def read_through_passing(m, x):
    h = m.first(x)
    passed = m.nothing(F.dropout(h.contiguous(), training=False))
    return m.last(torch.relu(passed) - torch.tanh(h))


def read_through_a_view(m, x):
    h = m.first(x)
    seen = torch.relu(h.flatten(1))
    return m.last(seen * torch.sigmoid(h).flatten(1))


def read_through_detach(m, x):
    h = m.first(x)
    return m.last(torch.relu(h.detach()) + torch.tanh(h))


def pooled_and_whole(m, x):
    h = torch.relu(m.first(x))
    pooled = F.max_pool2d(h, 3, stride=1, padding=1)
    return m.last((pooled + h).flatten(1))


def pooled_by_one(m, x):
    h = m.first(x)
    pooled = F.max_pool2d(torch.tanh(h), 1) + F.max_pool2d(torch.sigmoid(h), 1)
    return m.last(torch.relu(pooled).flatten(1) + torch.relu(F.avg_pool2d(h, 1)).flatten(1))


def image_block(m, x):
    h = m.norm(torch.relu(m.first(x)))
    h = F.relu(h + m.middle(h))
    return m.last(h.view(h.size(0), -1))


def inputs_again(m, x):
    return m.last(m.back(torch.relu(m.first(x))) + m.first(x))


def inputs_pass(m, x):
    return torch.tanh(x) * 2 + m.back(m.first(torch.relu(x)))


def one_value_twice(m, x):
    h = torch.tanh(m.first(x))
    return m.last(h * h + torch.maximum(h, h))


def gated(m, x):
    return m.last(torch.sigmoid(m.gate(x)) * torch.tanh(m.first(x)))


def broadcast(m, x):
    return m.last(m.first(x) * torch.sigmoid(m.narrow(x)))


def leading_nowhere(m, x):
    chosen = m.last(m.middle(torch.relu(m.first(x))))
    m.first(torch.exp(x))
    return chosen


def weights_in_arithmetic(m, x):
    sharp = torch.tanh(3 * m.middle.weight)
    return m.last(F.linear(torch.relu(m.first(x)), sharp / (1 + sharp**2), m.middle.bias))


def tied(m, x):
    return m.last(m.middle(torch.tanh(m.middle(torch.relu(m.middle(m.first(x)))))))


class Shifted(nn.Linear):
    """A layer of its own, of known parts."""

    def forward(self, x):
        return super().forward(x) + 1


def a_layer_of_its_own(m, x):
    return m.last(torch.relu(m.own(m.first(x))))


def a_buffer(m, x):
    return m.last((m.first(x) - m.norm.running_mean) * m.norm.running_var)


def chosen_by_a_setting(m, x):
    h = m.first(x)
    for _ in range(2):
        h = F.relu(m.middle(h), False) if m.training else torch.tanh(m.middle(h))
    return m.last(h)


def images_come_out(m, x):
    return m.middle(torch.relu(m.first(x)))


def one_number_comes_out(m, x):
    return m.single(m.first(x))


def all_rows_flattened(m, x):
    return m.single(m.first(x)).flatten(1)


def trunk(m, x):
    h = F.max_pool2d(torch.relu(m.middle(torch.relu(m.first(x)))), (2, 1))
    return m.head(h.flatten(1))


FORWARDS = {
    block: dense,
    before_activation: dense,
    overwriting_a_sum: dense,
    read_by_three: dense,
    read_through_passing: lambda f: dense(f, nothing=nn.Identity()),
    read_through_a_view: images,
    read_through_detach: dense,
    pooled_and_whole: images,
    pooled_by_one: images,
    image_block: lambda f: images(f, norm=nn.BatchNorm2d(3)),
    inputs_again: lambda f: dense(f, back=nn.Linear(4, 4)),
    inputs_pass: lambda f: dense(f, back=nn.Linear(4, 3)),
    one_value_twice: dense,
    gated: lambda f: dense(f, gate=nn.Linear(3, 4)),
    broadcast: lambda f: dense(f, narrow=nn.Linear(3, 1)),
    leading_nowhere: dense,
    weights_in_arithmetic: dense,
    tied: dense,
    a_layer_of_its_own: lambda f: dense(f, own=Shifted(4, 4)),
    a_buffer: lambda f: dense(f, norm=nn.BatchNorm1d(4)),
    chosen_by_a_setting: dense,
    images_come_out: images,
    one_number_comes_out: lambda f: dense(f, single=nn.Linear(4, 1, bias=False)),
    all_rows_flattened: lambda f: dense(f, single=nn.Linear(4, 1)),
    trunk: lambda f: images(f, head=nn.Linear(12, 2)),
}


@pytest.fixture(params=FORWARDS, ids=lambda how: how.__name__)
def setup(request):
    torch.manual_seed(0)
    return FORWARDS[request.param](request.param)


def searched(setup, wanted):
    for name, parameter in setup[0].named_parameters():
        parameter.requires_grad_(name in wanted)
    return setup


def test_all_weights(setup):
    assert_as_by_hand(setup)


def test_what_follows_from_no_searched_weight_is_computed_once(setup):
    """Every tensor searched alone, and every two neighbours."""
    model, loss, inputs, targets = copy.deepcopy(setup)
    loss(model(inputs), targets).backward()
    read = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    for i, name in enumerate(read):
        assert_as_by_hand(searched(setup, {name}), (1, 2, 40))
        assert_as_by_hand(searched(setup, {name, read[i - 1]}), (1, 40))


def test_a_frozen_trunk_leaves_the_same_result():
    torch.manual_seed(0)
    setup = FORWARDS[trunk](trunk)
    assert_as_by_hand(searched(setup, {"0.head.weight", "0.head.bias"}))
    assert_as_by_hand(searched(setup, {"0.head.weight", "0.first.bias"}))


def test_a_frozen_trunk_may_work_in_place():
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(9, 2)]
    setup = regression(*layers, shape=(2, 4, 2))
    assert_as_by_hand(searched(setup, {"3.weight", "3.bias"}))


def test_a_weight_that_nothing_reads_has_derivative_zero():
    torch.manual_seed(0)
    setup = dense(lambda m, x: m.last(torch.relu(m.first(x))))
    objective = assert_as_by_hand(setup)
    _, gradients = objective.value_and_gradient(objective.x0[None].repeat(3, 0))
    assert (gradients[:, objective.vector.slices["0.middle.weight"]] == 0).all()


def test_one_sample_and_one_feature():
    torch.manual_seed(0)
    assert_as_by_hand(regression(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1), shape=(1,), rows=1))
    assert_as_by_hand(regression(nn.LayerNorm(1), nn.Linear(1, 1), shape=(1,), rows=1))


POOLS = {
    "maximum": lambda: nn.MaxPool2d(2),
    "overlapping": lambda: nn.MaxPool2d(3, stride=1),
    "bordered": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "dilated": lambda: nn.MaxPool2d(2, stride=1, dilation=2),
    "adaptive": lambda: nn.AdaptiveMaxPool2d((2, 2)),
    "mean": lambda: nn.AvgPool2d(2),
}


@pytest.mark.parametrize("between", [nn.Identity, nn.ReLU, nn.LeakyReLU], ids=lambda b: b.__name__)
@pytest.mark.parametrize("pool", POOLS)
def test_of_equal_pixels_the_first_has_the_gradient(pool, between):
    """Whole numbers are exact in any order, so that pixels tie, and whole images do."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), between(), POOLS[pool](), nn.Flatten()).double()
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.integers(-1, 2, (6, 1, 5, 5))).double()
    inputs[0] = 1.0
    targets = torch.from_numpy(rng.integers(-2, 3, tuple(model(inputs).shape))).double()
    setup = model, F.mse_loss, inputs, targets
    objective = ModelObjective(*setup)
    assert objective.batching.path == "stack"
    points = rng.integers(-2, 3, (40, objective.n)).astype(float)
    expected, slopes = by_hand(*setup, points)
    values, gradients = objective.value_and_gradient(points)
    np.testing.assert_allclose(objective(points), expected, rtol=1e-13)
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    np.testing.assert_allclose(gradients, slopes, rtol=1e-12, atol=1e-12)


def test_inputs_and_targets_of_any_layout():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2)).double()
    wide = normal(12, 4, 4, 3, dtype=torch.float64)
    layouts = [
        wide[::2, 1:3],
        wide[:, :2].contiguous(memory_format=torch.channels_last),
        wide[:1, :2].expand(5, -1, -1, -1),
        wide.permute(1, 0, 2, 3)[:, :2],
    ]
    for inputs in layouts:
        targets = normal(2, len(inputs), dtype=torch.float64).T
        assert_as_by_hand((model, F.mse_loss, inputs, targets), (2, 40))
