"""Classical problems with constraints, of known optimum.

`hs71`: Hock, W., Schittkowski, K. (1981), Test examples for nonlinear programming codes, Springer,
problem 71. `g04`, `g06`, `g08`: Liang, J. J., et al. (2006), Problem definitions and evaluation
criteria for the CEC 2006 special session on constrained real-parameter optimization. `beam` and
`spring`: Coello Coello, C. A. (2000), Use of a self-adaptive penalty approach for engineering
optimization problems, Computers in Industry 41, 113-127. `disk`: Rosenbrock, H. H. (1960), An
automatic method for finding the greatest or least value of a function, The Computer Journal 3,
175-184, here within a disk that the minimum lies on the edge of.

Objectives are functions of points (..., n), constraints of one point (n,): scipy's dictionaries,
whose inequalities hold where they are not negative.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark, Uniform, Vectorized
from experiments.problems.family import Family, Parameter, Words

Array = NDArray[np.float64]


class Case(NamedTuple):
    """A problem of the table.

    Attributes
    ----------
    description, source
        What it is, where it comes from.
    objective
        Of points (..., n), with values (...).
    bounds
        A pair a variable.
    inequalities, equalities
        Of a point (n,): arrays that are not to be negative, or to be zero.
    optimum, minimizer
        The best feasible value, and where.
    x0
        The published start, if there is one.
    """

    description: str
    source: str
    objective: Callable[[Array], Array]
    bounds: tuple[tuple[float, float], ...]
    inequalities: Callable[[Array], Array]
    optimum: float
    minimizer: tuple[float, ...]
    equalities: Callable[[Array], Array] | None = None
    x0: tuple[float, ...] | None = None


def _disk(points: Array) -> Array:
    x, y = _columns(points)
    return 100 * (y - x**2) ** 2 + (1 - x) ** 2


def _in_disk(x: Array) -> Array:
    return np.array([2 - x @ x])


def _hs71(points: Array) -> Array:
    a, b, c, d = _columns(points)
    return a * d * (a + b + c) + c


def _hs71_product(x: Array) -> Array:
    return np.array([x.prod() - 25])


def _hs71_squares(x: Array) -> Array:
    return np.array([x @ x - 40])


def _g04(points: Array) -> Array:
    a, _, c, _, e = _columns(points)
    return 5.3578547 * c**2 + 0.8356891 * a * e + 37.293239 * a - 40792.141


def _g04_limits(x: Array) -> Array:
    a, b, c, d, e = x
    u = 85.334407 + 0.0056858 * b * e + 0.0006262 * a * d - 0.0022053 * c * e
    v = 80.51249 + 0.0071317 * b * e + 0.0029955 * a * b + 0.0021813 * c**2
    w = 9.300961 + 0.0047026 * c * e + 0.0012547 * a * c + 0.0019085 * c * d
    return np.array([u, 92 - u, v - 90, 110 - v, w - 20, 25 - w])


def _g06(points: Array) -> Array:
    a, b = _columns(points)
    return (a - 10) ** 3 + (b - 20) ** 3


def _g06_crescent(x: Array) -> Array:
    a, b = x
    return np.array([(a - 5) ** 2 + (b - 5) ** 2 - 100, 82.81 - (a - 6) ** 2 - (b - 5) ** 2])


def _g08(points: Array) -> Array:
    a, b = _columns(points)
    # sin(2 pi a) / a is finite at 0. In the corner, which is not feasible, the sum is kept from 0.
    waves = (2 * np.pi * np.sinc(2 * a)) ** 3 * np.sin(2 * np.pi * b)
    return -waves / np.maximum(a + b, 1e-9)


def _g08_limits(x: Array) -> Array:
    a, b = x
    return np.array([b - a**2 - 1, a - 1 - (b - 4) ** 2])


def _beam(points: Array) -> Array:
    weld, length, height, width = _columns(points)
    return 1.10471 * weld**2 * length + 0.04811 * height * width * (14 + length)


def _beam_limits(x: Array) -> Array:
    weld, length, height, width = x
    force, reach, stiffness, shear_modulus = 6000.0, 14.0, 30e6, 12e6
    primary = force / (np.sqrt(2) * weld * length)
    moment = force * (reach + length / 2)
    arm = np.sqrt(length**2 / 4 + ((weld + height) / 2) ** 2)
    inertia = 2 * np.sqrt(2) * weld * length * (length**2 / 12 + ((weld + height) / 2) ** 2)
    secondary = moment * arm / inertia
    shear = np.sqrt(primary**2 + primary * secondary * length / arm + secondary**2)
    bending = 6 * force * reach / (width * height**2)
    deflection = 4 * force * reach**3 / (stiffness * height**3 * width)
    slender = height / (2 * reach) * np.sqrt(stiffness / (4 * shear_modulus))
    buckling = 4.013 * stiffness * height * width**3 / (6 * reach**2) * (1 - slender)
    return np.array(
        [
            1 - shear / 13_600,
            1 - bending / 30_000,
            width - weld,
            5 - 0.10471 * weld**2 - 0.04811 * height * width * (14 + length),
            weld - 0.125,
            0.25 - deflection,
            buckling / force - 1,
        ]
    )


def _spring(points: Array) -> Array:
    wire, coil, turns = _columns(points)
    return (turns + 2) * coil * wire**2


def _spring_limits(x: Array) -> Array:
    wire, coil, turns = x
    shear = (4 * coil**2 - wire * coil) / (12566 * (coil * wire**3 - wire**4))
    return np.array(
        [
            coil**3 * turns / (71785 * wire**4) - 1,
            1 - shear - 1 / (5108 * wire**2),
            140.45 * wire / (coil**2 * turns) - 1,
            1 - (coil + wire) / 1.5,
        ]
    )


def _columns(points: Array) -> tuple[Array, ...]:
    """The variables of points (..., n), each (...)."""
    return tuple(points[..., i] for i in range(points.shape[-1]))


CASES = {
    "disk": Case(
        "Rosenbrock's valley within a disk, the optimum on its edge",
        "Rosenbrock (1960)",
        _disk,
        ((-1.5, 1.5),) * 2,
        _in_disk,
        0.0,
        (1.0, 1.0),
    ),
    "hs71": Case(
        "a product and a sum of squares to be kept",
        "Hock and Schittkowski (1981), 71",
        _hs71,
        ((1.0, 5.0),) * 4,
        _hs71_product,
        17.0140172892,
        (1.0, 4.7429996, 3.8211500, 1.3794083),
        equalities=_hs71_squares,
        x0=(1.0, 5.0, 5.0, 1.0),
    ),
    "g04": Case(
        "a quadratic between three pairs of limits",
        "CEC 2006, g04",
        _g04,
        ((78.0, 102.0), (33.0, 45.0), *((27.0, 45.0),) * 3),
        _g04_limits,
        -30665.5386717833,
        (78.0, 33.0, 29.9952560256816, 45.0, 36.7758129057882),
    ),
    "g06": Case(
        "a cubic in a narrow crescent",
        "CEC 2006, g06",
        _g06,
        ((13.0, 100.0), (0.0, 100.0)),
        _g06_crescent,
        -6961.8138755802,
        (14.095, 0.8429607892155),
    ),
    "g08": Case(
        "waves that grow towards a corner, with many local optima",
        "CEC 2006, g08",
        _g08,
        ((0.0, 10.0),) * 2,
        _g08_limits,
        -0.0958250414180,
        (1.2279713526, 4.2453733661),
    ),
    "beam": Case(
        "the cost of a welded beam that bears a load",
        "Coello Coello (2000)",
        _beam,
        ((0.1, 2.0), (0.1, 10.0), (0.1, 10.0), (0.1, 2.0)),
        _beam_limits,
        1.7248523086,
        (0.2057296398, 3.4704886656, 9.0366239104, 0.2057296398),
    ),
    "spring": Case(
        "the weight of a spring that bears a load",
        "Coello Coello (2000)",
        _spring,
        ((0.05, 2.0), (0.25, 1.3), (2.0, 15.0)),
        _spring_limits,
        0.0126652327883,
        (0.051689061, 0.356717741, 11.288965786),
    ),
}


def benchmark(problem: str) -> Benchmark:
    """Return the problem of this name in `CASES`."""
    case = CASES[problem]
    constraints: list[dict[str, Any]] = [{"type": "ineq", "fun": case.inequalities}]
    if case.equalities is not None:
        constraints.append({"type": "eq", "fun": case.equalities})
    low, high = np.array(case.bounds).T
    return Benchmark(
        name=f"constrained:problem={problem}",
        description=case.description,
        source=case.source,
        make=partial(Vectorized, case.objective),
        n=len(case.bounds),
        bounds=case.bounds,
        draw=Uniform(low, high, len(low)),
        optimum=case.optimum,
        x0=None if case.x0 is None else np.array(case.x0),
        constraints=tuple(constraints),
        cost="0.5 us",
    )


FAMILY = Family(
    name="constrained",
    description="classical problems with constraints: "
    "Rosenbrock in a disk, HS71, g04, g06, g08, a beam, a spring",
    source="Hock and Schittkowski (1981), CEC 2006, Coello Coello (2000)",
    variables="2 to 5",
    box="each its own",
    start="uniform in the box; of hs71 the published one first",
    optimum="known",
    cost="0.5 us",
    make=benchmark,
    parameters={"problem": Parameter("which one", Words(tuple(CASES)), ",".join(CASES))},
)
