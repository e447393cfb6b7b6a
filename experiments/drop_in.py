"""Is our `minimize` a drop-in for scipy's? scipy's own tests say so, run against it.

Where ours differs on purpose, the test and the reason are in ``drop_in_differences.json``.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.environment import describe, machine, versions
from experiments.report import Column, Table, to_json, write

MODULES = (
    "test_optimize",
    "test_slsqp",
    "test_minimize_constrained",
    "test_cobyla",
    "test_cobyqa",
    "test_tnc",
    "test_lbfgsb_hessinv",
)
"""scipy's test modules that call `scipy.optimize.minimize`."""

DIFFERENCES: Mapping[str, str] = json.loads(
    Path(__file__).with_name("drop_in_differences.json").read_text()
)
"""Tests that fail on purpose, each with the reason."""


@dataclass(frozen=True)
class Outcome:
    """How scipy's tests ended.

    Attributes
    ----------
    passed
        Their number, those of scipy's own expected failures that fail among them.
    skipped
        Their number: they need what is not here.
    differing
        Failed on purpose: test and reason.
    failing
        Failed otherwise: test and error.
    stale
        Listed as differing, but passed or not there.
    """

    passed: int
    skipped: int
    differing: Mapping[str, str]
    failing: Mapping[str, str]
    stale: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether there were tests, and none failed but on purpose."""
        return self.passed > 0 and not self.failing and not self.stale


def read(ended: Mapping[str, Mapping[str, str]], differences: Mapping[str, str]) -> Outcome:
    """Sort the tests by how they ended."""
    failed = {name: one["error"] for name, one in ended.items() if one["outcome"] == "failed"}
    return Outcome(
        sum(one["outcome"] in ("passed", "expected failure") for one in ended.values()),
        sum(one["outcome"] == "skipped" for one in ended.values()),
        {name: differences[name] for name in failed if name in differences},
        {name: error for name, error in failed.items() if name not in differences},
        tuple(name for name in differences if name not in failed),
    )


def run(modules: tuple[str, ...] = MODULES) -> Outcome:
    """Run scipy's tests in a process of their own, with our `minimize` in scipy's place.

    Raises
    ------
    RuntimeError
        If pytest does not get as far as running them.
    """
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder, "ended.json")
        settings = {
            "BLACKBOX_DROP_IN": str(noted),
            "PYTHONPATH": os.pathsep.join([str(here), *sys.path[1:]]),
        }
        command = [sys.executable, "-m", "pytest", "-p", "experiments.drop_in_plugin", "-q"]
        command += ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", folder, "--pyargs"]
        command += [f"scipy.optimize.tests.{module}" for module in modules]
        done = subprocess.run(
            command, env=os.environ | settings, cwd=folder, capture_output=True, text=True
        )
        if not noted.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}")
        ended = json.loads(noted.read_text())
    wanted = {k: v for k, v in DIFFERENCES.items() if k.split("::")[0] in modules}
    return read(ended, wanted)


def summary(found: Outcome, command: str) -> dict[str, Any]:
    """Return all that was found, ready for JSON."""
    return {
        "command": command,
        "versions": versions("pytest"),
        "machine": machine(),
        "modules": MODULES,
        "passed": found.passed,
        "skipped": found.skipped,
        "differing_on_purpose": dict(found.differing),
        "failing": dict(found.failing),
        "listed_but_not_differing": list(found.stale),
    }


def table(found: Outcome) -> Table:
    """Return the counts."""
    rows = [
        ("passed", found.passed),
        ("differing on purpose", len(found.differing)),
        ("failing", len(found.failing)),
        ("skipped by scipy", found.skipped),
    ]
    return Table(
        "scipy's own tests, run against blackbox.minimize",
        [Column("tests", number=False), Column("number")],
        [(name, str(count)) for name, count in rows],
    )


def reasons(found: Outcome) -> Table:
    """Return each test that differs on purpose, and why."""
    return Table(
        "Differing on purpose",
        [Column("test", number=False), Column("because", number=False)],
        [(f"`{name}`", why) for name, why in found.differing.items()],
    )


def save(found: Outcome, folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``README.md`` and ``drop-in.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "drop-in.json", to_json(content))
    failing = "".join(f"\n- failing: `{name}`: {why}" for name, why in found.failing.items())
    text = f"""# Drop-in

Made by `{content["command"]}`; also in `drop-in.json`. scipy's own tests of
`scipy.optimize.minimize`, as installed with it, run with `blackbox.minimize` in its place.

{table(found).markdown()}
{failing}

## {reasons(found).title}

{reasons(found).markdown()}

{describe(content["versions"], content["machine"])}.
"""
    write(folder / "README.md", text)
