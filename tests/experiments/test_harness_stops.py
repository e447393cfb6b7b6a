"""The command as a process of its own: stopped, killed, its output taken away."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.comparison import load
from experiments.storage import FILE, Store, StoreError
from tests.experiments import own

FILE_OF_OWN = own.__file__


HEARING = (
    "import signal, sys; from experiments.cli import main;"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "sys.exit(main(sys.argv[1:]))"
)
"""Tests that run in the background of a shell have children that are deaf to Ctrl-C."""


def command(*words):
    return [sys.executable, "-c", HEARING, *map(str, words)]


def compare(name, folder, *words):
    return command(
        *("compare", f"{FILE_OF_OWN}:{name}", "--methods", "random,slsqp", "--seeds", 20),
        *("--budget", 60, "--out", folder, *words),
    )


def begun(words, folder):
    """The process, when a cell of it is being run."""
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        if (folder / FILE).exists():
            with Store(folder, create=False) as store:
                if store.values():
                    return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, 2), pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow)],
)
def test_stopped_it_ends_tidily(tmp_path, number, workers):
    process = begun(compare("slow", tmp_path, "--workers", workers), tmp_path)
    os.killpg(process.pid, number)  # as a terminal does, to all of them
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "go on by the same command" in errors
    assert "Incomplete" in out
    assert not list(tmp_path.glob(".*.lock"))
    assert not list(tmp_path.glob(FILE + "-*"))


def test_workers_do_not_outlive_a_killed_command(tmp_path):
    process = begun(compare("slow", tmp_path, "--workers", 2), tmp_path)
    process.kill()
    process.communicate(timeout=30)  # ends when the last of them has let go of its output
    left = len(load(tmp_path).records)
    assert left < 40
    time.sleep(1.0)
    assert len(load(tmp_path).records) == left


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_what_a_problem_prints_stays_out_of_json(tmp_path, workers):
    (tmp_path / "loud.py").write_text(
        "print('imported')\n"
        "def f(x):\n    print('called')\n    return float(x @ x)\n"
        "f.bounds = [(-1, 1)] * 2\n"
    )
    words = ["loud.py:f", "--methods", "random", "--seeds", 2, "--budget", 5, "--json"]
    done = subprocess.run(
        command("compare", *words, "--workers", workers),
        capture_output=True, text=True, cwd=tmp_path, check=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert json.loads(done.stdout)["complete"]
    assert done.stderr.count("called") == 10


@pytest.mark.usefixtures("undrawn")
def test_a_readme_of_others_is_not_written_over(tmp_path, capsys):
    from experiments.cli import main

    (tmp_path / "README.md").write_text("mine")
    words = ["compare", f"{FILE_OF_OWN}:sphere", "--methods", "random", "--seeds", "1"]
    words += ["--budget", "5", "--out", str(tmp_path)]
    assert main(words) == 2
    assert "no comparison wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "README.md").unlink()
    assert main(words) == main(words) == 0


def test_any_damage_to_a_store_is_said_in_words(tmp_path):
    """Bytes and texts of a store are replaced at random: it is read, or refused in words."""
    import random
    import sqlite3

    import experiments

    experiments.compare([own.sphere], ["random", "slsqp"], 2, 20, out=tmp_path)
    path, rng = tmp_path / FILE, random.Random(0)
    whole, refused = path.read_bytes(), []
    for attempt in range(60):
        if attempt % 2:
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 10, 100])):
                damaged[rng.randrange(100, len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged)
        else:
            path.write_bytes(whole)
            db = sqlite3.connect(path)
            key, blob = rng.choice(db.execute("SELECT key, arrays FROM results").fetchall())
            blob = bytearray(blob)
            blob[rng.randrange(len(blob))] ^= 255
            db.execute("UPDATE results SET arrays = ? WHERE key = ?", (bytes(blob), key))
            db.commit()
            db.close()
        try:
            load(tmp_path)
        except StoreError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all("another --out" in text or "move it away" in text for text in refused)
