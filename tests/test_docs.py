"""The documentation's site: a page for each method, every option shown, no broken link."""

import html
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from blackbox import ALGORITHMS, recommend
from blackbox.recommend import RULES

pytest.importorskip("mkdocs", reason="mkdocs is not installed")

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path.stem: path for path in (ROOT / "docs" / "methods").glob("*.md")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    there: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(there)]
    settings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return there


@pytest.fixture(scope="module")
def meanings() -> dict[str, str]:
    """What the site says of options that a class takes over from its library."""
    found: dict[str, str] = load("meanings").MEANINGS
    return found


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(page: Path) -> str:
    """A page's text."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def cells(page: Path) -> list[list[str]]:
    """The text of each row of each table."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.read_text(), re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]+>", "", c)).strip()
            for c in re.findall(r"<t[dh].*?</t[dh]>", r)
        ]
        for r in rows
    ]


def test_each_method_has_a_page_and_each_page_a_method() -> None:
    assert set(PAGES) - {"index"} == set(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_page_has_its_facts_options_and_an_example(name: str) -> None:
    page = PAGES[name].read_text()
    assert page.startswith(f"# {name}\n")
    assert all(page.count(f"<!-- {part} -->") == 1 for part in ("summary", "facts", "options"))
    assert f'"{name}"' in page, "the example uses the method"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_built_page_shows_what_the_table_knows(name: str, site: Path) -> None:
    row = ALGORITHMS[name]
    page = site / "methods" / f"{name}.html"
    text = words(page)
    for fact in (row.summary, row.paper, row.memory, row.batch):
        assert fact in text
    table = {line[0]: line[1:] for line in cells(page)}
    for option, default in row.options().items():
        shown, meaning = table[option]
        assert shown in (repr(default), getattr(default, "__name__", None))
        assert meaning


def test_the_overview_and_the_navigation_list_every_method(site: Path) -> None:
    listed = {line[0] for line in cells(site / "methods" / "index.html")} - {"method"}
    assert listed == {row.name + row.summary for row in ALGORITHMS.values()}
    assert all(
        f'href="methods/{name}.html"' in (site / "index.html").read_text() for name in ALGORITHMS
    )


def test_the_page_of_rules_lists_each_question(site: Path) -> None:
    asked = {line[0] for line in cells(site / "which.html")}
    assert set(inspect.signature(recommend).parameters) <= asked


def test_the_page_of_rules_lists_each_rule(site: Path) -> None:
    table = [line[1:] for line in cells(site / "which.html") if line[0].isdigit()]
    assert [line[0] for line in table] == [str(rule.when) for rule in RULES]
    assert [line[2:] for line in table] == [[rule.reason, rule.source] for rule in RULES]
    for rule, line in zip(RULES, table, strict=True):
        assert all(name in line[1] for name in (*rule.methods, *rule.options))
    assert recommend(5, 400).source in [line[3] for line in table]


def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    ours = [page for page in site.rglob("*.html") if page.name != "report.html"]
    assert len(ours) > len(ALGORITHMS)
    for page in ours:
        loaded = re.findall(
            r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', page.read_text()
        )
        assert loaded == []


def test_the_defaults_shown_are_read_from_docstrings_first() -> None:
    class Parent:
        """Something.

        Attributes
        ----------
        one, two
            The first ``thing``,
            in two lines.
        """

    class Child(Parent):
        """More.

        Attributes
        ----------
        two
            Its own.

        Notes
        -----
        three
            No option.
        """

    sys.path.insert(0, str(ROOT / "docs"))
    try:
        described = load("hooks").described
    finally:
        sys.path.remove(str(ROOT / "docs"))
    assert described(Child) == {"one": "The first `thing`, in two lines.", "two": "Its own."}


def test_no_meaning_outlives_its_option(meanings: dict[str, str]) -> None:
    known = {option for row in ALGORITHMS.values() for option in row.options()}
    known |= {f"{name}.{option}" for name, row in ALGORITHMS.items() for option in row.options()}
    assert set(meanings) <= known
