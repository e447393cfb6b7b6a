"""What a running search shows on a terminal: how far it is, the best so far, its parameters."""

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from experiments.page.numbers import readable
from experiments.tuning.drawings import written

if TYPE_CHECKING:
    from adapters.tuning.result import TuneResult


class TuneLive:
    """A bar, counts, the best trial so far; nothing where there is no terminal.

    Parameters
    ----------
    name
        The study's.
    budget, steps
        What is to be done, in trials or epochs.
    quiet
        Show nothing.
    """

    def __init__(
        self, name: str, budget: int | None, steps: int | None, *, quiet: bool = False
    ) -> None:
        self._by_steps = budget is None and steps is not None
        self._before: int | None = None
        self._began = time.monotonic()
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs" if self._by_steps else "trials"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        total = steps if self._by_steps else budget
        self._total = total
        self._task = self._progress.add_task(escape(name), total=total, left="")
        shown = console.is_terminal and not quiet
        self._live = Live(console=console, transient=True, auto_refresh=True) if shown else None

    def __enter__(self) -> "TuneLive":
        if self._live is not None:
            self._live.start()
            self._live.update(self._progress.get_renderable())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, result: "TuneResult") -> None:
        """Show the result so far."""
        if self._live is None:
            return
        done = result.steps if self._by_steps else result.n_trials
        if self._before is None:
            self._before = max(0, done - 1)
        left = self.time_left(done)
        self._progress.update(self._task, completed=done, left=left)
        table = Table.grid(padding=(0, 2))
        for name, words in standing(result).items():
            table.add_row(f"  {escape(name)}", escape(words))
        self._live.update(Group(self._progress.get_renderable(), table))

    def time_left(self, done: int) -> str:
        """Return in words how long it takes, by what was done since it began; or nothing."""
        own = done - (self._before or 0)
        if self._total is None or own < 1:
            return ""
        seconds = (time.monotonic() - self._began) / own * max(0, self._total - done)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


def standing(result: "TuneResult") -> dict[str, str]:
    """Return what is known so far: the best value, its parameters, what else became of trials."""
    try:
        found = {"best": f"{readable(result.best_value)}  (trial {result.best_trial.number})"}
        found |= {name: written(value) for name, value in result.best_params.items()}
    except ValueError:
        found = {"best": "none complete yet"}
    states = [trial.state.name for trial in result.finished]
    other = [
        (states.count(name), word) for name, word in (("PRUNED", "pruned"), ("FAIL", "failed"))
    ]
    if told := ", ".join(f"{count} {word}" for count, word in other if count):
        found["others"] = told
    return found
