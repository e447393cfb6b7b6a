"""A network with a sampling step: its loss is an expectation, of which a run sees samples.

A network 2-6-1 whose hidden units are coins: each is 1 with the probability that a sigmoid gives.
It is to tell 100 points within a ring from those on it; the loss is the expectation of the
cross-entropy over the coins. One toss a point is seen at a time, the same uniform numbers for all
candidates of a generation. As there are no more than 64 outcomes for a point, the loss itself is
computed too: that is what counts at the end, and what the objective is outside a run. No gradient
leads through a toss.

Neal, R. M. (1992), Connectionist learning of belief networks, Artificial Intelligence 56, 71-113
(networks of such units). Williams, R. J. (1992), Simple statistical gradient-following algorithms
for connectionist reinforcement learning, Machine Learning 8, 229-256 (training them by samples).
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark, Layers
from experiments.problems.family import Family

Array = NDArray[np.float64]

SEED = 0
HIDDEN = 6
POINTS = 100
LAYERS = Layers(((2, HIDDEN), (HIDDEN, 1)))
OUTCOMES = np.array(list(product([0.0, 1.0], repeat=HIDDEN)))
"""All that the coins of a point can show, (64, 6)."""


def data() -> tuple[Array, Array]:
    """Return the points, (100, 2), and 1 for those within the ring, 0 for those on it, (100,)."""
    rng = np.random.default_rng(SEED)
    within = np.arange(POINTS) % 2
    radius = np.where(within, rng.uniform(0, 0.8, POINTS), rng.uniform(1.2, 2, POINTS))
    angle = rng.uniform(0, 2 * np.pi, POINTS)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), within.astype(float)


class Objective:
    """The expected cross-entropy, batched: (k, 25) -> (k,); in a run a sample of it."""

    batched = True
    reads_only = True

    def __init__(self) -> None:
        self._points, self._within = data()
        self._uniform: Array | None = None

    def __call__(self, points: Array) -> Array:
        """Return the losses (k,) of weights (k, 25)."""
        if self._uniform is None:
            return self.full(points)
        chances, weights, bias = self._read(points)
        shown = self._uniform < chances
        scores = (shown @ weights[..., None])[..., 0] + bias[:, None]
        values: Array = self._cross_entropy(scores).mean(axis=-1)
        return values

    def full(self, points: Array) -> Array:
        """Return the expectations themselves."""
        return np.array([self._expected(x[None]) for x in points])

    def begin(self, generation: int, rng: np.random.Generator) -> None:
        """Draw what decides the tosses, for all candidates alike."""
        self._uniform = rng.random((POINTS, HIDDEN))

    def end(self) -> None:
        """Go back to the expectation."""
        self._uniform = None

    def _read(self, points: Array) -> tuple[Array, Array, Array]:
        """Return chances (k, points, hidden), and the last layer's weights (k, hidden) and biases.

        Weights are in the order of torch: those of a layer by its neurons, then its biases.
        """
        first, biases, last, bias = np.split(points, [2 * HIDDEN, 3 * HIDDEN, 4 * HIDDEN], axis=-1)
        slopes = first.reshape(-1, HIDDEN, 2).transpose(0, 2, 1)
        chances = 1 / (1 + np.exp(-(self._points @ slopes + biases[:, None, :])))
        return chances, last, bias[:, 0]

    def _expected(self, point: Array) -> float:
        """The sum over all outcomes, each by its probability; point (1, 25)."""
        chances, weights, bias = self._read(point)
        # One hidden unit after another, the probabilities of all outcomes so far.
        odds = np.ones((POINTS, 1))
        for chance in chances[0].T:
            odds = np.stack([odds * (1 - chance)[:, None], odds * chance[:, None]], axis=-1)
            odds = odds.reshape(POINTS, -1)
        scores = OUTCOMES @ weights[0] + bias[0]
        losses = np.logaddexp(0, scores) - self._within[:, None] * scores
        return float((odds * losses).sum(axis=-1).mean())

    def _cross_entropy(self, scores: Array) -> Array:
        """Of scores (k, points)."""
        losses: Array = np.logaddexp(0, scores) - self._within * scores
        return losses


FAMILY = Family.single(
    Benchmark(
        name="sampling",
        description="expected cross-entropy of a 2-6-1 network whose hidden units are coins",
        source="units: Neal (1992)",
        make=Objective,
        n=LAYERS.n,
        bounds=(-10.0, 10.0),
        draw=LAYERS,
        cost="6 us",
        changing=True,
    ),
    start="as torch initializes layers",
)
