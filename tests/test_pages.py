"""The pages under docs/ are tests: their Python runs, block by block."""

from pathlib import Path

import pytest

from blackbox import ALGORITHMS
from tests.documents import PAGES, blocks, name_of, run


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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
