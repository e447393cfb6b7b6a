"""Bad input, and input that only looks bad: what each case is, and what must come of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.optimize import Bounds

from blackbox.algorithms import Method
from blackbox.algorithms.option_values import takes
from blackbox.algorithms.takes import Takes

N = 2
BUDGET = 150


class Planned(Exception):
    """What an objective raises on purpose."""


@dataclass(frozen=True)
class Case:
    """A call of `minimize` that differs from a plain one.

    Attributes
    ----------
    name
        What is odd about it.
    must
        ``"refuse"``: an error before the first evaluation; ``"stop"``: an error at the first
        evaluation that shows it; ``"fail"``: a result with ``success=False``, or an error;
        ``"run"``: a result that is sane, or an error before the first evaluation; ``"raise"``: the
        objective's own exception, with the result so far.
    words
        An error must hold one of them: the argument's name, or what is wrong.
    change
        Arguments in place of the plain ones.
    wrap
        Makes the objective of a plain one.
    options
        Makes the method's options of its row: a call with each of them. None are left where the
        case is not for it. Of an error without `words` the option must be named.
    solves
        Whether a success means that the plain problem is solved.
    """

    name: str
    must: Literal["refuse", "stop", "fail", "run", "raise"]
    words: tuple[str, ...] = ()
    change: Mapping[str, Any] = field(default_factory=dict)
    wrap: Callable[[Callable[[Any], Any]], Any] | None = None
    options: Callable[[Method], list[dict[str, Any]]] | None = None
    solves: bool = True


def sphere(x: Any) -> float:
    """Return the squared distance from 0.7."""
    return float(np.sum((np.asarray(x) - 0.7) ** 2))


class Sometimes:
    """An objective that does something else at some evaluations."""

    def __init__(self, fun: Callable[[Any], Any], when: Callable[[int], bool], what: Any) -> None:
        self.fun, self.when, self.what, self.count = fun, when, what, 0

    def __call__(self, x: Any) -> Any:
        """Do the one or the other."""
        self.count += 1
        if not self.when(self.count):
            return self.fun(x)
        if isinstance(self.what, type) and issubclass(self.what, BaseException):
            raise self.what
        return self.what


def always(what: Any) -> Callable[[Any], Any]:
    """Return a wrapper after which each evaluation gives this."""
    return lambda fun: Sometimes(fun, lambda count: True, what)


def at(when: Callable[[int], bool], what: Any) -> Callable[[Any], Any]:
    """Return a wrapper after which some evaluations give this."""
    return lambda fun: Sometimes(fun, when, what)


def _quarter(count: int) -> bool:
    return (count * 2654435761) % 2**32 < 2**30


def _mutating(fun: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def called(x: Any) -> Any:
        value = fun(x)
        x[:] = 1e9
        return value

    return called


def _smallest(row: Method) -> list[dict[str, Any]]:
    return [{name: 1} for name in ("popsize", "swarmsize") if name in row.options()]


def _no_iterations(row: Method) -> list[dict[str, Any]]:
    return [{"maxiter": 0}] if "maxiter" in row.options() else []


def _option(
    name: str, must: Literal["refuse", "run"], value: Any, fits: Callable[[Takes], bool]
) -> Case:
    """A value for each option in turn of which this is said."""

    def options(row: Method) -> list[dict[str, Any]]:
        known = takes(row.name, row.load())
        return [{option: value} for option, what in known.items() if fits(what)]

    return Case(f"options: {name}", must, change={"budget": 40}, options=options, solves=False)


def _read_only(values: Any) -> Any:
    array = np.array(values)
    array.flags.writeable = False
    return array


def _refused(argument: str, **values: Any) -> list[Case]:
    """Values of an argument that must be refused, by what they are."""
    return [
        Case(f"{argument}: {name.replace('_', ' ')}", "refuse", (argument,), {argument: value})
        for name, value in values.items()
    ]


def _taken(argument: str, **values: Any) -> list[Case]:
    """Values of an argument that are as good as the plain one."""
    return [
        Case(f"{argument}: {name.replace('_', ' ')}", "run", (argument,), {argument: value})
        for name, value in values.items()
    ]


STARTS = [
    *_refused(
        "x0",
        NaN=[math.nan, 1.0],
        infinite=[math.inf, 1.0],
        empty=[],
        strings=["1", "2"],
        array_of_strings=np.array(["a", "b"]),
        ragged=[[1.0], [1.0, 2.0]],
        array_of_objects=np.array([1.0, None], dtype=object),
        complex=[1j, 1.0],
        three_axes=np.ones((1, 2, 2)),
        dict={"a": 1.0},
        other_length_than_bounds=[1.0, 2.0, 3.0],
    ),
    Case("x0: missing, and bounds", "refuse", ("x0",), {"x0": None, "bounds": None}),
    *_taken(
        "x0",
        bool=[True, False],
        integers=[1, 2],
        float32=np.array([1.0, 2.0], np.float32),
        objects_that_are_numbers=np.array([1.0, 2.0], dtype=object),
        read_only=_read_only([1.0, 2.0]),
        not_contiguous=np.arange(8.0)[1::4],
        outside_the_bounds=[9.0, -9.0],
        on_a_corner_of_the_bounds=[5.0, -5.0],
        column=np.ones((2, 1)).T,
    ),
]
BOUNDS = [
    *_refused(
        "bounds",
        crossed=[(5, -5), (-5, 5)],
        NaN=[(math.nan, 5), (-5, 5)],
        too_few=[(-5, 5)],
        triples=[(-5, 0, 5), (-5, 0, 5)],
        strings=[("a", "b"), ("c", "d")],
        empty=[],
        number=3,
        text="none",
        lower_is_inf=[(math.inf, math.inf), (-5, 5)],
        crossed_Bounds=Bounds([5, 5], [-5, -5]),
        too_long_Bounds=Bounds([-5] * 3, [5] * 3),
        complex=[(-5j, 5), (-5, 5)],
    ),
    *_taken(
        "bounds",
        one_pair=(-5, 5),
        Bounds=Bounds([-5, -5], [5, 5]),
        Bounds_of_numbers=Bounds(-5, 5),
        array=np.array([[-5.0, 5.0], [-5.0, 5.0]]),
        infinite=[(-math.inf, math.inf)] * N,
        none=[(None, None)] * N,
        half_open=[(-5, None), (None, 5)],
        no_room=[(1.0, 1.0), (-5, 5)],
        no_room_at_all=[(1.0, 1.0), (2.0, 2.0)],
        very_wide=[(-1e300, 1e300)] * N,
        integers=[(-5, 5), (-5, 5)],
        float32=np.array([[-5, 5], [-5, 5]], np.float32),
    ),
]
VALUES = [
    Case("value: NaN at a quarter", "run", ("objective",), wrap=at(_quarter, math.nan)),
    Case("value: NaN always", "fail", ("objective",), wrap=always(math.nan)),
    Case("value: inf always", "fail", ("objective",), wrap=always(math.inf)),
    Case("value: -inf once", "stop", ("-inf",), wrap=at(lambda c: c == 3, -math.inf)),
    Case("value: array of 2", "stop", ("objective",), wrap=always(np.ones(2))),
    Case("value: None", "stop", ("objective",), wrap=always(None)),
    Case("value: a text", "stop", ("objective",), wrap=always("1.2")),
    Case("value: complex", "stop", ("objective",), wrap=always(1.2 + 1j)),
    Case("value: an object", "stop", ("objective",), wrap=always(object())),
    Case("value: a dict", "stop", ("objective",), wrap=always({"loss": 1.0})),
    Case("value: array of 1", "run", ("objective",), wrap=lambda f: lambda x: np.array([f(x)])),
    Case("value: float32", "run", ("objective",), wrap=lambda f: lambda x: np.float32(f(x))),
    Case("value: integers", "run", ("objective",), wrap=lambda f: lambda x: round(f(x))),
    Case("value: always the same", "run", ("objective",), wrap=always(3.0)),
    Case("value: huge", "run", ("objective",), wrap=lambda f: lambda x: 1e306 * (1 + f(x))),
    Case("changes its point", "run", ("objective",), wrap=_mutating),
    Case("raises at evaluation 20", "raise", wrap=at(lambda c: c == 20, Planned)),
    Case("Ctrl-C at evaluation 20", "raise", wrap=at(lambda c: c == 20, KeyboardInterrupt)),
    Case(
        "raises at a quarter, penalized",
        "run",
        ("objective",),
        {"on_error": "penalize"},
        wrap=at(_quarter, Planned),
    ),
    Case(
        "raises always, penalized",
        "fail",
        ("objective",),
        {"on_error": "penalize"},
        always(Planned),
    ),
    Case("fun: None", "refuse", ("fun",), wrap=lambda f: None),
    Case("fun: a number", "refuse", ("fun",), wrap=lambda f: 3.0),
]
SETTINGS = [
    *_refused("budget", zero=0, negative=-5, fraction=1.5, NaN=math.nan, text="10", bool=True),
    *_refused("max_seconds", negative=-1.0, NaN=math.nan, text="1"),
    *_refused("target", NaN=math.nan, text="1"),
    *_refused(
        "seed", negative=-1, fraction=1.5, text="a", bool=True, list=[1, 2], array=np.ones(2)
    ),
    *_refused("workers", zero=0, negative=-1, text="a", bool=True, fraction=1.5),
    *_refused("on_error", unknown="ignore", number=3),
    *_refused("callback", number=3),
    *_refused("jac", unknown="exact", number=3),
    *_refused("integrality", twos=2, too_long=[1, 0, 1], text="a"),
    *_refused("options", list=[1], text="a", number=3),
    *_refused("tol", text="a", NaN=math.nan, negative=-1.0, bool=True),
    *_refused("method", unknown="newtonn", number=3, empty="", empty_list=[]),
    *_refused("constraints", number=3, text="a"),
    Case(
        "constraints: unknown type",
        "refuse",
        ("constraint",),
        {"constraints": {"type": "neq", "fun": sphere}},
    ),
    Case("constraints: no function", "refuse", ("constraint",), {"constraints": {"type": "eq"}}),
    *_refused("journal", folder=".", number=3, no_folder="none/none/run.journal"),
    *_taken(
        "seed",
        long=2**100,
        integer_of_numpy=np.int64(3),
        none=None,
    ),
    *_taken("budget", one=1, integer_of_numpy=np.int64(BUDGET), whole_float=float(BUDGET)),
    Case("max_seconds: 0", "run", ("max_seconds",), {"max_seconds": 0.0}),
    Case("unknown option", "run", ("option",), options=lambda row: [{"no_such": 1}]),
    Case("population of 1", "run", ("popsize", "swarmsize"), options=_smallest),
    Case("maxiter 0", "run", ("maxiter", "iterations"), options=_no_iterations),
    Case(
        "n = 300,000",
        "run",
        ("matrices", "variables"),
        {"x0": np.ones(300_000), "bounds": (-5, 5), "budget": 4},
    ),
]
OPTIONS = [
    _option("a text", "refuse", "x", lambda what: str not in what.kinds),
    _option("an object", "refuse", object(), lambda what: True),
    _option("NaN", "refuse", math.nan, lambda what: bool(what.numbers)),
    _option("None", "run", None, lambda what: True),
    _option("negative", "run", -1, lambda what: bool(what.numbers)),
    _option("-inf", "run", -math.inf, lambda what: bool(what.numbers)),
    _option("huge", "run", 10**18, lambda what: what.whole),
    _option("an array of 7", "refuse", np.ones(7), lambda what: ("k",) not in what.shapes),
]
CASES = [*STARTS, *BOUNDS, *VALUES, *SETTINGS, *OPTIONS]
