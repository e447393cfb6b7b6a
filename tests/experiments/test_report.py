import io
import json

import numpy as np
import pytest
from rich.console import Console

from experiments.report import Column, Table, number, plain, to_json, write

TABLE = Table(
    "A title",
    [Column("name", number=False), Column("value"), Column("more", extra=True)],
    [["a|b", "1.5", "x"], ["c", "20", "y"]],
    ["A note."],
)


def test_markdown():
    assert TABLE.markdown() == (
        "| name | value | more |\n|---|---:|---:|\n| a\\|b | 1.5 | x |\n| c | 20 | y |\n\nA note.\n"
    )


@pytest.mark.parametrize(("width", "shown"), [(80, False), (120, True)])
def test_narrow_terminals_get_no_extra_columns(width, shown):
    console = Console(width=width, record=True, file=io.StringIO())

    console.print(TABLE.rich(width))
    text = console.export_text()
    assert ("more" in text) is shown
    assert all(word in text for word in ("A title", "a|b", "20", "A note."))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.78305, "0.7831"),
        (54710.0, "5.471e4"),
        (1e-7, "1e-7"),
        (None, "-"),
        (np.nan, "-"),
        (3.0, "3"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_json_is_strict_and_complete():
    content = {
        "array": np.array([1.0, np.nan]),
        "count": np.int64(3),
        "rows": [{"a": (1, 2)}, {"b": None}],
        "empty": {},
        "text": "ü",
        "yes": np.bool_(True),
    }
    read = json.loads(to_json(content))
    assert read == {
        "array": [1.0, None],
        "count": 3,
        "rows": [{"a": [1, 2]}, {"b": None}],
        "empty": {},
        "text": "ü",
        "yes": True,
    }
    assert plain(np.inf) is None


def test_write_replaces_whole_files(tmp_path):
    path = tmp_path / "page.md"
    write(path, "first")
    write(path, "second")
    assert path.read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]


def test_labels_are_not_read_as_markup():
    table = Table("[red]t", [Column("[b]c", number=False)], [["x[/]"]], ["[link=a]n"], best=[0])
    console = Console(width=120, file=io.StringIO())
    console.print(table.rich(120))
    shown = "".join(console.file.getvalue().split())  # narrow tables wrap their titles
    assert all(text in shown for text in ("[red]t", "[b]c", "x[/]", "[link=a]n"))
    assert "| **x[/]** |" in table.markdown()
