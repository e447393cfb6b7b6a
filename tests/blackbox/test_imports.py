"""The house: imports go down only, importing is cheap, everything public says what it is."""

import ast
import importlib
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import blackbox
from blackbox import ALGORITHMS

ROOT = Path(blackbox.__file__).parents[1]
FOLDERS = ["blackbox", "adapters", "experiments"]  # each may import itself and those before it
FILES = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
HEAVY = ["torch", "matplotlib", "cma", "pyswarm", "nlopt"]
CORE = [path for path in FILES if path.relative_to(ROOT).parts[0] == "blackbox"]


def name_of(path):
    return str(path.relative_to(ROOT))


@cache
def parsed(path):
    return ast.parse(path.read_text())


def imported(tree):
    """Top-level names of all that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path):
    rank = FOLDERS.index(path.relative_to(ROOT).parts[0])
    above = set(FOLDERS[rank + 1 :]) | {"tests"}
    assert not above & set(imported(parsed(path)))


def test_all_three_folders_are_looked_at():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} >= {"blackbox"}
    assert len(CORE) > 15


@pytest.mark.parametrize("statement", ["import blackbox", "from blackbox import *"])
def test_importing_loads_no_heavy_library(statement):
    program = (
        f"{statement}\nimport sys, threading\n"
        f"print([name for name in {HEAVY} if name in sys.modules], threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[] 1"
    assert done.stderr == ""


def test_reading_the_table_loads_no_heavy_library():
    program = (
        "from blackbox import ALGORITHMS\n"
        "[(r.summary, r.where, r.proof) for r in ALGORITHMS.values()]\n"
        f"import sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_row_loads_and_is_made_of_its_defaults(row):
    kind = row.load()
    assert row.make({}) == kind()
    assert set(row.options()) >= set(row.tolerance_options)
    assert ALGORITHMS[row.name] is row
    assert row.name == row.name.lower()
    assert not row.summary.endswith(".")
    assert callable(kind().run)
    with pytest.raises(AttributeError):
        kind().some_field = 1


@pytest.mark.parametrize("name", blackbox.__all__)
def test_public_names_exist_and_say_what_they_are(name):
    found = getattr(blackbox, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert inspect.getdoc(found)


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_everything_public_has_a_docstring(path):
    tree = parsed(path)
    assert ast.get_docstring(tree), "the module has none"
    missing = []

    def look(node, within):
        for child in node.body:
            kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(child, kinds) and not child.name.startswith("_"):
                if not ast.get_docstring(child):
                    missing.append(f"{within}{child.name}")
                if isinstance(child, ast.ClassDef):
                    look(child, f"{within}{child.name}.")

    look(tree, "")
    assert not missing


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 420


@pytest.mark.parametrize("name", ["minimize", "optimizer"])
def test_examples_in_docstrings_hold(name):
    import doctest

    module = importlib.import_module(f"blackbox.{name}")
    told = doctest.testmod(module)
    assert told.attempted > 0
    assert told.failed == 0
