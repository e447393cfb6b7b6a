"""Integer variables in CMA-ES: rounded when asked, sampled so that they never freeze.

A floor under the standard deviation, so that mutations stay possible, and centring: among the
solutions that the mean is made of, an integer that differs from the mean's is moved to the middle
of its cell, so that a rare mutation counts in full.

Hamano, R., Saito, S., Nomura, M., Shirakawa, S. (2022), CMA-ES with margin: lower-bounding marginal
probability for mixed-integer black-box optimization, GECCO, 639-647. Marty, T., Hansen, N., Auger,
A., Semet, Y., Heron, S. (2024), LB+IC-CMA-ES: two simple modifications of CMA-ES to handle
mixed-integer problems, PPSN, 284-299: the rules here, as in the library cma.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.types import Array, Problem

Mask = NDArray[np.bool_]


def integer_box(problem: Problem, margin: float = 0.0) -> tuple[Array, Array]:
    """Bounds, (n,) each, on whole numbers where variables are integers, and `margin` beyond."""
    integers = problem.integrality
    if integers is None:
        return problem.lower, problem.upper
    lower = np.where(integers, np.ceil(problem.lower) - margin, problem.lower)
    upper = np.where(integers, np.floor(problem.upper) + margin, problem.upper)
    return lower, upper


def rounded(points: Array, integers: Mask, lower: Array, upper: Array) -> Array:
    """Round integer coordinates of points, (k, n), and keep all inside the bounds."""
    return np.clip(np.where(integers, np.rint(points), points), lower, upper)


def integer_options(problem: Problem, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return cma's own options for integers, where the user has not set them.

    A larger population, and stopping rules that stand values that repeat.
    """
    assert problem.integrality is not None
    n, count = problem.n, int(problem.integrality.sum())
    usual: dict[str, Any] = {
        "popsize": int(6 + 3 * (math.log(n) + math.log(count))),
        "tolflatfitness": 3 + 30 * count / n,
        "conditioncov_alleviate": [1e8, 0],
    }
    if count == n:
        usual |= {"tolfun": 0, "tolfunhist": 0}
    return {name: value for name, value in usual.items() if name not in given}


def keep_integers_moving(es: Any, integers: Mask | None) -> None:
    """Give a ``cma.CMAEvolutionStrategy`` the floor and the centring.

    Its own ``integer_variables`` would do so, but draw from the global random state.
    """
    from cma.options_parameters import integer_std_lower_bound

    assert integers is not None
    floor = integer_std_lower_bound(es.N, es.sp.weights.mueff, int(integers.sum()))
    es.opts["minstd"] = np.maximum(es.opts["minstd"], np.where(integers, floor, 0.0))
    lower, upper = (
        np.array(es.boundary_handler.get_bounds(side, es.N), dtype=float)
        for side in ("lower", "upper")
    )
    es.integer_centering = Centring(integers, lower, upper)


class Centring:
    """Moves integers of the selected solutions to the middle of their cells, without a bias.

    Parameters
    ----------
    integers
        Shape (n,): which variables.
    lower, upper
        Shape (n,): the bounds within which the library samples.
    """

    def __init__(self, integers: Mask, lower: Array, upper: Array) -> None:
        self._integers = integers
        # Halves are rounded to even numbers: inside the bounds means short of them.
        self._lower, self._upper = np.nextafter(lower, np.inf), np.nextafter(upper, -np.inf)

    def __call__(self, solutions: Any, mean: Array) -> Any:
        """Change the solutions in place, (k, n) or a sequence of (n,), and return them."""
        x = np.asarray(solutions)
        moved = centred(np.clip(x, self._lower, self._upper), mean, self._integers)
        for solution, new in zip(solutions, moved, strict=True):
            solution[self._integers] = new[self._integers]
        return solutions


def centred(x: Array, mean: Array, integers: Mask) -> Array:
    """Centre integers that differ from the mean's; shift the others to make up for it.

    Parameters
    ----------
    x
        Shape (k, n): solutions.
    mean
        Shape (n,): of the distribution that they were drawn from.
    integers
        Shape (n,): which variables.

    Returns
    -------
    Shape (k, n). No rounded value differs from that of `x`.
    """
    cell, home = np.rint(x), np.rint(mean)
    same = cell == home
    to_centre = cell - x
    bias = np.where(same, 0.0, to_centre).sum(axis=0)
    # What the solutions in the mean's cell could move against the bias, all the way to its middle.
    against = same & (to_centre * bias < 0)
    room = np.where(against, to_centre, 0.0).sum(axis=0)
    with np.errstate(over="ignore"):  # there may be next to no room
        share = np.minimum(1.0, np.divide(-bias, room, out=np.zeros_like(bias), where=room != 0))
    moved = x + np.where(same, np.where(against, share, 0.0), 1.0) * to_centre
    return np.where(integers, moved, x)
