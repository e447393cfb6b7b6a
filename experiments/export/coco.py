"""Results as COCO writes them, so that its post-processing, ``cocopp``, reads them.

Hansen, N., Auger, A., Ros, R., Mersmann, O., Tusar, T., Brockhoff, D. (2021), COCO: a platform for
comparing continuous optimizers in a black-box setting, Optimization Methods and Software 36.

A folder a method; in it an index for each function, ``bbobexp_f1.info``, with three lines for each
dimension, and two files of data for it: ``.dat``, a line for each target 10^(k/5) when it was
reached, and ``.tdat``, a line for each of certain numbers of evaluations. Both hold one run after
the other, and give values as their distance from the optimum.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.record import Record, Results
from experiments.report import write

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Line = tuple[int, float]
"""Evaluations, and the least distance from the optimum until then."""
Chooser = Callable[[Counts, Array], Iterator[Line]]

TARGETS_A_DECADE, BUDGETS_A_DECADE = 5, 20
PRECISION = 1e-8
"""The last target."""
LEAST = 1e-12
"""Distances below this are written as this: their logarithm is taken."""
_NAME = re.compile(r"bbob:f=(\d+):n=(\d+):i=(\d+)")
_COLUMNS = (
    "% function evaluation | noise-free fitness - Fopt ({optimum:.12e}) | best noise-free "
    "fitness - Fopt | measured fitness | best measured fitness | x1 | x2..."
)


class Exported(NamedTuple):
    """What was written.

    Attributes
    ----------
    folders
        One for each method, to be given to ``cocopp``.
    left_out
        A sentence for each problem and each run that is not in them.
    """

    folders: list[Path]
    left_out: list[str]


class Trial(NamedTuple):
    """A run on an instance of a function.

    Attributes
    ----------
    record
        What it gave.
    f, n, instance
        The function, its dimension, the instance.
    optimum
        The instance's best value.
    """

    record: Record
    f: int
    n: int
    instance: int
    optimum: float

    @property
    def distances(self) -> Array:
        """The best values so far as distances from the optimum."""
        return np.maximum(self.record.curve.values - self.optimum, LEAST)


def write_coco(results: Results, folder: Path) -> Exported:
    """Write the runs on BBOB's functions, problems named ``bbob:f=F:n=N:i=I``, in COCO's format.

    What was spent is counted in evaluations. Several seeds on one instance are several trials of
    it, as in COCO's data of 2009. COCO wants a value of the first evaluation: where it failed, a
    value ten times the worst of the other runs' first ones stands in its place, and for all of a
    run that has no value.

    Parameters
    ----------
    results
        Runs and their problems; an optimum is needed.
    folder
        Is made where it is not there; gets a folder for each method.

    Raises
    ------
    ValueError
        If there is no run on any of BBOB's functions.
    """
    trials, left_out = _trials(results)
    if not trials:
        raise ValueError(
            "COCO's format is for BBOB's functions, problems named bbob:f=F:n=N:i=I; "
            + ("of these no run began" if not results.records else " ".join(left_out[:3]))
        )
    folders = []
    for method, name in _folder_names(trials).items():
        place = folder / name
        chosen = [trial for trial in trials if trial.record.cell.method == method]
        for f in sorted({trial.f for trial in chosen}):
            _write_function(place, name, method, f, [t for t in chosen if t.f == f])
        folders.append(place)
    return Exported(folders, left_out)


def _trials(results: Results) -> tuple[list[Trial], list[str]]:
    trials, left_out = [], {}
    for record in results.records:
        cell, problem = record.cell, results.problems[record.cell.problem]
        found = _NAME.fullmatch(cell.problem)
        if found is None:
            left_out[cell.problem] = f"{cell.problem} is none of BBOB's functions."
        elif problem.optimum is None:
            left_out[cell.problem] = f"The optimum of {cell.problem} is not known."
        elif record.evaluations < 1:
            reason = record.error or "no evaluation"
            left_out[cell.key] = f"{cell.method} on {cell.problem}, seed {cell.seed}: {reason}."
        else:
            f, n, instance = map(int, found.groups())
            trials.append(Trial(record, f, n, instance, problem.optimum))
    trials.sort(key=lambda trial: (trial.f, trial.n, trial.instance, trial.record.cell.seed))
    return trials, list(left_out.values())


def _folder_names(trials: Sequence[Trial]) -> dict[str, str]:
    """A name for each method's folder, which cocopp takes for the method's."""
    names: dict[str, str] = {}
    for method in dict.fromkeys(trial.record.cell.method for trial in trials):
        plain = re.sub(r"[^A-Za-z0-9.=]+", "-", method).strip("-.")[:60] or "method"
        name, i = plain, 2
        while name.lower() in {taken.lower() for taken in names.values()}:
            name, i = f"{plain}-{i}", i + 1
        names[method] = name
    return names


def _write_function(place: Path, name: str, method: str, f: int, trials: Sequence[Trial]) -> None:
    """Write a function's index and its data."""
    data = place / f"data_f{f}"
    data.mkdir(parents=True, exist_ok=True)
    comment = "% " + " ".join(method.split())
    lines = []
    for n in sorted({trial.n for trial in trials}):
        chosen = [trial for trial in trials if trial.n == n]
        stem = f"bbobexp_f{f}_DIM{n}"
        worst = 10 * max((t.distances[0] for t in chosen if len(t.distances)), default=1e10)
        write(data / f"{stem}.dat", _text(chosen, worst, _at_targets))
        write(data / f"{stem}.tdat", _text(chosen, worst, _at_budgets))
        ends = [
            f"{t.instance}:{t.record.evaluations}|{(t.distances[-1:].tolist() or [worst])[0]:.6e}"
            for t in chosen
        ]
        lines += [
            f"funcId = {f}, DIM = {n}, Precision = {PRECISION:.3e}, algId = '{name}'",
            comment,
            ", ".join([f"data_f{f}/{stem}.dat", *ends]),
        ]
    write(place / f"bbobexp_f{f}.info", "\n".join(lines) + "\n")


def _text(trials: Iterable[Trial], worst: float, choose: Chooser) -> str:
    """The lines of all trials, each below the columns' names."""
    lines = []
    for trial in trials:
        lines.append(_COLUMNS.format(optimum=trial.optimum))
        for evaluations, distance in choose(*_series(trial, worst)):
            value = distance + trial.optimum
            lines.append(
                f"{evaluations} {distance:+.12e} {distance:+.12e} {value:+.9e} {value:+.9e}"
            )
    return "\n".join(lines) + "\n"


def _series(trial: Trial, worst: float) -> tuple[Counts, Array]:
    """Evaluations and distances of a trial, from its first evaluation to its last."""
    spent, distances = trial.record.curve.evaluations, trial.distances
    if not len(spent) or spent[0] > 1:
        spent, distances = np.insert(spent, 0, 1), np.insert(distances, 0, worst)
    if spent[-1] < trial.record.evaluations:
        spent = np.append(spent, trial.record.evaluations)
        distances = np.append(distances, distances[-1])
    return spent, distances


def _at_targets(spent: Counts, distances: Array) -> Iterator[Line]:
    """The first evaluation, those that reach a target 10^(k/5) and the last."""
    levels = np.ceil(TARGETS_A_DECADE * np.log10(distances))
    chosen = np.append(True, np.diff(levels) < 0)
    chosen[-1] = True
    return zip(spent[chosen].tolist(), distances[chosen].tolist(), strict=True)


def _at_budgets(spent: Counts, distances: Array) -> Iterator[Line]:
    """The numbers of evaluations 10^(k/20), and the last."""
    decades = np.log10(spent[-1])
    budgets = 10 ** (np.arange(BUDGETS_A_DECADE * decades) / BUDGETS_A_DECADE)
    places = np.unique(np.append(budgets.astype(np.int64), spent[-1]))
    at = np.searchsorted(spent, places, side="right") - 1
    return zip(places.tolist(), distances[at].tolist(), strict=True)
