"""Snapshots of the gradient rules in a chain: what came before them is replayed, in all rounds."""

import logging

import numpy as np
import pytest

from blackbox import minimize, read_journal
from blackbox.snapshot import snapshot_path
from tests.blackbox.test_journal_laws import Killed, same
from tests.blackbox.test_snapshots import START, Epochs, Mortal, be_eager


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    be_eager(monkeypatch)


SCALES = np.arange(1.0, 7.0)


class Bowl(Mortal):
    """So simple that all methods come to rest, and chains go several rounds."""

    blocks, n = ((2, 3),), 6

    def value_and_gradient(self, points):
        if self.count == self.last:
            raise Killed
        self.count += 1
        slopes = 2 * SCALES * points
        if self.nowhere is not None:
            slopes[points[:, 0] > self.nowhere] = np.nan
        return (SCALES * points**2).sum(axis=1), slopes

    def __call__(self, points):
        return self.value_and_gradient(points)[0]


class Troubled(Bowl):
    def __init__(self, last=None):
        super().__init__(last, nowhere=0.2)


METHODS = {
    "adam+l-bfgs-b": (140, {"adam": {"lr": 0.1}}),
    "cma+adam": (700, {"adam": {"lr": 1.0}}),
    "adam+sgd+l-bfgs-b": (140, {"adam": {"lr": 0.1}, "sgd": {"lr": 0.02, "momentum": 0.9}}),
    "cma+muon+lbfgs": (420, {"muon": {"lr": 0.1, "schedule": "cosine"}}),
}


def settings_of(method, **others):
    budget, options = METHODS[method]
    given = {"method": method, "budget": budget, "options": options, "x0": START[0][:6], "seed": 1}
    return given | others


def files(path):
    return {each.name for each in path.parent.iterdir() if ".snapshot" in each.name}


def die_and_go_on(path, make, last, settings):
    """Run to the end; run, die and go on; give the first of them, and how often it computed."""
    first, rest, again = make(), make(), make()
    whole = minimize(first, **settings)
    with pytest.raises(Killed):
        minimize(make(last), journal=path, **settings)
    descents = len(files(path))
    assert same(minimize(rest, journal=path, **settings), whole)
    # Of each descent before, and of no other part, the last step is made again.
    assert rest.count <= first.count - last + descents
    assert same(minimize(again, journal=path, **settings), whole)
    assert again.count <= len(files(path))
    assert read_journal(path).evaluations == whole.nfev
    return whole, first.count


@pytest.mark.parametrize(
    ("method", "last"),
    [("adam+l-bfgs-b", 130), pytest.param("cma+adam", 150, marks=pytest.mark.slow)],
)
def test_chains_go_on(path, method, last):
    """In a part that was paused; in one after another that is replayed."""
    settings = settings_of(method)
    die_and_go_on(path, Bowl, last, settings)
    assert len(files(path)) >= (1 if method == "cma+adam" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("make", [Bowl, Troubled])
@pytest.mark.parametrize("method", METHODS)
def test_chains_go_on_wherever_they_were_killed(tmp_path, method, make):
    last, count = 0, 1
    while last < count:
        path = tmp_path / str(last) / "run.journal"
        path.parent.mkdir()
        _, count = die_and_go_on(path, make, last, settings_of(method))
        last += 1 + count // 6
    assert len(files(path)) >= (2 if make is Bowl else 1)


@pytest.mark.parametrize(
    ("method", "options", "last"),
    [
        ("cma+adam", {}, 16),
        pytest.param("adam+sgd", {"adam": {"accumulate": 3}}, 33, marks=pytest.mark.slow),
        pytest.param("adam+sgd", {"sgd": {"schedule": "linear"}}, 50, marks=pytest.mark.slow),
    ],
)
def test_chains_on_minibatches_go_on(path, method, options, last):
    settings = {"x0": START[0], "method": method, "seed": 1, "budget": 60, "options": options}
    whole = minimize(Epochs(), **settings)
    with pytest.raises(Killed):
        minimize(Epochs(last), journal=path, **settings)
    assert files(path)
    assert same(minimize(Epochs(), journal=path, **settings), whole)


def kill(path, last):
    with pytest.raises(Killed):
        minimize(Bowl(last), journal=path, **settings_of("adam+l-bfgs-b"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is left of a run in its second round."""
    path = tmp_path_factory.mktemp("kept") / "run.journal"
    with pytest.MonkeyPatch.context() as patch:
        be_eager(patch)
        kill(path, 130)
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


@pytest.fixture
def late(path, kept):
    for name, content in kept.items():
        path.with_name(name).write_bytes(content)
    assert "run.journal.snapshot2" in files(path)
    return path


@pytest.mark.slow
def test_more_may_be_allowed_in_the_first_part(path):
    kill(path, 40)
    settings, rest = settings_of("adam+l-bfgs-b", budget=200), Bowl()
    found = minimize(rest, journal=path, **settings)
    assert same(found, minimize(Bowl(), **settings))
    assert rest.count == found.nfev - 40


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_one_that_is_damaged_is_said_and_its_part_replayed(late, caplog, number):
    broken = snapshot_path(late, number)
    broken.write_bytes(broken.read_bytes()[:-9])
    settings = settings_of("adam+l-bfgs-b")
    with caplog.at_level(logging.WARNING):
        found = minimize(Bowl(), journal=late, **settings)
    assert f"{broken.name} is of no use" in caplog.text
    assert same(found, minimize(Bowl(), **settings))


def test_the_best_point_is_in_the_latest(late):
    past, found = read_journal(late), minimize(Bowl(), **settings_of("adam+l-bfgs-b"))
    reached = found.history.values[found.history.evaluations <= past.evaluations]
    assert past.best_value == reached[-1]
    assert np.allclose(Bowl()(past.best_x[None]), past.best_value)


@pytest.mark.slow
def test_gradients_that_differ_are_made_again_from_the_snapshot(path, caplog):
    class Shaky(Bowl):
        def value_and_gradient(self, points):
            values, slopes = super().value_and_gradient(points)
            return values * (1 + 1e-12), slopes + 1e-12

    kill(path, 40)
    earlier = snapshot_path(path).read_bytes()
    kill(path, 50)  # by then it is the last part's turn
    snapshot_path(path).write_bytes(earlier)
    settings = settings_of("adam+l-bfgs-b")
    with caplog.at_level(logging.WARNING):
        found = minimize(Shaky(), journal=path, **settings)
    assert found.nfev == 140
    assert "49 evaluations since the snapshot are made again" in caplog.text
    assert read_journal(path).repeated == 49
    assert same(minimize(Shaky(), journal=path, **settings), found)
