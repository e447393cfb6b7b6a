"""What runs saw on their way: loss, validation loss, learning rate, gradient norm, step size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.pictures import panels as frame
from experiments.pictures import scales
from experiments.pictures.convergence import BANDED
from experiments.pictures.style import Look, one_line, picture
from experiments.statistics.curves import Band
from experiments.statistics.training import KINDS, Courses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = 4
"""Problems on a page, at most."""


class Panel(NamedTuple):
    """A problem, or a group of them.

    Attributes
    ----------
    title
        Stands above it.
    lines
        By method, what its runs saw.
    """

    title: str
    lines: Mapping[str, Courses]


def draw_training(
    panels: Sequence[Panel],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    xlabel: str = "evaluations",
) -> list[Path]:
    """Draw a column a problem, and in it each kind of which any method has something.

    Parameters
    ----------
    panels
        At least one. More than fill a page go on further pages.
    stem, looks
        The path without an ending; from `style.looks`.
    xlabel
        What was spent.

    Returns
    -------
    list of Path
        The files: an SVG and a PNG a page.
    """
    return frame.draw_pages(
        panels, stem, lambda page, path: _draw(page, path, looks, xlabel), page=PAGE
    )


def _draw(panels: Sequence[Panel], stem: Path, looks: Mapping[str, Look], xlabel: str) -> None:
    seen = {kind for panel in panels for found in panel.lines.values() for kind in found}
    kinds = [kind for kind in KINDS if kind in seen]
    rows, columns = max(len(kinds), 1), len(panels)
    width = 7.5 if columns == 1 else 1.2 + 3.8 * columns
    with picture(stem, (width, 1.2 + 2.0 * rows)) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex="col")
        ends = []
        for i, panel in enumerate(panels):
            grid[0, i].set_title(one_line(panel.title, 40))
            grid[-1, i].set_xlabel(xlabel)
            for axes, kind in zip(grid[:, i], kinds, strict=False):
                bands = {m: found[kind] for m, found in panel.lines.items() if kind in found}
                ends.append((axes, _lines(axes, kind, bands, looks)))
                if i == 0:
                    axes.set_ylabel(kind)
        figure.align_ylabels(list(grid[:, 0]))
        frame.name_lines(figure, ends, looks)


def _lines(
    axes: "Axes", kind: str, bands: Mapping[str, Band], looks: Mapping[str, Look]
) -> list[frame.End]:
    banded = len(bands) <= BANDED
    shown = {method: scales.drawable(band.middle) for method, band in bands.items()}
    edges = [part for band in bands.values() for part in (band.low, band.high)] if banded else []
    if kind == "learning rate":
        scales.fit_rates(axes, list(shown.values()))
    else:
        scales.fit_y(axes, scales.finite([*shown.values(), *edges]))
    ends = []
    for method, middle in shown.items():
        band, look = bands[method], looks[method]
        if banded:
            axes.fill_between(
                band.spent,
                scales.drawable(band.low),
                scales.drawable(band.high),
                color=look.colour,
                alpha=0.15 if len(bands) <= 4 else 0.1,
                linewidth=0,
            )
        axes.plot(band.spent, middle, **look.line(1.6))
        seen = np.flatnonzero(np.isfinite(middle))
        last = (band.spent[seen[-1]], middle[seen[-1]]) if len(seen) else (np.nan, np.nan)
        ends.append(frame.End(method, float(last[0]), float(last[1])))
    axes.set_xlim(left=0)
    axes.margins(x=0)
    return ends
