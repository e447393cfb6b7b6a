"""What people pass to `compare` from Python, and scripts that do not suit worker processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import compare
from tests.experiments import own


def test_a_text_is_a_list_of_one():
    listed = compare(["sphere:n=2:noise=0"], ["random"], 1, 20, only=["seed=0"])
    alone = compare("sphere:n=2:noise=0", "random", np.int64(1), 20, only="seed=0")
    assert alone.records[0].cell == listed.records[0].cell


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"problems": own.sphere}, TypeError, r"problems must be a list; .* around it"),
        ({"methods": 3}, TypeError, "methods must be a list"),
        ({"seeds": 1.5}, TypeError, "seeds must be a list"),
        ({"seeds": [0, "a"]}, ValueError, "whole numbers from 0 on; got 'a'"),
        ({"seeds": [1, -2]}, ValueError, "whole numbers from 0 on; got -2"),
        ({"only": "cm*"}, ValueError, r"'cm\*' names nothing in this plan"),
    ],
)
def test_what_makes_no_sense_is_named(changed, error, text):
    given = {"problems": [own.sphere], "methods": ["random"], "seeds": 1, "budget": 20}
    with pytest.raises(error, match=text):
        compare(**(given | changed))


def test_workers_that_cannot_begin_say_what_a_script_needs(tmp_path):
    (tmp_path / "script.py").write_text(
        "from experiments import compare\n"
        "from tests.experiments import own\n"
        "compare([own.sphere], ['random'], 2, 20, workers=2)\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert done.returncode == 1
    assert '__name__ == "__main__"' in done.stderr.splitlines()[-1]


def test_a_closed_stdout_is_no_fault(tmp_path):
    words = ["compare", f"{own.__file__}:sphere", "--methods", "random", "--seeds", "1"]
    text = (
        "import sys; sys.stdout = None; from experiments.cli import main; "
        f"sys.exit(main({[*words, '--budget', '5', '--out', str(tmp_path)]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").exists()
