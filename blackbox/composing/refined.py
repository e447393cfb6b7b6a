"""Steps of a gradient method from the best points of each batch of a population.

Either what they reach counts as the value of the points that they began at (Hinton, G. E., Nowlan,
S. J. (1987), How learning can guide evolution, Complex Systems 1, 495-502), or the points move too;
Whitley, D., Gordon, V. S., Mathias, K. (1994), Lamarckian evolution, the Baldwin effect and
function optimization, PPSN, 5-15, compare the two.
"""

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np

from blackbox.algorithms import find
from blackbox.algorithms.descent.habits import Descent
from blackbox.algorithms.method import Method, nearest
from blackbox.blocking import Blocking, drive
from blackbox.constraints import FEASIBILITY
from blackbox.types import Algorithm, Array, Ask, Evaluate, Problem, RandomStream, Run, Stop, Told

OWN = ("method", "steps", "best", "inherit")


@dataclass(frozen=True)
class Refinement:
    """The option ``refine``: a gradient method's name, or a mapping of these and its own options.

    Attributes
    ----------
    method
        A gradient method that walks from several starts side by side, such as ``"adam"``.
    steps
        Gradients that each refined point gets.
    best
        How many points of a batch are refined, the best ones.
    inherit
        Whether the points move to where the steps have led. None: where the method can take points
        that it did not ask, as the kinds of CMA-ES can.
    options
        Those of the gradient method.
    """

    method: str = "adam"
    steps: int = 5
    best: int = 1
    inherit: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("steps", "best"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
                raise ValueError(f"refine: {name} is a whole number from 1; got {count!r}")
        if self.inherit not in (None, True, False):
            raise ValueError(f"refine: inherit is True, False or None; got {self.inherit!r}")
        settings = self.descent().keywords().values()
        if any(isinstance(setting, list) for setting in settings):
            raise ValueError("refine: all points have the same settings; give no lists of them")

    @property
    def row(self) -> Method:
        """The gradient method's row."""
        return find(self.method)

    def descent(self) -> Descent:
        """Return the configured gradient method."""
        algorithm = self.row.make(self.options)
        assert isinstance(algorithm, Descent)
        return algorithm


def read_refinement(given: Any) -> Refinement | None:
    """Return what the option ``refine`` says; None where nothing is to be refined.

    Raises
    ------
    TypeError, ValueError
        For what is no name and no mapping, a method without gradients, an option that neither
        refining nor the method has.
    """
    if given is None or isinstance(given, Refinement):
        return given
    if isinstance(given, str):
        given = {"method": given}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"refine is a gradient method's name, or a mapping such as {{'method': 'adam', "
            f"'steps': 5, 'lr': 0.01}}; got {given!r:.60}"
        )
    row = find(given.get("method", Refinement.method))
    kind = row.load()
    if not issubclass(kind, Descent):
        raise ValueError(
            f"refine: {row.name!r} is no gradient method that walks from several points side by "
            "side; take 'adam' or another of its family"
        )
    known = [*OWN, *(f.name for f in dataclasses.fields(kind))]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(
            f"refine has no option {', '.join(map(repr, unknown))}{nearest(str(unknown[0]), known)}"
            f"; it has: {', '.join(known)}"
        )
    own = {name: given[name] for name in OWN if name in given}
    options = {name: value for name, value in given.items() if name not in OWN}
    return Refinement(**own | {"method": row.name}, options=options)


def refine(row: Method, algorithm: Algorithm, given: Refinement, problem: Problem) -> "Refined":
    """Return the algorithm with its best points refined.

    Raises
    ------
    ValueError
        Where the method has no population, cannot take points that moved, or the problem has
        integers, or noise that the method measures.
    """
    if row.kind == "local":
        raise ValueError(
            f"refine is for methods that ask batches of points, and {row.name!r} walks from one; "
            "a chain goes from one method to the other: method=['cma', 'adam']"
        )
    if problem.integrality is not None:
        raise ValueError("refine walks on slopes, and integers have none; leave one of them out")
    if problem.changing and not given.row.changing:
        raise ValueError(
            f"refine: {given.method!r} compares values of different batches, and the objective "
            "changes from batch to batch; take 'adam'"
        )
    if problem.noisy and row.noise == "handled":
        raise ValueError(
            f"method {row.name!r} evaluates points again to measure their noise, which refined "
            "values would hide; leave refine or noisy=True out"
        )
    takes = bool(getattr(algorithm, "takes_moved", False))
    if given.inherit and not takes:
        raise ValueError(
            f"refine: method {row.name!r} takes values of the points that it asked, and no others; "
            "leave inherit=True out, or use method='cma'"
        )
    inherit = takes if given.inherit is None else given.inherit
    return Refined(row, algorithm, given.descent(), given.steps, given.best, inherit)


@dataclass(frozen=True)
class Refined(Blocking):
    """Refines the best points of each batch before the algorithm is told its values.

    Batches of one point are left as they are: those of a local search at the end, say. Where values
    can be compared, a refined point counts by the lowest value on its way. Where the objective
    changes from batch to batch they can't: each step then sees a minibatch of its own, and the
    whole batch is evaluated once more, with the refined points in it, on one.

    Attributes
    ----------
    row, algorithm
        What searches.
    descent, steps, best, inherit
        As in `Refinement`.
    """

    row: Method
    algorithm: Algorithm
    descent: Descent
    steps: int
    best: int
    inherit: bool

    @property
    def constraint_tolerance(self) -> float:
        """The algorithm's own."""
        return float(getattr(self.algorithm, "constraint_tolerance", FEASIBILITY))

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run the algorithm to its end; every evaluation goes through `evaluate`."""
        if not isinstance(self.algorithm, Blocking):
            return drive(self.run(problem, rng), evaluate)
        first = True

        def answer(ask: Ask) -> Told:
            nonlocal first
            self._check(ask, first)
            first = False
            return drive(self._answer(ask, problem, rng), evaluate)

        return _without_end(self.algorithm.solve(problem, rng, answer))

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        run = self.algorithm.run(problem, rng)
        try:
            ask = next(run)
            self._check(ask, first=True)
            while True:
                ask = run.send((yield from self._answer(ask, problem, rng)))
        except StopIteration as end:
            stop: Stop = end.value
            return _without_end(stop)
        finally:
            run.close()

    def _check(self, ask: Ask, first: bool) -> None:
        # Baselines evaluate the start alone, before their first batch.
        if first and len(ask.points) < 2 and self.row.kind != "baseline":
            raise ValueError(
                f"refine is for methods that ask batches of points, and {self.row.name!r} asks one "
                "at a time; take 'cma', or leave refine out"
            )

    def _answer(self, ask: Ask, problem: Problem, rng: RandomStream) -> Generator[Ask, Told, Told]:
        """Evaluate what the algorithm asks, and refine the best of it."""
        told = yield ask
        if ask.stencil or ask.gradients or len(ask.points) < 2:
            return told
        chosen = np.argsort(told.values, kind="stable")[: self.best]
        chosen = chosen[np.isfinite(told.values[chosen])]
        if not len(chosen):
            return told
        points, values = ask.points.copy(), told.values.copy()
        lowest = _Lowest(points[chosen], values[chosen])
        end = yield from self._walk(lowest, problem, rng)
        if problem.changing:
            points[chosen] = end
            values = (yield Ask(points.copy())).values
        else:
            reached = (yield Ask(end.copy())).values
            if not problem.noisy:  # else the lowest would be the luckiest
                lowest.take(end, reached)
                end, reached = lowest.points, lowest.values
            points[chosen], values[chosen] = end, reached
        return told._replace(values=values, points=points if self.inherit else None)

    def _walk(
        self, lowest: "_Lowest", problem: Problem, rng: RandomStream
    ) -> Generator[Ask, Told, Array]:
        """Walk by so many gradients; return where that leads, which is not evaluated yet."""
        shown = replace(
            problem,
            starts=lowest.points.copy(),
            budget=self.steps * len(lowest.points),
            full_every=0,
            validate_every=0,
            callback=None,
        )
        run, asked = self.descent.run(shown, rng), 0
        try:
            ask = next(run)
            while asked < self.steps or ask.stencil:
                told = yield ask._replace(rates=None)  # no runs of their own
                if not ask.stencil:
                    asked += 1
                    lowest.take(ask.points, told.values)
                ask = run.send(told)
        except StopIteration:  # it came to its own end
            pass
        finally:
            run.close()
        return ask.points


class _Lowest:
    """The lowest of the points, (k, n), that each of k runs has been at."""

    def __init__(self, points: Array, values: Array) -> None:
        self.points, self.values = points, values

    def take(self, points: Array, values: Array) -> None:
        """Take in where the runs are now."""
        better = values < self.values
        self.points = np.where(better[:, None], points, self.points)
        self.values = np.where(better, values, self.values)


def _without_end(stop: Stop) -> Stop:
    """Leave out the algorithm's own end: its value need not be that of its point."""
    ended = ("x", "fun", "jac")
    return stop._replace(extras={k: v for k, v in stop.extras.items() if k not in ended})
