"""Which of the processes that share a study are still there."""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from filelock import BaseFileLock, FileLock, Timeout

PULSE = 15.0
"""Seconds between two signs of life on a database server."""
SILENCE = 240.0
"""Seconds without one, after which a process counts as gone."""


class Presence(Protocol):
    """Says that this process is there, and whether others are; close it at the end."""

    token: str
    """By which the others know this process."""

    def lives(self, token: str) -> bool:
        """Whether the process of this token is there."""
        ...

    def close(self) -> None:
        """Say that this process is gone."""
        ...


class Alone:
    """A study in this process's memory."""

    token = ""

    def lives(self, token: str) -> bool:
        """Whether it is this process."""
        return token == self.token

    def close(self) -> None:
        """Do nothing."""


class Locks:
    """A file lock beside the database for each process: the system lets go of it when it dies.

    Parameters
    ----------
    database
        An SQLite file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self.token = uuid4().hex
        self._lock: BaseFileLock = self._lock_of(self.token)
        self._lock.acquire()
        while not Path(self._lock.lock_file).exists():  # removed by who saw it before we had it
            self._lock.release()
            self._lock.acquire()

    def lives(self, token: str) -> bool:
        """Whether it holds its lock; what is left of a dead one is removed."""
        if token == self.token:
            return True
        lock = self._lock_of(token)
        if not Path(lock.lock_file).exists():
            return False
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        self._let_go(lock)
        return False

    def close(self) -> None:
        """Let go of the lock, and remove what killed processes left behind."""
        self._let_go(self._lock)
        start = f"{self._database.name}-"
        for path in self._database.parent.glob(f"{start}*.lock"):
            self.lives(path.stem.removeprefix(start))

    def _lock_of(self, token: str) -> BaseFileLock:
        return FileLock(self._database.with_name(f"{self._database.name}-{token}.lock"))

    @staticmethod
    def _let_go(lock: BaseFileLock) -> None:
        path = Path(lock.lock_file)
        with contextlib.suppress(
            OSError
        ):  # while it is ours: who waits for it sees that it is gone
            path.unlink(missing_ok=True)
        lock.release()
        if os.name == "nt":  # no open file can be removed there
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


class Pulses:
    """A number that each process raises in the study: one that stands still is gone.

    No two clocks are compared: each process goes by how long it has itself seen a number stand
    still.

    Parameters
    ----------
    study
        An Optuna study, in a storage that other machines may share.
    """

    def __init__(self, study: Any) -> None:
        self._study, self.token = study, uuid4().hex
        self._seen: dict[str, tuple[int, float]] = {}
        self._over = threading.Event()
        self._study.set_user_attr(self._name(self.token), 0)
        self._thread = threading.Thread(target=self._beat, name="blackbox-pulse", daemon=True)
        self._thread.start()

    def lives(self, token: str) -> bool:
        """Whether its number has moved within the last `SILENCE` seconds."""
        if token == self.token:
            return True
        count = self._study.user_attrs.get(self._name(token), -1)
        if count < 0:
            return False
        now = time.monotonic()
        before, since = self._seen.setdefault(token, (count, now))
        if before != count:
            self._seen[token] = (count, now)
            return True
        return now - since < SILENCE

    def close(self) -> None:
        """Stop, and say so."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(Exception):  # the others will see it stand still
            self._study.set_user_attr(self._name(self.token), -1)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(PULSE):
            count += 1
            with contextlib.suppress(Exception):  # the next one may get through
                self._study.set_user_attr(self._name(self.token), count)

    @staticmethod
    def _name(token: str) -> str:
        return f"alive {token}"
