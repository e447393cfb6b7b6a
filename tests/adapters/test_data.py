import random
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from adapters.data import as_tensors, check_pair, collect, count, take


class Couple(NamedTuple):
    left: Any
    right: Any


class Movable:
    """Moves itself, as encodings of texts do."""

    place = None

    def to(self, device):
        moved = Movable()
        moved.place = device
        return moved


class Records:
    """A dataset of nested samples."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        row = torch.arange(3.0) + 10 * i
        return {"a": row, "b": (row + 1, Couple(row + 2, i))}, i


def pairs(n=10):
    return torch.arange(3.0 * n).reshape(n, 3), torch.arange(n)


def together(batches):
    return batches


def test_what_is_no_loader_is_returned_as_it_is():
    inputs, targets = object(), {"y": [1]}
    collected = collect(inputs, targets)
    assert collected[0] is inputs
    assert collected[1] is targets


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_a_loader_is_read_whole_and_in_order(batch_size):
    inputs, targets = pairs()
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=batch_size)
    collected = collect(loader, None)
    assert torch.equal(collected[0], inputs)
    assert torch.equal(collected[1], targets)


def test_a_shuffling_loader_keeps_its_order_and_its_pairs():
    inputs, targets = pairs(50)
    torch.manual_seed(3)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=8, shuffle=True)
    expected = torch.cat([batch[1] for batch in loader])
    torch.manual_seed(3)
    collected = collect(loader, None)
    assert torch.equal(collected[1], expected)
    assert not torch.equal(collected[1], targets)
    assert torch.equal(collected[0], inputs[expected])


@pytest.mark.parametrize("shuffle", [False, True])
def test_reading_leaves_the_random_state_alone(shuffle):
    class Noisy(TensorDataset):
        def __getitem__(self, i):
            return torch.randn(2), super().__getitem__(i)[1]

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    collect(DataLoader(Noisy(*pairs()), batch_size=4, shuffle=shuffle), None)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_a_loader_that_fails_leaves_the_random_state_alone():
    class Broken(TensorDataset):
        def __getitem__(self, i):
            raise OSError("disk")

    before = torch.get_rng_state()
    with pytest.raises(OSError, match="disk"):
        collect(DataLoader(Broken(*pairs()), shuffle=True), None)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_joined_through_structures():
    inputs, targets = collect(DataLoader(Records(), batch_size=3), None)
    rows = torch.stack([torch.arange(3.0) + 10 * i for i in range(7)])
    assert torch.equal(inputs["a"], rows)
    assert torch.equal(inputs["b"][0], rows + 1)
    assert torch.equal(inputs["b"][1].left, rows + 2)
    assert torch.equal(inputs["b"][1].right, torch.arange(7))
    assert torch.equal(targets, torch.arange(7))


def test_batches_of_arrays_and_of_nothing_are_joined():
    batches = [(np.ones((2, 3)), None), (np.zeros((1, 3)), None)]
    inputs, targets = collect(DataLoader(batches, batch_size=None, collate_fn=together), None)
    assert isinstance(inputs, np.ndarray)
    np.testing.assert_array_equal(inputs, [[1] * 3, [1] * 3, [0] * 3])
    assert targets is None


def test_a_stream_is_read_to_its_end():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([(torch.tensor([float(i)]), i) for i in range(5)])

    inputs, targets = collect(DataLoader(Stream(), batch_size=2), None)
    assert inputs.flatten().tolist() == targets.tolist() == [0, 1, 2, 3, 4]


def test_targets_beside_a_loader_are_refused():
    loader = DataLoader(TensorDataset(*pairs()))
    with pytest.raises(TypeError, match="targets must be None, not Tensor"):
        collect(loader, torch.ones(10))


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (TensorDataset(torch.ones(4, 2)), "pairs.*one is a list of 1"),
        (TensorDataset(*[torch.ones(4)] * 3), "pairs.*one is a list of 3"),
        (torch.ones(4, 2), "pairs.*one is a Tensor"),
        ([{"x": 1.0, "y": 2.0}] * 4, "pairs.*one is a dict of 2"),
    ],
)
def test_batches_that_are_no_pairs_are_named(samples, says):
    with pytest.raises(TypeError, match=says):
        collect(DataLoader(samples, batch_size=2), None)


@pytest.mark.parametrize(
    ("batches", "error", "says"),
    [
        ([], ValueError, "gives no batches"),
        ([(torch.ones(2, 3), None), (torch.ones(2, 4), None)], ValueError, r"\(2, 3\), \(2, 4\)"),
        ([(torch.tensor(1.0), None)] * 2, ValueError, r"shapes \[\(\)\]"),
        ([("ab", None), ("cd", None)], TypeError, "hold str, which cannot be joined"),
        ([(torch.ones(1), None), (torch.ones(1), torch.ones(1))], TypeError, "NoneType and Tensor"),
        ([({"a": torch.ones(1)}, None), ({"b": torch.ones(1)}, None)], ValueError, "one structure"),
        ([((torch.ones(1),), None), ((), None)], ValueError, "one structure"),
        ([((torch.ones(1),), None), (torch.ones(1), None)], ValueError, "one structure"),
    ],
)
def test_batches_that_do_not_fit_together_are_named(batches, error, says):
    with pytest.raises(error, match=says):
        collect(DataLoader(batches, batch_size=None, collate_fn=together), None)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", np.longdouble])
def test_floating_arrays_come_in_the_models_precision(precision, kind):
    array = np.arange(6, dtype=kind).reshape(2, 3)
    tensor = as_tensors(array, precision)
    assert tensor.dtype == precision
    np.testing.assert_array_equal(tensor.double().numpy(), array.astype(float))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("i4", torch.int64),
        (">i4", torch.int64),
        ("i8", torch.int64),
        ("i2", torch.int16),
        ("u1", torch.uint8),
        ("?", torch.bool),
        ("c8", torch.complex64),
    ],
)
def test_other_numbers_stay_what_they_are_but_for_int32(kind, expected):
    array = np.arange(4).astype(kind)
    tensor = as_tensors(array, torch.float32)
    assert tensor.dtype == expected
    assert tensor.tolist() == array.tolist()


def test_arrays_of_any_layout_are_copied():
    base = np.arange(12.0).reshape(3, 4)
    locked = base.copy()
    locked.flags.writeable = False
    for array in (base, base[::-1, ::2], base.T, locked, np.array(3.0), base[:0]):
        tensor = as_tensors(array, torch.float64)
        np.testing.assert_array_equal(tensor.numpy(), array)
        tensor.fill_(-1.0)
    assert base[0, 1] == 1.0


def test_tensors_and_other_things_are_left_as_they_are():
    kept = [torch.ones(2, dtype=torch.float16), "text", 3, None, object(), np.array(["a"])]
    for old, new in zip(kept, as_tensors(kept, torch.float32), strict=True):
        assert new is old
    for old, new in zip(kept, as_tensors(kept, torch.float32, "cpu"), strict=True):
        assert new is old


def test_what_can_move_is_moved_and_never_converted():
    packed = nn.utils.rnn.pack_sequence([torch.ones(2, 3), torch.ones(1, 3)])
    data = [torch.ones(2, dtype=torch.float16), np.ones(2), Movable(), packed]
    tensor, array, movable, sequence = as_tensors(data, torch.float32, "meta")
    assert (tensor.device.type, tensor.dtype) == ("meta", torch.float16)
    assert (array.device.type, array.dtype) == ("meta", torch.float32)
    assert movable.place == "meta"
    assert type(sequence) is type(packed)
    assert sequence.data.device.type == "meta"
    stayed = as_tensors(data, torch.float32)
    assert stayed[2] is data[2]
    assert stayed[3] is packed


def test_structures_are_kept():
    one = np.ones(1)
    counted = defaultdict(list, {"z": one, "a": one})
    data = {"t": (one, [one]), "n": Couple(one, "text"), "o": OrderedDict(b=one), "d": counted}
    made = as_tensors(data, torch.float32)
    assert type(made["t"]) is tuple
    assert type(made["t"][1]) is list
    assert type(made["n"]) is Couple
    assert made["n"].right == "text"
    assert type(made["o"]) is OrderedDict
    assert list(made["d"]) == ["z", "a"]
    assert made["d"].default_factory is list
    assert isinstance(made["t"][1][0], torch.Tensor)
    assert isinstance(made["d"]["a"], torch.Tensor)
    assert data["t"][0] is one
    assert counted["z"] is one


def test_samples_are_counted_through_structures():
    inputs = {"a": torch.ones(5, 2), "b": [np.ones(5), Couple(torch.ones(5, 1), None)]}
    assert count(inputs, torch.ones(5)) == 5
    assert count(inputs, None) == 5
    assert count(torch.ones(0, 2), np.ones(0)) == 0


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "says"),
    [
        (torch.ones(100, 2), torch.ones(90), ValueError, "inputs hold 100 samples, targets 90"),
        ((torch.ones(3), np.ones(4)), torch.ones(3), ValueError, "inputs hold 3 and 4 samples, ta"),
        ((torch.ones(3), torch.ones(4)), None, ValueError, "3 and 4 samples, targets none"),
        (torch.ones(3), torch.tensor(1.0), TypeError, "targets hold a tensor without axes"),
        (torch.ones(3), [1, 2, 3], TypeError, "targets hold something of type int"),
        (Movable(), torch.ones(3), TypeError, "inputs hold something of type Movable"),
        (None, [], TypeError, "no tensors"),
    ],
)
def test_what_has_no_count_of_samples_is_named(inputs, targets, error, says):
    with pytest.raises(error, match=f"{says}.*batch_size needs tensors whose first axis"):
        count(inputs, targets)


def test_rows_are_taken_of_every_tensor():
    rows = torch.tensor([4, 0, 4])
    data = {"a": torch.arange(10).reshape(5, 2), "b": Couple(np.arange(5), (None, "text"))}
    taken = take(data, rows)
    assert taken["a"].tolist() == [[8, 9], [0, 1], [8, 9]]
    assert taken["b"].left.tolist() == [4, 0, 4]
    assert taken["b"].right == (None, "text")
    taken["a"].fill_(-1)
    assert data["a"].min() == 0


def test_rows_of_all_samples_are_the_data():
    inputs, targets = pairs()
    assert torch.equal(take(inputs, torch.arange(10)), inputs)
    assert take((inputs, targets), torch.tensor([], dtype=torch.int64))[1].shape == (0,)


@pytest.mark.parametrize("kind", [torch.ones, np.ones])
def test_a_pair_of_different_lengths_is_refused(kind):
    with pytest.raises(ValueError, match=r"inputs hold 100 samples, targets 90; .*from_function"):
        check_pair(kind((100, 3)), torch.ones(90))


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (torch.ones(4, 2), torch.ones(4)),
        (torch.ones(4, 2), None),
        (torch.ones(4, 2), torch.tensor(1.0)),
        ((torch.ones(4),), torch.ones(3)),
        ({"x": torch.ones(4)}, [torch.ones(3)]),
        (Movable(), torch.ones(3)),
    ],
)
def test_pairs_that_fit_and_other_kinds_pass(inputs, targets):
    check_pair(inputs, targets)
