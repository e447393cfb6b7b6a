"""Axes of drawings: where a value lies between 0 and 1, and which values are written beside."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import Locator, LogLocator, MaxNLocator

from adapters.space import Choice, Int, Log, LogInt, Parameter
from blackbox.types import Array
from experiments.page.numbers import readable

LETTERS = 12
"""Of an option; the rest is cut off."""
SPAN = 10.0
"""Positive values whose largest is so many times the smallest are drawn on a logarithm."""


class Axis(NamedTuple):
    """An axis.

    Attributes
    ----------
    place
        From a value to where it lies, 0 to 1; NaN for what has no place.
    ticks
        Places, and what is written there.
    """

    place: Callable[[Any], float]
    ticks: Sequence[tuple[float, str]]


def parameter_axis(parameter: Parameter) -> Axis:
    """Return the axis of a parameter: all that it can be, from end to end."""
    if isinstance(parameter, Choice):
        options = parameter.options
        last = len(options) - 1

        def place(value: Any) -> float:
            found = [i for i, each in enumerate(options) if each is value]
            found += [i for i, each in enumerate(options) if each == value]
            return found[0] / last if found else math.nan

        return Axis(place, [(i / last, short(option)) for i, option in enumerate(options)])
    low, high = parameter.low, parameter.high  # type: ignore[attr-defined]
    logarithmic, whole = isinstance(parameter, (Log, LogInt)), isinstance(parameter, (Int, LogInt))
    return _line(low, high, logarithmic, whole)


def value_axis(values: Array, *, down: bool) -> Axis:
    """Return the axis of the values of trials; those far worse than most lie at its end.

    Parameters
    ----------
    values
        Shape (m,); at least one is finite.
    down
        Whether less is better.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high / low > SPAN:
        return _line(low / 1.1, high * 1.1, True)
    if len(finite) >= 8:
        near, far = np.quantile(finite, [0.1, 0.9]).tolist()
        room = 2 * (far - near)
        low, high = (low, min(high, far + room)) if down else (max(low, near - room), high)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return _line(low - room, high + room, False)


def short(option: Any) -> str:
    """Return an option in few letters."""
    text = str(getattr(option, "__name__", option))
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _line(low: float, high: float, logarithmic: bool, whole: bool = False) -> Axis:
    begin, end = (math.log(low), math.log(high)) if logarithmic else (low, high)

    def place(value: Any) -> float:
        if value is None or value != value:
            return math.nan
        if logarithmic and value <= 0:
            return 0.0
        at = (math.log(value) if logarithmic else float(value)) - begin
        return min(1.0, max(0.0, at / (end - begin)))

    locators: list[Locator] = [MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=whole)]
    if logarithmic:
        locators = [LogLocator(numticks=7), LogLocator(subs=(1, 2, 5), numticks=7), *locators]
    ticks = next((t for t in (_ticks(low, high, each) for each in locators) if len(t) > 2), [low])
    return Axis(place, [(place(tick), readable(tick)) for tick in ticks])


def _ticks(low: float, high: float, locator: Locator) -> list[float]:
    """Ticks between both ends, which may be off by rounding."""
    room = 1e-9 * (high - low)
    found = np.asarray(locator.tick_values(low, high)).tolist()
    return [float(f"{tick:.12g}") for tick in found if low - room <= tick <= high + room]
