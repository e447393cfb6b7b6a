"""What is tuned: the user's function, checked, and run so that it may report as it goes."""

import inspect
import math
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from adapters.space import Space
from blackbox.types import Array

Answer = Callable[[float, int], bool]
"""Takes an intermediate value and its step; says whether the training is to go on."""


class Stopped(BaseException):
    """Raised within a training that is to end. No `Exception`, so that none catches it there."""


class NoNumberError(TypeError):
    """The function returned what is no number: a mistake, not a failure."""


class Trained(NamedTuple):
    """How a training ended.

    Attributes
    ----------
    value
        The result; None where it was stopped on the way.
    reports
        Intermediate values by step that nobody has heard of yet.
    """

    value: float | None
    reports: dict[int, float]


class Trainee:
    """The user's function, called with parameters by name.

    Parameters
    ----------
    function
        ``train(**params) -> float``; a generator of intermediate values, the last of which is the
        result; or a function that calls ``report(value, step=None)``, which it takes as well.
    space
        What it is called with.

    Attributes
    ----------
    reports
        Whether it gives intermediate values.
    asks
        Whether it asks the process that made its own (see `blackbox.child`) how to go on.

    Raises
    ------
    TypeError
        If it can't be called with the parameters of the space.
    """

    def __init__(self, function: Callable[..., Any], space: Space) -> None:
        if not callable(function):
            raise TypeError(f"train must be a function; got {type(function).__name__}")
        self._function = function
        self._takes_report = check_signature(function, space)
        self.reports = self._takes_report or _yields(function)
        self.asks = False

    def __call__(self, letter: Array) -> Trained:
        """Train in a process of its own: the parameters come as a letter, see `write_letter`."""
        told: dict[int, float] = {}

        def keep(value: float, step: int) -> bool:
            told[step] = value
            return True

        return self.run(read_letter(letter), _ask if self.asks else keep)._replace(reports=told)

    def run(self, params: Mapping[str, Any], answer: Answer) -> Trained:
        """Train, and hand on what is reported.

        Raises
        ------
        NoNumberError
            If what comes back, or is reported, is no number.
        """
        last: list[tuple[float, int]] = []

        def report(value: Any, step: int | None = None) -> None:
            before = last[-1][1] if last else 0
            step = before + 1 if step is None else _check_step(step, before)
            last[:] = [(_number(value, "reported"), step)]
            if not answer(*last[0]):
                raise Stopped

        try:
            more = {"report": report} if self._takes_report else {}
            given = self._function(**params, **more)
            if inspect.isgenerator(given):
                given = _exhaust(given, report)
        except Stopped:
            return Trained(None, {})
        if given is None and last:
            return Trained(last[0][0], {})
        return Trained(_number(given, "returned"), {})


def _exhaust(yielding: Any, report: Callable[[Any], None]) -> Any:
    """Report what a generator yields; return what it returns."""
    with closing(yielding):
        while True:
            try:
                value = next(yielding)
            except StopIteration as end:
                return end.value
            report(value)


def _yields(function: Any) -> bool:
    """Whether it is a generator function, also as a partial, decorated, or an object's call."""
    while hasattr(function, "func"):
        function = function.func
    function = inspect.unwrap(function)
    return any(inspect.isgeneratorfunction(each) for each in (function, type(function).__call__))


def check_signature(function: Callable[..., Any], space: Space) -> bool:
    """Check that a function can be called with the parameters of a space.

    Returns
    -------
    Whether it takes ``report`` too.

    Raises
    ------
    TypeError
        If not: it says which parameter is missing, here or there.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins do not say what they take
        return False
    name = getattr(function, "__name__", type(function).__name__)
    takes = signature.parameters
    named = {
        each.name: each
        for each in takes.values()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    anything = any(each.kind == each.VAR_KEYWORD for each in takes.values())
    if not anything and (unknown := [each for each in space if each not in named]):
        raise TypeError(
            f"{name}{signature} does not take {_list(unknown)}, which the space has; add it to "
            "the function, or **others"
        )
    needed = [each.name for each in takes.values() if each.default is each.empty]
    needed = [
        each
        for each in needed
        if takes[each].kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if missing := [each for each in needed if each not in space and each != "report"]:
        raise TypeError(
            f"{name}{signature} needs {_list(missing)}, which the space does not have "
            f"({', '.join(space)}); add it to the space (a constant will do), or give it a default"
        )
    if bare := [each for each in needed if each in space and space[each].when]:
        raise TypeError(
            f"{name}{signature} needs {_list(bare)}, which is not active always ({bare[0]}: only "
            f"where {dict(space[bare[0]].when or {})}); give it a default"
        )
    return "report" in named and "report" not in space


def write_letter(params: Mapping[str, Any]) -> Array:
    """Return parameters as float64 numbers: points are what children and executors are sent."""
    import cloudpickle

    packed = cloudpickle.dumps(dict(params))
    return np.frombuffer(packed + bytes(-len(packed) % 8), dtype=np.float64)  # pickle ends itself


def read_letter(letter: Array) -> dict[str, Any]:
    """Return the parameters of a letter that this program wrote."""
    params: dict[str, Any] = pickle.loads(letter.tobytes())
    return params


def _ask(value: float, step: int) -> bool:
    """Ask the process that gave this one its work."""
    answer: bytes = sys.modules["__main__"].ask(pickle.dumps((value, step)))
    return bool(answer)


def _check_step(step: Any, before: int) -> int:
    if isinstance(step, bool) or not isinstance(step, Integral):
        raise TypeError(f"report: step is how many steps are done, an int; got {step!r}")
    if step <= before:
        raise ValueError(
            f"report: step={step} after {before}; step is how many steps are done, 1 after the "
            "first, and grows"
        )
    return int(step)


def _number(value: Any, verb: str) -> float:
    """Return a real number, also that of a tensor or an array of one."""
    told = f"{value!r:.40}" + (" (forgot `return`?)" if value is None else "")
    if (shape := getattr(value, "shape", None)) is not None:
        told = f"a {type(value).__name__} of shape {tuple(shape)}"
        if math.prod(shape) == 1:
            value = value.item()
    if not isinstance(value, (str, bytes, bool)):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    raise NoNumberError(f"train {verb} {told}; it must be a number")


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
