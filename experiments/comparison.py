"""Methods against each other: problems x methods x seeds, same starts, equal budgets."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.executing import Watch, Work, execute
from experiments.plan import Plan, make_plan, select, several
from experiments.record import Axis, Results
from experiments.report import Table, to_json
from experiments.storage import Store

if TYPE_CHECKING:
    import pandas as pd

Watcher = Callable[[Plan], AbstractContextManager[Watch]]
"""Makes, for a plan, the context that shows how far it is."""


@dataclass(frozen=True, eq=False)
class Comparison(Results):
    """What the cells of a comparison gave. Reading it runs nothing.

    Attributes
    ----------
    records, problems
        See `experiments.record.Results`.
    settings
        What holds for all cells: ``budget``, ``restarts``, ``gradients``, ``max_seconds``;
        and ``validate_every`` and ``patience`` where they were given.
    environments
        Versions and machine that the results were made with; several where they differ.
    planned
        How many cells the plan has; more than there are records where it was stopped.
    command
        The command that made it; empty where it was made from Python.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    environments: tuple[Mapping[str, Any], ...] = ()
    planned: int = 0
    command: str = ""

    @property
    def complete(self) -> bool:
        """Whether every cell of the plan was run."""
        return len(self.records) >= self.planned

    def table(self, axis: Axis = "evaluations") -> Table:
        """Return a line a problem and method, the best median first.

        Parameters
        ----------
        axis
            What the budgets are equal in: values are read where so much of it was spent.
        """
        from experiments import tables

        return tables.values(self, axis)

    def standing(self, axis: Axis = "evaluations") -> Table:
        """Return a line a method over all problems: ranks, duels won, and targets hit.

        Raises
        ------
        ValueError
            If no problem was run with every method.
        """
        from experiments import tables

        return tables.standing(self, axis)

    def tables(self, axis: Axis = "evaluations") -> list[Table]:
        """Return the tables that a reader wants first: all problems, each problem, failures."""
        from experiments import tables

        return tables.all_tables(self, axis)

    def failures(self) -> Table:
        """Return a line for each problem and method with cells or evaluations that failed."""
        from experiments import tables

        return tables.failures(self)

    def verdict(self, axis: Axis = "evaluations") -> str:
        """Return in words who wins, by how much, and how sure that is."""
        from experiments.statistics.verdict import verdict

        return verdict(self, axis)

    def verdicts(self, axis: Axis = "evaluations") -> dict[str, str]:
        """Return the verdict on each group of problems, by its name."""
        from experiments.statistics.verdict import verdict

        return {group: verdict(self.only(group), axis) for group in self.groups}

    def plot(self, path: Path | str, axis: Axis = "evaluations") -> list[Path]:
        """Draw medians and interquartile bands of the best value so far.

        Parameters
        ----------
        path
            Where to; an SVG and a PNG are written, whatever its ending.
        axis
            What was spent.

        Returns
        -------
        list of Path
            The files.
        """
        from experiments import drawing

        return drawing.convergence(self, Path(path).with_suffix(""), axis)

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas DataFrame, a row a cell. Raises ModuleNotFoundError without pandas."""
        from experiments.export.tables import to_frame

        return to_frame(self)

    def summary(self, axis: Axis = "evaluations") -> dict[str, Any]:
        """Return settings, statistics and figures of each cell, ready for JSON."""
        from experiments import tables

        return tables.summary(self, axis)

    def to_json(self, axis: Axis = "evaluations") -> str:
        """Return the summary as JSON text."""
        return to_json(self.summary(axis))

    def save(self, folder: Path | str, axis: Axis = "evaluations") -> list[Path]:
        """Write page, figures, report and JSON into a folder.

        Parameters
        ----------
        folder
            Is made where it is not there.
        axis
            What the budgets are equal in, in tables and words.

        Returns
        -------
        list of Path
            The files.
        """
        from experiments import saving

        return saving.save(self, Path(folder), axis)


def compare(
    problems: Sequence[Any],
    methods: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 10,
    budget: int | str = 2000,
    *,
    restarts: bool = True,
    gradients: bool = False,
    max_seconds: float | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    out: Path | str | None = None,
    workers: int = 1,
    force: bool = False,
    only: Sequence[str] = (),
    tensorboard: Path | str | None = None,
    watch: Watcher | None = None,
    command: str = "",
) -> Comparison:
    """Run methods on problems over seeds.

    Parameters
    ----------
    problems
        Names of `experiments.problems` (``"article"``, ``"bbob:f=1-24:n=2,5"``), texts
        ``"path/to/file.py:function"``; or functions of one vector and objects that have ``x0`` or
        ``bounds``, such as a `adapters.ModelObjective`.
    methods
        Of `blackbox.ALGORITHMS`, with options where they need any,
        ``"cma:CMA_diagonal=True:popsize=32"``, and ``"start"`` for the start alone. None: all.
    seeds
        The seeds, or how many, from 0.
    budget
        Evaluations of each run, those of finite differences included; ``"100n"`` for a hundred
        for each variable of the problem.
    restarts
        Whether a method that ends early begins again, from the seed's next start.
    gradients
        Whether methods may use the problem's own gradients; they are counted as well.
    max_seconds
        Where given, runs end after so many seconds, too.
    validate_every, patience
        As `blackbox.minimize` takes them: losses on validation data, where a problem has any, and
        early stopping. A run that was stopped early does not begin again.
    out
        A folder that keeps the results: what is in it already is not run again. None: nothing is
        kept.
    workers
        Processes that run cells side by side. In a script, guard the call by
        ``if __name__ == "__main__":`` where there are several.
    force
        Run again what is there already; its results are thrown away.
    only
        Problems, methods or ``seed=N`` of the plan to run now; the rest is left for later.
    tensorboard
        A folder for TensorBoard's events.
    watch
        Shows how far it is; see `Watcher`.
    command
        What makes the same again; it is said where the results are shown.

    Returns
    -------
    Comparison
        Everything that `out` holds.

    Raises
    ------
    ValueError
        For what makes no sense, before anything runs; it names the argument.
    experiments.storage.StoreError
        If `out` holds another comparison, or can't be written.
    KeyboardInterrupt
        After Ctrl-C; what was done until then is its attribute ``comparison``.
    """
    from blackbox import ALGORITHMS

    plan = make_plan(
        problems,
        [r.name for r in ALGORITHMS.values() if r.installed] if methods is None else methods,
        seeds,
        budget,
        restarts=restarts,
        gradients=gradients,
        max_seconds=max_seconds,
        validate_every=validate_every,
        patience=patience,
    )
    if workers < 1:
        raise ValueError(f"workers is a number of processes, at least 1; got {workers}")
    cells = select(plan.cells, several(only, "only")) if only else list(plan.cells)
    kept: AbstractContextManager[str] = (
        tempfile.TemporaryDirectory() if out is None else nullcontext(str(out))
    )
    with kept as folder, Store(folder) as store:
        store.plan(plan.cells, [row.info() for row in plan.problems.values()], plan.settings)
        store.note("command", command)
        if force:
            store.forget(cell.key for cell in cells)
        given = {name: plan.problems[name] for name in plan.given}
        work = Work(
            Path(folder),
            {cell.key: cell for cell in cells},
            given if workers > 1 else plan.problems,
            None if tensorboard is None else Path(tensorboard),
        )
        try:
            with nullcontext() if watch is None else watch(plan) as shown:
                execute(work, store, workers=workers, watch=shown)
        except BaseException as error:
            with suppress(Exception):  # the cause matters more than what it leaves
                error.comparison = read(store)  # type: ignore[attr-defined]
            raise
        return read(store)


def load(folder: Path | str) -> Comparison:
    """Return the comparison that a folder holds.

    Raises
    ------
    experiments.storage.StoreError
        If there is none.
    """
    with Store(folder, create=False) as store:
        return read(store)


def read(store: Store) -> Comparison:
    """Return the comparison that a store holds so far."""
    found = store.read()
    return Comparison(
        found.records,
        found.problems,
        settings=store.settings(),
        environments=tuple(store.environments()),
        planned=len(store.cells()),
        command=store.noted("command"),
    )
