"""Where the points of a batch are evaluated: in children of our own, by an executor, by any map."""

import logging
import math
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Protocol

from blackbox.failures import Failed, describe
from blackbox.guarded import Crew, WorkerError
from blackbox.types import Array

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Workers = int | Executor | Map | None
LOG = logging.getLogger("blackbox")

LARGE = 1 << 20
"""Bytes from which on a function and its data are not sent with each point, where the engine has
another way."""
LOST = {"BrokenExecutor", "CancelledError", "KilledWorker", "RayError"}
"""Classes of the errors by which engines say that a worker is lost: `concurrent.futures` and loky,
dask, Ray. Their own subclasses count too."""
TRIED_ENOUGH = {"KilledWorker"}
"""Those that come after the engine has itself tried again."""


class Spread(Protocol):
    """Evaluates the points of a batch, somewhere."""

    def map(self, call: "Call", points: Array) -> Iterator[Any]:
        """Yield what `call` gives at each point, in order; a `Failed` where it gives nothing."""
        ...


@contextmanager
def open_workers(workers: Any, timeout: float | None = None) -> Iterator[Spread | None]:
    """Turn what the user gave into who evaluates, and close what was opened.

    Parameters
    ----------
    workers
        None for one at a time; an int for so many child interpreters (see `blackbox.guarded`); a
        `concurrent.futures.Executor`, or what has its ``submit``; a dask ``Client``; a map-like
        ``workers(f, points)``, as scipy takes it.
    timeout
        Seconds for one evaluation, which then takes place in a child interpreter; None for no
        limit.

    Yields
    ------
    None where evaluations take place right here.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    timeout = _check_timeout(timeout)
    if isinstance(workers, bool):
        raise TypeError(f"workers is {_WORKERS}; got {workers!r}")
    if workers is None or isinstance(workers, Integral):
        count = 1 if workers is None else int(workers)
        if count < 1:
            raise ValueError(f"workers={workers} leaves nobody to evaluate; give 1 or more")
        if count == 1 and timeout is None:
            yield None
            return
        with Crew(count, timeout) as crew:
            yield crew
        return
    try:
        if type(workers).__module__.partition(".")[0] == "distributed":
            yield _Dask(workers, timeout)
        elif isinstance(workers, type) and hasattr(workers, "submit"):
            raise TypeError(f"workers is a class; give an object of it, {workers.__name__}(...)")
        elif hasattr(workers, "submit"):
            yield _Submitted(workers, timeout)
        elif getattr(workers, "__name__", "") == "imap_unordered":
            raise ValueError("workers=imap_unordered loses the order of the points; take imap")
        elif callable(workers):
            yield _Mapped(workers, timeout)
        else:
            raise TypeError(f"workers is {_WORKERS}; got {workers!r}")
    finally:
        close_spares()


_WORKERS = "an int, an Executor or a map-like callable"


def _check_timeout(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, Real):
        raise TypeError(f"timeout is a number of seconds for one evaluation; got {timeout!r}")
    seconds = float(timeout)
    if not 0 < seconds < math.inf:
        raise ValueError(f"timeout={timeout!r} must be above 0 seconds, or None for no limit")
    return seconds


class Call:
    """The user's function with its further arguments, to be called here or anywhere.

    It travels by cloudpickle, so that lambdas, closures and what is defined in a script or a
    notebook do too.

    Parameters
    ----------
    function, args
        Called as ``function(x, *args)``.
    slot
        Which of a run's functions it is.
    """

    __name__ = "evaluate"  # on an engine's own displays

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], slot: int = 0) -> None:
        self.slot, self.key = slot, os.urandom(8)
        self._parts: tuple[Callable[..., Any], tuple[Any, ...]] | None = function, args

    @cached_property
    def payload(self) -> bytes:
        """The function and its arguments, as cloudpickle writes them."""
        import cloudpickle

        try:
            written: bytes = cloudpickle.dumps(self._parts)
        except Exception as error:
            raise WorkerError(
                "workers= and timeout= evaluate in other processes, but the objective can't be "
                f"sent there: {describe(error)}. Let it make what it needs itself, or take a "
                "ThreadPoolExecutor as workers"
            ) from error
        return written

    def __call__(self, x: Array) -> Any:
        """Return the value at a point, or a `Failed` where the function raises."""
        if self._parts is None:
            self._parts = _load(self.key, self.payload)
        function, args = self._parts
        try:
            return function(x, *args)
        except Exception as error:
            return Failed("raised", error=error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, (self.slot, self.key, self.payload)


def _receive(slot: int, key: bytes, payload: bytes) -> Call:
    call = Call.__new__(Call)
    call.slot, call.key, call._parts = slot, key, None
    vars(call)["payload"] = payload
    return call


_LOADED: OrderedDict[bytes, Any] = OrderedDict()
"""The functions that were read last, so that each is read once in a process."""


def _load(key: bytes, payload: bytes) -> Any:
    parts = _LOADED.get(key)
    if parts is None:
        parts = _LOADED[key] = pickle.loads(payload)
        while len(_LOADED) > 4:
            _LOADED.popitem(last=False)
    return parts


class _Guarded:
    """A call that takes place in a child interpreter of whichever process makes it."""

    def __init__(self, call: Call, timeout: float) -> None:
        self._call, self._timeout = call, timeout

    @property
    def key(self) -> bytes:
        return self._call.key

    @property
    def payload(self) -> bytes:
        return self._call.payload

    def __call__(self, x: Array) -> Any:
        try:
            crew = _SPARES.pop()
        except IndexError:
            crew = Crew()
        crew.timeout = self._timeout
        try:
            [given] = crew.map(self._call, x[None])
        except BaseException:
            crew.close()
            raise
        _SPARES.append(crew)
        return given


_SPARES: list[Crew] = []
"""Children with nothing to do, in the processes and threads of an executor."""


def close_spares() -> None:
    """End the children that have nothing to do in this process."""
    while _SPARES:
        _SPARES.pop().close()


Task = Call | _Guarded


class _Mapped:
    """Points are evaluated by a map-like callable."""

    def __init__(self, spread: Map, timeout: float | None) -> None:
        self._spread, self._timeout = spread, timeout

    def map(self, call: Call, points: Array) -> Iterator[Any]:
        count = 0
        for count, given in enumerate(self._spread(_guard(call, self._timeout), list(points)), 1):
            if count <= len(points):
                yield given
        if count != len(points):
            raise ValueError(
                f"workers={self._spread!r:.60} returned {count} values for {len(points)} points; "
                "it must return one for each, in order"
            )


class _Submitted:
    """Points are submitted to an executor."""

    def __init__(self, executor: Any, timeout: float | None) -> None:
        self._executor, self._timeout = executor, timeout

    def map(self, call: Call, points: Array) -> Iterator[Any]:
        task = _guard(call, self._timeout)
        futures: list[Future[Any]] = []
        try:
            futures.extend(self._submit(task, x) for x in points)
            for x, future in zip(points, futures, strict=True):
                yield self._result(future, task, x)
        finally:
            for future in futures:
                future.cancel()

    def _result(self, future: Future[Any], task: Task, x: Array) -> Any:
        """Return what a future gives; where its worker is lost, another one has a try."""
        try:
            return future.result()
        except Exception as error:
            if not _is_lost(error):
                raise
            lost = Failed("lost", describe(error))
            if _names(error) & TRIED_ENOUGH:
                return lost
        LOG.info("a worker was lost as it evaluated a point: %s", lost.message)
        try:
            return self._again(task, x).result()
        except Exception as error:
            if not _is_lost(error):
                raise
            return lost

    def _submit(self, task: Task, x: Array) -> Any:
        try:
            return self._executor.submit(task, x)
        except BrokenExecutor as error:
            raise WorkerError(
                f"the executor has broken down and replaces no process: {describe(error)}. "
                "workers=N has children that are replaced; with timeout= the objective runs in a "
                "child of each worker, which may crash"
            ) from error

    def _again(self, task: Task, x: Array) -> Any:
        return self._submit(task, x)


class _Dask(_Submitted):
    """Points are submitted to dask, by its ``Client`` or the executor of one."""

    def __init__(self, workers: Any, timeout: float | None) -> None:
        executor = workers.get_executor() if hasattr(workers, "get_executor") else workers
        super().__init__(executor, timeout)
        self._client = executor._client
        self._placed: tuple[bytes, Any] | None = None

    def _submit(self, task: Task, x: Array) -> Any:
        if len(task.payload) < LARGE:
            return self._again(task, x)
        if self._placed is None or self._placed[0] != task.key:
            self._placed = task.key, self._client.scatter(task, broadcast=True, hash=False)
        return self._executor.submit(_evaluate, self._placed[1], x, pure=False)

    def _again(self, task: Task, x: Array) -> Any:
        self._placed = None  # what was placed may be lost as well
        # Not pure: equal points are evaluated each time.
        return self._executor.submit(task, x, pure=False)


def _evaluate(task: Task, x: Array) -> Any:
    return task(x)


def _guard(call: Call, timeout: float | None) -> Task:
    return call if timeout is None else _Guarded(call, timeout)


def _names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}


def _is_lost(error: BaseException) -> bool:
    """Whether an engine says that a worker is lost; all else is an error of the setting up."""
    names = _names(error)
    return bool(names & LOST) and "RayTaskError" not in names
