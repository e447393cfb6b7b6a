"""Models, losses and data that the tests of the adapter share, and the loops they are held to."""

import copy
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective

RTOL = {torch.float64: 1e-12, torch.float32: 2e-5}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3, bias=False)
        self.outer = nn.Linear(3, 3)
        self.outer.weight = self.inner.weight

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x)))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(3, 4).double()
        self.narrow = nn.Linear(4, 2)

    def forward(self, x):
        return self.narrow(torch.tanh(self.wide(x)).float())


class Recurrent(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.mix(x, x, x, need_weights=False)[0][:, -1])


class Reading(nn.Module):
    """Scales by a number read from its own activations."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        h = self.layer(x)
        return h / max(1.0, h.abs().max().item())


class Counting(nn.Module):
    """Counts its passes, and lets the count matter."""

    def __init__(self, buffer):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.passes = 0
        if buffer:
            self.register_buffer("total", torch.zeros(()))

    def forward(self, x):
        if hasattr(self, "total"):
            self.total += 1
            return self.layer(x) * self.total
        self.passes += 1
        return self.layer(x) * self.passes


class Remembering(nn.Module):
    """Keeps its last activation."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.last = None

    def forward(self, x):
        self.last = self.layer(x)
        return self.last


def normal(*shape, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def classes(rows, count):
    return torch.arange(rows) % count


def article():
    torch.manual_seed(42)
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).double()
    data = torch.randn(32, 2).double()
    data[:, 1] *= 1000
    return model, F.mse_loss, data, data


def perceptron():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    return model, nn.CrossEntropyLoss(), normal(20, 4), classes(20, 3)


def convolution(memory_format=torch.contiguous_format):
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    inputs = normal(6, 2, 6, 6).to(memory_format=memory_format)
    return model.to(memory_format=memory_format), F.cross_entropy, inputs, classes(6, 3)


def channels_last():
    return convolution(torch.channels_last)


def tied():
    return Tied(), F.mse_loss, normal(7, 3), normal(7, 3)


def frozen():
    model, *rest = perceptron()
    model[0].requires_grad_(False)
    return model, *rest


def mixed():
    return Mixed(), F.mse_loss, normal(9, 3, dtype=torch.float64), normal(9, 2)


def normalised_eval():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model(normal(30, 3))
    return model.eval(), F.mse_loss, normal(8, 3), normal(8, 2)


def embedded():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.LayerNorm(6), nn.Linear(6, 2))
    return model, F.cross_entropy, torch.arange(20).reshape(10, 2) % 5, classes(10, 2)


def weighted_loss():
    model, _, inputs, targets = perceptron()
    return model, nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0])), inputs, targets


BATCHED = [
    article,
    perceptron,
    convolution,
    channels_last,
    tied,
    frozen,
    mixed,
    normalised_eval,
    embedded,
    weighted_loss,
]


def normalised_train():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return model, F.mse_loss, normal(8, 3), normal(8, 2)


def gru():
    return Recurrent(nn.GRU), F.mse_loss, normal(5, 4, 3), normal(5, 2)


def lstm():
    return Recurrent(nn.LSTM), F.mse_loss, normal(5, 4, 3), normal(5, 2)


def reading():
    return Reading(), F.mse_loss, normal(6, 3), normal(6, 2)


def attention():
    return Attention(), F.mse_loss, normal(5, 4, 4), normal(5, 2)


def weight_normed():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    return model, F.mse_loss, normal(6, 3), normal(6, 2)


def scripted():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(model), F.mse_loss, normal(6, 3), normal(6, 2)


def normalised_unknown():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Linear(4, 2))
    return model, F.mse_loss, normal(8, 3), normal(8, 2)


LOOPED = {
    normalised_unknown: "running_mean",
    gru: "gru",
    lstm: "lstm",
    reading: "item",
    attention: "vmap",
    weight_normed: "batching rule",
    scripted: "vmap",
}


def make(case):
    torch.manual_seed(0)
    return case()


def snapshot(model):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grads = [(p.requires_grad, p.grad, p.data_ptr()) for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    return state, grads, modes, torch.get_rng_state()


def assert_same(model, before):
    state, grads, modes, rng = before
    after = snapshot(model)
    assert state.keys() == after[0].keys()
    assert all(torch.equal(value, after[0][name]) for name, value in state.items())
    assert grads == after[1]
    assert modes == after[2]
    assert torch.equal(rng, after[3])


def by_hand(model, loss, inputs, targets, points, gradients=True):
    """Losses (k,) and gradients (k, n) as a training loop has them, one candidate after another.

    Whatever a candidate leaves behind in the model or the loss is put back before the next.
    """
    own, judge = copy.deepcopy((model, loss))
    modules = [m for one in (own, judge) if isinstance(one, nn.Module) for m in one.modules()]
    found = [dict(vars(module)) for module in modules]
    buffers = [(b, b.clone()) for module in modules for b in module.buffers(recurse=False)]
    free = [parameter for parameter in own.parameters() if parameter.requires_grad]
    values, slopes = [], []
    for point in points:
        write(free, point)
        with torch.set_grad_enabled(gradients):
            value = judge(own(inputs), targets)
        values.append(value.item() if isinstance(value, torch.Tensor) else float(value))
        if gradients:
            parts = torch.autograd.grad(value, free, materialize_grads=True)
            slopes.append(torch.cat([part.reshape(-1).double() for part in parts]).numpy())
        for module, state in zip(modules, found, strict=True):
            for name in vars(module).keys() - state.keys():
                delattr(module, name)
            vars(module).update(state)
        for buffer, before in buffers:
            buffer.copy_(before)
    return np.array(values), np.array(slopes)


def tutorial(model, loss, inputs, targets, points):
    """Losses (k,): write each vector into the parameters, then forward, then `.item()`."""
    return by_hand(model, loss, inputs, targets, points, gradients=False)[0]


def write(free, point):
    parts = np.split(point, np.cumsum([p.numel() for p in free])[:-1])
    with torch.no_grad():
        for parameter, part in zip(free, parts, strict=True):
            parameter.copy_(torch.tensor(part).reshape(parameter.shape))


def regression(*layers, shape=(3,), rows=9, dtype=torch.float64):
    """Layers on samples of a shape, and targets for what comes out."""
    model = nn.Sequential(*layers).to(dtype)
    inputs = normal(rows, *shape, dtype=dtype)
    with torch.no_grad():
        outputs = copy.deepcopy(model).eval()(inputs)
    return model, F.mse_loss, inputs, normal(*outputs.shape, dtype=dtype)


def assert_as_by_hand(setup, counts=(1, 2, 7, 40, 300), **options):
    """Hold a stack to the loop at these batch sizes: values of all, gradients of up to 40.

    Of the larger batches a few candidates are looked at, the first and the last among them.
    """
    model = setup[0]
    precision = next(model.parameters()).dtype
    before = snapshot(model), [None if t is None else t.clone() for t in setup[2:]]
    objective = ModelObjective(*setup, training=None, **options)
    assert objective.batching.path == "stack", objective.batching.reason
    spread = np.random.default_rng(0).standard_normal((max(counts), objective.n))
    points = objective.x0 + 0.3 * spread
    seen = np.array([i for i in range(max(counts)) if i < 7 or i % 13 == 0 or i + 1 in counts])
    few = seen[seen < 40]
    expected, slopes = by_hand(*setup, points[seen], gradients=False)[0], None
    if objective.differentiable:
        slopes = by_hand(*setup, points[few])[1]
    for k in counts:
        looked = seen[seen < k]
        assert_close(objective(points[:k])[looked], expected[: len(looked)], precision)
        if slopes is not None and k <= 40:
            values, gradients = objective.value_and_gradient(points[:k])
            assert_close(values[looked], expected[: len(looked)], precision)
            assert_close(gradients[looked], slopes[: len(looked)], precision)
    np.testing.assert_array_equal(points, objective.x0 + 0.3 * spread)
    assert_same(model, before[0])
    for held, old in zip(setup[2:], before[1], strict=True):
        assert held is old is None or torch.equal(held, old)
    return objective


def around(objective, k):
    return objective.x0 + 0.3 * np.random.default_rng(k).standard_normal((k, objective.n))


def assert_close(actual, expected, dtype):
    scale = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * scale)


def precision(case):
    return torch.float64 if case is article else torch.float32
