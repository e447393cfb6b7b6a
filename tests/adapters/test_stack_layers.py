"""Every module of the stack's table, in odd settings, held to a hand-written loop."""

import pytest
import torch
from torch import nn

from adapters.stack.layers import MODULES
from tests.adapters.cases import assert_as_by_hand, regression


def flat(layer, width=4):
    """The layer between linear ones: for networks so small the candidates may go last."""
    return (3,), lambda: [nn.Linear(3, 4), layer(), nn.Linear(width, 2)]


def image(layer, width):
    """The layer after a convolution of images 2 x 6 x 5, to 3 x 5 x 4."""
    last = nn.Flatten, lambda: nn.Linear(width, 2)
    return (2, 6, 5), lambda: [nn.Conv2d(2, 3, 2), layer(), *[make() for make in last]]


def first(layer, shape, width):
    """The layer on the data themselves, which all candidates share."""
    return shape, lambda: [layer(), nn.Flatten(), nn.Linear(width, 2)]


def activation(kind, *settings):
    makes = [lambda s=s: kind(**s) for s in ({}, *settings)]
    return [*(flat(make) for make in makes), image(makes[-1], 60), first(makes[0], (3,), 3)]


def used(norm, training=False):
    """Return a norm whose weights and running statistics are not trivial."""
    for tensor in (*norm.parameters(), *norm.buffers()):
        if tensor.is_floating_point():
            tensor.data = 0.5 + torch.rand(tensor.shape)
    return norm.train(training)


def batch_norm(kind, place, *shape):
    """A batch norm of four or three channels in all its ways."""
    channels = 4 if kind is nn.BatchNorm1d else 3
    ways = [
        {},
        {"affine": False},
        {"eps": 0.1, "momentum": 0.3},
        {"track_running_stats": False},
        {"momentum": None},
    ]
    return [
        place(lambda way=way, training=training: used(kind(channels, **way), training), *shape)
        for way in ways
        for training in (False, True)
    ]


IN_PLACE = {"inplace": True}

CASES = {
    nn.ReLU: activation(nn.ReLU, IN_PLACE),
    nn.Sigmoid: activation(nn.Sigmoid),
    nn.Tanh: activation(nn.Tanh),
    nn.CELU: activation(nn.CELU, {"alpha": 0.5}, IN_PLACE),
    nn.ELU: activation(nn.ELU, {"alpha": 0.5}, IN_PLACE),
    nn.GELU: activation(nn.GELU, {"approximate": "tanh"}),
    nn.Hardshrink: activation(nn.Hardshrink, {"lambd": 0.1}),
    nn.Hardsigmoid: activation(nn.Hardsigmoid, IN_PLACE),
    nn.Hardswish: activation(nn.Hardswish, IN_PLACE),
    nn.Hardtanh: activation(nn.Hardtanh, {"min_val": -0.2, "max_val": 0.3}, IN_PLACE),
    nn.LeakyReLU: activation(nn.LeakyReLU, {"negative_slope": 0.3}, IN_PLACE),
    nn.LogSigmoid: activation(nn.LogSigmoid),
    nn.Mish: activation(nn.Mish, IN_PLACE),
    nn.ReLU6: activation(nn.ReLU6, IN_PLACE),
    nn.SELU: activation(nn.SELU, IN_PLACE),
    nn.SiLU: activation(nn.SiLU, IN_PLACE),
    nn.Softplus: activation(nn.Softplus, {"beta": 2.0, "threshold": 0.5}),
    nn.Softshrink: activation(nn.Softshrink, {"lambd": 0.1}),
    nn.Softsign: activation(nn.Softsign),
    nn.Tanhshrink: activation(nn.Tanhshrink),
    nn.Threshold: activation(
        lambda threshold=0.1, value=-0.7, **other: nn.Threshold(threshold, value, **other),
        IN_PLACE,
    ),
    nn.AdaptiveAvgPool2d: [
        image(lambda: nn.AdaptiveAvgPool2d(1), 3),
        image(lambda: nn.AdaptiveAvgPool2d((5, 2)), 30),
        first(lambda: nn.AdaptiveAvgPool2d((2, 1)), (2, 4, 3), 4),
    ],
    nn.AdaptiveMaxPool2d: [
        image(lambda: nn.AdaptiveMaxPool2d(1), 3),
        image(lambda: nn.AdaptiveMaxPool2d((5, 2)), 30),
        first(lambda: nn.AdaptiveMaxPool2d((2, 1)), (2, 4, 3), 4),
    ],
    nn.AvgPool2d: [
        image(lambda: nn.AvgPool2d(2), 12),
        image(lambda: nn.AvgPool2d(3, stride=1), 18),
        image(lambda: nn.AvgPool2d((2, 3), stride=(1, 2), padding=1), 36),
        image(lambda: nn.AvgPool2d(1), 60),
        image(lambda: nn.AvgPool2d(2, count_include_pad=False), 12),
        first(lambda: nn.AvgPool2d(2, padding=1), (2, 4, 3), 12),
    ],
    nn.BatchNorm1d: [
        *batch_norm(nn.BatchNorm1d, flat),
        first(lambda: used(nn.BatchNorm1d(3), training=True), (3,), 3),
        first(lambda: used(nn.BatchNorm1d(3, affine=False), training=True), (3,), 3),
        first(lambda: used(nn.BatchNorm1d(3)), (3, 2), 6),
        first(lambda: used(nn.BatchNorm1d(3), training=True), (3, 2), 6),
    ],
    nn.BatchNorm2d: [
        *batch_norm(nn.BatchNorm2d, image, 60),
        first(lambda: used(nn.BatchNorm2d(2, affine=False), training=True), (2, 3, 3), 18),
    ],
    nn.Conv2d: [
        image(lambda: nn.Conv2d(3, 4, 2, bias=False), 48),
        image(lambda: nn.Conv2d(3, 4, 3, stride=2), 8),
        image(lambda: nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=(1, 2)), 72),
        image(lambda: nn.Conv2d(3, 4, 2, dilation=2), 24),
        image(lambda: nn.Conv2d(3, 4, (3, 2), dilation=(1, 3), padding=1, stride=(1, 2)), 40),
        image(lambda: nn.Conv2d(3, 4, 1, stride=2), 24),
        image(lambda: nn.Conv2d(3, 4, 1), 80),
        image(lambda: nn.Conv2d(3, 4, 1, padding=1), 168),
        image(lambda: nn.Conv2d(3, 4, (5, 4)), 4),
        first(lambda: nn.Conv2d(2, 3, 3, padding=2, dilation=2), (2, 4, 3), 36),
        first(lambda: nn.Conv2d(2, 3, 1, bias=False), (2, 4, 3), 36),
        first(lambda: nn.Conv2d(1, 1, (1, 2)), (1, 1, 2), 1),
    ],
    nn.Dropout: [flat(lambda: nn.Dropout(0.5).eval()), flat(lambda: nn.Dropout(0.0))],
    nn.Dropout2d: [
        image(lambda: nn.Dropout2d(0.5).eval(), 60),
        image(lambda: nn.Dropout2d(0.0, inplace=True), 60),
    ],
    nn.Flatten: [
        image(lambda: nn.Flatten(1, -1), 60),
        image(lambda: nn.Flatten(-3, 3), 60),
        flat(nn.Flatten),
        first(nn.Flatten, (2, 3), 6),
    ],
    nn.GroupNorm: [
        image(lambda: used(nn.GroupNorm(3, 3)), 60),
        image(lambda: used(nn.GroupNorm(1, 3, eps=0.1)), 60),
        image(lambda: nn.GroupNorm(3, 3, affine=False), 60),
        flat(lambda: used(nn.GroupNorm(2, 4))),
        first(lambda: used(nn.GroupNorm(2, 4)), (4, 3), 12),
    ],
    nn.Identity: [flat(nn.Identity), first(nn.Identity, (3,), 3), image(nn.Identity, 60)],
    nn.LayerNorm: [
        flat(lambda: used(nn.LayerNorm(4))),
        flat(lambda: used(nn.LayerNorm(4, eps=0.1, bias=False))),
        flat(lambda: nn.LayerNorm(4, elementwise_affine=False)),
        image(lambda: used(nn.LayerNorm(4)), 60),
        image(lambda: used(nn.LayerNorm((5, 4))), 60),
        image(lambda: used(nn.LayerNorm((3, 5, 4), bias=False)), 60),
        first(lambda: used(nn.LayerNorm(3)), (2, 3), 6),
        first(lambda: nn.LayerNorm((2, 3), elementwise_affine=False), (2, 3), 6),
    ],
    nn.Linear: [
        flat(lambda: nn.Linear(4, 7), 7),
        flat(lambda: nn.Linear(4, 1, bias=False), 1),
        first(lambda: nn.Linear(3, 4, bias=False), (5, 3), 20),
        first(lambda: nn.Linear(3, 4), (2, 5, 3), 40),
        image(lambda: nn.Linear(4, 2), 30),
    ],
    nn.LogSoftmax: [
        flat(lambda: nn.LogSoftmax(1)),
        flat(lambda: nn.LogSoftmax(-1)),
        image(lambda: nn.LogSoftmax(2), 60),
    ],
    nn.MaxPool2d: [
        image(lambda: nn.MaxPool2d(2), 12),
        image(lambda: nn.MaxPool2d(3, stride=1), 18),
        image(lambda: nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0)), 27),
        image(lambda: nn.MaxPool2d(2, stride=1, padding=1), 90),
        image(lambda: nn.MaxPool2d(2, dilation=(2, 1)), 12),
        image(lambda: nn.MaxPool2d(1), 60),
        image(lambda: nn.MaxPool2d(1, stride=2), 18),
        image(lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), 12),
        image(lambda: nn.Sequential(nn.Tanh(), nn.Sigmoid(), nn.MaxPool2d(2)), 12),
        image(lambda: nn.Sequential(nn.Softplus(), nn.MaxPool2d(2), nn.ReLU()), 12),
        first(lambda: nn.MaxPool2d(2, padding=1), (2, 4, 3), 12),
    ],
    nn.Softmax: [
        flat(lambda: nn.Softmax(1)),
        flat(lambda: nn.Softmax(-1)),
        image(lambda: nn.Softmax(-2), 60),
    ],
}

EVERY = [
    pytest.param(*case, id=f"{kind.__name__}-{i}")
    for kind, cases in CASES.items()
    for i, case in enumerate(cases)
]


ENDS = [
    pytest.param(*cases[i], id=f"{kind.__name__}-{i}")
    for kind, cases in CASES.items()
    for i in {0, len(cases) - 1}
]


def test_every_module_of_the_table_is_tried():
    assert CASES.keys() == MODULES.keys()
    for kind, cases in CASES.items():
        for _, layers in cases:
            assert any(type(m) is kind for layer in layers() for m in layer.modules())


@pytest.mark.parametrize(("shape", "layers"), EVERY)
def test_few_samples(shape, layers):
    torch.manual_seed(0)
    assert_as_by_hand(regression(*layers(), shape=shape))


@pytest.mark.parametrize(("shape", "layers"), ENDS)
def test_many_samples_in_single_precision(shape, layers):
    torch.manual_seed(0)
    setup = regression(*layers(), shape=shape, rows=60, dtype=torch.float32)
    assert_as_by_hand(setup, (2, 40))
