"""What a diagnosis says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import fill

Fact = float | int | str | list[int]

WIDTH = 88
"""Columns of the text."""


@dataclass(frozen=True)
class Finding:
    """Something about a run that is worth knowing.

    Attributes
    ----------
    name
        Which finding: stable, for programs. `blackbox.diagnosis.NAMES` has all of them.
    words
        What it is, in a sentence or two.
    evidence
        The numbers that it rests on, each with its name in words.
    remedy
        What to do about it.
    fault
        Whether something went wrong. What is no fault is a note: it may be as it should.
    """

    name: str
    words: str
    evidence: Mapping[str, Fact] = field(default_factory=dict)
    remedy: str = ""
    fault: bool = True

    def __str__(self) -> str:
        numbers = ", ".join(f"{what} {show(value)}" for what, value in self.evidence.items())
        title = self.name.replace("_", " ") + ("" if self.fault else " (a note)")
        lines = [_fold(f"{title}: {self.words}", "")]
        lines += [_fold(f"evidence: {numbers}", "  ")] if numbers else []
        lines += [_fold(f"remedy: {self.remedy}", "  ")] if self.remedy else []
        return "\n".join(lines)


class Diagnosis(tuple[Finding, ...]):
    """Findings, the gravest first; printed, it is a text.

    Attributes
    ----------
    summary
        How the run went and why it ended, in a sentence.
    """

    summary: str

    def __new__(cls, findings: Iterable[Finding] = (), summary: str = "") -> "Diagnosis":
        """Gather findings."""
        made = super().__new__(cls, findings)
        made.summary = summary
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """The findings' names."""
        return tuple(finding.name for finding in self)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are no mere notes."""
        return tuple(finding for finding in self if finding.fault)

    @property
    def healthy(self) -> bool:
        """Whether there was enough to go by, and no fault found in it."""
        return not self.faults and "too_short" not in self.names

    def __str__(self) -> str:
        if self.healthy:
            verdict = "healthy: no fault found."
        elif self.faults:
            verdict = f"{len(self.faults)} fault{'s' * (len(self.faults) > 1)} found."
        else:
            verdict = "no verdict."
        return "\n".join([_fold(f"{verdict} {self.summary}".strip(), ""), *map(str, self)])

    __repr__ = __str__


def show(value: Fact) -> str:
    """Write a number with as many digits as people read."""
    if isinstance(value, list):
        more = ", ..." if len(value) > 8 else ""
        return "[" + ", ".join(map(str, value[:8])) + more + "]"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def _fold(text: str, indent: str) -> str:
    return fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
