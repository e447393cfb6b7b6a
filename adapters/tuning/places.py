"""Where trials are trained: right here, in child interpreters, by an executor."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from adapters.tuning.trainee import Trained, Trainee, write_letter
from blackbox.calls import Call
from blackbox.failures import Failed
from blackbox.guarded import Crew
from blackbox.workers import Pool, open_workers

Report = Callable[[int, float, int], bool]
"""Takes the number of a trial, an intermediate value, its step; says whether to go on."""
WIDTH = 4
"""Trials at once where an executor does not say how many workers it has."""


class Place(Protocol):
    """Trains."""

    width: int
    """How many trials at once."""

    def give(self, number: int, params: Mapping[str, Any]) -> None:
        """Take on a trial."""
        ...

    def take(self) -> tuple[int, Trained | Failed]:
        """Wait for any of them; return its number, and how it ended."""
        ...


@contextmanager
def open_place(
    trainee: Trainee, report: Report, workers: Any, timeout: float | None
) -> Iterator[Place]:
    """Turn what the user gave into who trains, and close what was opened.

    Parameters
    ----------
    trainee
        What is trained.
    report
        Called in this thread with what a training reports.
    workers, timeout
        As `blackbox.workers.open_workers` takes them; no map-like callable.
    """
    with open_workers(workers, timeout) as pool:
        if pool is None:
            yield _Here(trainee, report)
        elif isinstance(pool, Pool):
            yield _There(trainee, report, pool)
        else:
            raise TypeError(
                f"workers is an int or an Executor; got {workers!r:.60}, which takes whole batches"
            )


class _Here:
    """Trains in this thread."""

    width = 1

    def __init__(self, trainee: Trainee, report: Report) -> None:
        self._trainee, self._report = trainee, report
        self._given: deque[tuple[int, Mapping[str, Any]]] = deque()

    def give(self, number: int, params: Mapping[str, Any]) -> None:
        self._given.append((number, params))

    def take(self) -> tuple[int, Trained | Failed]:
        number, params = self._given.popleft()
        broken: list[Exception] = []

        def answer(value: float, step: int) -> bool:
            try:
                return self._report(number, value, step)
            except Exception as error:  # not the training's own: it must not count as its failure
                broken.append(error)
                return False

        try:
            trained = self._trainee.run(params, answer)
        except Exception as error:
            return number, Failed("raised", error=error)
        if broken:
            raise broken[0]
        return number, trained


class _There:
    """Trains in other processes."""

    def __init__(self, trainee: Trainee, report: Report, pool: Pool) -> None:
        trainee.asks = isinstance(pool, Crew)
        self._pool, self._call = pool, _Asking(trainee, report)
        self.width = pool.width or WIDTH
        self._report = report

    def give(self, number: int, params: Mapping[str, Any]) -> None:
        self._pool.give(self._call, number, write_letter(params))

    def take(self) -> tuple[int, Trained | Failed]:
        number, given = self._pool.take()
        if isinstance(given, Failed):
            return number, given
        for step, value in given.reports.items():
            self._report(number, value, step)
        return number, given


class _Asking(Call):
    """A training that asks how to go on; see `blackbox.guarded.Answering`."""

    def __init__(self, trainee: Trainee, report: Report) -> None:
        super().__init__(trainee, ())
        self._report = report

    def answer(self, key: int, question: bytes) -> bytes:
        """Answer with a byte where it is to go on, with none where not."""
        return b"1" if self._report(key, *pickle.loads(question)) else b""
