"""Runs that are killed at random moments and go on from their journal; each life a process."""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blackbox import ALGORITHMS, JournalError, Method, minimize, read_journal

BUDGET = 150
SLOW = 0.001
"""Seconds that an evaluation takes, so that there is time to die."""
LONGEST = 0.08
"""Seconds after a new evaluation in which a run is killed, at a moment that is drawn."""
EARLY = 0.2
"""Share of kills that do not wait for a new evaluation: they come while it reads its journal."""


class Killed(NamedTuple):
    """How a run ended that was killed several times.

    Attributes
    ----------
    method, kills
        The method, and how often it was killed.
    same
        Whether its end is that of a run that nobody killed, bit for bit.
    recorded, evaluated
        Evaluations in the journal, and those that the objective saw in all of its lives.
    twice
        Evaluations that the journal holds beyond those of the run: written down twice.
    in_flight
        The largest batch: what a kill may cost.
    """

    method: str
    kills: int
    same: bool
    recorded: int
    evaluated: int
    twice: int
    in_flight: int

    @property
    def kept(self) -> bool:
        """Whether it is as it should be."""
        again = self.evaluated - self.recorded
        return self.same and not self.twice and 0 <= again <= self.kills * self.in_flight


def run(name: str, journal: Path | None = None, log: Path | None = None) -> dict[str, Any]:
    """Run a method to its end; a byte for each evaluation goes to a log."""
    out = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def fun(x: Any) -> float:
        if out is not None:
            time.sleep(SLOW)
            os.write(out, b".")
        return float(np.sum((x - 0.7) ** 2) + 0.1 * np.cos(9 * x).sum())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = minimize(
            fun,
            [3.0, -2.0, 1.0],
            method=name,
            bounds=[(-5, 5)] * 3,
            seed=1,
            budget=BUDGET,
            journal=journal,
            options=_small(ALGORITHMS[name]),
        )
    return {
        "x": found.x.tobytes().hex(),
        "fun": found.fun.hex(),
        "nfev": found.nfev,
        "message": found.message,
        "values": found.history.values.tobytes().hex(),
    }


def _small(row: Method) -> dict[str, Any]:
    """A small population, so that a short run has many batches."""
    return {key: 6 for key in ("popsize", "swarmsize") if key in row.options()}


def kill_often(name: str, kills: int, seed: int = 0) -> Killed:
    """Kill a run so many times, let it end, and compare."""
    rng = np.random.default_rng([seed, *name.encode()])
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        journal, log = Path(folder, "run.journal"), Path(folder, "log")
        while done < kills:
            early = bool(rng.random() < EARLY)
            done += _live(name, journal, log, early, float(rng.uniform(0, LONGEST)))
            if _ended(journal):
                break  # there is nothing left to kill
        found = run(name, journal, log)
        past = read_journal(journal)
        whole = run(name)
        lines = journal.read_text().splitlines()[1:]
        batches = [len(json.loads(line[9:]).get("y", ())) for line in lines]
        return Killed(
            name,
            done,
            found == whole,
            past.evaluations,
            log.stat().st_size,
            past.evaluations - whole["nfev"],
            max(batches),
        )


def _live(name: str, journal: Path, log: Path, early: bool, seconds: float) -> bool:
    """Let a run live for so long; return whether it was killed."""
    here, before = Path(__file__).parents[1], _size(log)
    files = [str(journal), str(log)]
    command = [sys.executable, "-m", "experiments.reliability_kills", name, *files]
    life = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert life.stdout is not None
    try:
        life.stdout.read(1)  # it says when it begins
        while not early and _size(log) == before and life.poll() is None:
            time.sleep(0.002)
        time.sleep(seconds)
    finally:
        life.kill()
        life.stdout.close()
        code = life.wait()
    return code != 0


def _ended(journal: Path) -> bool:
    try:
        return read_journal(journal).reason is not None
    except JournalError:
        return False  # it was killed before it had written anything


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


if __name__ == "__main__":
    import blackbox.algorithms.cmaes  # noqa: F401 (what takes long is loaded before it begins)

    print("!", end="", flush=True)
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
