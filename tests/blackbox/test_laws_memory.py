"""Laws of every method, fourth part: memory."""

import gc
import itertools
import tracemalloc
import weakref

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("frozen")

# Law 13: memory does not grow with the evaluations, and none is kept after the run.


def endless(row):
    """Options with which a method goes on until the budget is spent, where it has such."""
    own = {"maxiter": 10**6, "minstep": -1.0, "minfunc": -1.0}
    own |= {"tolfun": 0, "tolfunhist": 0, "tolx": 0, "tolstagnation": 10**9}
    if "noise for all iterations" in row.memory:
        own["maxiter"] = 500
    again = row.kind == "local" and row.default_budget is None
    return {k: v for k, v in own.items() if k in row.options()} | (
        {"restarts": 999} if again else {}
    )


@pytest.mark.law(13)
@pytest.mark.parametrize("many", [500, pytest.param(3000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_evaluations(row, many, small, search):
    def run(budget):
        noise, calls = np.random.default_rng(0), itertools.count()

        def fun(x):
            if next(calls) % 50 == 0:
                gc.collect()
            return noise.random()

        search(row, fun, np.zeros(2), **settings, budget=budget)

    def peak(budget):
        tracemalloc.start()
        run(budget)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    settings = {"bounds": [(-5.0, 5.0)] * 2, "options": endless(row) | small(row)}
    run(100)  # what is imported or cached is no run's memory, and is slow to trace
    few = 100
    least = peak(few)  # before the other: what the first of the two caches is no growth
    growth = peak(many) - least
    # A point that is kept takes 128 bytes, in a list of them.
    assert growth < 100 * (many - few)


@pytest.mark.law(13)
def test_a_finished_run_lets_go_of_the_objective(row, search, opened, sphere, finish):
    def fun(x):
        return sphere(x)

    kept = weakref.ref(fun)
    search(row, fun, budget=100)
    run = opened(row, budget=30)
    finish(run, fun)
    del fun
    gc.collect()
    assert kept() is None
