"""Journals from strangers: whatever they hold is read or refused, and nothing is executed."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import JournalError, Optimizer, minimize, read_journal
from blackbox.journal import Journal
from tests.blackbox.test_journal import line


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


HEADER = {
    "journal": 1,
    "method": "cma",
    "options": {},
    "n": 2,
    "seed": 1,
    "made with": {},
}
BATCH = {"k": "values", "h": "0", "t": 0.1, "y": [1.0]}
HOSTILE = [
    {"y": [10**400]},
    {"y": ["__import__('os').abort()"]},
    {"y": "123"},
    {"y": []},
    {"y": [None]},
    {"y": [[1.0]]},
    {"y": {"real": [1.0]}},
    {"y": {"real": [1.0], "imag": [1.0, 2.0, 3.0]}},
    {"t": "x"},
    {"t": 1e999},
    {"t": 10**400},
    {"t": None},
    {"k": "pickle"},
    {"k": ["values"]},
    {"h": 3},
    {"x": 3},
    {"x": "\ud800"},
    {"x": "AAAA"},
    {"x": base64.b64encode(b"\0" * 24).decode()},
    {"x": base64.b64encode(b"\0" * 160).decode()},
    {"i": 0},
    {"i": -1, "x": base64.b64encode(b"\0" * 16).decode()},
    {"i": True, "x": base64.b64encode(b"\0" * 16).decode()},
    {"g": base64.b64encode(b"\0" * 32).decode()},
    {"f": []},
    {"f": {"0": 1}},
    {"f": {"x": ["raised", ""]}},
    {"f": {"0": ["pickle", ""]}},
    {"f": {"-1": ["raised", ""]}},
    {"g": {"__reduce__": ["os.system", "true"]}},
]


@pytest.mark.parametrize("part", HOSTILE, ids=lambda part: repr(part)[:30])
def test_lines_that_make_no_sense_are_refused(path, part):
    path.write_bytes(line(HEADER) + line(BATCH) + line(BATCH | part))
    past = read_journal(path)
    assert (past.evaluations, past.batches) == (1, 1)
    assert "line 3 makes no sense" in past.damage


@pytest.mark.parametrize(
    "text",
    [b"[" * 100_000, b'{"k":' * 100_000, b"NaN", b"[1]", b"\xff", b"1" * 5000, b'{"k":NaN}', b"{}"],
    ids=lambda text: repr(text[:10]),
)
def test_json_that_is_none_is_refused(path, text):
    path.write_bytes(line(HEADER) + b"%08x %b\n" % (zlib.crc32(text), text))
    assert "line 2 makes no sense" in read_journal(path).damage
    path.write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    for use in (read_journal, Journal, Optimizer.restore):
        with pytest.raises(JournalError, match=r"line 1 makes no sense|no journal"):
            use(path)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None, True, 10**13, 10**400])
def test_headers_that_make_no_sense_are_refused(path, n):
    path.write_bytes(line(HEADER | {"n": n}))
    with pytest.raises(JournalError, match="line 1 makes no sense"):
        read_journal(path)
    path.write_bytes(line(HEADER) + line(BATCH))  # whole, but not all that a run needs
    with pytest.raises(JournalError, match="line 1 makes no sense"):
        Optimizer.restore(path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from(list("khtyxigf")), PLAIN)


def attack(path, data):
    path.write_bytes(data)
    try:
        past = read_journal(path)
    except JournalError:
        return
    assert past.points.shape == (len(past.values), past.header["n"])
    assert str(past)
    json.dumps(past.summary())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.lists(FIELDS, max_size=3))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, parts):
    path = tmp_path_factory.getbasetemp() / "any.journal"
    attack(path, data)
    lines = [line(HEADER)] + [line(BATCH | part) for part in parts]
    attack(path, b"".join(lines) + data)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(st.binary(max_size=400), st.lists(FIELDS, max_size=4), st.dictionaries(st.text(), PLAIN))
def test_any_bytes_at_all_are_read_or_refused(tmp_path_factory, data, parts, header):
    path = tmp_path_factory.getbasetemp() / "any.journal"
    attack(path, data)
    for first in (HEADER, HEADER | header):
        lines = [line(first)] + [line(BATCH | part) for part in parts]
        attack(path, b"".join(lines) + data)


def fails_now_and_then(x):
    if x[0] > 1:
        raise ValueError("beyond")
    return np.nan if x[1] > 1 else float(x @ x)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Journals of real runs, to begin a search for faults from: their lines without checksums."""
    path = tmp_path_factory.mktemp("seeds") / "run.journal"
    plain = {"bounds": [(-2, 2)] * 2, "seed": 1, "budget": 24, "on_error": "penalize"}
    kinds = [
        {"method": "cma"},
        {"method": "l-bfgs-b", "jac": lambda x: 2 * x},
        {"method": "pso", "validation": fails_now_and_then, "validate_every": 2},
        {"method": "random", "noisy": True},
    ]
    found = []
    for kind in kinds:
        minimize(fails_now_and_then, [0.5, 0.5], journal=path, **plain | kind)
        found.append([each[9:] for each in path.read_bytes().splitlines()])
        path.unlink()
    return found


NEW = st.binary(max_size=6) | st.sampled_from(
    [b"null", b"1e999", b"-1", b"[]", b"{}", b'""', b"true", b"NaN", b'"k"', b",", b"9" * 400]
)
CHANGES = st.tuples(*[st.integers(0, 10**6)] * 3, NEW)


def fuzz(path, lines, changes):
    """Change, swap and cut real lines, and give each a checksum that fits."""
    lines = list(lines)
    for number, begin, length, new in changes:
        at = number % len(lines)
        begin %= len(lines[at]) + 1
        if length % 5 == 0:
            lines[at], lines[begin % len(lines)] = lines[begin % len(lines)], lines[at]
        else:
            lines[at] = lines[at][:begin] + new + lines[at][begin + length % 12 :]
    attack(path, b"".join(b"%08x %b\n" % (zlib.crc32(text), text) for text in lines))


@pytest.mark.parametrize("examples", [50, pytest.param(3000, marks=pytest.mark.slow)])
def test_changed_lines_of_real_runs_are_read_or_refused(tmp_path, seeds, examples):
    @settings(max_examples=examples, deadline=None)
    @given(st.sampled_from(seeds), st.lists(CHANGES, min_size=1, max_size=4))
    def search(lines, changes):
        fuzz(tmp_path / "any.journal", lines, changes)

    search()


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "os.abort"},
        {"optimizer": "os.abort", "arguments": {}},
        {"torch": {"optimizer": "os.abort"}, "cma": {}},
        {"refine": {"method": "torch", "optimizer": "os.abort"}},
    ],
)
def test_a_file_names_no_code_that_would_be_imported(path, options):
    method = "cma+torch" if "torch" in options else "cma" if "refine" in options else "torch"
    with Optimizer("cma", np.zeros(2), seed=1, journal=path):
        pass
    header = json.loads(path.read_bytes().splitlines()[0].partition(b" ")[2])
    path.write_bytes(line(header | {"method": method.split("+"), "options": options}))
    with pytest.raises(JournalError, match="code that optimizer= names"):
        Optimizer.restore(path)
