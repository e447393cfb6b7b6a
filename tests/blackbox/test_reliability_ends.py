"""The last moments of a run: Ctrl-C while it is being closed, processes that were forked in it."""

import os
import signal

import numpy as np
import pytest

from blackbox import minimize, read_journal
from blackbox.journal import Journal

RUN = {"method": "pso", "bounds": [(-2, 2)] * 3, "seed": 0, "options": {"swarmsize": 10}}


def fun(x):
    return float(x @ x)


@pytest.fixture
def closing(monkeypatch):
    """Ctrl-C comes while the journal is being closed."""

    def interrupted(self, *_):
        self.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "__exit__", interrupted)


@pytest.mark.usefixtures("closing")
def test_ctrl_c_while_it_is_being_closed_keeps_the_result(tmp_path):
    whole = minimize(fun, budget=60, **RUN)
    with pytest.raises(KeyboardInterrupt) as raised:
        minimize(fun, budget=60, journal=tmp_path / "run.journal", **RUN)
    assert np.array_equal(raised.value.result.x, whole.x)
    assert raised.value.result.message == whole.message


@pytest.mark.usefixtures("closing")
def test_ctrl_c_while_it_is_being_closed_returns_the_result_where_that_is_asked_for(tmp_path):
    whole = minimize(fun, budget=60, **RUN)
    told = minimize(fun, budget=60, journal=tmp_path / "run.journal", on_interrupt="return", **RUN)
    assert np.array_equal(told.x, whole.x)
    assert (told.nfev, told.message) == (60, whole.message)


@pytest.mark.usefixtures("closing")
def test_an_exception_of_the_function_keeps_its_result_when_ctrl_c_follows(tmp_path):
    def failing(x):
        if len(seen) == 25:
            raise ValueError("no more")
        seen.append(x)
        return fun(x)

    seen = []
    with pytest.raises(KeyboardInterrupt) as raised:
        minimize(failing, budget=60, journal=tmp_path / "run.journal", **RUN)
    assert raised.value.result.nfev == 25
    assert isinstance(raised.value.__context__, ValueError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
@pytest.mark.parametrize("end", ["exit", "run on"])
def test_a_copy_that_the_function_forks_leaves_the_journal_alone(tmp_path, end):
    """It must neither write to the file nor let go of its lock."""
    path, parent, calls = tmp_path / "run.journal", os.getpid(), []

    def forking(x):
        calls.append(x)
        if len(calls) == 15 and os.getpid() == parent:
            child = os.fork()
            if child == 0:
                if end == "exit":
                    raise SystemExit(0)
                return 0.0
            os.waitpid(child, 0)
            with pytest.raises(Exception, match="another run"):
                minimize(fun, budget=60, journal=path, **RUN)
        return fun(x)

    try:
        told = minimize(forking, budget=60, journal=path, **RUN)
    finally:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)  # the copy must not run the other tests
    assert (told.nfev, len(calls)) == (60, 60)
    assert read_journal(path).evaluations == 60
    again = minimize(fun, budget=60, journal=path, **RUN)
    assert np.array_equal(again.x, told.x)
