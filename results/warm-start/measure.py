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
from typing import Any

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
METHODS: dict[str, dict[str, Any]] = {
    "cma": {},
    "sep-cma": {},
    "lq-cma": {},
    "pso": {"swarmsize": 40, "omega": 0.73, "phip": 1.5, "phig": 1.5, "maxiter": 10_000},
    "differential_evolution": {"polish": False},
}
LONG = ("cma", "sep-cma", "pso", "differential_evolution")
"""Methods that are given the longer budget, too: lq-cma is for short ones."""
SIDES = ("cold", "x0", "warm")
KEYS = ("known from", "method", "variables", "budget")
Found = tuple[str, str, int, int, list[float]]
"""What `KEYS` name, and the errors of the three sides."""
FLOOR = 1e-8
"""Errors below this count as this."""


def measure(case: tuple[int, int, int, str]) -> list[Found]:
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
            found.append((source, method, n, budget * n, errors))
    return found


def tell(found: list[Found], names: tuple[str, ...]) -> Table:
    """Return a table with a row for each that differs in these of `KEYS`."""
    at = [KEYS.index(name) for name in names]
    groups: dict[tuple[object, ...], list[list[float]]] = {}
    for each in found:
        groups.setdefault(tuple(each[i] for i in at), []).append(each[4])
    rows = []
    for group, listed in sorted(groups.items()):
        errors = np.array(listed)
        gains = np.median(errors[:, :1] / errors, axis=0)
        lowest = (errors == errors.min(axis=1, keepdims=True)).mean(axis=0)
        rows.append(
            [str(name) for name in group]
            + [f"{gain:.2f}" for gain in gains[1:]]
            + [f"{share:.0%}" for share in lowest]
            + [str(len(errors))]
        )
    columns = [
        *(Column(name, name in ("variables", "budget")) for name in names),
        *map(Column, ("x0: smaller by", "warm: smaller by")),
        *(Column(f"{side} lowest") for side in SIDES),
        Column("runs"),
    ]
    return Table(", ".join(names), columns, rows)


def main() -> None:
    """Measure, on two processes, and write the page and the data beside this file."""
    cases = [
        (function, instance, n, source)
        for source in ("random", "cma")
        for n in DIMENSIONS
        for function in FUNCTIONS
        for instance in INSTANCES
    ]
    found: list[Found] = []
    with ProcessPoolExecutor(2) as pool:
        for i, each in enumerate(pool.map(measure, cases)):
            found += each
            print(f"{i + 1} of {len(cases)}", file=sys.stderr)
    folder = Path(__file__).parent
    words = (__doc__ or "").partition("\n\n    python")[0]
    made = describe(versions("ioh"), machine())
    command = "`python results/warm-start/measure.py`"
    parts = [f"# What a warm start gains\n\n{words}"]
    parts += ["## By method", tell(found, ("method",)).markdown()]
    parts += ["## All", tell(found, KEYS).markdown(), made, command]
    write(folder / "README.md", "\n\n".join(parts) + "\n")
    data = [dict(zip((*KEYS, "errors"), each, strict=True)) for each in found]
    write(folder / "errors.json", to_json({"machine": machine(), "errors": data}))


if __name__ == "__main__":
    main()
