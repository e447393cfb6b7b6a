"""From the results of a comparison to what a page shows: medians are given, or trivial."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from experiments.page.content import (
    Array,
    Chart,
    DataColumn,
    DataTable,
    Line,
    MethodInfo,
    PageContent,
    Panel,
    Shown,
    TableCell,
    View,
)
from experiments.page.numbers import readable
from experiments.record import AXES, Axis, ProblemInfo, Results
from experiments.statistics.curves import best_at
from experiments.statistics.quantiles import median, quantiles
from experiments.statistics.training import KINDS, all_courses, apart

FINDINGS = (
    "What Result.diagnose says of each cell: of its last run that came to an end of its own, else "
    "of its first."
)
"""How the findings are to be read."""


class BandLike(Protocol):
    """A median with its quartiles at what had been spent, all of shape (m,)."""

    @property
    def spent(self) -> Array: ...  # noqa: D102

    @property
    def low(self) -> Array: ...  # noqa: D102

    @property
    def middle(self) -> Array: ...  # noqa: D102

    @property
    def high(self) -> Array: ...  # noqa: D102


At = Mapping[str, float]
"""By group of problems, what had been spent."""
Bands = Mapping[tuple[str, str], BandLike]
"""By group of problems and method."""


def content_from(
    results: Results,
    methods: Sequence[MethodInfo],
    bands: Mapping[Axis, Bands],
    *,
    title: str,
    verdict: str = "",
    charts: Sequence[Chart] = (),
    tables: Sequence[DataTable] = (),
    command: str = "",
    axis: Axis = "evaluations",
    at: At | None = None,
    **more: Any,
) -> PageContent:
    """Return a page's content: convergence, results, training and failures of a comparison.

    Parameters
    ----------
    results
        What was run; it may be incomplete.
    methods
        How each method is called and drawn.
    bands
        By axis, the medians of the best value so far, as the problems show their values.
    title, verdict, command
        What stands on top, and what makes it again.
    charts, tables
        More of them, from the statistics: these charts come before those of the training.
    axis, at
        Where the table reads values; see `final_values`.
    more
        Further fields of `PageContent`.
    """
    return PageContent(
        title=title,
        verdict=verdict,
        facts=facts(results),
        methods=methods,
        charts=[convergence(results, bands, command), *charts, *training(results, command, axis)],
        tables=[final_values(results, command, axis, at), *tables, *findings(results, command)],
        failures=failures(results, command),
        command=command,
        **more,
    )


def facts(results: Results) -> list[tuple[str, str]]:
    """Return what was compared: how many problems, methods and seeds, and on which budget."""
    cells = [record.cell for record in results.records]
    budgets = sorted({cell.budget for cell in cells})
    budget = " to ".join(f"{end:,}" for end in dict.fromkeys(budgets[:1] + budgets[-1:]))
    found = [
        ("Problems", f"{len(results.groups):,}"),
        ("Methods", f"{len(results.methods):,}"),
        ("Seeds", f"{len({cell.seed for cell in cells}):,}"),
        ("Runs", f"{len(cells):,}"),
        ("Budget", f"{budget} evaluations"),
    ]
    failed = sum(record.failed for record in results.records)
    return found + ([("Failed", f"{failed:,} runs")] if failed else [])


def convergence(results: Results, bands: Mapping[Axis, Bands], command: str = "") -> Chart:
    """Return the chart of the best value so far: a panel a group, a view an axis."""
    infos = _infos(results)
    panels = []
    for group in results.groups:
        info, views = infos[group], []
        distance = info.precision and info.optimum is not None
        for axis, found in bands.items():
            lines = {
                method: Line(band.spent, band.middle, band.low, band.high)
                for (name, method), band in found.items()
                if name == group
            }
            label = AXES[axis]
            y_label = (
                "distance from the optimum, 1e-8 at least" if distance else "best value so far"
            )
            mark = None if distance else info.optimum
            views.append(View(label, label, y_label, lines, mark=mark))
        panels.append(Panel(group, views, _about(info)))
    note = "Median of the best value so far; the band holds the middle half of the runs."
    return Chart("Convergence", panels, note, command)


def final_values(
    results: Results, command: str = "", axis: Axis = "evaluations", at: At | None = None
) -> DataTable:
    """Return the table of results: a row a group and method, in the order of the plan.

    Parameters
    ----------
    results, command
        What was run, and what makes it again.
    axis, at
        What is spent, and, by group, how much of it when values are read; by default at the end.
    """
    infos = _infos(results)
    reported = list(dict.fromkeys(name for record in results.records for name in record.report))
    columns = [
        DataColumn("problem", "panel"),
        DataColumn("method", "method"),
        DataColumn("median", best="low"),
        DataColumn("quartiles"),
        DataColumn("best", best="low"),
        DataColumn("failed"),
        *(DataColumn(name) for name in reported),
        DataColumn("evaluations"),
        DataColumn("gradients"),
        DataColumn("seconds"),
    ]
    rows: list[list[TableCell]] = []
    for (group, method), records in results.by_group().items():
        until = np.array([(at or {}).get(group, np.inf)])
        found = best_at(records, axis, until, results.problems)[:, 0]
        values = np.where(np.isnan(found), np.inf, found)
        low, middle, high = map(float, quantiles(values, (0.25, 0.5, 0.75)))
        failed = sum(record.failed for record in records)
        rows.append(
            [
                group,
                method,
                middle,
                Shown(
                    f"{readable(low)} – {readable(high)}",
                    high - low if np.isfinite(high) else np.inf,
                ),
                float(values.min()),
                Shown(f"{failed} of {len(records)}", failed) if failed else 0,
                *(_median([r.report[n] for r in records if n in r.report]) for n in reported),
                _median([r.evaluations for r in records]),
                _median([r.gradients for r in records]),
                float(f"{_median([r.seconds for r in records]):.3g}"),
            ]
        )
    many = len(results.groups) > 1
    distance = any(info.precision and info.optimum is not None for info in infos.values())
    note = "Medians over the runs; the best of each problem in bold." + (
        " Values are distances from the optimum where it is known to that precision." * distance
    )
    kept = range(0 if many else 1, len(columns))
    return DataTable(
        "Results",
        [columns[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        note,
        within="problem" if many else "",
        command=command,
    )


def training(results: Results, command: str = "", axis: Axis = "evaluations") -> list[Chart]:
    """Return the chart of what runs saw step by step, a view a kind; or none."""
    unit = AXES["passes" if axis == "passes" else "evaluations"]
    panels = []
    for group, methods in all_courses(results, axis).items():
        views = []
        for kind in KINDS:
            bands = {method: found[kind] for method, found in methods.items() if kind in found}
            if not bands:
                continue
            lines = {
                m: Line(band.spent, band.middle, band.low, band.high) for m, band in bands.items()
            }
            linear = kind == "learning rate" and not apart(line.middle for line in lines.values())
            views.append(View(kind, unit, kind, lines, log_x=False, log_y=not linear, steps=False))
        panels.append(Panel(group, views))
    note = (
        "Step by step: medians over the runs under way; the band holds the middle half of them. "
        "Of populations, the best of each generation and how far its points lie from their mean."
    )
    return [Chart("Training", panels, note, command)] if panels else []


def findings(results: Results, command: str = "") -> list[DataTable]:
    """Return the table of what went wrong in last runs, a row a finding and method; or none."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for record in results.records:
        for name in record.findings:
            key = (results.group(record), record.cell.method, name)
            found.setdefault(key, []).append(record.cell.seed)
    columns = [
        DataColumn("problem", "panel"),
        DataColumn("method", "method"),
        DataColumn("finding", "text"),
        DataColumn("runs"),
        DataColumn("seeds", "text"),
    ]
    rows: list[list[TableCell]] = [
        [*key, len(seeds), _listed(seeds)] for key, seeds in found.items()
    ]
    table = DataTable("What went wrong", columns, rows, FINDINGS, command=command)
    return [table] if rows else []


def failures(results: Results, command: str = "") -> DataTable | None:
    """Return the table of runs that failed or ended by an error, a row a reason; or None."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for record in results.records:
        if record.failed or record.error:
            why = record.error or record.message or "no finite value was found"
            found.setdefault((record.cell.problem, record.cell.method, why), []).append(
                record.cell.seed
            )
    if not found:
        return None
    columns = [
        DataColumn("problem", "text"),
        DataColumn("method", "method"),
        DataColumn("runs"),
        DataColumn("seeds", "text"),
        DataColumn("why", "text"),
    ]
    rows: list[list[TableCell]] = [
        [problem, method, len(seeds), _listed(seeds), why]
        for (problem, method, why), seeds in found.items()
    ]
    return DataTable("Failures", columns, rows, "Failed runs count as the worst.", command=command)


def _infos(results: Results) -> dict[str, ProblemInfo]:
    """The first problem of each group stands for it."""
    found: dict[str, ProblemInfo] = {}
    for record in results.records:
        found.setdefault(results.group(record), results.problems[record.cell.problem])
    return found


def _about(info: ProblemInfo) -> str:
    variables = f"{info.n:,} variable{'s' * (info.n != 1)}"
    known = info.optimum is not None and not info.precision
    optimum = f"optimum {readable(info.optimum or 0.0)}" if known else ""
    parts = [info.description.rstrip("."), variables, optimum, info.source.rstrip(".")]
    return ". ".join(part[:1].upper() + part[1:] for part in parts if part) + "."


def _median(values: Sequence[float]) -> float:
    return float(median(np.asarray(values, float))) if len(values) else float("nan")


def _listed(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:8]))
    return shown + (f" and {len(seeds) - 8} more" if len(seeds) > 8 else "")
