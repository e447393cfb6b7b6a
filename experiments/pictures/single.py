"""Pictures of one run: how it trained, and what a learning-rate range test saw."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from blackbox.history import History
from experiments.pictures import scales
from experiments.pictures.panels import shape
from experiments.pictures.style import FAINT, INK, PALETTE, STYLE, one_line, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from blackbox.lr_range import LRRange
    from blackbox.trace import Curves

RUNS_SHOWN = 32
"""Runs side by side that are drawn beside the one that ended lowest."""
BELOW = {
    "learning rate": "learning_rate",
    "gradient norm": "gradient_norm",
    "step size": "step_size",
    "spread": "spread",
}
"""What stands beneath the loss, by the fields of `blackbox.trace.Curves`."""
LOSS, VALIDATION, MEDIAN = PALETTE[0], PALETTE[1], PALETTE[5]
DPI = 110


def draw_training(result: Any, *, title: str = "") -> Figure:
    """Draw what one call of `blackbox.minimize` saw on its way.

    Above, the loss at each step, with the validation loss where that was measured; of a population,
    the best and the median of each generation. Beneath, what there is of learning rate, gradient
    norm (before clipping), step size and a population's spread. Of runs side by side, the one that
    ended lowest is drawn boldly.

    Parameters
    ----------
    result
        A `blackbox.Result`, or its history.
    title
        What stands above it; by default the method, where a result is given.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by ``figure.savefig("training.png")``; a notebook shows it as it is.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        Where the run left no steps: points that come one by one, and not with their gradients in
        one call, leave none.

    Examples
    --------
    >>> from blackbox import minimize
    >>> from experiments import draw_training
    >>> result = minimize(lambda x: sum(x**2), [1.0, 2.0], method="cma", budget=300, seed=0)
    >>> figure = draw_training(result)
    """
    history = result if isinstance(result, History) else getattr(result, "history", None)
    if not isinstance(history, History):
        raise TypeError(
            f"result must be what minimize returns, or its history; got {type(result).__name__}"
        )
    trace = history.trace
    if not len(trace) and not trace.validations:
        raise ValueError(
            "the run left no steps to draw: its method went point by point, and gradients, if any, "
            "came apart from values; result.history has its improvements"
        )
    curves = trace.curves()
    runs = 1 if trace.ends_x is None else len(trace.ends_x)
    others = [trace.curves(i) for i in range(min(runs, RUNS_SHOWN))] if runs > 1 else []
    below = [kind for kind, name in BELOW.items() if np.isfinite(getattr(curves, name)).any()]
    with settings(STYLE):
        figure = _figure((7.5, 3.4 + 1.7 * len(below)))
        ratios = [2.2] + [1.0] * len(below)
        grid = figure.subplots(
            1 + len(below), 1, squeeze=False, sharex=True, height_ratios=ratios
        ).ravel()
        _draw_losses(grid[0], curves, others)
        for axes, kind in zip(grid[1:], below, strict=True):
            name = BELOW[kind]
            _lines(axes, curves, others, name)
            axes.set_ylabel(kind)
        grid[-1].set_xlabel("evaluations" + (f", all {runs} runs together" if runs > 1 else ""))
        grid[0].set_xlim(left=0)
        grid[0].set_title(title or getattr(result, "method", ""))
        figure.align_ylabels(list(grid))
        figure.draw_without_rendering()  # while the settings hold
    return figure


def draw_lr_range(found: "LRRange | Sequence[LRRange]", *, titles: Sequence[str] = ()) -> Figure:
    """Draw what learning-rate range tests saw: the loss by the learning rate, and the suggestion.

    Parameters
    ----------
    found
        What `blackbox.lr_range_test` returns; or several of them, a panel each.
    titles
        What stands above each panel; by default the method.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by ``figure.savefig("rates.png")``; a notebook shows it as it is.

    Raises
    ------
    ValueError
        Where there is nothing to draw, or not a title for each.
    """
    shown = list(found) if isinstance(found, Sequence) else [found]
    titles = list(titles) or [test.method for test in shown]
    if not shown:
        raise ValueError("there is nothing to draw: no range test was given")
    if len(titles) != len(shown):
        raise ValueError(f"titles must be one for each of {len(shown)} tests; got {len(titles)}")
    rows, columns = shape(len(shown))
    with settings(STYLE):
        figure = _figure((max(6.5, 4.2 * columns), 3.8 * rows))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, test, name in zip(grid, shown, titles, strict=False):
            _draw_range(axes, test)
            axes.set_title(one_line(name, 36) + (", diverged" if test.diverged else ""))
        for unused in grid[len(shown) :]:
            unused.set_axis_off()
        for axes in grid[::columns]:
            axes.set_ylabel("loss")
        figure.draw_without_rendering()
    return figure


def _figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_losses(axes: "Axes", curves: "Curves", others: "list[Curves]") -> None:
    _lines(axes, curves, others, "loss", "loss")
    spent, losses = curves.validation_evaluations, scales.drawable(curves.validation_loss)
    if np.isfinite(curves.median).any():
        median = scales.drawable(curves.median)
        axes.plot(curves.evaluations, median, color=MEDIAN, linewidth=1.2, label="median")
    if np.isfinite(losses).any():
        for other in others:
            axes.plot(
                other.validation_evaluations,
                scales.drawable(other.validation_loss),
                color=VALIDATION,
                linewidth=0.6,
                alpha=0.25,
            )
        mark = "o" if len(losses) <= 60 else ""
        axes.plot(
            spent, losses, color=VALIDATION, marker=mark, markersize=3.5, label="validation loss"
        )
        best = int(np.nanargmin(losses))
        axes.plot(spent[best], losses[best], "*", color=INK, markersize=11, label="its lowest")
    values = [curves.loss, curves.validation_loss, curves.median, *(o.loss for o in others)]
    scales.fit_y(axes, scales.finite(values))
    axes.set_ylabel("loss")
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend(fontsize=9, labelcolor=INK)


def _lines(
    axes: "Axes", curves: "Curves", others: "list[Curves]", name: str, label: str = ""
) -> None:
    values = scales.drawable(getattr(curves, name))
    for other in others:
        faint = scales.drawable(getattr(other, name))
        axes.plot(other.evaluations, faint, color=LOSS, linewidth=0.6, alpha=0.25)
    few = "o" if len(values) < 3 else ""
    axes.plot(
        curves.evaluations, values, color=LOSS, linewidth=1.6, marker=few, label=label or None
    )
    shown = [values, *(scales.drawable(getattr(other, name)) for other in others)]
    if name == "learning_rate":
        scales.fit_rates(axes, shown)
    else:
        scales.fit_y(axes, scales.finite(shown))


def _draw_range(axes: "Axes", test: "LRRange") -> None:
    rates, losses = np.asarray(test.rates), scales.drawable(test.losses)
    smoothed = scales.drawable(test.smoothed)
    axes.plot(rates, losses, color=FAINT, linewidth=0.8, alpha=0.6, label="loss")
    axes.plot(rates, smoothed, color=LOSS, linewidth=1.8, label="smoothed")
    if np.isfinite(test.suggestion):
        axes.axvline(test.suggestion, color=VALIDATION, linewidth=1.4, linestyle="--")
        axes.annotate(
            f"{test.suggestion:.2g}",
            (test.suggestion, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            color=VALIDATION,
        )
    seen = scales.finite([smoothed])
    if len(seen):
        # Where it blew up, the rise would leave no room for what matters.
        first, low = float(seen[0]), float(seen.min())
        room = 0.15 * max(first - low, 1e-3 * abs(first), 1e-12)
        axes.set_ylim(low - room, max(first, float(np.median(seen))) + 4 * room)
    scales.log_x(axes, float(rates.min()), float(rates.max()))
    axes.set_xlabel("learning rate")
    axes.legend(fontsize=9, labelcolor=INK)
