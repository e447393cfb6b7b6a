"""The loop of a search: begin, train, take in, until there is nothing left to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from adapters.tuning.generations import begin_together, train_in_steps, train_whole
from adapters.tuning.places import open_place
from adapters.tuning.progress import ProgressLine
from adapters.tuning.result import TuneResult
from adapters.tuning.starting import Started
from adapters.tuning.trainee import NoNumberError, Trained, Trainee
from blackbox.failures import Failed

FAILURE_LIMIT = 25
"""Failed trials in a row after which a search is stopped."""


class Search:
    """Trains the trials of a session.

    Parameters
    ----------
    started
        The session, and what its result is made of.
    on_error, callback
        As `tune` takes them.
    line
        Shows how far it is; None: nothing does.
    """

    def __init__(
        self,
        started: Started,
        on_error: str,
        callback: Callable[[TuneResult], Any] | None,
        line: ProgressLine | None,
    ) -> None:
        self._started, self._session = started, started.session
        self._on_error, self._callback, self._line = on_error, callback, line
        self._failed_in_a_row = 0
        self._over = ""

    def train_each(self, trainee: Trainee, workers: Any, timeout: float | None) -> TuneResult:
        """Train trials one by one, as many at once as there are workers."""
        session = self._session
        with (
            self._closing(),
            open_place(trainee, session.report, workers, timeout) as place,
        ):
            under_way = 0
            while True:
                while under_way < place.width and not self._over and (begun := session.begin()):
                    place.give(begun.number, begun.params)
                    under_way += 1
                if under_way:
                    number, ended = place.take()
                    under_way -= 1
                    self._finish(number, ended.value if isinstance(ended, Trained) else ended)
                elif self._over or not session.wait_for_others():
                    return self._result()

    def train_together(
        self, objective: Any, at_once: int | None, default: int, in_steps: bool
    ) -> TuneResult:
        """Train trials by generations, each in one program."""
        session = self._session
        with self._closing():
            while not self._over:
                epochs = getattr(objective, "epochs", None)
                if begun := begin_together(session, at_once, default, epochs):
                    ended = (
                        train_in_steps(objective, begun, session)
                        if in_steps
                        else train_whole(objective, begun)
                    )
                    for number, value in ended:
                        self._finish(number, value)
                elif not session.wait_for_others():
                    break
            return self._result()

    def _finish(self, number: int, ended: float | Failed | None) -> None:
        """Take in how a trial ended."""
        if not isinstance(ended, Failed) and ended is not None:
            ended = _as_failed(ended)
        if isinstance(ended, Failed):
            reason = f"{ended.kind}: {ended.message}"
            trial = self._session.finish(number, failed=reason)
            if isinstance(ended.error, NoNumberError) or (
                self._on_error == "raise" and ended.error is not None
            ):
                raise ended.error
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= FAILURE_LIMIT:
                self._over = f"{FAILURE_LIMIT} trials in a row failed; the last: {reason}"
        else:
            trial = self._session.finish(number, ended)
            self._failed_in_a_row = 0
        if trial is not None:
            self._show()

    def _show(self) -> None:
        so_far = self._result()
        if self._line is not None:
            self._line(so_far)
        if self._callback is not None:
            try:
                self._callback(so_far)
            except StopIteration as stop:
                self._over = str(stop) or "the callback stopped it"

    def _result(self) -> TuneResult:
        started = self._started
        return TuneResult(
            self._session.study,
            started.labelled,
            started.identity,
            self._over or self._session.stopped,
        )

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Leave nothing half done: trials under way are for whoever goes on."""
        try:
            yield
        except BaseException as error:
            with suppress(Exception):  # the storage itself may be what failed
                self._session.abandon()
            with suppress(AttributeError, TypeError):  # some refuse attributes
                error.result = self._result()  # type: ignore[attr-defined]
            raise
        finally:
            if self._line is not None:
                self._line.close()


def _as_failed(value: float) -> float | Failed:
    """What is no finite number is no result."""
    if value != value:
        return Failed("nan", "the value was nan")
    if value in (float("inf"), float("-inf")):
        return Failed("infinite", f"the value was {value}")
    return value
