"""What a run gains that is told what another has seen: cold, from its best point, and warm.

The twelve BBOB functions that the rules of the warm start were not made on, two instances each, in
5 and 10 variables. Before: 40 evaluations a variable of random search, or of cma. Then each method
searches with a budget of its own, three times: from a start of its own (cold), from the best point
known (x0), and told all points (warm). The error is that of the best value known at the end, above
the optimum; the table has the median, over functions and instances, of how many times smaller it is
than that of the cold run, and how often each of the three ends lowest.

    python results/warm-start/measure.py
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from blackbox import minimize
from experiments.environment import describe, machine, versions
from experiments.problems import expand
from experiments.report import Column, Table, to_json, write

FUNCTIONS = (3, 4, 5, 7, 11, 13, 16, 18, 19, 22, 23, 24)
INSTANCES = (1, 2)
DIMENSIONS = (5, 10)
KNOWN = 40
BUDGETS = (20, 100)
METHODS = {
    "cma": {},
    "sep-cma": {},
    "lq-cma": {},
    "pso": {"swarmsize": 40, "omega": 0.73, "phip": 1.5, "phig": 1.5, "maxiter": 10_000},
    "differential_evolution": {"polish": False},
}
LONG = ("cma", "sep-cma", "pso", "differential_evolution")
"""Methods that are given the longer budget, too: lq-cma is for short ones."""
SIDES = ("cold", "x0", "warm")
FLOOR = 1e-8
"""Errors below this count as this."""


def measure(case: tuple[int, int, int, str]) -> list[tuple[str, str, int, int, list[float]]]:
    """Errors of each method and budget, for the three sides."""
    function, instance, n, source = case
    [problem] = expand(f"bbob:f={function}:n={n}:i={instance}")
    fun, box = problem.make(), [(-5.0, 5.0)] * n
    seed = 100 * function + instance
    past = minimize(fun, method=source, bounds=box, budget=KNOWN * n, seed=seed, keep_points=True)
    best = float(past.fun)
    found = []
    for method, options in METHODS.items():
        for budget in BUDGETS[: 1 + (method in LONG)]:
            errors = []
            for begin in ({}, {"x0": past.x}, {"warm_start": past}):
                result = minimize(
                    fun,
                    method=method,
                    bounds=box,
                    budget=budget * n,
                    seed=seed + 1,
                    options=options,
                    **begin,
                )
                errors.append(max(min(result.fun, best) - problem.optimum, FLOOR))
            found.append((source, method, n, budget, errors))
    return found


def tell(found: list[tuple[str, str, int, int, list[float]]]) -> Table:
    """Return the table, a row for each source, method and budget."""
    rows = []
    for source, method, n, budget in sorted({each[:4] for each in found}):
        errors = np.array([each[4] for each in found if each[:4] == (source, method, n, budget)])
        gains = np.median(errors[:, :1] / errors, axis=0)
        lowest = errors == errors.min(axis=1, keepdims=True)
        rows.append(
            [source, method, str(n), str(budget * n), f"{gains[1]:.2f}", f"{gains[2]:.2f}"]
            + [f"{count} of {len(errors)}" for count in lowest.sum(axis=0)]
        )
    columns = [
        Column("known from", False),
        Column("method", False),
        *map(Column, ("variables", "budget", "x0: smaller by", "warm: smaller by")),
        *(Column(f"{side} lowest") for side in SIDES),
    ]
    return Table("What a warm start gains", columns, rows)


def main() -> None:
    """Measure, on two processes, and write the page and the data beside this file."""
    cases = [
        (function, instance, n, source)
        for source in ("random", "cma")
        for n in DIMENSIONS
        for function in FUNCTIONS
        for instance in INSTANCES
    ]
    found = []
    with ProcessPoolExecutor(2) as pool:
        for i, each in enumerate(pool.map(measure, cases)):
            found += each
            print(f"{i + 1} of {len(cases)}", file=sys.stderr)
    folder, table = Path(__file__).parent, tell(found)
    words = (__doc__ or "").partition("\n\n    python")[0]
    made = describe(versions("ioh"), machine())
    command = "`python results/warm-start/measure.py`"
    page = f"# {table.title}\n\n{words}\n\n{table.markdown()}\n\n{made}\n\n{command}\n"
    write(folder / "README.md", page)
    names = ("known from", "method", "n", "budget", "errors")
    data = [dict(zip(names, each, strict=True)) for each in found]
    write(folder / "errors.json", to_json({"machine": machine(), "errors": data}))


if __name__ == "__main__":
    main()
