"""The README and the pages under docs/ as tests: their blocks of code, and how one is run."""

import doctest
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


class Block(NamedTuple):
    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(m[1], m[2], m.string.count("\n", 0, m.start(2))) for m in found]


def run(page: Path, block: Block, scope: dict[str, object]) -> None:
    """Run a block; hold what a line prints against what `# ->` says, on it or beneath it."""
    printed: defaultdict[int, str] = defaultdict(str)

    def record(*values: object) -> None:
        printed[sys._getframe(1).f_lineno] += " ".join(map(str, values)) + "\n"

    scope |= {"__name__": "__main__", "print": record}
    exec(compile("\n" * block.line + block.code, str(page), "exec"), scope)
    lines = page.read_text().splitlines()
    for number in range(block.line + 1, block.line + 1 + block.code.count("\n")):
        before, arrow, said = lines[number - 1].partition("# -> ")
        if arrow:
            told = printed[number if before.strip() else number - 1]
            same = doctest.OutputChecker().check_output(said + "\n", told, doctest.ELLIPSIS)
            assert same, f"{page.name}, line {number}: {told!r}, not {said!r}"
