import csv
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.export import tables
from experiments.record import Results


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_line_a_run(results, tmp_path):
    runs, _ = tables.write_csv(results, tmp_path / "new" / "folder")
    first, second, third = read(runs)
    assert (first["problem"], first["method"], first["seed"]) == ("article", "cma", "0")
    assert (first["n"], float(first["optimum"]), first["group"]) == ("12", 0.25, "article")
    assert float(first["value"]) == 1e-300
    assert first["passes"] == str(1000 + 2 * 7)
    assert (first["report: f1"], second["report: f1"]) == ("0.5", "")
    assert (third["value"], third["optimum"], third["group"]) == ("inf", "", "mine")
    assert not list(runs.parent.glob("*.part"))


def test_csv_has_a_line_an_improvement_with_every_digit(results, tmp_path):
    _, curves = tables.write_csv(results, tmp_path)
    lines = read(curves)
    assert [float(line["value"]) for line in lines] == [3.25, 1 / 3, 1e-300, 2.0]
    assert [int(line["passes"]) for line in lines] == [1, 5 + 4, 20 + 20, 1]
    assert tuple(lines[0]) == tables.CURVE_COLUMNS


def test_no_spreadsheet_takes_a_text_for_a_formula(results, tmp_path):
    for path in tables.write_csv(results, tmp_path):
        for line in read(path):
            for title in {"problem", "method", "message", "error"} & set(line):
                assert not line[title].startswith(("=", "+", "-", "@"))
    second = read(tmp_path / "runs.csv")[1]
    assert second["method"] == "'=cmd|' /C calc'!A0"
    assert second["message"] == '\'-1+2\nnew, "line"'


@given(st.text() | st.floats() | st.integers() | st.none())
def test_cells_are_numbers_or_harmless_texts(value):
    cell = tables._cell(value)
    if isinstance(value, str):
        assert cell.removeprefix("'") == value.removeprefix("'")
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
    elif value is None or value != value:
        assert cell == ""
    else:
        assert float(cell) == value


def test_frames_hold_what_the_csv_holds(results, tmp_path):
    pd = pytest.importorskip("pandas")
    tables.write_csv(results, tmp_path)
    for frame, name in (
        (tables.to_frame(results), "runs"),
        (tables.curves_frame(results), "curves"),
    ):
        told = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(frame.columns) == list(told.columns)
        for title in frame.select_dtypes("number"):
            np.testing.assert_array_equal(frame[title].to_numpy(), told[title].to_numpy())


def test_frames_count_in_whole_numbers(results):
    pytest.importorskip("pandas")
    kinds = tables.curves_frame(results).dtypes
    assert [str(kinds[title]) for title in ("seed", "evaluations", "passes", "value")] == [
        "int64",
        "int64",
        "int64",
        "float64",
    ]


def test_parquet_comes_back_as_the_frames(results, tmp_path):
    pd, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    runs, curves = tables.write_parquet(results, tmp_path)
    told = parquet.read_table(runs).to_pydict()
    assert told["method"] == ["cma", "=cmd|' /C calc'!A0", "cma"]
    assert told["value"] == [1e-300, 2.0, math.inf]
    assert told["optimum"] == [0.25, 0.25, None]
    back = pd.DataFrame(parquet.read_table(curves).to_pydict())
    pd.testing.assert_frame_equal(back, tables.curves_frame(results), check_dtype=False)


def test_no_results_give_empty_tables(tmp_path):
    pytest.importorskip("pyarrow")
    nothing = Results((), {})
    tables.write_parquet(nothing, tmp_path)
    tables.write_csv(nothing, tmp_path)
    assert read(tmp_path / "curves.csv") == read(tmp_path / "runs.csv") == []


@pytest.mark.parametrize("write", [tables.write_csv, tables.write_parquet])
def test_what_was_there_stays_where_writing_fails(results, tmp_path, monkeypatch, write):
    pytest.importorskip("pyarrow")
    kept = {path: path.read_bytes() for path in write(results, tmp_path)}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    monkeypatch.setattr(tables, "_cell", full)
    with pytest.raises(OSError, match="No space"):
        write(results, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    ("name", "call"), [("pandas", tables.to_frame), ("pandas", tables.curves_frame)]
)
def test_a_missing_library_is_named(results, monkeypatch, name, call):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{name}: pip install -e \"\.\[tables\]\""):
        call(results)


def test_a_missing_pyarrow_is_named(results, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pyarrow: pip install -e \"\.\[tables\]\""):
        tables.write_parquet(results, tmp_path)


def test_csv_needs_neither_pandas_nor_pyarrow():
    code = (
        "import sys, experiments.export.tables\n"
        "loaded = {'pandas', 'pyarrow', 'matplotlib', 'torch'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
