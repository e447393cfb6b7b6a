"""The critical-difference diagram: mean ranks, and which of them cannot be told apart."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.pictures.style import FAINT, INK, Look, paths, picture, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, WIDTH = 0.26, 24
"""Inches between lines of text, and characters in one."""
_NAME: dict[str, Any] = {"fontsize": 9.5, "linespacing": 1.0}


def draw_ranks(
    ranks: Mapping[str, float],
    cliques: Sequence[Sequence[str]],
    stem: Path,
    looks: Mapping[str, Look],
    *,
    difference: float | None = None,
    caption: str = "",
) -> list[Path]:
    """Draw mean ranks on an axis, and a bar over methods that cannot be told apart.

    After Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006).

    Parameters
    ----------
    ranks
        The mean rank of each method, 1 the best.
    cliques
        Methods of which no pair differs significantly; those of one method are left out.
    stem, looks
        The path without an ending; from `style.looks`.
    difference
        The critical difference, shown as a length; None where the test has none (Wilcoxon's).
    caption
        What is said beneath.

    Returns
    -------
    list of Path
        The SVG and the PNG.

    Raises
    ------
    ValueError
        If there are no ranks, or one is not finite.
    """
    if not ranks or not all(math.isfinite(rank) for rank in ranks.values()):
        raise ValueError(f"ranks are finite numbers, at least one; got {dict(ranks)}")
    ordered = sorted(ranks, key=lambda method: ranks[method])
    bars = _bars([[ranks[m] for m in clique] for clique in cliques if len(clique) > 1])
    left = ordered[: math.ceil(len(ordered) / 2)]
    right = ordered[len(left) :][::-1]
    levels = 1 + max((level for _, _, level in bars), default=-1)
    top = 0.95 if difference is not None else 0.55
    below = 0.2 + 0.16 * levels
    depth = max(_foot(left), _foot(right))
    height = top + below + depth + 0.15 + (LINE if caption else 0)
    with picture(stem, (8.4, height)) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set(xlim=(0, 8.4), ylim=(top - height, top))  # inches; the axis lies at zero
        scale = _Scale(max(2, math.ceil(max(ranks.values()))))
        _draw_axis(axes, scale, difference)
        for low, high, level in bars:
            y = -0.17 - 0.16 * level
            pair = [scale(low) - 0.05, scale(high) + 0.05]
            axes.plot(pair, [y, y], color=INK, linewidth=4.5, solid_capstyle="round", zorder=4)
        for side, methods in (("left", left), ("right", right)):
            _name(axes, scale, methods, ranks, looks, side, below)
        if caption:
            axes.text(0.2, top - height + 0.12, caption, fontsize=9, color=FAINT)
        figure.set_layout_engine("none")
    return paths(stem)


class _Scale:
    """Where a rank lies, in inches: the best at the left."""

    left, right = 2.45, 5.95

    def __init__(self, worst: int) -> None:
        self.worst = worst

    def __call__(self, rank: float) -> float:
        return self.left + (self.right - self.left) * (rank - 1) / (self.worst - 1)


def _draw_axis(axes: "Axes", scale: _Scale, difference: float | None) -> None:
    axes.plot([scale.left, scale.right], [0, 0], color=INK, linewidth=1.2)
    for rank in range(1, scale.worst + 1):
        axes.plot([scale(rank)] * 2, [0, 0.08], color=INK, linewidth=1.2)
        axes.text(scale(rank), 0.12, str(rank), ha="center", va="bottom", color=INK)
    axes.text(scale.left - 0.25, 0.12, "mean rank", ha="right", va="bottom", color=INK)
    if difference is not None:
        end = scale(1 + difference)
        axes.plot([scale.left, end], [0.55, 0.55], color=INK, linewidth=1.4)
        for x in (scale.left, end):
            axes.plot([x, x], [0.5, 0.6], color=INK, linewidth=1.4)
        words = f"critical difference {difference:.2f}"
        axes.text(scale.left, 0.65, words, va="bottom", fontsize=9, color=INK)


def _bars(cliques: Sequence[Sequence[float]]) -> list[tuple[float, float, int]]:
    """Return each clique's ends and the level where its bar lies on no other."""
    bars: list[tuple[float, float, int]] = []
    for low, high in sorted((min(c), max(c)) for c in cliques):
        taken = {level for _, end, level in bars if end >= low - 1e-9}
        bars.append((low, high, next(i for i in range(len(bars) + 1) if i not in taken)))
    return bars


def _lines(method: str) -> int:
    return 1 + text(method, WIDTH).count("\n")


def _foot(methods: Sequence[str]) -> float:
    return LINE * sum(_lines(method) * 0.75 + 0.45 for method in methods)


def _name(
    axes: "Axes",
    scale: _Scale,
    methods: Sequence[str],
    ranks: Mapping[str, float],
    looks: Mapping[str, Look],
    side: str,
    below: float,
) -> None:
    """Write names at one side, the outermost first, each with a lead up to its rank."""
    elbow = scale.left - 0.4 if side == "left" else scale.right + 0.4
    room, y = (-0.08, -below) if side == "left" else (0.08, -below)
    for method in methods:
        height = LINE * (_lines(method) * 0.75 + 0.45)
        y -= height / 2
        look, x = looks[method], scale(ranks[method])
        axes.plot([x, x, elbow], [0, y, y], color=look.colour, linewidth=1.3, zorder=2)
        axes.plot(x, 0, look.marker or "o", color=look.colour, markersize=7, zorder=5)
        name, aside = text(method, WIDTH), "left" if side == "left" else "right"
        rank = f"{ranks[method]:.2f}"
        axes.text(elbow - room / 2, y + 0.02, rank, ha=aside, va="bottom", fontsize=8, color=FAINT)
        aside = "right" if side == "left" else "left"
        axes.text(elbow + room, y, name, ha=aside, va="center", **_NAME, color=look.ink)
        y -= height / 2
