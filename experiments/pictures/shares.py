"""Shares of what was solved against what it cost: runtime distributions and profiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from experiments.pictures import panels as frame
from experiments.pictures import scales
from experiments.pictures.style import Look, one_line, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


class Steps(NamedTuple):
    """A distribution function: the share solved at each cost.

    Attributes
    ----------
    method
        Whose.
    cost
        Where the share rises, (m,), ascending and above zero; from there to the next it is level.
    share
        The share from there on, (m,), rising, within 0 and 1.
    """

    method: str
    cost: Array
    share: Array


class Panel(NamedTuple):
    """Distributions over one set of problems.

    Attributes
    ----------
    title
        Stands above them: a dimension, a group of functions.
    steps
        One for each method, in any order.
    end
        The largest cost that is shown: the budget. None: the largest there is.
    """

    title: str
    steps: Sequence[Steps]
    end: float | None = None


def draw_ecdf(
    panels: Sequence[Panel],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    xlabel: str = "evaluations / n",
    ylabel: str = "share of problems and targets reached",
) -> list[Path]:
    """Draw runtime distributions (Hansen et al., COCO, 2021): a panel a dimension, say.

    Parameters
    ----------
    panels
        At least one.
    stem
        The path without an ending.
    looks
        From `style.looks`, for each method.
    xlabel, ylabel
        The cost, and of what it is the share.

    Returns
    -------
    list of Path
        The SVG and the PNG; of each page, where one does not hold all panels.
    """
    return frame.draw_pages(
        panels, stem, lambda page, path: _draw(page, path, looks, xlabel, ylabel)
    )


def draw_performance_profile(
    panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look]
) -> list[Path]:
    """Draw performance profiles (Dolan and More, 2002): cost as a multiple of the best method's.

    Parameters and return value are those of `draw_ecdf`.
    """
    return draw_ecdf(
        panels,
        stem,
        looks,
        xlabel="cost, as a multiple of the best method's",
        ylabel="share of problems solved",
    )


def draw_data_profile(panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look]) -> list[Path]:
    """Draw data profiles (More and Wild, 2009): cost in simplex gradients, n + 1 evaluations each.

    Parameters and return value are those of `draw_ecdf`.
    """
    return draw_ecdf(
        panels,
        stem,
        looks,
        xlabel="evaluations / (n + 1)",
        ylabel="share of problems solved",
    )


def _draw(
    panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look], xlabel: str, ylabel: str
) -> None:
    methods = list(dict.fromkeys(steps.method for panel in panels for steps in panel.steps))
    with picture(stem, frame.size(len(panels), methods)) as figure:
        grid = frame.grid(figure, len(panels))
        ends = [
            (axes, _panel(axes, panel, looks)) for axes, panel in zip(grid, panels, strict=True)
        ]
        frame.label(figure, grid, xlabel, ylabel)
        frame.name_lines(figure, ends, looks, rising=True)


def _panel(axes: "Axes", panel: Panel, looks: Mapping[str, Look]) -> list[frame.End]:
    axes.set_title(one_line(panel.title, 34))
    axes.set_ylim(-0.01, 1.01)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    costs = scales.finite(steps.cost for steps in panel.steps)
    low = costs.min() if len(costs) else 1.0
    end = panel.end or (costs.max() * 1.1 if len(costs) else 10.0)
    scales.log_x(axes, min(low, end) * 0.9, end)
    ends = []
    for steps in panel.steps:
        x, y = _within(steps, low * 0.9, end)
        axes.step(x, y, where="post", **looks[steps.method].line())
        ends.append(frame.End(steps.method, float(x[-1]), float(y[-1])))
    return ends


def _within(steps: Steps, low: float, end: float) -> tuple[Array, Array]:
    """The function from zero at the left edge to its last value at the right one, thinned."""
    seen = np.isfinite(steps.cost) & (steps.cost <= end)
    x, y = np.asarray(steps.cost, float)[seen], np.asarray(steps.share, float)[seen]
    kept = np.ones(len(x), dtype=bool)
    kept[:-1] = np.diff(np.round(y * 500)) > 0  # smaller rises cannot be seen
    x, y = x[kept], y[kept]
    last = y[-1] if len(y) else 0.0
    return np.concatenate([[low], x, [end]]), np.concatenate([[0.0], y, [last]])
