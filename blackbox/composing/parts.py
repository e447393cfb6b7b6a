"""Algorithms made of others: a run in parts, each of an algorithm of its own."""

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

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
    Resumable,
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
    """When to end a part from outside; this one never does, and can't say where it stands."""

    def before(self, ask: Ask) -> Stop | None:
        """Return a stop in place of the evaluation of `ask`, or None."""
        return None

    def after(self, ask: Ask, told: Told) -> None:
        """Take in what a batch gave."""

    def state(self) -> dict[str, Any] | None:
        """Return what was counted, for `blackbox.snapshot`; None where that can't be said."""
        return None

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""


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
                ended = yield from _Stint(part, rng)
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
        return drive(_Stint(part, rng), evaluate)

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


class _Stint(Generator[Ask, Told, Stop]):
    """A part's run, from where it begins or was paused to where it ends or is paused.

    While it runs nothing else of the whole moves but what its limit counts.
    """

    def __init__(self, part: Part, rng: RandomStream) -> None:
        pause = part.pause
        self._part, self._ask = part, None if pause is None else pause.ask
        if pause is None or pause.run is None or pause.ask is None:
            self._run, self._ask = part.algorithm.run(part.problem, rng), None
        else:
            self._run = pause.run
        self._asking = self._perform()

    def send(self, told: Any) -> Ask:
        """Take in what was told; return what is asked next."""
        return self._asking.send(told)

    def throw(self, *error: Any) -> Ask:
        """Raise an error where it waits."""
        return self._asking.throw(*error)

    def close(self) -> None:
        """End it."""
        self._asking.close()

    def state(self) -> dict[str, Any] | None:
        """Return where it stands; None where that can't be said."""
        run, limit = self._run, self._part.limit
        if self._part.view is not None or not isinstance(run, Resumable):
            return None
        own, counted = run.state(), None if limit is None else limit.state()
        if own is None or (limit is not None and counted is None):
            return None
        return {"run": own, "limit": counted}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned; before the first ask."""
        run, limit = self._run, self._part.limit
        assert isinstance(run, Resumable)
        run.resume(state["run"])
        if limit is not None:
            limit.resume(state["limit"])
        self._ask = None  # which was of another place

    def _perform(self) -> Run:
        view, limit, pause = self._part.view, self._part.limit, self._part.pause
        run: Run | None = self._run
        try:
            ask = next(self._run) if self._ask is None else self._ask
            while True:
                asked = ask if view is None else view.outward(ask)
                if limit is not None and (over := limit.before(asked)) is not None:
                    if pause is not None:
                        pause.run, pause.ask, run = run, ask, None
                    return over
                told = yield asked
                if limit is not None:
                    limit.after(asked, told)
                ask = self._run.send(told if view is None else view.inward(asked, told))
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
