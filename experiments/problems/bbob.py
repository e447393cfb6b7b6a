"""The 24 noiseless functions of the Black-Box Optimization Benchmarking workshops.

Hansen, N., Finck, S., Ros, R., Auger, A. (2009), Real-parameter black-box optimization benchmarking
2009: noiseless functions definitions, INRIA RR-6829. Computed by the library ioh: de Nobel, J., Ye,
F., Vermetten, D., Wang, H., Doerr, C., Baeck, T. (2024), IOHexperimenter: benchmarking platform for
iterative optimization heuristics, Evolutionary Computation 32, 205-210.

An instance shifts and rotates a function, and adds a constant to its values, which so can be
negative. The optimum lies within the box, its value is known.
"""

import importlib.util
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark, Uniform
from experiments.problems.family import Family, Parameter, Whole

Array = NDArray[np.float64]

BOUNDS = (-5.0, 5.0)
SOURCE = "Hansen, Finck, Ros and Auger (2009), INRIA RR-6829; computed by ioh"
FUNCTIONS = {
    "separable": ("sphere", "ellipsoid", "Rastrigin", "Bueche-Rastrigin", "linear slope"),
    "moderate": ("attractive sector", "step ellipsoid", "Rosenbrock", "rotated Rosenbrock"),
    "ill-conditioned": (
        "rotated ellipsoid", "discus", "bent cigar", "sharp ridge", "different powers",
    ),
    "multimodal": (
        "rotated Rastrigin", "Weierstrass", "Schaffer F7", "ill-conditioned Schaffer F7",
        "Griewank-Rosenbrock",
    ),
    "weakly structured": (
        "Schwefel", "Gallagher's 101 peaks", "Gallagher's 21 peaks", "Katsuura",
        "Lunacek's double Rastrigin",
    ),
}  # fmt: skip
"""The functions' names by their groups, in the order of their numbers, from 1."""
NAMES = [(group, name) for group, names in FUNCTIONS.items() for name in names]
COSTS = {2: 0.5, 5: 0.6, 10: 1, 20: 2, 40: 4, 100: 10}
"""Microseconds an evaluation by dimension, the mean over all functions."""


class Objective:
    """A function of the suite, batched: (k, n) -> (k,).

    Parameters
    ----------
    f, n, i
        Its number, the dimension, the instance.

    Attributes
    ----------
    function
        ioh's own, of a point or a list of points.
    """

    batched = True
    reads_only = True

    def __init__(self, f: int, n: int, i: int) -> None:
        self._which = f, n, i
        self.function = _function(f, n, i)

    def __call__(self, points: Array) -> Array:
        """Return the values (k,) of points (k, n)."""
        # Lists are what ioh reads fastest.
        return np.array(self.function(points.tolist()), dtype=float)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the numbers that it is made of."""
        return Objective, self._which


def require() -> None:
    """Check that ioh is here.

    Raises
    ------
    ModuleNotFoundError
        If it is not; it says how to install it.
    """
    if importlib.util.find_spec("ioh") is None:
        raise ModuleNotFoundError(
            "the BBOB functions come with ioh, which is not installed; run: "
            'pip install -e ".[problems]"',
            name="ioh",
        )


def benchmark(f: int, n: int, i: int) -> Benchmark:
    """Return function `f` (1 to 24) in `n` variables, instance `i`."""
    group, name = NAMES[f - 1]
    nearest = min(COSTS, key=lambda known: abs(known - n))
    return Benchmark(
        name=f"bbob:f={f}:n={n}:i={i}",
        description=f"BBOB f{f}, {name}, {group}",
        source=SOURCE,
        make=partial(Objective, f, n, i),
        n=n,
        bounds=BOUNDS,
        draw=Uniform(*BOUNDS, n),
        optimum=float(_function(f, n, i).optimum.y),
        require=require,
        cost=f"{COSTS[nearest]:g} us",
        group=f"bbob:f={f}:n={n}",
        precision=True,
    )


def minimizer(f: int, n: int, i: int) -> Array:
    """Return where the optimum is, (n,), as ioh has it: for f = 19 only near it above n = 64."""
    return np.array(_function(f, n, i).optimum.x)


def _function(f: int, n: int, i: int) -> Any:
    """A function with a state of its own: it counts its evaluations."""
    import ioh

    return ioh.get_problem(f, i, n, ioh.ProblemClass.BBOB)


FAMILY = Family(
    name="bbob",
    description="24 test functions, shifted and rotated: separable, moderate, ill-conditioned, "
    "multimodal and weakly structured ones",
    source=SOURCE,
    variables="2 to 100",
    box="-5 .. 5",
    start="uniform in the box",
    optimum="known",
    cost="1 us at n=10",
    make=benchmark,
    parameters={
        "f": Parameter("the function", Whole(1, 24), "1-24"),
        "n": Parameter("variables", Whole(2, 100), "10"),
        "i": Parameter("the instance", Whole(1, 1_000_000), "1"),
    },
    require=require,
)
