"""A page's charts as JSON inside HTML: small, and inert whatever the labels say."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.page.content import Array, Chart, Line, MethodInfo, View

DIGITS = 5
"""Significant digits of what is drawn: more than a screen has pixels."""
FEWEST, MOST = 60, 240
"""Points a line, of many lines and of few."""
POINTS = 60_000
"""Points of all lines together, where that leaves at least the fewest: about 1.5 MB."""


def to_script(value: Any) -> str:
    """Return JSON that may stand in a ``<script>`` of HTML: it holds no ``<``, ``>`` or ``&``.

    Raises
    ------
    ValueError
        For NaN and infinities, which JSON doesn't know.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII: no U+2028 either
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def page_data(methods: Sequence[MethodInfo], charts: Sequence[Chart]) -> dict[str, Any]:
    """Return what the script of the page draws from, ready for JSON.

    Raises
    ------
    ValueError
        For a line of a method that is not among the methods.
    """
    index = {method.text: i for i, method in enumerate(methods)}
    count = sum(
        len(view.lines) for chart in charts for panel in chart.panels for view in panel.views
    )
    most = int(np.clip(POINTS // max(count, 1), FEWEST, MOST))
    return {
        "methods": [
            {"text": method.text, "label": method.label, "dash": list(method.dash)}
            for method in methods
        ],
        "charts": [
            {
                "title": chart.title,
                "panels": [
                    {
                        "name": panel.name,
                        "about": panel.about,
                        "views": [_view(view, index, most) for view in panel.views],
                    }
                    for panel in chart.panels
                ],
            }
            for chart in charts
        ],
    }


def numbers(values: Array) -> list[float | int | None]:
    """Return numbers with few digits; None for NaN and infinities."""
    short = [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, float).tolist()]
    return [
        (int(value) if value.is_integer() and abs(value) < 1e15 else value)
        if math.isfinite(value)
        else None
        for value in short
    ]


def _view(view: View, index: Mapping[str, int], most: int) -> dict[str, Any]:
    """Lines share their grids: most have the same."""
    grids: dict[tuple[float | int | None, ...], int] = {}
    lines = []
    for text, line in view.lines.items():
        if text not in index:
            raise ValueError(f"a line of {text!r}, which is not among the page's methods")
        kept = _kept(line, most)
        grid = tuple(numbers(line.spent[kept]))
        parts = [
            None if p is None else numbers(p[kept]) for p in (line.middle, line.low, line.high)
        ]
        lines.append([index[text], grids.setdefault(grid, len(grids)), *parts])
    mark = None if view.mark is None or not math.isfinite(view.mark) else float(view.mark)
    return {
        "name": view.name,
        "x": view.x_label,
        "y": view.y_label,
        "logX": view.log_x,
        "logY": view.log_y,
        "steps": view.steps,
        "rising": view.rising,
        "within": None if view.within is None else list(view.within),
        "mark": mark,
        "markLabel": view.mark_label,
        "grids": [list(grid) for grid in grids],
        "lines": lines,
    }


def _kept(line: Line, most: int) -> Any:
    """Which points to keep; always the first and the last."""
    count = len(line.spent)
    if count <= most:
        return slice(None)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp))
