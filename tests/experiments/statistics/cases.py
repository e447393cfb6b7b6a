"""Results made by hand or by chance, without running anything."""

import numpy as np

from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Results


def record(
    problem="p",
    method="a",
    seed=0,
    values=(1.0,),
    spent=None,
    *,
    budget=100,
    end=None,
    gradients=0,
    seconds=None,
    error="",
):
    """A run with these improvements; without any, one that failed."""
    values = np.array(values, dtype=float)
    spent = np.arange(1, len(values) + 1) if spent is None else np.array(spent, dtype=np.int64)
    end = budget if end is None else end
    seconds = end / 1000 if seconds is None else seconds
    curve = Curve(spent, gradients * spent, seconds * spent / max(end, 1), values)
    return Record(
        cell=Cell(problem, method, seed, budget),
        value=values[-1] if len(values) else np.inf,
        x=np.zeros(len(values) and 2),
        evaluations=end,
        gradients=gradients * end,
        seconds=seconds,
        runs=1,
        curve=curve,
        error=error,
    )


def results(*records, **problems):
    """Results of these records; problems are given by name, or are plain ones of two variables."""
    names = {r.cell.problem for r in records}
    known = {name: problems.get(name, ProblemInfo(name, n=2)) for name in names}
    return Results(tuple(records), known)


def finals(**by_method):
    """Results on one problem: by method, the final value of each seed."""
    return results(
        *(
            record(method=name, seed=seed, values=[] if np.isinf(value) else [value])
            for name, values in by_method.items()
            for seed, value in enumerate(values)
        )
    )


def falling(random, most=8, budget=100):
    """Values that fall, and when: a run by chance, which may have none."""
    count = int(random.integers(0, most + 1))
    spent = np.sort(random.choice(np.arange(1, budget + 1), count, replace=False))
    values = np.sort(np.unique(10.0 ** random.integers(-9, 4, count) * random.uniform(1, 9, count)))
    return values[::-1], spent[: len(values)]


def by_chance(seed, methods=("a", "b", "c"), problems=4, seeds=3, missing=0.0):
    """Results on problems of two kinds, with failures, ties and missing runs."""
    random = np.random.default_rng(seed)
    known = {
        f"p{i}": ProblemInfo(
            f"p{i}", n=2 + i % 2, optimum=0.0 if i % 2 else None, precision=i % 4 == 1
        )
        for i in range(problems)
    }
    records = []
    for s in range(seeds):
        for name in known:
            for method in methods:
                values, spent = falling(random)
                if random.random() < 0.3:
                    values, spent = [1.0], [5]  # ties
                if random.random() >= missing:
                    records.append(record(name, method, s, values, spent))
    return Results(tuple(records), known)
