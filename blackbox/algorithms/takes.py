"""What an option takes, as data; and a value as that, or an error that says what is wrong."""

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

LARGEST = 10**9
"""Solvers count in a C int, and some add to what they are given as the most: this is half of it."""


@dataclass(frozen=True)
class Takes:
    """Values that an option takes: any of what is named here.

    Attributes
    ----------
    numbers
        An interval, such as ``"[0, inf)"``; several with ``" or "`` between them.
    whole
        Whether numbers are whole ones.
    counts
        Whether they count what a solver does: then `LARGEST` stands for more, and for inf.
    shapes
        Shapes of arrays of such numbers, by lengths: ``"n"`` variables, ``"n+1"``, or ``"k"`` for
        any; ``()`` is a number.
    flag
        Whether true and false are taken; where numbers are not, 0 and 1 stand for them.
    texts
        Texts, in any case.
    kinds
        Types.
    having
        A name that objects and classes have which it takes.
    inner
        Of mappings: what stands at these keys. Others are taken as they are, unless `closed`.
    closed
        Whether mappings have these keys only.
    must, words
        What must hold of a number or array beside, and how to say that.
    """

    numbers: str = ""
    whole: bool = False
    counts: bool = False
    shapes: tuple[tuple[int | str, ...], ...] = ((),)
    flag: bool = False
    texts: tuple[str, ...] = ()
    kinds: tuple[Any, ...] = ()
    having: str = ""
    inner: Mapping[str, "Takes"] | None = None
    closed: bool = False
    must: Callable[[Any], bool] | None = None
    words: str = ""

    def read(self, value: Any, lenient: bool) -> Any:
        """Return a value as the method has it.

        Parameters
        ----------
        value
            What the user gave.
        lenient
            Whether a number stands for true or false and a fraction for a count, as in scipy.

        Raises
        ------
        TypeError, ValueError, OverflowError
            Where it is of another kind, or out of range.
        """
        if isinstance(value, np.ndarray) and value.size == 1 and (() in self.shapes or self.flag):
            value = value.item()
        if isinstance(value, str):
            for text in self.texts:
                if text.lower() == value.lower():
                    return text
        if self.kinds and isinstance(value, self.kinds):
            return value
        if self.having and hasattr(value, self.having):
            return value
        if self.inner is not None and isinstance(value, Mapping):
            return self._read_mapping(value, lenient)
        if self.flag and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if self.flag and not self.numbers and isinstance(value, Real):
            if lenient and math.isfinite(value):
                return value
            if value in (0, 1):
                return bool(value)
        if self.numbers and () in self.shapes and isinstance(value, Real):
            return self._read_number(value, lenient)
        if self.numbers and any(self.shapes):
            return self._read_array(value)
        raise TypeError

    def _read_number(self, value: Any, lenient: bool) -> Any:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = value.item() if isinstance(value, np.generic) else value
        if not isinstance(number, int) or not self.whole:
            number = float(value)
        if not _lies_in(number, self.numbers) or (self.must is not None and not self.must(number)):
            raise ValueError
        if self.counts:
            number = max(-LARGEST, min(number, LARGEST))
        if self.whole:
            if not lenient and number != int(number):
                raise ValueError
            number = math.ceil(number)
        return number

    def _read_array(self, value: Any) -> Any:
        try:
            array = np.asarray(value)
        except ValueError as error:  # ragged
            raise TypeError from error
        if array.dtype.kind not in "biuf":
            raise TypeError
        if not self.fits(array):
            raise ValueError
        if not all(_lies_in(number, self.numbers) for number in array.ravel().tolist()):
            raise ValueError
        if self.must is not None and not self.must(array):
            raise ValueError
        return value

    def _read_mapping(self, value: Mapping[Any, Any], lenient: bool) -> Any:
        inner = self.inner or {}
        for key, item in value.items():
            if key in inner and item is not None:
                try:
                    inner[key].read(item, lenient)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{key!r} is {inner[key].describe()}") from error
            elif self.closed and key not in inner:
                raise ValueError(f"of the keys {', '.join(inner)}, not {key!r}")
        return value

    def fits(self, array: np.ndarray[Any, Any], n: int | None = None) -> bool:
        """Whether an array has a shape for `n` variables; of None, for some number of them."""
        known = {} if n is None else {"n": n, "n+1": n + 1}
        return any(
            len(shape) == array.ndim
            and all(
                known.get(side, found) == found if isinstance(side, str) else side == found
                for side, found in zip(shape, array.shape, strict=True)
            )
            for shape in self.shapes
        )

    def describe(self) -> str:
        """Return what it takes, in words."""
        parts = ["true or false"] if self.flag else []
        if self.numbers:
            one = "whole number" if self.whole else "number"
            one = f"finite {one}" if self.numbers == FINITE and not self.whole else one
            where = "" if self.numbers in (ANY, FINITE) else f" in {self.numbers}"
            if () in self.shapes:
                parts.append(f"a {one}{where}")
            for shape in filter(None, self.shapes):
                sides = " x ".join(map(str, shape))
                parts.append(
                    "one for each variable"
                    if shape == ("n",) and () in self.shapes
                    else f"an array of {'' if sides == 'k' else sides + ' '}{one}s{where}"
                )
        parts += [repr(text) for text in self.texts]
        parts += [_KINDS.get(kind, getattr(kind, "__name__", str(kind))) for kind in self.kinds]
        if self.having:
            parts.append(f"what has {self.having!r}")
        if self.inner is not None:
            parts.append("a mapping")
        return ", or ".join(parts) + (f", {self.words}" if self.words else "")


ANY = "[-inf, inf]"
"""All numbers but NaN."""
FINITE = "(-inf, inf)"
_KINDS = {str: "a text", Mapping: "a mapping", Callable: "a function"}


@cache
def _intervals(text: str) -> list[tuple[float, bool, float, bool]]:
    """Return the ends of intervals, and whether each belongs to it."""
    found = []
    for one in text.split(" or "):
        low, high = one[1:-1].split(",")
        found.append((float(low), one[0] == "[", float(high), one[-1] == "]"))
    return found


def _lies_in(number: float, intervals: str) -> bool:
    return any(
        (low <= number if with_low else low < number)
        and (number <= high if with_high else number < high)
        for low, with_low, high, with_high in _intervals(intervals)
    )


def of_type(kind: Any) -> Takes | None:
    """Return what an option takes by its type; None where that says nothing."""
    parts = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    origins = [get_origin(part) or part for part in parts]
    if Any in parts:
        return None
    shapes: list[tuple[int | str, ...]] = [()] if int in parts or float in parts else []
    shapes += [(len(get_args(p)),) for p, o in zip(parts, origins, strict=True) if o is tuple]
    texts = [t for p, o in zip(parts, origins, strict=True) if o is Literal for t in get_args(p)]
    kinds = [k for k in (str, Mapping, Callable) if k in origins]
    if dict in origins:
        kinds.append(Mapping)
    whole = int in parts
    return Takes(
        numbers=(FINITE if whole else ANY) if shapes else "",
        whole=whole,
        shapes=tuple(shapes),
        flag=bool in parts,
        texts=tuple(texts),
        kinds=tuple(kinds),
    )
