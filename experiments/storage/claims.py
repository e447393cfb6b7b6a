"""Who runs which cell, where several processes share a plan.

A process claims a cell, runs it, and writes its result, which ends the claim. While it lives it
holds a lock on a file of its own; so the others see when it was killed, and its cell is free again.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

from filelock import BaseFileLock, FileLock, Timeout

from experiments.storage.database import Database


class Claims:
    """The claims of one process on the cells of a comparison.

    Parameters
    ----------
    db
        The comparison's file; locks are made beside it.
    """

    def __init__(self, db: Database) -> None:
        self._db, self._owner = db, uuid4().hex
        self._lock: BaseFileLock | None = None

    def take(self, keys: Sequence[str]) -> str | None:
        """Claim the first of these cells that is neither finished nor being run.

        Returns None where there is none: the rest is finished, or claimed by processes that live.
        """
        if self._lock is None:
            self._lock = self._lock_of(self._owner)
            self._lock.acquire()
        with self._db.transaction():
            finished = {key for (key,) in self._db.rows("SELECT key FROM results")}
            claims = dict(self._db.rows("SELECT key, owner FROM claims"))
            alive = self._living(claims.values())
            for key in keys:
                if key not in finished and claims.get(key) not in alive:
                    self._db.do("INSERT OR REPLACE INTO claims VALUES (?, ?)", (key, self._owner))
                    return key
        return None

    def release(self, key: str) -> None:
        """Give a claimed cell back, as if it had not been taken."""
        with self._db.transaction():
            self._db.do("DELETE FROM claims WHERE key = ? AND owner = ?", (key, self._owner))

    def elsewhere(self, keys: Iterable[str]) -> set[str]:
        """Return those of these cells that another living process runs now."""
        rows = self._db.rows("SELECT key, owner FROM claims")
        alive = self._living(owner for _, owner in rows) - {self._owner}
        return {key for key, owner in rows if owner in alive}.intersection(keys)

    def close(self) -> None:
        """Let go of everything, and remove what killed processes left behind."""
        for path in self._db.path.parent.glob(".*.lock"):
            if re.fullmatch(r"\.[0-9a-f]{32}\.lock", path.name):
                self._lives(path.stem[1:])
        if self._lock is not None:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock = None

    def _living(self, owners: Iterable[str]) -> set[str]:
        return {owner for owner in set(owners) if self._lives(owner)}

    def _lives(self, owner: str) -> bool:
        if owner == self._owner:
            return True
        lock = self._lock_of(owner)
        if not Path(lock.lock_file).exists():
            return False
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
        return False

    def _lock_of(self, owner: str) -> BaseFileLock:
        return FileLock(self._db.path.with_name(f".{owner}.lock"))
