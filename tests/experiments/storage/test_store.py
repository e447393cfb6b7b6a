import io
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Training
from experiments.storage import FILE, Store, StoreError
from experiments.storage.packing import pack, unpack

INFO = ProblemInfo("sphere", 3, description="<b>round</b>", optimum=0.0)
SETTINGS = {"budget": 100, "restarts": True}
HERE = {"versions": {"python": "3"}, "machine": {"cores": 2}}


def make_record(cell: Cell, value: float = 1.5, training: bool = False) -> Record:
    curve = Curve(
        np.array([1, 4, 9]), np.array([0, 2, 3]), np.array([0.5, 1.0, 2.0]), np.array([9, 4, value])
    )
    steps = Training(
        np.array([1, 2]),
        np.array([0.5, 0.25]),
        np.array([2.0, 1.0]),
        gradients=np.array([1, 2]),
        seconds=np.array([0.25, 0.5]),
        rates=np.array([0.5, 0.5]),
        moves=np.array([np.nan, 1.0]),
        medians=np.full(2, np.nan),
        validated=np.array([2]),
        validated_gradients=np.array([1]),
        validation=np.array([4.0]),
    )
    return Record(
        cell,
        value,
        np.array([0.1, 0.2, 0.3]),
        evaluations=100,
        gradients=3,
        seconds=2.5,
        runs=2,
        curve=curve,
        message="it's over; DROP TABLE results",
        failures=7,
        violation=0.25,
        training=steps if training else None,
        report={"accuracy": 0.9},
        findings=("overfitting", "exploding") if training else (),
    )


def cells(count: int) -> list[Cell]:
    return [Cell("sphere", "cma", seed, 100) for seed in range(count)]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened:
        yield opened


def equal(a: Record, b: Record) -> bool:
    plain = a.plain() == b.plain() and a.cell == b.cell
    curves = all(np.array_equal(getattr(a.curve, n), getattr(b.curve, n)) for n in vars(a.curve))
    if a.training is None or b.training is None:
        return plain and curves and np.array_equal(a.x, b.x) and a.training is b.training
    steps = all(
        np.array_equal(getattr(a.training, n), getattr(b.training, n), equal_nan=True)
        for n in vars(a.training)
    )
    return plain and curves and steps and np.array_equal(a.x, b.x)


@pytest.mark.parametrize("training", [False, True])
def test_what_is_written_is_read_again(store, training):
    planned = cells(2)
    store.plan(planned, [INFO], SETTINGS)
    record = make_record(planned[1], training=training)
    store.write(record, HERE)
    found = store.read()
    assert found.problems == {"sphere": INFO}
    assert len(found.records) == 1
    assert equal(found.records[0], record)
    assert store.environments() == [HERE]
    assert store.settings() == SETTINGS
    assert store.values() == {planned[1].key: 1.5}


def test_what_earlier_versions_wrote_is_read(store):
    """They kept evaluations, losses and norms of steps, and nothing else of them."""
    (cell,) = cells(1)
    store.plan([cell], [INFO], SETTINGS)
    store.write(make_record(cell, training=True), HERE)
    buffer = io.BytesIO()
    with np.load(io.BytesIO(pack(make_record(cell, training=True)))) as arrays:
        old = ("x", "evaluations", "gradients", "seconds", "values", "steps", "losses", "norms")
        np.savez_compressed(buffer, **{name: arrays[name] for name in old})
    with store._db.transaction():
        store._db.do("UPDATE results SET arrays = ?", (buffer.getvalue(),))
    (record,) = store.read().records
    steps = record.training
    assert record.findings == ()
    np.testing.assert_array_equal(steps.evaluations, [1, 2])
    np.testing.assert_array_equal(steps.losses, [0.5, 0.25])
    np.testing.assert_array_equal(steps.gradients, [2, 3])  # of 3, evenly
    assert np.isnan([steps.rates, steps.moves, steps.spreads, steps.seconds]).all()
    assert len(steps.validation) == 0


def test_losses_beyond_single_precision_are_infinite_there(store):
    (cell,) = cells(1)
    huge = Training(np.array([1]), np.array([1e300]), np.array([np.nan]))
    training = unpack(pack(replace(make_record(cell), training=huge))).training
    assert training.losses.tolist() == [np.inf]


def test_a_setting_that_earlier_versions_did_not_have_is_another(store):
    store.plan(cells(1), [INFO], SETTINGS)
    with pytest.raises(StoreError, match=r"patience=null; this one has patience=5"):
        store.plan(cells(1), [INFO], SETTINGS | {"patience": 5})


def test_a_setting_that_is_not_given_any_more_is_another(store):
    store.plan(cells(1), [INFO], SETTINGS | {"patience": 5})
    with pytest.raises(StoreError, match=r"patience=5; this one has patience=null"):
        store.plan(cells(1), [INFO], SETTINGS)


def test_a_failed_cell_is_kept(store):
    (cell,) = cells(1)
    store.plan([cell], [INFO], SETTINGS)
    none = np.empty(0)
    store.write(Record(cell, np.inf, none, 0, 0, 0.0, 0, Curve.empty(), error="no box"), HERE)
    (record,) = store.read().records
    assert record.failed
    assert record.error == "no box"
    assert len(record.curve.values) == 0
    assert store.values() == {cell.key: np.inf}


def test_records_come_in_the_order_of_the_plan(store):
    planned = cells(5)
    store.plan(planned, [INFO], SETTINGS)
    for cell in reversed(planned):
        store.write(make_record(cell), HERE)
    assert [record.cell for record in store.read().records] == planned


def test_a_longer_plan_adds_to_what_is_there(store):
    store.plan(cells(2), [INFO], SETTINGS)
    store.write(make_record(cells(1)[0]), HERE)
    store.plan(cells(4), [INFO], SETTINGS)
    assert store.cells() == cells(4)
    assert len(store.values()) == 1


def test_other_settings_are_refused_and_nothing_changes(store):
    store.plan(cells(2), [INFO], SETTINGS)
    with pytest.raises(StoreError, match=r"budget=100.*this one has budget=200"):
        store.plan([Cell("other", "cma", 0, 200)], [INFO], SETTINGS | {"budget": 200})
    assert store.cells() == cells(2)
    assert store.settings() == SETTINGS


def test_another_version_of_a_problem_is_refused(store):
    store.plan(cells(1), [INFO], SETTINGS)
    changed = [replace(cell, fingerprint="2") for cell in cells(1)]
    with pytest.raises(StoreError, match="another version of sphere"):
        store.plan(changed, [INFO], SETTINGS)
    assert store.cells() == cells(1)


def test_what_is_forgotten_is_gone(store):
    store.plan(cells(2), [INFO], SETTINGS)
    for cell in cells(2):
        store.write(make_record(cell), HERE)
    store.forget([cells(1)[0].key])
    assert [record.cell.seed for record in store.read().records] == [1]


def test_there_is_one_file_after_all_are_closed(tmp_path):
    with Store(tmp_path) as first, Store(tmp_path) as second:
        first.plan(cells(3), [INFO], SETTINGS)
        key = second.claims.take([cell.key for cell in cells(3)])
        second.write(make_record(cells(3)[0]), HERE)
        assert key == cells(3)[0].key
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_folder_without_a_store_is_said(tmp_path):
    with pytest.raises(StoreError, match="there is no comparison in"):
        Store(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_and_kept(tmp_path):
    (tmp_path / FILE).write_text("something else, and rather long" * 40)
    with pytest.raises(StoreError, match="can't be read"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_text().startswith("something else")


def test_a_database_of_others_is_said_and_kept(tmp_path):
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    with pytest.raises(StoreError, match="no comparison"):
        Store(tmp_path)


def test_another_format_is_said(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match=r"format 99.*Nothing was changed"):
        Store(tmp_path)


def test_a_full_disk_is_said_and_nothing_is_lost(store):
    planned = cells(400)
    store.plan(planned, [INFO], SETTINGS)
    store.write(make_record(planned[0]), HERE)
    pages = store._db.one("PRAGMA page_count")
    store._db.one(f"PRAGMA max_page_count={pages + 2}")
    written = 1
    with pytest.raises(StoreError, match="disk is full"):  # noqa: PT012
        for cell in planned[1:]:
            store.write(make_record(cell), HERE)
            written += 1
    kept = store.read().records
    assert len(kept) == written
    assert all(equal(record, make_record(record.cell)) for record in kept)


def test_a_hostile_store_runs_nothing(store):
    (cell,) = cells(1)
    store.plan([cell], [INFO], SETTINGS)
    store.write(make_record(cell), HERE)
    with store._db.transaction():  # an object array is a pickle in disguise
        import io

        buffer = io.BytesIO()
        np.savez(buffer, x=np.array([print], dtype=object))
        store._db.do("UPDATE results SET arrays = ?", (buffer.getvalue(),))
    with pytest.raises(StoreError, match="damaged"):
        store.read()


@given(
    values=arrays(float, st.integers(0, 30), elements=st.floats(allow_nan=False)),
    counts=st.lists(st.integers(1, 10**12), min_size=30, max_size=30),
)
def test_packing_loses_nothing_but_digits_of_seconds(values, counts):
    spent = np.cumsum(np.array(counts[: len(values)], dtype=np.int64))
    curve = Curve(spent, spent // 2, spent / 1e6, values)
    record = Record(cells(1)[0], 0.0, values, 1, 0, 0.0, 1, curve)
    x, read, training, findings = unpack(pack(record))
    assert (training, findings) == (None, ())
    np.testing.assert_array_equal(x, values)
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_array_equal(read.evaluations, curve.evaluations)
    np.testing.assert_array_equal(read.gradients, curve.gradients)
    np.testing.assert_allclose(read.seconds, curve.seconds, rtol=1e-6)


def test_keys_are_the_same_in_every_process():
    code = (
        "from experiments.plan import Cell;"
        "print(Cell('bbob:f=1:n=2:i=1', 'cma:popsize=4', 3, 2000, fingerprint='1').key)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": str(i), "PYTHONPATH": "."},
        ).stdout.strip()
        for i in range(2)
    }
    assert told == {Cell("bbob:f=1:n=2:i=1", "cma:popsize=4", 3, 2000, fingerprint="1").key}
    assert told == {"9278db3b3d396c569ae962c2"}


def test_every_field_of_a_cell_counts():
    cell = Cell("p", "m", 1, 10)
    others = [
        replace(cell, problem="q"),
        replace(cell, method="n"),
        replace(cell, seed=2),
        replace(cell, budget=11),
        replace(cell, restarts=False),
        replace(cell, gradients=True),
        replace(cell, max_seconds=1.0),
        replace(cell, fingerprint="1"),
        replace(cell, validate_every=5),
        replace(cell, patience=5),
    ]
    assert len(others) == len(json.loads(json.dumps(vars(cell))))
    assert len({c.key for c in [cell, *others]}) == len(others) + 1
