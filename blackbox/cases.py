"""What is known of a problem, and conditions on it: what the rules of `recommend` are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import inf, isnan
from numbers import Integral, Real
from typing import Any, Literal, get_args

from blackbox.algorithms import ALGORITHMS

BoundsGiven = Literal["none", "some", "all"]

EXPENSIVE = 10
"""Evaluations a variable up to which each counts as expensive."""
MEMORY = 2**30
"""Bytes that a method may take for its matrices where nothing else is said."""


@dataclass(frozen=True)
class Case:
    """What is known of a problem; see `recommend` for the meaning of each field."""

    n: int
    budget: int | None = None
    gradients: bool = False
    hessian: bool = False
    smooth: bool = True
    many_optima: bool = False
    noisy: bool = False
    changing: bool = False
    constraints: bool = False
    integers: bool = False
    expensive: bool | None = None
    bounds: BoundsGiven = "none"
    memory: float | None = None

    def __post_init__(self) -> None:
        _check_count("n", self.n)
        if self.budget is not None:
            _check_count("budget", self.budget)
        for name in FLAGS:
            value = getattr(self, name)
            if not isinstance(value, bool) and not (name == "expensive" and value is None):
                known = "True, False or None" if name == "expensive" else "True or False"
                raise TypeError(f"{name} must be {known}; got {value!r}")
        if self.bounds not in get_args(BoundsGiven):
            raise ValueError(f"bounds must be 'none', 'some' or 'all'; got {self.bounds!r}")
        if self.memory is not None and (
            isinstance(self.memory, bool) or not isinstance(self.memory, Real)
        ):
            raise TypeError(f"memory must be a number of bytes or None; got {self.memory!r}")
        if self.memory is not None and (isnan(self.memory) or self.memory <= 0):
            raise ValueError(f"memory must be above 0 bytes; got {self.memory!r}")

    @property
    def per_variable(self) -> float:
        """Evaluations a variable; infinite without a budget."""
        return inf if self.budget is None else self.budget / self.n

    def holds(self, name: str) -> bool:
        """Whether a flag is set; an unsaid `expensive` follows from the budget."""
        if name == "expensive" and self.expensive is None:
            return self.per_variable <= EXPENSIVE
        return bool(getattr(self, name))

    def suits(self, method: str) -> bool:
        """Whether the method is installed, takes such a problem and fits into memory."""
        row = ALGORITHMS[method]
        room = MEMORY if self.memory is None else self.memory
        return (
            row.installed
            and 8 * row.matrices * self.n**2 <= room
            and (row.changing or not self.changing)
            and (row.noise != "exact" or not self.noisy)
            and (row.bounds != "required" or self.bounds == "all")
            and (row.integers != "refused" or not self.integers)
        )


FLAGS = [f.name for f in fields(Case) if f.type in (bool, bool | None)]


@dataclass(frozen=True)
class When:
    """The condition of a rule: every field that is set has to hold.

    Attributes
    ----------
    yes, no
        Flags of `Case`, separated by blanks, that are to be set and not to be set.
    bounds
        What `Case.bounds` is to be.
    to, above
        n at most, and above.
    within, beyond
        Evaluations a variable below, and at least.
    """

    yes: str = ""
    no: str = ""
    bounds: BoundsGiven | None = None
    to: float = inf
    above: float = 0
    within: float = inf
    beyond: float = 0

    def holds(self, case: Case) -> bool:
        """Whether a case meets it."""
        return (
            all(case.holds(name) for name in self.yes.split())
            and not any(case.holds(name) for name in self.no.split())
            and self.bounds in (None, case.bounds)
            and self.above < case.n <= self.to
            and (self.within == inf or case.per_variable < self.within)
            and case.per_variable >= self.beyond
        )

    def __str__(self) -> str:
        return ", ".join(self._words()) or "anything else"

    def _words(self) -> Iterator[str]:
        yield from (_WORDS[name][0] for name in self.yes.split())
        yield from (_WORDS[name][1] for name in self.no.split())
        if self.bounds is not None:
            yield {"none": "no bounds", "some": "some bounds", "all": "finite bounds"}[self.bounds]
        if self.to < inf:
            yield f"at most {self.to:g} variables"
        if self.above:
            yield f"more than {self.above:g} variables"
        if self.within < inf:
            yield f"fewer than {self.within:g} evaluations a variable"
        if self.beyond:
            yield f"at least {self.beyond:g} evaluations a variable"


_WORDS = {
    "gradients": ("gradients", "no gradients"),
    "hessian": ("a Hessian", "no Hessian"),
    "smooth": ("smooth", "kinks or jumps"),
    "many_optima": ("many optima", "one optimum sought"),
    "noisy": ("noisy", "exact values"),
    "changing": ("changes from batch to batch", "the same in every batch"),
    "constraints": ("constraints", "no constraints"),
    "integers": ("integers", "no integers"),
    "expensive": ("expensive", "not expensive"),
}


@dataclass(frozen=True)
class Rule:
    """A row of `blackbox.recommend.RULES`.

    Attributes
    ----------
    when
        The condition.
    method
        A name of `blackbox.ALGORITHMS`, or several: a chain, each from where the last one ended.
    reason, source
        Why, in a sentence; where that is known from.
    options
        What to set.
    """

    when: When
    method: str | tuple[str, ...]
    reason: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The method, or the chain's."""
        return (self.method,) if isinstance(self.method, str) else self.method

    def fits(self, case: Case) -> bool:
        """Whether its condition holds, and its methods can take the problem."""
        return self.when.holds(case) and all(map(case.suits, self.methods))


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number; got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1; got {value!r}")
