"""Expected runtimes: a dot a method, a line a problem."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.lines import Line2D

from experiments.pictures import scales
from experiments.pictures.style import INK, Look, one_line, paths, picture, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_ANY = Look("#777777", "-", "o")


class Row(NamedTuple):
    """A problem, with one target.

    Attributes
    ----------
    title
        Its name.
    runtimes
        By method: the expected runtime; inf where no run reached the target.
    successes
        By method: the share of runs that reached it, within 0 and 1.
    """

    title: str
    runtimes: Mapping[str, float]
    successes: Mapping[str, float]


def draw_runtimes(
    rows: Sequence[Row],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    xlabel: str = "expected runtime, evaluations",
) -> list[Path]:
    """Draw expected runtimes on a logarithmic axis; hollow where some runs did not succeed.

    Methods that never reached a target are not drawn on its line.

    Parameters
    ----------
    rows
        The problems, from the top.
    stem, looks
        The path without an ending; from `style.looks`.
    xlabel
        What the runtimes are counted in, and for which target.

    Returns
    -------
    list of Path
        The SVG and the PNG.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if not rows:
        raise ValueError("there is nothing to draw: no problems were given")
    methods = list(dict.fromkeys(method for row in rows for method in row.runtimes))
    legend = sum(1 + text(method).count("\n") for method in methods)
    height = max(0.26 * len(rows) + 1.0, 0.22 * legend + 0.6, 2.2)
    with picture(stem, (8.4, height)) as figure:
        axes = figure.add_subplot()
        _draw(axes, rows, looks)
        axes.set_xlabel(xlabel)
        handles = [
            Line2D([], [], **_marker(looks[method], solved=True), label=text(method))
            for method in methods
        ]
        some = Line2D([], [], **_marker(_ANY, solved=False), label="hollow: some runs fail")
        figure.legend(
            handles=[*handles, some],
            loc="outside right upper",
            fontsize=9,
            labelcolor=INK,
            handlelength=1.2,
        )
    return paths(stem)


def _draw(axes: "Axes", rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    seen = scales.finite([list(row.runtimes.values()) for row in rows])
    seen = seen[seen > 0]
    if len(seen):
        scales.log_x(axes, seen.min() / 1.4, seen.max() * 1.4)
    for y, row in enumerate(rows):
        reached = {m: t for m, t in row.runtimes.items() if np.isfinite(t)}
        if reached:
            axes.plot([min(reached.values()), max(reached.values())], [y, y], color="#CFCFCF", lw=1)
        for method, runtime in reached.items():
            solved = row.successes.get(method, 1.0) >= 1.0
            axes.plot(runtime, y, **_marker(looks[method], solved=solved))
    names = [one_line(row.title, 34) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.grid(visible=False, axis="y")


def _marker(look: Look, *, solved: bool) -> dict[str, Any]:
    return {
        "marker": look.marker or "o",
        "linestyle": "none",
        "markersize": 7,
        "markeredgewidth": 1.4,
        "markeredgecolor": look.colour,
        "markerfacecolor": look.colour if solved else "white",
    }
