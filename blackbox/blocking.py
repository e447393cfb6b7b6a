"""Solvers that insist on calling the objective: driven directly, or turned inside out."""

import contextvars
import math
import queue
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from blackbox import stencil
from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Run, Stop, Told

Returned = TypeVar("Returned")


def drive(asking: Generator[Ask, Told, Returned], evaluate: Evaluate) -> Returned:
    """Answer every ask of a generator by `evaluate`; give what it returns.

    Where `evaluate` has ``follow(run) -> Evaluate``, a generator that is
    `blackbox.types.Resumable` is shown to it first: it may put that back to where it stood.
    """
    told: Told | None = None
    try:
        follow = getattr(evaluate, "follow", None)
        if follow is not None and hasattr(asking, "resume"):
            evaluate = follow(asking)
        while True:
            try:
                ask = next(asking) if told is None else asking.send(told)
            except StopIteration as end:
                returned: Returned = end.value
                return returned
            told = evaluate(ask)  # a `StopIteration` in here is the user's
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

    # Solvers silence warnings while they search a line, by filters that are the whole process's.
    # While one is parked the caller's hold: others may run, and end, in between.
    callers = warnings.filters

    def evaluate(ask: Ask) -> Told:
        nonlocal callers
        own, warnings.filters = warnings.filters, callers
        silenced = own is not callers
        asked.put(("ask", ask))
        answer = told.get()
        callers = warnings.filters
        if silenced:
            warnings.filters = own
        if answer is None:
            raise _Abandoned
        return answer

    def end(kind: str, payload: Any) -> None:
        warnings.filters = callers
        asked.put((kind, payload))

    def body() -> None:
        nonlocal callers
        callers = warnings.filters
        try:
            end("stop", algorithm.solve(problem, rng, evaluate))
        except _Abandoned:
            warnings.filters = callers
        except BaseException as error:
            end("error", error)

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


_HUGE = 1e150
"""A failed evaluation's value where no other is known: a square of it is finite still."""


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
    finite
        Whether the solver cannot come back from an infinite value: a failed evaluation then counts
        as somewhat worse than the worst so far, with a slope of 0.

    Attributes
    ----------
    points, values
        The point that was asked last, (1, n), and its value, (1,).
    solved
        Whether any value was finite.
    """

    def __init__(
        self,
        problem: Problem,
        evaluate: Evaluate,
        *,
        gradients: bool = True,
        finite: bool = False,
    ) -> None:
        self.gradients = gradients
        self._problem, self._evaluate, self._finite = problem, evaluate, finite
        self._joint = problem.gradients == "joint"
        self._lower, self._upper = problem.lower, problem.upper
        self._free = not (np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())
        self.solved = False
        self._range = (math.inf, -math.inf)
        self._told = math.inf
        self._gradient: Array | None = None
        self._ready: list[Any] = []
        self.points: Array = np.empty((0, problem.n))
        self.values: Array = np.empty(0)

    def value(self, x: Array) -> float:
        """Value at `x`, shape (n,); with its gradient where that comes in the same call."""
        if self._ready:
            ready: float = self._ready.pop()
            return ready
        points = self._inside(x)[None]
        told = self._evaluate(Ask(points, gradients=self._joint and self.gradients))
        self.points, self.values = points, told.values
        self._gradient = None if told.gradients is None else told.gradients[0]
        value = float(told.values[0])
        self.solved = self.solved or value < math.inf
        self._told = self._settle(value) if self._finite else value
        return self._told

    def _inside(self, x: Array) -> Array:
        if self._free:
            return np.array(x, dtype=float)
        # Solvers step over a bound by a rounding error now and then.
        inside: Array = np.minimum(np.maximum(x, self._lower), self._upper)
        return inside

    def _settle(self, value: float) -> float:
        """Keep the range of values so far; put a failed one above it."""
        best, worst = self._range
        if math.isfinite(value):
            self._range = min(best, value), max(worst, value)
        else:
            return worst + ((worst - best) or abs(worst) or 1.0) if self.solved else _HUGE
        return value

    def prepare(self, points: Array) -> None:
        """Evaluate as one batch what the solver is going to ask point by point, in this order."""
        values = self._evaluate(Ask(points)).values
        self.solved = self.solved or bool(np.isfinite(values).any())
        self._ready = values[::-1].tolist()

    def map_stencil(
        self, call: Callable[[Array], Any], points: Iterable[NDArray[Any]]
    ) -> Iterator[Any]:
        """Evaluate scipy's stencil as one batch; to be given to scipy as its ``workers``.

        scipy counts its calls. So the values are handed out call by call, once they are there. It
        is a generator, as scipy dresses up a `TypeError` that a plain map raises.
        """
        centre = self.points[0]
        if math.isfinite(self.values[0]):
            lines = stencil.along_lines(self._problem, centre, self._told, points)
            values = drive(lines, self._evaluate)
        else:
            values = [self._told for _ in points]  # no slope to be had around a failure
        self._ready = values[::-1]
        for _ in values:
            yield call(centre)

    def at(self, x: Array) -> bool:
        """Whether `x` is the point that was asked last."""
        return len(self.points) == 1 and bool((self._inside(x) == self.points[0]).all())

    def gradient(self, x: Array) -> Array:
        """Gradient at `x` as the objective gives it; the value is asked only where it is new."""
        if np.iscomplexobj(x):
            return self._alone(x)
        if not self.at(x):
            if not self._joint:
                return self._alone(x)
            self.value(x)
        if self._gradient is None:
            told = self._evaluate(Ask(self.points, gradients=True))
            assert told.gradients is not None
            self._gradient = told.gradients[0]
        if self._finite and not math.isfinite(self.values[0]):
            return np.zeros_like(self._gradient)
        return self._gradient.copy()

    def _alone(self, x: Array) -> Array:
        """Gradient where no value is wanted: that of a stencil."""
        points = x[None].copy() if np.iscomplexobj(x) else self._inside(x)[None]
        told = self._evaluate(Ask(points, gradients=True, stencil=True))
        assert told.gradients is not None
        slope: Array = told.gradients[0]
        return slope

    def differences(
        self,
        x: Array,
        step: float | None = None,
        relative_step: float | Array | None = None,
    ) -> Array:
        """Gradient at `x` by finite differences; steps as for `blackbox.stencil.gradient`.

        With less ado than by scipy's own way, whose steps these are.
        """
        if not self.at(x):
            self.value(x)
        if not math.isfinite(self.values[0]):
            return np.zeros(len(x))
        asking = stencil.gradient(self._problem, self.points, self.values, step, relative_step)
        slopes: Array = drive(asking, self._evaluate)[0]
        return slopes

    def hessian(self, x: Array) -> Array:
        """Hessian at `x` by finite differences of gradients, or of values where there are none."""
        slope = None if self._problem.gradients == "none" else self.gradient(x)
        if not self.at(x):
            self.value(x)
        if not math.isfinite(self.values[0]):
            return np.zeros((len(x), len(x)))
        asking = stencil.hessian(self._problem, self.points[0], self._told, slope)
        return drive(asking, self._evaluate)
