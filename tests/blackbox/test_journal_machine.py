"""Whatever the order of ask, tell, pickle, kill and restore: it is the same run."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from blackbox import ALGORITHMS, Optimizer, read_journal
from tests.blackbox.conftest import BOX, shifted_sphere, small_options

BUDGET = 60
METHODS = [row.name for row in ALGORITHMS.values() if row.installed]


def value(x):
    return np.nan if x[0] + x[1] > 6 else shifted_sphere(x)


def tell(run):
    points = run.ask()
    run.tell([value(x) for x in points])
    return points


class Lives(RuleBasedStateMachine):
    """One run that is told as it comes, beside one that is pickled, killed and restored."""

    methods = METHODS

    @initialize(data=st.data(), seed=st.integers(0, 3))
    def begin(self, data, seed):
        name = data.draw(st.sampled_from(self.methods))
        settings = {"bounds": BOX, "seed": seed, "budget": BUDGET}
        settings |= small_options(ALGORITHMS[name])
        with Optimizer(name, **settings) as run:
            self.expected = []
            while not run.stopped:
                self.expected.append(tell(run))
            self.end = run.reason, run.evaluations, run.best_value
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "run.journal")
        self.run, self.seen = Optimizer(name, **settings, journal=self.path), 0
        self.told = 0

    @precondition(lambda self: not self.run.stopped)
    @rule()
    def ask(self):
        assert np.array_equal(self.run.ask(), self.expected[self.seen])

    @precondition(lambda self: not self.run.stopped)
    @rule(times=st.integers(1, 4))
    def tell(self, times):
        for _ in range(times):
            if not self.run.stopped:
                points = tell(self.run)
                assert np.array_equal(points, self.expected[self.seen])
                self.seen += 1
                self.told += len(points)

    @rule()
    def restore(self):
        self.run.close()
        self.run = Optimizer.restore(self.path)
        assert self.run.evaluations == self.told

    @rule(cut=st.integers(1, 60))
    def kill(self, cut):
        """The process ends in the middle of a write: some bytes of the last line are missing."""
        data = self.path.read_bytes()
        self.run.close()
        last = len(data) - data.rstrip(b"\n").rfind(b"\n") - 1
        if self.seen and cut < last:
            whole = len(read_journal(self.path).values)
            self.path.write_bytes(data[:-cut])
            lost = whole - len(read_journal(self.path).values)
            self.told -= lost
            self.seen -= lost > 0
        else:
            self.path.write_bytes(data)
        self.run = Optimizer.restore(self.path)
        assert self.run.evaluations == self.told

    @rule()
    def save(self):
        """A pickled twin goes on by itself, and writes no journal."""
        before = self.path.read_bytes()
        stored = pickle.dumps(self.run)
        row = ALGORITHMS[self.run.method]
        if row.exclusive:  # its library lets only one be open
            self.run.close()
        twin = pickle.loads(stored)
        assert twin.evaluations == self.told
        if not twin.stopped:
            assert np.array_equal(tell(twin), self.expected[self.seen])
        twin.close()
        if row.exclusive:
            self.run = Optimizer.restore(self.path)
        else:
            assert self.path.read_bytes() == before

    def teardown(self):
        if not hasattr(self, "run"):
            return
        while not self.run.stopped:
            self.tell(4)
        assert (self.run.reason, self.run.evaluations, self.run.best_value) == self.end
        self.run.close()
        past = read_journal(self.path)
        assert (past.reason, past.evaluations) == self.end[:2]
        assert past.damage is None
        self.folder.cleanup()


class FewLives(Lives):
    """The same of methods that are quick."""

    methods = ("cma", "nelder-mead", "pso", "l-bfgs-b", "random")


calm = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
TestFewLives = FewLives.TestCase
TestFewLives.settings = settings(
    max_examples=15, stateful_step_count=8, deadline=None, suppress_health_check=calm
)
TestLives = pytest.mark.slow(Lives.TestCase)
TestLives.settings = settings(
    max_examples=1000, stateful_step_count=12, deadline=None, suppress_health_check=calm
)
