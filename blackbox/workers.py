"""Where the points of a batch are evaluated: here, in a pool, by any map."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, cast

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
Workers = int | Executor | Map | None


@contextmanager
def open_workers(workers: Workers) -> Iterator[Map | None]:
    """Turn what the user gave as ``workers=`` into a map over points, and close what was opened.

    Parameters
    ----------
    workers
        None evaluates in the caller's thread; an int above 1 in that many processes (started by
        spawn, closed at the end; the objective must be picklable); a
        `concurrent.futures.Executor` through its ``map``; a map-like ``workers(f, points)``
        as scipy takes it.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    if isinstance(workers, bool):
        raise TypeError(f"workers is an int, an Executor or a map-like callable; got {workers!r}")
    if workers is None or (isinstance(workers, int) and workers == 1):
        yield None
    elif isinstance(workers, int):
        if workers < 1:
            raise ValueError(f"workers={workers} leaves nobody to evaluate; give 1 or more")
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            yield pool.map
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    elif isinstance(workers, Executor) or hasattr(workers, "submit"):
        yield cast(Executor, workers).map  # or what is like one
    elif callable(workers):
        yield workers
    else:
        raise TypeError(f"workers is an int, an Executor or a map-like callable; got {workers!r}")
