import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective

RTOL = {torch.float64: 1e-12, torch.float32: 2e-5}


@pytest.fixture(autouse=True)
def one_thread():
    """Small operations on a busy machine: several threads would wait for each other."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


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


LOOPED = {
    normalised_train: "running_mean",
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


def tutorial(model, loss, inputs, targets, points):
    """Write each vector into the parameters, then forward, then `.item()`."""
    values = []
    for point in points:
        fresh = copy.deepcopy(model)  # running statistics must not carry over
        write(fresh, point)
        with torch.no_grad():
            values.append(loss(fresh(inputs), targets).item())
    return np.array(values)


def write(model, point):
    free = [p for p in model.parameters() if p.requires_grad]
    parts = np.split(point, np.cumsum([p.numel() for p in free])[:-1])
    with torch.no_grad():
        for parameter, part in zip(free, parts, strict=True):
            parameter.copy_(torch.tensor(part).reshape(parameter.shape))


def by_hand(model, loss, inputs, targets, points):
    """Gradients as a training loop has them."""
    gradients = []
    for point in points:
        fresh = copy.deepcopy(model)
        write(fresh, point)
        free = [p for p in fresh.parameters() if p.requires_grad]
        parts = torch.autograd.grad(loss(fresh(inputs), targets), free)
        gradients.append(torch.cat([part.reshape(-1).double() for part in parts]).numpy())
    return np.array(gradients)


def around(objective, k):
    return objective.x0 + 0.3 * np.random.default_rng(k).standard_normal((k, objective.n))


def assert_close(actual, expected, dtype):
    scale = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=RTOL[dtype], atol=RTOL[dtype] * scale)


def precision(case):
    return torch.float64 if case is article else torch.float32


@pytest.mark.parametrize("plan", ["vmap", "loop"])
@pytest.mark.parametrize("case", BATCHED, ids=lambda case: case.__name__)
def test_values_and_gradients_are_those_of_a_hand_written_loop(case, plan):
    setup = make(case)
    before = snapshot(setup[0])
    objective = ModelObjective(*setup, plan=plan)
    assert objective.path == plan
    assert objective.differentiable
    for k in (1, 2, 7, 100):
        points = around(objective, k)
        given = points.copy()
        values = objective(points)
        assert values.shape == (k,)
        assert values.dtype == np.float64
        assert_close(values, tutorial(*setup, points), precision(case))
        if k < 100:
            again, gradients = objective.value_and_gradient(points)
            assert gradients.shape == (k, objective.n)
            assert gradients.dtype == np.float64
            assert_close(again, values, precision(case))
            assert_close(gradients, by_hand(*setup, points), precision(case))
        np.testing.assert_array_equal(points, given)
    assert_same(setup[0], before)


@pytest.mark.parametrize("case", BATCHED, ids=lambda case: case.__name__)
def test_small_models_go_in_one_pass(case):
    objective = ModelObjective(*make(case))
    assert objective.path == "vmap", objective.reason


@pytest.mark.parametrize("case", LOOPED, ids=lambda case: case.__name__)
def test_what_cannot_be_batched_is_looped_with_the_reason(case):
    setup = make(case)
    before = snapshot(setup[0])
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert LOOPED[case] in objective.reason
    for k in (1, 2, 7):
        points = around(objective, k)
        assert_close(objective(points), tutorial(*setup, points), torch.float32)
        values, gradients = objective.value_and_gradient(points)
        assert_close(values, objective(points), torch.float32)
        assert_close(gradients, by_hand(*setup, points), torch.float32)
    assert_same(setup[0], before)
    with pytest.raises(ValueError, match=r"plan='vmap' is not possible: .*; use plan='auto'"):
        ModelObjective(*setup, plan="vmap")
    assert_same(setup[0], before)


def test_the_articles_loss():
    x0 = 0.1 * np.random.RandomState(42).randn(10)
    for plan in ("auto", "loop"):
        objective = ModelObjective(*make(article), plan=plan)
        value = objective(x0)
        assert type(value) is float
        assert value == 307090.483492672
        np.testing.assert_allclose(objective(np.tile(x0, (100, 1))), value, rtol=1e-14)


@pytest.mark.parametrize("plan", ["vmap", "loop"])
def test_adam_takes_the_tutorials_steps_to_the_last_bit(plan):
    model, loss, inputs, targets = make(article)
    objective = ModelObjective(model, loss, inputs, targets, plan=plan)
    x = nn.Parameter(torch.from_numpy(objective.x0.copy()))
    ours = torch.optim.Adam([x], lr=1.0)
    theirs = torch.optim.Adam(model.parameters(), lr=1.0)
    for _ in range(50):
        theirs.zero_grad()
        expected = loss(model(inputs), targets)
        expected.backward()
        theirs.step()
        (value,), gradient = objective.value_and_gradient(x.detach().numpy()[None])
        x.grad = torch.from_numpy(gradient[0])
        ours.step()
        assert value == expected.item()
    weights = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    assert torch.equal(x.detach(), weights)


def test_the_protocol():
    model, *rest = make(perceptron)
    objective = ModelObjective(model, *rest)
    assert objective.batched is True
    assert objective.n == 67
    assert objective.dtype == np.float32
    assert objective.blocks == ((8, 4), (8,), (3, 8), (3,))
    assert objective.x0.dtype == np.float64
    weights = np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters()])
    np.testing.assert_array_equal(objective.x0, weights)
    value, gradient = objective.value_and_gradient(objective.x0)
    assert type(value) is float
    assert gradient.shape == (67,)
    assert value == objective(objective.x0)
    assert "vmap" in repr(objective)
    assert "67" in repr(objective)


def test_apply_writes_into_the_users_model():
    model, loss, inputs, targets = make(perceptron)
    objective = ModelObjective(model, loss, inputs, targets)
    x = objective.x0 + 0.1
    value = objective(x)
    assert objective.apply(x) is model
    with torch.no_grad():
        assert loss(model(inputs), targets).item() == value
    with pytest.raises(ValueError, match="vector"):
        objective.apply(np.full(objective.n, np.nan))


def test_later_changes_of_the_users_model_do_not_change_the_objective():
    model, *rest = make(normalised_eval)
    objective = ModelObjective(model, *rest)
    points = around(objective, 7)
    expected = objective(points)
    model.train()
    model(normal(30, 3) + 5.0)
    objective.apply(points[0])
    np.testing.assert_array_equal(objective(points), expected)


def test_empty_batches():
    objective = ModelObjective(*make(article))
    values, gradients = objective.value_and_gradient(np.empty((0, 10)))
    assert objective(np.empty((0, 10))).shape == values.shape == (0,)
    assert gradients.shape == (0, 10)


def test_large_batches_come_in_chunks():
    objective = ModelObjective(*make(convolution))
    chunk = objective._plan.batch.chunk
    points = around(objective, 2 * chunk + 1)
    loop = ModelObjective(*make(convolution), plan="loop")
    assert_close(objective(points), loop(points), torch.float32)
    assert_close(
        objective.value_and_gradient(points)[1][-2:],
        loop.value_and_gradient(points[-2:])[1],
        torch.float32,
    )


def test_large_passes_are_looped_on_a_processor():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    setup = model, F.cross_entropy, normal(2000, 64), classes(2000, 10)
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert "MiB" in objective.reason
    forced = ModelObjective(*setup, plan="vmap")
    points = around(objective, 6)
    assert_close(forced(points), objective(points), torch.float32)


def counted(case):
    """Count the evaluations of a case's loss."""
    model, loss, inputs, targets = make(case)
    calls = []

    def counting(output, target):
        calls.append(1)
        return loss(output, target)

    return ModelObjective(model, counting, inputs, targets), calls


def test_small_batches_go_one_by_one_and_chunks_in_one_pass_each():
    objective, calls = counted(perceptron)
    chunk = objective._plan.batch.chunk
    for k, passes in ((1, 1), (4, 4), (5, 1), (chunk, 1), (2 * chunk + 1, 3)):
        for method in (objective, objective.value_and_gradient):
            calls.clear()
            method(around(objective, k))
            assert len(calls) == passes


def test_a_loss_of_one_element_is_a_number():
    model, _, inputs, targets = make(perceptron)
    for plan in ("vmap", "loop"):
        objective = ModelObjective(
            model, lambda o, t: F.cross_entropy(o, t).reshape(1, 1), inputs, targets, plan=plan
        )
        points = around(objective, 6)
        expected = tutorial(model, F.cross_entropy, inputs, targets, points)
        assert_close(objective(points), expected, torch.float32)
        assert objective.value_and_gradient(points)[1].shape == (6, objective.n)


def test_a_loss_that_comes_out_otherwise_under_vmap_is_looped():
    calls = []

    def loss(output, target):
        calls.append(1)
        return F.cross_entropy(output, target) * len(calls)

    model, _, inputs, targets = make(perceptron)
    objective = ModelObjective(model, loss, inputs, targets)
    assert objective.path == "loop"
    assert "other losses" in objective.reason


def test_attributes_made_in_a_pass_are_gone_after_it():
    class Caching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            if not hasattr(self, "cache"):
                self.cache = self.layer(x).detach()
            return self.cache

    setup = Caching(), F.mse_loss, normal(6, 3), normal(6, 2)
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert not objective.differentiable
    points = around(objective, 6)
    assert_close(objective(points), tutorial(*setup, points), torch.float32)
    assert not hasattr(setup[0], "cache")


@pytest.mark.parametrize("buffer", [True, False])
def test_counters_start_afresh_for_every_candidate(buffer):
    setup = Counting(buffer), F.mse_loss, normal(6, 3), normal(6, 2)
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert "total" in objective.reason or "passes" in objective.reason
    points = around(objective, 3)
    np.testing.assert_array_equal(objective(points), objective(points))
    assert_close(objective(points), tutorial(*setup, points), torch.float32)
    assert setup[0].passes == 0


def test_dropout_is_looped_with_the_same_draw_for_all():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    setup = model, F.mse_loss, normal(6, 3), normal(6, 2)
    before = snapshot(model)
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert "random" in objective.reason
    points = around(objective, 4)
    values = objective(points)
    np.testing.assert_array_equal(values, [objective(point) for point in points])
    assert_same(model, before)
    torch.set_rng_state(before[3])
    assert values[0] == tutorial(*setup, points[:1])[0]
    gradients = objective.value_and_gradient(points)[1]
    for point, gradient in zip(points, gradients, strict=True):
        torch.set_rng_state(before[3])
        np.testing.assert_array_equal(gradient, by_hand(*setup, point[None])[0])
    model.eval()
    assert ModelObjective(*setup).path == "vmap"


def test_the_model_is_as_found_after_an_exception():
    model, _, inputs, targets = make(normalised_train)
    model.append(nn.Dropout(0.5))
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) > 20:
            raise ZeroDivisionError("mine")
        return F.mse_loss(output, target)

    before = snapshot(model)
    objective = ModelObjective(model, loss, inputs, targets)
    expected = objective(objective.x0)
    points = around(objective, 30)
    with pytest.raises(ZeroDivisionError, match="mine"):
        objective(points)
    with pytest.raises(ZeroDivisionError, match="mine"):
        objective.value_and_gradient(points)
    assert_same(model, before)
    calls.clear()
    assert objective(objective.x0) == expected


def test_a_batched_exception_leaves_no_trace():
    model, _, inputs, targets = make(perceptron)
    broken = []

    def loss(output, target):
        if broken:
            raise ZeroDivisionError
        return F.cross_entropy(output, target)

    objective = ModelObjective(model, loss, inputs, targets)
    points = around(objective, 7)
    expected = objective(points)
    broken.append(1)
    with pytest.raises(ZeroDivisionError):
        objective(points)
    broken.clear()
    np.testing.assert_array_equal(objective(points), expected)
    assert type(objective._bench.model[0].weight) is nn.Parameter


def test_a_loss_without_derivatives():
    model, _, inputs, targets = make(perceptron)

    def errors(output, target):
        return (output.argmax(1) != target).float().mean()

    objective = ModelObjective(model, errors, inputs, targets)
    assert objective.path == "vmap"
    assert not objective.differentiable
    assert getattr(objective, "value_and_gradient", None) is None
    assert "no gradients" in objective.reason
    points = around(objective, 50)
    expected = tutorial(model, errors, inputs, targets, points)
    np.testing.assert_allclose(objective(points), expected, rtol=1e-6)


@pytest.mark.parametrize("convert", [float, np.float32, np.asarray, lambda v: int(v * 1000)])
def test_a_loss_that_is_a_number_but_no_tensor(convert):
    model, _, inputs, targets = make(perceptron)

    def loss(output, target):
        return convert(F.cross_entropy(output, target).numpy()[()])

    objective = ModelObjective(model, loss, inputs, targets)
    assert objective.path == "loop"
    assert objective.value_and_gradient is None
    points = around(objective, 6)
    expected = tutorial(model, F.cross_entropy, inputs, targets, points)
    if convert is not float and convert is not np.float32 and convert is not np.asarray:
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
    assert "nobody wrote this" in objective.reason
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
    assert objective.path == "vmap"
    for k in (1, 7):
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
    for case in (perceptron, reading):
        objective = ModelObjective(*make(case))
        points = around(objective, 6)
        points[1] = 1e39  # infinite in float32
        points[3] = np.nan
        values = objective(points)
        assert not np.isfinite(values[1])
        assert np.isnan(values[3])
        assert np.isfinite(values[[0, 2, 4, 5]]).all()
        gradients = objective.value_and_gradient(points)[1]
        assert np.isfinite(gradients[[0, 2, 4, 5]]).all()


INPUTS, TARGETS = normal(6, 3), normal(6, 2)


def penalised(model):
    weights = torch.cat([p.reshape(-1) for p in model.parameters()])
    return F.mse_loss(model(INPUTS), TARGETS) + 0.1 * weights.square().sum()


def test_a_closure_sees_the_candidates_weights():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    before = snapshot(model)
    objective = ModelObjective.from_function(model, penalised)
    assert objective.path == "vmap", objective.reason
    points = around(objective, 7)
    expected, gradients = [], []
    for point in points:
        fresh = copy.deepcopy(model)
        write(fresh, point)
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
    assert objective.path == "loop"
    assert objective.value_and_gradient is None
    assert len(set(objective(around(objective, 5)))) == 5


def test_a_closure_may_differentiate_inside():
    def physics(model):
        x = torch.linspace(0, 1, 10).reshape(-1, 1).requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        return (slope - 1.0).square().mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
    objective = ModelObjective.from_function(model, physics)
    points = around(objective, 6)
    expected = []
    for point in points:
        fresh = copy.deepcopy(model)
        write(fresh, point)
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
    points = around(objective, 7)
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

    inputs = {"a": normal(5, 3), "b": [normal(5, 3)]}
    objective = ModelObjective(Pair(), F.mse_loss, inputs, normal(5, 2), device="cpu")
    assert objective.path == "vmap"


@pytest.mark.parametrize("case", [perceptron, normalised_train, lstm], ids=lambda c: c.__name__)
def test_copies_and_pickles_give_equal_values(case):
    setup = make(case)
    objective = ModelObjective(*setup)
    points = around(objective, 6)
    expected = objective(points)
    gradients = objective.value_and_gradient(points)[1]
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        for _ in range(2):
            np.testing.assert_array_equal(other(points), expected)
        np.testing.assert_array_equal(other.value_and_gradient(points)[1], gradients)
        assert other.reason == objective.reason
        applied = other.apply(points[0])
        assert applied is not setup[0]
        np.testing.assert_array_equal(objective(points), expected)


def test_a_model_that_keeps_activations_can_still_be_copied():
    setup = Remembering(), F.mse_loss, normal(6, 3), normal(6, 2)
    objective = ModelObjective(*setup)
    assert objective.path == "loop"
    assert "Remembering.last" in objective.reason
    points = around(objective, 6)
    objective.value_and_gradient(points)
    np.testing.assert_array_equal(copy.deepcopy(objective)(points), objective(points))


def test_any_autograd_mode_of_the_caller_will_do():
    for case in (perceptron, lstm):
        objective = ModelObjective(*make(case))
        points = around(objective, 6)
        expected = objective.value_and_gradient(points)
        for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
            with mode():
                values, gradients = objective.value_and_gradient(points)
                np.testing.assert_array_equal(objective(points), expected[0])
            np.testing.assert_array_equal(values, expected[0])
            np.testing.assert_array_equal(gradients, expected[1])


def test_an_objective_made_in_inference_mode_works_outside():
    setup = make(perceptron)
    expected = ModelObjective(*setup)
    with torch.inference_mode():
        objective = ModelObjective(*setup)
    assert objective.reason == expected.reason
    points = around(objective, 6)
    np.testing.assert_array_equal(objective(points), expected(points))
    for ours, theirs in zip(
        objective.value_and_gradient(points), expected.value_and_gradient(points), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_threads_take_turns():
    objective = ModelObjective(*make(lstm))
    points = around(objective, 40)
    expected = objective(points)
    results = {}

    def work(part):
        results[part] = objective(points[part::4])

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part in range(4):
        np.testing.assert_array_equal(results[part], expected[part::4])


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


def test_bad_points_are_named():
    objective = ModelObjective(*make(article))
    for bad in (np.zeros(9), np.zeros((2, 11)), np.zeros((1, 2, 10)), 3.0):
        for method in (objective, objective.value_and_gradient):
            with pytest.raises(ValueError, match=r"points has shape.*\(k, 10\)"):
                method(bad)
    with pytest.raises(TypeError, match="points must hold real numbers"):
        objective(np.zeros((2, 10), dtype=complex))


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
