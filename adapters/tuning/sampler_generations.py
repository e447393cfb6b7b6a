"""The batches of a method, one after another, without an end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from blackbox.algorithms import ALGORITHMS, find
from blackbox.choice import choose_method
from blackbox.problem import make_random
from blackbox.types import Array, Problem, RandomStream, Told

METHODS = (
    "bipop-cma",
    "cma",
    "differential_evolution",
    "ipop-cma",
    "lhs",
    "lq-cma",
    "pso",
    "random",
    "sep-cma",
    "sobol",
    "vkd-cma",
)
"""Methods that go generation by generation and need values alone."""

_STRATEGIES = ("bipop-cma", "cma", "ipop-cma", "lq-cma", "sep-cma", "vkd-cma")

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # A local search on finite differences, which whole numbers and noise make nonsense of.
    "differential_evolution": {"polish": False},
    # From the middle of the box, and with some hundred evaluations, 0.3 is too far.
    **{name: {"sigma0": 1 / 6} for name in _STRATEGIES},
}
"""Options that differ from those of `minimize`. `sigma0` is a share of the box."""

_RUN, _EXTRA = 1, 2
"""What random streams are for: one seed, many streams."""


def check_method(method: Any) -> str:
    """Return the name of a method that goes generation by generation.

    Raises
    ------
    TypeError, ValueError
        If there is no such method, or it cannot; those that can are named.
    """
    name = find(method).name
    if name not in METHODS:
        raise ValueError(
            f"method {name!r} does not go generation by generation on values alone; those that do "
            f"are {', '.join(METHODS)}; all others run under `blackbox.minimize`"
        )
    return name


class Generations:
    """A method on a box: each generation is asked, then told; a run that ends begins anew.

    The first run starts in the middle of the box, where the method starts anywhere at all; later
    ones where chance puts them.

    Parameters
    ----------
    method, options
        One of `METHODS`, and its options.
    problem
        What is searched.
    seed, key
        The first run without a key draws what ``Optimizer(seed=seed)`` does; other keys and later
        runs have streams of their own.

    Attributes
    ----------
    points
        Shape (k, n): the generation to be told.
    number
        How many were told before.
    learns
        Whether values matter to it at all.
    takes_others
        Whether it may be told values of other points than it asked.

    Raises
    ------
    TypeError, ValueError
        If an option is unknown, or the method does not fit the problem.
    """

    def __init__(
        self,
        method: str,
        options: Mapping[str, Any],
        problem: Problem,
        seed: int,
        key: Sequence[int] = (),
    ) -> None:
        row = ALGORITHMS[method]
        self._method, self._options = method, {**DEFAULTS.get(method, {}), **options}
        if method in _STRATEGIES and problem.integrality is not None:
            widths = problem.upper - problem.lower + problem.integrality
            self._options = {"CMA_stds": widths, **self._options}
        self._seed, self._key, self._runs = seed, tuple(key), 0
        self._problem = replace(problem, starts=np.empty((0, problem.n)))
        self.learns = row.kind != "baseline"
        self.number = 0
        # Not rounded: from between two values both are drawn.
        middle = 0.5 * (problem.lower + problem.upper)
        first = replace(self._problem, starts=middle[None]) if row.start == "used" else None
        self._begin(first or self._problem)

    def _begin(self, problem: Problem) -> None:
        rng: RandomStream
        if self._runs or self._key:
            rng = np.random.default_rng([_RUN, self._seed, self._runs, *self._key])
        else:
            rng = make_random(self._seed)[0]
        algorithm = choose_method(self._method, problem, self._options, None).algorithm
        self.takes_others = bool(getattr(algorithm, "takes_moved", False))
        self._run = algorithm.run(problem, rng)
        self._runs += 1
        try:
            self.points: Array = next(self._run).points
        except StopIteration as end:
            raise RuntimeError(
                f"method {self._method!r} asks for nothing: {end.value.reason}"
            ) from None

    def tell(self, values: Array, points: Array | None = None) -> None:
        """Tell the generation, and go on to the next.

        Parameters
        ----------
        values
            Shape (k,): what to minimize; ``+inf`` where an evaluation failed.
        points
            Shape (k, n): what was evaluated, where that is something else than `self.points`.
        """
        try:
            self.points = self._run.send(Told(values, points=points)).points
        except StopIteration:
            self._begin(self._problem)
        self.number += 1

    def draw(self, number: int) -> Array:
        """Return one more point, (n,), like those of the generation: the same for a number.

        From the normal distribution that fits them; anywhere in the box where they are too few.
        """
        rng = np.random.default_rng([_EXTRA, self._seed, self.number, number, *self._key])
        problem, points = self._problem, self.points
        if self.learns and len(points) > 3:
            centre = points.mean(axis=0)
            share = rng.standard_normal(len(points)) / np.sqrt(len(points) - 1)
            point = centre + share @ (points - centre)
        else:
            point = problem.lower + rng.random(problem.n) * (problem.upper - problem.lower)
        if problem.integrality is not None:
            point = np.where(problem.integrality, np.rint(point), point)
        drawn: Array = np.clip(point, problem.lower, problem.upper)
        return drawn
