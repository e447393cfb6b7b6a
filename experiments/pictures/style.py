"""How pictures look: a method's colour, dash and marker, texts made safe, the figure's settings.

No global state of matplotlib is left changed, and the caller's settings of it don't count.
"""

import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from experiments.methods import START, parse_method

Dash = str | tuple[int, tuple[float, ...]]


class Look(NamedTuple):
    """What tells a method from others: in colour, in print and in grey.

    Attributes
    ----------
    colour
        Of its line, as hexadecimal text.
    dash, marker
        Matplotlib's line style and marker.
    """

    colour: str
    dash: Dash
    marker: str

    @property
    def ink(self) -> str:
        """The colour made darker, for text on white."""
        red, green, blue = to_rgb(self.colour)
        return to_hex((0.72 * red, 0.72 * green, 0.72 * blue))

    def line(self, width: float = 1.9) -> dict[str, Any]:
        """Return the settings of a line, with a few markers along it."""
        shown: dict[str, Any] = {
            "color": self.colour,
            "linestyle": self.dash,
            "linewidth": width,
            "marker": self.marker,
            "markersize": 2.6 * width,
            "markeredgewidth": 0.0,
            "zorder": 3 if self.marker else 4,  # the start's gaps let others show through
        }
        if self.marker:  # apart from those of other methods, where lines lie on each other
            shown["markevery"] = (0.02 * (MARKERS.index(self.marker) % 8), 0.17)
        return shown


PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which stay apart for the colour-blind."""
SPARE = ("#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#6699CC", "#661100")
"""Colours of Paul Tol's schemes for methods without one of their own."""
LONG, SHORT, DOTS, MIXED = (
    (0, (6.0, 2.0)),
    (0, (3.0, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
)
DASHES: tuple[Dash, ...] = ("-", LONG, MIXED, DOTS, SHORT)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h", "d", "H", "8")
KNOWN: dict[str, Look] = {
    "adam": Look(PALETTE[0], "-", "o"),
    "slsqp": Look(PALETTE[1], LONG, "s"),
    "pso": Look(PALETTE[2], "-", "^"),
    "cma": Look(PALETTE[3], "-", "D"),
    "dual_annealing": Look(PALETTE[4], MIXED, "v"),
    "pyswarm": Look(PALETTE[5], SHORT, "P"),
    "random": Look("#8C8C8C", DOTS, "X"),
    "auto": Look(PALETTE[6], "-", "*"),
    # Other lines begin on the start's, and some never leave it.
    START: Look("#444444", (0, (3.0, 3.0)), ""),
}
"""A method has the same look in every picture of every comparison."""
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.handlelength": 3.4,
    "lines.dash_capstyle": "butt",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": "#666666",
    "xtick.labelcolor": "#333333",
    "ytick.color": "#666666",
    "ytick.labelcolor": "#333333",
    "savefig.dpi": 160,
    "svg.fonttype": "none",  # texts stay texts: they can be searched, and files are small
    "svg.hashsalt": "experiments",
}
INK, FAINT = "#333333", "#777777"


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Return a look for each method of a plan.

    A known method has its own, also where it stands with options; further variants of it, and
    other methods, have the spare ones, in the order of the plan.

    Parameters
    ----------
    methods
        As the plan writes them, all of them: those left out later keep their places.
    """
    ordered = list(dict.fromkeys(methods))
    found: dict[str, Look] = {}
    taken: set[str] = set()
    for plain in (True, False):  # the plain name has the first right to the known look
        for method in ordered:
            name = _name(method)
            if name in KNOWN and name not in taken and (method == name) >= plain:
                found[method] = KNOWN[name]
                taken.add(name)
    free = [look.colour for name, look in KNOWN.items() if name not in taken and look.marker]
    colours = [*SPARE, *free]
    rest = [method for method in ordered if method not in found]
    for i, method in enumerate(rest):
        lap = i // len(colours)
        dash = DASHES[(i + lap + (i >= len(SPARE))) % len(DASHES)]
        marker = MARKERS[(8 + i) % len(MARKERS)]
        found[method] = Look(colours[i % len(colours)], dash, marker)
    return {method: found[method] for method in ordered}


def _name(method: str) -> str:
    try:
        return parse_method(method)[0]
    except ValueError:
        return method


def text(words: object, width: int = 24, lines: int = 3) -> str:
    """Return a name fit to be drawn: wrapped, shortened, without anything unprintable.

    Parameters
    ----------
    words
        Anything a user may have called a method or a problem.
    width, lines
        Characters in a line, and lines, at most.
    """
    clean = one_line(words, 10_000) or "(no name)"
    if len(clean) <= width:
        return clean
    name, _, options = clean.partition(":")
    parts = [
        line
        for part in (name, options.replace(":", ", "))
        for line in textwrap.wrap(part, width, break_on_hyphens=False)
    ]
    if len(parts) > lines:
        parts = [*parts[: lines - 1], parts[lines - 1][: width - 1] + "…"]
    return "\n".join(parts)


def one_line(words: object, width: int = 40) -> str:
    """Return a name as one line of at most so many characters: its ends tell it from others."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in str(words)).split())
    if len(clean) <= width:
        return clean
    head = width // 3
    return f"{clean[:head]}…{clean[head + 1 - width :]}"


def paths(stem: Path) -> list[Path]:
    """Return where a picture of this stem lies: its SVG and its PNG."""
    return [stem.with_name(stem.name + ending) for ending in (".svg", ".png")]


@contextmanager
def picture(stem: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """Give a figure of so many inches, written at the end to both of `paths`."""
    with settings(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        stem.parent.mkdir(parents=True, exist_ok=True)
        svg, png = paths(stem)
        figure.savefig(svg, metadata={"Date": None})
        figure.savefig(png, metadata={"Software": None})


@contextmanager
def settings(style: Mapping[str, Any]) -> Iterator[None]:
    """Draw with matplotlib's defaults and these settings; the caller's come back at the end."""
    with mpl.rc_context(), warnings.catch_warnings():
        # The SVG has the letters that the PNG's font lacks.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(dict(style))  # type: ignore[arg-type]
        yield
