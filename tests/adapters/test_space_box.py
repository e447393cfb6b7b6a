"""The box in which a method searches: whole numbers, and floors that keep options alive."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import Bool, Choice, Float, Int, Log, LogInt, SearchBox, Space
from blackbox import minimize
from tests.adapters.test_space import PARAMETERS

MIXED = Space(
    x=Float(-5, 5),
    y=Float(-5, 5),
    z=Float(-5, 5),
    n=Int(0, 20),
    option=Choice("a", "b", "c", "d", "e"),
    width=LogInt(1, 1000),
    flag=Bool(),
)


def mixed(x, y, z, n, option, width, flag):
    smooth = (x - 1.3) ** 2 + (y + 2.1) ** 2 + (z - 0.4) ** 2
    steps = (n - 17) ** 2 / 4 + 4 * math.log(width / 37) ** 2
    return smooth + steps + 1.0 * (option != "d") + 0.5 * (not flag)


def is_found(params):
    discrete = [params[name] for name in ("n", "option", "width", "flag")]
    return discrete == [17, "d", 37, True] and mixed(**params) < 1e-2


def plain(method, seed):
    result = minimize(
        lambda u: mixed(**MIXED.decode(u)),
        bounds=[(0, 1)] * MIXED.n,
        method=method,
        budget=1500,
        seed=seed,
    )
    return is_found(MIXED.decode(result.x))


def boxed(method, seed):
    box = SearchBox(MIXED)
    result = minimize(box.objective(mixed), **box.settings(method), budget=1500, seed=seed)
    return is_found(box.decode(result.x))


def test_options_are_found():
    assert boxed("cma", 0)


@pytest.mark.slow
def test_more_are_found_than_by_rounding():
    found = [[run("cma", seed) for seed in range(20)] for run in (plain, boxed)]
    assert sum(found[0]) <= 12
    assert sum(found[1]) >= 17


@given(PARAMETERS, st.data())
def test_there_and_back(parameter, data):
    space = Space(p=parameter, other=Int(0, 3))
    box = SearchBox(space)
    shares = st.lists(st.floats(0, 1), min_size=space.n, max_size=space.n)
    point = np.array(data.draw(shares))
    params = space.decode(point)
    there = box.from_unit(point)
    assert np.all((there >= box.bounds[:, 0]) & (there <= box.bounds[:, 1]))
    assert np.all(there[box.integrality] % 1 == 0)
    assert repr(box.decode(there)) == repr(params)
    assert repr(box.decode(box.encode(params))) == repr(params)
    np.testing.assert_array_equal(box.from_unit(np.array([point] * 2)), [there] * 2)


def test_whole_numbers():
    box = SearchBox(MIXED)
    assert box.bounds[:, 1].tolist() == [1, 1, 1, 20, 1, 1, 1, 1, 1, 1, 1]
    assert np.flatnonzero(box.integrality).tolist() == [3, 10]
    assert SearchBox(Space(x=Float(0, 1), c=Choice(1, 2, 3))).integrality is None


@pytest.mark.parametrize(
    "parameter",
    [Choice(*"abc"), Choice(*"abcdefghijkl"), LogInt(1, 1000), LogInt(50, 60)],
    ids=repr,
)
def test_the_floor_keeps_other_values_alive(parameter):
    """As often as it says, another value is drawn around a mean that sits on one."""
    space = Space(p=parameter, **{f"x{i}": Float(0, 1) for i in range(4)})
    floors = SearchBox(space).options("cma")["minstd"]
    least = 1 / (space.n * (4 + 3 * math.log(space.n)))
    assert np.all(floors[parameter.width :] == 0)
    rng = np.random.default_rng(0)
    part = slice(0, parameter.width)
    if isinstance(parameter, LogInt):
        low, high = (math.sqrt(parameter.low * parameter.high) + side for side in (-0.5, 0.5))
        start, end = parameter.ends
        edges = (np.log([low, high]) - start) / (end - start)
        drawn = edges.mean() + floors[0] * rng.standard_normal(200_000)
        share = np.mean((drawn < edges[0]) | (drawn > edges[1]))
        assert abs(share / least - 1) < 0.1
    else:
        mean = parameter.encode("a")
        drawn = mean + floors[part] * rng.standard_normal((200_000, parameter.width))
        share = np.mean(drawn.argmax(axis=1) != 0)
        assert 0.8 * least < share < 1.1 * least


def test_settings():
    box = SearchBox(MIXED)
    assert box.options("pso") == box.options("differential_evolution") == {}
    assert SearchBox(Space(x=Float(0, 1), n=Int(0, 5))).options("cma") == {}
    settings = box.settings("CMA", {"sigma0": 0.2, "minstd": 0.1})
    assert (settings["method"], settings["options"]["minstd"]) == ("cma", 0.1)
    with pytest.raises(ValueError, match=r"'l-bfgs-b' walks on slopes, and n has none \(Int\(0"):
        box.settings("l-bfgs-b")
    smooth = SearchBox(Space(x=Float(-5, 5), y=Log(1e-3, 1e3)))
    found = minimize(
        smooth.objective(lambda x, y: (x - 1) ** 2 + math.log(y / 2) ** 2),
        **smooth.settings("l-bfgs-b"),
        seed=0,
    )
    assert smooth.decode(found.x) == pytest.approx({"x": 1, "y": 2}, rel=1e-4)
    with pytest.raises(TypeError, match="train must be callable, got 3"):
        box.objective(3)
    with pytest.raises(TypeError, match="space must be a Space, got 3"):
        SearchBox(3)


@pytest.mark.parametrize(
    "method", ["cma", "sep-cma", "ipop-cma", "bipop-cma", "pso", "random", "direct"]
)
def test_methods_run_in_the_box(method):
    box = SearchBox(MIXED)
    seen = []
    result = minimize(
        box.objective(lambda **params: seen.append(params) or mixed(**params)),
        **box.settings(method),
        budget=60,
        seed=0,
    )
    assert result.nfev == len(seen) == 60
    assert mixed(**box.decode(result.x)) == result.fun
