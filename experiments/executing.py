"""Run the cells of a plan that a store does not have yet: in this process, or in several.

All of them share the store and nothing else: each claims a cell, runs it, writes what it gave. So
a second command on the same folder helps the first.
"""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from experiments.environment import machine, versions
from experiments.plan import Cell
from experiments.problems import Benchmark
from experiments.record import Curve, Record
from experiments.running import run_cell
from experiments.storage import Store, StoreError

Watch = Callable[[Mapping[str, float]], None]
"""Is shown the best value of each finished cell, by its key, whenever there is something new."""

DEATHS = 2
"""Worker processes that may die while they run a cell, before it is written off."""
PAUSE = 0.2
"""Seconds between looks at what workers, and other processes, have finished."""
GRACE = 5.0
"""Seconds that a worker has to end when it is told to."""
MORE_PACKAGES = ("scikit-learn", "ioh", "gymnasium")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Work:
    """What is to be done, as it is handed to each process.

    Attributes
    ----------
    folder
        Where the store is.
    cells
        The cells to run, by key.
    problems
        Problems that their names don't lead to in another process.
    tensorboard
        Where TensorBoard's events go, too; None for nowhere.
    """

    folder: Path
    cells: Mapping[str, Cell]
    problems: Mapping[str, Benchmark] = field(default_factory=dict)
    tensorboard: Path | None = None


def execute(work: Work, store: Store, *, workers: int = 1, watch: Watch | None = None) -> None:
    """Run what is missing, until all of it is there; other processes may do a part.

    Raises
    ------
    StoreError
        If results can't be written. What was written before is kept.
    KeyboardInterrupt
        After Ctrl-C; the cells that were being run are given back.
    """
    shown = watch or (lambda values: None)
    while True:
        missing = len(work.cells.keys() - store.values().keys())
        shown(store.values())
        if workers > 1 and missing > 1:
            _Crew(work, store, min(workers, missing), shown).run()
        else:
            _work(work, store, shown)
        while busy := store.claims.elsewhere(work.cells):
            time.sleep(PAUSE)
            if store.claims.elsewhere(work.cells) != busy:
                shown(store.values())
        if work.cells.keys() <= store.values().keys():
            return


def _work(
    work: Work, store: Store, done: Watch, began: Callable[[str], None] | None = None
) -> None:
    """Claim, run and write until there is nothing left to claim."""
    environment = describe()
    with _events(work.tensorboard) as add:
        while (key := store.claims.take(list(work.cells))) is not None:
            if began is not None:
                began(key)
            cell = work.cells[key]
            try:
                record = run_cell(cell, work.problems.get(cell.problem))
                store.write(record, environment)
            except BaseException:
                store.claims.release(key)
                raise
            add(record)
            done({key: record.value})


def describe() -> dict[str, Any]:
    """Return what results are made with here."""
    return {"versions": versions(*MORE_PACKAGES), "machine": machine()}


@contextmanager
def _events(folder: Path | None) -> Iterator[Callable[[Record], object]]:
    if folder is None:
        yield lambda record: None
        return
    from experiments.tensorboard import Events

    with Events(folder) as events:
        yield events.add


class _Crew:
    """Worker processes, and an eye on them: one that dies is replaced."""

    def __init__(self, work: Work, store: Store, size: int, watch: Watch) -> None:
        self._work, self._store, self._size, self._watch = work, store, size, watch
        self._context = multiprocessing.get_context("spawn")
        self._errors = self._context.SimpleQueue()
        self._members: list[tuple[Any, Any]] = []
        self._deaths: dict[str, int] = {}

    def run(self) -> None:
        try:
            with _threads():
                for _ in range(self._size):
                    self._hire()
                while self._members:
                    time.sleep(PAUSE)
                    self._look()
                    self._watch(self._store.values())
        finally:
            for process, _ in self._members:
                process.terminate()
            for process, _ in self._members:
                process.join(GRACE)
                process.kill()  # it hears nothing within a long call; its cell is free all the same
                process.join()

    def _hire(self) -> None:
        current = self._context.Array("c", 64)
        process = self._context.Process(
            target=_member, args=(self._work, current, self._errors), daemon=True
        )
        try:
            with _undisturbed():
                process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(
                f"a problem can't be sent to worker processes ({error}); define it at the top of "
                "a file and name it as path/to/file.py:name, or leave workers at 1"
            ) from error
        self._members.append((process, current))

    def _look(self) -> None:
        for member in list(self._members):
            process, current = member
            if process.exitcode is None:
                continue
            self._members.remove(member)
            if not self._errors.empty():
                raise StoreError(self._errors.get())
            if process.exitcode != 0:
                self._mourn(current.value.decode(), process.exitcode)
                self._hire()

    def _mourn(self, key: str, code: int) -> None:
        """A worker died; a cell during which several did is written off, and shown as failed."""
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if not key:  # before it claimed anything: it would die again
            if self._deaths[key] >= DEATHS:
                raise StoreError(
                    f"worker processes end before they begin (exit code {code}). A script must "
                    'call compare() within `if __name__ == "__main__":`, and what was defined at '
                    "a prompt does not reach them; one worker does without all that, and shows "
                    "what else may be wrong"
                )
            return
        if self._deaths[key] >= DEATHS and key not in self._store.values():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            error = f"the process that ran it died {DEATHS} times ({how}); out of memory?"
            self._store.write(_lost(self._work.cells[key], error), describe())


def _member(work: Work, current: Any, errors: Any) -> None:
    """A worker process, from its beginning to its end, or that of the process it works for."""
    try:
        signal.signal(signal.SIGTERM, _leave)
        Thread(target=_outlived, daemon=True).start()
        with Store(work.folder, create=False) as store:

            def began(key: str) -> None:
                current.value = key.encode()

            _work(work, store, lambda values: None, began)
    except StoreError as error:
        errors.put(str(error))
    except KeyboardInterrupt:
        pass


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows is the tidying up
    raise KeyboardInterrupt


def _outlived() -> None:
    """Wait until the process that began this one is gone, killed perhaps; then end this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C to this process: those that it starts meanwhile end when they are told to."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(cell: Cell, error: str) -> Record:
    import numpy as np

    nothing = np.empty(0)
    return Record(cell, np.inf, nothing, 0, 0, 0.0, 0, Curve.empty(), error=error)


@contextmanager
def _threads() -> Iterator[None]:
    """Give each worker one thread, where the caller has not said otherwise."""
    unset = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]
