"""Families of problems: a name, and parameters that tell its members apart.

In texts parameters follow the name after colons, and may have several values:
``bbob:f=1-24:n=2,5,10``. A member's own name spells all of them: ``bbob:f=8:n=10:i=1``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

from experiments.problems.benchmark import Benchmark

MANY = 100_000
"""More problems at once are taken for a slip."""


class Values(Protocol):
    """What a parameter may be."""

    @property
    def allowed(self) -> str:
        """In words."""

    def read(self, text: str) -> Sequence[Any]:
        """Return the values that a text names. Raises ValueError where it is none of those."""


@dataclass(frozen=True)
class Whole:
    """Whole numbers, with commas and ranges: ``2,5,10``, ``1-24``."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        """In words."""
        return f"whole numbers from {self.low} to {self.high:,}"

    def read(self, text: str) -> Sequence[int]:
        """Return the numbers that a text names."""
        found: list[int] = []
        for part in text.split(","):
            match = re.fullmatch(r"\s*(\d{1,12})\s*(?:-\s*(\d{1,12})\s*)?", part, re.ASCII)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if not self.low <= first <= last <= self.high:
                raise ValueError(f"{part.strip()!r} is not among {self.allowed}")
            if last - first > MANY:
                raise ValueError(f"{part.strip()!r} are more than {MANY:,} at once")
            found += range(first, last + 1)
        return found


@dataclass(frozen=True)
class Real:
    """Numbers from `low` on, with commas: ``0,0.1``."""

    low: float

    @property
    def allowed(self) -> str:
        """In words."""
        return f"numbers from {self.low:g} on"

    def read(self, text: str) -> Sequence[float]:
        """Return the numbers that a text names."""
        found = []
        for part in text.split(","):
            try:
                value = float(part)
            except ValueError:
                value = float("nan")
            if not self.low <= value < float("inf"):
                raise ValueError(f"{part.strip()!r} is not among {self.allowed}")
            found.append(value)
        return found


@dataclass(frozen=True)
class Words:
    """Some words, with commas."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """In words."""
        return ", ".join(self.words)

    def read(self, text: str) -> Sequence[str]:
        """Return the words that a text names."""
        found = [part.strip() for part in text.split(",")]
        for word in found:
            if word not in self.words:
                raise ValueError(f"{word!r} is not among {self.allowed}")
        return found


@dataclass(frozen=True)
class Parameter:
    """What tells members of a family apart.

    Attributes
    ----------
    meaning
        In a few words.
    values
        What it may be.
    default
        The text of its values where it is left out.
    """

    meaning: str
    values: Values
    default: str


@dataclass(frozen=True, eq=False)
class Family:
    """A row of the table of problems: texts to show, and what makes the members.

    Attributes
    ----------
    name, description, source
        What it is called, what it is in a sentence, where it comes from.
    variables, box, start, optimum, cost
        How many variables, within which bounds, how starts are drawn, the best value known, what an
        evaluation takes: texts, for nothing is made to show them.
    make
        Returns the member for a value of each parameter.
    parameters
        By name, in the order in which names spell them.
    require
        Raises ModuleNotFoundError where something is missing that the members need.
    """

    name: str
    description: str
    source: str
    variables: str
    box: str
    start: str
    optimum: str
    cost: str
    make: Callable[..., Benchmark]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    require: Callable[[], None] | None = None

    @classmethod
    def single(cls, row: Benchmark, start: str) -> "Family":
        """Return the family of one problem; `start` says how its starts are drawn."""
        assert isinstance(row.bounds, tuple)
        low, high = row.bounds
        return cls(
            name=row.name,
            description=row.description,
            source=row.source,
            variables=str(row.n),
            box=f"{low:g} .. {high:g}",
            start=start,
            optimum="unknown" if row.optimum is None else f"{row.optimum:g}",
            cost=row.cost,
            make=lambda: row,
            require=row.require,
        )

    @property
    def usage(self) -> str:
        """How its members are written, with the defaults: ``bbob:f=1-24:n=10:i=1``."""
        return ":".join([self.name, *(f"{k}={p.default}" for k, p in self.parameters.items())])

    def expand(self, given: Mapping[str, str]) -> list[Benchmark]:
        """Return a member for each combination of values; the last parameter changes first.

        Parameters
        ----------
        given
            Texts of values by parameter. Those left out have their defaults.

        Raises
        ------
        ValueError
            For a parameter that is not known, a value that it cannot have, and where a package is
            missing that the members need.
        """
        for name in given:
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(
                    f"problem {self.name!r} has no parameter {name!r}; its parameters: {known}"
                )
        values, size = [], 1
        for name, parameter in self.parameters.items():
            try:
                read = parameter.values.read(given.get(name, parameter.default))
            except ValueError as error:
                raise ValueError(f"problem {self.name!r}: {name}={given[name]}: {error}") from None
            values.append(list(dict.fromkeys(read)))
            size *= len(values[-1])
            if size > MANY:
                raise ValueError(f"problem {self.name!r}: that is more than {MANY:,} problems")
        if self.require is not None:
            try:
                self.require()
            except ModuleNotFoundError as error:
                raise ValueError(f"problem {self.name!r}: {error}") from error
        names = list(self.parameters)
        return [self.make(**dict(zip(names, chosen, strict=True))) for chosen in product(*values)]
