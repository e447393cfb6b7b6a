"""The critical-difference diagram: average ranks on a line, and which methods can't be told apart.

Demsar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine
Learning Research 7 (2006), figure 1.
"""

import html
from collections.abc import Sequence

from experiments.page.content import MethodInfo, Ranks

WIDTH, LEFT, RIGHT = 800, 250, 550
"""Of the drawing, and where its axis begins and ends, in pixels."""
AXIS, ROW, CLIQUE = 58, 24, 11
"""Height of the axis; distance of the methods' rows, and of the cliques' bars."""
LONGEST = 24
"""Letters of a method's label; the rest is cut off."""


def critical_difference(ranks: Ranks, methods: Sequence[MethodInfo]) -> str:
    """Return the diagram as SVG for a page: it takes its colours from the page's style."""
    index = {method.text: i for i, method in enumerate(methods)}
    ordered = sorted(ranks.average.items(), key=lambda item: item[1])
    cliques = [c for c in ranks.cliques if len(c) > 1]
    highest = max(len(ordered), 2)
    first_row = AXIS + 26 + CLIQUE * len(cliques)
    half = (len(ordered) + 1) // 2
    height = first_row + ROW * max(half - 1, 0) + 14

    def x(rank: float) -> float:
        return LEFT + (RIGHT - LEFT) * (rank - 1) / (highest - 1)

    parts = [f'<path class=axis d="M{LEFT} {AXIS}H{RIGHT}"/>', *_ticks(highest)]
    if ranks.difference is not None:
        parts += _difference(ranks.difference, x(1 + ranks.difference))
    for i, clique in enumerate(cliques):
        at = [ranks.average[text] for text in clique]
        y = AXIS + 14 + CLIQUE * i
        parts.append(f'<path class=clique d="M{x(min(at)) - 5:.1f} {y}H{x(max(at)) + 5:.1f}"/>')
    for i, (text, rank) in enumerate(ordered):
        left = i < half
        row = i if left else len(ordered) - 1 - i
        parts += _method(
            methods[index[text]], index[text], rank, x(rank), first_row + ROW * row, left
        )
    words = ", ".join(f"{methods[index[text]].label} {rank:.2f}" for text, rank in ordered)
    return (
        f'<svg class=ranks viewBox="0 0 {WIDTH} {height}" role=img '
        f'aria-label="Average ranks: {html.escape(words)}">{"".join(parts)}</svg>'
    )


def _ticks(highest: int) -> list[str]:
    step = 1 if highest <= 12 else 2 if highest <= 24 else 5
    return [
        f'<path class=axis d="M{at:.1f} {AXIS}v-6"/>'
        f'<text x="{at:.1f}" y="{AXIS - 11}" text-anchor=middle>{rank}</text>'
        for rank in range(1, highest + 1, step)
        for at in [LEFT + (RIGHT - LEFT) * (rank - 1) / (highest - 1)]
    ]


def _difference(difference: float, end: float) -> list[str]:
    end = min(end, WIDTH - 2)
    return [
        f'<path class=difference d="M{LEFT} 13v8M{LEFT} 17H{end:.1f}M{end:.1f} 13v8"/>',
        f'<text x="{LEFT - 10}" y="21" text-anchor=end>critical difference {difference:.2f}</text>',
    ]


def _method(method: MethodInfo, i: int, rank: float, x: float, y: float, left: bool) -> list[str]:
    """An elbow from the rank to the method's name, at the nearer side."""
    edge, anchor = (LEFT - 16, "end") if left else (RIGHT + 16, "start")
    text = edge - 6 if left else edge + 6
    label = method.label if len(method.label) <= LONGEST else method.label[: LONGEST - 1] + "…"
    name, figure = html.escape(label), f"<tspan class=figure>{rank:.2f}</tspan>"
    words = f"{name} {figure}" if left else f"{figure} {name}"
    return [
        f'<path d="M{x:.1f} {AXIS}V{y}H{edge}" fill=none stroke="var(--m{i})" stroke-width=2 />',
        f'<circle cx="{x:.1f}" cy="{AXIS}" r=4 fill="var(--m{i})" />',
        f'<text x="{text}" y="{y + 4}" text-anchor={anchor}>{words}'
        f"<title>{html.escape(method.label)}</title></text>",
    ]
