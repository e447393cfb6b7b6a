"""What a hyperparameter may be: each kind knows its part of the unit box.

A parameter takes `width` coordinates between 0 and 1. Numbers and ordered choices take one;
whole numbers, steps and choices cut it into cells. An unordered choice of three or more takes one
coordinate an option, and the largest decides (one-hot): so no option lies between two others.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np

from blackbox.types import Array

When = Mapping[str, Any]
"""Names of other parameters and the value, or tuple of values, that each must have."""

MOST_CELLS = 2**52
"""More cells than this a float64 between 0 and 1 cannot tell apart."""


class Parameter:
    """A hyperparameter: what all kinds share.

    Attributes
    ----------
    when
        The parameter is active only where each parameter named here has the given value, or one of
        the given tuple of values; None: always.
    """

    when: When | None

    @property
    def width(self) -> int:
        """How many coordinates of the unit box it takes."""
        return 1

    @property
    def cells(self) -> int:
        """Into how many cells of equal width its coordinate is cut; 0 where it is not."""
        return 0

    def decode(self, u: Array) -> Any:
        """Return the value that coordinates (width,) in [0, 1] stand for."""
        raise NotImplementedError

    def encode(self, value: Any) -> Array:
        """Return coordinates (width,) that `decode` to the value.

        Values that came from `decode` come back exactly. A real number that no coordinate stands
        for gives its nearest neighbour, at most 2e-16 of the range away.

        Raises
        ------
        TypeError, ValueError
            If the parameter cannot have the value.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if not field.kw_only:
                shown.append(repr(value))
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Float(Parameter):
    """A real number from `low` to `high`, both included.

    Parameters
    ----------
    low, high
        The range.
    step
        Only `low`, ``low + step``, ``low + 2 * step`` ... up to `high`.
    when
        See `Parameter`.

    Raises
    ------
    TypeError, ValueError
        If the range is none, or `step` is not positive or larger than the range.
    """

    low: float
    high: float
    _: KW_ONLY
    step: float | None = None
    when: When | None = None

    def __post_init__(self) -> None:
        _check_range(self, _real)
        if self.step is not None:
            step = _real(self, "step", self.step)
            if not 0 < step <= self.high - self.low:
                raise ValueError(
                    f"{type(self).__name__}: step must be positive and at most high - low = "
                    f"{self.high - self.low!r}, got {self.step!r}"
                )
            object.__setattr__(self, "step", step)
            _check_cells(self)

    @property
    def cells(self) -> int:
        """The number of steps, and one; 0 without a step."""
        # As many steps as decimal numbers suggest: 0.3 / 0.1 is 2.9999999999999996.
        return 0 if self.step is None else int((self.high - self.low) / self.step + 1e-9) + 1

    def decode(self, u: Array) -> float:
        """Return the number."""
        if self.step is None:
            return self._at(float(u[0]))
        return self._nth(_cell(u, self.cells))

    def encode(self, value: Any) -> Array:
        """Return the coordinate, (1,)."""
        number = _inside(self, _real(self, "the value", value))
        if self.step is None:
            share = number / 2 - self.low / 2
            return _settle(self._at, number, share / (self.high / 2 - self.low / 2))
        cell = round((number - self.low) / self.step)
        if cell >= self.cells or not math.isclose(
            self._nth(cell), number, abs_tol=1e-9 * self.step
        ):
            raise ValueError(f"{value!r} is not a step of {self!r}")
        return _middle(cell, self.cells)

    def _at(self, share: float) -> float:
        return min(max(self.low * (1 - share) + self.high * share, self.low), self.high)

    def _nth(self, cell: int) -> float:
        assert self.step is not None
        # Twelve digits: 0.1 + 2 * 0.1 is meant as 0.3.
        return min(float(f"{self.low + cell * self.step:.12g}"), self.high)


@dataclass(frozen=True, repr=False)
class Log(Parameter):
    """A positive real number from `low` to `high`, spread evenly over its logarithm.

    Raises
    ------
    TypeError, ValueError
        If `low` is not positive, or not below `high`.
    """

    low: float
    high: float
    _: KW_ONLY
    when: When | None = None

    def __post_init__(self) -> None:
        _check_range(self, _real)
        if self.low <= 0:
            raise ValueError(f"Log: low must be positive, got {self.low!r}: use Float")

    def decode(self, u: Array) -> float:
        """Return the number."""
        return self._at(float(u[0]))

    def encode(self, value: Any) -> Array:
        """Return the coordinate, (1,)."""
        number = _inside(self, _real(self, "the value", value))
        start, end = math.log(self.low), math.log(self.high)
        return _settle(self._at, number, (math.log(number) - start) / (end - start))

    def _at(self, share: float) -> float:
        if share in (0.0, 1.0):
            return self.high if share else self.low
        exponent = math.log(self.low) * (1 - share) + math.log(self.high) * share
        return min(max(math.exp(exponent), self.low), self.high)


@dataclass(frozen=True, repr=False)
class Int(Parameter):
    """A whole number from `low` to `high`, both included, in steps of `step`.

    Raises
    ------
    TypeError, ValueError
        If the range is none, or `step` is not positive or larger than the range.
    """

    low: int
    high: int
    _: KW_ONLY
    step: int = 1
    when: When | None = None

    def __post_init__(self) -> None:
        _check_range(self, _whole)
        step = _whole(self, "step", self.step)
        if not 0 < step <= self.high - self.low:
            raise ValueError(
                f"Int: step must be positive and at most high - low = {self.high - self.low}, got "
                f"{self.step!r}"
            )
        object.__setattr__(self, "step", step)
        _check_cells(self)

    @property
    def cells(self) -> int:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1

    def decode(self, u: Array) -> int:
        """Return the number."""
        return self.low + self.step * _cell(u, self.cells)

    def encode(self, value: Any) -> Array:
        """Return the middle of the number's cell, (1,)."""
        number = _inside(self, _whole(self, "the value", value))
        cell, rest = divmod(number - self.low, self.step)
        if rest:
            raise ValueError(f"{value!r} is not a step of {self!r}")
        return _middle(cell, self.cells)


@dataclass(frozen=True, repr=False)
class LogInt(Parameter):
    """A positive whole number from `low` to `high`, spread evenly over its logarithm.

    Raises
    ------
    TypeError, ValueError
        If `low` is not positive, or not below `high`.
    """

    low: int
    high: int
    _: KW_ONLY
    when: When | None = None

    def __post_init__(self) -> None:
        _check_range(self, _whole)
        if self.low <= 0:
            raise ValueError(f"LogInt: low must be positive, got {self.low!r}: use Int")

    def decode(self, u: Array) -> int:
        """Return the number."""
        start, end = self._ends()
        number = round(math.exp(start * (1 - float(u[0])) + end * float(u[0])))
        return min(max(number, self.low), self.high)

    def encode(self, value: Any) -> Array:
        """Return a coordinate inside the number's cell, (1,)."""
        number = _inside(self, _whole(self, "the value", value))
        start, end = self._ends()
        return np.array([(math.log(number) - start) / (end - start)])

    def _ends(self) -> tuple[float, float]:
        """Logarithms, half a number beyond both ends, so that these get their whole cells."""
        return math.log(self.low - 0.5), math.log(self.high + 0.5)


@dataclass(frozen=True, repr=False, init=False)
class Choice(Parameter):
    """One of several options.

    Parameters
    ----------
    *options
        Strings, numbers, None, or anything else that can be told apart with ``==``.
    ordered
        Whether neighbours are alike, as in ``Choice(16, 32, 64, ordered=True)``: one coordinate.
    when
        See `Parameter`.

    Raises
    ------
    ValueError
        If there are fewer than two options, or two alike.
    """

    options: tuple[Any, ...]
    _: KW_ONLY
    ordered: bool = False
    when: When | None = None

    def __init__(self, *options: Any, ordered: bool = False, when: When | None = None) -> None:
        if len(options) < 2:
            hint = f"Fixed({options[0]!r})" if options else "nothing"
            if len(options) == 1 and isinstance(options[0], (list, tuple, set)):
                hint = f"Choice(*{options[0]!r}), with a star,"
            raise ValueError(
                f"Choice: there must be two options or more, got {options!r}: use {hint}"
            )
        for place, option in enumerate(options):
            if any(_same(option, other) for other in options[:place]):
                raise ValueError(f"Choice: {option!r} is given twice")
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "ordered", bool(ordered))
        object.__setattr__(self, "when", when)

    @property
    def width(self) -> int:
        """One coordinate for two options or ordered ones; else one for each option."""
        return 1 if self.ordered or len(self.options) == 2 else len(self.options)

    @property
    def cells(self) -> int:
        """The number of options where they share one coordinate, else 0."""
        return len(self.options) if self.width == 1 else 0

    def decode(self, u: Array) -> Any:
        """Return the option."""
        return self.options[_cell(u, self.cells) if self.cells else int(np.argmax(u))]

    def encode(self, value: Any) -> Array:
        """Return the middle of the option's cell, (1,), or 1 for it and 0 for the others."""
        for place, option in enumerate(self.options):
            if _same(option, value):
                if self.cells:
                    return _middle(place, self.cells)
                one_hot: Array = np.eye(self.width)[place]
                return one_hot
        raise ValueError(f"{value!r} is no option of {self!r}")

    def __repr__(self) -> str:
        shown = [repr(option) for option in self.options]
        shown += ["ordered=True"] * self.ordered
        shown += [f"when={self.when!r}"] * (self.when is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False, init=False)
class Bool(Choice):
    """False or True."""

    def __init__(self, *, when: When | None = None) -> None:
        super().__init__(False, True, when=when)

    def __repr__(self) -> str:
        return "Bool()" if self.when is None else f"Bool(when={self.when!r})"


@dataclass(frozen=True, repr=False)
class Fixed(Parameter):
    """A constant: handed on, not searched."""

    value: Any
    _: KW_ONLY
    when: When | None = None

    @property
    def width(self) -> int:
        """None."""
        return 0

    def decode(self, u: Array) -> Any:
        """Return the value."""
        return self.value

    def encode(self, value: Any) -> Array:
        """Return no coordinate, (0,)."""
        if not _same(value, self.value):
            raise ValueError(f"{value!r} is not the value of {self!r}")
        return np.empty(0)


def _check_range(parameter: Any, check: Callable[[Any, str, Any], Any]) -> None:
    """Check `low` and `high` and keep them as Python numbers."""
    for name in ("low", "high"):
        object.__setattr__(parameter, name, check(parameter, name, getattr(parameter, name)))
    if not parameter.low < parameter.high:
        raise ValueError(
            f"{type(parameter).__name__}: low must be below high, got low={parameter.low!r} and "
            f"high={parameter.high!r}" + (": use Fixed" * (parameter.low == parameter.high))
        )


def _check_cells(parameter: Any) -> None:
    if parameter.cells > MOST_CELLS:
        raise ValueError(
            f"{parameter!r} has {parameter.cells:.3g} values, more than {MOST_CELLS:.3g}: give a "
            "larger step, or use Float or Log"
        )


def _real(parameter: Any, name: str, value: Any) -> float:
    """Return a finite number as a float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{type(parameter).__name__}: {name} must be a number, got {value!r:.60}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{type(parameter).__name__}: {name} must be finite, got {value!r}")
    return number


def _whole(parameter: Any, name: str, value: Any) -> int:
    """Return a whole number as an int."""
    number = _real(parameter, name, value)
    if not isinstance(value, Integral) and not number.is_integer():
        raise ValueError(
            f"{type(parameter).__name__}: {name} must be a whole number, got {value!r}"
        )
    return int(value)


def _inside(parameter: Any, number: Any) -> Any:
    if not parameter.low <= number <= parameter.high:
        raise ValueError(f"{number!r} is outside {parameter!r}")
    return number


def _same(one: Any, other: Any) -> bool:
    """Whether two options are one: True is not 1, and numpy's numbers are Python's."""
    one, other = (each.item() if isinstance(each, np.generic) else each for each in (one, other))
    if one is other:
        return True
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(np.all(one == other)) and np.shape(one) == np.shape(other)


def _cell(u: Array, cells: int) -> int:
    """In which of so many equal cells the coordinate lies."""
    return min(max(int(float(u[0]) * cells), 0), cells - 1)


def _middle(cell: int, cells: int) -> Array:
    return np.array([(cell + 0.5) / cells])


def _settle(decode: Callable[[float], float], number: float, guess: float) -> Array:
    """Return a coordinate near the guess, (1,), that a rising `decode` takes to the number."""
    low, high = max(guess - 2.0**-40, 0.0), min(guess + 2.0**-40, 1.0)
    while (middle := low + (high - low) / 2) not in (low, high):
        if decode(middle) < number:
            low = middle
        else:
            high = middle
    return np.array([min((high, low), key=lambda u: abs(decode(u) - number))])
