"""One SQLite file that several processes write to, and its errors in words."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

APPLICATION = 0x626C6B62  # "blkb", in the file's header: what `file` and we know it by
FORMAT = 1
PATIENCE = 60.0
"""Seconds to wait for another process that is writing."""

_TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE environments (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE problems (name TEXT PRIMARY KEY, info TEXT NOT NULL);
CREATE TABLE cells (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, cell TEXT NOT NULL);
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL);
CREATE TABLE results (
    key TEXT PRIMARY KEY, environment INTEGER NOT NULL, finished TEXT NOT NULL,
    value REAL, violation REAL NOT NULL, evaluations INTEGER NOT NULL, gradients INTEGER NOT NULL,
    failures INTEGER NOT NULL, seconds REAL NOT NULL, runs INTEGER NOT NULL,
    message TEXT NOT NULL, error TEXT NOT NULL, report TEXT NOT NULL, arrays BLOB NOT NULL
);
"""


class StoreError(Exception):
    """The store can't be used as it is; the text says why, and what to do."""


class Database:
    """A comparison's SQLite file.

    Parameters
    ----------
    path
        The file; it is made where it is not there.

    Raises
    ------
    StoreError
        If it is no comparison, is one of another format, or can't be read or made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.in_words():
            self._db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        db = self._db
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            db.execute("PRAGMA journal_mode=WAL")
            with self.transaction():
                self._make()
        application = db.execute("PRAGMA application_id").fetchone()[0]
        made_by = db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            raise StoreError(f"{self.path} is an SQLite file, but no comparison; move it away")
        if made_by != FORMAT:
            raise StoreError(
                f"{self.path} has format {made_by}, and this version reads format {FORMAT}; open "
                "it with the version that made it, or give another --out. Nothing was changed"
            )
        db.execute("PRAGMA synchronous=NORMAL")  # with a WAL, a crash tears nothing

    def _make(self) -> None:
        if self.one("SELECT count(*) FROM sqlite_master") != 0:
            return  # another process was faster
        for statement in _TABLES.split(";\n"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id={APPLICATION}")
        self._db.execute(f"PRAGMA user_version={FORMAT}")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self.in_words():
            return self._db.execute(query, values).fetchall()

    def one(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row of a query."""
        return self.rows(query, values)[0][0]

    def do(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute a statement, within a transaction of the caller's."""
        self._db.execute(statement, values)

    def do_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each of these rows, within a transaction of the caller's."""
        self._db.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done within is done whole or not at all; other processes wait."""
        with self.in_words():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """SQLite's errors become a `StoreError` that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self.path}: {self._advice(str(error))}") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(
                f"{self.path} can't be read ({error}); move it away, or give another --out"
            ) from error

    def _advice(self, text: str) -> str:
        if "full" in text:
            return (
                "the disk is full. All cells that were finished are kept: free some space and give "
                "the same command again"
            )
        if "readonly" in text or "unable to open" in text:
            return f"{text}; is {self.path.parent} a folder that you may write to?"
        if "locked" in text:
            return f"another process has been writing for {PATIENCE:.0f} seconds; try again"
        if "decode" in text:
            return f"it is damaged ({text[:80]}); move it away, or give another --out"
        return text

    def close(self) -> None:
        """Close the file; the last one to do so leaves one file behind, nothing beside it."""
        self._db.close()
