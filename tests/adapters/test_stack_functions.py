"""Every function and method of the stack's tables, in odd settings, held to a hand-written loop."""

import operator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters.stack.functions import FUNCTIONS, METHODS
from tests.adapters.cases import assert_as_by_hand, normal


class Calling(nn.Module):
    """Calls something between a layer and the next, with weights of its own."""

    def __init__(self, call, before, width):
        super().__init__()
        self.call = call
        self.first = before
        self.scale = nn.Parameter(0.5 + torch.rand(4))
        self.shift = nn.Parameter(0.5 + torch.rand(1))
        self.kernel = nn.Parameter(torch.randn(3, 2, 2, 3))
        self.weight = nn.Parameter(torch.randn(7, 4))
        self.square = nn.Parameter(torch.randn(4, 4))
        self.bias = nn.Parameter(torch.randn(7))
        self.fixed = nn.Parameter(0.5 + torch.rand(4), requires_grad=False)
        self.last = nn.Linear(width, 2)

    def forward(self, x):
        return self.last(self.call(self, self.first(x)))


def flat(call, width=4):
    return call, lambda: nn.Linear(3, 4), (3,), width


def image(call, width):
    return call, lambda: nn.Conv2d(2, 2, 2), (2, 6, 5), width


SETTINGS = {
    "clamp": [((-0.2, 0.3), {}), ((), {"min": -0.1}), ((), {"min": None, "max": 0.2})],
    "clip": [((-0.2,), {"max": 0.3})],
    "clamp_max": [((0.2,), {})],
    "clamp_min": [((0.2,), {})],
    "round": [((), {}), ((), {"decimals": 1})],
    "celu": [((), {}), ((0.5,), {}), ((), {"inplace": True})],
    "elu": [((0.5,), {}), ((), {"inplace": True})],
    "gelu": [((), {}), ((), {"approximate": "tanh"})],
    "hardshrink": [((0.1,), {}), ((), {"lambd": 0.2})],
    "hardsigmoid": [((), {}), ((), {"inplace": True})],
    "hardswish": [((), {}), ((), {"inplace": True})],
    "hardtanh": [((-0.1, 0.2), {}), ((), {"max_val": 0.1, "inplace": True})],
    "leaky_relu": [((0.2,), {}), ((), {"negative_slope": 0.3, "inplace": True})],
    "mish": [((), {}), ((), {"inplace": True})],
    "relu6": [((), {}), ((), {"inplace": True})],
    "selu": [((), {}), ((True,), {})],
    "silu": [((), {}), ((), {"inplace": True})],
    "softplus": [((), {}), ((2.0, 0.3), {}), ((), {"beta": 3})],
    "softshrink": [((0.1,), {})],
    "threshold": [((0.1, -0.5), {}), ((), {"threshold": 0.2, "value": 1.0, "inplace": True})],
}
ROOTS = ("log", "sqrt", "rsqrt", "reciprocal")


def calls(function, name):
    """Call a function of one tensor in all its settings, where it is defined and smooth."""
    narrow = torch.sigmoid if name in ROOTS else torch.tanh
    return [
        flat(lambda m, h, a=args, s=settings: function(narrow(h), *a, **s))
        for args, settings in SETTINGS.get(name, [((), {})])
    ]


def joins(function):
    """Join activations with numbers, weights of any shape, and one another."""
    return [
        flat(lambda m, h: function(h, 1.5)),
        flat(lambda m, h: function(h, m.scale)),
        flat(lambda m, h: function(m.scale, torch.sigmoid(h))),
        flat(lambda m, h: function(h, m.shift)),
        flat(lambda m, h: function(h, torch.sigmoid(h))),
        flat(lambda m, h: function(h, m.fixed)),
        flat(lambda m, h: F.linear(h, function(m.weight, m.scale)), 7),
        image(lambda m, h: function(h, m.scale).flatten(1), 40),
    ]


def with_numbers_first(function):
    return [*joins(function), flat(lambda m, h: function(1.5, torch.sigmoid(h)))]


def powers(function):
    return [
        flat(lambda m, h: function(h, 2)),
        flat(lambda m, h: function(2.0, h)),
        flat(lambda m, h: function(torch.sigmoid(h), m.scale)),
        flat(lambda m, h: function(m.scale.abs() + 0.1, h)),
    ]


def pairs(function):
    """For functions that take no numbers."""
    return joins(function)[1:]


ELEMENTWISE = [
    *("abs", "acos", "asin", "atan", "ceil", "clamp", "clamp_max", "clamp_min", "clip", "cos"),
    *("erf", "exp", "expm1", "floor", "frac", "log", "log1p", "neg", "reciprocal", "relu"),
    *("round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "square", "tanh", "trunc"),
]
ACTIVATIONS = [
    *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
]

CALLED = {
    **{getattr(torch, name): calls(getattr(torch, name), name) for name in ELEMENTWISE},
    **{getattr(F, name): calls(getattr(F, name), name) for name in ACTIVATIONS},
    torch.relu: [*calls(torch.relu, "relu"), flat(lambda m, h: torch.relu(torch.relu(h)))],
    **{f: with_numbers_first(f) for f in (operator.add, operator.mul, operator.sub)},
    **{f: joins(f) for f in (torch.add, torch.mul, torch.sub)},
    operator.truediv: with_numbers_first(operator.truediv),
    torch.div: joins(torch.div),
    torch.maximum: pairs(torch.maximum),
    torch.minimum: pairs(torch.minimum),
    operator.pow: powers(operator.pow),
    torch.pow: powers(torch.pow),
    operator.iadd: joins(operator.iadd)[:1] + joins(operator.iadd)[5:6],
    operator.imul: [flat(lambda m, h: operator.imul(torch.tanh(h), m.scale))],
    operator.isub: [flat(lambda m, h: operator.isub(torch.exp(h), m.shift))],
    operator.neg: [flat(lambda m, h: -h), flat(lambda m, h: F.linear(h, -m.weight), 7)],
    operator.getitem: [image(lambda m, h: h.view(h.shape[0], -1), 40)],
    getattr: [image(lambda m, h: h.reshape(h.shape[0], 40), 40)],
    torch.flatten: [
        image(lambda m, h: torch.flatten(h, 1), 40),
        image(lambda m, h: torch.flatten(h, -3, -1), 40),
        image(lambda m, h: torch.flatten(h, start_dim=1), 40),
    ],
    F.adaptive_avg_pool2d: [image(lambda m, h: F.adaptive_avg_pool2d(h, (5, 2)).flatten(1), 20)],
    F.avg_pool2d: [
        image(lambda m, h: F.avg_pool2d(h, 2).flatten(1), 8),
        image(lambda m, h: F.avg_pool2d(h, (2, 3), stride=1, padding=1).flatten(1), 48),
    ],
    F.conv2d: [
        image(lambda m, h: F.conv2d(h, m.kernel).flatten(1), 24),
        image(lambda m, h: F.conv2d(h, m.kernel, stride=(1, 2), padding=1).flatten(1), 36),
        image(lambda m, h: F.conv2d(h, torch.sign(m.kernel), None, 1, 1).flatten(1), 72),
    ],
    F.linear: [
        flat(lambda m, h: F.linear(h, m.weight), 7),
        flat(lambda m, h: F.linear(h, weight=m.weight, bias=m.bias), 7),
        flat(lambda m, h: F.linear(h, torch.round(8 * m.weight) / 8, m.bias), 7),
        flat(lambda m, h: F.linear(h, m.weight + (m.weight.round() - m.weight).detach()), 7),
        flat(lambda m, h: F.linear(F.linear(h, m.square), m.square, m.scale)),
        image(lambda m, h: F.linear(h, m.weight, m.bias).flatten(1), 70),
    ],
    F.max_pool2d: [
        image(lambda m, h: F.max_pool2d(h, 2).flatten(1), 8),
        image(lambda m, h: F.max_pool2d(torch.relu(h), 3, stride=1, padding=1).flatten(1), 40),
        image(lambda m, h: F.max_pool2d(h, 2, dilation=2, stride=(1, 2)).flatten(1), 6),
    ],
    F.dropout: [
        flat(lambda m, h: F.dropout(h, 0.5, training=False)),
        flat(lambda m, h: F.dropout(h, p=0.0)),
    ],
    **{
        f: [
            flat(lambda m, h, f=f: f(h, 1)),
            flat(lambda m, h, f=f: f(h, dim=-1)),
            image(lambda m, h, f=f: f(h, dim=2).flatten(1), 40),
        ]
        for f in (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax)
    },
}


def method(name):
    return lambda h, *rest, **settings: getattr(h, name)(*rest, **settings)


CALLED_AS_METHODS = {
    **{name: calls(method(name), name) for name in ELEMENTWISE},
    **{f"{name}_": calls(method(f"{name}_"), name) for name in ("relu", "sigmoid", "tanh")},
    **{
        name: [
            flat(lambda m, h, name=name: getattr(h, name)(m.scale)),
            flat(lambda m, h, name=name: getattr(h, name)(h.sigmoid())),
        ]
        for name in ("add", "mul", "sub", "div", "maximum", "minimum")
    },
    "pow": [flat(lambda m, h: h.pow(3)), flat(lambda m, h: h.sigmoid().pow(m.scale))],
    "contiguous": [flat(lambda m, h: h.contiguous().tanh_())],
    "detach": [
        flat(lambda m, h: h + torch.tanh(h.detach())),
        flat(lambda m, h: h.tanh().detach().relu_()),
    ],
    "flatten": [image(lambda m, h: h.flatten(1), 40), image(lambda m, h: h.flatten(1, 3), 40)],
    "reshape": [
        image(lambda m, h: h.reshape(-1, 40), 40),
        image(lambda m, h: h.reshape((h.size(0), -1)), 40),
    ],
    "size": [
        image(lambda m, h: h.view(h.size()[0], h.size(1) * h.size(-1) * 5), 40),
        image(lambda m, h: h.flatten(1) / h.size(2), 40),
    ],
    "view": [
        image(lambda m, h: h.view(h.shape[0], -1), 40),
        image(lambda m, h: h.view(-1, h.shape[1] * h.shape[2] * h.shape[3]), 40),
    ],
    **{
        name: [
            flat(lambda m, h, name=name: getattr(h, name)(-1)),
            image(lambda m, h, name=name: getattr(h, name)(dim=3).flatten(1), 40),
        ]
        for name in ("softmax", "log_softmax")
    },
}


def named(cases):
    return [
        pytest.param(*one, id=f"{key if isinstance(key, str) else _name(key)}-{i}")
        for key, several in cases.items()
        for i, one in enumerate(several)
    ]


def _name(function):
    return f"{getattr(function, '__module__', None) or 'torch'}.{function.__name__}"


ENDS = {key: [several[0], *several[1:][-1:]] for key, several in CALLED.items()}
EVERY = [*named(CALLED), *named(CALLED_AS_METHODS)]


NOTED = {
    F.sigmoid: "sigmoid",
    F.tanh: "tanh",
    operator.iadd: operator.add,
    operator.imul: operator.mul,
    operator.isub: operator.sub,
}
"""What `torch.fx` may write down in their place."""


def test_every_function_of_the_tables_is_tried():
    assert CALLED.keys() == FUNCTIONS.keys()
    assert CALLED_AS_METHODS.keys() == METHODS.keys()
    for cases in (CALLED, CALLED_AS_METHODS):
        for key, several in cases.items():
            for call, before, _, width in several:
                graph = torch.fx.symbolic_trace(Calling(call, before(), width))
                called = {node.target for node in graph.graph.nodes}
                assert called & {key, NOTED.get(key)}, key


def setup(case, rows, dtype=torch.float64):
    call, before, shape, width = case
    torch.manual_seed(0)
    model = Calling(call, before(), width).to(dtype)
    inputs = normal(rows, *shape, dtype=dtype)
    return model, F.mse_loss, inputs, normal(rows, 2, dtype=dtype)


@pytest.mark.parametrize("case", [pytest.param(one.values, id=one.id) for one in EVERY])
def test_few_samples(case):
    assert_as_by_hand(setup(case, 9))


@pytest.mark.parametrize("case", [pytest.param(one.values, id=one.id) for one in named(ENDS)])
def test_many_samples_in_single_precision(case):
    assert_as_by_hand(setup(case, 60, torch.float32), (2, 40))
