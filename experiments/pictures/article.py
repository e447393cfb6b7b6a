"""Pictures of the article's comparison: its own figure, the same runs by cost, and over seeds.

Each writes one PNG, in the settings in which these pictures were published.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.pictures.style import KNOWN, looks, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[Any]

DASHES = ("-", "--", "-.", ":")
_STYLE: dict[str, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "legend.frameon": False,
    "savefig.dpi": 160,
}
_INK = "#444444"


class Curve(NamedTuple):
    """The best loss so far against what had been spent: one entry an improvement, and the end.

    Attributes
    ----------
    method, label
        Decides the colour; stands in the legend.
    spent, best
        Ascending, and descending.
    end
        What had been spent in all.
    """

    method: str
    label: str
    spent: Array
    best: Array
    end: float


def article(curves: Mapping[str, Array], path: Path) -> None:
    """Draw the article's own figure: every curve stretched over the same hundred iterations.

    Parameters
    ----------
    curves
        By label, the running minimum of every evaluation.
    path
        Where the picture goes.
    """
    with _figure(path, (10, 6), styled=False) as (_, axes):
        for (label, best), dash in zip(curves.items(), cycle(DASHES), strict=False):
            axes.plot(np.linspace(0, 100, len(best)), best, dash, linewidth=3, label=label)
        axes.set(
            yscale="log",
            ylim=(1e-1, 1e7),
            xlabel="Iteration",
            ylabel="Loss",
            title="Loss For Different Optimizers",
        )
        axes.grid(linestyle="--", alpha=0.7)
        axes.legend(loc="upper right", handlelength=3)


def losses(
    panels: Mapping[str, Sequence[Curve]], path: Path, *, title: str, optimum: float | None
) -> None:
    """Draw the best loss against what it cost, on log axes.

    Parameters
    ----------
    panels
        By the label of the x axis, the curves.
    path, title, optimum
        Where the picture goes, what stands above it, the best loss known.
    """
    size = (8.0, 5.0) if len(panels) == 1 else (6.2 * len(panels), 4.8)
    with _figure(path, size, columns=len(panels)) as (figure, grid):
        for i, (xlabel, curves) in enumerate(panels.items()):
            axes = grid[i] if len(panels) > 1 else grid
            for curve, colour in zip(curves, _colours(curves), strict=True):
                x, y = _to_the_end(curve)
                axes.step(x, y, where="post", color=colour, linewidth=2, label=curve.label)
                axes.plot(x[-1], y[-1], "o", color=colour, markersize=5)
            axes.set(xscale="log", yscale="log", xlabel=xlabel)
            axes.margins(x=0.04)
            _mark_optimum(axes, optimum)
            if i == 0:
                axes.set_ylabel("best loss so far")
                axes.legend()
        figure.suptitle(title, x=0.012, ha="left", fontsize=13)


def distribution(
    values: Array, path: Path, *, title: str, published: float, percentile: float, optimum: float
) -> None:
    """Draw final losses over seeds as a step function, and where the published one lies in it."""
    ordered = np.sort(values)
    share = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
    with _figure(path, (8, 4.8)) as (_, axes):
        axes.step(ordered, share, where="post", color=KNOWN["cma"].colour, linewidth=2)
        axes.plot(ordered, np.full(len(ordered), -3.0), "|", color=KNOWN["cma"].colour, alpha=0.5)
        axes.axvline(published, color=_INK, linewidth=1.2, linestyle="--")
        axes.plot(published, percentile, "o", color=_INK, markersize=6)
        axes.annotate(
            f"published {published:.3f}\n{percentile:.0f} % of {len(ordered)} runs\n"
            "end at or below",
            (published, percentile),
            xytext=(12, -10) if percentile > 25 else (12, 14),
            textcoords="offset points",
            va="top" if percentile > 25 else "bottom",
            color=_INK,
        )
        axes.set(
            xscale="log",
            ylim=(-6, 103),
            xlabel="final loss",
            ylabel="runs that end at or below it, %",
            title=title,
        )
        axes.axvline(optimum, color="#999999", linewidth=1.2, linestyle=":")
        axes.annotate(
            "global minimum",
            (optimum, 50),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            rotation=90,
            color="#777777",
        )
        axes.set_xlim(left=optimum / 2)


def _colours(curves: Sequence[Curve]) -> list[str]:
    found = looks(curve.method for curve in curves)
    return [found[curve.method].colour for curve in curves]


def _to_the_end(curve: Curve) -> tuple[Array, Array]:
    x, y = np.asarray(curve.spent, float), np.asarray(curve.best, float)
    if len(x) and x[-1] < curve.end:
        x, y = np.append(x, curve.end), np.append(y, y[-1])
    return x, y


def _mark_optimum(axes: "Axes", optimum: float | None) -> None:
    if optimum is None or optimum <= 0:
        return
    axes.axhline(optimum, color="#999999", linewidth=1.2, linestyle=":")
    axes.annotate(
        f"global minimum {optimum:.4g}",
        (0.0, optimum),
        xycoords=("axes fraction", "data"),
        xytext=(4, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color="#777777",
    )
    axes.set_ylim(bottom=optimum / 3)


@contextmanager
def _figure(
    path: Path, size: tuple[float, float], *, columns: int = 1, styled: bool = True
) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes, saved at the end; the caller's settings of matplotlib don't count."""
    with settings(_STYLE if styled else {"font.size": 12, "savefig.dpi": 160}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, columns)
        figure.savefig(path, metadata={"Software": None})
