"""Ray as a `concurrent.futures.Executor`, for ``workers=``."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

KEPT = 4
"""Functions that stay in Ray's store, with their data."""


class RayExecutor(Executor):
    """Runs calls as Ray tasks; connect to Ray first, by ``ray.init()``.

    A function and its data go to each worker once, through Ray's store.

    Parameters
    ----------
    **options
        Of each task, as Ray's ``options`` take them: ``num_cpus=2``, ``num_gpus=1`` ...

    Raises
    ------
    ImportError, RuntimeError
        If Ray is not installed, or not connected.
    """

    def __init__(self, **options: Any) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                "RayExecutor needs Ray: pip install 'blackbox-torch[ray]', or any ray>=2.40"
            ) from error
        if not ray.is_initialized():
            raise RuntimeError("RayExecutor needs a cluster: call ray.init() first")
        self._ray: Any = ray
        self._options = options
        # Whoever submits decides what becomes of a call whose worker is lost.
        self._task = ray.remote(_call).options(**{"max_retries": 0, **options})
        self._stored: list[tuple[Callable[..., Any], Any]] = []
        self._pending: set[Future[Any]] = set()
        self._closed = False

    @property
    def max_workers(self) -> int | None:
        """How many such tasks the cluster has room for; None where they ask for nothing."""
        asked = self._options
        wanted = {"CPU": asked.get("num_cpus", 1), "GPU": asked.get("num_gpus", 0)}
        wanted |= asked.get("resources") or {}
        there = self._ray.cluster_resources()
        room = [there.get(name, 0) // each for name, each in wanted.items() if each]
        return max(1, int(min(room))) if room else None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return the future of ``fn(*args, **kwargs)``; cancelling it ends the task."""
        if self._closed:
            raise RuntimeError("this RayExecutor has been shut down")
        stored = self._store(fn)
        reference = self._task.remote(stored.hex(), [stored], args, kwargs)
        future: Future[Any] = reference.future()
        self._pending.add(future)

        def settle(done: Future[Any]) -> None:
            self._pending.discard(done)
            if done.cancelled() and self._ray.is_initialized():
                self._ray.cancel(reference, force=True)

        future.add_done_callback(settle)
        return future

    def _store(self, fn: Callable[..., Any]) -> Any:
        for known, reference in self._stored:
            if known is fn:
                return reference
        reference = self._ray.put(fn)
        self._stored = [*self._stored[1 - KEPT :], (fn, reference)]
        return reference

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those under way, or end them."""
        self._closed = True
        for future in list(self._pending):
            if cancel_futures:
                future.cancel()
            elif wait:
                future.exception()
        self._stored.clear()


_FETCHED: dict[str, Callable[..., Any]] = {}
"""In a worker: functions that it has."""


def _call(key: str, stored: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if key not in _FETCHED:
        import ray

        while len(_FETCHED) >= KEPT:
            del _FETCHED[next(iter(_FETCHED))]
        _FETCHED[key] = ray.get(stored[0])
    return _FETCHED[key](*args, **kwargs)
