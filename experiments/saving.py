"""A comparison as a folder that people read: a page, pictures, a report, figures for machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import drawing, page, telling
from experiments.environment import describe
from experiments.record import Axis
from experiments.report import Table, literal, write
from experiments.tables import GROUPS_LISTED

if TYPE_CHECKING:
    from experiments.comparison import Comparison

FIGURES = "figures"
LINES = 60
"""A page of Markdown lists at most so many lines of problems; the report has all."""


def save(comparison: "Comparison", folder: Path, axis: Axis) -> list[Path]:
    """Write ``README.md``, ``report.html``, ``results.json`` and ``figures/``.

    Parameters
    ----------
    comparison
        At least one record.
    folder
        Is made where it is not there.
    axis
        What the budgets are equal in, in tables and words.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / FIGURES
    figures.mkdir(exist_ok=True)
    pictures = list(drawing.draw_all(comparison, figures, axis))
    page.write_page(folder / "report.html", telling.content(comparison, axis))
    write(folder / "results.json", comparison.to_json(axis))
    write(folder / "README.md", markdown(comparison, pictures, axis))
    drawn = [path for picture in pictures for path in picture.paths]
    return [folder / "README.md", folder / "report.html", folder / "results.json", *drawn]


def markdown(comparison: "Comparison", pictures: Sequence[drawing.Picture], axis: Axis) -> str:
    """Return the page as Markdown: verdict, tables, pictures, and how it was made."""
    shown = comparison.tables(axis)
    parts = [f"# {literal(shown[0].title)}", literal(comparison.verdict(axis))]
    parts.append("[report.html](report.html) has the same with curves to zoom into.")
    if not comparison.complete:
        parts.append("**It was stopped before its end.**")
    for i, table in enumerate(shown):
        parts += [f"## {table.title}"] if i else []
        parts.append(_cut(table).markdown())
    if 1 < len(comparison.groups) <= GROUPS_LISTED:
        said = [f"- {literal(sentence)}" for sentence in comparison.verdicts(axis).values()]
        parts += ["## Problem by problem", "\n".join(said)]
    for picture in pictures:
        images = [f"![{picture.title}]({FIGURES}/{path.name})" for path in picture.pngs]
        parts += [f"## {picture.title}", picture.note, *images]
    parts.append("## How it was made")
    parts.append(f"```console\n{comparison.command}\n```" if comparison.command else "")
    parts += [
        describe(environment["versions"], environment["machine"]) + "."
        for environment in comparison.environments
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _cut(table: Table) -> Table:
    if len(table.rows) <= LINES:
        return table
    more = f"{len(table.rows) - LINES} more lines are in the report."
    return table._replace(rows=table.rows[:LINES], notes=[more, *table.notes])
