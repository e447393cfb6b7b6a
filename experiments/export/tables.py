"""Two tables of results: a line a run, and a line an improvement.

CSV needs nothing but Python; Parquet needs pyarrow, and the frames pandas: the extra ``tables``.
"""

import csv
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.record import Record, Results

if TYPE_CHECKING:
    import pandas as pd

RUNS, CURVES = "runs", "curves"
"""The files' names, without their endings."""
CURVE_COLUMNS = (
    "problem",
    "method",
    "seed",
    "evaluations",
    "gradients",
    "passes",
    "seconds",
    "value",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_frame(results: Results) -> "pd.DataFrame":
    """Return a line a run: its figures, and the group, dimension and optimum of its problem.

    Raises
    ------
    ModuleNotFoundError
        If pandas is not installed; it says how to install it.
    """
    return _require("pandas").DataFrame(_columns(results))


def curves_frame(results: Results) -> "pd.DataFrame":
    """Return a line an improvement: what had been spent when it came, and the new best value.

    Raises
    ------
    ModuleNotFoundError
        If pandas is not installed; it says how to install it.
    """
    return _require("pandas").DataFrame(_curve_columns(results))


def write_csv(results: Results, folder: Path) -> list[Path]:
    """Write ``runs.csv`` and ``curves.csv``, UTF-8 with a line of titles.

    Numbers keep every digit; there is nothing where there is none, ``inf`` for a run that found no
    value. A spreadsheet would take a text that begins with ``=``, ``+``, ``-`` or ``@`` for a
    formula and compute it, so such texts have an apostrophe before them.

    Parameters
    ----------
    results
        What to write.
    folder
        Is made where it is not there. Files in it are replaced, whole or not at all.

    Returns
    -------
    list of Path
        The files.
    """
    runs = _columns(results)
    lines = zip(*runs.values(), strict=True)
    return [
        _write_lines(folder / f"{RUNS}.csv", runs, lines),
        _write_lines(folder / f"{CURVES}.csv", CURVE_COLUMNS, _curve_lines(results.records)),
    ]


def write_parquet(results: Results, folder: Path) -> list[Path]:
    """Write ``runs.parquet`` and ``curves.parquet``.

    Parameters and return value are those of `write_csv`; texts are kept as they are.

    Raises
    ------
    ModuleNotFoundError
        If pyarrow is not installed; it says how to install it.
    """
    arrow, parquet = _require("pyarrow"), _require("pyarrow.parquet")
    files = []
    for name, columns in ((RUNS, _columns(results)), (CURVES, _curve_columns(results))):
        path = folder / f"{name}.parquet"
        with _whole(path) as part:
            parquet.write_table(arrow.table(columns), part, compression="zstd")
        files.append(path)
    return files


def _columns(results: Results) -> dict[str, list[Any]]:
    """The table of runs by columns; what a problem does not report is None there."""
    rows = []
    for record in results.records:
        problem, row = results.problems[record.cell.problem], record.plain()
        about = {"group": problem.group, "n": problem.n, "optimum": problem.optimum}
        budget = {"budget": record.cell.budget}
        rows.append({"problem": row.pop("problem")} | about | row | budget)
    titles = dict.fromkeys(title for row in rows for title in row)
    return {title: [row.get(title) for row in rows] for title in titles}


def _curve_columns(results: Results) -> dict[str, Any]:
    records = results.records
    counts = [len(record.curve.values) for record in records]

    def joined(parts: Iterable[Any], kind: type) -> Any:
        return np.concatenate([np.empty(0, dtype=kind), *parts]).astype(kind)

    def repeated(values: list[Any], kind: type) -> Any:
        return np.repeat(np.array(values, dtype=kind), counts)

    curves = [record.curve for record in records]
    columns = (
        repeated([record.cell.problem for record in records], object),
        repeated([record.cell.method for record in records], object),
        repeated([record.cell.seed for record in records], np.int64),
        joined((curve.evaluations for curve in curves), np.int64),
        joined((curve.gradients for curve in curves), np.int64),
        joined((curve.spent("passes") for curve in curves), np.int64),
        joined((curve.seconds for curve in curves), np.float64),
        joined((curve.values for curve in curves), np.float64),
    )
    return dict(zip(CURVE_COLUMNS, columns, strict=True))


def _curve_lines(records: Iterable[Record]) -> Iterator[tuple[Any, ...]]:
    for record in records:
        cell, curve = record.cell, record.curve
        parts = (
            curve.evaluations,
            curve.gradients,
            curve.spent("passes").astype(np.int64),
            curve.seconds,
            curve.values,
        )
        for line in zip(*(part.tolist() for part in parts), strict=True):
            yield cell.problem, cell.method, cell.seed, *line


def _write_lines(path: Path, titles: Iterable[str], lines: Iterable[Iterable[Any]]) -> Path:
    with _whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(_cell, titles))
        writer.writerows([_cell(value) for value in line] for line in lines)
    return path


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA) else value
    return repr(value.item() if isinstance(value, np.generic) else value)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a path to write to; what was written takes the file's place if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _require(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'this table needs {name.split(".")[0]}: pip install -e ".[tables]"', name=error.name
        ) from error
