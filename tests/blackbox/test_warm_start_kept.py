"""A warm start: it survives as all else does; every point is kept if that is asked for."""

import copy
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from blackbox import JournalError, Optimizer, Result, minimize, read_journal
from tests.blackbox.bowl import BOX, Asked, bowl, draw

# It survives as all else does.


def test_a_pickled_run_keeps_its_past():
    with Optimizer("pso", bounds=BOX, seed=0, budget=60, warm_start=draw(), swarmsize=10) as run:
        run.tell([bowl(x) for x in run.ask()])
        with pickle.loads(pickle.dumps(run)) as other:
            assert np.array_equal(run.ask(), other.ask())
            assert run.best_value == other.best_value
        assert copy.copy(run.best_value) == run.best_value


def test_the_journal_of_another_past_is_refused(tmp_path):
    settings_ = {"method": "cma", "bounds": BOX, "budget": 20, "seed": 0}
    path = tmp_path / "run.journal"
    first = minimize(bowl, warm_start=draw(), journal=path, **settings_)
    again = minimize(bowl, warm_start=draw(), journal=path, **settings_)
    assert np.array_equal(first.x, again.x)
    for other in ({"warm_start": draw(seed=1)}, {"x0": np.zeros(3)}):
        with pytest.raises(JournalError, match="the points of warm_start differ"):
            minimize(bowl, journal=path, **settings_, **other)


def test_many_points_are_known_by_their_digest(tmp_path):
    past = draw(9000, n=12, fun=lambda x: float(x @ x))
    settings_ = {"method": "cma", "bounds": [(-3, 3)] * 12, "budget": 24, "seed": 0}
    path = tmp_path / "run.journal"
    first = minimize(lambda x: float(x @ x), warm_start=past, journal=path, **settings_)
    assert path.stat().st_size < 50_000
    again = minimize(lambda x: float(x @ x), warm_start=past, journal=path, **settings_)
    assert np.array_equal(first.x, again.x)
    with pytest.raises(JournalError, match="past"):
        Optimizer.restore(path)


def test_a_source_that_has_grown_or_is_gone_does_not_keep_a_run_from_going_on(tmp_path):
    source, own = tmp_path / "source.journal", tmp_path / "own.journal"
    begun = {"method": "pso", "bounds": BOX, "seed": 0, "options": {"swarmsize": 10}}
    settings_ = {"method": "cma", "bounds": BOX, "budget": 60, "seed": 1, "warm_start": source}
    minimize(bowl, budget=30, journal=source, **begun)
    whole = minimize(bowl, **settings_)

    def dying(x):
        if len(calls.points) == 25:
            raise KeyError
        return bowl(x)

    calls = Asked(dying)
    with pytest.raises(KeyError):
        minimize(calls, journal=own, **settings_)
    minimize(bowl, budget=50, journal=source, **begun)
    grown = minimize(bowl, journal=own, **settings_)
    source.unlink()
    gone = minimize(bowl, journal=own, **settings_)
    for each in (grown, gone):
        assert np.array_equal(each.x, whole.x)
        assert each.nfev == 60


@pytest.mark.parametrize("method", ["adam", "sep-cma"])
def test_the_journal_of_many_variables_that_has_ended_holds_the_best(tmp_path, method):
    path, n = tmp_path / "run.journal", 1200

    class Bowl:
        batched, n = True, 1200

        def __call__(self, points):
            return (points**2).sum(axis=1)

        def value_and_gradient(self, points):
            return self(points), 2 * points

    first = minimize(Bowl(), np.ones(n), method=method, budget=40, journal=path, seed=0)
    past = read_journal(path)
    assert past.reason is not None
    assert np.array_equal(past.best_x, first.history.best_x)
    assert past.best_value == first.history.best_value
    again = minimize(Bowl(), method="l-bfgs-b", warm_start=path, budget=5)
    assert again.fun < first.fun
    assert np.array_equal(
        minimize(Bowl(), np.ones(n), method=method, budget=40, journal=path).x, first.x
    )


SCRIPT = """
import os, signal, sys
import numpy as np
from blackbox import minimize

rng = np.random.default_rng(0)
points = rng.uniform(-3, 3, (50, 3))
calls = []

def fun(x):
    calls.append(x)
    if len(sys.argv) > 1 and len(calls) == 33:
        os.kill(os.getpid(), signal.SIGKILL)
    return float(np.sum((x - 0.4) ** 2))

values = [float(np.sum((x - 0.4) ** 2)) for x in points]
result = minimize(fun, method="pso", bounds=[(-3, 3)] * 3, warm_start=(points, values), seed=3,
                  budget=80, options={"swarmsize": 12}, journal="run.journal", keep_points=True)
print(result.x.tobytes().hex(), result.nfev, len(result.history.evaluated.values))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_run_with_a_past_ends_as_if_nothing_had_happened(tmp_path):
    def run(folder, *arguments):
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        return done.returncode, done.stdout, done.stderr

    whole = run(tmp_path / "whole")
    assert whole[0] == 0, whole[2]
    assert run(tmp_path / "killed", "kill")[0] == -signal.SIGKILL
    assert run(tmp_path / "killed") == whole


# Every point, if asked for.


@pytest.mark.parametrize("method", ["cma", "slsqp", "nelder-mead", "pso", "trust-constr", "adam"])
def test_kept_points_are_all_that_was_evaluated(method):
    fun = Asked()
    result = minimize(
        fun, np.zeros(3), method=method, bounds=BOX, budget=50, seed=0, keep_points=True
    )
    kept = result.history.evaluated
    assert np.array_equal(kept.points, np.array(fun.points))
    assert np.array_equal(kept.values, [bowl(x) for x in fun.points])
    assert len(kept.values) == result.nfev
    plain = minimize(bowl, np.zeros(3), method=method, bounds=BOX, budget=5)
    assert plain.history.evaluated is None


def test_kept_points_are_there_after_failures_errors_and_on_disk(tmp_path):
    def fun(x):
        if len(calls.points) == 30:
            raise KeyError("no more")
        return np.nan if len(calls.points) % 7 == 0 else bowl(x)

    calls = Asked(fun)
    with pytest.raises(KeyError) as raised:
        minimize(calls, method="random", bounds=BOX, keep_points=True, seed=0)
    kept = raised.value.result.history.evaluated
    assert len(kept.values) == 29
    assert np.isinf(kept.values).sum() == 4
    raised.value.result.save(tmp_path / "run.result")
    loaded = Result.load(tmp_path / "run.result").history.evaluated
    assert np.array_equal(loaded.points, kept.points)
    assert np.array_equal(loaded.values, kept.values)


def test_points_of_a_noisy_objective_are_kept_and_those_of_minibatches_are_not():
    rng = np.random.default_rng(0)
    fun = Asked(lambda x: bowl(x) + rng.normal())
    result = minimize(
        fun, method="cma", bounds=BOX, noisy=True, budget=60, seed=0, keep_points=True
    )
    kept = result.history.evaluated
    asked = {x.tobytes() for x in fun.points}
    assert 30 < len(kept.values) <= 60
    assert {x.tobytes() for x in kept.points} <= asked


def test_objects_that_are_numbers_and_other_dimensions_are_told_apart():
    points, values = draw()
    result = minimize(
        bowl,
        method="cma",
        bounds=BOX,
        warm_start=(points.astype(object), list(values)),
        budget=10,
        seed=0,
    )
    assert result.fun <= values.min()
    with pytest.raises(ValueError, match="but warm_start has 2 coordinates"):
        minimize(bowl, method="cma", bounds=BOX, warm_start=(points[:, :2], values))


def test_a_run_that_evaluated_nothing_has_kept_nothing():
    result = minimize(
        bowl, method="random", bounds=BOX, warm_start=draw(), target=1e9, keep_points=True
    )
    assert result.history.evaluated.points.shape == (0, 0)
    assert result.history.evaluated.values.shape == (0,)
    assert minimize(bowl, method="cma", bounds=BOX, warm_start=result, budget=5).nfev == 5
