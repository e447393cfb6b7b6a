"""Pictures of results. Nothing here runs anything; no global state of matplotlib is touched."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
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
_ON_TOP: dict[str, Any] = {"linestyle": (0, (3, 3)), "zorder": 3}
"""For the start: other lines begin on it and some never leave it, so it lets them show through."""


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
    path: Path, size: tuple[float, float], *, columns: int = 1
) -> "Iterator[tuple[Figure, Any]]":
    """A figure and its axes, saved at the end; the caller's settings of matplotlib don't count."""
    with mpl.rc_context():
        mpl.rcdefaults()
        style: Any = _STYLE
        mpl.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(1, columns)
        figure.savefig(path, metadata={"Software": None})
