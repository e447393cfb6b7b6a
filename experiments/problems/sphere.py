"""The sphere, with noise where it is wanted: the simplest function to be misled on.

The sum of squares around the point (1, ..., 1), which is not the middle of the box. Normal noise of
a given standard deviation is added to each value anew, whatever the point. A method sees the noisy
values; the best of a run is by the exact ones (see `blackbox.fidelity`).

Arnold, D. V., Beyer, H.-G. (2003), A comparison of evolution strategies with other direct search
methods in the presence of noise, Computational Optimization and Applications 24, 135-159.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark, Uniform, Vectorized
from experiments.problems.family import Family, Parameter, Real, Whole

Array = NDArray[np.float64]

BOUNDS = (-5.0, 5.0)
SOURCE = "noise as in Arnold and Beyer (2003)"


def exact(points: Array) -> Array:
    """Return the values (...) of points (..., n)."""
    values: Array = ((points - 1) ** 2).sum(axis=-1)
    return values


class Noisy:
    """The sphere with noise, from `begin` to `end`; without it outside a run.

    Parameters
    ----------
    noise
        Its standard deviation.
    """

    batched = True
    reads_only = True

    def __init__(self, noise: float) -> None:
        self._noise = noise
        self._stream: np.random.Generator | None = None

    def __call__(self, points: Array) -> Array:
        """Return noisy values (k,) of points (k, n): independent, of equal points too."""
        values = exact(points)
        if self._stream is None:
            return values
        return values + self._noise * self._stream.standard_normal(values.shape)

    def begin(self, generation: int, rng: np.random.Generator) -> None:
        """Draw the noise from here on from a stream that follows from `rng`."""
        self._stream = np.random.default_rng(rng.integers(2**63))

    def full(self, points: Array) -> Array:
        """Return exact values."""
        return exact(points)

    def end(self) -> None:
        """Leave the noise."""
        self._stream = None


def benchmark(n: int, noise: float) -> Benchmark:
    """Return the sphere of `n` variables with noise of this standard deviation."""
    deviation = repr(float(noise)).removesuffix(".0")
    return Benchmark(
        name=f"sphere:n={n}:noise={deviation}",
        description=f"sum of {n} squares"
        + (f" with normal noise, standard deviation {deviation}" if noise else ""),
        source=SOURCE,
        make=partial(Noisy, noise) if noise else partial(Vectorized, exact),
        n=n,
        bounds=BOUNDS,
        draw=Uniform(*BOUNDS, n),
        optimum=0.0,
        cost="0.4 us",
        changing=noise > 0,
        precision=True,
    )


FAMILY = Family(
    name="sphere",
    description="sum of squares, with normal noise where it is wanted",
    source=SOURCE,
    variables="1 to 10,000",
    box="-5 .. 5",
    start="uniform in the box",
    optimum="0",
    cost="0.4 us",
    make=benchmark,
    parameters={
        "n": Parameter("variables", Whole(1, 10_000), "10"),
        "noise": Parameter("standard deviation of the noise", Real(0), "0.1"),
    },
)
