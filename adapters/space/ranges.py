"""Numbers: real and whole, on a line or on a logarithm.

Each `decode` rises with its coordinate, rounding errors included: so that what it gives can be
found again by bisection, to the last digit.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from adapters.space.parameter import (
    MOST_CELLS,
    Parameter,
    When,
    cell_of,
    check_when,
    middle_of,
    real,
    whole,
)
from blackbox.types import Array

MOST_LOG = 2**40
"""Above this the cells of `LogInt` are narrower than what a logarithm in float64 can tell apart."""


@dataclass(frozen=True, repr=False)
class Float(Parameter):
    """A real number from `low` to `high`, both included.

    Numbers with few decimals (fifteen digits of the range) come back from the unit box as they
    are, others to 5e-16 of the range.

    Parameters
    ----------
    low, high
        The range.
    step
        Only `low`, ``low + step``, ``low + 2 * step`` ... up to `high`, in decimals: the third of
        ``Float(0.1, 1.0, step=0.1)`` is 0.3.
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
        _check_range(self, real)
        if self.step is not None:
            _check_step(self, real)

    @cached_property
    def cells(self) -> int:
        """How many numbers there are with a step; 0 without."""
        if self.step is None:
            return 0
        low, high, step = self._decimals
        # 1e-9: fifteen steps of 0.06666666666666667 are meant to reach 1.
        return math.floor((high - low) / step + Fraction(1, 10**9)) + 1

    @cached_property
    def _decimals(self) -> tuple[Fraction, Fraction, Fraction]:
        """Low, high and step as they are written."""
        low, high, step = (Fraction(repr(each)) for each in (self.low, self.high, self.step))
        return low, high, step

    @cached_property
    def _ladder(self) -> tuple[int, int, int]:
        """Low and step as whole multiples of a common fraction, and its denominator."""
        low, _, step = self._decimals
        common = math.lcm(low.denominator, step.denominator)
        return int(low * common), int(step * common), common

    @cached_property
    def _line(self) -> tuple[float, float, float, float, int]:
        """Low, width and their scale, against overflow; rounding errors; decimals left by them."""
        scale = 1.0 if math.isfinite(self.high - self.low) else 0.5
        width = self.high * scale - self.low * scale
        error = width * 2.0**-51
        digits = math.floor(-math.log10(4 * error)) if error > 0 else -1
        return self.low * scale, width, scale, error, digits

    def decode(self, u: Sequence[float] | Array) -> float:
        """Return the number."""
        return self._at(float(u[0])) if self.step is None else self._nth(cell_of(u[0], self.cells))

    def encode(self, value: Any) -> Array:
        """Return the coordinate, (1,)."""
        number = _inside(self, real(self, "the value", value))
        if self.step is None:
            low, width, scale, *_ = self._line
            return _settle(self._at, number, (number * scale - low) / width)
        cell = round((number - self.low) / self.step)
        if cell >= self.cells or not math.isclose(
            self._nth(cell), number, rel_tol=1e-15, abs_tol=1e-9 * self.step
        ):
            raise ValueError(f"{value!r} is not a step of {self!r}")
        return middle_of(cell, self.cells)

    def _at(self, share: float) -> float:
        if share <= 0:
            return self.low
        low, width, scale, error, digits = self._line
        number = (low + width * share) / scale
        if number >= self.high or share >= 1:
            return self.high
        if 0 <= digits <= 300:
            short = round(number, digits) + 0.0  # no minus zero
            # 0.3 where the sum gives 0.30000000000000004. It rises still.
            number = short if abs(short - number) <= error else number
        return min(max(number, self.low), self.high)

    def _nth(self, cell: int) -> float:
        low, step, common = self._ladder
        return min((low + cell * step) / common, self.high)


@dataclass(frozen=True, repr=False)
class Log(Parameter):
    """A positive real number from `low` to `high`, spread evenly over its logarithm.

    It has twelve significant digits, but for the two ends, which are what they are.

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
        _check_range(self, real)
        if self.low <= 0:
            raise ValueError(f"Log: low must be positive, got {self.low!r}: use Float")

    @cached_property
    def _ends(self) -> tuple[float, float]:
        return math.log(self.low), math.log(self.high)

    def decode(self, u: Sequence[float] | Array) -> float:
        """Return the number."""
        return self._at(float(u[0]))

    def encode(self, value: Any) -> Array:
        """Return the coordinate, (1,)."""
        number = _inside(self, real(self, "the value", value))
        if number in (self.low, self.high):
            return np.array([float(number == self.high)])
        start, end = self._ends
        number = min(max(_twelve(number), self.low), self.high)
        return _settle(self._at, number, (math.log(number) - start) / ((end - start) or 1.0))

    def _at(self, share: float) -> float:
        if share <= 0 or share >= 1:
            return self.high if share >= 1 else self.low
        start, end = self._ends
        number = _twelve(math.exp(min(start + (end - start) * share, end)))
        return min(max(number, self.low), self.high)


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
        _check_range(self, whole)
        _check_step(self, whole)

    @cached_property
    def cells(self) -> int:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1

    def decode(self, u: Sequence[float] | Array) -> int:
        """Return the number."""
        return self.low + self.step * cell_of(u[0], self.cells)

    def encode(self, value: Any) -> Array:
        """Return the middle of the number's cell, (1,)."""
        number = _inside(self, whole(self, "the value", value))
        cell, rest = divmod(number - self.low, self.step)
        if rest or cell >= self.cells:
            raise ValueError(f"{value!r} is not a step of {self!r}")
        return middle_of(cell, self.cells)


@dataclass(frozen=True, repr=False)
class LogInt(Parameter):
    """A positive whole number from `low` to `high`, spread evenly over its logarithm.

    Raises
    ------
    TypeError, ValueError
        If `low` is not positive, or not below `high`, or `high` above 2**40.
    """

    low: int
    high: int
    _: KW_ONLY
    when: When | None = None

    def __post_init__(self) -> None:
        _check_range(self, whole)
        if self.low <= 0:
            raise ValueError(f"LogInt: low must be positive, got {self.low!r}: use Int")
        if self.high > MOST_LOG:
            raise ValueError(
                f"LogInt: high must be at most 2**40, got {self.high!r}: use Log, and round"
            )

    @property
    def is_discrete(self) -> bool:
        """Yes."""
        return True

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Logarithms, half a number beyond both ends, so that these get their whole cells."""
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def decode(self, u: Sequence[float] | Array) -> int:
        """Return the number."""
        return self._at(float(u[0]))

    def encode(self, value: Any) -> Array:
        """Return a coordinate inside the number's cell, (1,)."""
        number = _inside(self, whole(self, "the value", value))
        start, end = self.ends
        return _settle(self._at, number, (math.log(number) - start) / (end - start))

    def _at(self, share: float) -> int:
        start, end = self.ends
        number = math.floor(math.exp(start + (end - start) * share) + 0.5)
        return min(max(number, self.low), self.high)


def _check_range(parameter: Any, check: Callable[[Any, str, Any], Any]) -> None:
    """Check `low`, `high` and `when`, and keep the bounds as Python numbers."""
    check_when(parameter)
    for name in ("low", "high"):
        object.__setattr__(parameter, name, check(parameter, name, getattr(parameter, name)))
    if not parameter.low < parameter.high:
        raise ValueError(
            f"{type(parameter).__name__}: low must be below high, got low={parameter.low!r} and "
            f"high={parameter.high!r}" + (": use Fixed" * (parameter.low == parameter.high))
        )


def _check_step(parameter: Any, check: Callable[[Any, str, Any], Any]) -> None:
    """Check `step` and how many there are."""
    kind, step = type(parameter).__name__, check(parameter, "step", parameter.step)
    object.__setattr__(parameter, "step", step)
    if step <= 0 or parameter.cells < 2:
        raise ValueError(
            f"{kind}: step must be positive and at most high - low = "
            f"{parameter.high - parameter.low!r}, got {step!r}"
        )
    if parameter.cells > MOST_CELLS:
        raise ValueError(
            f"{kind}: these are more than {MOST_CELLS} values: give a larger step, or use "
            "Float or Log"
        )


def _inside(parameter: Any, number: Any) -> Any:
    if not parameter.low <= number <= parameter.high:
        raise ValueError(f"{number!r} is outside {parameter!r}")
    return number


def _twelve(number: float) -> float:
    """Round to twelve significant digits: more than the errors of exp and log, so that it rises."""
    return float(f"{number:.12g}")


def _settle(decode: Callable[[float], float], number: float, guess: float) -> Array:
    """Return a coordinate, (1,), that a rising `decode` takes to the number, or nearest to it."""
    guess = min(max(guess, 0.0), 1.0)
    if decode(guess) == number:
        return np.array([guess])
    low, high = 0.0, 1.0
    while (middle := low + (high - low) / 2) not in (low, high):
        if decode(middle) < number:
            low = middle
        else:
            high = middle
    return np.array([min((high, low), key=lambda u: abs(decode(u) - number))])
