"""Which laws each method keeps: runs all tests of laws, fast and slow, and tells them by method.

``python -m tests.conformance [--out DIR] [arguments of pytest]``. A test is of a law where it is
marked ``law(number)``, and of a method where it has one as a parameter.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from blackbox import ALGORITHMS
from experiments.environment import describe, machine, versions
from experiments.report import Column, Table, to_json, write

LAWS = {
    1: "solves what its row says",
    2: "the same seed gives the same run; nothing global is touched",
    3: "never asks outside the bounds",
    4: "asking again gives the same points, and they are the caller's own",
    5: "the budget is exact",
    6: "the result is the best finite value told",
    7: "failures in a region, at random, everywhere",
    8: "bad arguments are named before the first evaluation",
    9: "errors and Ctrl-C reach the caller with the result so far; nothing is left behind",
    10: "a run that was killed goes on from its journal",
    11: "one variable, one point",
    12: "a pickled run goes on where it was",
    13: "memory does not grow with the evaluations",
    14: "what is known beforehand is learnt from, and never lost",
}
NOT_BUILT: dict[int, str] = {}
"""Laws that no method is tested for, and why."""


@dataclass
class Cell:
    """The tests of a law that were run for a method."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the table shows."""
        if self.failed:
            return f"FAIL {len(self.failed)} of {self.passed + len(self.failed)}"
        return str(self.passed) if self.passed else "-" if self.skipped else "none"

    @property
    def kept(self) -> bool:
        """Whether nothing failed, and something was tested or there is a reason why not."""
        return not self.failed and bool(self.passed or self.skipped)


@dataclass
class Tally:
    """A plugin of pytest that counts what came out, law by law and method by method."""

    cells: dict[tuple[int, str], Cell] = field(default_factory=lambda: defaultdict(Cell))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test: by its call, or by a set-up or an end that did not pass."""
        if report.when != "call" and report.passed:
            return
        about: dict[str, list[Any]] = defaultdict(list)
        for name, value in report.user_properties:
            about[name].append(value)
        for law in about["law"]:
            cell = self.cells[int(str(law)), str(about["method"][0])]
            if report.failed:
                cell.failed.append(report.nodeid)
            elif report.skipped:
                cell.skipped.append(reason(report))
            else:
                cell.passed += 1

    @property
    def broken(self) -> list[str]:
        """Cells that failed, or that no test was run for."""
        return [
            f"law {law}, {name}: {cell.text}"
            for name in ALGORITHMS
            for law in LAWS
            if law not in NOT_BUILT and not (cell := self.cells[law, name]).kept
        ]

    def table(self) -> Table:
        """Return the table, methods by laws."""
        columns = [Column("method", number=False), *(Column(str(law)) for law in LAWS)]
        rows = [
            [name] + ["-" if law in NOT_BUILT else self.cells[law, name].text for law in LAWS]
            for name in ALGORITHMS
        ]
        notes = ["A number: so many tests passed. A dash: none could be run."]
        notes += [f"Law {law}: {why}." for law, why in NOT_BUILT.items()]
        notes += sorted(
            f"{name}: {why}"
            for (_, name), cell in self.cells.items()
            if cell.text == "-"
            for why in set(cell.skipped)
        )
        return Table("Law by method", columns, rows, list(dict.fromkeys(notes)))

    def summary(self, command: str) -> dict[str, Any]:
        """Return all that was counted, ready for JSON."""
        return {
            "command": command,
            "versions": versions("nlopt", "pytest"),
            "machine": machine(),
            "laws": LAWS,
            "not_built": NOT_BUILT,
            "methods": {
                name: {
                    law: vars(self.cells[law, name]) | {"skipped": tellings(self.cells[law, name])}
                    for law in LAWS
                    if law not in NOT_BUILT
                }
                for name in ALGORITHMS
            },
        }


def tellings(cell: Cell) -> dict[str, int]:
    """How often each reason kept a test from being run."""
    return {why: cell.skipped.count(why) for why in sorted(set(cell.skipped))}


def reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    place = report.longrepr
    return str(place[2] if isinstance(place, tuple) else place).removeprefix("Skipped: ")


def save(tally: Tally, folder: Path, command: str) -> None:
    """Write ``README.md`` and ``conformance.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = tally.summary(command)
    write(folder / "conformance.json", to_json(content))
    laws = "\n".join(f"{number}. {law}" for number, law in LAWS.items())
    broken = tally.broken
    verdict = f"Not kept: {'; '.join(broken)}." if broken else "No test failed."
    text = f"""# Conformance

Made by `{command}`; names of tests that failed, and reasons for those that were left out, are in
`conformance.json`. {verdict}

Every method of the table runs through the same tests:

{laws}

{tally.table().markdown()}
{describe(content["versions"], content["machine"])}.
"""
    write(folder / "README.md", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests, print the table, write it; return 1 if a law is broken or untested."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/conformance"), help="where to")
    known, given = parser.parse_known_args(arguments)
    tally = Tally()
    pytest.main(["tests/blackbox", "-m", "law", "-q", *given], plugins=[tally])
    save(tally, known.out, "make conformance")
    console = Console(width=200)
    console.print(tally.table().rich(200))
    for sentence in tally.broken:
        console.print(sentence)
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
