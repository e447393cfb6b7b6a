"""lq-CMA-ES: CMA-ES that evaluates no more of a generation than its model needs to rank it.

Hansen, N. (2019), A global surrogate assisted CMA-ES, GECCO, 664-672.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from blackbox.algorithms.cmaes import CMA
from blackbox.algorithms.cmaes_strategy import Descent, Strategy, conclude
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Told

_LARGEST = 1e100
"""Larger values are cut for the model, whose squares must not overflow."""


@dataclass(frozen=True)
class LQ(CMA):
    """CMA-ES with a linear-quadratic model of the objective.

    Each generation, the few points that the model holds for the best are evaluated, then more and
    more, until the ranks that it gives agree with the true ones (Kendall's tau of 0.85). The model
    is linear at first, then quadratic, then with products; its optimum is put into the next
    generation. Batches are what is evaluated at a time, 1, 1, 1, 2, 3 ... points. Model and rules
    are those of ``cma.fitness_models``, options those of `CMA`. It takes
    values for exact, and sees a function of the rounded point where there are integers.
    """

    takes_moved: ClassVar[bool] = False

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        strategy = Strategy(self.given(), replace(problem, integrality=None), rng)
        from cma.fitness_models import SurrogatePopulation

        es, surrogate = strategy.es, SurrogatePopulation(None)
        surrogate.model.settings.max_absolute_size = es.popsize
        _show_past(surrogate.model, strategy, problem)
        while not (reasons := es.stop()):
            values = yield from _rank(surrogate, strategy, strategy.ask())
            if values.min() == np.inf:
                strategy.tell(values)
                continue
            with np.errstate(all="ignore"):  # a model of few points may be degenerate
                strategy.tell(values)
                es.countevals = surrogate.evaluations
                optimum = surrogate.model.xopt
            if np.isfinite(optimum).all():
                es.inject([optimum])
        return conclude([Descent(dict(reasons), es.countiter, es.countevals)], problem.budget)


def _show_past(model: Any, strategy: Strategy, problem: Problem) -> None:
    """Let the model learn from the best of what is known beforehand, as much as it holds."""
    past = problem.past
    if past is None or past.values is None:
        return
    points, values = strategy.widen(past.points), past.values.clip(-_LARGEST, _LARGEST)
    with np.errstate(all="ignore"):  # points may lie on a line
        model.add_data_row(points[0], values[0])  # from now on it knows how many it holds
        for i in range(min(int(model.max_size), len(points)) - 1, 0, -1):
            model.add_data_row(points[i], values[i])
        model.sort()


def _rank(surrogate: Any, strategy: Strategy, points: Array) -> Generator[Ask, Told, Array]:
    """Evaluate as many of the points, (k, n), as the model needs; give values for all, (k,).

    As long as all of a generation failed, the model learns nothing of it.
    """
    model, settings = surrogate.model, surrogate.settings
    solutions, k = strategy.solutions, len(points)
    population = surrogate.EvaluationManager(solutions)
    least = settings.min_evals_percent * k / 100
    number = int(1 + max(least, 3 / model.settings.truncation_ratio - model.size))
    new: list[int] = []
    raw = np.full(k, np.inf)
    while population.remaining:
        chosen = _next(model, population, number)
        raw[chosen] = (yield Ask(points[chosen])).values
        new += chosen
        for i in chosen:
            population.add_eval(i, np.inf)
        if raw.min() == np.inf:
            number += math.ceil(number / 2)
            continue
        told = strategy.settle(raw[new]).clip(-_LARGEST, _LARGEST)
        with np.errstate(all="ignore"):
            for i, value in zip(new, told.tolist(), strict=True):
                population.add_eval(i, value)
                if not model.isin(solutions[i]):  # a point at a corner may come again
                    model.add_data_row(solutions[i], value)
            new.clear()
            model.sort(number)
            tau = model.kendall(settings.n_for_tau(k, population.evaluations))
        if tau >= settings.tau_truth_threshold:
            break
        number += math.ceil(number / 2)
    surrogate.evaluations += population.evaluations
    if raw.min() == np.inf:
        return raw
    with np.errstate(all="ignore"):
        model.sort(population.evaluations)
        model.adapt_max_relative_size(tau)
        values = np.array(population.surrogate_values(model.eval))
    return np.where(np.isfinite(values), values, raw)


def _next(model: Any, population: Any, number: int) -> list[int]:
    """Indices of what to evaluate, the best by the model first, until there are `number`."""
    order = range(len(population))
    if model.size > 1:
        with np.errstate(all="ignore"):
            order = np.argsort([model.eval(x) for x in population.X]).tolist()
    new = [i for i in order if not population.evaluated[i]]
    return new[: number - population.evaluations]
