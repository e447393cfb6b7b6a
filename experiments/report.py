"""Tables and JSON from results: for the terminal, for Markdown, for machines."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table as RichTable

WIDE = 100
"""Terminals with fewer columns don't show the extra ones of a table."""


class Column(NamedTuple):
    """A column.

    Attributes
    ----------
    title, number
        Its title, and whether it holds numbers (then it is flush right).
    extra
        Left out where the terminal is narrower than 100 columns.
    """

    title: str
    number: bool = True
    extra: bool = False


class Table(NamedTuple):
    """A table of texts, to be shown in more than one way.

    Attributes
    ----------
    title, columns, rows
        What it shows.
    notes
        Sentences beneath it.
    best
        Rows that are marked as the best, by their number.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    best: Collection[int] = ()

    def markdown(self) -> str:
        """Return the table and its notes as Markdown, without the title."""
        head = "| " + " | ".join(column.title for column in self.columns) + " |"
        rule = "|" + "|".join("---:" if column.number else "---" for column in self.columns) + "|"
        body = [
            "| " + " | ".join(self._markdown(i, cell) for cell in row) + " |"
            for i, row in enumerate(self.rows)
        ]
        notes = [""] + [f"{note}\n" for note in self.notes] if self.notes else []
        return "\n".join([head, rule, *body, *notes]).rstrip() + "\n"

    def _markdown(self, row: int, cell: str) -> str:
        text = cell.replace("|", "\\|")
        return f"**{text}**" if row in self.best and text.strip("- ") else text

    def rich(self, width: int) -> "RichTable":
        """Return the table for a terminal of so many columns."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(
            title=Text(self.title) if self.title else None,
            title_justify="left",
            title_style="bold",
            caption=Text("\n".join(self.notes)) if self.notes else None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 0),
        )
        kept = [i for i, c in enumerate(self.columns) if width >= WIDE or not c.extra]
        for i in kept:
            column = self.columns[i]
            shown.add_column(
                Text(column.title), justify="right" if column.number else "left", overflow="fold"
            )
        for number, row in enumerate(self.rows):
            style = "bold" if number in self.best else None
            shown.add_row(*(Text(row[i]) for i in kept), style=style)
        return shown


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def plain(value: Any) -> Any:
    """Return the same in types that JSON knows: NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [plain(item) for item in value]


def to_json(value: Any) -> str:
    """Return JSON text: an entry a line, arrays of numbers in one."""
    return _layout(plain(value)) + "\n"


def write(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _layout(value: Any, indent: str = "") -> str:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(key)}: {_layout(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        lines = [inner + _layout(item, inner) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
