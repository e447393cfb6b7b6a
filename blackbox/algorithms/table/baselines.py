"""What every method has to beat."""

from functools import partial

from blackbox.algorithms.method import Method, Proof

_baseline = partial(
    Method,
    kind="baseline",
    gradients="none",
    bounds="required",
    start="seeded",
    past="best",
    many_starts=True,
    batch="popsize points",
    proof=Proof(None, 10, 2000),
    tolerates_failures=True,
    changing=True,
    steady=True,
    noise="tolerated",
)

_BATCH = ("3 popsize variables",)

ROWS = [
    _baseline(
        "random",
        "random:Random",
        "Random search: uniform points",
        "numpy",
        default_budget=10_000,
        holds=_BATCH,
    ),
    _baseline(
        "sobol",
        "designs:Sobol",
        "A scrambled Sobol sequence, which fills the box evenly",
        "scipy",
        default_budget=10_000,
        paper="Sobol, I. M. (1967), On the distribution of points in a cube and the approximate "
        "evaluation of integrals, USSR Computational Mathematics and Mathematical Physics 7, "
        "86-112",
        holds=_BATCH,
        memory="scipy's scrambled direction numbers, about 8,300 n",
    ),
    _baseline(
        "lhs",
        "designs:LatinHypercube",
        "A Latin hypercube of the budget's size: each axis is covered evenly",
        "numpy",
        default_budget=10_000,
        paper="McKay, M. D., Beckman, R. J., Conover, W. J. (1979), A comparison of three methods "
        "for selecting values of input variables in the analysis of output from a computer code, "
        "Technometrics 21, 239-245",
        memory="the order of a design, budget x n whole numbers, up to 64 MiB",
    ),
    _baseline(
        "grid",
        "designs:Grid",
        "A full grid as fine as the budget allows, in random order",
        "numpy",
        changing=False,
        memory="the order of the grid, a whole number a point, up to 64 MiB",
    ),
]
