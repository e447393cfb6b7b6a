"""What a stack leaves to others: it says why, and losses are those of a hand-written loop."""

from types import MethodType

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from tests.adapters.cases import around, assert_close, by_hand, normal, regression
from tests.adapters.test_stack_forwards import Forward, dense

pytestmark = pytest.mark.filterwarnings("ignore::adapters.SlowPathWarning")


def flat(*layers):
    return lambda: regression(nn.Linear(3, 4), *layers)


def image(*layers):
    return lambda: regression(*layers, nn.Flatten(), shape=(2, 6, 6))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Bilinear(3, 3, 2)

    def forward(self, pair):
        return self.both(*pair)


def hooked():
    setup = regression(nn.Linear(3, 2))
    setup[0][0].register_forward_hook(lambda module, args, output: output * 2)
    return setup


def hooked_before():
    setup = regression(nn.Linear(3, 2))
    setup[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    return setup


def hooked_backward():
    setup = regression(nn.Linear(3, 4), nn.Linear(4, 2))
    setup[0][1].register_full_backward_pre_hook(lambda module, gradients: None)
    return setup


def hooked_loss():
    loss = nn.MSELoss()
    loss.register_forward_hook(lambda module, args, output: None)
    model, _, *data = regression(nn.Linear(3, 2))
    return model, loss, *data


def with_a_forward_of_its_own():
    setup = regression(nn.Linear(3, 2))
    setup[0][0].forward = MethodType(lambda layer, x: F.linear(x, layer.weight), setup[0][0])
    return setup


def two_inputs():
    pair = [normal(5, 3, dtype=torch.float64), normal(5, 3, dtype=torch.float64)]
    return Pair().double(), F.mse_loss, pair, normal(5, 2, dtype=torch.float64)


def one_axis():
    model = Forward(lambda m, x: m.layer.weight[0, 0] * x, layer=nn.Linear(1, 1)).double()
    return model, F.mse_loss, normal(5, dtype=torch.float64), normal(5, dtype=torch.float64)


def other_precision_comes_in():
    model = Forward(lambda m, x: m.layer(x.double()), layer=nn.Linear(3, 2)).double()
    return model, F.mse_loss, normal(5, 3), normal(5, 2, dtype=torch.float64)


def mean_square(output, target):
    return output.square().mean()


def one_number():
    model = Forward(lambda m, x: m.layer(x).sum(), layer=nn.Linear(3, 2)).double()
    return model, mean_square, normal(5, 3, dtype=torch.float64), None


def samples_flattened():
    model = nn.Sequential(nn.Conv2d(2, 4, 2), nn.Flatten(0, 1)).double()
    return model, mean_square, normal(5, 2, 3, 3, dtype=torch.float64), None


def through_an_alias(m, x):
    h = m.first(x)
    same = h
    same += 1.0
    return m.last(h)


def through_a_view(m, x):
    h = m.first(x)
    seen = h.view(h.shape[0], -1)
    seen.tanh_()
    return m.last(h)


def over_what_is_read_again(m, x):
    h = m.first(x)
    h.relu_()
    return m.last(h)


def by_branches(m, x):
    h = m.first(x)
    return m.last(h) if h.mean() > 0 else m.last(-h)


def samples_mixed(m, x):
    h = m.first(x)
    return m.last(h - h.mean(0))


def reshaped(m, x):
    return m.last(m.first(x).view(-1, 2, 2).flatten(1))


def weights_reshaped(m, x):
    return F.linear(torch.relu(m.first(x)), m.last.weight.view(4, 2).T)


def weights_flattened(m, x):
    return m.last(m.first(x) * m.middle.bias.view(1, -1))


def a_weight_for_every_sample(m, x):
    return m.last(m.first(x) * m.rows.weight)


def a_part(m, x):
    return m.last(m.first(x)[:, :4])


def by_an_unusual_call(m, x):
    return m.last(torch.add(m.first(x), m.first(x), alpha=2))


def in_lower_precision(m, x):
    return m.last(m.first(x).float().double())


def dropped(m, x):
    return F.dropout(x, 0.3, training=m.training)


def softmax_called(m, x):
    return m.last(torch.softmax(m.first(x), dim=0))


def softmax_of_a_weight(m, x):
    return m.last(m.first(x) * torch.softmax(m.middle.bias, dim=0))


REFUSED = {
    "parametrized": (
        lambda: regression(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))),
        "ParametrizedLinear",
    ),
    "hooks": (hooked, "hooks"),
    "hooks before": (hooked_before, "its Sequential has hooks"),
    "hooks backward": (hooked_backward, "its Linear has hooks"),
    "hooks of the loss": (hooked_loss, "its MSELoss has hooks"),
    "a forward of its own": (with_a_forward_of_its_own, "forward of its own"),
    "unknown layer": (flat(nn.PReLU()), "PReLU"),
    "two inputs": (two_inputs, "no tensor of samples"),
    "one axis": (one_axis, "no tensor of samples"),
    "other precision comes in": (other_precision_comes_in, "no tensor of samples"),
    "softmax of samples": (flat(nn.Softmax(0)), "softmax over the samples"),
    "softmax of samples, counted back": (flat(nn.LogSoftmax(-2)), "softmax over the samples"),
    "softmax of samples, called": (lambda: dense(softmax_called), "softmax over the samples"),
    "softmax of a weight": (lambda: dense(softmax_of_a_weight), "softmax over the samples"),
    "norm of samples": (flat(nn.LayerNorm((9, 4))), "other losses|shape|size|expand"),
    "flattened samples": (samples_flattened, "flattens other axes"),
    "flattened in part": (image(nn.Conv2d(2, 4, 2), nn.Flatten(2)), "flattens other axes"),
    "groups": (image(nn.Conv2d(2, 4, 2, groups=2)), "groups"),
    "border by name": (image(nn.Conv2d(2, 4, 3, padding="same")), "unusual border"),
    "reflecting border": (
        image(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")),
        "unusual border",
    ),
    "circular border": (
        image(nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")),
        "unusual border",
    ),
    "maximum, ceil_mode": (
        image(nn.Conv2d(2, 4, 2), nn.MaxPool2d(2, ceil_mode=True)),
        "ceil_mode",
    ),
    "mean, ceil_mode": (image(nn.Conv2d(2, 4, 2), nn.AvgPool2d(2, ceil_mode=True)), "ceil_mode"),
    "mean, without border": (
        image(nn.Conv2d(2, 4, 2), nn.AvgPool2d(2, padding=1, count_include_pad=False)),
        "parts of a window",
    ),
    "mean, own divisor": (
        image(nn.Conv2d(2, 4, 2), nn.AvgPool2d(2, divisor_override=3)),
        "parts of a window",
    ),
    "uneven windows": (image(nn.Conv2d(2, 4, 2), nn.AdaptiveAvgPool2d(3)), "uneven windows"),
    "windows by half": (
        image(nn.Conv2d(2, 4, 2), nn.AdaptiveMaxPool2d((None, 1))),
        "uneven windows",
    ),
    "an alias": (lambda: dense(through_an_alias), "other losses|overwrites"),
    "a view": (lambda: dense(through_a_view), "overwrites what is read again"),
    "overwritten": (lambda: dense(over_what_is_read_again), "overwrites what is read again"),
    "branches": (lambda: dense(by_branches), "cannot be read"),
    "samples mixed": (lambda: dense(samples_mixed), "calls mean"),
    "reshaped": (lambda: dense(reshaped), "changes shapes"),
    "weights reshaped": (lambda: dense(weights_reshaped), "shape of a weight"),
    "weights flattened": (lambda: dense(weights_flattened), "shape of a weight"),
    "a weight for every sample": (
        lambda: dense(a_weight_for_every_sample, rows=nn.Linear(4, 9)),
        "of different shapes",
    ),
    "a part": (lambda: dense(a_part), "takes parts"),
    "an unusual call": (lambda: dense(by_an_unusual_call), "in an unusual way"),
    "other precision": (lambda: dense(in_lower_precision), "calls float"),
    "one number": (one_number, "calls sum"),
}


@pytest.fixture(params=REFUSED)
def refused(request):
    torch.manual_seed(0)
    build, why = REFUSED[request.param]
    return build(), why


def test_what_is_no_stack_says_why_and_goes_another_way(refused):
    setup, why = refused
    with pytest.raises(ValueError, match=rf"plan='stack' is not possible: .*({why})"):
        ModelObjective(*setup, plan="stack")
    objective = ModelObjective(*setup)
    assert objective.batching.path != "stack"
    points = around(objective, 6)
    values, gradients = by_hand(*setup, points)
    assert_close(objective(points), values, torch.float64)
    assert_close(objective.value_and_gradient(points)[1], gradients, torch.float64)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), Forward(dropped)])
def test_dropout_in_training_is_no_stack(layer):
    setup = regression(nn.Linear(3, 4), layer, nn.Linear(4, 2))
    with pytest.raises(ValueError, match="random numbers"):
        ModelObjective(*setup, training=True, plan="stack")
    assert ModelObjective(*setup).batching.path == "stack"


def test_low_precision_is_no_stack():
    model, loss, inputs, targets = regression(nn.Linear(3, 2), dtype=torch.float16, rows=900)
    setup = model, loss, 10 * inputs, 10 * targets  # a sum of squares would overflow
    with pytest.raises(ValueError, match="it is in float16"):
        ModelObjective(*setup, plan="stack")
    objective = ModelObjective(*setup)
    points = around(objective, 6)
    values = objective(points)
    assert np.isfinite(values).all()
    expected = ModelObjective(*setup, plan="loop")(points)
    np.testing.assert_allclose(values, expected, rtol=0.02)


def test_a_function_of_the_model_is_no_stack():
    model, loss, inputs, targets = regression(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="the loss is a function of the model"):
        ModelObjective.from_function(model, lambda m: loss(m(inputs), targets), plan="stack")


def test_where_nothing_that_is_searched_matters_there_is_no_stack():
    setup = dense(lambda m, x: m.last(m.first(x)))
    with pytest.raises(ValueError, match="nothing that is searched matters"):
        ModelObjective(*setup, plan="stack", select="*middle*")
