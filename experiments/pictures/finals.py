"""The values at the end of runs: every run a dot, with median and quartiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.pictures import panels as frame
from experiments.pictures import scales
from experiments.pictures.style import FAINT, INK, Look, one_line, picture, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


class Panel(NamedTuple):
    """A problem, or a group of them.

    Attributes
    ----------
    title
        Stands above it.
    values
        By method, from the top: the final value of each run, (runs,); inf or NaN where it failed.
    optimum
        The best value known; None where nobody knows or there is no use in it.
    """

    title: str
    values: Mapping[str, Array]
    optimum: float | None = None


def draw_finals(
    panels: Sequence[Panel],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    xlabel: str = "final value",
) -> list[Path]:
    """Draw a line a method: its runs, the interquartile box and the median; crosses for failures.

    Parameters
    ----------
    panels
        At least one. More than fill a page go on further pages.
    stem, looks
        The path without an ending; from `style.looks`.
    xlabel
        What the values are.

    Returns
    -------
    list of Path
        The files: an SVG and a PNG a page.
    """
    return frame.draw_pages(panels, stem, lambda page, path: _draw(page, path, looks, xlabel))


def _draw(panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look], xlabel: str) -> None:
    methods = list(dict.fromkeys(method for panel in panels for method in panel.values))
    names = [text(method, 26, lines=2) for method in methods]
    line = 0.36 if any("\n" in name for name in names) else 0.26
    rows, columns = frame.shape(len(panels))
    width = 8.0 if columns == 1 else 2.0 + 3.2 * columns
    with picture(stem, (width, rows * (0.6 + line * len(methods)) + 0.5)) as figure:
        grid = frame.grid(figure, len(panels))
        for i, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
            axes.set_title(one_line(panel.title, 34 if columns > 1 else 60))
            _panel(axes, panel, methods, looks)
            axes.set_yticks(range(len(methods)), names if i % columns == 0 else [])
            axes.tick_params(axis="y", length=0, labelsize=9)
        if len(panels) == 1:
            grid[0].set_xlabel(xlabel)
        else:
            figure.supxlabel(xlabel, fontsize=10, color=INK)


def _panel(axes: "Axes", panel: Panel, methods: Sequence[str], looks: Mapping[str, Look]) -> None:
    scales.fit_x(axes, scales.finite(panel.values.values()))
    axes.set_ylim(len(methods) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    low, high = axes.get_xlim()
    least = low / 100 if axes.get_xscale() == "log" else 2 * low - high
    if panel.optimum is not None and least < panel.optimum < high:
        axes.axvline(panel.optimum, color=FAINT, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
    for row, method in enumerate(methods):
        if method in panel.values:
            _line(axes, row, scales.drawable(panel.values[method]), looks[method])


def _line(axes: "Axes", row: int, values: Array, look: Look) -> None:
    good = np.sort(values[np.isfinite(values)])
    failed = len(values) - len(good)
    if len(good):
        # Runs are spread over the line's height by a fixed pattern, so that none hides another.
        heights = row + 0.26 * (2 * ((np.arange(len(good)) * 0.618034) % 1) - 1)
        axes.plot(good, heights, ".", color=look.colour, alpha=0.55, markersize=6, zorder=2)
        low, middle, high = np.quantile(
            np.where(np.isfinite(values), values, np.inf), [0.25, 0.5, 0.75], method="inverted_cdf"
        )
        if np.isfinite(high) and len(good) > 2:
            axes.fill_betweenx([row - 0.32, row + 0.32], low, high, color=look.colour, alpha=0.22)
        if np.isfinite(middle):
            axes.plot([middle] * 2, [row - 0.36, row + 0.36], color=look.ink, linewidth=2.4)
    if failed:
        axes.annotate(
            f"× {failed} failed",
            (1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=look.ink,
        )
