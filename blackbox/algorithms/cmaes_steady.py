"""CMA-ES that waits for no generation: it samples from what it has learnt so far.

Each `popsize` values that have come, whichever they are, make an update. Those whose points were
drawn from an earlier distribution count as points from elsewhere: Hansen, N. (2011), Injecting
external solutions into CMA-ES, arXiv:1110.4181.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from blackbox.algorithms.cmaes_integers import integer_options
from blackbox.algorithms.cmaes_strategy import Descent, Strategy, conclude
from blackbox.types import Array, Problem, Proposal, RandomStream, Stop

TOGETHER = {"CMA_mirrors": 0, "mean_shift_line_samples": False, "pc_line_samples": False}
"""Options that sample several points of a generation by each other, and what leaves them out."""


class _Sample(NamedTuple):
    """A solution as the library has it, and how many updates it has seen."""

    solution: Array
    updates: int


class SteadyStrategy:
    """cma's strategy, told value by value: a `blackbox.types.Steady`.

    Parameters
    ----------
    options, problem, rng
        As for `Strategy`. The step size is adapted by the length of the path alone, also in
        dimensions in which the library takes two points of each generation for it.
    width
        How many points are under way at once: the least population, unless `options` say.

    Raises
    ------
    ValueError
        For options that make up points of a generation by each other.
    """

    def __init__(
        self, options: Mapping[str, Any], problem: Problem, rng: RandomStream, width: int
    ) -> None:
        with warnings.catch_warnings():  # the library adds a filter of its own
            from cma.sigma_adaptation import CMAAdaptSigmaCSA

        if together := [name for name in TOGETHER if options.get(name)]:
            raise ValueError(
                f"option {together[0]!r} makes up points of a generation by each other, and "
                "steady=True has no generations; leave out one of them"
            )
        settings = {**_settings(options, problem, width), **options, **TOGETHER}
        if options.get("AdaptSigma") is not False:
            settings["AdaptSigma"] = CMAAdaptSigmaCSA
        self._strategy = Strategy(settings, problem, rng)
        self._samples: list[_Sample] = []
        self._values: list[float] = []
        self._budget = problem.budget

    def propose(self) -> Proposal:
        """Sample a point."""
        solution, x = self._strategy.sample()
        return Proposal(x, _Sample(solution, self._strategy.es.countiter))

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Take in a value; update the distribution where there are enough."""
        es = self._strategy.es
        self._samples.append(proposal.origin)
        self._values.append(value)
        if len(self._values) < es.popsize:
            return None
        samples, values = self._samples, np.array(self._values)
        self._samples, self._values = [], []
        if values.min() == np.inf:  # nothing is learnt where all failed
            return None
        old = [i for i, sample in enumerate(samples) if sample.updates < es.countiter]
        self._strategy.learn([sample.solution for sample in samples], values, old)
        if not (reasons := es.stop()):
            return None
        return conclude([Descent(dict(reasons), es.countiter, es.countevals)], self._budget)


def _settings(options: Mapping[str, Any], problem: Problem, width: int) -> dict[str, Any]:
    """Return what is to be set where more points are under way than a population usually has."""
    usual = int(4 + 3 * math.log(max(problem.n, 2)))
    if problem.integrality is not None and problem.integrality.any():
        usual = integer_options(problem, {})["popsize"]
    if width <= usual:
        return {}
    # Values that come late make a loop that overshoots: a smaller population, or variances that
    # learn fast from bad points too, would.
    diagonal = bool(options.get("CMA_diagonal"))
    return {"popsize": width} | ({"CMA_active": False} if diagonal else {})
