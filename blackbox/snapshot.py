"""Where a run stands, beside its journal: for runs whose way back would be long.

A snapshot (``run.journal.snapshot``, format: `blackbox.packing`) holds what a run needs to go on
from the beginning of one of its steps, and which line of the journal that was. The way back is then
the lines after it.

It is written while a run is driven all of whose parts can say where they stand
(`blackbox.types.Resumable`), as the rules of gradient descent do. Parts know nothing of files.

Where a run is driven by another that can't, as in a chain, the way to its beginning is replayed,
and from there on it is put back. Each such run has a file of its own, in the order in which they
began: ``run.journal.snapshot``, ``run.journal.snapshot2`` ...
"""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from blackbox.journal import Journal, fits
from blackbox.lines import JournalError
from blackbox.packing import BROKEN, Unstorable, pack, read_packed, unpack, write_packed
from blackbox.types import Array, Ask, Evaluate, Resumable, Told

LOG = logging.getLogger("blackbox")
FORMAT = 1
SECONDS = 2.0
"""The least time from one snapshot to the next ..."""
TIMES = 50
"""... and it is so many times what the last one took: at most a fiftieth of a run goes there."""


class Snapshots:
    """An `Evaluate` that writes snapshots of the runs that it answers, and puts them back to those.

    Parameters
    ----------
    journal
        The run's; it has begun.
    evaluate
        Who evaluates.
    parts
        What every run goes through, by names: history, evaluator, objective ...
    plan
        The budget, where anything depends on it; else None. A snapshot under another one is of no
        use.

    References
    ----------
    Young, J. W. (1974), A first order approximation to the optimum checkpoint interval,
    Communications of the ACM 17, 530-531: how often is worth it; here the cost alone is bounded.
    """

    def __init__(
        self,
        journal: Journal,
        evaluate: Evaluate,
        parts: Mapping[str, Resumable],
        plan: int | None = None,
    ) -> None:
        self._journal, self._evaluate = journal, evaluate
        self._parts, self._plan = dict(parts), plan
        self._count = 0
        self._path = journal.path
        self._due = 0.0

    def __call__(self, ask: Ask) -> Told:
        """Evaluate what is asked by a run that can't be put back."""
        self._journal.leave_to_snapshots(False)
        return self._evaluate(ask)

    def follow(self, run: Resumable) -> Evaluate:
        """Put a run, not yet begun, back to its latest snapshot; return what is to answer it.

        Raises
        ------
        JournalError
            If the snapshot is this run's and yet can't be taken in.
        """
        self._parts["run"] = run
        if self._gather() is None:
            return self
        self._count += 1
        self._path = snapshot_path(self._journal.path, self._count)
        self._journal.leave_to_snapshots()
        self._restore()
        self._due = max(self._due, time.monotonic() + SECONDS)

        def watched(ask: Ask) -> Told:
            if time.monotonic() >= self._due and self._journal.peek() is None:
                self._write()
            return self._evaluate(ask)

        return watched

    def _gather(self) -> tuple[Any, list[NDArray[Any]]] | None:
        """Return the states of all parts, packed; None where one of them has none."""
        states = {name: part.state() for name, part in self._parts.items()}
        if any(state is None for state in states.values()):
            return None
        arrays: list[NDArray[Any]] = []
        try:
            return pack({name: dict(state or {}) for name, state in states.items()}, arrays), arrays
        except (Unstorable, RecursionError) as error:
            LOG.info("%s: no snapshots, as they can't hold %s", self._journal.path, error)
            return None

    def _write(self) -> None:
        began = time.monotonic()
        gathered = self._gather()
        if gathered is None:  # in the middle of a step: after it
            return
        parts, arrays = gathered
        content = {"blackbox snapshot": FORMAT, "plan": self._plan, "parts": parts}
        try:
            write_packed(self._path, content | {"mark": self._journal.mark()}, arrays, "part")
        except OSError as error:
            LOG.warning("%s can't be written, the run goes on without: %s", self._path, error)
        now = time.monotonic()
        self._due = now + max(SECONDS, TIMES * (now - began))

    def _restore(self) -> None:
        try:
            with read_packed(self._path) as (content, arrays):
                if content["blackbox snapshot"] != FORMAT:
                    raise ValueError(f"its format is not {FORMAT}")
                states = unpack(content["parts"], arrays)
                mark, plan = content["mark"], content["plan"]
                if states.keys() != self._parts.keys():
                    raise ValueError("it is of a run that is made of other parts")
        except FileNotFoundError:
            return
        except (ValueError, OSError) as error:
            self._ignore(str(error))
            return
        if plan != self._plan:
            self._ignore(f"it was made under budget={plan}, and this run plans by {self._plan}")
        elif not self._journal.jump(mark):
            self._ignore("it belongs to another journal, or to lines that this one has lost")
        else:
            self._take(states)
            LOG.info("%s: going on from it, after line %d", self._path, mark["lines"])

    def _take(self, states: Mapping[str, Any]) -> None:
        try:
            for name, part in self._parts.items():
                part.resume(states[name])
        except BROKEN as error:
            raise JournalError(
                f"{self._path} is of this run, and yet it does not fit ({error!r:.200}): another "
                "version of a library made it. Remove it to come back by the journal alone"
            ) from error

    def _ignore(self, why: str) -> None:
        words = "; coming back by the journal alone, which takes longer" * (self._journal.count > 0)
        LOG.warning("%s is of no use: %s%s", self._path, why, words)


def snapshot_path(journal: Path, number: int = 1) -> Path:
    """Return where a snapshot lies, by the journal and which of its runs that is."""
    return journal.with_name(f"{journal.name}.snapshot{number if number > 1 else ''}")


def best_of(journal: Path) -> tuple[Array, float] | None:
    """Return the best point, (n,), and its value from a journal's snapshots; None without one."""
    begin = snapshot_path(journal).name
    try:
        names = [each.name for each in journal.parent.iterdir() if each.name.startswith(begin)]
    except OSError:
        return None
    numbers = [name[len(begin) :] or "1" for name in names]
    known = [int(number) for number in numbers if number.isascii() and number.isdigit()]
    for number in sorted(known, reverse=True):  # each has all that was there before it
        if (best := _best_in(snapshot_path(journal, number), journal)) is not None:
            return best
    return None


def _best_in(path: Path, journal: Path) -> tuple[Array, float] | None:
    try:
        with read_packed(path) as (content, arrays):
            if content["blackbox snapshot"] != FORMAT or not fits(journal, content["mark"]):
                return None
            found = unpack(content["parts"], arrays)["history"]
            if found["best_x"] is None or not math.isfinite(found["best_value"]):
                return None
            return found["best_x"].astype(float), float(found["best_value"])
    except (ValueError, OSError):
        return None
