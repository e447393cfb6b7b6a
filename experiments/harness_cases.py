"""What `experiments speed harness` measures: a comparison beside the bare loops within it."""

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from experiments.problems import article, bbob, find
from experiments.speed import Benchmark, Timed, clock

Side = Callable[[], Timed]

N, A_VARIABLE, INSTANCES = 10, 1000, 5
SEEDS, BUDGET = 5, 10_000


def bbob_cma() -> tuple[Side, Side]:
    """CMA-ES on BBOB's functions in ten dimensions, an instance a round."""
    import cma

    functions = range(1, len(bbob.NAMES) + 1)
    mine, theirs = count(), count()

    def ours() -> int:
        instance = 1 + next(mine) % INSTANCES
        return _compared(f"bbob:n={N}:i={instance}", "cma", 1, f"{A_VARIABLE}n")

    def run(f: int, instance: int) -> int:
        problem, spent = bbob.Objective(f, N, instance).function, 0
        name = f"bbob:f={f}:n={N}:i={instance}"
        while spent < A_VARIABLE * N:
            options = {"bounds": [-5, 5], "verbose": -9, "verb_log": 0, "seed": spent + 1}
            es = cma.CMAEvolutionStrategy(find(name).start(0, spent), 3.0, options)
            while not es.stop() and spent < A_VARIABLE * N:
                solutions = es.ask()
                es.tell(solutions, [problem(x) for x in solutions])
                spent += len(solutions)
        return spent

    def peer() -> int:
        instance = 1 + next(theirs) % INSTANCES
        return sum(run(f, instance) for f in functions)

    return partial(clock, ours), partial(clock, peer)


def bbob_random() -> tuple[Side, Side]:
    """Random search on BBOB's functions: as little beside the harness as there can be."""
    names = [f"bbob:f={f}:n={N}:i=1" for f in range(1, len(bbob.NAMES) + 1)]

    def ours() -> int:
        return _compared(f"bbob:n={N}", "random", 1, f"{A_VARIABLE}n")

    def peer() -> int:
        rng, spent = np.random.default_rng(0), 0
        for name in names:
            objective, best = find(name).make(), np.inf
            for _ in range(A_VARIABLE * N // 64):
                best = min(best, float(objective(rng.uniform(-5, 5, (64, N))).min()))
                spent += 64
        return spent

    return partial(clock, ours), partial(clock, peer)


def article_cma() -> tuple[Side, Side]:
    """CMA-ES on the article's network; the optimizer's and the objective's own time beside it."""
    from blackbox import minimize

    def ours() -> int:
        return _compared("article", "cma", SEEDS, BUDGET)

    def peer() -> int:
        problem, spent = find("article"), 0
        for seed in range(SEEDS):
            objective, left, run = article.objective(), BUDGET, 0
            while left:
                found = minimize(
                    objective,
                    problem.start(seed, run),
                    method="cma",
                    bounds=article.BOUNDS,
                    budget=left,
                    seed=np.random.default_rng([seed, run, 1]),
                )
                left, run = left - found.nfev, run + 1
            spent += BUDGET
        return spent

    return partial(clock, ours), partial(clock, peer)


def _compared(problem: str, method: str, seeds: int, budget: int | str) -> int:
    """Run a comparison into a folder, and return how many evaluations it made."""
    from experiments.comparison import compare

    with tempfile.TemporaryDirectory() as folder:
        found: Any = compare([problem], [method], seeds, budget, out=folder)
    return sum(record.evaluations for record in found.records)


BENCHMARKS: list[Benchmark] = [
    Benchmark(
        "CMA-ES on BBOB, 24 functions, n = 10",
        "compare(), an instance of each function a round, 1000 evaluations a variable, with store",
        "cma's own ask and tell on ioh's functions, restarted until the same is spent",
        INSTANCES,
        bbob_cma,
        goal=1.15,
        limit=150.0,
    ),
    Benchmark(
        "Random search on BBOB, 24 functions, n = 10",
        "compare(), 1000 evaluations a variable, with store",
        "numpy's draws in batches of 64 and the same functions",
        INSTANCES,
        bbob_random,
        judge="extra",
        goal=20e-6,
    ),
    Benchmark(
        "CMA-ES on the article's network",
        f"compare(), {SEEDS} seeds of {BUDGET:,} evaluations, with store",
        "minimize() on the same starts until the same is spent",
        INSTANCES,
        article_cma,
        goal=1.05,
        limit=60.0,
    ),
]
