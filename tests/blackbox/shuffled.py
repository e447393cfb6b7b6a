"""Steady runs whose values come in an order that is drawn, not in one that a clock decides."""

from concurrent.futures import Executor, Future

import numpy as np

from blackbox import ALGORITHMS, minimize
from tests.blackbox.conftest import BOX, shifted_sphere

STEADY = [name for name, row in ALGORITHMS.items() if row.steady]
WIDTH = 4


class Shuffled(Executor):
    """Completes what it was given in an order of its own: one at a time, and the last few at once.

    Parameters
    ----------
    budget
        How many points it will be given.
    """

    def __init__(self, budget, seed=0, width=WIDTH):
        self.max_workers = width
        self.rng, self.budget, self.count, self.pending = np.random.default_rng(seed), budget, 0, []
        self.most = 0

    def submit(self, fn, x):
        future = Future()
        self.count += 1
        self.pending.append((future, fn, x))
        self.most = max(self.most, len(self.pending))
        while self.pending and (len(self.pending) >= self.max_workers or self.count >= self.budget):
            future_, fn, x = self.pending.pop(self.rng.integers(len(self.pending)))
            future_.set_result(fn(x))
        return future


def run(fun=shifted_sphere, method="cma", budget=120, steady=True, **more):
    workers = more.pop("workers", Shuffled(budget))
    settings = {"bounds": BOX, "seed": 0} | more
    return minimize(fun, method=method, budget=budget, workers=workers, steady=steady, **settings)


def same(first, second):
    """Whether two results are the same, bit for bit."""
    assert first.x.tobytes() == second.x.tobytes()
    names = ("fun", "nfev", "nit", "message", "success", "status", "seed", "method")
    assert [first[name] for name in names] == [second[name] for name in names]
    assert np.array_equal(first.history.evaluations, second.history.evaluations)
    return True
