"""Which method tunes best: medians, ranks and tests over the six tasks, and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from experiments.environment import describe, machine, versions
from experiments.pictures.style import looks, picture
from experiments.report import Column, Table, to_json, write
from experiments.statistics.ranks import critical_difference, friedman
from experiments.tuning_quality.runs import METHODS, Run
from experiments.tuning_quality.tasks import TASKS

NAME = "tuning"
"""Of the files."""
RIVALS = ("tpe", "gp", "random")
"""Than which ``auto`` is to be no worse, in median rank."""


class Standing(NamedTuple):
    """How methods stand.

    Attributes
    ----------
    methods, tasks
        Those with runs.
    finals
        Medians over seeds of the best loss, (tasks, methods).
    ranks
        Of methods on each task and seed that all were run on, (blocks, methods); 1 is the lowest
        loss, ties share the average.
    seeds, budget
        Of runs on a task, and trials of a run.
    chosen
        By task, what ``auto`` chose.
    overhead
        Seconds a run took, median over all, (methods,).
    """

    methods: list[str]
    tasks: list[str]
    finals: NDArray[np.float64]
    ranks: NDArray[np.float64]
    seeds: int
    budget: int
    chosen: dict[str, str]
    overhead: NDArray[np.float64]

    @property
    def median_ranks(self) -> NDArray[np.float64]:
        """Medians over tasks and seeds, (methods,)."""
        return np.asarray(np.median(self.ranks, axis=0))

    @property
    def mean_ranks(self) -> NDArray[np.float64]:
        """Means over tasks and seeds, (methods,)."""
        return np.asarray(self.ranks.mean(axis=0))

    @property
    def reached(self) -> bool:
        """Whether ``auto`` is at least as good in median rank as each of `RIVALS`."""
        ranks = dict(zip(self.methods, self.median_ranks, strict=True))
        return "auto" in ranks and all(ranks["auto"] <= ranks.get(each, -np.inf) for each in RIVALS)


def measure(runs: Sequence[Run]) -> Standing:
    """Return how methods stand, on what all of them were run on.

    Raises
    ------
    ValueError
        If there is no task and seed that all were run on.
    """
    there = {(run.cell.task, run.cell.seed, run.cell.method): run for run in runs}
    methods = [each for each in METHODS if any(run.cell.method == each for run in runs)]
    methods += sorted({run.cell.method for run in runs} - set(methods))
    blocks = [
        (task, seed)
        for task in TASKS
        for seed in sorted({run.cell.seed for run in runs})
        if all((task, seed, method) in there for method in methods)
    ]
    if not blocks:
        raise ValueError("no task was run by every method from the same seed yet")
    finals = np.array(
        [[there[(*block, method)].best_so_far[-1] for method in methods] for block in blocks]
    )
    tasks = [task for task in TASKS if any(block[0] == task for block in blocks)]
    of_task = [np.array([block[0] == task for block in blocks]) for task in tasks]
    every = [there[(*block, method)] for block in blocks for method in methods]
    return Standing(
        methods,
        tasks,
        np.array([np.median(finals[rows], axis=0) for rows in of_task]),
        np.asarray(scipy.stats.rankdata(finals, axis=1)),
        len({seed for _, seed in blocks}),
        max(run.cell.budget for run in every),
        {run.cell.task: run.chosen for run in every if run.cell.method == "auto"},
        np.array(
            [np.median([r.seconds for r in every if r.cell.method == each]) for each in methods]
        ),
    )


def table(standing: Standing) -> Table:
    """Return a line a task, and the ranks beneath."""
    rows = [
        [task, TASKS[task].description, *(f"{value:.5g}" for value in row)]
        for task, row in zip(standing.tasks, standing.finals, strict=True)
    ]
    rows.append(["median rank", "", *(f"{rank:.4g}" for rank in standing.median_ranks)])
    rows.append(["mean rank", "", *(f"{rank:.2f}" for rank in standing.mean_ranks)])
    rows.append(["seconds a run", "", *(f"{seconds:.1f}" for seconds in standing.overhead)])
    columns = [
        Column("task", number=False),
        Column("what", number=False, extra=True),
        *(Column(method) for method in standing.methods),
    ]
    chosen = ", ".join(sorted(set(standing.chosen.values())))
    test = friedman(standing.ranks)
    apart = critical_difference(len(standing.methods), len(standing.ranks))
    notes = [
        f"The best loss after {standing.budget} trials, median of {standing.seeds} seeds; ranks "
        f"over {len(standing.ranks)} runs (tasks and seeds), 1 is best.",
        f"Friedman's test: p = {test.p:.2g}; mean ranks that differ by less than {apart:.2f} are "
        "not told apart (Nemenyi, 5 %).",
    ]
    if chosen:
        notes.append(f"auto chose {chosen}: the very same runs, not run twice.")
    return Table(f"Tuning, {standing.budget} trials", columns, rows, notes)


def draw(runs: Sequence[Run], standing: Standing, stem: Path) -> None:
    """Draw the median of the best loss so far, a panel a task, as SVG and PNG."""
    chosen = set(standing.chosen.values())
    # One line for two names of the same runs.
    shown = [m for m in standing.methods if m != "auto" or not chosen <= set(standing.methods)]
    names = {
        m: f"{m}, auto's choice" if {m} == chosen and "auto" not in shown else m for m in shown
    }
    style = looks(shown)
    with picture(stem, (10, 6)) as figure:
        panels: Any = figure.subplots(2, 3)
        for panel, task in zip(panels.flat, TASKS, strict=True):
            panel.set_title(task)
            lines = []
            for method in shown:
                found = [r for r in runs if r.cell.task == task and r.cell.method == method]
                if not found:
                    continue
                middle = np.median([run.best_so_far for run in found], axis=0)
                look = style[method].line(1.6) | {"label": names[method], "marker": None}
                panel.plot(np.arange(1, len(middle) + 1), middle, drawstyle="steps-post", **look)
                lines.append(middle)
            _zoom(panel, lines)
        for panel in panels[-1]:
            panel.set_xlabel("trials")
        for panel in panels[:, 0]:
            panel.set_ylabel("best loss so far, median")
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _zoom(panel: Any, lines: Sequence[NDArray[np.float64]]) -> None:
    """Show what follows the first tenth of the trials: the first losses are far above."""
    late = [line[len(line) // 10 :] for line in lines]
    late = [line[np.isfinite(line)] for line in late]
    if not any(line.size for line in late):
        return
    low, high = (float(pick(np.concatenate(late))) for pick in (np.min, np.max))
    room = 0.05 * ((high - low) or 1.0)
    panel.set_ylim(low - room, high + room)


def summary(standing: Standing, command: str) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    return {
        "command": command,
        "goal": "auto at least as good in median rank as " + ", ".join(RIVALS),
        "reached": standing.reached,
        "budget": standing.budget,
        "seeds": standing.seeds,
        "chosen by auto": standing.chosen,
        "median rank": dict(zip(standing.methods, standing.median_ranks.tolist(), strict=True)),
        "mean rank": dict(zip(standing.methods, standing.mean_ranks.tolist(), strict=True)),
        "median loss": {
            task: dict(zip(standing.methods, row.tolist(), strict=True))
            for task, row in zip(standing.tasks, standing.finals, strict=True)
        },
        "versions": versions("scikit-learn", "optuna"),
        "machine": machine(),
    }


def save(runs: Sequence[Run], standing: Standing, content: dict[str, Any], folder: Path) -> None:
    """Write ``tuning.json``, ``tuning.md`` and the picture."""
    write(folder / f"{NAME}.json", to_json(content))
    stem = folder / NAME
    draw(runs, standing, stem)
    parts = [
        "# How well tuning searches",
        f"Made by `{content['command']}`; each run is in `runs.jsonl`, the numbers are in "
        f"`{NAME}.json`. The tasks, and why they are what they are: "
        "`experiments/tuning_quality/tasks.py`.",
        f"Goal: {content['goal']}: {'reached' if standing.reached else 'not reached'}.",
        table(standing).markdown().strip(),
        f"![Median best loss so far]({NAME}.png)",
        describe(content["versions"], content["machine"]) + ".",
    ]
    write(folder / f"{NAME}.md", "\n\n".join(parts) + "\n")
