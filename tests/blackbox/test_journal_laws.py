"""Laws of every method, fifth part: a run that was killed goes on from its journal."""

import zlib

import numpy as np
import pytest

from blackbox import Optimizer, read_journal
from tests.blackbox.conftest import shifted_sphere, small_options

pytestmark = pytest.mark.usefixtures("frozen")
BUDGET = 60


class Killed(Exception):
    """What stands for a kill."""


class Mortal:
    """An objective that counts, and dies at an evaluation."""

    def __init__(self, last=None):
        self.last, self.count = last, 0

    def __call__(self, x):
        if self.count == self.last:
            raise Killed
        self.count += 1
        return shifted_sphere(x)


def same(first, second):
    """Whether two results are the same, bit for bit."""
    assert first.x.tobytes() == second.x.tobytes()
    names = ("fun", "nfev", "njev", "nit", "message", "success", "status", "seed", "method")
    assert [first[name] for name in names] == [second[name] for name in names]
    for name in ("evaluations", "gradients", "values", "violations"):
        assert np.array_equal(getattr(first.history, name), getattr(second.history, name))
    return True


def where_killed(row, share):
    """An evaluation at which to die, another one for each method."""
    return int(share * (BUDGET - 1)) - zlib.crc32(row.name.encode()) % 7


@pytest.mark.law(10)
@pytest.mark.parametrize("case", ["early", "late", "ask", "asks", "failures"])
def test_a_killed_run_goes_on_from_its_journal(row, case, opened, finish, search, tmp_path):
    if case in ("early", "late"):
        by_minimize(row, 0.2 if case == "early" else 0.9, search, tmp_path)
    else:
        rounds = {"ask": 1, "asks": 9, "failures": 4}[case]
        fun = shifted_sphere if case != "failures" else partly_failing
        by_asking(row, rounds, fun, opened, finish, tmp_path)


def partly_failing(x):
    return np.nan if x[1] > 0 else shifted_sphere(x)


def by_minimize(row, share, search, folder):
    path, settings = folder / "run.journal", {"budget": BUDGET, "options": small_options(row)}
    whole = search(row, Mortal(), **settings)
    before, after = Mortal(min(where_killed(row, share), whole.nfev - 1)), Mortal()
    with pytest.raises(Killed) as caught:
        search(row, before, journal=path, **settings)
    assert caught.value.result.nfev == before.count
    assert same(search(row, after, journal=path, **settings), whole)
    assert before.count + after.count == whole.nfev  # nothing is evaluated twice
    assert read_journal(path).evaluations == whole.nfev
    again = Mortal(0)
    assert same(search(row, again, journal=path, **settings), whole)  # a finished run comes back


def by_asking(row, rounds, fun, opened, finish, folder):
    path = folder / "killed.journal"
    whole = opened(row, budget=BUDGET)
    expected = finish(whole, fun)
    whole.close()
    run = opened(row, budget=BUDGET, journal=folder / "run.journal")
    seen = finish(run, fun, rounds=rounds)
    asked = None if run.stopped else run.ask()
    path.write_bytes((folder / "run.journal").read_bytes())  # what a kill would leave
    run.close()
    twin = Optimizer.restore(path)
    assert twin.evaluations == sum(map(len, seen))
    if asked is not None:
        assert np.array_equal(twin.ask(), asked)  # in flight: it is given out again
    seen += finish(twin, fun)
    twin.close()
    assert len(seen) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=True))
    assert (twin.reason, twin.success) == (whole.reason, whole.success)
    assert np.array_equal(twin.best_x, whole.best_x)
    assert np.array_equal(twin.history.values, whole.history.values)
    past = read_journal(path)
    assert (past.evaluations, past.reason) == (whole.evaluations, whole.reason)
