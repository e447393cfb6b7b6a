import subprocess
import sys
import textwrap

import pytest

from experiments.storage import Store
from tests.experiments.storage.test_store import HERE, INFO, SETTINGS, cells, make_record

KEYS = [cell.key for cell in cells(3)]


@pytest.fixture
def two(tmp_path):
    with Store(tmp_path) as a, Store(tmp_path) as b:
        a.plan(cells(3), [INFO], SETTINGS)
        yield a, b


def test_no_two_take_the_same(two):
    a, b = two
    assert [a.claims.take(KEYS), b.claims.take(KEYS)] == KEYS[:2]
    assert b.claims.elsewhere(KEYS) == {KEYS[0]}
    assert a.claims.elsewhere(KEYS) == {KEYS[1]}


def test_what_is_finished_is_not_taken(two):
    a, b = two
    a.claims.take(KEYS)
    a.write(make_record(cells(1)[0]), HERE)
    assert a.claims.elsewhere(KEYS) == set()
    assert b.claims.take(KEYS) == KEYS[1]


def test_what_is_given_back_can_be_taken(two):
    a, b = two
    a.claims.take(KEYS)
    a.claims.release(KEYS[0])
    assert b.claims.take(KEYS) == KEYS[0]


def test_only_the_owner_gives_back(two):
    a, b = two
    a.claims.take(KEYS)
    b.claims.release(KEYS[0])
    assert b.claims.take(KEYS) == KEYS[1]


def test_nothing_left_is_none(two):
    a, b = two
    for key in KEYS:
        assert a.claims.take(KEYS) == key
    assert b.claims.take(KEYS) is None


def test_what_a_killed_process_had_taken_is_free_again(two, tmp_path):
    code = f"""
        import time
        from experiments.storage import Store
        store = Store({str(tmp_path)!r})
        print(store.claims.take({KEYS!r}), flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == KEYS[0]
        a, b = two
        assert a.claims.take(KEYS[:1]) is None
        process.kill()
    assert a.claims.take(KEYS[:1]) == KEYS[0]
    assert b.claims.take(KEYS[:1]) is None
    a.close()
    b.close()
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.sqlite"]
