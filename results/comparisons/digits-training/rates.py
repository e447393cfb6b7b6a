"""Which learning rate (or first step size) each method is compared with: chosen by validation.

For each method a grid, two values a decade, from starts that the comparison does not use; the value
with the lowest validation loss on its way, the mean over starts, is taken. Where that is the grid's
largest, another follows. As many forward passes as the comparison reads its values at. The test
data stay untouched. What it found is in rates.txt.

    python results/comparisons/digits-training/rates.py [METHOD ...]
"""

import math
import sys

import numpy as np

from blackbox import minimize
from experiments.problems import find

PASSES = 3000
SEEDS = (100, 101)
EVERY = 20
RATES = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0]
NEXT_RATE = 10.0
SIGMAS = [0.01, 0.03, 0.1, 0.3]
NEXT_SIGMA = 1.0
GRADIENT = [
    *("sgd", "asgd", "adagrad", "adadelta", "rmsprop", "rprop", "adam", "adamw", "adamax"),
    *("nadam", "radam", "adafactor", "muon", "lars", "lamb", "ftrl", "shampoo"),
]
FULL = ["sgd", "rprop", "adam", "muon"]
"""Those that are compared on all the data, too; the rest would show the same."""
OPTIONS = {"sgd": {"momentum": 0.9}}
STRATEGIES = ["sep-cma", "vkd-cma"]


def by_rate(problem, objective, name, seed, rates):
    """Lowest validation loss for each learning rate: all of them side by side, one pass."""
    steps = PASSES // 3
    result = minimize(
        objective,
        problem.start(seed),
        method=name,
        options={"lr": rates, **OPTIONS.get(name, {})},
        bounds=problem.bounds,
        budget=steps * (len(rates) + 1) + steps // EVERY * len(rates),
        validate_every=EVERY,
        seed=seed,
    )
    curves = [result.history.trace.curves(run).validation_loss for run in range(len(rates))]
    return [float(np.min(curve[: steps // EVERY])) for curve in curves]


def by_sigma(problem, objective, name, seed, sigmas):
    """Lowest validation loss for each first step size."""
    return [
        minimize(
            objective,
            problem.start(seed),
            method=name,
            options={"sigma0": sigma},
            bounds=problem.bounds,
            budget=PASSES,
            validate_every=EVERY,
            seed=seed,
        ).validation_loss
        for sigma in sigmas
    ]


def mean(measure, problem, objective, name, grid):
    """Mean over the starts of the losses for each value; inf where they are not finite."""
    losses = np.mean([measure(problem, objective, name, seed, grid) for seed in SEEDS], axis=0)
    return [loss if math.isfinite(loss) else math.inf for loss in losses.tolist()]


def main(names):
    """Print a line a method: its value, and the grid with its losses."""
    for batch in (64, 0):
        problem = find(f"digits-training:batch={batch}")
        objective = problem.make()
        print(problem.name)
        for name in names or (GRADIENT + STRATEGIES if batch else FULL):
            grid, more, measure = RATES, NEXT_RATE, by_rate
            if name in STRATEGIES:
                grid, more, measure = SIGMAS, NEXT_SIGMA, by_sigma
            losses = mean(measure, problem, objective, name, grid)
            if int(np.argmin(losses)) == len(grid) - 1:
                grid = [*grid, more]
                losses += mean(measure, problem, objective, name, [more])
            best = grid[int(np.argmin(losses))]
            shown = " ".join(f"{grid[i]:g}:{losses[i]:.3f}" for i in range(len(grid)))
            print(f"{name:10} {best:<6g} ({shown})", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
