"""What a page shows: plain data, given by whoever ran the statistics. Nothing here computes.

All texts are taken as they come and are never trusted: the page shows them as text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MethodInfo:
    """How a method is called and drawn.

    Attributes
    ----------
    text
        As the plan has it: the key of everything else here.
    label
        For people.
    colour
        ``#rrggbb``. On a dark page it is made lighter where it would not be seen.
    dash
        Lengths of strokes and gaps in pixels; empty for a solid line.

    Raises
    ------
    ValueError
        For a colour that is not ``#rrggbb``, or a dash that is not of positive numbers.
    """

    text: str
    label: str
    colour: str
    dash: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f"the colour of {self.text!r} must be #rrggbb; got {self.colour!r}")
        if not all(0 < length < 1000 for length in self.dash):
            raise ValueError(f"the dash of {self.text!r} must be positive; got {self.dash!r}")


@dataclass(frozen=True, eq=False)
class Line:
    """A line, and a band around it where there is one; NaN and infinities are gaps.

    Attributes
    ----------
    spent, middle
        Where (ascending) and what, float64 (m,).
    low, high
        The band, float64 (m,). A gap in ``high`` alone means: beyond all bounds.

    Raises
    ------
    ValueError
        Where the shapes differ.
    """

    spent: Array
    middle: Array
    low: Array | None = None
    high: Array | None = None

    def __post_init__(self) -> None:
        given = [
            part for part in (self.spent, self.middle, self.low, self.high) if part is not None
        ]
        shapes = {np.shape(part) for part in given}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            raise ValueError(f"a line's arrays must have one shape (m,); got {sorted(shapes)}")


@dataclass(frozen=True, eq=False)
class View:
    """Lines on a pair of axes.

    Attributes
    ----------
    name
        What stands on the button that switches to it; the same in all panels of a chart.
    x_label, y_label
        What the axes say.
    lines
        By the method's text.
    log_x, log_y
        The scales to begin with; the reader can change both.
    steps
        Whether a value holds until the next one (best so far, a distribution), or points are
        joined.
    rising
        Whether more is better: decides the order of the methods.
    within
        Lower and upper end of the y axis, where they are fixed.
    mark, mark_label
        A level to draw across, as an optimum; and its name.
    """

    name: str
    x_label: str
    y_label: str
    lines: Mapping[str, Line]
    log_x: bool = True
    log_y: bool = True
    steps: bool = True
    rising: bool = False
    within: tuple[float, float] | None = None
    mark: float | None = None
    mark_label: str = "optimum"


@dataclass(frozen=True, eq=False)
class Panel:
    """One problem, or one group of them, in one or more views.

    Attributes
    ----------
    name, about
        What it is called; a sentence on it.
    views
        At least one, in the order of their buttons.
    """

    name: str
    views: Sequence[View]
    about: str = ""


@dataclass(frozen=True, eq=False)
class Chart:
    """Panels of one kind, of which the reader sees one at a time.

    Attributes
    ----------
    title, note
        What it shows; how to read it.
    panels
        What can be chosen. Panels of the same name in other charts follow the choice.
    command
        What makes it again.
    """

    title: str
    panels: Sequence[Panel]
    note: str = ""
    command: str = ""


class Shown(NamedTuple):
    """A number that is shown in words of its own: sorted by ``value``, read as ``text``."""

    text: str
    value: float


TableCell = str | float | int | Shown | None


@dataclass(frozen=True)
class DataColumn:
    """A column.

    Attributes
    ----------
    title
        Its title.
    kind
        ``"number"``; ``"text"``; ``"method"``, a method's text, shown with its label and colour; or
        ``"panel"``, the name of a panel of a chart, which a click chooses.
    best
        Whether the least or the greatest number is marked as the best; neither where empty.
    """

    title: str
    kind: Literal["number", "text", "method", "panel"] = "number"
    best: Literal["", "low", "high"] = ""


@dataclass(frozen=True, eq=False)
class DataTable:
    """A table that readers sort, search and take with them.

    Attributes
    ----------
    title, note
        What it shows; how to read it.
    columns, rows
        Infinite numbers are shown as failed, NaN and None as a dash; both are sorted last.
    within
        The title of the column whose equal entries compete for the best; empty where all do.
    command
        What makes it again.
    """

    title: str
    columns: Sequence[DataColumn]
    rows: Sequence[Sequence[TableCell]]
    note: str = ""
    within: str = ""
    command: str = ""


@dataclass(frozen=True, eq=False)
class Wins:
    """How often each method ends better than each other one.

    Attributes
    ----------
    methods
        Texts, in the order of rows and columns.
    shares
        Row against column, 0 to 1, float64 (k, k); NaN where nothing was compared.
    note, command
        How to read it; what makes it again.
    """

    methods: Sequence[str]
    shares: Array
    note: str = ""
    command: str = ""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Average ranks, for a critical-difference diagram (Demsar 2006, section 3.2.4).

    Attributes
    ----------
    average
        By the method's text; 1 is the best.
    difference
        By how much two must differ; None where it is not known.
    cliques
        Sets of methods that can't be told apart.
    note, command
        The test in words; what makes it again.
    """

    average: Mapping[str, float]
    difference: float | None = None
    cliques: Sequence[Sequence[str]] = ()
    note: str = ""
    command: str = ""


@dataclass(frozen=True)
class StaticFigure:
    """A finished picture; nothing inside it can run.

    Attributes
    ----------
    title, svg
        Its title, and its text as SVG.
    command
        What makes it again.
    """

    title: str
    svg: str
    command: str = ""


@dataclass(frozen=True)
class Drawing:
    """A drawing in the page's own colours, which `page.css` gives to the classes of its parts.

    Attributes
    ----------
    title, note
        What it shows; how to read it.
    svg
        An element that stands in the page as it is: texts in it are escaped by whoever drew it.
    """

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class PageContent:
    """Everything on a page, in the order in which it is shown. What is empty is left out.

    Attributes
    ----------
    title, verdict
        What was compared; what came out, in a sentence or two.
    facts
        Names and values: problems, methods, seeds, budget.
    methods
        All that appear anywhere, in the order of the plan.
    charts
        Convergence first; then the distributions of runtimes, training and others.
    drawings
        They stand beneath the first chart.
    tables
        Results first, then others. They stand beneath the drawings.
    ranks, wins, figures
        What the statistics gave.
    failures
        The cells that failed and why.
    notes
        How it was done, in sentences.
    command, versions, machine
        What makes all of it again, and what made it.
    """

    title: str
    verdict: str = ""
    facts: Sequence[tuple[str, str]] = ()
    methods: Sequence[MethodInfo] = ()
    charts: Sequence[Chart] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[DataTable] = ()
    ranks: Ranks | None = None
    wins: Wins | None = None
    figures: Sequence[StaticFigure] = ()
    failures: DataTable | None = None
    notes: Sequence[str] = ()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
