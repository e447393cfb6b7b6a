"""The nouns of the core: what is searched, asked, told, and why a run stopped."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RandomStream = np.random.Generator | np.random.RandomState
"""A run's only source of randomness. `RandomState` replays legacy streams."""


class Ask(NamedTuple):
    """A batch of points to evaluate: what a run yields.

    Attributes
    ----------
    points
        Shape (k, n), float64; a fresh array, which the run does not change afterwards.
    gradients
        Whether gradients are wanted beside the values.
    stencil
        Points of a finite difference: counted, but never the incumbent.
    rates
        Shape (k,): the learning rate of the step that each point is going to take, where points are
        runs of their own that walk side by side (`blackbox.algorithms.descent`). For the record.
    """

    points: Array
    gradients: bool = False
    stencil: bool = False
    rates: Array | None = None


class Told(NamedTuple):
    """What the points of an `Ask` gave: what a run is sent.

    Attributes
    ----------
    values
        Shape (k,), float64; a failed evaluation is ``+inf``, never NaN.
    gradients
        Shape (k, n), float64, where they were asked for.
    validation
        Shape (k,): losses on validation data, where they were due with this batch, and its points
        are runs of their own.
    points
        Shape (k, n): what was evaluated, where points were moved (`blackbox.composing.refined`).
        Only told to algorithms that take it.
    """

    values: Array
    gradients: Array | None = None
    validation: Array | None = None
    points: Array | None = None


class Stop(NamedTuple):
    """Why a run ended: what a run returns.

    Attributes
    ----------
    reason
        A sentence for people.
    success
        Whether the method's own convergence criterion was met.
    status
        The solver's own code; 0 where it has none.
    extras
        The solver's own fields: ``x``, ``fun``, ``nit``, ``multipliers`` ...
    """

    reason: str
    success: bool
    status: int = 0
    extras: Mapping[str, Any] = {}


Run = Generator[Ask, Told, Stop]
"""A run of an algorithm: it yields batches, is sent what they gave, returns why it stopped."""

Evaluate = Callable[[Ask], Told]
"""What a blocking solver calls instead of yielding."""

Callback = Callable[..., object]

Scheme = Literal["2-point", "3-point", "cs"]


class Evaluated(NamedTuple):
    """Points and their values.

    Attributes
    ----------
    points
        Shape (m, n), float64.
    values
        Shape (m,), float64; a failed evaluation is ``+inf``. None where they can't be compared with
        those that a run is told: of a noisy objective, of one that changes from batch to batch,
        and where constraints are told as values.
    """

    points: Array
    values: Array | None


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a run may know of the problem.

    Attributes
    ----------
    lower, upper
        Shape (n,), float64; infinite where there is no bound.
    starts
        Shape (k0, n), float64: where to begin, inside the bounds; k0 = 0 leaves it to the method.
    constraints
        As `scipy.optimize.minimize` takes them.
    gradients
        How the objective gives gradients: ``"none"``, ``"joint"`` with the value in one call
        (autograd), or ``"separate"``ly at a point just evaluated (scipy's ``jac``).
    scheme
        The finite difference to use where the objective gives none, relative steps; None leaves
        scheme and step to the method.
    blocks
        Shapes of the tensors behind the flat vector, for rules that work tensor by tensor.
    dtype
        The precision in which the objective computes.
    budget
        Evaluations that this run may spend; None without a limit.
    changing
        Whether the objective changes from batch to batch (minibatches, fresh noise), so that only
        values of one batch may be compared.
    full_every, validate_every
        Generations from one evaluation at full fidelity, or one validation, to the next; 0 where
        there is none, None where that follows from how many there are (`default_interval`).
    noisy
        Whether the same point gives another value each time.
    integrality
        Shape (n,), bool: which variables are integers.
    hess, hessp
        The Hessian and its product with a vector, as `scipy.optimize.minimize` takes them.
    callback
        For solvers that report iterations of their own.
    past
        What is known beforehand, the best first: distinct points inside the bounds. Then `starts`
        is the best of them. None where nothing is known.
    """

    lower: Array
    upper: Array
    starts: Array
    constraints: tuple[Any, ...] = ()
    gradients: Literal["none", "joint", "separate"] = "none"
    scheme: Scheme | None = None
    blocks: tuple[tuple[int, ...], ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float64))
    budget: int | None = None
    changing: bool = False
    full_every: int | None = 0
    validate_every: int | None = 0
    noisy: bool = False
    integrality: NDArray[np.bool_] | None = None
    hess: Any = None
    hessp: Callable[..., Any] | None = None
    callback: Callback | None = None
    past: Evaluated | None = None

    @property
    def n(self) -> int:
        """Number of variables."""
        return len(self.lower)

    @property
    def bounded(self) -> bool:
        """Whether every variable has two finite bounds."""
        return bool(np.all(np.isfinite(self.lower)) and np.all(np.isfinite(self.upper)))

    @property
    def unseen(self) -> Array:
        """Starts whose values are not known, (k, n)."""
        known = self.past is not None and self.past.values is not None
        return self.starts[:0] if known else self.starts

    def begin_at(self, starts: Array) -> "Problem":
        """Return the problem from other starts, (k, n), which alone say where to begin."""
        return replace(self, starts=starts, past=None)

    def generations(self, k: int, sloped: bool = False) -> int | None:
        """Return how many batches of k points the budget allows; None where there is none.

        What they cost besides is taken into account: the winner of a generation now and then, and
        of the last, at full fidelity; k validations now and then; where points are `sloped`, a
        finite difference for each whose objective gives no gradient.
        """
        if self.budget is None:
            return None
        each = k
        if sloped and self.gradients == "none":
            each += k * self.n * (2 if self.scheme == "3-point" else 1)
        count = self.budget // each
        while count > 1 and self._cost(count, k, each) > self.budget:
            count -= max(1, (self._cost(count, k, each) - self.budget) // (3 * each + 2))
        return max(count, 1)

    def _cost(self, count: int, k: int, each: int) -> int:
        """Evaluations that so many batches of k points take in all, each that many by itself."""
        cost = count * each
        usual = default_interval((self.budget or 0) // k)
        if self.full_every != 0:
            every = self.full_every or usual
            cost += -(-count // every) + ((count - 1) % every > 0)
        if self.validate_every != 0:
            cost += k * (count // (self.validate_every or usual))
        return cost

    def start(self, rng: RandomStream) -> Array:
        """Return the first start, (n,), or where none was given a uniform draw in the box."""
        if len(self.starts):
            first: Array = self.starts[0].copy()
            return first
        drawn: Array = self.lower + rng.random(self.n) * (self.upper - self.lower)
        return drawn


SELDOM, OFTEN = 10, 100
"""Validations, and evaluations at full fidelity, are at least so many generations apart, and there
are about so many in a run: seldom enough to take no more than a tenth of the budget, often enough
to show how the run goes."""


def default_interval(generations: int | None) -> int:
    """Return how many generations lie between two of them, in a run of so many."""
    return SELDOM if generations is None else max(SELDOM, generations // OFTEN)


@runtime_checkable
class Resumable(Protocol):
    """A part of a run that can be put back to where it stood: see `blackbox.snapshot`."""

    def state(self) -> Mapping[str, Any] | None:
        """Return numbers, texts and arrays, in mappings and lists; None where that can't be said.

        At the beginning that is for the whole run; later for this moment only.
        """
        ...

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, in a part that was made by the same arguments."""
        ...


class Proposal(NamedTuple):
    """One point that a steady run wants evaluated.

    Attributes
    ----------
    x
        Shape (n,), float64; a fresh array.
    origin
        What the run wants to know of it when its value is there.
    """

    x: Array
    origin: Any = None


class Steady(Protocol):
    """A run that needs no whole batch: it proposes points, and takes in values as they come."""

    def propose(self) -> Proposal | Stop:
        """Return one more point, however many are under way; or why there is none any more."""
        ...

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Take in the value of any point under way, ``+inf`` if it failed; say whether to stop."""
        ...


class SteadyAlgorithm(Protocol):
    """An `Algorithm` that has a second way to run."""

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a run of which `width` points are under way at once."""
        ...


class Algorithm(Protocol):
    """A frozen dataclass whose fields are the options, by the library's own names and defaults."""

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run: a generator that yields `Ask`, is sent `Told` and returns `Stop`."""
        ...
