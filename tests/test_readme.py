"""The README and the pages under docs/ are tests: their Python runs, and their commands exist."""

import doctest
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from blackbox import ALGORITHMS, minimize
from experiments.cli import main

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


PYTHON = [block for block in blocks(README) if block.language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for page in (README, *PAGES)
    for block in blocks(page)
    if block.language == "console"
    for line in block.code.splitlines()
]


FILES = {
    match[1]: block.code
    for page in (README, *PAGES)
    for block in blocks(page)
    if (match := re.match(r"# (\w+\.(?:py|toml))\n", block.code))
}
"""Blocks that begin with a name are files, which commands refer to."""


@pytest.mark.parametrize("page", [README, *PAGES], ids=name_of)
def test_every_block_is_one_that_is_tested(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"python", "console", "toml"}
    assert all(command.split()[0] in {"make", "experiments"} for command in COMMANDS)


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


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"line {block.line}")
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    run(README, block, scope)
    if block.code in FILES.values():
        return  # commands show that it can be used
    if "trained" in scope:
        held_out = scope["trained"].validation_loss  # type: ignore[attr-defined]
        assert held_out < 0.5, "the example says that it learns"
        return
    if "tuned" in scope:
        assert scope["tuned"].best_value < 0.5, "the example says that it finds good settings"  # type: ignore[attr-defined]
        return
    best = scope["result"].fun if "result" in scope else scope["opt"].best_value  # type: ignore[attr-defined]
    assert best < 1e-3, "the example says that it finds the minimum"


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


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_knows_its_targets(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr


EXPERIMENTS = [command for command in COMMANDS if command.startswith("experiments")]
SMALL = ["--seeds", "1", "--budget", "60", "--workers", "1"]
COMPARISONS = [command for command in EXPERIMENTS if command.split()[1] == "compare"]


@pytest.mark.parametrize(
    ("command", "smaller"),
    [
        *((command, command in COMPARISONS) for command in EXPERIMENTS),
        *(pytest.param(command, False, marks=pytest.mark.slow) for command in COMPARISONS),
    ],
)
def test_commands_run(
    command: str, smaller: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that take long are run by tests of their own; here they must know their name."""
    monkeypatch.chdir(tmp_path)
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    _, *arguments = shlex.split(command) + SMALL * smaller
    if arguments[0] in {"report", "export", "quality"}:
        small = ["--methods", "cma", "--seeds", "1", "--budget", "40", "--out", arguments[1]]
        assert main(["compare", "bbob:f=1:n=2", *small]) == 0
    if arguments[0] == "journal":
        minimize(lambda x: float(x @ x), [1.0], method="cma", budget=9, journal=arguments[-1])
    if arguments[0] == "tune":
        arguments += ["--budget", "3"]
    if arguments[0] in {"reproduce", "speed", "agreement", "diagnosis", "drop-in", "reliability"}:
        arguments.append("--help")
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code in (0, None)
    if arguments[0] == "compare":
        assert any((tmp_path / arguments[arguments.index("--out") + 1]).iterdir())


def test_the_readme_names_every_method() -> None:
    section = README.read_text().split("## Methods")[1].split("## Compare")[0]
    named = set(re.findall(r"`([a-z_-]+)`", section.split("`method=")[0]))
    assert named == set(ALGORITHMS)
