"""The text of a schedule: `"warmup(5%) + cosine"` is read, and refused, without torch."""

import ast
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from blackbox.algorithms.method import nearest


@dataclass(frozen=True)
class Share:
    """A length as a share of the run's steps."""

    percent: float

    def __str__(self) -> str:
        return f"{self.percent:g}%"


Length = int | Share


@dataclass(frozen=True)
class Phase:
    """A part of a schedule.

    Attributes
    ----------
    name
        One of `NAMES`.
    length
        Its steps; None: all that are left.
    arguments
        What was given by name.
    """

    name: str
    length: Length | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


class Number(NamedTuple):
    """A number within limits; `whole` where only integers will do."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    whole: bool = False

    def takes(self, value: Any) -> bool:
        """Whether a value is such a number."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        what = "a whole number" if self.whole else "a number"
        low = f"{'above' if self.open_low else 'from'} {self.low:g}"
        if self.high == float("inf"):
            return f"{what} {low}"
        return f"{what} {low} {'and below' if self.open_high else 'to'} {self.high:g}"


class Words(NamedTuple):
    """One of a few values."""

    known: tuple[Any, ...]

    def takes(self, value: Any) -> bool:
        """Whether a value is among them."""
        return any(value is word or (isinstance(value, str) and value == word) for word in self[0])

    def __str__(self) -> str:
        return " or ".join(map(str, self.known))


class Steps(NamedTuple):
    """A number of steps, or a share of the run; `several`: a list of them, ascending."""

    several: bool = False
    lowest: int = 1

    def takes(self, value: Any) -> bool:
        """Whether a value is that."""
        if self.several:
            return isinstance(value, list) and bool(value) and all(map(Steps().takes, value))
        if isinstance(value, Share):
            return 0 < value.percent <= 100
        return type(value) is int and value >= self.lowest

    def __str__(self) -> str:
        one = f"a whole number of steps from {self.lowest}, or a share of the run above 0% to 100%"
        return "[...], a list of which each is " + one if self.several else one


INF = float("inf")
POSITIVE = Number(0, INF, open_low=True, open_high=True)
LEAST = Number(0, INF, open_high=True)
COUNT = Number(0, INF, whole=True)
PART = Number(0, 1)
WITHIN = Number(0, 1, open_low=True, open_high=True)
SWITCH = Words((True, False))

PLATEAU = {
    "factor": WITHIN,
    "patience": COUNT,
    "threshold": LEAST,
    "threshold_mode": Words(("rel", "abs")),
    "cooldown": COUNT,
    "every": Steps(),
}
NAMES: dict[str, dict[str, Any]] = {
    "constant": {"factor": PART},
    "warmup": {"start_factor": Number(0, 1, open_low=True), "end_factor": PART},
    "linear": {"start_factor": Number(0, 1, open_low=True), "end_factor": PART},
    "polynomial": {"power": POSITIVE},
    "cosine": {"eta_min": LEAST},
    "cosine-restarts": {"T_0": Steps(), "T_mult": Number(1, INF, whole=True), "eta_min": LEAST},
    "exponential": {"gamma": POSITIVE},
    "inverse-time": {"decay": POSITIVE},
    "step": {"step_size": Steps(), "milestones": Steps(several=True), "gamma": POSITIVE},
    "one-cycle": {
        "pct_start": PART,
        "anneal_strategy": Words(("cos", "linear")),
        "cycle_momentum": SWITCH,
        "base_momentum": Number(0, 1, open_high=True),
        "max_momentum": Number(0, 1, open_high=True),
        "div_factor": POSITIVE,
        "final_div_factor": POSITIVE,
        "three_phase": SWITCH,
    },
    "plateau": PLATEAU | {"min_lr": LEAST, "eps": LEAST},
    "adaptive": PLATEAU | {"warmup": Steps(lowest=0), "reductions": Number(1, INF, whole=True)},
}
"""The schedules, and what may be given to each by name beside its length."""

ON_LOSSES = ("plateau", "adaptive")
"""Those that go by losses: nothing can follow them."""
WARMUP = Share(5)
"""The length of a warm-up that names none."""


def read(text: str) -> list[Phase]:
    """Return the phases of a schedule.

    Raises
    ------
    ValueError
        Where the text is none; says what is wrong and what would do.
    """
    phases = [_read_phase(part.strip(), text) for part in _split(text, "+")]
    *first, last = phases
    for phase in first:
        if phase.name in ON_LOSSES:
            raise _error(text, f"{phase.name!r} has no end, so it can only be the last phase")
        if phase.length is None:
            raise _error(
                text,
                f"every phase but the last needs a length, in steps or per cent of the run: "
                f"{phase.name}(100) or {phase.name}(30%)",
            )
    if first and "one-cycle" in [phase.name for phase in phases]:
        raise _error(text, "'one-cycle' warms up and decays by itself, so it stands alone")
    taken = sum(p.length.percent for p in phases if isinstance(p.length, Share))
    if taken > 100 or (taken == 100 and last.length is None):
        raise _error(text, f"its phases take {taken:g}% of the run, and the last one what is left")
    return phases


def _read_phase(part: str, text: str) -> Phase:
    found = re.fullmatch(r"([A-Za-z][\w -]*?)\s*(?:\((.*)\))?", part, re.DOTALL)
    if found is None:
        raise _error(
            text,
            f"{part!r} is no phase; write name, name(length) or name(key=value), and + between",
        )
    name = _find(found[1], text)
    known = NAMES[name]
    length: Length | None = WARMUP if name == "warmup" else None
    arguments: dict[str, Any] = {}
    given = [one.strip() for one in _split(found[2] or "", ",")]
    for place, one in enumerate(given if given != [""] else []):
        key, equals, value = (side.strip() for side in one.partition("="))
        if not equals:
            length = _read_length(key, name, text, place, given)
            continue
        if key not in known:
            raise _error(
                text, f"{name!r} has no argument {key!r}{nearest(key, list(known))}; {_usage(name)}"
            )
        if key in arguments:
            raise _error(text, f"{key!r} is given twice")
        arguments[key] = _read_value(value)
        if not known[key].takes(arguments[key]):
            raise _error(text, f"{key} of {name!r} is {known[key]}; got {value!r}")
    if {"step_size", "milestones"} <= set(arguments):
        raise _error(text, "'step' takes step_size or milestones, not both")
    return Phase(name, length, arguments)


def _read_length(word: str, name: str, text: str, place: int, given: list[str]) -> Length:
    if place or not word:
        shown = ", ".join(given)
        raise _error(
            text, f"{name}({shown}): one length comes first, all else is key=value; {_usage(name)}"
        )
    length = _read_value(word)
    if name in ON_LOSSES or not Steps().takes(length):
        what = "has no length" if name in ON_LOSSES else f"has a length that is {Steps()}"
        raise _error(text, f"{name!r} {what}; got {word!r}; {_usage(name)}")
    assert isinstance(length, int | Share)
    return length


def _find(word: str, text: str) -> str:
    """Return the schedule that a word names: in any case, with or without hyphens."""
    plain = {_plain(name): name for name in NAMES}
    name = plain.get(_plain(word))
    if name is None:
        raise _error(
            text,
            f"there is no schedule {word!r}{nearest(word.lower(), list(NAMES))}; there are: "
            f"{', '.join(NAMES)}",
        )
    return name


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]", "", word).lower()


def _read_value(word: str) -> Any:
    if re.fullmatch(r"[\d.]+\s*%", word):
        try:
            return Share(float(word.rstrip("% ")))
        except ValueError:
            return word
    if word.startswith("[") and word.endswith("]"):
        return [_read_value(one.strip()) for one in _split(word[1:-1], ",")]
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(word.lower(), word)


def _split(text: str, mark: str) -> list[str]:
    """Split a text at a mark that is within no brackets, and is no sign of an exponent."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _usage(name: str) -> str:
    keys = [f"{key}=..." for key in NAMES[name]]
    return f"it is written {name}({', '.join(keys if name in ON_LOSSES else ['length', *keys])})"


def _error(text: str, what: str) -> ValueError:
    return ValueError(f"schedule={text!r}: {what}")
