"""Steady runs meet what holds for every run: constraints, failures, ends, journals, refusals."""

import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint

from blackbox import JournalError, Optimizer, read_journal
from tests.blackbox.conftest import Watched, shifted_sphere
from tests.blackbox.shuffled import STEADY, WIDTH, Shuffled, run, same


def test_constraints_integers_and_fixed_variables():
    constraint = NonlinearConstraint(lambda x: x[0] + x[1], 3, np.inf)
    for name in ("cma", "differential_evolution", "pso"):
        # The first points break it, and must rank behind all that keep it.
        result = run(method=name, budget=1000, constraints=constraint, workers=None, steady=4)
        assert result.maxcv <= 1e-6
        assert result.fun == pytest.approx(2 * 0.8**2, abs=0.3)
    bounds = [(-5, 5), (1, 1), (-5, 5), (2, 2)]
    for name in ("cma", "differential_evolution", "lhs", "pso"):
        result = run(method=name, budget=300, bounds=bounds, integrality=[1, 0, 0, 1])
        assert result.x[[0, 1, 3]].tolist() == [1, 1, 2]
        assert result.fun < 2.2
    result = run(method="cma", bounds=[(1, 1), (2, 2)], workers=Shuffled(1))
    assert (result.x.tolist(), result.nfev, result.success) == ([1, 2], 1, True)


@pytest.mark.parametrize("name", STEADY)
def test_one_variable(name):
    assert run(method=name, bounds=[(-5, 5)], budget=200).fun < 0.01


def test_auto_takes_a_method_that_can():
    assert run(method="auto", budget=40).method in STEADY
    result = run(method="auto", budget=40, bounds=[(-5, 5)] * 300)
    assert result.method == "sep-cma"


def test_a_target_a_callback_and_too_little_time_end_it():
    result = run(target=0.5, budget=500)
    assert result.success
    assert result.fun <= 0.5
    assert result.nfev < 500
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result.nfev)
        if len(seen) == 9:
            raise StopIteration

    assert run(callback=callback).status == 99
    assert seen == list(range(1, 10))
    result = run(budget=10**6, max_seconds=0.05, workers=None, steady=3)
    assert "max_seconds" in result.message
    assert result.nfev > 3


@pytest.mark.parametrize("width", [1, 4])
def test_patience_counts_rounds_of_what_is_under_way(width):
    result = run(lambda x: max(shifted_sphere(x), 9.0), steady=width, workers=None, patience=7)
    assert result.nfev == result.history.evaluations[-1] + 7 * width
    said = "7 generations" if width == 1 else "28 values, 7 rounds of 4"
    assert f"the incumbent has not improved for {said}" in result.message


def test_values_that_come_after_the_time_is_over_count():
    begun = threading.Barrier(4)

    def fun(x):
        begun.wait(30)
        threading.Event().wait(0.06)
        return shifted_sphere(x)

    with ThreadPoolExecutor(4) as pool:
        result = run(fun, workers=pool, max_seconds=0.05)
    assert result.nfev == 4
    assert result.fun < np.inf


@pytest.mark.parametrize("name", STEADY)
def test_failures_are_survived_and_counted(name, watched):
    fun = watched(lambda x: np.nan if x[1] > 1.5 else shifted_sphere(x))
    result = run(fun, name, 256)  # a grid of four a side
    assert result.fun == np.nanmin(fun.values)
    assert result.fun < np.nanmedian(fun.values[:40])
    assert result.history.failures["nan"].count == np.isnan(fun.values).sum() > 0


def test_nothing_but_failures_ends_it():
    for name in ("cma", "random"):
        result = run(lambda x: np.nan, name, 5000)
        assert not result.success
        assert result.nfev == result.history.failure_count == 1000


def fragile(x):
    if x[0] > 2:
        raise ValueError("too large")
    return shifted_sphere(x)


def test_exceptions_reach_the_caller_or_are_failures():
    with pytest.raises(ValueError, match="too large") as caught:
        run(fragile, "random", seed=1)
    assert caught.value.result.nfev < 40
    assert caught.value.result.fun < np.inf
    result = run(fragile, "random", on_error="penalize")
    assert result.history.failures["raised"].message == "ValueError: too large"
    assert result.nfev == 120
    assert run(fragile, "random", on_error=lambda x, error: -x[0]).fun < -2


class RayError(Exception):
    """As Ray calls it."""


class Losing(Shuffled):
    """Loses some evaluations, by their number."""

    def __init__(self, budget, lost):
        super().__init__(budget)
        self.lost, self.number = lost, 0

    def submit(self, fn, x):
        self.number += 1
        if self.number in self.lost:
            future = Future()
            future.set_exception(RayError("gone"))
            return future
        return super().submit(fn, x)


def test_lost_evaluations_are_tried_again_once():
    pool = Losing(118, lost={5, 50})
    result = run(workers=pool, steady=WIDTH)
    assert result.history.failures == {}
    assert (result.nfev, pool.number) == (120, 122)
    result = run(workers=Losing(40, lost=set(range(50, 60))), budget=60, steady=WIDTH)
    assert result.nfev == 60
    assert result.history.failures["lost"].message == "RayError: gone"


def test_ctrl_c_leaves_the_result_so_far():
    count = iter(range(1000))

    def fun(x):
        if next(count) == 30:
            raise KeyboardInterrupt
        return shifted_sphere(x)

    result = run(fun, on_interrupt="return")
    assert result.status == -1
    assert 20 < result.nfev <= 30


def test_children_that_hang_or_crash_cost_one_evaluation_each(no_thread_left, watched):
    shown = watched(shifted_sphere)
    run(shown, "random", 8, workers=None)
    hangs, crashes = shown.asked[2, 0], shown.asked[5, 0]

    def hostile(x):  # it is sent as it stands, and imports next to nothing
        import os
        import time

        if x[0] == hangs:
            time.sleep(60)
        if x[0] == crashes:
            os._exit(1)
        return float(((x - 0.7) ** 2).sum())

    result = run(hostile, "random", 8, workers=2, timeout=0.3)
    assert result.nfev == 8
    assert set(result.history.failures) == {"timeout", "lost"}
    assert result.fun == pytest.approx(min(np.delete(shown.values, [2, 5])))


# The journal.


class Mortal(Watched):
    """Is killed at an evaluation, with others under way."""

    def __init__(self, last, fun=shifted_sphere):
        super().__init__(fun)
        self.last = last

    def __call__(self, x):
        if len(self.values) == self.last:
            raise KeyboardInterrupt
        return super().__call__(x)


@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize(
    "last", [40, *(pytest.param(last, marks=pytest.mark.slow) for last in (1, 78))]
)
def test_a_killed_run_goes_on_in_the_order_it_had(name, last, tmp_path):
    path, budget, before = tmp_path / "run.journal", 81, Mortal(last)
    with pytest.raises(KeyboardInterrupt):
        run(before, name, budget, workers=Shuffled(budget, seed=5), journal=path)
    recorded = read_journal(path)
    assert last - WIDTH <= recorded.evaluations <= last
    after = Mortal(None)
    pool = Shuffled(budget - recorded.evaluations, seed=6)
    result = run(after, name, budget, workers=pool, journal=path)
    past = read_journal(path)
    assert result.nfev == past.evaluations == budget
    assert np.array_equal(past.points[: recorded.evaluations], recorded.points)
    assert len(after.values) == budget - recorded.evaluations
    assert result.fun == past.best_value
    nobody = Mortal(0)
    assert same(run(nobody, name, budget, journal=path), result)  # a finished run comes back


KILLED = """
import time
from blackbox import minimize

def fun(x):
    time.sleep(0.05 if x[0] > 1 else 0.002)
    return float(((x - 0.7) ** 2).sum())

result = minimize(fun, bounds=[(-5, 5)] * 4, method="cma", seed=0, budget=200, workers=3,
                  steady=True, journal="run.journal")
print(result.nfev, result.fun)
"""


@pytest.mark.slow
def test_a_real_kill_loses_nothing_that_was_told(tmp_path):
    path, before = tmp_path / "run.journal", np.empty((0, 4))
    for least in (30, 90, 150):
        command = [sys.executable, "-c", KILLED]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while time.monotonic() < until and (
                not path.exists() or path.read_bytes().count(b"\n") < least
            ):
                time.sleep(0.01)
            process.kill()
        past = read_journal(path)
        assert least - 2 <= past.evaluations < 200
        assert np.array_equal(past.points[: len(before)], before)
        before = past.points
    command = [sys.executable, "-c", KILLED]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    past = read_journal(path)
    assert shown.stdout.split() == ["200", str(past.best_value)]
    assert past.evaluations == 200
    assert np.array_equal(past.points[: len(before)], before)


def test_a_larger_budget_goes_on(tmp_path):
    path = tmp_path / "run.journal"
    run(journal=path, budget=60)
    whole = run(journal=path, budget=100, workers=Shuffled(40))
    assert whole.nfev == read_journal(path).evaluations == 100


def test_equal_points_under_way_are_alike(tmp_path):
    path, settings = tmp_path / "run.journal", {"bounds": [(0, 1)] * 2, "integrality": 1}
    for name in ("random", "differential_evolution", "pso"):
        with pytest.raises(KeyboardInterrupt):
            run(Mortal(50), name, workers=Shuffled(120, 5), journal=path, **settings)
        left = 120 - read_journal(path).evaluations
        assert run(method=name, workers=Shuffled(left), journal=path, **settings).nfev == 120
        path.unlink()


def test_a_journal_goes_on_as_it_began(tmp_path):
    path = tmp_path / "run.journal"
    run(journal=path)
    with pytest.raises(JournalError, match="steady is 4 there and 3 here"):
        run(journal=path, steady=3)
    with pytest.raises(JournalError, match="steady is 4 there and None here"):
        run(journal=path, steady=False)
    with pytest.raises(JournalError, match=r"the order in which values came \(steady=\)"):
        Optimizer.restore(path)


# What is refused, before anything is evaluated.

REFUSED = {
    "slsqp": ({"method": "slsqp"}, "goes on only when .* These take it: cma, differential_evol"),
    "chain": ({"method": "cma+l-bfgs-b"}, "'cma\\+l-bfgs-b' goes on only when"),
    "own": ({"method": lambda fun, x0, **_: None}, "methods by name"),
    "map": ({"workers": map}, "map-like callable gives them in order; take an int or an Exec"),
    "width": ({"workers": Executor()}, "can't tell how many workers .* steady=8"),
    "zero": ({"steady": 0}, "steady=0 leaves no point under way"),
    "noisy": ({"noisy": True}, "noisy=True evaluates winners again"),
    "validation": ({"validation": shifted_sphere}, "validation losses are measured batch by batch"),
    "rounds": ({"options": {"constraint_handling": "lagrangian"}}, "goes in rounds"),
    "refine": ({"options": {"refine": "adam"}}, "refine takes steps from the best"),
    "mirrors": ({"options": {"CMA_mirrors": 2}}, "'CMA_mirrors' makes up points"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_batches_is_refused(case):
    more, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        run(Mortal(0), **more)


def test_steady_is_a_flag_or_a_number():
    for given in ("yes", 2.0, [1]):
        with pytest.raises(TypeError, match="steady is True, False or a number"):
            run(Mortal(0), steady=given)


def test_minibatches_are_refused():
    class Changing:
        batched = True

        def begin(self, generation, rng):
            raise AssertionError

        def __call__(self, points):
            raise AssertionError

    with pytest.raises(ValueError, match="changes from batch to batch"):
        run(Changing(), workers=None)
