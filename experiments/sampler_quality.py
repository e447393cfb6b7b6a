"""How far samplers come in Optuna's studies of some hundred trials: made-up tasks, many seeds.

The tasks stand for kinds of spaces, not for models. Their optimum lies elsewhere for each seed, the
same for all samplers.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adapters.tuning.quiet import no_notices
from experiments.report import Column, Table, number

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

TRIALS, SEEDS = 200, 9
STEPS = 9
"""Steps of a trial where Hyperband prunes."""

Task = Callable[[Any, np.random.Generator], float]
"""From a trial and what draws the optimum to a loss; 0 at the optimum."""


class Cell(NamedTuple):
    """What a sampler found on a task: the best value of each seed."""

    task: str
    sampler: str
    best: list[float]


def cells() -> list[tuple[str, str]]:
    """Return tasks and samplers, as far as these are installed."""
    return [(task, sampler) for task in TASKS for sampler in samplers()]


def samplers() -> Mapping[str, Callable[[int], "BaseSampler"]]:
    """Return what makes a sampler from a seed, by names."""
    import optuna

    from adapters import BlackboxSampler

    found: dict[str, Callable[[int], BaseSampler]] = {
        "ours: cma": lambda seed: BlackboxSampler("cma", seed=seed),
        "ours: lq-cma": lambda seed: BlackboxSampler("lq-cma", seed=seed),
        "TPE": lambda seed: optuna.samplers.TPESampler(seed=seed),
    }
    if importlib.util.find_spec("cmaes") is not None:
        found["Optuna's CMA-ES"] = lambda seed: optuna.samplers.CmaEsSampler(
            seed=seed, warn_independent_sampling=False
        )
    return found | {"random": lambda seed: optuna.samplers.RandomSampler(seed=seed)}


def measure_all(seeds: int = SEEDS) -> Iterator[Cell]:
    """Run each sampler on each task."""
    make = samplers()
    for task, sampler in cells():
        best = [_run(task, make[sampler](seed), seed) for seed in range(seeds)]
        yield Cell(task, sampler, best)


def _run(name: str, sampler: "BaseSampler", seed: int) -> float:
    import optuna

    task, pruned = TASKS[name]
    pruner = optuna.pruners.HyperbandPruner(1, STEPS) if pruned else optuna.pruners.NopPruner()

    def objective(trial: Any) -> float:
        loss = task(trial, np.random.default_rng([seed, 1]))
        for step in range(STEPS * pruned):
            early = 0.3 * math.cos(7 * loss + step) * (1 - (step + 1) / STEPS)
            trial.report(loss + early, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    with no_notices():
        # Hyperband deals out its brackets by the name.
        study = optuna.create_study(sampler=sampler, pruner=pruner, study_name=f"seed {seed}")
        study.optimize(objective, n_trials=TRIALS)
        return float(study.best_value)


def _numbers(n: int, turned: bool, trial: Any, rng: np.random.Generator) -> float:
    """A bowl, of which some directions matter a hundred times as much as others."""
    best = rng.uniform(0.1, 0.9, n)
    axes = np.linalg.qr(rng.standard_normal((n, n)))[0] if turned else np.eye(n)
    off = np.array([trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(n)]) - best
    weights: Any = 100.0 ** np.linspace(0, 1, n)
    return float(((axes @ off) ** 2 * weights).sum())


def _ripples(n: int, trial: Any, rng: np.random.Generator) -> float:
    best = rng.uniform(0.1, 0.9, n)
    off = np.array([trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(n)]) - best
    return float((10 * off**2 + 0.3 * (1 - np.cos(6 * np.pi * off))).sum())


def _mixed(trial: Any, rng: np.random.Generator) -> float:
    """A learning rate, a decay, a width, a depth, an activation."""
    rate, decay = rng.uniform(-4, -2), rng.uniform(-5, -2)
    width, depth, kind = rng.uniform(4, 8), int(rng.integers(1, 5)), rng.choice(["a", "b", "c"])
    loss = (math.log10(trial.suggest_float("rate", 1e-5, 1e-1, log=True)) - rate) ** 2
    loss += 0.1 * (math.log10(trial.suggest_float("decay", 1e-6, 1e-1, log=True)) - decay) ** 2
    loss += 0.1 * (math.log2(trial.suggest_int("width", 8, 512, log=True)) - width) ** 2
    loss += 0.1 * abs(trial.suggest_int("depth", 1, 5) - depth)
    wrong = trial.suggest_categorical("kind", ["a", "b", "c"]) != kind
    return float(loss + 0.3 * wrong)


TASKS: Mapping[str, tuple[Task, bool]] = {
    "5 numbers": (partial(_numbers, 5, False), False),
    "5 numbers that depend on each other": (partial(_numbers, 5, True), False),
    "10 numbers that depend on each other": (partial(_numbers, 10, True), False),
    "5 numbers, many local optima": (partial(_ripples, 5), False),
    "mixed: logarithms, whole numbers, a choice": (_mixed, False),
    "mixed, with Hyperband": (_mixed, True),
}
"""By name, and whether Hyperband prunes."""


def table(found: list[Cell]) -> Table:
    """Return a line a task, with the median of the best values."""
    names = list(dict.fromkeys(cell.sampler for cell in found))
    by_task: dict[str, dict[str, str]] = {}
    for cell in found:
        by_task.setdefault(cell.task, {})[cell.sampler] = number(median(cell.best), 2)
    rows = [[task, *(line.get(name, "-") for name in names)] for task, line in by_task.items()]
    seeds = len(found[0].best) if found else 0
    notes = [
        f"The best loss after {TRIALS} trials (the optimum is 0), median of {seeds} seeds, each "
        "with an optimum of its own. No sampler was told the space in advance. lq-cma has a "
        "quadratic model, and losses here are quadratic up to ripples: that flatters it."
    ]
    columns = [Column("how far samplers come", number=False), *map(Column, names)]
    return Table("Quality", columns, rows, notes)


def summary(found: list[Cell]) -> dict[str, Any]:
    """Return all values, ready for JSON."""
    return {"trials": TRIALS, "cells": [cell._asdict() for cell in found]}
