"""A tuning as a folder that people read: a page, pictures, tables, and what made them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.space import Space
from adapters.tuning.labels import Labelled
from adapters.tuning.opening import IDENTITY, open_storage
from experiments.environment import describe, machine, versions
from experiments.page import write_page
from experiments.report import literal, plain, to_json, write
from experiments.tuning.content import content, facts, importance, verdict

if TYPE_CHECKING:
    from adapters.tuning.result import TuneResult

RECORD, STUDY, BEST = "tuning.json", "study.sqlite", "best.json"
"""How the folder came about; the trials, where no other storage was given; the best one."""
HIDDEN = "***"
"""Stands for a password."""


class FolderError(Exception):
    """A folder can't be used; the text says why."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return what says how a folder came about; None where it is no tuning's.

    Raises
    ------
    FolderError
        If it can't be read.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        _ = record["name"], record["storage"], record["command"]
        return record
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{folder / RECORD} can't be read: {error}") from None


def make_record(
    folder: Path, *, name: str, storage: str | None, command: str, source: Mapping[str, str]
) -> dict[str, Any]:
    """Return what says how a folder comes about.

    Parameters
    ----------
    folder
        Where it will be.
    name, storage, command
        The study's name; where it is kept, None for `STUDY` in the folder; the command.
    source
        Names of the user's files, and digests of their contents.

    Raises
    ------
    FolderError
        If the folder is another study's, or has a README.md that no tuning wrote.
    """
    before = read_record(folder)
    if before is None and (folder / "README.md").exists():
        raise FolderError(
            f"{folder} has a README.md that no tuning wrote; give a folder of its own, as in "
            f"--out {folder / 'tuning'}"
        )
    if before is not None and before["name"] != name:
        raise FolderError(
            f"{folder} holds the study {before['name']!r}, not {name!r}; give another --out"
        )
    sources = (before or {}).get("sources", [])
    return {
        "name": name,
        "storage": _written(folder, storage),
        "command": command,
        "sources": [*sources, *([dict(source)] if dict(source) not in sources[-1:] else [])],
        "versions": versions("optuna", "scikit-learn"),
        "machine": machine(),
    }


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write it down."""
    write(folder / RECORD, to_json(record))


def load(folder: Path, record: Mapping[str, Any]) -> "TuneResult":
    """Return the result that a folder's study holds so far.

    Raises
    ------
    FolderError
        If the study is not there, or can't be read from here.
    """
    import optuna

    from adapters.tuning.result import TuneResult

    storage = str(record["storage"])
    again = f"the command that made it writes all again:\n  {record['command']}"
    if HIDDEN in storage:
        raise FolderError(f"{folder} does not have the password of {storage}; {again}")
    if "://" not in storage:
        path = folder / storage
        if not path.exists():
            raise FolderError(f"there is no study {path}; {again}")
        storage = str(path)
    try:
        study = optuna.load_study(study_name=record["name"], storage=open_storage(storage)[0])
        identity = study.user_attrs[IDENTITY]
    except (KeyError, ValueError) as error:
        raise FolderError(f"{storage} has no study {record['name']!r} of ours: {error}") from None
    try:
        space = Space.from_dict(_named(identity["space"]))
    except (TypeError, ValueError):
        raise FolderError(f"the space of {folder} has objects of its own; {again}") from None
    return TuneResult(study, Labelled(space), identity)


def save(result: "TuneResult", folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Write the record, ``README.md``, ``report.html``, ``trials.csv``, ``best.json`` and pictures.

    Parameters
    ----------
    result
        At least one trial is done.
    folder
        It exists.
    record
        As `make_record` returns it.

    Returns
    -------
    The names of the files for people, the page first.
    """
    write_record(folder, record)
    result.save_table(folder / "trials.csv")
    shares = importance(result)
    write(folder / BEST, to_json(_summary(result, record, shares)))
    pictures = {}
    if result.trials["state"].eq("complete").any():
        pictures = {
            "History": ("history.png", result.plot_history),
            "Slices": ("slices.png", result.plot_slices),
        }
    for file, draw in pictures.values():
        draw(folder / file)
    write_page(
        folder / "report.html",
        content(
            result,
            shares,
            name=record["name"],
            command=record["command"],
            notes=[*_origin(record), *_changes(record)],
            versions=record["versions"],
            machine=record["machine"],
        ),
    )
    shown = {title: file for title, (file, _) in pictures.items()}
    write(folder / "README.md", _markdown(result, record, shown))
    return ["report.html", "README.md", "trials.csv", BEST, *shown.values()]


def _summary(
    result: "TuneResult", record: Mapping[str, Any], shares: Mapping[str, float]
) -> dict[str, Any]:
    """Return the result in few words for machines; ``value`` is null without a complete trial."""
    states = result.trials["state"].tolist()
    try:
        best: dict[str, Any] = {
            "value": result.best_value,
            "params": {name: _plain(value) for name, value in result.best_params.items()},
            "trial": result.best_trial.number,
        }
    except ValueError:
        best = {"value": None, "params": None, "trial": None}
    return {
        "name": record["name"],
        **best,
        "direction": result.study.direction.name.lower(),
        "trials": len(states),
        **{state: states.count(state) for state in ("complete", "pruned", "failed")},
        "steps": result.steps,
        "importance": dict(shares),
        "method": result.method,
        "why": result.why,
        "seed": result.seed,
        "stopped": result.stopped,
        "command": record["command"],
        "versions": record["versions"],
        "machine": record["machine"],
    }


def _markdown(result: "TuneResult", record: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    rows = "\n".join(f"| {name} | {literal(value)} |" for name, value in facts(result))
    parts = [
        f"# Tuning {literal(record['name'])}",
        literal(verdict(result)),
        "[report.html](report.html) has all trials to sort, [trials.csv](trials.csv) has them for "
        "other programs, [best.json](best.json) the best.",
        f"| | |\n|---|---|\n{rows}",
        *(f"## {title}\n\n![{title}]({file})" for title, file in pictures.items()),
        f"## How it was made\n\n```console\n{record['command']}\n```",
        describe(record["versions"], record["machine"]) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _origin(record: Mapping[str, Any]) -> list[str]:
    latest = record.get("sources", [])[-1:]
    return [
        "Made from "
        + ", ".join(f"{file} (SHA-256 {begin}…)" for file, begin in files.items())
        + "."
        for files in latest
    ]


def _changes(record: Mapping[str, Any]) -> list[str]:
    count = len(record.get("sources", []))
    return [f"These files were changed {count - 1} times between trials."] if count > 1 else []


def _written(folder: Path, storage: str | None) -> str:
    """Where the study is, without a password; a file relative to the folder."""
    if storage is None:
        return STUDY
    path = storage.removeprefix("sqlite:///")
    if "://" not in path:
        return os.path.relpath(path.partition("?")[0], folder)
    from sqlalchemy.engine import make_url

    return make_url(storage).render_as_string(hide_password=True)


def _named(described: Any) -> Any:
    """A described space in which objects are their names."""
    if isinstance(described, dict):
        if set(described) == {"object"}:
            return described["object"]
        return {name: _named(value) for name, value in described.items()}
    return [_named(each) for each in described] if isinstance(described, list) else described


def _plain(value: Any) -> Any:
    """What JSON can hold of an option or a constant; of objects their names."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return plain(value) if hasattr(value, "tolist") else getattr(value, "__qualname__", repr(value))
