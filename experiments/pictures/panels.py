"""A grid of panels with lines, and the names of the lines: at their ends, or in one legend."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from experiments.pictures.style import INK, Look, paths, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

Array = NDArray[np.float64]
T = TypeVar("T")

NAMED_LINES, NAMED_PANELS = 8, 4
"""Up to so many lines in so many panels are named at their ends."""
PAGE = 24
"""Panels on a page, at most."""
WIDE = 30
"""Characters in a line of a legend."""
BESIDE = 1.035
"""Where names begin, in widths of the panel."""


class End(NamedTuple):
    """Where a line ends, in the panel's data.

    Attributes
    ----------
    method
        Whose line it is.
    x, y
        The end; NaN where there is no line to be seen.
    """

    method: str
    x: float
    y: float

    @property
    def seen(self) -> bool:
        """Whether there is an end to be named."""
        return math.isfinite(self.x) and math.isfinite(self.y)


def shape(count: int) -> tuple[int, int]:
    """Return rows and columns for so many panels."""
    columns = {1: 1, 2: 2, 4: 2}.get(count, 3 if count <= 9 else 4)
    return math.ceil(count / columns), columns


def size(count: int, methods: Sequence[str]) -> tuple[float, float]:
    """Return inches for so many panels and a line in them for each of these methods."""
    rows, columns = shape(count)
    if count == 1:
        return 8.0, max(4.8, 0.6 + 0.21 * sum(map(_height, methods)) * (len(methods) > NAMED_LINES))
    if named(count, len(methods)):
        return 5.2 * columns, 3.6 * rows
    width, height = (4.4, 3.0) if count <= NAMED_PANELS else (3.5, 2.6)
    lines = [_height(method) for method in methods]
    legend = sum(lines) / _legend_columns(methods, width * columns) + max(lines, default=1)
    return width * columns, height * rows + 0.3 + 0.19 * legend


def grid(figure: "Figure", count: int) -> list["Axes"]:
    """Return the axes of so many panels, row by row; what is left of the last row stays empty."""
    rows, columns = shape(count)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.set_axis_off()
    return list(axes[:count])


def draw_pages(
    panels: Sequence[T],
    stem: Path,
    draw: Callable[[Sequence[T], Path], None],
    page: int = PAGE,
) -> list[Path]:
    """Draw panels page by page; the second page's stem ends in ``-2``. Return all files.

    Raises
    ------
    ValueError
        If there are no panels.
    """
    if not panels:
        raise ValueError("there is nothing to draw: no panels were given")
    files = []
    for number, first in enumerate(range(0, len(panels), page), 1):
        path = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        draw(panels[first : first + page], path)
        files += paths(path)
    return files


def label(figure: "Figure", grid: Sequence["Axes"], xlabel: str, ylabel: str) -> None:
    """Name the axes: once for all panels where there is more than one."""
    if len(grid) == 1:
        grid[0].set(xlabel=xlabel, ylabel=ylabel)
    else:
        figure.supxlabel(xlabel, fontsize=10, color=INK)
        figure.supylabel(ylabel, fontsize=10, color=INK)


def named(panels: int, lines: int) -> bool:
    """Return whether there is room for names at the ends of lines."""
    return lines <= NAMED_LINES and panels <= NAMED_PANELS


def name_lines(
    figure: "Figure",
    panels: Sequence[tuple["Axes", Sequence[End]]],
    looks: Mapping[str, Look],
    *,
    rising: bool = False,
) -> None:
    """Name the lines: at their ends where there is room, else in one legend, ordered as they end.

    The last thing to do to a figure: its layout is settled here.

    Parameters
    ----------
    panels
        The axes and the ends of their lines.
    looks
        How lines look.
    rising
        Whether the best line ends highest.
    """
    methods = _ordered(panels, rising)
    hidden = set(methods) - {end.method for _, ends in panels for end in ends if end.seen}
    if named(len(panels), len(methods)) and not hidden:
        labels = [_label_ends(axes, ends, looks) for axes, ends in panels]
        figure.draw_without_rendering()
        fit = [_spread(axes, notes) for (axes, _), notes in zip(panels, labels, strict=True)]
        if all(fit):
            figure.set_layout_engine("none")
            return
        for note in [note for notes in labels for note in notes]:
            note.remove()
    _legend(figure, methods, looks, hidden, beside=len(panels) == 1)


def _ordered(panels: Sequence[tuple["Axes", Sequence[End]]], rising: bool) -> list[str]:
    """The methods by the mean place of their ends, from the top of a panel to its foot."""
    places: dict[str, list[float]] = {}
    for _, ends in panels:
        worst = -math.inf if rising else math.inf
        heights = {end.method: end.y if end.seen else worst for end in ends}
        for method, height in heights.items():
            above = sum(other > height for other in heights.values())
            ties = sum(other == height for other in heights.values())
            places.setdefault(method, []).append((above + ties / 2) / len(heights))
    return sorted(places, key=lambda method: float(np.mean(places[method])))


def _label_ends(axes: "Axes", ends: Sequence[End], looks: Mapping[str, Look]) -> list["Annotation"]:
    """Write each name beside the panel, with a thin lead to its line's end."""
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    low, high = sorted(axes.get_ylim())
    notes = []
    for end in (end for end in ends if end.seen):
        look, y = looks[end.method], min(max(end.y, low), high)
        lead = {
            "arrowstyle": "-",
            "color": look.colour,
            "linewidth": 0.9,
            "shrinkA": 1,
            "shrinkB": 0,
            "relpos": (0.0, 0.5),
            "connectionstyle": "arc3",
        }
        notes.append(
            axes.annotate(
                text(end.method),
                (end.x, y),
                xytext=(BESIDE, y),
                textcoords=beside,
                va="center",
                ha="left",
                fontsize=9,
                linespacing=1.0,
                color=look.ink,
                arrowprops=lead,
                annotation_clip=False,
            )
        )
    return notes


def _spread(axes: "Axes", notes: Sequence["Annotation"]) -> bool:
    """Move names up and down until none lies on another; False where there is no room for all."""
    box = axes.get_window_extent()
    extents = [Text.get_window_extent(note) for note in notes]  # without the lead
    heights = np.array([extent.height + 2.0 for extent in extents])
    widest = max((extent.width for extent in extents), default=0.0)
    if heights.sum() > box.height or widest > 0.6 * box.width:
        return False
    wanted = np.array([axes.transData.transform(note.xy)[1] for note in notes])
    for note, centre in zip(notes, spread(wanted, heights, box.y0, box.y1), strict=True):
        note.anncoords = "axes fraction"
        note.set_position((BESIDE, (centre - box.y0) / box.height))
    return True


def spread(wanted: Array, heights: Array, low: float, high: float) -> Array:
    """Return centres near the wanted ones such that boxes of these heights don't overlap.

    Pools of boxes that touch are moved together to the mean of what they want, as in isotonic
    regression: the sum of squared moves is the least there is.

    Parameters
    ----------
    wanted, heights
        Float (m,).
    low, high
        The boxes stay between; there has to be room for all.
    """
    order = np.argsort(wanted, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(heights[order])[:-1]])
    pools: list[tuple[float, int]] = []
    for goal in wanted[order] - heights[order] / 2 - before:
        mean, size_ = float(goal), 1
        while pools and pools[-1][0] > mean:
            other, members = pools.pop()
            mean, size_ = (mean * size_ + other * members) / (size_ + members), size_ + members
        pools.append((mean, size_))
    feet = np.concatenate([np.full(members, mean) for mean, members in pools] or [np.empty(0)])
    feet = np.clip(feet, low, high - heights.sum())
    centres = np.empty(len(order))
    centres[order] = feet + before + heights[order] / 2
    return centres


def _legend(
    figure: "Figure",
    methods: Sequence[str],
    looks: Mapping[str, Look],
    hidden: set[str],
    *,
    beside: bool,
) -> None:
    handles = [Line2D([], [], **_whole(looks[method])) for method in methods]
    names = [text(m, WIDE) + ("\n(no value)" if m in hidden else "") for m in methods]
    place: dict[str, Any] = {"loc": "outside right upper"}
    if not beside:
        columns = _legend_columns(methods, figure.get_figwidth())
        place = {"loc": "outside upper center", "ncols": columns}
    figure.legend(handles, names, fontsize=9, labelcolor=INK, **place)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _legend_columns(methods: Sequence[str], inches: float) -> int:
    longest = max((len(line) for m in methods for line in text(m, WIDE).split("\n")), default=1)
    return max(1, min(int(inches * 72 / (6.0 * longest + 56)), len(methods)))


def _height(method: str) -> int:
    return 1 + text(method, WIDE).count("\n")


def _whole(look: Look) -> dict[str, Any]:
    """A line with one marker in the middle of it, for a legend."""
    return look.line() | {"markevery": None}
