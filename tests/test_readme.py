"""The README is a test, and so are all commands in it and under docs/: they run."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from blackbox import ALGORITHMS, minimize
from experiments.cli import main
from tests.conftest import leave_undrawn
from tests.documents import PAGES, README, ROOT, Block, blocks, name_of, run

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
    if command not in COMPARISONS or smaller:
        leave_undrawn(monkeypatch)
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    _, *arguments = shlex.split(command) + SMALL * smaller
    if arguments[0] in {"report", "export", "quality"}:
        small = ["--methods", "cma", "--seeds", "1", "--budget", "40", "--out", arguments[1]]
        assert main(["compare", "bbob:f=1:n=2", *small]) == 0
    if arguments[0] == "journal":
        minimize(lambda x: float(x @ x), [1.0], method="cma", budget=9, journal=arguments[-1])
    if arguments[0] == "tune":
        arguments += ["--budget", "3", "--workers", "1"]
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
