"""The command ``tune``, and ``report`` of what it wrote."""

import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experiments.cli import FAILED, INTERRUPTED, OK, UsageError
from experiments.commands.shared import (
    make_folder,
    refused,
    show,
    stoppable,
    talk_aside,
)
from experiments.report import Column, Table

if TYPE_CHECKING:
    from adapters.tuning.result import TuneResult

BUDGET = 100
"""Trials, where nothing else says when to end."""


def tune(options: Namespace) -> int:
    """Search, show and write; what was done before a Ctrl-C is shown and written as well."""
    _check_installed()
    from experiments.tuning.folder import FolderError, write_record
    from experiments.tuning.live import TuneLive

    if options.budget is None and options.steps is None and options.max_seconds is None:
        options.budget = BUDGET
    options.name = options.name or _study_name(options.function)
    options.out = options.out or Path("results", "tuning", options.name)
    live = TuneLive(options.name, options.budget, options.steps, quiet=options.json)
    begun = False

    def keep(so_far: "TuneResult") -> None:
        nonlocal begun
        if not begun:  # all arguments made sense: from now on the folder is this study's
            write_record(options.out, record)
            begun = True
        live(so_far)

    with stoppable():
        stopped = False
        result: TuneResult | None
        try:
            with talk_aside():
                arguments, files = _read(options)
                make_folder(options.out)
                record = _record(options, files)
                with live:
                    result = _search(options, arguments, keep)
        except KeyboardInterrupt as error:
            result, stopped = getattr(error, "result", None), True
        except (FolderError, TypeError, ValueError, ImportError) as error:
            raise UsageError(_in_words_of_the_command(str(error))) from None
        except Exception as error:
            return _say_that_the_storage_failed(error)
        finally:
            with suppress(OSError):  # where nothing came to lie in it
                options.out.rmdir()
        if result is not None and result.n_trials:
            _present(result, record, options)
        return _say_how_to_go_on(result, options) if stopped else _judge(result)


def report(options: Namespace) -> int:
    """Write the page and all else of a tuning again, from its study."""
    _check_installed()
    from experiments.tuning.folder import FolderError, load, read_record

    try:
        record = read_record(options.folder)
        assert record is not None
        result = load(options.folder, record)
    except FolderError as error:
        return refused(error)
    if not result.n_trials:
        print(f"experiments: no trial of {options.folder} is finished yet", file=sys.stderr)
        return FAILED
    options.out = options.folder
    _present(result, record, options)
    return OK


def _check_installed() -> None:
    import importlib.util

    for module in ("optuna", "pandas"):
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"tuning needs {module}: pip install 'blackbox-torch[tuning]'")


def _study_name(function: str) -> str:
    """``path/to/digits.py:train`` is called ``digits-train``."""
    path, _, name = function.rpartition(":")
    return re.sub(r"[^\w.-]+", "-", f"{Path(path).stem}-{name}")


def _read(options: Namespace) -> tuple[dict[str, Any], list[Path]]:
    """Return what the user's files say, as `adapters.tune` takes it; and these files."""
    from experiments.methods import parse_method
    from experiments.tuning.user_function import read_function, read_space

    train, file = read_function(options.function)
    space = read_space(train, file, options.space)
    method, more = parse_method(options.method)
    given = {"train": train, "space": space, "method": method, "options": more}
    return given, [file, *([options.space] if options.space else [])]


def _record(options: Namespace, files: list[Path]) -> dict[str, Any]:
    from experiments.problems.user_file import digest
    from experiments.tuning.folder import make_record

    record = make_record(
        options.out,
        name=options.name,
        storage=options.storage,
        command=_command(options),
        source={file.name: digest(file) for file in files},
    )
    if len(record["sources"]) > 1:
        print(
            f"experiments: {', '.join(file.name for file in files)} changed since this study "
            "began; earlier trials stay. To begin anew give another --name",
            file=sys.stderr,
        )
    return record


def _search(
    options: Namespace, given: Mapping[str, Any], callback: Callable[["TuneResult"], None]
) -> "TuneResult":
    from adapters import tune as search
    from experiments.tuning.folder import STUDY

    return search(
        **given,
        budget=options.budget,
        steps=options.steps,
        max_seconds=options.max_seconds,
        direction="maximize" if options.maximize else "minimize",
        fidelity=options.fidelity,
        seed=options.seed,
        workers=options.workers,
        timeout=options.timeout,
        at_once=options.at_once,
        storage=options.storage or options.out / STUDY,
        name=options.name,
        callback=callback,
    )


def _in_words_of_the_command(text: str) -> str:
    """``steps=`` is ``--steps`` here."""
    names = "budget|fidelity|name|options|space|steps|storage|timeout|workers"
    pattern = rf"(?<![\w'.-])(?:({names})=(?![\w'\"{{])|(at_once|max_seconds)\b=?)"
    return re.sub(pattern, lambda m: "--" + (m[1] or m[2]).replace("_", "-"), text)


def _say_that_the_storage_failed(error: Exception) -> int:
    """Return the exit code; what is no failure of the storage is raised."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, (StorageInternalError, SQLAlchemyError)):
        return refused(RuntimeError(f"the storage failed: {text}"))
    raise error


def _present(result: "TuneResult", record: Mapping[str, Any], options: Namespace) -> None:
    """Write a result, and show it."""
    from experiments.tuning.content import facts, verdict
    from experiments.tuning.folder import BEST, save

    files = save(result, options.out, record)
    if options.json:
        sys.stdout.write((options.out / BEST).read_text(encoding="utf-8"))
        return
    columns = [Column("", number=False), Column("", number=False)]
    show(Table(f"Tuning {record['name']}", columns, facts(result)))
    console = Console()
    console.print(verdict(result), markup=False, highlight=False)
    wrote = f"wrote {options.out}: {', '.join(files)}"
    console.print(wrote, style="dim", markup=False, highlight=False)


def _judge(result: "TuneResult | None") -> int:
    """Return the exit code of a search that came to its end."""
    from adapters.tuning.searching import FAILURE_LIMIT

    states = [] if result is None else [trial.state.name for trial in result.finished]
    if result is not None and states[-FAILURE_LIMIT:] == ["FAIL"] * FAILURE_LIMIT:
        return refused(RuntimeError(result.stopped))
    if "COMPLETE" not in states:
        return refused(RuntimeError("no trial was completed"))
    return OK


def _say_how_to_go_on(result: "TuneResult | None", options: Namespace) -> int:
    done = 0 if result is None else result.n_trials
    of = "" if options.budget is None else f" of {options.budget}"
    print(f"experiments: stopped after {done}{of} trials", file=sys.stderr)
    print(f"experiments: go on by the same command:\n  {_command(options)}", file=sys.stderr)
    return INTERRUPTED


def _command(options: Namespace) -> str:
    """The command that does the same again; passwords are left out."""
    words = ["experiments tune", shlex.quote(options.function)]
    words += [f"--space {shlex.quote(str(options.space))}"] if options.space else []
    words += [f"--method {shlex.quote(options.method)}"]
    words += [f"--budget {options.budget}"] if options.budget else []
    words += [f"--steps {options.steps}"] if options.steps else []
    words += [f"--max-seconds {options.max_seconds:g}"] if options.max_seconds else []
    words += [f"--fidelity {options.fidelity}"] if options.fidelity else []
    words += ["--maximize"] if options.maximize else []
    words += [f"--seed {options.seed}"]
    words += [f"--workers {options.workers}"] if options.workers else []
    words += [f"--timeout {options.timeout:g}"] if options.timeout else []
    words += [f"--at-once {options.at_once}"] if options.at_once else []
    words += [f"--storage {shlex.quote(_without_password(options.storage))}"] * bool(
        options.storage
    )
    words += [f"--name {shlex.quote(options.name)}"]
    words += [f"--out {shlex.quote(str(options.out))}"]
    return " ".join(words)


def _without_password(storage: str | None) -> str:
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", storage or "")
