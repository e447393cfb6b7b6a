"""From a comparison to what its page shows: which charts and tables, from which statistics."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import page, tables
from experiments.drawing import axes_of, bands, words
from experiments.methods import label
from experiments.pictures import style
from experiments.record import AXES, Axis
from experiments.report import number
from experiments.sections import sections
from experiments.statistics import compare_methods, contestants, ecdfs, final_values, wins
from experiments.statistics.runtime import cost, ert, hits
from experiments.statistics.targets import PRECISIONS, TAUS, absolute, targets

if TYPE_CHECKING:
    from experiments.comparison import Comparison

POINTS = 80
"""Points of a curve, on each axis."""
SHOWN = (1, 1e-2, 1e-4, 1e-6, 1e-8)
"""Precisions whose expected runtimes the page lists, for problems that show precisions."""
SHARES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Shares of the gain whose expected runtimes it lists for the others."""
STROKES = {"-": (), ":": (2.0, 3.0)}


def content(comparison: "Comparison", axis: Axis) -> page.PageContent:
    """Return what a comparison's page shows.

    Parameters
    ----------
    comparison
        At least one record.
    axis
        What the budgets are equal in, in statistics and words.
    """
    command = comparison.command
    environments = comparison.environments or ({},)
    several = [
        f"Results were made in {len(environments)} environments; the first one is shown."
    ] * (len(environments) > 1)
    found = page.content_from(
        comparison,
        methods(comparison),
        {shown: bands(comparison, shown, POINTS) for shown in axes_of(comparison, axis)},
        title=tables.title(comparison),
        verdict=comparison.verdict(axis),
        command=command,
        axis=axis,
        at=final_values(comparison, axis).at,
        notes=[*tables.notes(comparison, axis), *several],
        versions=environments[0].get("versions", {}),
        machine=environments[0].get("machine", {}),
        **_against_each_other(comparison, axis, command),
    )
    if 1 < len(comparison.groups) <= tables.GROUPS_LISTED:
        return replace(
            found, charts=[_with_verdicts(comparison, axis, found.charts[0]), *found.charts[1:]]
        )
    return found


def _with_verdicts(comparison: "Comparison", axis: Axis, chart: page.Chart) -> page.Chart:
    """Say beneath each problem who wins there."""
    verdicts = comparison.verdicts(axis)
    panels = [
        replace(panel, about=f"{panel.about} {_capital(verdicts[panel.name])}")
        for panel in chart.panels
    ]
    return replace(chart, panels=panels)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def methods(comparison: "Comparison") -> list[page.MethodInfo]:
    """Return how each method is called and drawn: as in the pictures."""
    looks = style.looks(comparison.methods)
    return [
        page.MethodInfo(name, " ".join(label(name)).strip(), look.colour, _dash(look))
        for name, look in looks.items()
    ]


def _dash(look: style.Look) -> tuple[float, ...]:
    if isinstance(look.dash, str):
        return STROKES.get(look.dash, ())
    return tuple(1.8 * length for length in look.dash[1])


def _against_each_other(comparison: "Comparison", axis: Axis, command: str) -> dict[str, Any]:
    """What can be said only where several methods were run on the same."""
    if len(contestants(comparison)) < 2 or not final_values(comparison, axis).complete().pairs:
        return {}
    ranking = compare_methods(comparison, axis)
    won = wins(comparison, axis, methods=ranking.methods)
    several = len(comparison.groups) > 1
    return {
        "charts": [_runtimes(comparison, axis, command)],
        "tables": [
            *([_standing(comparison, axis, command)] if several else []),
            *_expected(comparison, axis, command, precise=True),
            *_expected(comparison, axis, command, precise=False),
        ],
        "ranks": page.Ranks(
            dict(zip(ranking.methods, ranking.average.tolist(), strict=True)),
            ranking.critical_difference,
            ranking.cliques(),
            f"{words(ranking)} Friedman's test: p = {number(ranking.friedman.p, 2)}.",
            command,
        ),
        "wins": page.Wins(
            won.methods,
            won.share,
            "How often the row's method ends better than the column's, from the same start.",
            command,
        ),
    }


def _runtimes(comparison: "Comparison", axis: Axis, command: str) -> page.Chart:
    unit = AXES[axis] + ("" if axis == "seconds" else " / variables")
    panels = []
    for title, names in sections(comparison).items():
        lines = {}
        for method, found in ecdfs(comparison, axis, problems=names).items():
            grid = np.geomspace(found.first, max(found.end, found.first), 2 * POINTS)
            lines[method] = page.Line(grid, found.steps.on(grid))
        view = page.View(
            AXES[axis], unit, "share of targets hit", lines,
            log_y=False, rising=True, within=(0.0, 1.0),
        )  # fmt: skip
        panels.append(page.Panel(title, [view]))
    note = (
        "The share of (problem, target) pairs that are reached by then, with simulated restarts, "
        f"as COCO has it. Targets: {_levels(comparison)}."
    )
    return page.Chart("Targets hit", panels, note, command)


def _levels(comparison: "Comparison") -> str:
    """Which targets there are; both kinds where problems differ in what they show."""
    precise = {absolute(info) for info in comparison.problems.values()}
    kinds = ["51 precisions from 100 to 1e-8"] * (True in precise)
    kinds += ["51 shares of the gain from the start to the best value, 0.1 to 1e-5"] * (
        False in precise
    )
    return " where values are precisions, else ".join(kinds)


def _standing(comparison: "Comparison", axis: Axis, command: str) -> page.DataTable:
    table = comparison.standing(axis)
    order = [" ".join(label(name)).strip() for name in comparison.methods]
    columns = [
        page.DataColumn("method", "method"),
        page.DataColumn("average rank", best="low"),
        *(page.DataColumn(column.title, best="high") for column in table.columns[2:]),
    ]
    rows = [[comparison.methods[order.index(row[0])], *map(_shown, row[1:])] for row in table.rows]
    return page.DataTable(
        "Methods over all problems", columns, rows, table.notes[0], command=command
    )


def _shown(text: str) -> page.content.TableCell:
    try:
        return page.Shown(text, float(text.removesuffix(" %")))
    except ValueError:
        return page.Shown(text, float("nan"))


def _expected(
    comparison: "Comparison", axis: Axis, command: str, *, precise: bool
) -> list[page.DataTable]:
    """Expected runtimes to some targets, a line a problem and method: precisions, or gains."""
    levels, names = targets(comparison), contestants(comparison)
    shown, grid = (SHOWN, PRECISIONS) if precise else (SHARES, TAUS)
    at = [int(np.argmin(np.abs(np.log(grid) - np.log(s)))) for s in shown]
    rows: list[list[page.content.TableCell]] = []
    for (group, method), records in comparison.by_group().items():
        infos = [comparison.problems[record.cell.problem] for record in records]
        if method not in names or absolute(infos[0]) != precise:
            continue
        reached = [
            hits(r, levels[r.cell.problem][at], axis, info)
            for r, info in zip(records, infos, strict=True)
        ]
        ends = np.array([cost(record, axis) for record in records])
        rows.append([group, method, *map(_runtime, ert(np.array(reached), ends).tolist())])
    what = "precision" if precise else "gain left"
    note = (
        f"{AXES[axis].capitalize()} spent by all runs until they hit the target or end, a run that "
        "hits it (Hansen et al. 2021). Targets: "
        + ("distances from the optimum." if precise else "shares of the gain still to be had.")
    )
    columns = [
        page.DataColumn("problem", "panel"),
        page.DataColumn("method", "method"),
        *(page.DataColumn(f"{what} {number(s)}", best="low") for s in shown),
    ]
    mixed = len({absolute(info) for info in comparison.problems.values()}) > 1
    title = "Expected runtimes" + (" by gain" if mixed and not precise else "")
    table = page.DataTable(title, columns, rows, note, within="problem", command=command)
    return [table] if rows else []


def _runtime(value: float) -> page.content.TableCell:
    return value if np.isfinite(value) else page.Shown("never", value)
