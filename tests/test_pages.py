"""The pages under docs/ are tests: their Python runs, block by block.

Examples of a family differ in the name and a rate: the fast suite runs a third of them.
"""

import re
from pathlib import Path

import pytest

from blackbox import ALGORITHMS
from tests.blackbox.conftest import draw, families_of
from tests.documents import PAGES, ROOT, blocks, name_of, run


def slow(page: Path) -> bool:
    return bool(families_of(page.stem)) and draw(page.stem) % 3 > 0


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if slow(page) else []) for page in PAGES],
    ids=name_of,
)
def test_a_page_runs_block_by_block(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ALGORITHMS.get(page.stem)
    if row is not None and not row.installed:
        pytest.skip(f"{row.requires} is not installed")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks(page):
        if block.language == "python":
            run(page, block, scope)
    assert scope


def test_links_lead_somewhere_in_the_repository_too() -> None:
    """Pages are read there as well as on the site."""
    pages = [p for folder in ("docs", "results") for p in (ROOT / folder).rglob("*.md")]
    lost = []
    for page in [*pages, ROOT / "README.md", ROOT / "CHANGELOG.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target = link.partition("#")[0]
            if target and "://" not in target and not (page.parent / target).exists():
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert pages
    assert not lost
