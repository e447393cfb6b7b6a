"""A comparison on disk: one SQLite file, a cell a transaction.

Written by any number of processes of one machine at once; killed at any moment, it holds every cell
that was finished, whole. What is read from a store is numbers, texts and JSON, and never executed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plan import Cell
from experiments.record import ProblemInfo, Record, Results
from experiments.storage.claims import Claims
from experiments.storage.database import Database, StoreError
from experiments.storage.packing import pack, unpack

__all__ = ["FILE", "Store", "StoreError"]

FILE = "comparison.sqlite"
NONE = json.dumps(None)
"""A setting that is not given."""


class Store:
    """The results of a comparison, in a folder.

    Parameters
    ----------
    folder
        Where the file is, or is to be.
    create
        Whether to make it where it is not there.

    Raises
    ------
    StoreError
        If there is none, or a file that is no store or of another format.

    Attributes
    ----------
    claims
        Which cells are being run, and by whom.
    """

    def __init__(self, folder: Path | str, *, create: bool = True) -> None:
        self.folder = Path(folder)
        path = self.folder / FILE
        if not create and not path.exists():
            raise StoreError(
                f"there is no comparison in {self.folder} (no {FILE}); make one by "
                f"`experiments compare ... --out {self.folder}`"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._db = Database(path)
        self.claims = Claims(self._db)

    def plan(
        self, cells: Sequence[Cell], infos: Iterable[ProblemInfo], settings: Mapping[str, Any]
    ) -> None:
        """Take in what is to be run; cells that are new come after those that are there.

        Parameters
        ----------
        cells, infos
            The plan, and what its problems are.
        settings
            What makes cells comparable (the budget ...): those of the plan that is there.

        Raises
        ------
        StoreError
            If the store is that of a comparison with other settings, or a problem has changed.
        """
        path, wanted = self._db.path, {name: json.dumps(v) for name, v in settings.items()}
        with self._db.transaction():
            had = dict(self._db.rows("SELECT name, value FROM settings"))
            names = dict.fromkeys([*wanted, *had]) if had else {}
            other = [name for name in names if had.get(name, NONE) != wanted.get(name, NONE)]
            if other:
                there = ", ".join(f"{name}={had.get(name, NONE)}" for name in other)
                here = ", ".join(f"{name}={wanted.get(name, NONE)}" for name in other)
                raise StoreError(
                    f"{path} holds a comparison with {there}; this one has {here}, and they can't "
                    "be mixed. Give another --out. Nothing was changed"
                )
            versions = {cell.problem: cell.fingerprint for cell in cells}
            for cell in self.cells():
                if versions.get(cell.problem, cell.fingerprint) != cell.fingerprint:
                    raise StoreError(
                        f"{path} holds results of another version of {cell.problem}, and they "
                        "can't be mixed. Give another --out. Nothing was changed"
                    )
            self._db.do_many("INSERT OR IGNORE INTO settings VALUES (?, ?)", list(wanted.items()))
            self._db.do_many(
                "INSERT OR REPLACE INTO problems VALUES (?, ?)",
                [(info.name, json.dumps(asdict(info))) for info in infos],
            )
            self._db.do_many(
                "INSERT OR IGNORE INTO cells (key, cell) VALUES (?, ?)",
                [(cell.key, json.dumps(cell.plain())) for cell in cells],
            )

    def cells(self) -> list[Cell]:
        """Return all cells, in the order of the plan."""
        rows = self._db.rows("SELECT cell FROM cells ORDER BY position")
        try:
            return [Cell(**json.loads(text)) for (text,) in rows]
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def values(self) -> dict[str, float]:
        """Return the best value of each finished cell, by its key."""
        rows = self._db.rows("SELECT key, value FROM results")
        return {key: np.inf if value is None else value for key, value in rows}

    def forget(self, keys: Iterable[str]) -> None:
        """Throw results away, so that their cells are run again."""
        rows = [(key,) for key in keys]
        with self._db.transaction():
            self._db.do_many("DELETE FROM results WHERE key = ?", rows)

    def write(self, record: Record, environment: Mapping[str, Any]) -> None:
        """Keep what a cell gave, with the versions and the machine it was made with."""
        text = json.dumps(environment, sort_keys=True)
        row = (
            record.cell.key,
            datetime.now(UTC).isoformat(timespec="seconds"),
            float(record.value) if np.isfinite(record.value) else None,
            float(record.violation),
            record.evaluations,
            record.gradients,
            record.failures,
            record.seconds,
            record.runs,
            record.message,
            record.error,
            json.dumps(dict(record.report)),
            pack(record),
        )
        with self._db.transaction():
            self._db.do("INSERT OR IGNORE INTO environments (text) VALUES (?)", (text,))
            self._db.do(
                "INSERT OR REPLACE INTO results SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? "
                "FROM environments WHERE text = ?",
                (*row, text),
            )
            self._db.do("DELETE FROM claims WHERE key = ?", (record.cell.key,))

    def read(self) -> Results:
        """Return all that is finished, in the order of the plan.

        Raises
        ------
        StoreError
            If a row is not what this class writes.
        """
        infos = self._db.rows("SELECT info FROM problems")
        rows = self._db.rows(
            "SELECT cell, value, violation, evaluations, gradients, failures, seconds, runs, "
            "message, error, report, arrays FROM cells JOIN results USING (key) ORDER BY position"
        )
        try:
            problems = [ProblemInfo(**json.loads(text)) for (text,) in infos]
            records = tuple(map(_record, rows))
        except Exception as error:  # whatever it is: this is not what was written
            raise self._damaged(error) from error
        return Results(records, {info.name: info for info in problems})

    def settings(self) -> dict[str, Any]:
        """Return what makes the cells comparable: the budget, and the like."""
        rows = self._db.rows("SELECT name, value FROM settings")
        try:
            return {name: json.loads(value) for name, value in rows}
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def note(self, name: str, text: str) -> None:
        """Keep a text beside the results, in place of the one of this name."""
        with self._db.transaction():
            self._db.do("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))

    def noted(self, name: str) -> str:
        """Return a text that was kept; empty where there is none."""
        rows = self._db.rows("SELECT text FROM notes WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def environments(self) -> list[dict[str, Any]]:
        """Return the versions and machines that results were made with, the first one first."""
        rows = self._db.rows(
            "SELECT text FROM environments WHERE id IN (SELECT environment FROM results) "
            "ORDER BY id"
        )
        try:
            return [json.loads(text) for (text,) in rows]
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self._db.path} can't be read: it is damaged ({error}); move it away, or give "
            "another --out"
        )

    def close(self) -> None:
        """Close the file, and let go of what was claimed."""
        self._db.close()
        self.claims.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _record(row: Sequence[Any]) -> Record:
    text, value, violation, evaluations, gradients, failures, seconds, runs, *rest = row
    message, error, report, blob = rest
    arrays = unpack(blob, gradients)
    return Record(
        cell=Cell(**json.loads(text)),
        value=np.inf if value is None else value,
        x=arrays.x,
        evaluations=evaluations,
        gradients=gradients,
        seconds=seconds,
        runs=runs,
        curve=arrays.curve,
        message=message,
        error=error,
        failures=failures,
        violation=violation,
        training=arrays.training,
        report=json.loads(report),
        findings=arrays.findings,
    )
