"""The search quality of a comparison's methods, in tables and as JSON: see `statistics.area`."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.environment import describe
from experiments.methods import label
from experiments.report import Column, Table, literal, number, to_json, write
from experiments.sections import dimensions, sections
from experiments.statistics.area import LIMITS, Quality, qualities

if TYPE_CHECKING:
    from experiments.comparison import Comparison

NAME = "quality"
"""Of the files."""
NOTES = (
    "A(m n): 51 targets from 1e2 to 1e-8 above the optimum. A target that is hit after e "
    "evaluations counts 1 - log10(e / n) / log10(m), at most 1; one that is not hit within m "
    "evaluations a variable counts 0. The mean over targets, runs and problems: 1 is best.",
    f"solved: runs within 1e-8 of the optimum, after {LIMITS[-1]} evaluations a variable at most. "
    "problems: with instances as one; methods that were not run on all come last.",
)

Standing = dict[str, dict[str, Quality]]
"""By section, all problems first, then by method, the best first."""


def measure(comparison: "Comparison") -> Standing:
    """Return how well the methods searched: over all problems, and in each dimension.

    Raises
    ------
    ValueError
        If no method was run on a problem with a known optimum.
    """
    found = {}
    for title, problems in dimensions(sections(comparison, by_all=False)).items():
        if part := qualities(comparison, problems):
            found[title] = dict(sorted(part.items(), key=lambda item: _key(item[1])))
    if not found:
        raise ValueError(
            "no problem here has a known optimum to measure the distance from; compare on such "
            "as bbob (see `experiments list problems`)"
        )
    return found


def tables(standing: Standing) -> list[Table]:
    """Return a table a section, a line a method; the notes are beneath the last."""
    shown = [_table(title, part) for title, part in standing.items()]
    return [*shown[:-1], shown[-1]._replace(notes=NOTES)]


def summary(comparison: "Comparison", standing: Standing, command: str) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    return {
        "command": command,
        "compared_by": comparison.command,
        "complete": comparison.complete,
        "environments": comparison.environments,
        "limits": LIMITS,
        "sections": {
            title: {method: quality._asdict() for method, quality in part.items()}
            for title, part in standing.items()
        },
    }


def save(comparison: "Comparison", standing: Standing, content: dict[str, Any], out: Path) -> None:
    """Write ``quality.md`` and ``quality.json``."""
    write(out / f"{NAME}.json", to_json(content))
    write(out / f"{NAME}.md", "\n\n".join(_page(comparison, standing, content["command"])) + "\n")


def _page(comparison: "Comparison", standing: Standing, command: str) -> Iterator[str]:
    yield "# Search quality"
    yield f"Made by `{command}`; the numbers are in `{NAME}.json`."
    if not comparison.complete:
        yield "**The comparison was stopped before its end.**"
    for table in tables(standing):
        yield f"## {literal(table.title)}"
        yield table.markdown().strip()
    if comparison.command:
        yield f"## How it was made\n\n```console\n{comparison.command}\n```"
    for environment in comparison.environments:
        yield describe(environment["versions"], environment["machine"]) + "."


def _table(title: str, part: dict[str, Quality]) -> Table:
    columns = [
        Column("method", number=False),
        *(Column(f"A({limit} n)") for limit in LIMITS),
        Column("solved"),
        Column("problems"),
        Column("runs", extra=True),
    ]
    rows = [[" ".join(label(method)).strip(), *_texts(part[method])] for method in part]
    return Table(title, columns, rows)


def _texts(quality: Quality) -> Sequence[str]:
    shares = (*quality.areas, quality.solved)
    return [
        *("-" if math.isnan(share) else f"{share:.3f}" for share in shares),
        number(quality.groups),
        number(quality.runs),
    ]


def _key(quality: Quality) -> tuple[float, ...]:
    """Those on most problems first, then the largest area, the widest of those there are."""
    areas = (0.0 if math.isnan(share) else share for share in reversed(quality.areas))
    return (-quality.groups, *(-share for share in areas))
