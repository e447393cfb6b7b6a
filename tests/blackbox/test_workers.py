"""Who evaluates: executors and map-like callables, and what becomes of lost workers."""

import os
import pickle
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from blackbox import RayExecutor, minimize
from blackbox.calls import Call
from blackbox.guarded import WorkerError

START = np.zeros(2)
SETTINGS = {"method": "cma", "seed": 0, "budget": 60}


def bowl(x):
    return float(np.sum((x - 1) ** 2))


class KilledWorker(Exception):
    """As dask calls it."""


class RayError(Exception):
    """As Ray calls it."""


class WorkerCrashedError(RayError):
    """As Ray calls it."""


class RayTaskError(RayError):
    """As Ray calls what a task itself raised."""


class Flaky(Executor):
    """Loses the evaluations whose numbers it is given, by an error of the kind it is given."""

    def __init__(self, error, lost):
        self.error, self.lost, self.count, self.points = error, lost, 0, []

    def submit(self, fn, x):
        self.count += 1
        future = Future()
        if self.count in self.lost:
            future.set_exception(self.error)
        else:
            self.points.append(x)
            future.set_result(pickle.loads(pickle.dumps(fn))(x))
        return future


def test_a_lost_evaluation_is_tried_again():
    pool = Flaky(WorkerCrashedError("gone"), {3, 20})
    result = minimize(bowl, START, workers=pool, **SETTINGS)
    assert result.fun == minimize(bowl, START, **SETTINGS).fun
    assert result.history.failures == {}
    assert pool.count == 62


def test_what_is_lost_twice_is_a_failed_evaluation():
    pool = Flaky(WorkerCrashedError("gone"), set(range(5, 30)))
    result = minimize(bowl, START, workers=pool, on_error="raise", **SETTINGS)
    assert result.nfev == 60
    assert result.history.failures["lost"].message == "WorkerCrashedError: gone"
    assert result.history.failures["lost"].count == result.history.failure_count > 5


def test_what_the_engine_has_tried_itself_is_not_tried_again():
    pool = Flaky(KilledWorker("gone"), {3, 20})
    result = minimize(bowl, START, workers=pool, **SETTINGS)
    assert pool.count == 60
    assert result.history.failures["lost"].count == 2


@pytest.mark.parametrize("error", [RayTaskError("of the task"), OSError("of the setting up")])
def test_other_errors_of_an_engine_are_raised(error):
    with pytest.raises(type(error), match="of the") as caught:
        minimize(bowl, START, workers=Flaky(error, {9}), on_error="penalize", **SETTINGS)
    assert caught.value.result.nfev == 8


def test_an_executor_that_has_broken_down_is_said():
    class Broken(Executor):
        def submit(self, fn, x):
            raise BrokenExecutor("a process died")

    with pytest.raises(WorkerError, match=r"broken down .* a process died\. workers=N has"):
        minimize(bowl, START, workers=Broken(), **SETTINGS)


@pytest.mark.slow
def test_a_process_pool_breaks_down_but_for_a_timeout():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        fun = lambda x: bowl(x) if x[0] < 0.5 else os._exit(1)  # noqa: E731
        guarded = minimize(fun, START, workers=pool, timeout=60, **SETTINGS)
        assert guarded.history.failures["lost"].count > 0
        with pytest.raises(WorkerError, match="broken down"):
            minimize(lambda x: os._exit(1), START, workers=pool, **SETTINGS)


@pytest.mark.parametrize("count", [-1, 1])
def test_a_map_must_give_one_value_a_point(count):
    def spread(call, points):
        given = [call(x) for x in points]
        return given[:count] if count < 0 else [*given, 0.0]

    with pytest.raises(ValueError, match="values for 6 points"):
        minimize(bowl, START, workers=spread, **SETTINGS)


def test_errors_keep_where_they_came_from_in_threads():
    def fun(x):
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        minimize(fun, START, workers=map, **SETTINGS)
    names = [entry.name for entry in caught.traceback]
    assert "fun" in names


def test_gradients_go_to_workers_too():
    seen = []

    def spread(call, points):
        seen.append(len(points))
        return [call(x) for x in points]

    def jac(x):
        return 2 * (x - 1)

    result = minimize(bowl, START, jac=jac, method="l-bfgs-b", workers=spread)
    assert sum(seen) == result.nfev + result.njev
    seen.clear()
    result = minimize(lambda x: (bowl(x), jac(x)), START, jac=True, method="bfgs", workers=spread)
    assert sum(seen) == result.nfev


class Data:
    """Counts how often it is read."""

    reads = 0

    def __reduce__(self):
        return Data._read, ()

    @staticmethod
    def _read():
        Data.reads += 1
        return Data()


def test_a_function_is_read_once_in_a_process():
    Data.reads = 0
    call = Call(lambda x, data: bowl(x), (Data(),))
    for _ in range(3):
        assert pickle.loads(pickle.dumps(call))(START) == 2.0
    assert Data.reads == 1


def test_what_changes_from_batch_to_batch_is_sent_with_each():
    class Changing:
        batched = False
        shift = -1.0

        def begin(self, generation, rng):
            self.shift = float(generation)

        def __call__(self, x):
            return bowl(x) + self.shift

    def elsewhere(call, points):
        copy = pickle.loads(pickle.dumps(call))
        return [copy(x) for x in points]

    result = minimize(Changing(), START, workers=elsewhere, **SETTINGS)
    assert result.fun == minimize(Changing(), START, **SETTINGS).fun


def test_ray_must_be_there_and_connected():
    try:
        import ray  # noqa: F401
    except ImportError:
        error, said = ImportError, "needs Ray"
    else:
        error, said = RuntimeError, r"call ray\.init\(\) first"
    with pytest.raises(error, match=said):
        RayExecutor()
