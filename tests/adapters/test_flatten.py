import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adapters import ParameterVector
from tests.adapters.cases import Tied


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2, bias=False))


def test_order_shapes_and_slices_are_those_of_named_parameters():
    model = network()
    vector = ParameterVector(model)
    assert vector.names == ("0.weight", "0.bias", "2.weight")
    assert vector.shapes == ((3, 4), (3,), (2, 3))
    assert vector.slices == {
        "0.weight": slice(0, 12),
        "0.bias": slice(12, 15),
        "2.weight": slice(15, 21),
    }
    assert vector.n == 21
    expected = np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters()])
    packed = vector.pack()
    assert packed.dtype == np.float64
    np.testing.assert_array_equal(packed, expected)


def test_packing_gives_a_fresh_array():
    model = network()
    vector = ParameterVector(model)
    vector.pack()[:] = 7.0
    assert not (vector.pack() == 7.0).any()


def test_assigning_keeps_storage_and_does_not_alias_the_callers_vector():
    model = network().double()
    vector = ParameterVector(model)
    before = [p.data_ptr() for p in model.parameters()]
    x = np.arange(21.0)
    vector.assign(x)
    x[:] = -1.0
    assert [p.data_ptr() for p in model.parameters()] == before
    np.testing.assert_array_equal(vector.pack(), np.arange(21.0))
    assert all(p.requires_grad and p.is_leaf and p.grad is None for p in model.parameters())


def test_unpacked_tensors_are_nobody_elses():
    model = network().double()
    vector = ParameterVector(model)
    x = np.arange(21.0)
    for tensors in (vector.unpack(x), vector.unpack_batch(x[None])):
        for tensor in tensors.values():
            tensor.fill_(5.0)
    np.testing.assert_array_equal(x, np.arange(21.0))
    assert not (vector.pack() == 5.0).any()


def test_a_read_only_vector_is_welcome():
    x = np.arange(21.0)
    x.flags.writeable = False
    vector = ParameterVector(network())
    vector.assign(x)
    np.testing.assert_array_equal(vector.pack(), x)


def test_a_batch_is_its_rows():
    vector = ParameterVector(network())
    points = np.random.default_rng(0).standard_normal((5, vector.n))
    batch = vector.unpack_batch(points)
    for k, point in enumerate(points):
        for name, tensor in vector.unpack(point).items():
            assert torch.equal(batch[name][k], tensor)
            assert batch[name].shape == (5, *tensor.shape)
    assert vector.unpack_batch(np.empty((0, vector.n)))["0.bias"].shape == (0, 3)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_the_round_trip_is_exact(data):
    kind = data.draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
    shapes = data.draw(
        st.lists(st.lists(st.integers(1, 4), max_size=4).map(tuple), min_size=1, max_size=5)
    )
    model = nn.ParameterList([nn.Parameter(torch.zeros(shape, dtype=kind)) for shape in shapes])
    vector = ParameterVector(model)
    largest = float(torch.finfo(kind).max)
    drawn = data.draw(
        st.lists(
            st.floats(-largest, largest, allow_nan=False), min_size=vector.n, max_size=vector.n
        )
    )
    x = torch.tensor(drawn, dtype=torch.float64).to(kind).double().numpy()
    x = np.where(np.isfinite(x), x, 0.0)
    vector.assign(x)
    np.testing.assert_array_equal(vector.pack(), x)
    for name, tensor in vector.unpack(x).items():
        assert tensor.dtype == kind
        assert torch.equal(tensor, model.get_parameter(name).detach())
    assert vector.shapes == tuple(shapes)


def test_mixed_dtypes_keep_their_own():
    model = nn.Sequential(nn.Linear(2, 2).double(), nn.Linear(2, 2), nn.Linear(2, 2).bfloat16())
    vector = ParameterVector(model)
    before = copy.deepcopy(model.state_dict())
    x = vector.pack()
    vector.assign(np.zeros(vector.n))
    vector.assign(x)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
    assert vector.dtype == np.float16
    assert ParameterVector(model, "1.*").dtype == np.float32
    assert ParameterVector(model, "0.*").dtype == np.float64


def test_channels_last_stays_channels_last_and_the_vector_row_major():
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, 2)
    model = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    vector = ParameterVector(model)
    np.testing.assert_array_equal(vector.pack(), ParameterVector(plain).pack())
    strides = model.weight.stride()
    assert strides != plain.weight.stride()
    assert vector.unpack(vector.pack())["weight"].stride() == strides
    batch = vector.unpack_batch(vector.pack()[None].repeat(3, 0))["weight"]
    assert batch[1].stride() == strides
    assert torch.equal(batch[2], model.weight)
    vector.assign(vector.pack() + 1.0)
    assert model.weight.stride() == strides
    torch.testing.assert_close(model.weight, plain.weight + 1.0)


def test_tied_weights_appear_once():
    model = Tied()
    vector = ParameterVector(model)
    assert vector.names == ("inner.weight", "outer.bias")
    vector.assign(np.arange(12.0))
    assert model.outer.weight is model.inner.weight
    assert model.outer.weight[1, 1] == 4.0


def test_frozen_parameters_are_left_out_unless_chosen():
    model = network()
    model[0].requires_grad_(False)
    assert ParameterVector(model).names == ("2.weight",)
    assert ParameterVector(model, "*").names == ("0.weight", "0.bias", "2.weight")


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("0.*", ("0.weight", "0.bias")),
        (["2.*", "*.bias"], ("0.bias", "2.weight")),
        (lambda name, parameter: parameter.dim() == 1, ("0.bias",)),
    ],
)
def test_selection(select, names):
    assert ParameterVector(network(), select).names == names


def test_selection_by_module():
    model = network()
    assert ParameterVector(model, model[2]).names == ("2.weight",)
    assert ParameterVector(model, [model[2], "0.bias"]).names == ("0.bias", "2.weight")


def test_a_tied_weight_can_be_chosen_by_any_of_its_names():
    assert ParameterVector(Tied(), "outer.weight").names == ("inner.weight",)


@pytest.mark.parametrize("select", ["nope*", ["0.*", "nope*"], lambda name, parameter: False, []])
def test_an_empty_selection_lists_the_names(select):
    with pytest.raises(ValueError, match=r"0\.weight.*0\.bias.*2\.weight"):
        ParameterVector(network(), select)


def test_nothing_free_is_an_error():
    with pytest.raises(ValueError, match="requires gradients"):
        ParameterVector(network().requires_grad_(False))
    with pytest.raises(ValueError, match="no parameters"):
        ParameterVector(nn.ReLU())


@pytest.mark.parametrize("bad", [np.zeros(20), np.zeros((1, 21)), np.full(21, np.nan), np.inf])
def test_a_wrong_vector_is_named(bad):
    vector = ParameterVector(network())
    for method in (vector.unpack, vector.assign):
        with pytest.raises(ValueError, match="vector"):
            method(bad)


def test_wrong_points_are_named():
    vector = ParameterVector(network())
    for bad in (np.zeros(21), np.zeros((2, 20)), np.full((2, 21), np.inf)):
        with pytest.raises(ValueError, match="points"):
            vector.unpack_batch(bad)
    with pytest.raises(TypeError, match="points must hold real numbers"):
        vector.unpack_batch(np.zeros((2, 21), dtype=complex))


def test_a_wrong_vector_leaves_the_model_alone():
    model = network()
    vector = ParameterVector(model)
    before = vector.pack()
    with pytest.raises(ValueError, match=r"vector\[20\] is nan"):
        vector.assign([*range(20), np.nan])
    np.testing.assert_array_equal(vector.pack(), before)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="model must be"):
        ParameterVector([1, 2])
    with pytest.raises(TypeError, match="complex"):
        ParameterVector(nn.Linear(2, 2, dtype=torch.complex64))
    with pytest.raises(TypeError, match="select"):
        ParameterVector(network(), [3])


def test_a_lazy_model_is_refused_until_it_has_run():
    with pytest.raises(ValueError, match="run the model once"):
        ParameterVector(nn.Sequential(nn.LazyLinear(3)))
