"""What a running comparison shows on a terminal: progress, who leads, the time left."""

import time
from collections.abc import Mapping
from types import TracebackType

import numpy as np
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from experiments.plan import START, Plan
from experiments.report import number


class Live:
    """A bar, the time left, and the standing of the methods; nothing where there is no terminal.

    Parameters
    ----------
    plan
        What is run.
    quiet
        Show nothing.
    """

    def __init__(self, plan: Plan, *, quiet: bool = False) -> None:
        self._cells = {cell.key: cell for cell in plan.cells}
        self._groups = {name: row.group or name for name, row in plan.problems.items()}
        self._values: dict[str, float] = {}
        self._before: int | None = None
        self._began = time.monotonic()
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._progress.add_task("cells", total=len(self._cells), left="")
        shown = console.is_terminal and not quiet
        self._live = RichLive(console=console, transient=True, auto_refresh=True) if shown else None

    def __enter__(self) -> "Live":
        if self._live is not None:
            self._live.start()
            self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, values: Mapping[str, float]) -> None:
        """Take in the best values of finished cells, by key."""
        self._values |= {key: value for key, value in values.items() if key in self._cells}
        if self._before is None:
            self._before = len(self._values)
        if self._live is not None:
            self._draw()

    def time_left(self) -> float | None:
        """Return seconds, by the cells of this run so far; None where there are none."""
        done = len(self._values) - (self._before or 0)
        if not done:
            return None
        return (time.monotonic() - self._began) / done * (len(self._cells) - len(self._values))

    def standing(self) -> dict[str, str]:
        """Return how each method does: its best value; or, over many problems, where it leads."""
        best: dict[str, dict[str, float]] = {}
        for key, value in self._values.items():
            cell = self._cells[key]
            if cell.method != START:
                row = best.setdefault(self._groups[cell.problem], {})
                row[cell.method] = min(value, row.get(cell.method, np.inf))
        methods = list(dict.fromkeys(cell.method for cell in self._cells.values()))
        if len(best) == 1:
            (row,) = best.values()
            return {m: f"best {number(row[m])}" for m in methods if m in row}
        leads = dict.fromkeys(methods, 0)
        for row in best.values():
            leads[min(row, key=lambda m: row[m])] += 1
        return {m: f"best on {leads[m]} of {len(best)}" for m in methods if m != START}

    def _draw(self) -> None:
        assert self._live is not None
        left = self.time_left()
        self._progress.update(
            self._task,
            completed=len(self._values),
            left="" if left is None else f"{_clock(left)} left",
        )
        table = Table.grid(padding=(0, 2))
        for method, words in list(self.standing().items())[:12]:
            table.add_row(f"  {escape(method)}", escape(words))
        self._live.update(Group(self._progress.get_renderable(), table))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
