"""Results as a comparison would give them, without running one."""

import numpy as np
import pytest

from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Results


def record(problem, method, seed, spent, values, *, budget=1000, **more):
    """A record whose seconds are a thousandth of its evaluations."""
    spent = np.asarray(spent, dtype=np.int64)
    values = np.asarray(values, dtype=float)
    curve = Curve(spent, spent // 2, spent / 1000, values)
    return Record(
        cell=Cell(problem, method, seed, budget),
        value=float(values[-1]) if len(values) else np.inf,
        x=np.zeros(2 if len(values) else 0),
        **{"evaluations": budget, "gradients": 7, "seconds": budget / 1000, "runs": 1, **more},
        curve=curve,
    )


@pytest.fixture
def make_record():
    return record


@pytest.fixture
def results():
    """Two problems, methods with nasty names, a run that failed, reports of one problem only."""
    records = (
        record("article", "cma", 0, [1, 5, 20], [3.25, 1 / 3, 1e-300], report={"f1": 0.5}),
        record("article", "=cmd|' /C calc'!A0", 0, [1], [2.0], message='-1+2\nnew, "line"'),
        record("x.py:f", "cma", 1, [], [], failures=1000, error="ValueError: @bad"),
    )
    problems = {
        "article": ProblemInfo("article", 12, optimum=0.25),
        "x.py:f": ProblemInfo("x.py:f", 3, group="mine"),
    }
    return Results(records, problems)
