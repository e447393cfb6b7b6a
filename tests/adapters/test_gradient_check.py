import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters.flatten import ParameterVector
from adapters.gradient_check import check_gradient
from tests.adapters.cases import (
    BATCHED,
    classes,
    convolution,
    gru,
    make,
    normal,
    normalised_train,
    perceptron,
)


def check(model, closure, spoil=None):
    """Check the gradient of closure(model), spoilt or as autograd has it."""
    vector = ParameterVector(model)
    x = vector.pack()
    free = [dict(model.named_parameters())[name] for name in vector.names]

    def value(points):
        losses = np.empty(len(points))
        with torch.no_grad():
            for row, point in enumerate(points):
                vector.assign(point)
                losses[row] = closure(model).item()
        return losses

    def gradient(points):
        (point,) = points
        vector.assign(point)
        loss = closure(model)
        parts = [torch.zeros_like(p) for p in free]
        if loss.requires_grad:
            parts = torch.autograd.grad(loss, free, allow_unused=True, materialize_grads=True)
        slopes = torch.cat([part.reshape(-1).double() for part in parts])[None].numpy().copy()
        if spoil is not None:
            name, factor = spoil
            slopes[:, vector.slices[name]] *= factor
        return np.array([loss.item()]), slopes

    return check_gradient(value, gradient, x, vector.slices, torch.finfo(vector.precision).eps)


def supervised(case, dtype=None):
    model, loss, inputs, targets = make(case)
    if dtype is not None:
        model, inputs = model.to(dtype), inputs.to(dtype)
    return model, lambda m: loss(m(inputs), targets)


def smooth(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    inputs, targets = normal(30, 4).to(dtype), normal(30, 3).to(dtype)
    return model, lambda m: F.mse_loss(m(inputs), targets)


def hidden(step, dtype):
    """A network with a step of its own between its layers."""
    torch.manual_seed(0)
    model = nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 3)]).to(dtype)
    inputs, targets = normal(30, 4).to(dtype), normal(30, 3).to(dtype)
    return model, lambda m: F.mse_loss(m[1](step(m[0](inputs))), targets)


def scalar(weight, function, dtype=torch.float64):
    model = nn.ParameterList([nn.Parameter(torch.tensor(weight, dtype=dtype))])
    return model, lambda m: function(m[0])


def verdicts(checked):
    return {row.name: row.verdict for row in checked.rows}


@pytest.mark.parametrize("case", [*BATCHED, gru])
def test_a_right_gradient_holds(case):
    checked = check(*supervised(case))
    assert checked, str(checked)
    assert "agrees" in verdicts(checked).values()


@pytest.mark.parametrize("case", [perceptron, convolution, normalised_train])
def test_in_double_precision_it_holds_to_many_digits(case):
    model, loss, inputs, targets = make(case)
    inputs = inputs.double()
    targets = targets.double() if targets.is_floating_point() else targets
    checked = check(model.double(), lambda m: loss(m(inputs), targets))
    assert checked, str(checked)
    assert checked.worst < 1e-5
    assert verdicts(checked)["all together"] == "agrees"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0])
@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_a_wrong_tensor_is_found_and_named(dtype, factor, name):
    checked = check(*smooth(dtype), spoil=(name, factor))
    assert not checked
    expected = "zero by autograd" if factor == 0 else "differs"
    found = verdicts(checked)
    assert found.pop(name) == expected
    found.pop("all together")
    assert set(found.values()) == {"agrees"}
    assert checked.worst >= 0.009
    assert expected in str(checked)


def test_a_wrong_convolution_is_found():
    checked = check(*supervised(convolution, torch.float64), spoil=("0.weight", 1.01))
    assert verdicts(checked)["0.weight"] == "differs"


def test_rows_missing_from_a_tensors_gradient_are_found():
    def rest(layer, inputs):
        weight = torch.cat([layer.weight[:4], layer.weight[4:].detach()])
        return torch.tanh(F.linear(inputs, weight, layer.bias))

    model, _ = smooth(torch.float64)
    inputs = normal(30, 4).double()
    checked = check(model, lambda m: m[2](rest(m[0], inputs)).square().mean())
    assert verdicts(checked)["0.weight"] == "differs"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rounding_is_told_as_jumps(dtype):
    checked = check(*hidden(lambda h: (4 * h).round() / 4, dtype))
    found = verdicts(checked)
    assert not checked
    assert found["0.weight"] == found["0.bias"] == "jumps"
    assert found["1.weight"] == found["1.bias"] == "agrees"
    assert "step without derivative (round" in str(checked)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_straight_through_gradient_does_not_pass(dtype):
    checked = check(*hidden(lambda h: h + (h.round() - h).detach(), dtype))
    assert not checked
    assert verdicts(checked)["0.weight"] == "jumps"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_share_of_wrong_answers_has_no_gradient(dtype):
    model, _ = smooth(dtype)
    inputs, labels = normal(30, 4).to(dtype), classes(30, 3)
    checked = check(model, lambda m: (m(inputs).argmax(1) != labels).to(dtype).mean())
    assert not checked
    assert verdicts(checked)["all together"] == "jumps"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_is_detached_is_told(dtype):
    checked = check(*hidden(lambda h: torch.tanh(h.detach()), dtype))
    found = verdicts(checked)
    assert found["0.weight"] == found["0.bias"] == "zero by autograd"
    assert found["1.weight"] == "agrees"
    assert "detach()" in str(checked)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_relu_at_zero_is_a_kink(dtype):
    checked = check(*scalar(0.0, lambda w: torch.relu(w) + 1, dtype))
    assert not checked
    assert verdicts(checked)["0"] == "kink"
    assert "relu has at 0" in str(checked)
    assert check(*scalar(1.0, lambda w: torch.relu(w) + 1, dtype))


def test_at_the_tip_of_a_valley_no_slope_is_right():
    assert verdicts(check(*scalar(0.0, torch.abs)))["0"] == "zero in both"


def test_kinks_that_autograd_adds_up_wrongly_are_found():
    checked = check(*scalar(0.0, lambda w: torch.relu(w) - torch.relu(-w)))  # the identity
    assert verdicts(checked)["0"] == "zero by autograd"


def test_no_kink_excuses_a_slope_outside_its_sides():
    checked = check(*scalar(0.0, lambda w: torch.relu(w) + 3 * w), spoil=("0", -1.0))
    assert verdicts(checked)["0"] == "differs"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_has_no_part_in_the_loss_passes(dtype):
    model, closure = smooth(dtype)
    model.register_parameter("unused", nn.Parameter(torch.ones(3, dtype=dtype)))
    model.register_parameter("empty", nn.Parameter(torch.ones(0, dtype=dtype)))
    checked = check(model, closure)
    assert checked
    assert verdicts(checked)["unused"] == "zero in both"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1e-20, 1e-5, 1e5, 1e20])
def test_the_scale_of_the_loss_does_not_matter(dtype, scale):
    model, closure = smooth(dtype)
    plain = verdicts(check(model, closure))
    assert verdicts(check(*smooth(dtype)[:1], lambda m: closure(m) * scale)) == plain
    spoilt = check(smooth(dtype)[0], lambda m: closure(m) * scale, spoil=("0.weight", 1.01))
    assert verdicts(spoilt)["0.weight"] == "differs"


def test_slopes_below_the_rounding_of_the_loss_are_no_alarm():
    model, closure = smooth(torch.float32)
    checked = check(model, lambda m: closure(m) + 1e6)
    assert checked
    assert set(verdicts(checked).values()) == {"lost in rounding"}
    assert "Nothing speaks against" in str(checked)
    assert check(*smooth(torch.float16))
    assert check(*smooth(torch.bfloat16))


def test_the_bottom_of_a_valley_is_no_alarm():
    model, _ = smooth(torch.float32)
    inputs = normal(30, 4)
    targets = model(inputs).detach()
    assert check(model, lambda m: F.mse_loss(m(inputs), targets))


def quadratic(n, factors=1.0):
    """A loss whose value and gradient are known, and a count of what it was asked."""
    curvature = np.linspace(1.0, 2.0, n)
    asked = []

    def value(points):
        asked.append(points.shape)
        return 0.5 * (points**2 @ curvature)

    def gradient(points):
        return value(points), points * curvature * factors

    return value, gradient, asked


def test_a_hundred_thousand_weights_take_few_batches():
    n = 100_000
    slices = {"a": slice(0, 60_000), "b": slice(60_000, 99_000), "c": slice(99_000, n)}
    x = np.random.default_rng(0).standard_normal(n)
    value, gradient, asked = quadratic(n)
    checked = check_gradient(value, gradient, x, slices, 2**-52)
    assert set(verdicts(checked).values()) == {"agrees"}
    assert len(asked) <= 8
    assert sum(rows for rows, _ in asked) < 100
    assert max(rows * width for rows, width in asked) <= 2**23
    factors = np.ones(n)
    factors[slices["c"]] = 1.01
    spoilt = check_gradient(*quadratic(n, factors)[:2], x, slices, 2**-52)
    assert [row.verdict for row in spoilt.rows[:3]] == ["agrees", "agrees", "differs"]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_points_are_numbers_that_the_model_can_hold(kind):
    seen = []

    def value(points):
        seen.append(points)
        return np.sum(points**2, axis=1)

    x = np.random.default_rng(0).standard_normal(50)
    precision = float(np.finfo(kind).eps)
    check_gradient(value, lambda p: (value(p), 2 * p), x, {"w": slice(0, 50)}, precision)
    every = np.concatenate(seen)
    np.testing.assert_array_equal(every.astype(kind).astype(float), every)
    np.testing.assert_array_equal(every[0], x.astype(kind))


def test_a_loss_that_is_finite_only_near_x_is_checked_there():
    def value(points):
        far = np.abs(points[:, 0] - 1.0) > 1e-5
        return np.where(far, np.inf, np.sum(np.sin(points), axis=1))

    checked = check_gradient(
        value, lambda p: (value(p), np.cos(p)), np.ones(4), {"w": slice(0, 4)}, 2**-52
    )
    assert verdicts(checked)["w"] == "agrees"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_told(broken):
    value, gradient, _ = quadratic(6)

    def spoilt(points):
        values, slopes = gradient(points)
        slopes[:, 1] = broken
        return values, slopes

    parts = {"a": slice(0, 3), "b": slice(3, 6)}
    checked = check_gradient(value, spoilt, np.ones(6), parts, 2**-52)
    assert not checked
    assert verdicts(checked) == {"a": "not finite", "b": "agrees", "all together": "not finite"}


def test_wrong_points_are_named_before_anything_is_evaluated():
    value, gradient, asked = quadratic(3)
    parts = {"w": slice(0, 3)}
    with pytest.raises(ValueError, match=r"x has shape \(2,\)"):
        check_gradient(value, gradient, np.ones(2), parts, 2**-52)
    with pytest.raises(ValueError, match=r"x must be finite; x\[1\]"):
        check_gradient(value, gradient, [0.0, np.nan, 1.0], parts, 2**-52)
    assert not asked
    with pytest.raises(ValueError, match="the loss at x is nan"):
        check_gradient(lambda p: np.full(len(p), np.nan), gradient, np.ones(3), parts, 2**-52)


def test_the_same_check_gives_the_same_report_and_draws_nothing():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    model, closure = smooth(torch.float32)
    torch.set_rng_state(before[0])
    first = check(model, closure)
    assert first == check(smooth(torch.float32)[0], closure)
    torch.set_rng_state(before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_the_report_is_an_aligned_table_in_plain_words():
    checked = check(*smooth(torch.float32), spoil=("2.bias", 2.0))
    lines = str(checked).splitlines()
    assert lines[0].startswith("The gradient does not hold: 3 of 4 tensors agree")
    table = lines[2:8]
    starts = {len(line) - len(line.split("  ")[-1].strip()) for line in table}
    assert len(starts) == 1
    assert [line.split()[0] for line in table[1:5]] == [row.name for row in checked.rows[:4]]
    assert "float64" in lines[-1]
    right = check(*smooth(torch.float64))
    assert str(right).startswith("The gradient holds: 4 of 4")
    assert "float64" not in str(right)
    assert repr(right.ok) == "True"


def test_a_long_report_shows_first_what_does_not_agree():
    value, gradient, _ = quadratic(100, np.where(np.arange(100) == 90, 2.0, 1.0))
    parts = {f"w{i}": slice(i, i + 1) for i in range(100)}
    report = str(check_gradient(value, gradient, np.ones(100), parts, 2**-52)).splitlines()
    assert report[3].startswith("w90 ")
    assert "and 61 more" in report
