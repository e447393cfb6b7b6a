"""The README is a test: its Python runs as it stands, and its commands exist."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from blackbox import ALGORITHMS
from experiments.cli import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for language, code in BLOCKS
    if language == "console"
    for line in code.splitlines()
]


def test_every_block_is_one_that_is_tested() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "console"}
    assert all(command.split()[0] in {"make", "experiments"} for command in COMMANDS)


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, "README.md", "exec"), scope)
    best = scope["result"].fun if "result" in scope else scope["opt"].best_value  # type: ignore[attr-defined]
    assert best < 1e-3, "the example says that it finds the minimum"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_knows_its_targets(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("experiments")])
def test_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that take long are run by tests of their own; here they must know their name."""
    monkeypatch.chdir(tmp_path)
    _, *arguments = shlex.split(command)
    if arguments[0] in {"reproduce", "speed"}:
        arguments.append("--help")
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code in (0, None)
    if arguments[0] == "compare":
        assert any((tmp_path / "comparison").iterdir())


def test_the_table_lists_every_method() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    assert named == {*ALGORITHMS, "auto"}


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
