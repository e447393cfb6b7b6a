"""The runs: each task by each method from each seed, kept in a file as they end."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from experiments.tuning_quality.tasks import TASKS

METHODS = ("auto", "tpe", "gp", "cma", "random")
FILE = "runs.jsonl"


class Cell(NamedTuple):
    """A run that is wanted: `method` is as `tune` takes it."""

    task: str
    method: str
    seed: int
    budget: int


class Run(NamedTuple):
    """What a run gave.

    Attributes
    ----------
    cell
        What was run.
    chosen
        The method behind its name: ``"auto"`` chooses one.
    values
        The losses, (budget,), in the order of the trials; NaN for failed ones.
    seconds
        From first to last, trainings included.
    """

    cell: Cell
    chosen: str
    values: list[float]
    seconds: float

    @property
    def best_so_far(self) -> Any:
        """The running minimum, (budget,)."""
        return np.fmin.accumulate(np.array(self.values, dtype=float))


def plan(methods: Sequence[str], seeds: int, budget: int) -> list[Cell]:
    """Return all runs, seed by seed, so that a stopped command has some of everything."""
    return [
        Cell(task, method, seed, budget)
        for seed in range(seeds)
        for task in TASKS
        for method in methods
    ]


def run(cell: Cell) -> Run:
    """Run one, in this process."""
    import time

    from adapters import tune

    task = TASKS[cell.task]
    start = time.perf_counter()
    found = tune(task.make(), task.space, cell.method, budget=cell.budget, seed=cell.seed)
    seconds = time.perf_counter() - start
    values = [np.nan if trial.value is None else trial.value for trial in found.study.trials]
    return Run(cell, found.method, values, seconds)


def load(folder: Path) -> list[Run]:
    """Return the runs that a folder holds; a torn last line is none."""
    runs = []
    path = folder / FILE
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                kept = json.loads(line)
            except json.JSONDecodeError:
                continue
            values = [np.nan if value is None else value for value in kept["values"]]
            cell = Cell(**kept["cell"])
            runs.append(Run(cell, kept["chosen"], values, kept["seconds"]))
    return runs


def sibling(cell: Cell) -> Cell:
    """Return the cell of the method that ``auto`` chooses, which is the very same run."""
    from adapters.tuning.automatic import choose

    if cell.method != "auto":
        return cell
    space = TASKS[cell.task].space
    return cell._replace(method=choose(space, budget=cell.budget, fidelity=False, at_once=1).method)


def complete(cells: Sequence[Cell], folder: Path, workers: int) -> Iterator[Run]:
    """Run what the folder does not hold yet; each is written as it ends, and yielded.

    What ``auto`` chooses is not run twice where that method is among those wanted.
    """
    there = {run.cell: run for run in load(folder)}
    missing = [cell for cell in cells if cell not in there]
    doubles = [cell for cell in missing if sibling(cell) != cell and sibling(cell) in set(cells)]
    path = folder / FILE
    with path.open("a") as file:
        if path.stat().st_size and not path.read_text().endswith("\n"):
            file.write("\n")  # a line that a kill has torn ends here
        alone = [cell for cell in missing if cell not in set(doubles)]
        for found in _run_all(alone, workers):
            there[found.cell] = found
            _write(found, file)
            yield found
        for cell in doubles:
            found = there[sibling(cell)]._replace(cell=cell)
            _write(found, file)
            yield found


def _write(found: Run, file: TextIO) -> None:
    values = [None if value != value else float(value) for value in found.values]
    kept = {**found._asdict(), "cell": found.cell._asdict(), "values": values}
    file.write(json.dumps(kept) + "\n")
    file.flush()


def _run_all(cells: Sequence[Cell], workers: int) -> Iterator[Run]:
    if workers == 1:
        yield from map(run, cells)
        return
    pool: Executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with pool:
        waiting = [pool.submit(run, cell) for cell in cells]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
