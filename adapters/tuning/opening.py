"""A study: where it is kept, and whether it is the one that is meant."""

import contextlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adapters.tuning.quiet import no_notices

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

IDENTITY = "blackbox.tune"
"""The study's attribute that says what it searches, and how."""
LOCK_WAIT = 120.0
"""Seconds to wait for another process that writes to the same SQLite file."""
TRIES = 7
"""At making the tables of a new database."""
MAKER_WAIT = 5.0
"""Seconds in which the process that made a study has to say what it is."""


def open_storage(storage: Any) -> tuple["BaseStorage", Path | None]:
    """Return Optuna's storage, and the SQLite file behind it where there is one.

    Parameters
    ----------
    storage
        None: in memory. A path or ``"sqlite:///PATH"``: an SQLite file. Any other URL, as Optuna
        takes it (``"postgresql://..."``), or a storage of Optuna's.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or the file can't be used.
    """
    import optuna
    import sqlalchemy

    if storage is None:
        return optuna.storages.InMemoryStorage(), None
    if isinstance(storage, optuna.storages.BaseStorage):
        engine = getattr(storage, "engine", None)
        own = engine is not None and engine.name == "sqlite" and engine.url.database
        return storage, Path(own) if own and own != ":memory:" else None
    if not isinstance(storage, (str, os.PathLike)):
        raise TypeError(
            f"storage is a path, a database URL or a storage of Optuna's; got {storage!r:.60}"
        )
    url = os.fspath(storage)
    if "://" not in url:
        url = f"sqlite:///{url}"
    if url.startswith("sqlite:///"):
        return _open_sqlite(url)
    shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)  # without the password
    try:
        return _open_tables(url), None
    except ImportError as error:
        raise ImportError(f"storage={shown!r} needs a driver for its database: {error}") from error
    except sqlalchemy.exc.ArgumentError:
        raise ValueError(
            f"storage={shown!r} is no database that there is; give a path, or a URL such as "
            "'postgresql://...'"
        ) from None


def _open_sqlite(url: str) -> tuple["BaseStorage", Path]:
    import sqlalchemy

    path = Path(url.removeprefix("sqlite:///").partition("?")[0])
    if not path.parent.is_dir():
        raise ValueError(f"storage={url!r}: there is no folder {str(path.parent)!r}; make it first")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=LOCK_WAIT)) as connection:
            # Readers and the writer do not wait for each other; what was written survives a kill.
            connection.execute("PRAGMA journal_mode=WAL")
        storage = _open_tables(url, engine_kwargs={"connect_args": {"timeout": LOCK_WAIT}})
    except (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        raise ValueError(f"storage={url!r} can't be used: {error}") from error
    sqlalchemy.event.listen(storage.engine, "connect", _commit_without_waiting_for_the_disk)
    storage.engine.dispose()
    return storage, path


def _open_tables(url: str, **options: Any) -> Any:
    """Open a database, and make its tables: others may be making them at the same moment."""
    import optuna
    import sqlalchemy

    for attempt in range(TRIES):
        try:
            return optuna.storages.RDBStorage(url, **options)
        except sqlalchemy.exc.SQLAlchemyError as error:
            if attempt == TRIES - 1 or isinstance(error, sqlalchemy.exc.ArgumentError):
                raise  # a URL that is none does not become one
            time.sleep(0.1 * 2**attempt * (0.5 + os.getpid() % 97 / 97))  # not all at once again
    raise AssertionError


def _commit_without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    """A third of the time of a trial; only a power cut can lose the latest commits."""
    connection.execute("PRAGMA synchronous=NORMAL")


def open_study(
    storage: "BaseStorage",
    name: str,
    direction: Literal["minimize", "maximize"],
    identity: Mapping[str, Any],
    made_with: Mapping[str, Any],
) -> tuple["Study", dict[str, Any], bool]:
    """Make a study, or go on with the one of this name.

    Parameters
    ----------
    storage, name, direction
        As Optuna's `create_study` takes them.
    identity
        What must be the same in all calls for a study, of what JSON knows; None where it does not
        matter.
    made_with
        What the first call adds to it, or puts in the place of None.

    Returns
    -------
    The study, what it was made with, and whether this call made it.

    Raises
    ------
    ValueError
        If there is one of this name that is another.
    """
    import optuna

    with no_notices():
        try:
            study = optuna.create_study(storage=storage, study_name=name, direction=direction)
            study.set_user_attr(IDENTITY, {**identity, **made_with})
            return study, {**identity, **made_with}, True
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage)
    made = _wait_for_identity(study)
    if made is None:  # who made it was killed at once
        made = {**identity, **made_with}
        study.set_user_attr(IDENTITY, made)
    _compare(study, direction, made, identity)
    return study, made, False


def _wait_for_identity(study: "Study") -> dict[str, Any] | None:
    until = time.monotonic() + MAKER_WAIT
    while (made := study.user_attrs.get(IDENTITY)) is None:
        if study.get_trials(deepcopy=False):
            raise ValueError(
                f"the study {study.study_name!r} was not made by tune; give another name="
            )
        if time.monotonic() > until:
            return None
        time.sleep(0.05)
    return dict(made)


def _compare(
    study: "Study", direction: str, made: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    way_out = "give another name=, or call it as before to go on"
    if study.direction.name.lower() != direction:
        raise ValueError(
            f"the study {study.study_name!r} is there already, and is to "
            f"{study.direction.name.lower()}, not {direction}; {way_out}"
        )
    for key, value in wanted.items():
        value = json.loads(json.dumps(value))
        if value is None or value == made.get(key):
            continue
        before = made.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            differing = sorted(
                each for each in value.keys() | before.keys() if value.get(each) != before.get(each)
            )
            each = differing[0] if differing else "the order"
            key, before, value = f"{key} ({each})", before.get(each), value.get(each)
        raise ValueError(
            f"the study {study.study_name!r} is there already, with another {key}: it was made "
            f"with {before!r}, and this is {value!r}; {way_out}"
        )
