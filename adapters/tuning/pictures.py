"""Pictures of a study: its history, parallel coordinates, slices."""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.space import Choice, Fixed, Log, LogInt, Parameter
from adapters.tuning.labels import column_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from adapters.tuning.result import TuneResult

INK, QUIET, LINE, POOR = "#22303c", "#9aa7b0", "#0f766e", "#c2410c"
COLOURS = "viridis_r"
"""Dark for the best."""


def draw_history(result: "TuneResult") -> "Figure":
    """The value of each trial in order, and the best so far."""
    table = result.trials
    figure, [[axes]] = _figure(1, 1, (7.2, 4.0))
    numbers, values = np.arange(1, len(table) + 1), table["value"].to_numpy(float)
    complete, pruned, failed = (
        (table["state"] == state).to_numpy() for state in ("complete", "pruned", "failed")
    )
    axes.scatter(numbers[complete], values[complete], s=18, color=QUIET, label="trial", zorder=2)
    if pruned.any():
        axes.scatter(
            numbers[pruned],
            values[pruned],
            s=16,
            facecolors="none",
            edgecolors=QUIET,
            linewidths=0.8,
            label="pruned",
            zorder=2,
        )
    best = _best_so_far(np.where(complete, values, math.nan), result)
    axes.step(numbers, best, where="post", color=LINE, linewidth=1.8, label="best so far", zorder=3)
    if failed.any():
        axes.plot(
            numbers[failed],
            np.full(failed.sum(), 0.02),
            "x",
            color=POOR,
            markersize=5,
            label="failed",
            transform=axes.get_xaxis_transform(),
        )
    _scale_values(axes, best, values[complete])
    axes.set(xlabel="trial", ylabel="value", xlim=(0, len(table) + 1))
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def draw_parallel(result: "TuneResult") -> "Figure":
    """A line through the parameters of each complete trial; the best is drawn on top."""
    from matplotlib import colormaps

    table = result.trials
    table = table[table["state"] == "complete"]
    names = _searched(result)
    figure, [[axes]] = _figure(1, 1, (max(6.0, 1.4 * len(names) + 1.6), 4.2))
    values = table["value"].to_numpy(float)
    worth = _ranks(values, result)
    heights = np.array([[_height(result.space[n], v) for v in table[column_of(n)]] for n in names])
    for row in np.argsort(worth):
        best = bool(len(worth)) and worth[row] == worth.max()
        axes.plot(
            range(len(names)),
            heights[:, row],
            color=POOR if best else colormaps[COLOURS](worth[row]),
            alpha=1.0 if best else 0.25 + 0.5 * worth[row],
            linewidth=2.2 if best else 1.0,
            marker="o" if best or len(names) == 1 else None,
            markersize=4,
            solid_joinstyle="round",
        )
    axes.set(xlim=(-0.3, len(names) - 0.4), ylim=(-0.04, 1.04), yticks=[])
    axes.set_xticks(range(len(names)), names, fontsize=9)
    axes.tick_params(length=0)
    for place, name in enumerate(names):
        axes.axvline(place, color=QUIET, linewidth=0.8, zorder=0)
        for height, text in _marks(result.space[name]):
            axes.annotate(
                text,
                (place, height),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
            )
    axes.spines[:].set_visible(False)
    _add_bar(figure, axes, result, values)
    return figure


def draw_slices(result: "TuneResult") -> "Figure":
    """The value over each parameter, the later the darker."""
    table = result.trials
    table = table[table["state"] == "complete"]
    names = _searched(result)
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    figure, grid = _figure(rows, columns, (2.5 * columns + 0.8, 2.3 * rows + 0.4))
    values = table["value"].to_numpy(float)
    best = np.array([]) if not len(values) else _ranks(values, result)
    jitter = np.random.default_rng(0).uniform(-0.15, 0.15, len(table))
    for place, axes in enumerate(each for row in grid for each in row):
        if place >= len(names):
            axes.set_visible(False)
            continue
        parameter, column = result.space[names[place]], table[column_of(names[place])]
        active = _is_active(column)
        if isinstance(parameter, Choice):
            last = len(options := parameter.options) - 1
            x = np.array([last * _height(parameter, value) for value in column]) + jitter
            axes.set_xticks(range(len(options)), [_short(option) for option in options], fontsize=8)
            axes.set_xlim(-0.5, len(options) - 0.5)
        else:
            x = column.to_numpy(float)
            if isinstance(parameter, (Log, LogInt)):
                axes.set_xscale("log")
        axes.scatter(
            x[active],
            values[active],
            c=np.flatnonzero(active),
            cmap=COLOURS,
            s=14,
            vmin=0,
            vmax=max(1, len(table) - 1),
            linewidths=0,
        )
        top = (best == best.max()) & active if len(best) else active
        axes.scatter(x[top], values[top], s=46, facecolors="none", edgecolors=POOR, linewidths=1.6)
        _scale_values(axes, values, values)
        axes.set_xlabel(names[place])
        if place % columns:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("value")
    return figure


def write(figure: "Figure", path: "str | os.PathLike[str] | None") -> "Figure":
    """Write a figure where a path is given; return it."""
    if path is not None:
        figure.savefig(path)
    return figure


def _figure(rows: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, Any]":
    """Return a figure that belongs to no window, and its axes."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(QUIET)
        axes.tick_params(colors=INK, labelsize=8, which="both", color=QUIET)
    return figure, grid


def _searched(result: "TuneResult") -> list[str]:
    return [name for name in result.space if not isinstance(result.space[name], Fixed)]


def _best_so_far(values: Any, result: "TuneResult") -> Any:
    keep = np.fmin if _is_down(result) else np.fmax
    return keep.accumulate(values) if len(values) else values


def _is_down(result: "TuneResult") -> bool:
    return result.study.direction.name == "MINIMIZE"


def _ranks(values: Any, result: "TuneResult") -> Any:
    """From 0 for the worst to 1 for the best."""
    order = np.argsort(np.argsort(-values if _is_down(result) else values, kind="stable"))
    return order / max(1, len(values) - 1) if len(values) > 1 else np.ones(len(values))


def _scale_values(axes: "Axes", best: Any, values: Any) -> None:
    """A logarithmic scale where values span decades; else what most of them need."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() > 50:
        axes.set_yscale("log")
        return
    if len(finite) < 8:
        return
    low, middle, high = np.quantile(finite, [0.0, 0.5, 1.0])
    # A few hopeless trials must not flatten all others.
    near = np.quantile(finite, [0.1, 0.9])
    spread = max(near[1] - near[0], 1e-12 * max(1.0, abs(middle)))
    bottom, top = max(low, near[0] - 2 * spread), min(high, near[1] + 2 * spread)
    bottom, top = min(bottom, np.nanmin(best)), max(top, np.nanmax(best[-1:]))
    if (bottom, top) != (low, high) and top > bottom:
        axes.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))


def _height(parameter: Parameter, value: Any) -> float:
    """Where on its axis a value lies, 0 to 1; NaN where the parameter was not active."""
    if isinstance(parameter, Choice):
        places = [i for i, option in enumerate(parameter.options) if option is value]
        places += [i for i, option in enumerate(parameter.options) if option == value]
        return places[0] / (len(parameter.options) - 1) if places else math.nan
    if value is None or value != value:
        return math.nan
    low, high = parameter.low, parameter.high  # type: ignore[attr-defined]
    if isinstance(parameter, (Log, LogInt)):
        low, high, value = math.log(low), math.log(high), math.log(value)
    return float((value - low) / (high - low))


def _marks(parameter: Parameter) -> Sequence[tuple[float, str]]:
    """Heights and texts to write beside an axis."""
    if isinstance(parameter, Choice):
        last = len(parameter.options) - 1
        return [(i / last, _short(option)) for i, option in enumerate(parameter.options)]
    low, high = parameter.low, parameter.high  # type: ignore[attr-defined]
    if isinstance(parameter, (Log, LogInt)):
        decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        marks = [10.0**power for power in decades]
        marks = marks[:: math.ceil(len(marks) / 6)] if len(marks) > 1 else [low, high]
    else:
        marks = [low, low + (high - low) / 2, high]
    return [(_height(parameter, mark), f"{mark:.3g}") for mark in marks]


def _short(option: Any) -> str:
    text = getattr(option, "__name__", None) or str(option)
    return text if len(text) <= 14 else text[:13] + "…"


def _is_active(column: Any) -> Any:
    """Where a column of the table has a value; None may be an option."""
    return np.array([value == value for value in column], dtype=bool)


def _add_bar(figure: "Figure", axes: "Axes", result: "TuneResult", values: Any) -> None:
    """Say which colour is good."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOURS), ax=axes, shrink=0.8, pad=0.02, aspect=30
    )
    bar.outline.set_visible(False)
    ends = np.quantile(values, [0.0, 1.0]) if len(values) else np.empty(0)
    ends = ends[::-1] if _is_down(result) else ends
    bar.set_ticks([0, 1] if len(values) else [], labels=[f"{end:.3g}" for end in ends])
    bar.ax.tick_params(length=0, labelsize=8, colors=INK)
    bar.set_label("value, by rank", fontsize=8, color=INK)
