"""A file that one writer at a time adds lines to; what is there never changes."""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from blackbox.lines import JournalError

LOG = logging.getLogger("blackbox")


class AppendedFile:
    """A file, open to append to; while it is, a lock lies beside it.

    Parameters
    ----------
    path
        The file; made where it is not there.

    Attributes
    ----------
    end
        Bytes that are there, as far as this writer knows.

    Raises
    ------
    JournalError
        If it can't be used, or somebody else is writing it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._handle, self.end = path, -1, 0
        self._process = os.getpid()
        self._lock = _lock(path)
        try:
            with named(path, "can't be used"):
                # To append, says the system: no write can ever land among what is there.
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._handle = os.open(path, flags, 0o666)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._handle < 0

    def cut(self, end: int) -> int:
        """Let it end there, where it is longer; return how many bytes that took away."""
        torn = max(0, os.fstat(self._handle).st_size - end)
        if torn:
            os.ftruncate(self._handle, end)
        self.end = end
        return torn

    def add(self, line: bytes) -> None:
        """Write a line in one piece, as a rule: a kill leaves all of it, or a beginning.

        Raises
        ------
        JournalError
            Where that fails, as on a full disk; then nothing of it is there.
        """
        if os.getpid() != self._process:
            raise JournalError(
                f"journal={str(self._path)!r} belongs to process {self._process}, and this is a "
                "copy of it that os.fork made: its run can't go on here. Leave the copy by "
                "os._exit, or begin a run of its own in it"
            )
        try:
            written = os.write(self._handle, line)
            while written < len(line):
                written += os.write(self._handle, line[written:])
        except BaseException as error:
            with contextlib.suppress(OSError):  # so that more may follow, if there is room again
                self.cut(self.end)
            if isinstance(error, OSError):
                raise self._full(error) from error
            raise
        self.end += len(line)

    def sync(self) -> None:
        """Make the system write everything out; raises JournalError where it can't."""
        try:
            os.fsync(self._handle)
            found = os.fstat(self._handle)
        except OSError as error:
            raise self._full(error) from error
        if self._meddled or (found.st_nlink and found.st_size == self.end):
            return
        self._meddled = True
        what = "changed" if found.st_nlink else "removed"
        LOG.warning("%s was %s by somebody else: no run can go on from it", self._path, what)

    _meddled = False

    def _full(self, error: OSError) -> JournalError:
        return JournalError(
            f"journal={str(self._path)!r} can't be written any more: {error.strerror or error}. "
            "What was written holds; make room and call again with the same arguments to go on"
        )

    def close(self) -> None:
        """Let go of the file and its lock."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
        if os.getpid() != self._process:  # a copy that was forked: the lock is not its own
            return
        # Its name goes first: whoever waits for the lock then sees that it guards nothing.
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()


@contextlib.contextmanager
def named(path: Path, what: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JournalError(f"journal={str(path)!r} {what}: {reason}") from error


def file_named(path: Any) -> Path:
    """Return what names a file; raises TypeError, JournalError."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TypeError(f"journal is a path, as a text or a Path; got {path!r:.60}")
    if not os.fspath(path):
        raise JournalError("journal='' names no file; give a name, or leave it out")
    return Path(path)


def as_path(path: Any) -> Path:
    """Return a path that a file can have; raises TypeError, JournalError."""
    found = file_named(path)
    with named(found, "can't be used"):
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
    with named(path, "can't be locked"):
        lock = FileLock(f"{path.resolve()}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise JournalError(
                f"journal={str(path)!r} is being written by another run now, or by an Optimizer "
                "that is not closed; wait for it, or name another file"
            ) from None
        return lock
