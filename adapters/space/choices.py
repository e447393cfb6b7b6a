"""Options, and constants."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adapters.space.parameter import Parameter, When, cell_of, check_when, middle_of, same
from blackbox.types import Array


@dataclass(frozen=True, repr=False, init=False)
class Choice(Parameter):
    """One of several options.

    Two options, and ordered ones, share one coordinate, in cells of equal width. Of three or more
    without an order each has a coordinate of its own, and the largest decides (one-hot): so no
    option lies between two others.

    Parameters
    ----------
    *options
        Strings, numbers, None, or anything else that can be told apart with ``==``.
    ordered
        Whether neighbours are alike, as in ``Choice(16, 32, 64, ordered=True)``.
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
        kind = type(self).__name__
        if len(options) < 2:
            given = repr(options[0]) if options else "none"
            hint = f"use Fixed({given})" if options else "name them"
            if options and isinstance(options[0], (list, tuple, set, range, np.ndarray)):
                hint = f"unpack it with a star, {kind}(*{given:.60})"
            raise ValueError(f"{kind}: there must be two options or more, got {given:.60}: {hint}")
        options = tuple(each.item() if isinstance(each, np.generic) else each for each in options)
        for place, option in enumerate(options):
            if any(same(option, other) for other in options[:place]):
                raise ValueError(f"{kind}: {option!r} is given twice")
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "ordered", bool(ordered))
        object.__setattr__(self, "when", when)
        check_when(self)

    @cached_property
    def width(self) -> int:
        """One coordinate for two options or ordered ones; else one for each option."""
        return 1 if self.ordered or len(self.options) == 2 else len(self.options)

    @cached_property
    def cells(self) -> int:
        """The number of options where they share one coordinate, else 0."""
        return len(self.options) if self.width == 1 else 0

    @property
    def is_discrete(self) -> bool:
        """Yes."""
        return True

    def decode(self, u: Sequence[float] | Array) -> Any:
        """Return the option."""
        if self.cells:
            return self.options[cell_of(u[0], self.cells)]
        return self.options[max(range(len(u)), key=u.__getitem__)]

    def encode(self, value: Any) -> Array:
        """Return the middle of the option's cell, (1,), or 1 for it and 0 for the others."""
        for place, option in enumerate(self.options):
            if same(option, value):
                if self.cells:
                    return middle_of(place, self.cells)
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

    def __post_init__(self) -> None:
        check_when(self)

    @property
    def width(self) -> int:
        """None."""
        return 0

    def decode(self, u: Sequence[float] | Array) -> Any:
        """Return the value."""
        return self.value

    def encode(self, value: Any) -> Array:
        """Return no coordinate, (0,)."""
        if not same(value, self.value):
            raise ValueError(f"{value!r} is not the value of {self!r}")
        return np.empty(0)
