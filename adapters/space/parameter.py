"""What all kinds of hyperparameters share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np

from blackbox.types import Array

When = Mapping[str, Any]
"""Names of other parameters and the value, or tuple of values, that each must have."""

MOST_CELLS = 2**50
"""With more cells than this their middles could not be told from their edges in float64."""


class Parameter:
    """A hyperparameter: `width` coordinates between 0 and 1 stand for one of its values.

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

    @property
    def is_discrete(self) -> bool:
        """Whether its values can be counted, and there are two or more."""
        return self.cells > 0

    def decode(self, u: Sequence[float] | Array) -> Any:
        """Return the value that coordinates (width,) in [0, 1] stand for."""
        raise NotImplementedError

    def encode(self, value: Any) -> Array:
        """Return coordinates, (width,), that `decode` to the value.

        What came from `decode` comes back exactly, and so does any whole number, step and option.
        A real number that no coordinate stands for gives its neighbour (see `Float`, `Log`).

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


def check_when(parameter: Any) -> None:
    """Check `when` and keep a copy of it."""
    when = parameter.when
    if when is None:
        return
    if not isinstance(when, Mapping) or not when or not all(isinstance(key, str) for key in when):
        raise TypeError(
            f"{type(parameter).__name__}: when must be a dictionary from names of other parameters "
            f"to the values that they must have, got {when!r:.60}"
        )
    object.__setattr__(parameter, "when", dict(when))


def real(parameter: Any, name: str, value: Any) -> float:
    """Return a finite number as a float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{type(parameter).__name__}: {name} must be a number, got {value!r:.60}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{type(parameter).__name__}: {name} must be finite, got {value!r:.60}")
    return number + 0.0  # no minus zero


def whole(parameter: Any, name: str, value: Any) -> int:
    """Return a whole number as an int."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if not real(parameter, name, value).is_integer():
        raise ValueError(
            f"{type(parameter).__name__}: {name} must be a whole number, got {value!r}"
        )
    return int(value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are one: True is not 1, numpy's numbers are Python's, NaN is NaN."""
    one, other = (each.item() if isinstance(each, np.generic) else each for each in (one, other))
    if one is other:
        return True
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    equal = one == other
    if isinstance(equal, np.ndarray):
        return np.shape(one) == np.shape(other) and bool(equal.all())
    return bool(equal)


def cell_of(u: float, cells: int) -> int:
    """In which of so many equal cells the coordinate lies."""
    return min(int(u * cells), cells - 1)


def middle_of(cell: int, cells: int) -> Array:
    """Return the middle of a cell, (1,)."""
    return np.array([(cell + 0.5) / cells])
