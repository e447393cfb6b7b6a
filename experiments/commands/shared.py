"""What several commands do: folders, progress, tables on a terminal."""

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.cli import FAILED, INTERRUPTED, OK, UsageError
from experiments.report import Table


def collect(work: Iterator[Any], total: int, labels: Iterable[str]) -> tuple[list[Any], bool]:
    """Everything that the work yields, until its end or Ctrl-C (then True)."""
    done: list[Any] = []
    try:
        with progress_bar() as progress:
            task = progress.add_task("", total=total)
            for label in labels:
                progress.update(task, description=label)
                done.append(next(work))
                progress.advance(task)
    except KeyboardInterrupt:
        return done, True
    return done, False


def ended(stopped: bool, done: int, total: int) -> int:
    """Say whether the work was stopped early; return the exit code."""
    if stopped:
        print(f"experiments: stopped after {done} of {total}; these are kept", file=sys.stderr)
        return INTERRUPTED
    return OK


def make_folder(folder: Path) -> None:
    """Make the folder now: to fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def show(table: Table) -> None:
    """Print a table, as wide as the terminal."""
    console = Console()
    console.print(table.rich(console.width))
    console.print()


def say_written(folder: Path) -> None:
    """Say what lies in a folder now."""
    names = ", ".join(sorted(path.name for path in folder.iterdir() if path.name[0] != "."))
    Console().print(f"[dim]wrote {folder}: {names}[/dim]", highlight=False)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A line on stderr, where that is a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: tidily."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def talk_aside() -> Iterator[None]:
    """Send to stderr what problems print, here and in worker processes: stdout is for results."""
    if sys.stdout is None:  # it was closed
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def refused(error: Exception) -> int:
    """Say why something can't be done; return the exit code."""
    print(f"experiments: {error}", file=sys.stderr)
    return FAILED
