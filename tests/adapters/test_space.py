"""Parameters and the unit box: there and back, exactly."""

import json
import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import Bool, Choice, Fixed, Float, Int, Log, LogInt, Space

HUGE = sys.float_info.max
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=5e-324, max_value=HUGE)
shares = st.floats(0, 1) | st.sampled_from([0.0, 5e-324, 1e-17, 0.5, 1 - 2**-53, 1.0])
OPTIONS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def pairs(numbers):
    return st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)


def neighbours(number):
    return number, math.nextafter(number, math.inf)


@st.composite
def stepped(draw):
    low, count = draw(st.integers(-(10**9), 10**9)), draw(st.integers(1, 10**6))
    step, decimals = draw(st.integers(1, 10**6)), draw(st.integers(0, 9))
    scale = 10**decimals
    return Float(low / scale, (low + count * step) / scale, step=step / scale)


@st.composite
def counted(draw):
    low, step = draw(st.integers(-(2**70), 2**70)), draw(st.integers(1, 2**20))
    count, rest = draw(st.integers(1, 2**40)), draw(st.integers(0, step - 1))
    return Int(low, low + step * count + rest, step=step)


@st.composite
def choices(draw):
    options = draw(
        st.lists(
            OPTIONS,
            min_size=2,
            max_size=6,
            unique_by=lambda option: (isinstance(option, bool), option),
        )
    )
    return Choice(*options, ordered=draw(st.booleans()))


PARAMETERS = st.one_of(
    pairs(finite).map(lambda ends: Float(*ends)),
    st.floats(-HUGE / 2, HUGE / 2).map(lambda low: Float(*neighbours(low))),
    pairs(positive).map(lambda ends: Log(*ends)),
    st.floats(5e-324, HUGE / 2).map(lambda low: Log(*neighbours(low))),
    pairs(st.integers(1, 2**40)).map(lambda ends: LogInt(*ends)),
    stepped(),
    counted(),
    choices(),
    st.just(Bool()),
)


def identical(one, other):
    return repr(one) == repr(other) and type(one) is type(other)


@given(PARAMETERS, st.data())
def test_what_was_decoded_comes_back(parameter, data):
    point = data.draw(st.lists(shares, min_size=parameter.width, max_size=parameter.width))
    value = parameter.decode(point)
    assert identical(parameter.decode(parameter.encode(value)), value)
    assert np.all((parameter.encode(value) >= 0) & (parameter.encode(value) <= 1))
    space = Space({"p": parameter})
    assert identical(space.decode(point)["p"], value)
    assert identical(space.decode(space.encode({"p": value}))["p"], value)


@given(PARAMETERS.filter(lambda p: hasattr(p, "low")), shares, shares)
def test_decoding_rises_and_reaches_both_ends(parameter, one, other):
    low, high = sorted((one, other))
    assert parameter.decode([low]) <= parameter.decode([high])
    assert parameter.decode([0.0]) == parameter.low
    if parameter.cells == 0:
        assert parameter.decode([1.0]) == parameter.high
    assert parameter.low <= parameter.decode([one]) <= parameter.high


def decimals(low, high, digits):
    scale = 10**digits
    return st.integers(low * scale, high * scale).map(lambda whole: whole / scale)


@given(decimals(-5, 5, 13), decimals(0, 1, 14), decimals(1000, 1001, 11))
def test_short_decimals_come_back_as_they_are(around_zero, share, far):
    each = (Float(-5, 5), around_zero), (Float(0, 1), share), (Float(0, 1001), far)
    for parameter, number in each:
        assert parameter.decode(parameter.encode(number)) == number


@given(st.integers(10**11, 10**12 - 1), st.integers(-311, 288))
def test_twelve_digits_of_a_log_come_back_as_they_are(digits, exponent):
    number = float(f"{digits}e{exponent}")
    for log in (Log(1e-300, 1e300), Log(1e-5, 1e-2)):
        if log.low <= number <= log.high:
            assert log.decode(log.encode(number)) == number


@given(pairs(finite), st.floats(0, 1))
def test_any_number_comes_back_nearly(ends, share):
    parameter = Float(*ends)
    number = min(max(ends[0] * (1 - share) + ends[1] * share, ends[0]), ends[1])
    back = parameter.decode(parameter.encode(number))
    width = ends[1] / 2 - ends[0] / 2
    assert abs(back / 2 - number / 2) <= 5e-16 * width + 2 * math.ulp(number)


@given(counted(), st.data())
def test_every_step_comes_back(parameter, data):
    number = parameter.low + parameter.step * data.draw(st.integers(0, parameter.cells - 1))
    assert parameter.decode(parameter.encode(number)) == number


@given(pairs(st.integers(1, 2**40)), st.data())
def test_every_whole_number_of_a_log_comes_back(ends, data):
    number = data.draw(st.integers(*ends))
    assert LogInt(*ends).decode(LogInt(*ends).encode(number)) == number


def test_steps_are_decimals():
    tenths = Float(0.1, 1.0, step=0.1)
    assert [tenths.decode([(i + 0.5) / 10]) for i in range(10)] == [i / 10 for i in range(1, 11)]
    assert Float(0, 1, step=1 / 15).decode([1.0]) == 1.0
    fine = Float(1e9, 1e9 + 1, step=1e-4)
    assert fine.cells == 10_001
    assert fine.decode(fine.encode(1e9 + 0.0003)) == 1e9 + 0.0003
    with pytest.raises(ValueError, match="not a step"):
        fine.encode(1e9 + 0.00035)


def test_cells_are_equally_likely():
    points = np.random.default_rng(0).random((6000, 1))
    for parameter in (Int(3, 8), Choice(*"abcdef", ordered=True), Float(0, 1, step=0.2)):
        values = [Space(p=parameter).decode(point)["p"] for point in points]
        counts = np.unique(values, return_counts=True)[1]
        assert len(counts) == 6
        assert abs(counts - 1000).max() < 150
    logs = [Space(p=LogInt(1, 100)).decode(point)["p"] for point in points]
    share = math.log(10.5 / 0.5) / math.log(100.5 / 0.5)
    assert abs(np.mean(np.array(logs) <= 10) - share) < 0.03


MIXED = {
    "lr": Log(1e-5, 1e-2),
    "kernel": Choice("linear", "rbf", "poly"),
    "gamma": Log(1e-3, 1e3, when={"kernel": ("rbf", "poly")}),
    "degree": Int(2, 5, when={"kernel": "poly"}),
    "odd": Bool(when={"degree": (3, 5)}),
    "batch": Fixed(64),
}


def test_conditions():
    space = Space(dict(reversed(MIXED.items())))
    assert space.n == 7
    rng = np.random.default_rng(0)
    drawn = [space.draw(rng) for _ in range(200)]
    for params in drawn:
        assert ("gamma" in params) == (params["kernel"] != "linear")
        assert ("degree" in params) == (params["kernel"] == "poly")
        assert ("odd" in params) == (params.get("degree") in (3, 5))
        assert list(params) == [name for name in space if name in params]
        assert all(space.is_active(name, params) == (name in params) for name in space)
        assert space.decode(space.encode(params)) == params
    assert any("odd" in params for params in drawn)
    inactive = space.encode({"lr": 1e-3, "kernel": "linear"})[space.slices["gamma"]]
    assert inactive == 0.5


def test_a_tuple_may_be_an_option():
    space = Space(
        widths=Choice((64,), (64, 64), (32, 32)), p=Float(0, 1, when={"widths": (64, 64)})
    )
    assert not space.is_active("p", {"widths": (64,)})
    assert space.is_active("p", {"widths": (64, 64)})


def test_points_one_and_many():
    space = Space(MIXED)
    points = np.random.default_rng(1).uniform(-0.5, 1.5, (9, space.n))
    inside = np.clip(points, 0, 1)
    assert space.decode(points) == [space.decode(point) for point in inside]
    assert space.decode(np.empty((0, space.n))) == []
    assert space.cells.tolist() == [0, 0, 0, 0, 0, 4, 2]


def test_what_it_looks_like():
    shown = "Space(lr=Log(1e-05, 0.01), n=Int(1, 9, step=2), act=Choice('a', 'b'))"
    space = Space(lr=Log(1e-5, 1e-2), n=Int(1, 9, step=2), act=Choice("a", "b"))
    assert repr(space) == shown
    for each in (space, Space(MIXED), Space({"model.lr": Float(0, 1), "bias": Bool()})):
        assert eval(repr(each)) == each
        assert pickle.loads(pickle.dumps(each)) == each
        assert Space.from_dict(json.loads(json.dumps(each.to_dict()))) == each
    assert space != Space(lr=Log(1e-5, 1e-2))


REFUSED = {
    "empty": (lambda: Space(), ValueError, "nothing to search: it is empty"),
    "constants": (lambda: Space(a=1), ValueError, "only constants"),
    "low is high": (lambda: Float(1, 1), ValueError, "low must be below high.*use Fixed"),
    "crossed": (lambda: Int(3, 1), ValueError, "low must be below high"),
    "log of zero": (lambda: Log(0, 1), ValueError, "low must be positive, got 0.0: use Float"),
    "logint of zero": (lambda: LogInt(0, 9), ValueError, "low must be positive, got 0: use Int"),
    "logint beyond": (lambda: LogInt(1, 2**41), ValueError, "at most"),
    "infinite": (lambda: Float(0, math.inf), ValueError, "high must be finite"),
    "nan": (lambda: Float(math.nan, 1), ValueError, "low must be finite"),
    "beyond floats": (lambda: Float(0, 10**400), ValueError, "high must be finite"),
    "text": (lambda: Log("1e-5", 1), TypeError, "low must be a number, got '1e-5'"),
    "bool": (lambda: Int(False, 2), TypeError, "low must be a number, got False"),
    "half": (lambda: Int(0, 2.5), ValueError, "high must be a whole number, got 2.5"),
    "step": (lambda: Int(0, 2, step=3), ValueError, "step must be positive and at most"),
    "no step": (lambda: Float(0, 2, step=0), ValueError, "step must be positive"),
    "many": (lambda: Int(0, 2**51), ValueError, "larger step, or use Float"),
    "one option": (lambda: Choice("a"), ValueError, r"use Fixed\('a'\)"),
    "a list": (lambda: Choice(["a", "b"]), ValueError, r"Choice\(\*\['a', 'b'\]\)"),
    "twice": (lambda: Choice("a", "b", "a"), ValueError, "'a' is given twice"),
    "constant list": (lambda: Space(a=["x", "y"]), TypeError, r"give Choice\(\*options\)"),
    "a range": (lambda: Space(a=(0, 1)), TypeError, r"Float\(low, high\)"),
    "class": (lambda: Space(a=Bool), TypeError, "a is the class Bool"),
    "name": (lambda: Space({1: Bool()}), TypeError, "names must be strings"),
    "names twice": (lambda: Space({"a": Bool()}, a=Bool()), ValueError, "'a' is given twice"),
    "no mapping": (lambda: Space([Bool()]), TypeError, "must be a dictionary"),
    "unknown": (
        lambda: Space(a=Bool(when={"b": 1})),
        ValueError,
        "no such parameter; the space has a",
    ),
    "impossible": (
        lambda: Space(a=Bool(when={"b": "z"}), b=Choice("x", "y")),
        ValueError,
        "a is active only where b is 'z'.*no option",
    ),
    "several in a list": (
        lambda: Space(a=Bool(when={"b": ["x", "y"]}), b=Choice("x", "y", "z")),
        ValueError,
        r"several values give a tuple, \('x', 'y'\)$",
    ),
    "an array": (
        lambda: Space(a=Bool(when={"b": np.array([1, 2])}), b=Int(1, 3)),
        ValueError,
        r"several values give a tuple, \(1, 2\)$",
    ),
    "real": (lambda: Space(a=Bool(when={"b": 0.5}), b=Float(0, 1)), ValueError, "never is"),
    "no value": (lambda: Space(a=Bool(when={"b": ()}), b=Bool()), ValueError, "name one"),
    "when": (lambda: Bool(when="b"), TypeError, "when must be a dictionary"),
    "circle": (
        lambda: Space(a=Bool(when={"b": True}), b=Bool(when={"a": True}), c=Bool()),
        ValueError,
        "conditions of a, b go in a circle",
    ),
}


@pytest.mark.parametrize(("make", "kind", "says"), REFUSED.values(), ids=REFUSED)
def test_refused_when_made(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_draw_takes_a_seed():
    space = Space(MIXED)
    assert space.draw(3) == space.draw(np.int64(3)) == space.draw(np.random.default_rng(3))
    assert space.draw(3) != space.draw(4)


@pytest.mark.parametrize(
    "rng",
    [None, True, 0.5, -1, np.random.RandomState(0)],
    ids=["None", "true", "fraction", "negative", "legacy"],
)
def test_draw_says_what_it_wants(rng):
    with pytest.raises(ValueError if rng == -1 else TypeError, match=r"^draw: .*seed"):
        Space(MIXED).draw(rng)


ENCODED = {
    "missing": ({"kernel": "linear"}, ValueError, "lr is missing"),
    "unknown": ({"lr": 1e-3, "kernel": "linear", "x": 1}, ValueError, "unknown: 'x'"),
    "inactive": ({"lr": 1e-3, "kernel": "rbf", "gamma": 1, "degree": 2}, ValueError, "inactive"),
    "outside": ({"lr": 1.0, "kernel": "linear"}, ValueError, "lr: 1.0 is outside Log"),
    "no option": ({"lr": 1e-3, "kernel": "x"}, ValueError, "kernel: 'x' is no option"),
    "constant": ({"lr": 1e-3, "kernel": "linear", "batch": 3}, ValueError, "batch: 3 is not"),
    "text": ({"lr": "1", "kernel": "linear"}, TypeError, "lr: Log: the value must be a number"),
    "no mapping": ([1e-3], TypeError, "params must be a dictionary"),
}


@pytest.mark.parametrize(("params", "kind", "says"), ENCODED.values(), ids=ENCODED)
def test_values_refused(params, kind, says):
    with pytest.raises(kind, match=says):
        Space(MIXED).encode(params)


def test_points_refused():
    space = Space(a=Float(0, 1), b=Bool())
    for point in (np.zeros(3), np.zeros((1, 1, 2)), 0.5):
        with pytest.raises(ValueError, match=r"points must be \(2,\) or \(k, 2\)"):
            space.decode(point)
    with pytest.raises(ValueError, match="NaN"):
        space.decode([0.5, math.nan])


def test_true_is_not_one_and_nan_is_itself():
    space = Space(a=Choice(True, 1, "1", math.nan))
    for option in (True, 1, "1", float("nan")):
        assert identical(space.decode(space.encode({"a": option}))["a"], option)
