"""Algorithms made of others: a run in parts, each of an algorithm of its own."""

from abc import abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from blackbox.algorithms.in_order import InOrder
from blackbox.blocking import Blocking, drive
from blackbox.composing.views import View
from blackbox.constraints import FEASIBILITY
from blackbox.types import (
    Algorithm,
    Ask,
    Evaluate,
    Problem,
    Proposal,
    RandomStream,
    Run,
    Steady,
    SteadyAlgorithm,
    Stop,
    Told,
)


class Part(NamedTuple):
    """One part of a run.

    Attributes
    ----------
    algorithm, problem
        What searches, and what it is shown.
    view
        What stands between it and the evaluation.
    limit
        Ends the part before it ends itself.
    pause
        Where a part that its limit ended is kept, and from which another goes on.
    """

    algorithm: Algorithm
    problem: Problem
    view: View | None = None
    limit: "Limit | None" = None
    pause: "Pause | None" = None


class Pause:
    """A run that was ended by its limit and may go on."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.ask: Ask | None = None

    def close(self) -> None:
        """End the run for good."""
        if self.run is not None:
            self.run.close()
            self.run = None


class Limit:
    """When to end a part from outside; this one never does."""

    def before(self, ask: Ask) -> Stop | None:
        """Return a stop in place of the evaluation of `ask`, or None."""
        return None

    def after(self, ask: Ask, told: Told) -> None:
        """Take in what a batch gave."""


Plan = Generator[Part, Stop, Stop]
"""Yields parts, is sent how each ended, returns how the whole did."""


class Composite(Blocking):
    """Base of the algorithms made of others: `parts` says which, one after another.

    `solve` drives each part as `minimize` would; `run` is the same as a generator, where only
    parts that are blocking are parked in threads.
    """

    @abstractmethod
    def parts(self, problem: Problem, rng: RandomStream) -> Plan:
        """Start the plan of a run."""

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run all parts; every evaluation goes through `evaluate`."""
        plan = self.parts(problem, rng)
        ended: Stop | None = None
        try:
            while True:
                try:
                    part = next(plan) if ended is None else plan.send(ended)
                except StopIteration as end:
                    stop: Stop = end.value
                    return stop
                ended = _solve(part, rng, evaluate)
        finally:
            plan.close()

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        plan = self.parts(problem, rng)
        ended: Stop | None = None
        try:
            while True:
                try:
                    part = next(plan) if ended is None else plan.send(ended)
                except StopIteration as end:
                    stop: Stop = end.value
                    return stop
                ended = yield from _perform(part, rng)
        finally:
            plan.close()


class _Ended(BaseException):
    """Unwinds a part that is over; no `Exception`, so that no solver catches it."""

    def __init__(self, part: Part, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.part, self.stop = part, stop


def _solve(part: Part, rng: RandomStream, evaluate: Evaluate) -> Stop:
    algorithm, view, limit = part.algorithm, part.view, part.limit
    if not isinstance(algorithm, Blocking) or part.pause is not None:
        return drive(_perform(part, rng), evaluate)

    def answer(ask: Ask) -> Told:
        asked = ask if view is None else view.outward(ask)
        if limit is not None and (over := limit.before(asked)) is not None:
            raise _Ended(part, over)
        told = evaluate(asked)
        if limit is not None:
            limit.after(asked, told)
        return told if view is None else view.inward(asked, told)

    try:
        stop = algorithm.solve(part.problem, rng, answer)
    except _Ended as ended:
        if ended.part is not part:
            raise
        return ended.stop
    return stop if view is None else view.stop(stop)


def _perform(part: Part, rng: RandomStream) -> Run:
    view, limit, pause = part.view, part.limit, part.pause
    run, ask = (None, None) if pause is None else (pause.run, pause.ask)
    try:
        if run is None or ask is None:
            run = part.algorithm.run(part.problem, rng)
            ask = next(run)
        while True:
            asked = ask if view is None else view.outward(ask)
            if limit is not None and (over := limit.before(asked)) is not None:
                if pause is not None:
                    pause.run, pause.ask, run = run, ask, None
                return over
            told = yield asked
            if limit is not None:
                limit.after(asked, told)
            ask = run.send(told if view is None else view.inward(asked, told))
    except StopIteration as end:
        if pause is not None:
            pause.run = None
        stop: Stop = end.value
        return stop if view is None else view.stop(stop)
    finally:
        if run is not None:
            run.close()


class Counts:
    """Adds up what the solvers of a run counted: iterations, gradients, Hessians."""

    def __init__(self) -> None:
        self.sums: dict[str, int] = {"nit": 0}

    def add(self, stop: Stop) -> None:
        """Take in how a part ended."""
        for name in ("nit", "njev", "nhev"):
            if isinstance(stop.extras.get(name), (int, np.integer)):
                self.sums[name] = self.sums.get(name, 0) + int(stop.extras[name])


@dataclass(frozen=True)
class Viewed(Composite):
    """An algorithm that sees the problem through a view; `view` makes it for each run."""

    algorithm: Algorithm
    view: type[View]

    @property
    def constraint_tolerance(self) -> float:
        """The view's, or the algorithm's own."""
        own = float(getattr(self.algorithm, "constraint_tolerance", FEASIBILITY))
        return max(own, self.view.constraint_tolerance)

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run, of an algorithm that has one."""
        view = self.view(problem)  # type: ignore[call-arg]
        return _SteadyView(cast(SteadyAlgorithm, self.algorithm), view, rng, width)

    def parts(self, problem: Problem, rng: RandomStream) -> Plan:
        """One part."""
        view = self.view(problem)  # type: ignore[call-arg]
        return (yield Part(self.algorithm, view.problem, view))


class _SteadyView:
    """A steady run that sees the problem through a view."""

    def __init__(
        self, algorithm: SteadyAlgorithm, view: View, rng: RandomStream, width: int
    ) -> None:
        self._view, self._run = view, algorithm.steady(view.problem, rng, width)

    def propose(self) -> Proposal | Stop:
        """Translate what the run proposes."""
        proposal = self._run.propose()
        if isinstance(proposal, Stop):
            return self._view.stop(proposal)
        return Proposal(self._view.outward(Ask(proposal.x[None])).points[0], proposal)

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Translate what came back."""
        told = self._view.inward(Ask(proposal.x[None]), Told(np.array([value])))
        stop = self._run.accept(proposal.origin, float(told.values[0]))
        return None if stop is None else self._view.stop(stop)


@dataclass(frozen=True)
class AllFixed:
    """Bounds leave one point: it is evaluated, and that is all."""

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run."""
        return InOrder(self.run(problem, rng))

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        x = problem.lower.copy()
        told = yield Ask(x[None].copy())
        extras = {"x": x, "fun": float(told.values[0]), "nit": 0}
        return Stop("All independent variables were fixed by bounds.", True, 0, extras)
