"""Tables and JSON from results: for the terminal, for Markdown, for machines."""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rich.console import Group

WIDE = 100
"""Terminals with fewer columns don't show the extra ones of a table."""


FOLDED = 10
"""Where a terminal has too few columns, those of names get no narrower than this."""


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
        titles = [_cell(column.title) for column in self.columns]
        head = "| " + " | ".join(titles) + " |"
        rule = "|" + "|".join("---:" if column.number else "---" for column in self.columns) + "|"
        body = [
            "| " + " | ".join(self._markdown(i, cell) for cell in row) + " |"
            for i, row in enumerate(self.rows)
        ]
        notes = [""] + [f"{literal(note)}\n" for note in self.notes] if self.notes else []
        return "\n".join([head, rule, *body, *notes]).rstrip() + "\n"

    def _markdown(self, row: int, cell: str) -> str:
        text = _cell(cell)
        return f"**{text}**" if row in self.best and text.strip("- ") else text

    def rich(self, width: int) -> "Group":
        """Return the table, and its notes, for a terminal of so many columns."""
        from rich import box
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
        widths = self._widths(width)
        for i, wide in widths.items():
            column = self.columns[i]
            justify: Literal["right", "left"] = "right" if column.number else "left"
            shown.add_column(Text(column.title), justify=justify, overflow="fold", width=wide)
        for number, row in enumerate(self.rows):
            style = "bold" if number in self.best else None
            shown.add_row(*(Text(row[i]) for i in widths), style=style)
        title = [Text(self.title, style="bold")] if self.title else []
        notes = [Text(note, style="dim italic") for note in self.notes]
        return Group(*title, shown, *notes)

    def _widths(self, width: int) -> dict[int, int]:
        """How wide the columns are that a terminal has room for: numbers are never broken."""
        from rich.cells import cell_len

        kept = [i for i, c in enumerate(self.columns) if width >= WIDE or not c.extra]
        texts = {i: [self.columns[i].title, *(row[i] for row in self.rows)] for i in kept}
        widths = {i: max(map(cell_len, texts[i])) for i in kept}
        least = {i: max(cell_len(word) for text in texts[i] for word in text.split()) for i in kept}
        least |= {i: min(least[i], FOLDED) for i in kept if not self.columns[i].number}
        room = width - 1
        while sum(least.values()) + len(least) > room:
            numbers = [i for i in least if self.columns[i].number]
            if len(numbers) < 2:
                break
            del least[numbers[-1]]
        while sum(widths[i] for i in least) + len(least) > room:
            i = max(least, key=lambda i: widths[i] - least[i])
            if widths[i] == least[i]:
                break
            widths[i] -= 1
        return {i: widths[i] for i in least}


def literal(text: str) -> str:
    """Return text for Markdown, in which nothing is taken for HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def _cell(text: str) -> str:
    return literal(text).replace("|", "\\|")


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
