"""Every method, by name: where its class lives, and what it can do, as plain data.

To add one: write its file, add its row. The conformance suite, `minimize`'s checks, the command
line and the documentation read this table; none of them imports torch or cma for it.
"""

import dataclasses
import difflib
import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from scipy.optimize import OptimizeWarning

from blackbox.types import Algorithm


@dataclass(frozen=True)
class Proof:
    """What the conformance suite holds a method to, in four dimensions.

    Attributes
    ----------
    tolerance
        Value reached on the sphere and on the ellipsoid (optimum 0); None for baselines, which
        need only beat their start.
    condition
        Condition number of the shifted, rotated ellipsoid.
    budget
        Evaluations allowed for each.
    options
        Options used.
    """

    tolerance: float | None
    condition: float
    budget: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of `ALGORITHMS`.

    Attributes
    ----------
    name, where, summary, library
        The name; module and class; one sentence; whose code searches.
    gradients
        ``"none"``: never asks; ``"optional"``: uses the objective's, else finite differences.
    bounds
        ``"required"``: finite ones for every variable; ``"strict"``: none needed, and never asks
        outside those given.
    start
        ``"used"``: begins at x0; ``"seeded"``: x0 joins a population or chain that is drawn.
    many_starts
        Whether x0 may be several starts, (k, n): all of them are evaluated.
    batch
        What its batches are.
    proof
        What the conformance suite holds it to.
    constraints
        Whether it takes scipy's constraints.
    fixed_variables
        Whether a variable may be fixed by equal bounds.
    tolerates_failures
        Whether it still converges when a quarter of all evaluations fail at random.
    changing
        Whether it stands an objective that changes from batch to batch (minibatches, fresh noise):
        it compares values within a batch only.
    random
        Whether the seed matters.
    callback
        Who calls the callback: ``"solver"`` after each of its iterations, or ``"batch"``.
    tolerance_option
        The option that `minimize`'s ``tol`` sets.
    default_budget
        Evaluations where no budget is given, for methods that never stop by themselves.
    lenient
        Whether unknown options only warn, as in scipy.
    memory
        What it holds beyond a few batches.
    """

    name: str
    where: str
    summary: str
    library: str
    gradients: Literal["none", "optional"]
    bounds: Literal["strict", "required"]
    start: Literal["used", "seeded"]
    batch: str
    proof: Proof
    constraints: bool = False
    fixed_variables: bool = False
    many_starts: bool = False
    tolerates_failures: bool = False
    changing: bool = False
    random: bool = True
    callback: Literal["solver", "batch"] = "batch"
    tolerance_option: str | None = None
    default_budget: int | None = None
    lenient: bool = False
    memory: str = "nothing"

    def load(self) -> type[Any]:
        """Import and return the algorithm's class."""
        module, name = self.where.split(":")
        found: type[Any] = getattr(importlib.import_module(f"blackbox.algorithms.{module}"), name)
        return found

    def options(self) -> dict[str, Any]:
        """Return the options and their defaults."""
        fields = dataclasses.fields(self.load())
        return {
            f.name: f.default_factory()
            if f.default_factory is not dataclasses.MISSING
            else f.default
            for f in fields
        }

    def make(self, options: Mapping[str, Any]) -> Algorithm:
        """Return the configured algorithm.

        Raises
        ------
        ValueError
            For an option that is not known (scipy's own methods warn instead), or one whose value
            the method refuses.
        """
        kind = self.load()
        known = [f.name for f in dataclasses.fields(kind)]
        unknown = [name for name in options if name not in known]
        if unknown and not self.lenient:
            raise ValueError(
                f"method {self.name!r} has no option {', '.join(map(repr, unknown))}"
                f"{_nearest(unknown[0], known)}; it has: {', '.join(sorted(known, key=str.lower))}"
            )
        if unknown:
            warnings.warn(
                f"Unknown solver options: {', '.join(unknown)}", OptimizeWarning, stacklevel=4
            )
        algorithm: Algorithm = kind(**{k: v for k, v in options.items() if k in known})
        return algorithm


_ROWS = [
    Method(
        "adam",
        "adam:Adam",
        "Adam, gradient descent with adaptive moments; k starts run as one batch",
        "torch",
        gradients="optional",
        bounds="strict",
        start="used",
        many_starts=True,
        batch="the starts (k, n); without gradients their stencils",
        proof=Proof(1e-6, 10, 20_000, {"lr": 0.05}),
        fixed_variables=True,
        changing=True,
        random=False,
        default_budget=10_000,
        memory="two moments a start",
    ),
    Method(
        "cma",
        "cmaes:CMA",
        "CMA-ES, an evolution strategy that learns the shape of the problem",
        "cma",
        gradients="none",
        bounds="strict",
        start="used",
        batch="a generation",
        proof=Proof(1e-8, 1e6, 6000),
        tolerates_failures=True,
        changing=True,
        tolerance_option="tolfun",
        memory="the covariance matrix, n x n",
    ),
    Method(
        "dual_annealing",
        "dual_annealing:DualAnnealing",
        "Generalized simulated annealing with local searches",
        "scipy",
        gradients="optional",
        bounds="required",
        start="seeded",
        batch="one point; in local searches the stencil",
        proof=Proof(1e-6, 100, 10_000),
        tolerates_failures=True,
        lenient=True,
        memory="the local search, 10 n",
    ),
    Method(
        "pso",
        "pso:PSO",
        "Particle swarm optimization on whole-swarm arrays",
        "blackbox",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="the swarm; with updating='immediate' one particle",
        proof=Proof(1e-4, 3, 20_000, {"maxiter": 200}),
        tolerates_failures=True,
        tolerance_option="minfunc",
        memory="the swarm, its velocities and its bests",
    ),
    Method(
        "pyswarm",
        "pyswarm:PySwarm",
        "Particle swarm optimization by the library pyswarm itself",
        "pyswarm",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="one particle",
        proof=Proof(1e-4, 3, 20_000, {"maxiter": 200}),
        tolerates_failures=True,
        tolerance_option="minfunc",
        memory="noise for all iterations, 2 maxiter x swarmsize x n",
    ),
    Method(
        "random",
        "random:Random",
        "Random search, uniform or by a scrambled Sobol sequence: the baseline",
        "numpy, scipy",
        gradients="none",
        bounds="required",
        start="seeded",
        many_starts=True,
        batch="popsize points",
        proof=Proof(None, 10, 2000),
        tolerates_failures=True,
        changing=True,
        default_budget=10_000,
    ),
    Method(
        "slsqp",
        "slsqp:SLSQP",
        "Sequential least squares programming: fast local search with constraints",
        "scipy",
        gradients="optional",
        bounds="strict",
        start="used",
        batch="one point, then its stencil",
        proof=Proof(1e-6, 100, 2000, {"ftol": 1e-10, "maxiter": 1000}),
        constraints=True,
        fixed_variables=True,
        random=False,
        callback="solver",
        tolerance_option="ftol",
        lenient=True,
        memory="a quasi-Newton matrix, n x n",
    ),
]

ALGORITHMS: dict[str, Method] = {row.name: row for row in _ROWS}


def find(name: Any) -> Method:
    """Return the row of a method by its name, in any case.

    Raises
    ------
    ValueError
        If there is none; it names the nearest.
    """
    if not isinstance(name, str):
        raise TypeError(f"method is a name, one of {', '.join(ALGORITHMS)}; got {name!r}")
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key not in ALGORITHMS:
        raise ValueError(
            f"unknown method {name!r}{_nearest(key, list(ALGORITHMS))}; there are "
            f"{', '.join(ALGORITHMS)}, and 'auto'"
        )
    return ALGORITHMS[key]


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
