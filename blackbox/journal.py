"""A run on disk: append-only lines from which a killed run goes on (format: `blackbox.lines`).

The search itself is not stored: it is run again from its beginning, and what it asks is answered
from here (`blackbox.replay`).
"""

import logging
import math
import os
import time
from collections.abc import Generator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from blackbox.appended import AppendedFile, as_path, named
from blackbox.history import History
from blackbox.lines import (
    LEFT,
    Batch,
    End,
    JournalError,
    Left,
    Reader,
    digest,
    read_header,
    read_line,
    write_batch,
    write_end,
    write_left,
    write_line,
)
from blackbox.types import Array, Stop

LOG = logging.getLogger("blackbox")
SYNC = 1.0
"""Seconds between two times that the operating system is made to write: what was written before
survives the end of the process at any rate, this is for the end of the machine."""
POINTS_UP_TO = 1000
"""Variables up to which the points of each batch are kept; of longer ones, those that improve."""
GRADIENTS_UP_TO = 1 << 26
"""Bytes of gradients that a journal takes; later ones are computed again on the way back. Where
there are snapshots (`blackbox.snapshot`), longer ones than the points that are kept, too."""


class Journal:
    """A journal that is being written; use it in a ``with`` statement, or close it.

    First `begin` it. What is there already is had batch by batch from `peek` and `skip`; after the
    last of them, `append` adds new ones.

    Parameters
    ----------
    path
        The file; made where it is not there. While it is open, a lock lies beside it.

    Attributes
    ----------
    path
        The file.
    header
        The one that is there already, or None.
    count
        Lines after the header that are there already.

    Raises
    ------
    JournalError
        If the file can't be read or written, is no journal, is damaged, or is being written by
        somebody else; it says where and what to do.
    """

    _file: AppendedFile | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = as_path(path)
        self.header: dict[str, Any] | None = None
        self.count = 0
        self._next: Batch | None = None
        self._ended: End | None = None
        self._best = math.inf
        self._gradients = 0
        self._n = 0
        self._lean = self._jumped = False
        self._left: list[range] = []  # lines of a course that was left
        self._past = self._read()
        self._file = AppendedFile(self.path)
        try:
            self._look(self._file)
        except BaseException:
            self._let_go()
            raise

    def _look(self, own: AppendedFile) -> None:
        """Check what is there, and cut off what a kill left."""
        self._latest = 0
        with named(self.path, "can't be used"), self.path.open("rb") as file:
            reader = Reader(file, self.path)
            for text in reader:
                if self.header is None:
                    self.header = self._sense(1, read_header, text)
                elif text.startswith(LEFT):
                    left = self._sense(reader.number, read_line, text, 1)
                    self._left.append(range(reader.number - left.lines, reader.number))
                self._latest = reader.end - len(text) - 10  # with its checksum
            self._end, self.count = reader.end, max(reader.number - 1, 0)
            self._lines = reader.number
            if torn := own.cut(reader.end):
                LOG.warning("%s ends in the middle of a line: %d bytes cut", self.path, torn)
        self._synced = time.monotonic()

    def _sense(self, number: int, read: Any, *line: Any) -> Any:
        try:
            return read(*line)
        except ValueError as error:
            raise JournalError(f"{self.path}, line {number} makes no sense: {error}") from error

    def _read(self, lines: int = 0, begin: int = 0) -> Generator[Batch, None, None]:
        """Give the batches after so many lines; they are not held, there may be a million."""
        if not self.count or begin >= self._end:
            return
        n, past = self._n, self._end
        with self.path.open("rb") as file:
            file.seek(begin)
            reader = Reader(file, self.path)
            reader.number, reader.end = lines, begin
            for text in reader:
                self._at = reader.number
                if reader.number > 1 and not any(reader.number in left for left in self._left):
                    line = self._sense(reader.number, read_line, text, n)
                    if isinstance(line, End):
                        self._ended = line
                    elif isinstance(line, Batch):
                        yield line
                if reader.end >= past:
                    return

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write what makes the run again; or compare it with what is there.

        Raises
        ------
        JournalError
            If it is another run's.
        """
        self._n = header["n"]
        differ = [
            name
            for name in sorted((self.header or {}).keys() | header.keys())
            if name != "made with" and (self.header or {}).get(name) != header.get(name)
        ]
        if self.header is not None and self.count and differ:
            words = "; ".join(_difference(name, self.header, header) for name in differ)
            raise JournalError(
                f"{self.path} is the journal of another run: {words}. Call with the same arguments "
                "to go on with it, or name another file"
            )
        if self.header is None or not self.count:  # nothing is lost where nothing was evaluated
            assert self._file is not None
            self._file.cut(0)
            self._lines = 0
            self._write(write_line(header))
            self._file.sync()
            return
        self._others = _machines(self.header["made with"], header["made with"])
        self._next = next(self._past, None)
        if self.count:
            LOG.info("%s: going on after %d batches", self.path, self.count)

    _others = ""

    def peek(self) -> Batch | None:
        """Return the next of the batches that are there; None after the last."""
        return self._next

    def skip(self) -> None:
        """Go on to the next of the batches that are there."""
        batch = self._next
        assert batch is not None
        self._take_in(batch.kind, batch.values, batch.gradients)
        self._next = next(self._past, None)

    def append(
        self,
        kind: str,
        points: NDArray[Any],
        values: NDArray[Any],
        gradients: Array | None,
        seconds: float,
        failed: Mapping[int, tuple[str, str]] | None = None,
    ) -> None:
        """Write a batch.

        Parameters
        ----------
        kind, values, gradients, seconds, failed
            As a `Batch` has them.
        points
            Shape (k, n). What is kept of them is decided here.

        Raises
        ------
        JournalError
            Where that fails, as on a full disk. Nothing has changed then.
        """
        assert self._next is None, "there is more to read"
        kept, row, slopes = None, None, gradients
        long = points.shape[1] > POINTS_UP_TO
        if long and self._lean:
            slopes = None
        elif len(values) and points.dtype.kind == "f":
            if not long:
                kept = points
            elif (row := self._leader(kind, values)) is not None:
                kept = points[row : row + 1]
        if slopes is not None and self._gradients + slopes.nbytes > GRADIENTS_UP_TO:
            slopes = None
        name = "" if kept is points else digest(points)
        batch = Batch(kind, name, seconds, values, kept, row, slopes, failed or {})
        self._write(write_batch(batch))
        if slopes is not None or not self._lean:
            self._take_in(kind, values, slopes)
        self._ended = None
        now = time.monotonic()
        if now - self._synced >= SYNC:
            assert self._file is not None
            self._file.sync()
            self._synced = now

    def finish(self, stop: Stop, history: History) -> None:
        """Write that the run has ended, where that is not there yet; its result can do without."""
        if self._next is None and self._ended is None:
            self._ended = End(history.elapsed(), stop.reason, bool(stop.success))
            if self._n > POINTS_UP_TO and history.best_value < self._best:  # no line has it
                self._ended = self._ended._replace(x=history.best_x, value=history.best_value)
            try:
                self._write(write_end(self._ended))
            except JournalError as error:
                LOG.warning("%s", error)

    def _take_in(self, kind: str, values: NDArray[Any], gradients: Array | None) -> None:
        if gradients is not None:
            self._gradients += gradients.nbytes
        if (
            not self._lean
            and self._n > POINTS_UP_TO
            and (row := self._leader(kind, values)) is not None
        ):
            self._best = float(values[row])

    def _leader(self, kind: str, values: NDArray[Any]) -> int | None:
        """Return the row of a new best value, if there is one."""
        if not len(values) or values.dtype.kind == "c" or kind == "validation":
            return None
        finite = np.where(np.isfinite(values), values, math.inf)
        row = int(finite.argmin())
        return row if finite[row] < self._best else None

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        self._latest = self._file.end
        self._file.add(line)
        self._lines += 1

    def leave_to_snapshots(self, lean: bool = True) -> None:
        """Keep no long points and gradients from here on: snapshots hold what is needed.

        False: keep them again.
        """
        self._lean = lean

    def mark(self) -> dict[str, Any]:
        """Return what names the latest line, once that is on disk.

        Raises
        ------
        JournalError
            Where it can't be.
        """
        assert self._file is not None
        self._file.sync()
        place = {"lines": self._lines, "begin": self._latest, "end": self._file.end}
        with named(self.path, "can't be read"):
            return place | {"digest": _digest(self.path, place), "gradients": self._gradients}

    def jump(self, mark: Mapping[str, Any]) -> bool:
        """Go on after the line of a mark, where that lies ahead; return whether it does."""
        lines = mark["lines"] if fits(self.path, mark) else 0
        behind = self._lines if self._next is None else self._at - 1
        # A line that was left may be marked by a snapshot that was not used then.
        if not behind <= lines <= self._lines or any(lines in left for left in self._left):
            return False
        self._gradients, self._jumped = mark["gradients"], True
        self._past.close()
        self._past = self._read(lines, mark["end"])
        self._next = next(self._past, None)
        return True

    def leave(self) -> bool:
        """Give up what is not read yet, where it is short: what follows is made again.

        It is short after a snapshot. Return whether that was done.
        """
        if not self._jumped:
            return False
        first, evaluations = self._at, 0
        while self._next is not None:
            evaluations += len(self._next.values)
            self._next = next(self._past, None)
        LOG.warning(
            "%s: gradients are not what they were, in the last digits at least: %d evaluations "
            "since the snapshot are made again",
            self.path,
            evaluations,
        )
        lines = self._lines - first + 1
        self._write(write_left(Left(lines, evaluations)))
        self._left.append(range(first, first + lines))
        return True

    def strayed(self, what: str = "asks for other points") -> JournalError:
        """Return the error that says that a run takes another course than its journal."""
        return JournalError(
            f"{self.path}: the run {what} than the one written down. The function, an argument "
            "that steers the method (budget, options, constraints, jac, hess), a library or the "
            f"processor is another{self._others}. The file is as it was: blackbox.read_journal() "
            "gives its best points, to begin anew from them"
        )

    def close(self) -> None:
        """Write everything out and let go of the file; a second time does nothing."""
        if self._file is None:
            return
        try:
            self._file.sync()
        except JournalError as error:  # no reason to lose the result
            LOG.error("%s", error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._past.close()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __del__(self) -> None:
        self.close()  # it may have been dropped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fits(path: Path, mark: Mapping[str, Any]) -> bool:
    """Whether what a mark names is in a journal."""
    try:
        counts = all(type(mark[name]) is int for name in ("lines", "gradients"))
        return counts and bool(mark["digest"] == _digest(path, mark))
    except (OSError, KeyError, TypeError, ValueError, OverflowError, MemoryError):
        return False


def _digest(path: Path, place: Mapping[str, Any]) -> str:
    """Return a digest of a journal's first line, and of another one."""
    begin, end = place["begin"], place["end"]
    if not 0 <= begin < end <= path.stat().st_size:
        raise ValueError("there is no such line")
    with path.open("rb") as file:
        first = file.readline()
        file.seek(begin)
        return blake2b(first + file.read(end - begin), digest_size=16).hexdigest()


def _difference(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    words = {
        "lower": "the lower bounds differ",
        "upper": "the upper bounds differ",
        "starts": "x0 differs",
        "past": "the points of warm_start differ",
        "whole": "the number of points differs",
    }
    if name in words:
        return words[name]
    return f"{name} is {there.get(name)!r:.60} there and {here.get(name)!r:.60} here"


def _machines(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say what differs in what a journal was made with, and in what reads it."""
    names = [name for name in sorted(here) if there.get(name) != here[name]]
    words = "; ".join(f"{n} is {there.get(n)!r:.40} there and {here[n]!r:.40} here" for n in names)
    return f" ({words})" if words else ""
