"""Which problems are looked at together: all, those of a dimension, those of a kind."""

import re

from experiments.problems import bbob
from experiments.record import Results
from experiments.statistics.matrix import contestants

ALL = "all problems"
_BBOB = re.compile(r"bbob:f=(\d+):")


def sections(results: Results, *, by_all: bool = True) -> dict[str, set[str]]:
    """Return names of problems by section, all of them first.

    There is one a dimension where dimensions differ, and one for each of BBOB's groups of
    functions. A section that would hold all problems is left out, and `by_all` one of which no
    problem was run with all methods.
    """
    names = list(dict.fromkeys(record.cell.problem for record in results.records))
    found: dict[str, set[str]] = {}
    for name in sorted(names, key=lambda name: results.problems[name].n):
        found.setdefault(f"{results.problems[name].n} variables", set()).add(name)
    for kind in bbob.FUNCTIONS:
        for name in names:
            if (match := _BBOB.match(name)) and bbob.NAMES[int(match[1]) - 1][0] == kind:
                found.setdefault(f"BBOB, {kind}", set()).add(name)
    shown = _shared(results) if by_all else set(names)
    parts = {
        title: part for title, part in found.items() if len(part) < len(names) and part & shown
    }
    return {ALL: set(names)} | parts


def _shared(results: Results) -> set[str]:
    """Names of problems that all methods were run on."""
    everybody, present = set(contestants(results)), dict[str, set[str]]()
    for record in results.records:
        present.setdefault(record.cell.problem, set()).add(record.cell.method)
    return {name for name, methods in present.items() if everybody <= methods}


def dimensions(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the sections that a picture has room for: all problems, and the dimensions."""
    return {t: part for t, part in found.items() if t == ALL or t.endswith(" variables")}
