"""Results on disk: all of it comes back, nothing that is read is executed, nothing half is left."""

import contextlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult

from blackbox import Result, minimize
from experiments.storage.packing import unpack
from experiments.storage.store import FILE, Store, StoreError
from tests.blackbox.conftest import shifted_sphere

BOX = [(-5.0, 5.0)] * 2


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.result"


def found(**more):
    arguments = {"method": "cma", "bounds": BOX, "seed": 1, "budget": 60} | more
    return minimize(shifted_sphere, **arguments)


class Smooth:
    batched = True

    def __call__(self, points):
        return (points**2).sum(axis=1)

    def value_and_gradient(self, points):
        return self(points), 2 * points


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"method": "l-bfgs-b"},
        {"method": "nelder-mead", "x0": [[1, 1], [2, 2]]},
        {"method": "trust-constr", "constraints": {"type": "ineq", "fun": sum}},
        {"method": "shgo"},
        {"noisy": True},
        {"seed": np.random.default_rng(0)},
        {"validation": shifted_sphere, "validate_every": 2, "patience": 2},
    ],
    ids="+".join,
)
@pytest.mark.filterwarnings("ignore")
def test_all_of_a_result_comes_back(path, more):
    result = found(**{"x0": [1.0, 2.0]} | more)
    left_out = result.save(path)
    again = Result.load(path)
    assert isinstance(again, Result)
    assert again.keys() - {"left_out"} == result.keys() - set(left_out)
    assert again.get("left_out", []) == left_out
    assert again.x.tobytes() == result.x.tobytes()
    assert (again.fun, again.message, again.success) == (result.fun, result.message, result.success)
    ours, theirs = again.history, result.history
    assert repr(ours) == repr(theirs)
    for name in ("evaluations", "gradients", "seconds", "values", "violations"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert np.array_equal(ours.best_x, theirs.best_x)
    assert len(ours.trace) == len(theirs.trace)
    assert str(again.diagnose()) == str(result.diagnose())
    assert repr(again)
    for name, value in result.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            assert np.array_equal(again[name], value)


def test_a_training_comes_back_with_its_curves(path):
    result = minimize(Smooth(), np.ones(5), method="adam", budget=50, seed=0)
    assert result.save(path) == []
    ours, theirs = Result.load(path).history.trace, result.history.trace
    for name, column in vars(theirs.curves()).items():
        assert np.array_equal(getattr(ours.curves(), name), column, equal_nan=True), name


def test_what_cannot_be_stored_is_left_out_and_named(path):
    result = found()
    result["model"] = object()
    result["nested"] = {"fine": [1, (2.5, None)], "bad": lambda: 0}
    result["kept"] = {"a": [np.float64(2), (np.inf, None)], "b": OptimizeResult(x=np.ones(2))}
    assert result.save(path) == ["model", "nested"]
    again = Result.load(path)
    assert again.left_out == ["model", "nested"]
    assert again.kept["a"] == [2.0, (np.inf, None)]
    assert np.array_equal(again.kept["b"].x, np.ones(2))
    assert again.save(path) == []


def test_a_file_is_replaced_whole_or_not_at_all(path, monkeypatch):
    first, second = found(), found(seed=2)
    first.save(path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        second.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.undo()
    second.save(path)
    assert Result.load(path).fun == second.fun
    with pytest.raises(FileNotFoundError):
        first.save(path.parent / "none" / "run.result")


class Payload:
    """Makes a folder where its pickle is read."""

    def __init__(self, where):
        self.where = where

    def __reduce__(self):
        return os.mkdir, (str(self.where),)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def as_npy(value, **more):
    buffer = io.BytesIO()
    np.save(buffer, value, **more)
    return buffer.getvalue()


def said(content):
    return zipped(json=as_npy(np.frombuffer(json.dumps(content).encode(), np.uint8)))


def test_a_hostile_file_is_refused_and_executes_nothing(path, tmp_path):
    trap = tmp_path / "trap"
    objects = np.array([Payload(trap)], dtype=object)
    pickled = as_npy(objects, allow_pickle=True)
    state = {"class": "blackbox.history.History", "state": {"x": {"array": "bad"}}}
    fine = {"blackbox result": 1, "fields": {}, "left_out": []}
    files = [
        pickle.dumps(Payload(trap)),
        pickled,
        zipped(json=pickled),
        zipped(json=pickle.dumps(Payload(trap))),
        zipped(bad=pickled, json=as_npy(np.frombuffer(b"{}", np.uint8))),
        said(fine),
        said(fine | {"fields": {"history": state}}),
        said(fine | {"fields": {"history": {"class": "os.system", "state": {}}}}),
        said(fine | {"fields": {"history": {"class": "builtins.exec", "tuple": ["1"]}}}),
        said(fine | {"blackbox result": 2}),
        said([]),
        said(fine | {"fields": {"a": {"pickle": "gASV"}}}),
        zipped(json=as_npy(np.frombuffer(b"[" * 100_000, np.uint8))),
        b"",
        b"PK\3\4",
        as_npy(np.ones(9)),
    ]
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header = np.lib.format.magic(1, 0) + len(huge).to_bytes(2, "little") + huge
    files.append(zipped(json=header))
    for data in files:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="holds no result of minimize, or is damaged"):
            Result.load(path)
    assert not trap.exists()


def test_a_compressed_file_is_refused_before_it_swells(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("json.npy", as_npy(np.zeros(1 << 24, np.uint8)))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="compressed"):
        Result.load(path)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.integers(0, 10**6))
def test_damage_is_refused_or_does_no_harm(tmp_path_factory, place, flip, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.result"
    whole = path.with_name("whole.result")
    if not whole.exists():
        found().save(whole)
    data = bytearray(whole.read_bytes())
    data[place % len(data)] ^= flip
    for damaged in (bytes(data), bytes(data[: cut % len(data)])):
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):  # nothing else
            Result.load(path)


def test_the_store_of_comparisons_executes_nothing(tmp_path):
    trap = tmp_path / "trap"
    (tmp_path / FILE).write_bytes(pickle.dumps(Payload(trap)))
    with pytest.raises(StoreError):
        Store(tmp_path)
    pickled = as_npy(np.array([Payload(trap)], dtype=object), allow_pickle=True)
    names = ("x", "evaluations", "gradients", "seconds", "values")
    for blob in (pickle.dumps(Payload(trap)), pickled, zipped(**dict.fromkeys(names, pickled))):
        with pytest.raises((ValueError, pickle.UnpicklingError, IndexError)):
            unpack(blob)
    assert not trap.exists()
