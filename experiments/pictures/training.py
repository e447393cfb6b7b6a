"""What gradient methods saw on their way: loss and gradient norm against evaluations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.pictures import panels as frame
from experiments.pictures import scales
from experiments.pictures.style import Look, one_line, picture
from experiments.record import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

POINTS = 200
"""Places along a line at most."""


class Descent(NamedTuple):
    """Medians over the runs of a method, at the same numbers of evaluations.

    Attributes
    ----------
    method
        Whose.
    spent
        Evaluations, (m,), ascending.
    losses, norms
        Medians there over the runs that were under way, (m,).
    """

    method: str
    spent: Array
    losses: Array
    norms: Array


class Panel(NamedTuple):
    """A problem, or a group of them.

    Attributes
    ----------
    title
        Stands above it.
    lines
        One for each gradient method.
    """

    title: str
    lines: Sequence[Descent]


def median_descent(method: str, trainings: Sequence[Training]) -> Descent:
    """Return medians over runs of what each saw last, from its first step to its last.

    Parameters
    ----------
    method
        Whose runs.
    trainings
        One a run; those without steps are left out.
    """
    runs = [run for run in trainings if len(run.evaluations)]
    if not runs:
        nothing = np.empty(0)
        return Descent(method, nothing, nothing, nothing)
    steps = np.unique(np.concatenate([run.evaluations for run in runs]))
    # Evenly over the steps, not over powers of ten: most of what happens is late in a long run.
    spent = steps[np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))]
    losses, norms = (np.full((len(runs), len(spent)), np.nan) for _ in range(2))
    for i, run in enumerate(runs):
        at = np.searchsorted(run.evaluations, spent, side="right") - 1
        under_way = (at >= 0) & (spent <= run.evaluations[-1])
        losses[i, under_way] = run.losses[at[under_way]]
        norms[i, under_way] = run.norms[at[under_way]]
    return Descent(method, spent.astype(float), _median(losses), _median(norms))


def _median(rows: Array) -> Array:
    """The median of each column's finite numbers; NaN where there are none."""
    ordered = np.sort(np.where(np.isfinite(rows), rows, np.nan), axis=0)  # NaN comes last
    last = np.maximum(np.isfinite(ordered).sum(axis=0) - 1, 0)
    columns = np.arange(rows.shape[1])
    middle: Array = (ordered[last // 2, columns] + ordered[(last + 1) // 2, columns]) / 2
    return middle


def draw_training(panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look]) -> list[Path]:
    """Draw a column a problem: the loss above, the gradient's norm below.

    Parameters
    ----------
    panels
        At least one. More than fill a page go on further pages.
    stem, looks
        The path without an ending; from `style.looks`.

    Returns
    -------
    list of Path
        The files: an SVG and a PNG a page.
    """
    return frame.draw_pages(panels, stem, lambda page, path: _draw(page, path, looks), page=4)


def _draw(panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look]) -> None:
    methods = list(dict.fromkeys(line.method for panel in panels for line in panel.lines))
    names = frame.named(2 * len(panels), len(methods))
    width = 1.6 + (4.6 if names else 3.8) * len(panels)
    with picture(stem, (max(width, 7.0), 5.6)) as figure:
        grid = figure.subplots(2, len(panels), squeeze=False, sharex="col")
        ends = []
        for i, panel in enumerate(panels):
            grid[0, i].set_title(one_line(panel.title, 40))
            grid[1, i].set_xlabel("evaluations")
            for row, name in enumerate(("loss", "gradient norm")):
                axes = grid[row, i]
                ends.append((axes, _lines(axes, panel, row, looks)))
                if i == 0:
                    axes.set_ylabel(name)
        frame.name_lines(figure, ends, looks)


def _lines(axes: "Axes", panel: Panel, row: int, looks: Mapping[str, Look]) -> list[frame.End]:
    shown = [scales.drawable(line.norms if row else line.losses) for line in panel.lines]
    scales.fit_y(axes, scales.finite(shown))
    ends = []
    for line, values in zip(panel.lines, shown, strict=True):
        axes.plot(line.spent, values, **looks[line.method].line(1.6))
        seen = np.flatnonzero(np.isfinite(values))
        last = (line.spent[seen[-1]], values[seen[-1]]) if len(seen) else (np.nan, np.nan)
        ends.append(frame.End(line.method, float(last[0]), float(last[1])))
    axes.set_xlim(left=0)
    axes.margins(x=0)
    return ends
