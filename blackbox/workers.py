"""Where the points of a batch are evaluated: in children of our own, by an executor, by any map."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from numbers import Integral, Real
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, runtime_checkable

from blackbox.calls import Call, Task, Tasks, close_spares
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


@runtime_checkable
class Pool(Spread, Protocol):
    """A `Spread` that also takes points one by one, and gives values back as they come."""

    @property
    def width(self) -> int | None:
        """How many points it evaluates at once; None where that can't be told."""
        ...

    def give(self, call: "Call", key: Any, x: Array) -> None:
        """Take on one more point, (n,), to be known by a key."""
        ...

    def take(self) -> tuple[Any, Any]:
        """Wait for any of the points; return its key, and what `call` gives or a `Failed`."""
        ...

    def drop(self) -> None:
        """Forget all points that were given."""
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


_WIDTHS = ("_max_workers", "max_workers", "num_workers")
"""Where executors say how many workers they have: `concurrent.futures` and loky, ours, MPI."""


class _Mapped:
    """Points are evaluated by a map-like callable."""

    def __init__(self, spread: Map, timeout: float | None) -> None:
        self._spread, self._tasks = spread, Tasks(timeout)

    def map(self, call: Call, points: Array) -> Iterator[Any]:
        count = 0
        for count, given in enumerate(self._spread(self._tasks.of(call), list(points)), 1):
            if count <= len(points):
                yield given
        if count != len(points):
            raise ValueError(
                f"workers={self._spread!r:.60} returned {count} values for {len(points)} points; "
                "it must return one for each, in order"
            )


class _Given(NamedTuple):
    """A point that an executor evaluates."""

    key: Any
    task: Task
    x: Array
    lost: Failed | None = None


class _Submitted:
    """Points are submitted to an executor."""

    def __init__(self, executor: Any, timeout: float | None) -> None:
        self._executor, self._tasks = executor, Tasks(timeout)
        self._under_way: dict[Any, _Given] = {}
        self._finished: SimpleQueue[Any] = SimpleQueue()

    @property
    def width(self) -> int | None:
        found = (getattr(self._executor, name, None) for name in _WIDTHS)
        return next((int(count) for count in found if isinstance(count, Integral)), None)

    def give(self, call: Call, key: Any, x: Array) -> None:
        task = self._tasks.of(call)
        self._watch(self._submit(task, x), _Given(key, task, x))

    def take(self) -> tuple[Any, Any]:
        while True:
            given = self._under_way.pop(future := self._finished.get(), None)
            if given is None:  # it was dropped
                continue
            outcome, again = self._read(future, given.lost)
            if not again:
                return given.key, outcome
            self._watch(self._again(given.task, given.x), given._replace(lost=outcome))

    def drop(self) -> None:
        under_way, self._under_way = self._under_way, {}
        for future in under_way:
            future.cancel()

    def _watch(self, future: Any, given: _Given) -> None:
        self._under_way[future] = given
        future.add_done_callback(self._finished.put)

    def map(self, call: Call, points: Array) -> Iterator[Any]:
        task = self._tasks.of(call)
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
        outcome, again = self._read(future)
        return self._read(self._again(task, x), outcome)[0] if again else outcome

    def _read(self, future: Future[Any], lost: Failed | None = None) -> tuple[Any, bool]:
        """Return what a future gives, and whether to try again; `lost` where this is that try."""
        try:
            return future.result(), False
        except Exception as error:
            if not _is_lost(error):
                raise
            if lost is not None:
                return lost, False
            lost = Failed("lost", describe(error))
            if _names(error) & TRIED_ENOUGH:
                return lost, False
        LOG.info("a worker was lost as it evaluated a point: %s", lost.message)
        return lost, True

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
        self._placed: dict[int, tuple[bytes, Any]] = {}

    @property
    def width(self) -> int | None:
        return sum(self._client.nthreads().values()) or None

    def _submit(self, task: Task, x: Array) -> Any:
        if len(task.payload) < LARGE:
            return self._send(task, x)
        key, place = self._placed.get(task.slot, (b"", None))
        if key != task.key:
            place = self._client.scatter(task, broadcast=True, hash=False)
            self._placed[task.slot] = task.key, place
        return self._send(_evaluate, place, x)

    def _send(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Submit to the client: its executor takes a value whose worker then dies for an error."""
        if self._executor._shutdown:
            raise RuntimeError("this executor of dask has been shut down; make another one")
        # Not pure: equal points are evaluated each time.
        options = {**self._executor._kwargs, "pure": False}
        remote, local = self._client.submit(function, *arguments, **options), Future[Any]()

        async def carry() -> None:
            try:
                given, error = await remote.result(), None
            except BaseException as raised:
                given, error = None, raised
            if local.set_running_or_notify_cancel():
                if error is None:
                    local.set_result(given)
                else:
                    local.set_exception(error)

        local.add_done_callback(lambda done: remote.cancel() if done.cancelled() else None)
        self._client.loop.add_callback(carry)
        return local

    def _again(self, task: Task, x: Array) -> Any:
        self._placed.pop(task.slot, None)  # what was placed may be lost as well
        return self._submit(task, x)


def _evaluate(task: Task, x: Array) -> Any:
    return task(x)


def _names(error: BaseException) -> set[str]:
    return {each.__name__ for each in type(error).__mro__}


def _is_lost(error: BaseException) -> bool:
    """Whether an engine says that a worker is lost; all else is an error of the setting up."""
    names = _names(error)
    return bool(names & LOST) and "RayTaskError" not in names
