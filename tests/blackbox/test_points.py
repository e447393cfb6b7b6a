"""Whose the points are that an objective is given: its own to change, or only to read."""

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize

BOX = [(-5.0, 5.0)] * 2


def bowl(x):
    return float(np.sum((x - 1) ** 2))


def bowls(points):
    return np.sum((points - 1) ** 2, axis=1)


def test_the_point_is_the_objectives_to_change():
    def fun(x):
        value = bowl(x)
        x[:] = 99.0
        return value

    for name in ("slsqp", "cma", "pyswarm", "dual_annealing"):
        expected = minimize(bowl, [0.0, 0.0], method=name, bounds=BOX, seed=0, budget=150)
        result = minimize(fun, [0.0, 0.0], method=name, bounds=BOX, seed=0, budget=150)
        assert np.array_equal(result.x, expected.x)


class Careless:
    """A batched objective that spoils the points it is given."""

    batched = True

    def __call__(self, points):
        values = bowls(points)
        points[:] = 99.0
        return values


class Differentiable(Careless):
    def value_and_gradient(self, points):
        gradients = 2 * (points - 1)
        return self(points), gradients


@pytest.mark.filterwarnings("ignore:Method .* does not use gradient:RuntimeWarning")
@pytest.mark.parametrize("kind", [Careless, Differentiable])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_batch_is_the_objectives_to_change(name, kind):
    plain = {"jac": lambda p: 2 * (p - 1)} if kind is Differentiable else {}
    settings = {"method": name, "bounds": BOX, "seed": 0, "budget": 150}
    expected = minimize(bowls, [0.0, 0.0], batched=True, **plain, **settings)
    result = minimize(kind(), [0.0, 0.0], **settings)
    assert np.array_equal(result.x, expected.x)
    assert result.fun == expected.fun


@pytest.mark.parametrize("name", ["cma", "adam", "pso", "slsqp"])
def test_an_objective_that_only_reads_is_shown_the_points_themselves(name):
    class Reader:
        batched = reads_only = True
        asked = ()

        def __call__(self, points):
            assert not points.flags.writeable
            assert points.base is not None
            self.asked = (*self.asked, points)  # a copy of them is never made
            return bowls(points)

        def value_and_gradient(self, points):
            return self(points), 2 * (points - 1)

    fun, settings = Reader(), {"method": name, "bounds": BOX, "seed": 0, "budget": 150}
    result = minimize(fun, [0.0, 0.0], **settings)
    assert any(np.array_equal(result.x, x) for x in np.concatenate(fun.asked))
    jac = None if name in ("cma", "pso") else lambda p: 2 * (p - 1)
    assert result.fun == minimize(bowls, [0.0, 0.0], jac=jac, batched=True, **settings).fun


@pytest.mark.parametrize("name", ["cma", "adam"])
def test_who_breaks_the_promise_to_read_only_is_stopped(name):
    class Liar(Differentiable):
        reads_only = True

    with pytest.raises(ValueError, match="read-only"):
        minimize(Liar(), [0.0, 0.0], method=name, budget=50)


def test_the_promise_counts_only_from_objectives_of_the_protocol():
    def fun(points):
        values = bowls(points)
        points[:] = 99.0
        return values

    fun.reads_only = True
    settings = {"method": "cma", "batched": True, "seed": 0, "budget": 100}
    result = minimize(fun, [0.0, 0.0], **settings)
    assert result.fun == minimize(bowls, [0.0, 0.0], **settings).fun
