"""Pictures of results. Nothing here runs anything; no global state of matplotlib is touched."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.plan import START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

Array = NDArray[Any]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which stay apart for the colour-blind."""
COLOURS = {
    "adam": PALETTE[0],
    "slsqp": PALETTE[1],
    "pso": PALETTE[2],
    "cma": PALETTE[3],
    "dual_annealing": PALETTE[4],
    "pyswarm": PALETTE[5],
    "random": "#8C8C8C",
    "auto": PALETTE[6],
    START: "#444444",
}
"""A method has the same colour in every picture."""
DASHES = ("-", "--", "-.", ":")
_SPARE = ("#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#6699CC", "#661100")
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
_ON_TOP: dict[str, Any] = {"linestyle": (0, (3, 3)), "zorder": 3}
"""For the start: other lines begin on it and some never leave it, so it lets them show through."""


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
            for curve, colour in zip(curves, colours(c.method for c in curves), strict=True):
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
        axes.step(ordered, share, where="post", color=COLOURS["cma"], linewidth=2)
        axes.plot(ordered, np.full(len(ordered), -3.0), "|", color=COLOURS["cma"], alpha=0.5)
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


class Band(NamedTuple):
    """Best loss so far of several runs, at the same numbers of evaluations."""

    method: str
    label: str
    spent: Array
    low: Array
    middle: Array
    high: Array


def bands(
    panels: Mapping[str, tuple[Sequence[Band], float | None]], path: Path, *, caption: str
) -> None:
    """Draw medians with interquartile bands, one panel a problem.

    Parameters
    ----------
    panels
        By problem, the bands and the best loss known.
    path, caption
        Where the picture goes, and what is said beneath it.
    """
    size = (8.0, 5.2) if len(panels) == 1 else (6.0 * len(panels), 5.0)
    with _figure(path, size, columns=len(panels)) as (figure, grid):
        for i, (name, (rows, optimum)) in enumerate(panels.items()):
            axes = grid[i] if len(panels) > 1 else grid
            for band, colour in zip(rows, colours(b.method for b in rows), strict=True):
                axes.fill_between(
                    band.spent,
                    band.low,
                    band.high,
                    step="post",
                    color=colour,
                    alpha=0.15,
                    linewidth=0,
                )
                axes.step(
                    band.spent,
                    band.middle,
                    where="post",
                    color=colour,
                    linewidth=2,
                    label=band.label,
                    **_ON_TOP if band.method == START else {},
                )
            axes.set(xscale="log", yscale="log", xlabel="evaluations", title=name)
            axes.margins(x=0.02)
            _mark_optimum(axes, optimum)
            if i == 0:
                axes.set_ylabel("best value so far")
                axes.legend()
        figure.supxlabel(caption, x=0.012, ha="left", fontsize=9, color="#666666")


def colours(methods: Iterable[str]) -> list[str]:
    """Return a colour for each method; methods without one of their own share the spare ones."""
    spare = cycle(_SPARE)
    return [COLOURS.get(method) or next(spare) for method in methods]


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
) -> "Iterator[tuple[Figure, Any]]":
    """A figure and its axes, saved at the end; the caller's settings of matplotlib don't count."""
    with mpl.rc_context():
        mpl.rcdefaults()
        style: Any = _STYLE if styled else {"font.size": 12, "savefig.dpi": 160}
        mpl.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, columns)
        figure.savefig(path, metadata={"Software": None})
