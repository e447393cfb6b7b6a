"""A comparison in tables: values by problem, methods over all problems, failures; and as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.methods import START, label
from experiments.page.build import FINDINGS
from experiments.record import VALIDATION, Axis, ProblemInfo, Record
from experiments.report import Column, Table, number
from experiments.running import RAISED
from experiments.statistics.curves import best_at
from experiments.statistics.quantiles import quantiles

if TYPE_CHECKING:
    from experiments.comparison import Comparison

Array = NDArray[np.float64]

CLOSE = 0.01
"""A run counts as solved within this share of the optimum."""
PRECISE = 1e-8
"""Where values are shown as precisions: a run counts as solved within this one."""
GROUPS_LISTED = 12
"""With more problems, tables of all of them say more than a line for each."""
RECORDS_LISTED = 2000
"""With more cells, JSON holds their statistics only; `experiments export` has each."""


def all_tables(comparison: "Comparison", axis: Axis) -> list[Table]:
    """Return the tables that a reader wants first.

    Over several problems, how the methods stand comes first; each problem has its lines where there
    are few of them. What failed comes last, and what went wrong, if anything did.
    """
    from experiments.statistics.matrix import contestants, final_values

    found = []
    several = len(comparison.groups) > 1 and len(contestants(comparison)) > 1
    if several and final_values(comparison, axis).complete().pairs:
        found.append(standing(comparison, axis)._replace(title=title(comparison)))
    if not found or len(comparison.groups) <= GROUPS_LISTED:
        each = values(comparison, axis)
        found.append(each._replace(title="Each problem") if found else each)
    return [
        *found,
        *(table for table in (failures(comparison), findings(comparison)) if table.rows),
    ]


def values(comparison: "Comparison", axis: Axis) -> Table:
    """Return a line a problem and method, the best median of each problem first."""
    found = lines(comparison, axis)
    optima = [comparison.info(name).optimum for name in comparison.groups]
    columns = [
        Column("problem", number=False),
        Column("method", number=False),
        *map(Column, ("median", "quartiles", "best", "solved")),
        *map(Column, _reported(comparison.records)),
        Column("evaluations"),
        Column("failures"),
        *(Column(name, extra=True) for name in ("passes", "runs", "seconds")),
    ]
    left_out = {"problem"} if len(optima) < 2 else set()
    left_out |= {"solved"} if all(optimum is None for optimum in optima) else set()
    left_out |= {"failures"} if not any(line["failures"] for line in found) else set()
    left_out |= {"passes"} if not any(record.gradients for record in comparison.records) else set()
    columns = [column for column in columns if column.title not in left_out]
    shown = ordered(found, comparison.groups)
    rows = []
    for line in shown:
        texts = _texts(line)
        rows.append([texts.get(column.title, "-") for column in columns])
    return Table(title(comparison), columns, rows, notes(comparison, axis), _best(shown))


def standing(comparison: "Comparison", axis: Axis) -> Table:
    """Return a line a method over all problems, the best average rank first."""
    from experiments.statistics.ecdf import ecdfs
    from experiments.statistics.ranks import compare_methods
    from experiments.statistics.wins import wins

    ranking = compare_methods(comparison, axis)
    won = wins(comparison, axis)
    runtimes = ecdfs(comparison, axis)
    columns = [
        Column("method", number=False),
        *map(Column, ("average rank", "duels won", "targets, area", "targets hit")),
    ]
    rows = []
    for method, rank in zip(ranking.methods, ranking.average, strict=True):
        share = won.share[won.methods.index(method)]
        steps = runtimes[method].steps
        hit = steps.on(np.array([runtimes[method].end]))[0]
        duels = np.nanmean(share) if np.isfinite(share).any() else np.nan
        rows.append(
            [
                " ".join(label(method)).strip(),
                f"{rank:.2f}",
                _share(duels),
                number(runtimes[method].area, 3),
                _share(hit),
            ]
        )
    said = (
        f"Ranks over {len(ranking.blocks)} {ranking.unit}; two that differ by less than "
        f"{ranking.critical_difference:.2f} are not told apart (Nemenyi, 5 %). A duel: two "
        "methods on one problem from one seed. Targets: the distribution of runtimes over "
        "(problem, target) pairs, the area under it on a log axis, and its height at the budget."
    )
    return Table("All problems", columns, rows, [said])


def failures(comparison: "Comparison") -> Table:
    """Return a line for each problem and method with cells or evaluations that failed."""
    columns = [
        Column("problem", number=False),
        Column("method", number=False),
        Column("cells failed"),
        Column("evaluations failed"),
        Column("why", number=False),
    ]
    rows = []
    for (group, method), records in comparison.by_group().items():
        lost = [record for record in records if record.failed or record.error]
        count = sum(record.failures for record in records)
        if not lost and not count:
            continue
        why = next(filter(None, map(_why, [*lost, *records])), "no feasible point")
        cells = f"{len(lost)} of {len(records)}"
        rows.append([group, " ".join(label(method)).strip(), cells, f"{count:,}", why])
    return Table("What failed", columns, rows)


def findings(comparison: "Comparison") -> Table:
    """Return what was found wrong in how many cells: a line a problem and method, or a method."""
    many = len(comparison.groups) > GROUPS_LISTED
    cells, counts = Counter[tuple[str, str]](), dict[tuple[str, str], Counter[str]]()
    for (group, method), records in comparison.by_group().items():
        key = ("" if many else group, method)
        cells[key] += len(records)
        counts.setdefault(key, Counter()).update(n for record in records for n in record.findings)
    rows = [
        [
            group,
            " ".join(label(method)).strip(),
            f"{cells[group, method]:,}",
            ", ".join(f"{name} {count}" for name, count in found.most_common()),
        ]
        for (group, method), found in counts.items()
        if found
    ]
    columns = [
        Column("problem", number=False),
        Column("method", number=False),
        Column("cells"),
        Column("found, and in how many", number=False),
    ]
    kept = slice(many, None)
    return Table("What went wrong", columns[kept], [row[kept] for row in rows], [FINDINGS])


def _why(record: Record) -> str:
    """The first reason of a failure; empty where the record knows none."""
    if record.error:
        return record.error
    _, raised, reason = record.message.partition(f"({RAISED}: ")
    if raised:
        return reason.removesuffix(")")
    return "values that are not finite" if record.failures else ""


def title(comparison: "Comparison") -> str:
    """Return what was compared, in a line."""
    if not comparison.records:
        return "nothing was run"
    names = comparison.groups
    shown = ", ".join(names) if len(names) <= 3 else f"{len(names)} problems"
    seeds = len({record.cell.seed for record in comparison.records})
    members = len({record.cell.problem for record in comparison.records}) // len(names)
    instances = f"{members} instances, " if members > 1 else ""
    return f"{shown}: {budget(comparison)}, {instances}{seeds} seed{'s' * (seeds > 1)}"


def budget(comparison: "Comparison") -> str:
    """Return the budget in words."""
    given = comparison.settings.get("budget", comparison.records[0].cell.budget)
    if isinstance(given, str):
        return f"{int(given.rstrip(' n')):,} evaluations a variable"
    return f"{given:,} evaluations"


def notes(comparison: "Comparison", axis: Axis) -> list[str]:
    """Return what a reader must know of how the values came about."""
    if not comparison.records:
        return []
    cell = comparison.records[0].cell
    sizes = [len(records) for records in comparison.by_group().values()]
    names = comparison.groups
    described = [(name, comparison.info(name).description) for name in names]
    about = [f"{name}: {text}." for name, text in described if text and len(names) <= 3]
    early = (
        "One that ends early begins again from the seed's next start until the budget is spent."
        if cell.restarts
        else "One that ends early stays ended."
    )
    if cell.patience is not None:
        early += (
            f" One whose validation loss (its best value, where there is no validation) has not "
            f"become lower {cell.patience} times in a row is stopped for good; its figures on data "
            "held out are those of where its validation loss was lowest."
        )
    differences = (
        "Methods use the problem's own gradients where they can, counted beside evaluations: "
        "a gradient is two forward passes more."
        if cell.gradients
        else "No gradients but finite differences, whose evaluations count."
    )
    wanted = cell.validate_every is not None or cell.patience is not None
    if wanted and not any(VALIDATION in record.report for record in comparison.records):
        early += " No problem has validation data."
    read = {
        "evaluations": "",
        "passes": " Values are read where as many forward passes were spent as the budget has "
        "evaluations.",
        "seconds": " Values are read at the median time of the method that ended first.",
    }[axis]
    known = any(comparison.info(name).optimum is not None for name in names)
    said = [f"Columns are medians over runs, but for best{' and solved' * known}.{read}"]
    said += _scales([comparison.info(name) for name in names])
    partial = []
    if not comparison.complete:
        partial = [f"Incomplete: {len(comparison.records)} of {comparison.planned} cells were run."]
    elif min(sizes) < max(sizes):
        partial = [f"Between {min(sizes)} and {max(sizes)} runs a method."]
    alone = ["The line of the start says what was there before: one evaluation."]
    has_start = any(record.cell.method == START for record in comparison.records)
    mixed = ["Results were made with different versions or machines; see the report."]
    return [
        *about,
        *partial,
        "Every method has the same starts, box and evaluations. " + early,
        *(alone if has_start else []),
        *(mixed if len(comparison.environments) > 1 else []),
        differences,
        " ".join(said),
    ]


def _scales(infos: Sequence[ProblemInfo]) -> list[str]:
    """What values are, and which are good enough to count as solved."""
    precise = [info for info in infos if info.precision]
    known = [info for info in infos if info.optimum is not None and not info.precision]
    said = []
    if precise:
        few = ", ".join(info.group for info in precise) if len(precise) <= 3 else "BBOB's functions"
        of = f" of {few}" if len(precise) < len(infos) else ""
        near = number(PRECISE)
        said.append(f"Values{of} are distances from the optimum; solved: within {near} of it.")
    if known:
        zero = any(info.optimum == 0 for info in known)
        near = f", of one that is 0 within {number(PRECISE)}" if zero else ""
        which = "Of others, solved" if precise else "Solved"
        said.append(f"{which}: within {100 * CLOSE:g} % of the best value known{near}.")
    return said


def summary(comparison: "Comparison", axis: Axis) -> dict[str, Any]:
    """Return settings, statistics and figures of each cell, ready for JSON."""
    records = comparison.records if len(comparison.records) <= RECORDS_LISTED else ()
    made_with = comparison.environments[0] if comparison.environments else {}
    return {
        "command": comparison.command,
        "complete": comparison.complete,
        "settings": dict(comparison.settings),
        "by": axis,
        "verdict": comparison.verdict(axis),
        "versions": made_with.get("versions", {}),
        "machine": made_with.get("machine", {}),
        "environments": len(comparison.environments),
        "methods": lines(comparison, axis),
        "records": [record.plain() for record in records],
    }


def lines(comparison: "Comparison", axis: Axis) -> list[dict[str, Any]]:
    """Return the statistics of each problem and method, in the order of the plan."""
    from experiments.statistics.matrix import final_values

    at = final_values(comparison, axis).at
    return [
        {"problem": group, "method": method}
        | _statistics(comparison, records, axis, at.get(group, np.inf))
        for (group, method), records in comparison.by_group().items()
    ]


def ordered(found: Sequence[dict[str, Any]], groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return lines by problem, the best median first."""
    place = {name: i for i, name in enumerate(groups)}
    return sorted(found, key=lambda r: (place[r["problem"]], r["median"], r["method"]))


def _best(shown: Sequence[dict[str, Any]]) -> list[int]:
    """The lines with the best median of their problem, to the digits that are shown.

    There is none where the problem was run by one method.
    """
    lowest: dict[str, float] = {}
    methods: dict[str, int] = {}
    for line in shown:
        name = line["problem"]
        lowest[name] = min(line["median"], lowest.get(name, np.inf))
        methods[name] = methods.get(name, 0) + (line["method"] != START)
    return [
        i
        for i, line in enumerate(shown)
        if number(line["median"]) == number(lowest[line["problem"]])
        and lowest[line["problem"]] < np.inf
        and methods[line["problem"]] > 1
    ]


def _statistics(
    comparison: "Comparison", records: Sequence[Record], axis: Axis, at: float
) -> dict[str, Any]:
    found = best_at(records, axis, np.array([at]), comparison.problems)[:, 0]
    low, middle, high = quantiles(found, [0.25, 0.5, 0.75])
    return {
        "cells": len(records),
        "median": middle,
        "quartiles": [low, high],
        "best": np.fmin.reduce(found),
        "solved": _solved(found, comparison.info(comparison.group(records[0]))),
        "report": {
            name: float(np.median([r.report[name] for r in records if name in r.report]))
            for name in _reported(records)
        },
        "failed": sum(record.failed for record in records),
        **{
            name: float(np.median([getattr(record, name) for record in records]))
            for name in ("evaluations", "gradients", "failures", "runs", "seconds")
        },
        "passes": float(np.median([record.end("passes") for record in records])),
    }


def _solved(found: Array, info: ProblemInfo) -> float | None:
    """The share of runs that are near enough to the optimum; None where nobody knows it."""
    if info.optimum is None:
        return None
    if info.precision:
        return float(np.mean(found <= PRECISE))
    # An optimum of zero has no neighbourhood of one in a hundred.
    return float(np.mean(found <= info.optimum + (CLOSE * abs(info.optimum) or PRECISE)))


def _reported(records: Iterable[Record]) -> list[str]:
    """The figures that any of the records reports."""
    return list(dict.fromkeys(name for record in records for name in record.report))


def _texts(line: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a line of the table, by the titles of their columns."""
    low, high = line["quartiles"]
    failed = line["failures"] or line["failed"]
    return {name: number(value) for name, value in line["report"].items()} | {
        "problem": line["problem"],
        "method": " ".join(label(line["method"])).strip(),
        "median": number(line["median"]),
        "quartiles": f"{number(low)} .. {number(high)}",
        "best": number(line["best"]),
        "solved": _share(line["solved"]),
        "evaluations": f"{line['evaluations']:,.0f}",
        "failures": f"{line['failures']:,.0f}" if failed else "-",
        "passes": f"{line['passes']:,.0f}",
        "runs": f"{line['runs']:g}",
        "seconds": f"{line['seconds']:.2f}" if line["seconds"] >= 1 else number(line["seconds"], 2),
    }


def _share(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.0f} %"
