"""Problems of the user's own: a function or an object, by itself or in a Python file.

A problem is a function of a point, ``f(x) -> float`` with x of shape (n,), or an object that can be
called so; of a class one is made, without arguments. It says more of itself by attributes, which
functions may carry, too (``f.bounds = [(-5, 5)] * 3``):

``x0``
    A point, (n,), to start from.
``bounds``
    Pairs (low, high), one a variable; or one for all, where `x0` or `n` says how many there are.
    One of `x0`, a finite box and `start` is needed.
``batched``
    True if a call takes points (k, n) and returns values (k,); as in `blackbox.minimize`, such an
    object may also have ``value_and_gradient``, ``begin``, ``full`` and ``end``.
``optimum``, ``constraints``, ``description``, ``n``
    The best value known, scipy's constraints, a sentence, the number of variables.
``start(rng) -> x``
    The rule for starts, from a `numpy.random.Generator`. Without it the first start of seed 0 is
    `x0`, if there is one. All others are uniform in the box where it is finite; else they are `x0`
    with normal noise, a tenth of each coordinate's size and at least 0.1, kept in the bounds.
``report(x) -> dict``
    Figures to show for a solution, by name.

An `adapters.ModelObjective` is such an object.
"""

import hashlib
import inspect
import re
from collections.abc import Mapping
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.problem import check_bounds, check_starts
from experiments.problems.benchmark import Benchmark, Uniform
from experiments.problems.user_file import UserFileError, attribute, digest, load

Array = NDArray[np.float64]

EXAMPLE = "{name}.bounds = [(-5, 5)] * 3, or {name}.x0 = [0.0, 0.0, 0.0]"


def from_file(text: str) -> Benchmark:
    """Return the problem that ``path/to/file.py:name`` names.

    The path is relative to the current folder. The problem is called by this text, and its
    fingerprint is a digest of the file; other files that it reads are not looked at.

    Raises
    ------
    UserFileError
        If the file is not there, does not import, or has no such name; a ValueError.
    ValueError
        If the problem does not say where to start.
    """
    match = re.fullmatch(r"(.+?\.py)(?::(.*))?", text.strip(), re.DOTALL)
    assert match is not None
    path, name = Path(match[1]), match[2] or ""
    found = attribute(path, name)
    make = partial(_make, str(path.absolute()), name)
    try:
        one = _instance(found, text)
    except TypeError as error:
        raise UserFileError(str(error)) from None
    return _benchmark(one, text.strip(), make, f"file {path.name}", digest(path))


def from_object(given: object, name: str | None = None) -> Benchmark:
    """Return the problem that an object is; arguments as those of `experiments.problems`."""
    name = name or getattr(given, "__name__", None) or type(given).__name__
    try:
        text = inspect.getsource(given if inspect.isroutine(given) else _class_of(given))
    except (OSError, TypeError):  # written at a prompt
        text = ""
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""
    one = _instance(given, name)
    make = partial(_instance, given, name) if isinstance(given, type) else partial(_same, one)
    return _benchmark(one, name, make, "given in Python", fingerprint)


def _class_of(given: object) -> type:
    return given if isinstance(given, type) else type(given)


def _same(given: Any) -> Any:
    return given


def _make(path: str, name: str) -> Any:
    """The objective of a file; loaded already, but in another process."""
    return _instance(getattr(load(Path(path)), name), f"{path}:{name}")


def _instance(given: Any, name: str) -> Any:
    """The object itself, or one of the class. It can be called."""
    if isinstance(given, type):
        try:
            given = given()
        except Exception as error:
            raise UserFileError(
                f"problem {name!r}: the class cannot be made without arguments: "
                f"{type(error).__name__}: {error}"
            ) from error
    if not callable(given):
        raise TypeError(
            f"problem {name!r} is {type(given).__name__}, which cannot be called; it must be a "
            "function of one point, or an object with __call__"
        )
    return given


def _benchmark(one: Any, name: str, make: Any, source: str, fingerprint: str) -> Benchmark:
    try:
        x0, own = _read_start(one)
        n = _read_size(one, x0, own)
        lower, upper = check_bounds(getattr(one, "bounds", None), n)
        if x0 is not None and ((x0 < lower) | (x0 > upper)).any():
            where = int(np.flatnonzero((x0 < lower) | (x0 > upper))[0])
            raise ValueError(
                f"x0 is outside the bounds at coordinate {where}: {x0[where]:g} is not within "
                f"{lower[where]:g} .. {upper[where]:g}"
            )
    except (TypeError, ValueError) as error:
        raise ValueError(f"problem {name!r}: {error}") from error
    _check_optimum(getattr(one, "optimum", None), name)
    free = np.isinf(lower).all() and np.isinf(upper).all()
    optimum, report = getattr(one, "optimum", None), getattr(one, "report", None)
    return Benchmark(
        name=name,
        description=_description(one),
        source=source,
        make=make,
        n=n,
        bounds=None if free else tuple(zip(lower.tolist(), upper.tolist(), strict=True)),
        draw=_rule(x0, lower, upper, name) if own is None else own,
        optimum=None if optimum is None else float(optimum),
        report=report if callable(report) else None,
        x0=x0 if own is None else None,
        constraints=_constraints(getattr(one, "constraints", ())),
        changing=hasattr(one, "batched") and getattr(one, "begin", None) is not None,
        fingerprint=fingerprint,
    )


def _check_optimum(optimum: Any, name: str) -> None:
    try:
        known = optimum is None or bool(np.isfinite(float(optimum)))
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"problem {name!r}: optimum must be a finite number, the best value known; got "
            f"{optimum!r:.60}. Leave it out where nobody knows it"
        )


def _read_start(one: Any) -> tuple[Array | None, "_Own | None"]:
    """`x0` (n,) and the user's rule; None for what there is not."""
    x0, rule = getattr(one, "x0", None), getattr(one, "start", None)
    if x0 is not None:
        if hasattr(x0, "detach"):  # a tensor that is part of a graph
            x0 = x0.detach().cpu().numpy()
        starts = check_starts(x0)
        if len(starts) != 1:
            raise ValueError(f"x0 has shape {np.shape(x0)}; it must be one point, (n,)")
        x0 = starts[0]
    if rule is not None and not callable(rule):
        raise TypeError(f"start must be a function of a random generator; got {rule!r:.60}")
    return x0, None if rule is None else _Own(rule)


def _read_size(one: Any, x0: Array | None, draw: "_Own | None") -> int:
    bounds, n = getattr(one, "bounds", None), getattr(one, "n", None)
    if x0 is not None:
        return len(x0)
    if isinstance(n, Integral) and int(n) > 0:
        return int(n)
    if draw is not None:
        return len(draw(np.random.default_rng(0)))
    if bounds is None:
        name = getattr(one, "__name__", "problem")
        raise ValueError(
            "it has neither x0 nor bounds, so nobody knows how many variables there are; add "
            "a line such as " + EXAMPLE.format(name=name)
        )
    return len(check_bounds(bounds, None)[0])


class _Own:
    """The user's rule for starts, checked."""

    def __init__(self, rule: Any) -> None:
        self._rule = rule

    def __call__(self, rng: np.random.Generator) -> Array:
        starts = check_starts(self._rule(rng))
        if len(starts) != 1:
            raise ValueError(f"start(rng) must return one point, (n,); got shape {starts.shape}")
        start: Array = starts[0]
        return start


class _Near:
    """The rule for starts around a point, kept in the bounds."""

    def __init__(self, x0: Array, lower: Array, upper: Array) -> None:
        self._x0, self._lower, self._upper = x0, lower, upper

    def __call__(self, rng: np.random.Generator) -> Array:
        scale = np.maximum(0.1 * np.abs(self._x0), 0.1)
        moved = self._x0 + scale * rng.standard_normal(len(self._x0))
        kept: Array = np.clip(moved, self._lower, self._upper)
        return kept


def _rule(x0: Array | None, lower: Array, upper: Array, name: str) -> Uniform | _Near:
    if np.isfinite(lower).all() and np.isfinite(upper).all():
        return Uniform(lower, upper, len(lower))
    if x0 is None:
        short = name.rpartition(":")[2]
        raise ValueError(
            f"problem {name!r}: its box is not finite and there is no x0, so there is nowhere to "
            f"start; add a line such as {EXAMPLE.format(name=short)}"
        )
    return _Near(x0, lower, upper)


def _description(one: Any) -> str:
    """Its own words: `description`, or the first line of a function's or the class's docstring."""
    own = getattr(one, "description", None)
    if isinstance(own, str):
        return own
    described = inspect.isroutine(one) or type(one).__module__.partition(".")[0] not in _OURS
    lines = (getattr(one, "__doc__", None) or "").strip().splitlines()
    return lines[0].rstrip(".") if described and lines else ""


_OURS = ("adapters", "blackbox", "experiments", "functools")


def _constraints(given: Any) -> tuple[Any, ...]:
    if isinstance(given, Mapping) or not isinstance(given, (list, tuple)):
        return (given,)
    return tuple(given)
