"""Whatever the problem: budgets, bounds and the pairing of x and value hold, and nothing warns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import minimize

SMALL = {
    "adam": {"lr": 0.1},
    "dual_annealing": {"maxiter": 20},
    "pso": {"swarmsize": 7, "maxiter": 30},
    "pyswarm": {"swarmsize": 7, "maxiter": 30},
    "random": {"popsize": 9},
}

SHAPES = {
    "bowl": lambda v: v,
    "flat": lambda v: 1.0,
    "huge": lambda v: v * 1e307 if v < 10 else 1e308,
    "steep": lambda v: float(np.exp(min(v, 700))),
    "tiny": lambda v: v * 1e-300,
    "half of it infinite": lambda v: np.inf if v > 9 else v,
    "never a number": lambda v: np.nan,
}


@st.composite
def problems(draw, row):
    """A shape, a centre, a box (half-open where the method allows) and a start in it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 5))
    lower = 3 * rng.normal(size=n) - 2
    upper = lower + 4 * np.abs(rng.normal(size=n)) + 1e-3
    start = rng.uniform(lower, upper)
    if row.bounds != "required" and draw(st.booleans()):
        lower = np.where(rng.random(n) < 0.5, -np.inf, lower)
        upper = np.where(rng.random(n) < 0.5, np.inf, upper)
    shape = draw(st.sampled_from(sorted(SHAPES)))
    return shape, 3 * rng.normal(size=n), lower, upper, start


@pytest.mark.law(3, 5, 6)
@pytest.mark.parametrize("failing", [0.0, 0.2])
@pytest.mark.parametrize("examples", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_promises_hold(row, examples, failing):
    @settings(max_examples=examples)
    @given(problem=problems(row), budget=st.integers(1, 150), seed=st.integers(0, 1000))
    def hold(problem, budget, seed):
        check_promises(row, problem, failing, budget, seed)

    hold()


def check_promises(row, problem, failing, budget, seed):
    shape, centre, lower, upper, start = problem
    coin = np.random.default_rng(seed)
    told: list[tuple[bytes, float]] = []

    def fun(x):
        assert np.all(np.isfinite(x))
        assert np.all(x >= lower)
        assert np.all(x <= upper)
        with np.errstate(over="ignore"):
            value = SHAPES[shape](float(np.sum((x - centre) ** 2)))
        told.append((x.tobytes(), np.nan if coin.random() < failing else value))
        return told[-1][1]

    result = minimize(
        fun,
        start,
        method=row.name,
        bounds=list(zip(lower, upper, strict=True)),
        budget=budget,
        seed=seed,
        options=SMALL.get(row.name),
    )
    finite = [value for _, value in told if np.isfinite(value)]
    assert result.nfev == len(told) <= budget
    assert np.all(np.isfinite(result.x))
    if result.history.stencil_count == 0 and finite:
        assert result.fun == min(finite)
    if np.isfinite(result.fun):
        assert (result.x.tobytes(), result.fun) in told
    else:
        assert result.fun == np.inf
        assert not result.success
