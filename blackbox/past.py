"""What a journal says of the past: for people, and for a warm start of another run."""

import math
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from blackbox.appended import file_named
from blackbox.lines import (
    Batch,
    End,
    JournalError,
    Left,
    Reader,
    open_file,
    read_header,
    read_line,
)
from blackbox.snapshot import best_of
from blackbox.types import Array

SEARCHED = ("values", "gradients")


@dataclass(frozen=True, eq=False)
class Past:
    """What `read_journal` found.

    Attributes
    ----------
    path, header
        The file, and its first line: method, options, seed, what it was made with.
    points, values
        Shapes (m, n) and (m,): in order, what was evaluated and its points were kept: all where
        there are at most 1,000 variables, else the best so far; with a snapshot the best in that.
        A failure is NaN or inf. Where the run saw minibatches, only what was evaluated at full
        fidelity.
    evaluations, failures, gradients, batches
        How many there were, of points, of failed ones, of batches of slopes, of batches.
    repeated
        Evaluations among them that were made a second time, after a kill: see `Journal.leave`.
    seconds
        How long the run has taken.
    reason
        Why it ended; None where it has not: it is going on, or was killed.
    damage
        What kept the rest of the file from being read; None where nothing did.
    """

    path: Path
    header: dict[str, Any]
    points: Array
    values: Array
    evaluations: int = 0
    failures: int = 0
    gradients: int = 0
    batches: int = 0
    repeated: int = 0
    seconds: float = 0.0
    reason: str | None = None
    damage: str | None = None

    @property
    def best_x(self) -> Array | None:
        """The best point, (n,), constraints aside; None where there is none."""
        best = self.best()
        return best[0] if len(best) else None

    @property
    def best_value(self) -> float:
        """The best value; inf where there is none."""
        finite = self.values[np.isfinite(self.values)]
        return float(finite.min()) if len(finite) else math.inf

    def best(self, count: int = 1) -> Array:
        """Return the best distinct points, the best first: starts of another run.

        Parameters
        ----------
        count
            How many, at most. Fewer where fewer were kept.

        Returns
        -------
        Shape (k, n).

        Examples
        --------
        ``minimize(fun, read_journal("run.journal").best(5), method="pso")``: a population takes
        them in; a local method walks from each. See `Method.several_starts` and `Method.start`.
        """
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"count is a whole number from 1; got {count!r}")
        chosen: list[int] = []
        seen: set[bytes] = set()
        for row in np.argsort(self.values, kind="stable").tolist():
            if len(chosen) == count or not math.isfinite(self.values[row]):
                break
            key = (self.points[row] + 0.0).tobytes()
            if key not in seen:
                seen.add(key)
                chosen.append(row)
        return self.points[chosen].copy()

    def __str__(self) -> str:
        """Tell it in a few lines."""
        lines = [f"{name:<12} {text}" for name, text in self._lines()]
        return "\n".join(
            "".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines
        )

    def _lines(self) -> list[tuple[str, str]]:
        header = self.header
        made = [f"{k} {v}" for k, v in header["made with"].items() if k != "budget"]
        budget = header["made with"].get("budget")
        state = "not ended: it is going on, or was killed" if self.reason is None else self.reason
        took = timedelta(seconds=round(self.seconds)) if self.seconds < 1e9 else self.seconds
        counts = [f"{self.evaluations:,}" + (f" of {budget:,}" if type(budget) is int else "")]
        counts += [f"{self.failures:,} failed"] if self.failures else []
        counts += [f"{self.gradients:,} batches of slopes"] if self.gradients else []
        counts += [f"{self.repeated:,} made again"] if self.repeated else []
        rows = [
            ("journal", str(self.path)),
            ("method", f"{header.get('method')}, seed {header.get('seed')}"),
            ("options", ", ".join(f"{k}={v!r:.40}" for k, v in _items(header)) or "none"),
            ("variables", f"{header['n']:,}" + _constraints(header)),
            ("evaluations", f"{', '.join(counts)}; {self.batches:,} batches in {took}"),
            ("best value", f"{self.best_value:.10g}" if len(self.best()) else "none yet"),
            ("ended", state),
            ("made with", ", ".join(made)),
        ]
        return rows + ([("damaged", self.damage)] if self.damage else [])

    def summary(self) -> dict[str, Any]:
        """Return the same for JSON, with the best point."""
        best = self.best()
        return {
            "path": str(self.path),
            "header": self.header,
            "evaluations": self.evaluations,
            "failures": self.failures,
            "gradients": self.gradients,
            "batches": self.batches,
            "repeated": self.repeated,
            "seconds": self.seconds,
            "best_value": self.best_value if len(best) else None,
            "best_x": best[0].tolist() if len(best) else None,
            "ended": self.reason,
            "damage": self.damage,
        }


def _items(header: dict[str, Any]) -> list[tuple[str, Any]]:
    options = header.get("options")
    return list(options.items()) if isinstance(options, dict) else []


def _constraints(header: dict[str, Any]) -> str:
    count = header.get("constraints")
    return f", {count} constraints (not looked at here)" if count else ""


def read_journal(path: str | os.PathLike[str]) -> Past:
    """Read a journal, also one that is damaged further on, or is being written.

    Parameters
    ----------
    path
        What `minimize` or `Optimizer` was given as ``journal=``.

    Raises
    ------
    JournalError
        If the file can't be read or is no journal.
    """
    gathered = _Gathered(file_named(path))
    try:
        with open_file(gathered.path) as file:
            gathered.read(Reader(file, gathered.path))
    except OSError as error:
        raise JournalError(f"{path} can't be read: {error.strerror or error}") from error
    return gathered.past()


class _Gathered:
    """Counts and points, while a journal is being read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] | None = None
        self._points: dict[bool, list[Array]] = {True: [], False: []}
        self._values: dict[bool, list[Array]] = {True: [], False: []}
        names = ("evaluations", "failures", "gradients", "batches", "repeated")
        self._counts = dict.fromkeys(names, 0)
        self._seconds = 0.0
        self._reason: str | None = None
        self._damage: str | None = None

    def read(self, reader: Reader) -> None:
        """Take in all lines, up to one that is damaged."""
        texts = iter(reader)
        try:
            for text in texts:
                if self.header is None:
                    self.header = read_header(text)
                else:
                    self._take(read_line(text, self.header["n"]))
        except (JournalError, ValueError) as error:
            known = isinstance(error, JournalError)
            words = str(error) if known else f"line {reader.number} makes no sense: {error}"
            if self.header is None:
                raise JournalError(words if known else f"{self.path}, {words}") from error
            self._damage = words

    def _take(self, line: Batch | End | Left) -> None:
        if isinstance(line, Left):
            self._counts["repeated"] += line.evaluations
            return
        self._seconds = line.seconds
        if isinstance(line, End):
            self._reason = line.reason
            if line.x is not None:
                self._add(line.x, line.value)
            return
        self._reason = None
        self._counts["gradients"] += line.kind in ("gradients", "slopes")
        if line.kind != "validation":  # as a history counts them
            failed = set(np.flatnonzero(~np.isfinite(line.values)).tolist()) | set(line.failed)
            self._counts["failures"] += len(failed)
        if line.kind == "slopes":
            return
        self._counts["batches"] += line.kind in SEARCHED
        self._counts["evaluations"] += len(line.values)
        if line.points is not None and line.kind != "validation":
            values = line.values if line.row is None else line.values[line.row : line.row + 1]
            self._points[line.kind == "full"].append(line.points)
            self._values[line.kind == "full"].append(values.real)

    def _add(self, x: Array, value: float) -> None:
        """Take in the best point, (n,), where the lines have none."""
        changing = self.header is not None and bool(self.header.get("changing"))
        whole = bool(self._values[True]) or changing
        self._points[whole].append(x[None])
        self._values[whole].append(np.array([value]))

    def past(self) -> Past:
        """Return all that was found."""
        header = self.header
        if header is None:
            raise JournalError(f"{self.path} holds no run yet")
        if (best := best_of(self.path)) is not None and len(best[0]) == header["n"]:
            self._add(*best)
        full = bool(self._values[True])
        points = np.concatenate([np.empty((0, header["n"])), *self._points[full]])
        values = np.concatenate([np.empty(0), *self._values[full]])
        return Past(
            self.path,
            header,
            points,
            values,
            **self._counts,
            seconds=self._seconds,
            reason=self._reason,
            damage=self._damage,
        )
