"""Does a batch give the losses and gradients of a plain loop? Every architecture, every path.

A loop that works on a fresh copy of the model for each candidate, by autograd, is the oracle; it
computes in the same precision, so that all that may differ is the order of sums. Networks that draw
random numbers have no such oracle: the objective replays its draws, so equal candidates must have
equal losses, and a batch those of its candidates alone.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.architectures import ARCHITECTURES, Architecture, Setup
from experiments.environment import describe, machine, versions
from experiments.one_by_one import apart, weights
from experiments.report import Column, Table, number, to_json, write

Array = NDArray[np.float64]

PATHS = ("stack", "vmap", "loop")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
"""Relative: of a loss; of a gradient's components to the largest among them."""
CANDIDATES = 12
SPREAD = 0.1
"""Candidates are normal around the model's weights, with this deviation; the last two are equal."""


@dataclass(frozen=True)
class Case:
    """An architecture in a precision."""

    architecture: Architecture
    dtype: torch.dtype

    @property
    def precision(self) -> str:
        """The precision's name."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def label(self) -> str:
        """What is shown while it runs."""
        return f"{self.architecture.name}, {self.precision}"


@dataclass(frozen=True)
class Difference:
    """Largest relative differences of a path's losses and gradients; None without gradients."""

    losses: float
    gradients: float | None


@dataclass(frozen=True)
class Agreement:
    """A case, path by path.

    Attributes
    ----------
    case
        What was compared.
    taken, reason
        The path that the objective chooses by itself, and why.
    paths
        The differences of each path, or why it is impossible.
    """

    case: Case
    taken: str
    reason: str
    paths: Mapping[str, Difference | str]

    def beyond(self) -> list[str]:
        """Return a sentence for each difference that is beyond its tolerance."""
        tolerance = TOLERANCE[self.case.dtype]
        found = []
        for path, difference in self.paths.items():
            if isinstance(difference, Difference):
                for what in ("losses", "gradients"):
                    value = getattr(difference, what)
                    if value is not None and not value <= tolerance:
                        text = f"{what} by the {path} differ by {value:.1e}, beyond {tolerance:g}"
                        found.append(f"{self.case.label}: {text}")
        return found


def cases(names: list[str] | None = None) -> list[Case]:
    """Return architectures (None: all) in float64 and float32; mixed ones once."""
    rows = [ARCHITECTURES[name] for name in names or ARCHITECTURES]
    return [Case(row, dtype) for dtype in TOLERANCE for row in rows if not _twice(row, dtype)]


def _twice(row: Architecture, dtype: torch.dtype) -> bool:
    return row.mixed and dtype is torch.float64


def compare_all(given: list[Case]) -> Iterator[Agreement]:
    """Compare the cases, one after the other."""
    for case in given:
        yield compare(case)


def compare(case: Case) -> Agreement:
    """Hold all paths of a case against the plain loop."""
    row = case.architecture
    setup = row.setup(case.dtype)
    points = _points(setup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own slow or prototype parts
        taken, _, reason = row.objective(setup).batching
        expected = None if row.random else apart(setup, points)
        paths = {path: _difference(row, setup, path, points, expected) for path in PATHS}
    return Agreement(case, taken, reason, paths)


def _points(setup: Setup) -> Array:
    center = weights(setup.model)
    noise = np.random.default_rng(0).standard_normal((CANDIDATES, len(center)))
    noise[-1] = noise[-2]
    points: Array = center + SPREAD * noise
    return points


def _difference(
    row: Architecture, setup: Setup, path: str, points: Array, expected: tuple[Array, Array] | None
) -> Difference | str:
    try:
        ours = row.objective(setup, path)
    except ValueError as error:
        return str(error).removeprefix(f"plan={path!r} is not possible: ").split("; use plan")[0]
    values = ours(points)
    if expected is None:
        losses = max(_relative(values, _singles(ours, points)), abs(values[-1] - values[-2]))
    else:
        losses = _relative(values, expected[0])
    both = ours.value_and_gradient
    if both is None:
        return Difference(losses, None)
    again, gradients = both(points)
    losses = max(losses, _relative(again, values if expected is None else expected[0]))
    slopes = np.stack([both(x)[1] for x in points]) if expected is None else expected[1]
    return Difference(losses, _relative_to_largest(gradients, slopes))


def _singles(ours: Any, points: Array) -> Array:
    return np.array([ours(x) for x in points])


def _relative(found: Array, expected: Array) -> float:
    """Return the largest relative difference of numbers; NaN counts as infinite."""
    return _relative_to_largest(found[:, None], expected[:, None])


def _relative_to_largest(found: Array, expected: Array) -> float:
    """Return the largest difference in rows, relative to the row's largest entry."""
    scale = np.abs(expected).max(axis=1)
    difference = np.abs(found - expected).max(axis=1)
    ratios = np.divide(
        difference, scale, out=np.where(difference > 0, np.inf, 0.0), where=scale > 0
    )
    return float(np.nan_to_num(ratios, nan=np.inf).max())


def tables(found: list[Agreement]) -> list[Table]:
    """Return a table a precision: what each path differs by."""
    shown = []
    for dtype, tolerance in TOLERANCE.items():
        chosen = [one for one in found if one.case.dtype is dtype]
        if chosen:
            title = f"{chosen[0].case.precision}: at most {tolerance:g}"
            shown.append(_table(title, chosen))
    return shown


def _table(title: str, found: list[Agreement]) -> Table:
    columns = [Column("architecture", number=False), Column("taken", number=False)]
    columns += [Column(path) for path in PATHS]
    rows = [
        [one.case.architecture.name + (" *" if one.case.architecture.random else ""), one.taken]
        + [_cell(one, path) for path in PATHS]
        for one in found
    ]
    notes = ["Differences of losses / gradients; a dash where the path is not possible."]
    if any(one.case.architecture.random for one in found):
        notes.append(
            "Where a * stands, random numbers are drawn: equal candidates against each other, and "
            "a batch against single calls."
        )
    return Table(title, columns, rows, notes)


def _cell(one: Agreement, path: str) -> str:
    difference = one.paths[path]
    if isinstance(difference, str):
        return "-"
    tolerance = TOLERANCE[one.case.dtype]
    both = (difference.losses, difference.gradients)
    return " / ".join(
        "none" if v is None else number(v, 1) + ("" if v <= tolerance else " !") for v in both
    )


def reasons(found: list[Agreement]) -> Table:
    """Return why paths are not possible, a line an architecture and path."""
    columns = [Column(title, number=False) for title in ("architecture", "path", "why not")]
    lines = dict.fromkeys(
        (one.case.architecture.name, path, why)
        for one in found
        for path, why in one.paths.items()
        if isinstance(why, str)
    )
    return Table("Paths that are not possible", columns, [list(line) for line in lines])


def summary(found: list[Agreement], command: str) -> dict[str, Any]:
    """Return all numbers, ready for JSON."""
    return {
        "command": command,
        "versions": versions(),
        "machine": machine(),
        "tolerances": {str(k).removeprefix("torch."): v for k, v in TOLERANCE.items()},
        "candidates": CANDIDATES,
        "rows": [
            {
                "architecture": one.case.architecture.name,
                "precision": one.case.precision,
                "taken": one.taken,
                "reason": one.reason,
                "within_tolerance": not one.beyond(),
                "paths": {
                    path: {"not_possible": d} if isinstance(d, str) else vars(d)
                    for path, d in one.paths.items()
                },
            }
            for one in found
        ],
    }


def save(found: list[Agreement], folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``README.md`` and ``agreement.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "agreement.json", to_json(content))
    beyond = [sentence for one in found for sentence in one.beyond()]
    verdict = f"Beyond tolerance: {'; '.join(beyond)}." if beyond else "All are within tolerance."
    sections = "\n".join(
        f"## {t.title}\n\n{t.markdown()}" for t in [*tables(found), reasons(found)]
    )
    text = f"""# Agreement

Made by `{content["command"]}`; the numbers, and why each path was taken, are in `agreement.json`.
{verdict}

{CANDIDATES} candidates around each network's weights go through `ModelObjective` at once, by each
of its paths, and one by one through a fresh copy of the network and autograd, in the same
precision. A difference is relative: of losses, and of a gradient's components to the largest among
them.

{sections}
{describe(content["versions"], content["machine"])}.
"""
    write(folder / "README.md", text)
