"""What is kept has limits, and says so."""

import pickle

import numpy as np
import pytest

from blackbox import History, Optimizer, optimizer
from blackbox.history import IMPROVEMENTS_KEPT


def test_a_history_thins_out_and_keeps_its_ends():
    history = History()
    total = 3 * IMPROVEMENTS_KEPT
    for i in range(total):
        history.record(np.array([[float(i)]]), np.array([float(total - i)]))
    assert len(history.values) <= IMPROVEMENTS_KEPT
    assert history.best_value == history.values[-1] == 1.0
    assert history.evaluations[0] == 1
    assert history.evaluations[-1] == history.evaluation_count == total
    assert np.all(np.diff(history.values) < 0)
    assert np.all(np.diff(history.evaluations) > 0)


def test_a_run_that_was_told_too_much_goes_on_but_is_not_pickled(monkeypatch):
    monkeypatch.setattr(optimizer, "REPLAY_LIMIT", 1000)
    with Optimizer("random", bounds=[(-1, 1)] * 2, seed=0) as run:
        pickle.loads(pickle.dumps(run)).close()
        for _ in range(5):
            run.tell(np.sum(run.ask() ** 2, axis=1))
        with pytest.raises(ValueError, match="can't be pickled"):
            pickle.dumps(run)
        assert run.evaluations == 5 * 64
        assert len(run.ask()) == 64


def test_gradients_count_towards_what_is_kept(monkeypatch):
    monkeypatch.setattr(optimizer, "REPLAY_LIMIT", 1000)
    with Optimizer("adam", np.ones(50), gradients=True) as run:
        for _ in range(2):
            points = run.ask()
            run.tell(np.sum(points**2, axis=1), 2 * points)
        pickle.dumps(run)
        run.tell([50.0], np.ones((1, 50)))
        with pytest.raises(ValueError, match="can't be pickled"):
            pickle.dumps(run)
