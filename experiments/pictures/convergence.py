"""The best value so far against what was spent: medians over runs with interquartile bands."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.pictures import panels as frame
from experiments.pictures import scales
from experiments.pictures.style import FAINT, Look, one_line, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

BANDED = 8
"""With more lines in a panel, bands only blur it: medians alone are drawn."""
POINTS = {True: 240, False: 80}
"""Places along a line, in few panels and in many: more cannot be seen, and files grow."""


class Band(NamedTuple):
    """The best value so far of a method's runs.

    Attributes
    ----------
    method
        Whose runs.
    spent
        Where values are given, (m,), ascending and above zero; the last is the end.
    low, middle, high
        Quartiles and median there, (m,); NaN or inf where there is none.
    """

    method: str
    spent: Array
    low: Array
    middle: Array
    high: Array


class Panel(NamedTuple):
    """A problem, or a group of them.

    Attributes
    ----------
    title
        Stands above it.
    bands
        One for each method, in any order.
    optimum
        The best value known, as it is shown; None where nobody knows or there is no use in it.
    """

    title: str
    bands: Sequence[Band]
    optimum: float | None = None


def draw_convergence(
    panels: Sequence[Panel],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    xlabel: str = "evaluations",
    ylabel: str = "best value so far",
) -> list[Path]:
    """Draw a panel a problem, on logarithmic axes where the values allow it.

    Parameters
    ----------
    panels
        At least one. More than fill a page go on further pages, ``stem-2`` and so on.
    stem
        The path without an ending.
    looks
        From `style.looks`, for each method.
    xlabel, ylabel
        What was spent, and the value.

    Returns
    -------
    list of Path
        The files: an SVG and a PNG a page.
    """
    return frame.draw_pages(
        panels,
        stem,
        lambda page, path: _draw(page, path, looks, xlabel, ylabel),
    )


def _draw(
    panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look], xlabel: str, ylabel: str
) -> None:
    methods = list(dict.fromkeys(band.method for panel in panels for band in panel.bands))
    with picture(stem, frame.size(len(panels), methods)) as figure:
        grid = frame.grid(figure, len(panels))
        ends = [
            (axes, _panel(axes, panel, looks, few=len(panels) <= frame.NAMED_PANELS))
            for axes, panel in zip(grid, panels, strict=True)
        ]
        frame.label(figure, grid, xlabel, ylabel)
        frame.name_lines(figure, ends, looks)


def _panel(axes: "Axes", panel: Panel, looks: Mapping[str, Look], *, few: bool) -> list[frame.End]:
    axes.set_title(one_line(panel.title, 60 if few else 34))
    values = scales.finite(
        part for band in panel.bands for part in (band.low, band.middle, band.high)
    )
    scales.fit_y(axes, values)
    spent = scales.finite(band.spent for band in panel.bands)
    if len(spent):
        scales.log_x(axes, max(spent.min(), spent.max() * 1e-6), spent.max())
    ends = []
    for band in (_thinned(band, POINTS[few]) for band in panel.bands):
        look, middle = looks[band.method], scales.drawable(band.middle)
        if len(panel.bands) <= BANDED and look.marker:  # the start's band never changes
            axes.fill_between(
                band.spent,
                scales.drawable(band.low),
                np.where(np.isposinf(band.high), axes.get_ylim()[1], scales.drawable(band.high)),
                step="post",
                color=look.colour,
                alpha=0.15 if len(panel.bands) <= 4 else 0.1,
                linewidth=0,
            )
        if np.isfinite(middle).any():
            line = look.line(2.0 if few else 1.5)
            if len(middle) == 1:
                line |= {"marker": look.marker or "o", "markevery": None}
            axes.step(band.spent, middle, where="post", **line)
        last = (float(band.spent[-1]), float(middle[-1])) if len(middle) else (np.nan, np.nan)
        ends.append(frame.End(band.method, *last))
    _mark(axes, panel.optimum, few)
    return ends


def _thinned(band: Band, points: int) -> Band:
    """Keep places where something changes, at most so many and a last one."""
    arrays = [np.asarray(part, dtype=float) for part in band[1:]]
    count = len(arrays[0])
    kept = np.zeros(count, dtype=bool)
    kept[np.unique(np.linspace(0, count - 1, min(points, count)).round().astype(int))] = True
    last: Array | None = None
    for i in np.flatnonzero(kept):
        now = np.array([part[i] for part in arrays[1:]])
        if last is not None and i < count - 1 and np.array_equal(now, last, equal_nan=True):
            kept[i] = False
        last = now
    return Band(band.method, *(part[kept] for part in arrays))


def _mark(axes: "Axes", optimum: float | None, few: bool) -> None:
    """Draw the optimum, if it is near what is seen."""
    if optimum is None:
        return
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        near = optimum > 0 and optimum > low / 100
        foot = min(low, optimum / (high / low) ** 0.08)
    else:
        near = axes.get_yscale() == "linear" and optimum > low - (high - low)
        foot = min(low, optimum - 0.08 * (high - low))
    if not near or optimum > high:
        return
    axes.set_ylim(foot, high)
    axes.axhline(optimum, color=FAINT, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
    if few:
        axes.annotate(
            f"optimum {optimum:.4g}",
            (0.0, optimum),
            xycoords=("axes fraction", "data"),
            xytext=(4, -2),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=FAINT,
        )
