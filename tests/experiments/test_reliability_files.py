"""Every file that is read, from a stranger: it is refused or taken as data, nothing is executed."""

import io
import json
import pickle
import sqlite3
import zipfile
import zlib
from contextlib import closing, suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from experiments import compare
from experiments.cli import main
from experiments.storage import FILE, Store, StoreError
from experiments.storage.packing import unpack
from tests.experiments import own

TRAP = "trap"
RUN = {"method": "cma", "bounds": [(-5, 5)] * 3, "seed": 1, "budget": 30}


class Payload:
    """Makes a folder where it is read by pickle."""

    def __reduce__(self):
        import os

        return os.mkdir, (TRAP,)


def payloads():
    pickles = [pickle.dumps(Payload(), protocol) for protocol in (0, 2, 5)]
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Payload()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(archive, "w") as file:  # as torch and numpy have it
        for name in ("json.npy", "x.npy", "archive/data.pkl"):
            file.writestr(name, array.getvalue() if name.endswith("npy") else pickles[1])
    texts = [
        f"__import__('os').mkdir({TRAP!r})",
        f"!!python/object/apply:os.mkdir [{TRAP!r}]",
        json.dumps({"py/reduce": [{"py/type": "os.mkdir"}, {"py/tuple": [TRAP]}]}),
        json.dumps({"class": "os.mkdir", "tuple": [TRAP], "state": {}, "items": [[TRAP, 1]]}),
    ]
    return [*pickles, array.getvalue(), archive.getvalue(), *(text.encode() for text in texts)]


@pytest.fixture
def nothing_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / TRAP).exists()


def test_the_payloads_are_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in payloads()[:3]:
        pickle.loads(data)
        (tmp_path / TRAP).rmdir()
    np.load(io.BytesIO(payloads()[3]), allow_pickle=True)
    assert (tmp_path / TRAP).exists()


def line(data):
    """A line of a journal, as the reader wants it."""
    return b"%08x %b\n" % (zlib.crc32(data), data)


def read_space(path):
    return pytest.importorskip("adapters.space.files").read_file(path)


READERS = {
    "journal": ("run.journal", read_journal, JournalError),
    "journal to restore": ("run.journal", Optimizer.restore, JournalError),
    "journal to go on": (
        "run.journal",
        lambda path: minimize(own.sphere, journal=path, **RUN),
        JournalError,
    ),
    "result": ("best.result", Result.load, ValueError),
    "store": (FILE, lambda path: Store(path.parent), StoreError),
    "space as TOML": ("space.toml", read_space, (ValueError, TypeError)),
    "space as JSON": ("space.json", read_space, (ValueError, TypeError)),
}


@pytest.mark.parametrize("reader", READERS)
def test_files_that_are_something_else_execute_nothing(reader, nothing_executed):
    name, read, refusal = READERS[reader]
    path = nothing_executed / name
    for data in payloads():
        for content in (data, line(data)):
            path.write_bytes(content)
            with pytest.raises(refusal):
                read(path)


def test_lines_of_a_journal_execute_nothing(nothing_executed):
    path = nothing_executed / "run.journal"
    minimize(own.sphere, journal=path, **RUN)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    fields = json.loads(lines[0][9:])
    for data in payloads():
        text = data.decode("latin-1")
        for key in fields:
            path.write_bytes(header + line(json.dumps(fields | {key: text}).encode()))
            past = read_journal(path)
            assert past.damage is not None or key == "h"  # a digest is any text
        path.write_bytes(header + line(data) + b"".join(lines))
        with pytest.raises(JournalError):
            minimize(own.sphere, journal=path, **RUN)
    assert main(["journal", "show", str(path)]) == 1


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    compare([own.sphere], ["random"], 1, 20, out=folder)
    return (folder / FILE).read_bytes()


def columns(path):
    """All columns of a store, but for its keys."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql > ''")]
        found = [
            (table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")
        ]
    keys = ("key", "id", "position", "environment", "name")
    return [each for each in found if each[1] not in keys]


def put(path, table, column, value):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))


def read_all(folder):
    with Store(folder, create=False) as store:
        return store.read(), store.cells(), store.settings(), store.environments(), store.values()


@pytest.mark.slow
def test_rows_of_a_store_execute_nothing(comparison, nothing_executed):
    path = nothing_executed / FILE
    path.write_bytes(comparison)
    assert len(read_all(path.parent)[0].records) == 1
    everything = columns(path)
    assert {("cells", "cell"), ("results", "arrays"), ("results", "report")} <= set(everything)
    for table, column in everything:
        for data in payloads():
            for value in (data, data.decode("latin-1")):
                path.write_bytes(comparison)
                put(path, table, column, value)
                with suppress(StoreError):  # some are texts like others
                    read_all(path.parent)
                    assert column not in ("arrays", "cell", "info")


VALUES = st.none() | st.integers(-9, 9) | st.floats() | st.text(max_size=9) | st.binary(max_size=50)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_row_of_a_store_is_read_or_refused(comparison, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed" / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(comparison)
    table, column = data.draw(st.sampled_from(columns(path)))
    json_like = st.recursive(VALUES.filter(lambda v: not isinstance(v, bytes)), st.lists)
    value = data.draw(VALUES | json_like.map(json.dumps))
    try:
        put(path, table, column, value)
    except (sqlite3.Error, OverflowError, UnicodeEncodeError):  # it does not even take it
        return
    with suppress(StoreError):  # nothing else
        read_all(path.parent)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4), st.integers(0, 10**6))
def test_any_arrays_of_a_record_are_read_or_refused(comparison, tmp_path_factory, place, new, cut):
    path = tmp_path_factory.getbasetemp() / "arrays" / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(comparison)
    with closing(sqlite3.connect(path)) as db:
        [(blob,)] = db.execute("SELECT arrays FROM results")
    place %= len(blob)
    for odd in (blob[:place] + new + blob[place + len(new) :], blob[: cut % len(blob)]):
        put(path, "results", "arrays", odd)
        try:
            read_all(path.parent)
        except StoreError:
            continue
        unpack(odd)  # it fits, then
