"""A problem to compare methods on, as plain data: what it is built of loads when it is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from experiments.record import ProblemInfo

Array = NDArray[np.float64]
Random = np.random.Generator | np.random.RandomState
Box = tuple[float, float] | Sequence[tuple[float | None, float | None]] | None


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A problem to compare methods on.

    Attributes
    ----------
    name, description, source
        What it is called, with all its parameters; what it is in a sentence; where it comes from.
    make
        Builds the objective: batched, (k, n) -> (k,); of a user's file perhaps of one point.
    n
        Number of variables.
    bounds
        The box: one pair for all variables, or one a variable; None for no box.
    draw
        The rule for starting points: from a source of randomness to a point (n,).
    optimum
        The best value known; None where nobody knows.
    report
        What a solution (n,) is worth beyond its value, by name: figures on data held out.
    require
        Raises ModuleNotFoundError where something is missing that the problem needs.
    x0
        The start of seed 0, where the problem names one. All others are drawn.
    legacy
        Whether first starts are drawn from numpy's legacy stream of the seed, as those of
        published experiments were.
    constraints
        scipy's, as `blackbox.minimize` takes them.
    cost
        What an evaluation takes, roughly, on one thread and in batches of ten.
    changing
        Whether the objective changes from batch to batch (minibatches, noise), which some methods
        refuse.
    group, precision
        See `experiments.record.ProblemInfo`.
    fingerprint
        Which version it is: a number that is raised when the problem changes, or of a user's file
        a digest of its text.
    """

    name: str
    description: str
    source: str
    make: Callable[[], Any]
    n: int
    bounds: Box
    draw: Callable[[Any], Array]
    optimum: float | None = None
    report: Callable[[Array], dict[str, float]] | None = None
    require: Callable[[], None] | None = None
    x0: Array | None = None
    legacy: bool = False
    constraints: tuple[Any, ...] = ()
    cost: str = ""
    changing: bool = False
    group: str = ""
    precision: bool = False
    fingerprint: str = "1"

    def start(self, seed: int, run: int = 0) -> Array:
        """Return where to begin: the same for every method, for each seed and restart.

        Parameters
        ----------
        seed
            Names the start.
        run
            0 for the first start, 1, 2, ... for restarts.
        """
        if run == 0 and seed == 0 and self.x0 is not None:
            return self.x0.copy()
        if run == 0 and self.legacy:
            return self.draw(np.random.RandomState(seed))
        return self.draw(np.random.default_rng([seed, run]))

    def box(self) -> tuple[Array, Array]:
        """Return the lower and the upper bounds, each (n,), infinite where there are none."""
        from blackbox.problem import check_bounds

        return check_bounds(self.bounds, self.n)

    def info(self) -> "ProblemInfo":
        """Return what is kept beside results."""
        from experiments.record import ProblemInfo

        return ProblemInfo(
            name=self.name,
            n=self.n,
            description=self.description,
            source=self.source,
            optimum=self.optimum,
            group=self.group,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Uniform:
    """The rule for starts that draws uniformly from a box.

    Attributes
    ----------
    low, high
        Numbers, or (n,).
    n
        Number of variables.
    """

    low: float | Array
    high: float | Array
    n: int

    def __call__(self, rng: Random) -> Array:
        """Return a point (n,)."""
        return np.asarray(rng.uniform(self.low, self.high, self.n))


@dataclass(frozen=True)
class Layers:
    """The rule for starts that torch has for the weights of linear and convolutional layers.

    Uniform within one over the square root of the fan-in, weights and biases alike; by numpy, so
    that torch need not load, nor lend its stream.

    Attributes
    ----------
    layers
        Of each layer in turn, its fan-in (inputs of a neuron) and its fan-out (neurons, each with
        a bias of its own).
    """

    layers: tuple[tuple[int, int], ...]

    @property
    def n(self) -> int:
        """Number of weights and biases."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.layers)

    def __call__(self, rng: Random) -> Array:
        """Return a point (n,)."""
        return np.concatenate(
            [
                rng.uniform(-1, 1, (fan_in + 1) * fan_out) / np.sqrt(fan_in)
                for fan_in, fan_out in self.layers
            ]
        )


@dataclass(frozen=True)
class Vectorized:
    """A function of points (..., n), with values (...), as a batched objective."""

    function: Callable[[Array], Array]
    batched = True
    reads_only = True

    def __call__(self, points: Array) -> Array:
        """Return the values (k,) of points (k, n)."""
        return self.function(points)
