"""A run on disk: append-only lines from which a killed run goes on (format: `blackbox.lines`).

The search itself is not stored: it is run again from its beginning, and what it asks is answered
from here (`blackbox.replay`).
"""

import contextlib
import logging
import math
import os
import stat
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from blackbox.lines import (
    Batch,
    End,
    JournalError,
    Reader,
    digest,
    read_header,
    read_line,
    write_batch,
    write_end,
    write_line,
)
from blackbox.types import Array

LOG = logging.getLogger("blackbox")
SYNC = 1.0
"""Seconds between two times that the operating system is made to write: what was written before
survives the end of the process at any rate, this is for the end of the machine."""
POINTS_UP_TO = 1000
"""Variables up to which the points of each batch are kept; of longer ones, those that improve."""
GRADIENTS_UP_TO = 1 << 26
"""Bytes of gradients that a journal takes; later ones are computed again on the way back."""


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

    _file = -1
    """Its descriptor; -1 where it is not open."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _as_path(path)
        self.header: dict[str, Any] | None = None
        self.count = 0
        self._next: Batch | None = None
        self._ended: End | None = None
        self._best = math.inf
        self._gradients = 0
        self._n = 0
        self._past = self._read()
        self._lock = _lock(self.path)
        try:
            with _named(self.path, "can't be used"):
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
                self._file = os.open(self.path, flags, 0o666)
            self._look()
        except BaseException:
            self._let_go()
            raise

    def _look(self) -> None:
        """Check what is there, and cut off what a kill left."""
        with _named(self.path, "can't be used"), self.path.open("rb") as file:
            reader = Reader(file, self.path)
            for text in reader:
                if self.header is None:
                    self.header = self._sense(1, read_header, text)
            self._end, self.count = reader.end, max(reader.number - 1, 0)
            if (torn := os.fstat(self._file).st_size - self._end) > 0:
                LOG.warning("%s ends in the middle of a line: %d bytes cut", self.path, torn)
                os.ftruncate(self._file, self._end)
            os.lseek(self._file, self._end, os.SEEK_SET)
        self._synced = time.monotonic()

    def _sense(self, number: int, read: Any, *line: Any) -> Any:
        try:
            return read(*line)
        except ValueError as error:
            raise JournalError(f"{self.path}, line {number} makes no sense: {error}") from error

    def _read(self) -> Generator[Batch, None, None]:
        """Give the batches that are there; they are not held, there may be a million."""
        if not self.count:
            return
        n, past = self._n, self._end
        with self.path.open("rb") as file:
            reader = Reader(file, self.path)
            for text in reader:
                if reader.number > 1:
                    line = self._sense(reader.number, read_line, text, n)
                    if isinstance(line, End):
                        self._ended = line
                    else:
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
            self._end = 0
            os.lseek(self._file, 0, os.SEEK_SET)
            os.ftruncate(self._file, 0)
            self._write(write_line(header))
            self._sync()
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
        kept, row = None, None
        if len(values) and points.dtype.kind == "f":
            if points.shape[1] <= POINTS_UP_TO:
                kept = points
            elif (row := self._leader(kind, values)) is not None:
                kept = points[row : row + 1]
        fits = gradients is None or self._gradients + gradients.nbytes <= GRADIENTS_UP_TO
        slopes = gradients if fits else None
        name = digest(points)
        batch = Batch(kind, name, seconds, values, kept, row, slopes, failed or {})
        self._write(write_batch(batch))
        self._take_in(kind, values, gradients)
        self._ended = None
        now = time.monotonic()
        if now - self._synced >= SYNC:
            self._sync()
            self._synced = now

    def finish(self, reason: str, success: bool, seconds: float) -> None:
        """Write that the run has ended, where that is not there yet; its result can do without."""
        if self._next is None and self._ended is None:
            self._ended = End(seconds, reason, bool(success))
            try:
                self._write(write_end(self._ended))
            except JournalError as error:
                LOG.warning("%s", error)

    def _take_in(self, kind: str, values: NDArray[Any], gradients: Array | None) -> None:
        if gradients is not None:
            self._gradients += gradients.nbytes
        if self._n > POINTS_UP_TO and (row := self._leader(kind, values)) is not None:
            self._best = float(values[row])

    def _leader(self, kind: str, values: NDArray[Any]) -> int | None:
        """Return the row of a new best value, if there is one."""
        if not len(values) or values.dtype.kind == "c" or kind == "validation":
            return None
        finite = np.where(np.isfinite(values), values, math.inf)
        row = int(finite.argmin())
        return row if finite[row] < self._best else None

    def _write(self, line: bytes) -> None:
        """Write a line in one piece, as a rule: a kill leaves all of it, or a beginning."""
        left = line
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except BaseException as error:
            with contextlib.suppress(OSError):  # so that more may follow, if there is room again
                os.lseek(self._file, self._end, os.SEEK_SET)
                os.ftruncate(self._file, self._end)
            if isinstance(error, OSError):
                raise self._full(error) from error
            raise
        self._end += len(line)

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
            names = os.fstat(self._file).st_nlink
        except OSError as error:
            raise self._full(error) from error
        if not names and not self._missed:
            self._missed = True
            LOG.warning("%s was removed by somebody else: no run can go on from it", self.path)

    _missed = False

    def _full(self, error: OSError) -> JournalError:
        return JournalError(
            f"journal={str(self.path)!r} can't be written any more: {error.strerror or error}. "
            "What was written holds; make room and call again with the same arguments to go on"
        )

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
        if self._file < 0:
            return
        try:
            self._sync()
        except JournalError as error:  # no reason to lose the result
            LOG.error("%s", error)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._past.close()
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
        # Its name goes first: whoever waits for the lock then sees that it guards nothing.
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()

    def __del__(self) -> None:
        self.close()  # it may have been dropped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(f"journal={str(path)!r} {what}: {reason}") from error


def _as_path(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TypeError(f"journal is a path, as a text or a Path; got {path!r:.60}")
    found = Path(path)
    with _named(found, "can't be used"):
        try:
            mode = found.stat().st_mode
        except FileNotFoundError:
            if not found.parent.is_dir():
                raise JournalError(
                    f"journal={str(path)!r}: there is no folder {str(found.parent)!r}; make it"
                ) from None
            return found
        except ValueError as error:  # a null byte
            raise JournalError(f"journal={str(path)!r} can't be used: {error}") from error
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise JournalError(f"journal={str(path)!r} is {what}; name a file")
    return found


def _lock(path: Path) -> FileLock:
    with _named(path, "can't be locked"):
        lock = FileLock(f"{path.resolve()}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise JournalError(
                f"journal={str(path)!r} is being written by another run now, or by an Optimizer "
                "that is not closed; wait for it, or name another file"
            ) from None
        return lock


def _difference(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    words = {"lower": "the lower bounds", "upper": "the upper bounds", "starts": "x0"}
    if name in words:
        return f"{words[name]} differ"
    return f"{name} is {there.get(name)!r:.60} there and {here.get(name)!r:.60} here"


def _machines(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say what differs in what a journal was made with, and in what reads it."""
    names = [name for name in sorted(here) if there.get(name) != here[name]]
    words = "; ".join(f"{n} is {there.get(n)!r:.40} there and {here[n]!r:.40} here" for n in names)
    return f" ({words})" if words else ""
