"""The user's function on its way to where it is evaluated: as bytes, and guarded by a child."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any

from blackbox.failures import Failed, describe
from blackbox.guarded import Crew, WorkerError
from blackbox.types import Array


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
    def slot(self) -> int:
        return self._call.slot

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


class Tasks:
    """The tasks of a run: for each of its functions the same one, so that engines know it again."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._guarded: dict[int, _Guarded] = {}

    def of(self, call: Call) -> Task:
        """Return what evaluates a call elsewhere."""
        if self._timeout is None:
            return call
        known = self._guarded.get(call.slot)
        if known is None or known.key != call.key:
            known = self._guarded[call.slot] = _Guarded(call, self._timeout)
        return known
