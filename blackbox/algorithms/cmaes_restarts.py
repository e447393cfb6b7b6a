"""CMA-ES started again and again: IPOP doubles the population, BIPOP has small ones in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from blackbox.algorithms.cmaes import CMA
from blackbox.algorithms.cmaes_noise import make_uncertainty
from blackbox.algorithms.cmaes_strategy import Descent, Strategy, conclude, descend, first_stds
from blackbox.types import Array, Problem, RandomStream, Run


@dataclass(frozen=True)
class IPOP(CMA):
    """CMA-ES with restarts and an increasing population.

    Auger, A., Hansen, N. (2005), A restart CMA evolution strategy with increasing population size,
    CEC, 1769-1776.

    The first run is that of `CMA`. Each restart begins at a uniform draw in a finite box; elsewhere
    at the start plus a normal draw with the first generation's standard deviations, inside the
    bounds. Other options are those of `CMA`; `maxiter` and tolerances hold for each run.

    Attributes
    ----------
    restarts
        Restarts, each with a larger population; small ones of `BIPOP` don't count. A run that
        reached `ftarget` is the last.
    incpopsize
        Factor of the population from one restart to the next.
    """

    restarts: int = 9
    incpopsize: float = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.restarts, Integral) or self.restarts < 0:
            raise ValueError(
                f"restarts must be a whole number, 0 or more; got {self.restarts!r}. The budget "
                "ends a run with too many"
            )
        if not (np.isfinite(self.incpopsize) and self.incpopsize >= 1):
            raise ValueError(f"incpopsize must be at least 1 and finite; got {self.incpopsize}")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        options = self.given()
        uncertainty = make_uncertainty(problem, rng)
        strategy = Strategy(options, problem, rng)
        first = strategy.es.popsize
        descents: list[Descent] = [(yield from descend(strategy, uncertainty))]
        for i in range(1, self.restarts + 1):
            if _over(descents[-1]):
                break
            size = _sized(options, int(first * self.incpopsize**i))
            strategy = Strategy(size, problem, rng, _restart(options, problem, rng))
            descents.append((yield from descend(strategy, uncertainty)))
        return conclude(descents, problem.budget)


@dataclass(frozen=True)
class BIPOP(IPOP):
    """CMA-ES with restarts in two regimes, of large and of small populations.

    Hansen, N. (2009), Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed, GECCO
    companion, 2389-2396.

    The regime that has spent fewer evaluations is next; the first run counts as a small one.

    - Large: a population `incpopsize` times that of the last large run (at first, of the first
      run), with the first step size.
    - Small: a population of ``first * (large / first / 2) ** (u ** 2)``, at least the first one,
      and a step size of ``sigma0 * 0.01 ** v``, with u and v uniform in [0, 1); it ends at half of
      the evaluations that the large regime has spent.

    Where restarts begin, and the options, are as for `IPOP`.
    """

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        options = self.given()
        uncertainty = make_uncertainty(problem, rng)
        strategy = Strategy(options, problem, rng)
        first = large = float(strategy.es.popsize)
        descents: list[Descent] = [(yield from descend(strategy, uncertainty))]
        spent_small, spent_large, restarts = descents[0].evaluations, 0, 0
        while not _over(descents[-1]):
            small, shrink = spent_small < spent_large, 1.0
            if not small and restarts == self.restarts:
                break
            if small:
                u, v = rng.random(2)
                popsize = int(first * max(large / first / 2, 1.0) ** (u**2))
                changed, shrink = _sized(options, popsize), 0.01**v
                limit = max(spent_large / 2 / popsize, 1)
                changed["maxiter"] = min(options.get("maxiter", np.inf), limit)
            else:
                restarts, large = restarts + 1, large * self.incpopsize
                changed = _sized(options, int(large))
            start = _restart(options, problem, rng)
            strategy = Strategy(changed, problem, rng, start, shrink)
            descents.append((yield from descend(strategy, uncertainty)))
            if small:
                spent_small += descents[-1].evaluations
            else:
                spent_large += descents[-1].evaluations
        return conclude(descents, problem.budget)


def _over(descent: Descent) -> bool:
    return descent.spent or "ftarget" in descent.reasons


def _sized(options: Mapping[str, Any], popsize: int) -> dict[str, Any]:
    # The first population has been multiplied by `popsize_factor` already.
    return {**options, "popsize": popsize, "popsize_factor": 1}


def _restart(options: Mapping[str, Any], problem: Problem, rng: RandomStream) -> Array:
    """Draw where a restart begins, (n,)."""
    lower, upper = problem.lower, problem.upper
    if problem.bounded:
        drawn: Array = lower + rng.random(problem.n) * (upper - lower)
        return drawn
    spread = first_stds(options, problem) * rng.standard_normal(problem.n)
    moved: Array = np.clip(problem.starts[0] + spread, lower, upper)
    return moved
