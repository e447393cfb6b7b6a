"""Solvers that insist on calling the objective: driven directly, or turned inside out."""

import contextvars
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import numpy as np

from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Run, Stop, Told

Returned = TypeVar("Returned")


def drive(asking: Generator[Ask, Told, Returned], evaluate: Evaluate) -> Returned:
    """Answer every ask of a generator by `evaluate`; give what it returns."""
    try:
        ask = next(asking)
        while True:
            ask = asking.send(evaluate(ask))
    except StopIteration as end:
        returned: Returned = end.value
        return returned
    finally:
        asking.close()


class Blocking(ABC):
    """Base of the algorithms written as ``solve(problem, rng, evaluate) -> Stop``.

    `minimize` calls `solve` directly, in the caller's thread. `run` is the same solver as a
    generator, for `Optimizer`.
    """

    @abstractmethod
    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run the solver to its end; every evaluation goes through `evaluate`."""

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Return the solver as a `Run`, parked in a thread between two asks."""
        return invert(self, problem, rng)


class _Abandoned(BaseException):
    """Unwinds a parked solver that nobody listens to any more."""


def invert(algorithm: Blocking, problem: Problem, rng: RandomStream) -> Run:
    """Park ``algorithm.solve`` in a daemon thread; yield what it asks, send it what it needs.

    Closing the generator, or dropping it, unwinds the solver and ends the thread. What the solver
    raises is raised here.
    """
    asked: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    told: queue.SimpleQueue[Told | None] = queue.SimpleQueue()

    def evaluate(ask: Ask) -> Told:
        asked.put(("ask", ask))
        answer = told.get()
        if answer is None:
            raise _Abandoned
        return answer

    def body() -> None:
        try:
            asked.put(("stop", algorithm.solve(problem, rng, evaluate)))
        except _Abandoned:
            pass
        except BaseException as error:
            asked.put(("error", error))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(body,), name="blackbox-solver", daemon=True)
    return _listen(thread, asked, told)


def _listen(
    thread: threading.Thread,
    asked: "queue.SimpleQueue[tuple[str, Any]]",
    told: "queue.SimpleQueue[Told | None]",
) -> Generator[Ask, Told, Stop]:
    thread.start()
    parked = False
    try:
        while True:
            kind, payload = asked.get()
            if kind == "stop":
                stop: Stop = payload
                return stop
            if kind == "error":
                raise payload
            parked = True
            answer = yield payload
            parked = False
            told.put(answer)
    finally:
        if parked:
            told.put(None)
        thread.join(timeout=5)


class Pointwise:
    """The objective as solvers call it: for one point's value, then for its gradient.

    Keeps the point that was asked last, as scipy asks for a value and a gradient in two calls.

    Parameters
    ----------
    problem, evaluate
        What `Blocking.solve` is given.
    gradients
        Whether the solver will want gradients: then they come with the values, where the objective
        gives both in one call. It may be changed as the solver goes on.
    """

    def __init__(self, problem: Problem, evaluate: Evaluate, *, gradients: bool = True) -> None:
        self.gradients = gradients
        self._joint = problem.gradients == "joint"
        self._lower, self._upper = problem.lower, problem.upper
        self._evaluate = evaluate
        self.points: Array = np.empty((0, problem.n))
        self.values: Array = np.empty(0)
        self._gradient: Array | None = None
        self._ready: list[float] = []

    def value(self, x: Array) -> float:
        """Value at `x`, shape (n,); with its gradient where that comes in the same call."""
        if self._ready:
            return self._ready.pop()
        # Solvers step over a bound by a rounding error now and then.
        points = np.minimum(np.maximum(x, self._lower), self._upper)[None]
        told = self._evaluate(Ask(points, gradients=self._joint and self.gradients))
        self.points, self.values = points, told.values
        self._gradient = None if told.gradients is None else told.gradients[0]
        return float(told.values[0])

    def map_stencil(self, call: Callable[[Array], Any], points: Iterable[Array]) -> list[Any]:
        """Evaluate scipy's stencil as one batch; to be given to scipy as its ``workers``.

        scipy counts its calls. So the values are handed out call by call, once they are there.
        """
        batch = list(points)
        values = self._evaluate(Ask(np.array(batch), stencil=True)).values
        self._ready = values[::-1].tolist()
        return [call(x) for x in batch]

    def at(self, x: Array) -> bool:
        """Whether `x` is the point that was asked last."""
        return len(self.points) == 1 and bool(
            (np.minimum(np.maximum(x, self._lower), self._upper) == self.points[0]).all()
        )

    def gradient(self, x: Array) -> Array:
        """Gradient at `x` as the objective gives it; the value is asked only where it is new."""
        if not self.at(x):
            self.value(x)
        if self._gradient is None:
            told = self._evaluate(Ask(self.points, gradients=True))
            assert told.gradients is not None
            self._gradient = told.gradients[0]
        return self._gradient.copy()
