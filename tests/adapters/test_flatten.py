import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adapters import ParameterVector
from blackbox import minimize
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


KINDS = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
LAYERS = st.sampled_from(
    [
        lambda: nn.Linear(3, 2),
        lambda: nn.Linear(2, 2, bias=False),
        lambda: nn.Conv2d(2, 3, 2),
        lambda: nn.Conv2d(2, 3, 2).to(memory_format=torch.channels_last),
        lambda: nn.Embedding(3, 2),
        lambda: nn.LayerNorm(4),
        lambda: nn.GRU(2, 1),
        lambda: nn.PReLU(),
        lambda: nn.ParameterList([nn.Parameter(torch.zeros(()))]),
        Tied,
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_round_trip_is_exact(data):
    layers = data.draw(st.lists(LAYERS, min_size=1, max_size=4))
    model = nn.Sequential(*[make().to(data.draw(KINDS)) for make in layers])
    vector = ParameterVector(model)
    parameters = dict(model.named_parameters())
    x = vector.pack()
    for name, parameter in parameters.items():
        largest = float(torch.finfo(parameter.dtype).max)
        few = data.draw(st.lists(st.floats(-largest, largest), min_size=1, max_size=5))
        rounded = torch.tensor(few, dtype=torch.float64).to(parameter.dtype).double().numpy()
        x[vector.slices[name]] = np.resize(rounded, parameter.numel())
    forms = [(p.dtype, p.stride(), p.data_ptr()) for p in parameters.values()]
    vector.assign(x)
    np.testing.assert_array_equal(vector.pack(), x)
    assert [(p.dtype, p.stride(), p.data_ptr()) for p in parameters.values()] == forms
    for name, tensor in vector.unpack(x).items():
        assert torch.equal(tensor, parameters[name].detach())
        assert (tensor.dtype, tensor.stride()) == (
            parameters[name].dtype,
            parameters[name].stride(),
        )
        np.testing.assert_array_equal(tensor.double().numpy(), vector.read(x)[name])
    assert len(vector.names) == len({id(p) for p in model.parameters()})


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


def test_what_is_not_chosen_stays_untouched():
    model = network()
    model[0].weight.requires_grad_(False)
    weight, version = model[0].weight.detach().clone(), model[0].weight._version
    vector = ParameterVector(model)
    vector.assign(np.full(vector.n, 3.0))
    assert torch.equal(model[0].weight, weight)
    assert model[0].weight._version == version
    assert [p.requires_grad for p in model.parameters()] == [False, True, True]


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
    for wrong in ([3], 3):
        with pytest.raises(TypeError, match="select"):
            ParameterVector(network(), wrong)


def test_a_lazy_model_is_refused_until_it_has_run():
    with pytest.raises(ValueError, match="run the model once"):
        ParameterVector(nn.Sequential(nn.LazyLinear(3)))


def test_a_value_beyond_the_precision_is_refused_and_nothing_written():
    model = network().half()
    vector = ParameterVector(model)
    before = vector.pack()
    with pytest.raises(ValueError, match=r"1e\+06, beyond the range of '2.weight'"):
        vector.assign([*range(20), 1e6])
    np.testing.assert_array_equal(vector.pack(), before)


def test_a_vector_reads_by_layer():
    model = network()
    vector = ParameterVector(model)
    for name, array in vector.read(vector.pack()).items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, model.get_parameter(name).detach().double().numpy())
    assert tuple(vector.read(np.arange(21))) == vector.names
    with pytest.raises(ValueError, match=r"vector has shape \(20,\)"):
        vector.read(np.zeros(20))


def test_what_is_read_is_nobody_elses():
    vector = ParameterVector(network())
    x = np.arange(21.0)
    for array in vector.read(x).values():
        array[...] = -1.0
    np.testing.assert_array_equal(x, np.arange(21.0))
    assert not (vector.pack() == -1.0).any()


def test_bounds_go_by_group_and_the_last_that_matches_holds():
    vector = ParameterVector(network())
    box = vector.bounds({"0.*": (-3, 3), "*.bias": (-1, None), "2.*": (None, 2)})
    low, high = vector.read(box.lb), vector.read(box.ub)
    assert box.lb.shape == box.ub.shape == (21,)
    assert box.lb.dtype == box.ub.dtype == np.float64
    assert ((low["0.weight"] == -3) & (high["0.weight"] == 3)).all()
    assert ((low["0.bias"] == -1) & (high["0.bias"] == np.inf)).all()
    assert ((low["2.weight"] == -np.inf) & (high["2.weight"] == 2)).all()
    overruled = vector.bounds({"*.bias": (-1, 1), "*": (-np.inf, np.float32(5))})
    assert (overruled.lb == -np.inf).all()
    assert (overruled.ub == 5).all()


def test_where_no_group_speaks_there_is_no_bound():
    vector = ParameterVector(network())
    box = vector.bounds({"0.bias": (0, 0)})
    np.testing.assert_array_equal(np.isfinite(box.lb), np.isfinite(box.ub))
    assert np.flatnonzero(np.isfinite(box.lb)).tolist() == [12, 13, 14]


def test_a_tied_weight_is_bounded_under_any_of_its_names():
    vector = ParameterVector(Tied())
    by_second = vector.bounds({"outer.weight": (-1, 1)})
    by_first = vector.bounds({"inner.weight": (-1, 1)})
    np.testing.assert_array_equal(by_second.lb, by_first.lb)
    assert np.isfinite(by_second.lb).sum() == 9


def test_minimize_takes_the_box():
    vector = ParameterVector(network())
    box = vector.bounds({"*": (1, 2), "2.*": (3, None)})
    result = minimize(lambda x: float(x @ x), box.lb + 0.5, method="slsqp", bounds=box)
    np.testing.assert_allclose(result.x, box.lb, atol=1e-6)


@pytest.mark.parametrize(
    ("groups", "error", "says"),
    [
        ({"*": (-1, 1), "nope.*": (0, 1)}, ValueError, r"'nope.\*' matches no param.*0\.weight, 0"),
        ({"*.bias": (1, -1)}, ValueError, r"'\*\.bias'.*crossed: 1 > -1"),
        ({"*.bias": (np.nan, 1)}, ValueError, r"'\*\.bias'.*NaN"),
        ({"*.bias": (np.inf, None)}, ValueError, r"'\*\.bias'.*no finite point"),
        ({"*.bias": ("0", 1)}, TypeError, r"'\*\.bias'.*\(lower, upper\)"),
        ({"*.bias": "01"}, TypeError, r"'\*\.bias'.*\(lower, upper\)"),
        ({"*.bias": (0, 1, 2)}, TypeError, r"'\*\.bias'.*\(lower, upper\)"),
        ({"*.bias": 3}, TypeError, r"'\*\.bias'.*\(lower, upper\)"),
        ({3: (0, 1)}, TypeError, "globs over names as keys, not 3"),
        ({}, ValueError, "groups is empty"),
        ([("*", (0, 1))], TypeError, "groups must map.*list"),
        (None, TypeError, "groups must map.*NoneType"),
    ],
)
def test_wrong_groups_are_named(groups, error, says):
    with pytest.raises(error, match=says):
        ParameterVector(network()).bounds(groups)


def test_a_group_of_frozen_parameters_says_so():
    model = network()
    model[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"frozen .*\(0\.weight, 0\.bias\); free are 2\.weight"):
        ParameterVector(model).bounds({"0.*": (0, 1)})
