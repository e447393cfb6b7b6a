"""Axes for values that span many powers of ten, and for those that cannot."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator, SymmetricalLogLocator
from numpy.typing import NDArray

from experiments.statistics.training import apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Array = NDArray[np.float64]

DEEP, TINIEST = 1e-16, 1e-120
"""Values this much smaller than the largest are next to zero; and the least that are drawn."""

TICKS = 7
"""Labels on an axis that is linear near zero and logarithmic beyond."""


def finite(arrays: Iterable[Any]) -> Array:
    """Return the finite numbers of all arrays, one after the other; see `drawable`."""
    parts = [np.ravel(np.asarray(array, dtype=float)) for array in arrays]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return drawable(joined[np.isfinite(joined)])


def drawable(values: Any) -> Array:
    """Return the values with NaN for what is not finite, and none so large that axes overflow."""
    found = np.asarray(values, dtype=float)
    return np.where(np.isfinite(found), np.clip(found, -1 / TINIEST, 1 / TINIEST), np.nan)


def fit_y(axes: "Axes", values: Array) -> None:
    """Set the scale of the y axis by the values it shows; see `_fit`."""
    _fit(axes, "y", values)


def fit_x(axes: "Axes", values: Array) -> None:
    """Set the scale of the x axis by the values it shows; see `_fit`."""
    _fit(axes, "x", values)


def fit_rates(axes: "Axes", lines: Sequence[Array]) -> None:
    """Set the scale of the y axis by the learning rates it shows: from zero, where that will do."""
    values = finite(lines)
    if not apart(lines):
        axes.set_ylim(0, 1.06 * float(values.max()) if len(values) else 1)
        return
    least = min(float(line[np.isfinite(line)].max()) for line in lines if np.isfinite(line).any())
    fit_y(axes, np.maximum(values, least / 30))


def log_x(axes: "Axes", low: float, high: float) -> None:
    """Make the x axis logarithmic, from low to high, both above zero."""
    axes.set_xscale("log")
    alone = high <= low * 1.001
    axes.set_xlim(*((low / 3, low * 3) if alone else (low, high)))
    _label_powers(axes.xaxis, *axes.get_xlim())


def _fit(axes: "Axes", which: str, values: Array) -> None:
    """Logarithmic where all values are above zero and differ enough.

    Where some are zero or below: linear near zero and logarithmic beyond, if they span powers of
    ten, else linear.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    limits = axes.set_xlim if which == "x" else axes.set_ylim
    if not len(values):
        limits(0, 1)
        return
    low, high = float(values.min()), float(values.max())
    sizes = np.abs(values[values != 0])
    if low > 0 and high / 2 >= low:
        low, high = math.log10(max(low, TINIEST)), math.log10(min(high, 1 / TINIEST))
        room = max(0.05 * (high - low), 0.04)
        _set_scale(axes, which, "log")
        limits(10 ** (low - room), 10 ** (high + room))
        _label_powers(axis, 10 ** (low - room), 10 ** (high + room))
    elif low <= 0 and len(sizes) and _spans(sizes, low):
        near = max(np.quantile(sizes, 0.02), sizes.max() * DEEP)
        threshold = 10.0 ** math.floor(math.log10(near))
        _set_scale(axes, which, "symlog", linthresh=threshold)
        locator = SymmetricalLogLocator(base=10, linthresh=threshold)
        locator.set_params(numticks=TICKS)
        axis.set_major_locator(locator)
        axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    else:
        axes.margins(x=0.06 if which == "x" else None, y=0.06 if which == "y" else None)


def _spans(sizes: Array, low: float) -> bool:
    """Whether values around zero, or down to zero, differ by powers of ten."""
    usual = sizes.min() if low == 0 else np.median(sizes)
    return bool(usual < sizes.max() / 30)


def _set_scale(axes: "Axes", which: str, name: str, **options: float) -> None:
    (axes.set_xscale if which == "x" else axes.set_yscale)(name, **options)


def _label_powers(axis: "Axis", low: float, high: float) -> None:
    """Label powers of ten; where fewer than two are seen, 2 and 5 times them as well."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    seen = math.floor(math.log10(high)) - math.ceil(math.log10(low)) + 1
    if seen >= 2:
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_minor_formatter(FuncFormatter(lambda value, _: _two_or_five(value)))


def _two_or_five(value: float) -> str:
    digit = f"{value:e}"[0]
    return f"{value:g}" if digit in "25" else ""


def power(value: float) -> str:
    """Write a tick: 0.01 to 1000 plainly, other powers of ten as 10 with an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = round(math.log10(abs(value)))
    if -2 <= exponent <= 3 or not math.isclose(abs(value), 10.0**exponent, rel_tol=1e-6):
        return f"{value:g}".replace("-", "\N{MINUS SIGN}")
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    return f"{sign}10{str(exponent).translate(_RAISED)}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
