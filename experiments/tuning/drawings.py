"""Drawings of a study for its page: SVG in the page's own colours, light or dark."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.space import Fixed, Space
from blackbox.types import Array
from experiments.page.numbers import readable
from experiments.tuning.axes import Axis, parameter_axis, value_axis

WIDTH = 1080
"""Of each drawing, in pixels, where the page has room."""


@dataclass(frozen=True, eq=False)
class Tried:
    """The trials of a study, as they are drawn.

    Attributes
    ----------
    space
        What was searched.
    numbers, values, states
        Of each trial, in order; the value of a failed one is NaN.
    params
        Of each trial, those that were active.
    down
        Whether less is better.
    """

    space: Space
    numbers: Sequence[int]
    values: Array
    states: Sequence[str]
    params: Sequence[Mapping[str, Any]]
    down: bool

    @property
    def complete(self) -> list[int]:
        """Rows of complete trials."""
        return [row for row, state in enumerate(self.states) if state == "complete"]

    @property
    def searched(self) -> list[str]:
        """Parameters that are no constants."""
        return [name for name in self.space if not isinstance(self.space[name], Fixed)]

    def told(self, row: int) -> str:
        """Return a trial in words."""
        first = f"trial {self.numbers[row]}: {readable(float(self.values[row]))}"
        return "\n".join([first, *(f"{k} = {written(v)}" for k, v in self.params[row].items())])

    def worth(self) -> dict[int, float]:
        """Return for each complete trial from 0 for the worst to 1 for the best."""
        rows = self.complete
        ordered = sorted(rows, key=lambda row: self.values[row], reverse=self.down)
        return {row: place / max(1, len(rows) - 1) for place, row in enumerate(ordered)}


def written(value: Any) -> str:
    """Return the value of a parameter for people."""
    number = isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))
    return readable(value) if number else str(getattr(value, "__name__", value))


def draw_history(tried: Tried) -> str:
    """The value of each trial in order, and the best so far; at least one is complete."""
    left, right, top, bottom = 66, WIDTH - 12, 12, 280
    axis = value_axis(tried.values[tried.complete], down=tried.down)
    numbers = tried.numbers

    def x(row: int) -> float:
        return at(numbers[row])

    def at(number: float) -> float:
        return left + (right - left) * (number + 1) / (numbers[-1] + 2)

    def y(value: float) -> float:
        return bottom - (bottom - top) * axis.place(value)

    parts = [_grid(axis, left, right, top, bottom)]
    for tick in _whole_ticks(numbers[-1]):
        parts.append(_text(at(tick), bottom + 20, str(tick), "middle"))
    parts.append(_text((left + right) / 2, bottom + 42, "trial", "middle", "label"))
    for row, state in enumerate(tried.states):
        value = float(tried.values[row])
        if state == "failed":
            cross = f"M{x(row) - 4:.1f} {bottom - 9}l8 8m0 -8l-8 8"
            parts.append(f'<path class="fault" d="{cross}">{_title(tried.told(row))}</path>')
        elif math.isfinite(value):
            kind = "dot" if state == "complete" else "dot hollow"
            parts.append(_dot(x(row), y(value), kind, tried.told(row)))
    keep = np.fmin if tried.down else np.fmax
    values = np.where([state == "complete" for state in tried.states], tried.values, np.nan)
    best, path = keep.accumulate(values), ""
    for row, value in enumerate(best.tolist()):
        if not math.isnan(value) and (not path or value != best[row - 1]):
            path += f"{'H' if path else 'M'}{x(row):.1f}{'V' if path else ' '}{y(value):.1f}"
    parts.append(f'<path class="best-so-far" d="{path}H{right}"/>')
    return _svg(bottom + 50, "The value of each trial, and the best so far", parts)


def draw_importance(shares: Mapping[str, float]) -> str:
    """How much of the spread of values each parameter explains."""
    left, right, row_height = 180, WIDTH - 70, 30
    most = max([*shares.values(), 1e-12])
    parts = []
    for row, (name, share) in enumerate(shares.items()):
        y = 6 + row_height * row
        width = (right - left) * share / most
        parts.append(_text(left - 12, y + 16, name, "end", "label", 22))
        parts.append(f'<rect class="bar-of" x="{left}" y="{y}" width="{width:.1f}" height="20"/>')
        parts.append(_text(left + width + 8, y + 15, f"{share:.0%}", "start"))
    words = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return _svg(12 + row_height * len(shares), f"Importance: {words}", parts)


def draw_parallel(tried: Tried) -> str:
    """A line from the value of each complete trial through its parameters; the best on top."""
    top, bottom, left, right = 34, 300, 60, WIDTH - 76
    axes = {name: parameter_axis(tried.space[name]) for name in tried.searched}
    ends = value_axis(tried.values[tried.complete], down=tried.down)
    places = [left + (right - left) * i / len(axes) for i in range(len(axes) + 1)]

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    parts = []
    worth = tried.worth()
    for row, share in worth.items():  # the best last, on top
        given = tried.params[row]
        heights = [ends.place(float(tried.values[row]))]  # first: the last may be inactive
        heights += [axis.place(given.get(name, math.nan)) for name, axis in axes.items()]
        kind, style = ("run top", "") if share == 1 else ("run", f"--worth:{share**2:.2f}")
        points = zip(places, heights, strict=True)
        drawn = f'd="{_broken([(x, y(h)) for x, h in points])}"'
        parts.append(
            f'<path class="{kind}" style="{style}" {drawn}>{_title(tried.told(row))}</path>'
        )
    for x, name, axis in zip(places, ["value", *axes], [ends, *axes.values()], strict=True):
        parts.append(f'<path class="axis" d="M{x:.1f} {top}V{bottom}"/>')
        parts.append(_text(x, top - 16, name, "middle", "label", 18))
        parts += [_text(x + 6, y(at) + 4, text, "start", "over") for at, text in axis.ticks]
    return _svg(bottom + 12, "The value of each complete trial, and its parameters", parts)


def draw_slices(tried: Tried) -> str:
    """The value over each parameter, later trials stronger; the best is ringed."""
    columns, wide, high = 4, 262, 232
    ends = value_axis(tried.values[tried.complete], down=tried.down)
    worth = tried.worth()
    jitter = np.random.default_rng(0).uniform(-0.05, 0.05, len(tried.numbers))
    parts = []
    for place, name in enumerate(tried.searched):
        down, across = divmod(place, columns)
        axis = parameter_axis(tried.space[name])
        is_choice = hasattr(tried.space[name], "options")
        left, top = 56 + across * (wide - 8), 8 + down * high
        right, bottom = left + wide - 52, top + high - 62
        inset = 22 if is_choice else 4
        parts.append(_grid(ends, left, right, top, bottom, labels=across == 0))
        for at, text in _apart(axis, right - left - 2 * inset):
            x = left + inset + (right - left - 2 * inset) * at
            parts.append(_text(x, bottom + 18, text, "middle"))
        parts.append(_text((left + right) / 2, bottom + 38, name, "middle", "label", 26))
        for row, share in worth.items():
            at = axis.place(tried.params[row].get(name, math.nan))
            if math.isnan(at):
                continue
            x = left + inset + (right - left - 2 * inset) * at + is_choice * 200 * jitter[row]
            y = bottom - (bottom - top) * ends.place(float(tried.values[row]))
            late = f"--worth:{(row + 1) / len(tried.numbers):.2f}"
            told = f"trial {tried.numbers[row]}: {readable(float(tried.values[row]))}"
            parts.append(_dot(x, y, "dot late", told, late))
            if share == 1:
                parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
    rows = math.ceil(len(tried.searched) / columns)
    return _svg(rows * high, "The value over each parameter", parts)


def _grid(
    axis: Axis, left: float, right: float, top: float, bottom: float, *, labels: bool = True
) -> str:
    parts = []
    for at, text in axis.ticks:
        y = bottom - (bottom - top) * at
        parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        if labels:
            parts.append(_text(left - 8, y + 4, text, "end"))
    return "".join([*parts, f'<path class="axis" d="M{left:.1f} {bottom}H{right:.1f}"/>'])


def _apart(axis: Axis, room: float) -> list[tuple[float, str]]:
    """Ticks whose texts do not touch."""
    kept: list[tuple[float, str]] = []
    end = -math.inf
    for at, text in axis.ticks:
        half = 3.6 * len(text)
        if at * room - half > end + 4:
            kept.append((at, text))
            end = at * room + half
    return kept


def _whole_ticks(last: int) -> Iterable[int]:
    step = next(s for k in range(9) for s in (10**k, 2 * 10**k, 5 * 10**k) if last / s <= 12)
    return range(0, last + 1, step)


def _broken(points: Iterable[tuple[float, float]]) -> str:
    """A line that leaves out what has no place."""
    path, down = "", False
    for x, y in points:
        if math.isnan(y):
            down = False
            continue
        path += f"{'L' if down else 'M'}{x:.1f} {y:.1f}"
        down = True
    return path


def _dot(x: float, y: float, kind: str, told: str, style: str = "") -> str:
    given = f' style="{style}"' if style else ""
    return f'<circle class="{kind}"{given} cx="{x:.1f}" cy="{y:.1f}" r="4">{_title(told)}</circle>'


def _title(text: str) -> str:
    return f"<title>{html.escape(text)}</title>"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "", letters: int = 0) -> str:
    shown = text if not letters or len(text) <= letters else text[: letters - 1] + "…"
    more = _title(text) if shown != text else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(shown)}{more}</text>"
    )


def _svg(height: float, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg class="drawing" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
    )
