"""A start on the bounds is a start like any other: no method takes the edge for the end."""

import itertools

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize

CORNERS = list(itertools.product((-5.0, 5.0), repeat=2))
LOCAL = [
    row.name
    for row in ALGORITHMS.values()
    if row.kind == "local" and row.proof.tolerance is not None and row.default_budget is None
]


def bowl(x):
    return float((x[0] - 0.7) ** 2 + 3 * (x[1] - 0.7) ** 2 + 0.1 * x[0] * x[1])


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.filterwarnings("ignore")
def test_a_start_in_a_corner_is_left(name, corner):
    if not ALGORITHMS[name].installed:
        pytest.skip("it needs a library that is not installed")
    found = minimize(bowl, corner, method=name, bounds=[(-5, 5)] * 2, budget=1000, seed=0)
    best = minimize(bowl, [0.0, 0.0], method="bfgs")
    assert found.fun < best.fun + 1e-2


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.filterwarnings("ignore")
def test_an_optimum_on_the_bounds_is_found_from_there_and_from_inside(name):
    if not ALGORITHMS[name].installed:
        pytest.skip("it needs a library that is not installed")

    def fun(x):
        return float((x[0] - 0.7) ** 2 + (x[1] - 9) ** 2)

    for start in ([5.0, 5.0], [-5.0, -5.0], [1.0, 2.0]):
        found = minimize(fun, start, method=name, bounds=[(-5, 5)] * 2, budget=1500, seed=0)
        assert np.allclose(found.x, [0.7, 5.0], atol=0.02)
