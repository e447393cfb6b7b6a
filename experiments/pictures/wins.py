"""The win matrix: how often one method ends better than another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.pictures.style import INK, one_line, paths, picture, text

Array = NDArray[np.float64]


def draw_wins(methods: Sequence[str], shares: Array, stem: Path, *, title: str = "") -> list[Path]:
    """Draw, as a heat map with numbers, in what share of runs the row beats the column.

    Parameters
    ----------
    methods
        In the order of the rows, the best first.
    shares
        (m, m), within 0 and 1; NaN where there is nothing to compare. The diagonal is not shown.
    stem
        The path without an ending.
    title
        What is compared.

    Returns
    -------
    list of Path
        The SVG and the PNG.

    Raises
    ------
    ValueError
        If the shares are not a row and a column for each method.
    """
    count = len(methods)
    shown = np.array(shares, dtype=float)
    if not count or shown.shape != (count, count):
        raise ValueError(
            f"the shares of {count} methods are a square of as many rows; got {shown.shape}"
        )
    np.fill_diagonal(shown, np.nan)
    names = [text(method, 22) for method in methods]
    side = 0.62 * count
    with picture(stem, (side + 3.4, side + 2.2)) as figure:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        # Blue and orange stay apart for the colour-blind; the numbers tell in grey.
        axes.imshow(shown, cmap="PuOr", vmin=-0.15, vmax=1.15)
        for (row, column), share in np.ndenumerate(shown):
            if np.isfinite(share):
                pale = 0.15 < share < 0.85
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=10,
                    color=INK if pale else "white",
                )
        short = [one_line(method, 20) for method in methods]
        axes.set_xticks(range(count), short, rotation=40, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
        axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
        axes.tick_params(labelsize=9)
        axes.set_xlabel(one_line(title, 80) or "% of runs in which the row ends better", fontsize=9)
    return paths(stem)
