"""The commands ``compare``, ``report`` and ``export``."""

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.cli import FAILED, INTERRUPTED, OK, UsageError
from experiments.commands.shared import (
    make_folder,
    refused,
    say_written,
    show,
    stoppable,
    talk_aside,
)
from experiments.report import to_json


def compare(options: Namespace) -> int:
    """Run a comparison; what was done before a Ctrl-C is shown and written as well."""
    from experiments.comparison import Comparison
    from experiments.comparison import compare as run
    from experiments.live import Live
    from experiments.storage import StoreError

    command = _compare_command(options)
    if options.out is not None:
        make_folder(options.out)
        _check_free(options.out)
    stopped = False
    found: Comparison | None
    try:
        with stoppable(), talk_aside():
            found = run(
                options.problems,
                options.methods,
                options.seeds,
                options.budget,
                restarts=options.restarts,
                gradients=options.gradients,
                max_seconds=options.max_seconds,
                validate_every=options.validate_every,
                patience=options.patience,
                out=options.out,
                workers=options.workers,
                force=options.force,
                only=options.only,
                tensorboard=options.tensorboard,
                watch=lambda plan: Live(plan, quiet=options.json),
                command=command,
            )
    except ValueError as error:
        raise UsageError(str(error)) from None
    except StoreError as error:
        return refused(error)
    except KeyboardInterrupt as error:
        found, stopped = getattr(error, "comparison", None), True
    if found is not None and found.records:
        _present(found, options)
    if not stopped:
        return _judge(found)
    done = 0 if found is None else len(found.records)
    planned = "" if found is None else f" of {found.planned}"
    print(f"experiments: stopped after {done}{planned} cells", file=sys.stderr)
    if options.out is None:
        print("experiments: nothing is kept without --out DIR", file=sys.stderr)
    else:
        print(f"experiments: go on by the same command:\n  {command}", file=sys.stderr)
    return INTERRUPTED


def _judge(found: Any) -> int:
    """Return the exit code of a comparison that came to its end."""
    if found is not None and found.records and all(record.failed for record in found.records):
        print("experiments: no run found a finite, feasible value", file=sys.stderr)
        return FAILED
    return OK


def report(options: Namespace) -> int:
    """Write page, figures and report of a comparison, or a tuning, again."""
    if (options.folder / "tuning.json").exists():
        from experiments.commands import tuning

        return tuning.report(options)
    from experiments.comparison import load
    from experiments.storage import StoreError

    try:
        found = load(options.folder)
    except StoreError as error:
        return refused(error)
    options.out = options.folder
    if not found.records:
        print(f"experiments: no cell of {options.folder} is finished yet", file=sys.stderr)
        return FAILED
    _present(found, options)
    return OK


def export(options: Namespace) -> int:
    """Write results for other programs."""
    from experiments.comparison import load
    from experiments.storage import StoreError

    folder = options.out or options.folder / options.to
    try:
        found = load(options.folder)
        make_folder(folder)
        left_out = _write(found, options.to, folder)
    except StoreError as error:
        return refused(error)
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(str(error)) from None
    for sentence in left_out:
        print(f"experiments: left out: {sentence}", file=sys.stderr)
    if options.json:
        sys.stdout.write(to_json({"folder": str(folder), "left_out": left_out}))
    else:
        say_written(folder)
    return OK


def _write(results: Any, kind: str, folder: Path) -> list[str]:
    """Write, and return what was left out."""
    if kind == "coco":
        from experiments.export.coco import write_coco

        return list(write_coco(results, folder).left_out)
    from experiments.export.tables import write_csv, write_parquet

    (write_csv if kind == "csv" else write_parquet)(results, folder)
    return []


def _present(found: Any, options: Namespace) -> None:
    """Show a comparison, and write it where it is kept."""
    if options.out is not None:
        found.save(options.out, options.by)
    if options.json:
        sys.stdout.write(found.to_json(options.by))
        return
    for table in found.tables(options.by):
        show(table)
    Console().print(found.verdict(options.by), markup=False, highlight=False)
    if options.out is not None:
        say_written(options.out)


def _check_free(folder: Path) -> None:
    """Refuse a folder whose README.md is not a comparison's: it would be written over."""
    from experiments.storage import FILE

    if (folder / "README.md").exists() and not any(
        (folder / name).exists() for name in (FILE, "results.json")
    ):
        raise UsageError(
            f"{folder} has a README.md that no comparison wrote; give a folder of its own, "
            f"as in --out {folder / 'comparison'}"
        )


def _compare_command(options: Namespace) -> str:
    """The command that does the same again, without what does not change results."""
    words = ["experiments compare", *map(shlex.quote, options.problems)]
    if options.methods:
        words.append(f"--methods {shlex.quote(','.join(options.methods))}")
    words.append(f"--seeds {options.seeds} --budget {options.budget}")
    words += [f"--max-seconds {options.max_seconds:g}"] if options.max_seconds else []
    words += [f"--validate-every {options.validate_every}"] if options.validate_every else []
    words += [f"--patience {options.patience}"] if options.patience else []
    words += ["--gradients"] if options.gradients else []
    words += [] if options.restarts else ["--no-restarts"]
    words += [f"--by {options.by}"] if options.by != "evaluations" else []
    words += [f"--threads {options.threads}"] if options.threads > 1 else []
    words += [f"--workers {options.workers}"] if options.workers > 1 else []
    words += [f"--out {shlex.quote(str(options.out))}"] if options.out is not None else []
    return " ".join(words)
