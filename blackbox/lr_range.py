"""The learning-rate range test: how large the steps of a gradient method may be.

From step to step the learning rate grows by the same factor, and the losses are watched: flat where
it is too small, falling where it is right, rising where it is too large. Smith, L. N. (2017),
Cyclical learning rates for training neural networks, WACV, arXiv:1506.01186. To suggest the place
where the loss falls steepest over the logarithm of the rate is a custom of the library fastai.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from blackbox.algorithms import ALGORITHMS, find
from blackbox.algorithms.descent.habits import Descent
from blackbox.algorithms.descent.schedule import Programme, Rates
from blackbox.minimize import minimize
from blackbox.objective import Jac
from blackbox.types import Array, RandomStream

FEWEST = 20
"""Steps that a test has at least."""
WIDTH, NARROWEST = 0.02, 2.0
"""The smoothing's standard deviation as a share of all steps, and in steps at least."""
CLEAR = 2.5
"""A fall that is a fall, in standard deviations of the losses around the smoothed ones: pure noise
reaches it in one of a hundred tests."""
LATEST = 5
"""Losses whose mean shows whether all is lost."""
DIVERGED = 4.0
"""The test ends where that mean is so many times the lowest one; or, where more was gained, has
risen from there by three times what had been gained."""
ENDLESS = 10**12
"""A budget that the steps never reach."""


@dataclass(frozen=True, eq=False)
class LRRange:
    """What a learning-rate range test found; see `lr_range_test`.

    Attributes
    ----------
    method
        The method whose learning rate this is.
    rates, losses, smoothed
        Shape (m,): the learning rate of each step, ascending; the loss where it was taken, on a
        minibatch of its own where there are any; the same smoothed, without a lag.
    suggestion
        The learning rate to begin with; NaN where the loss never fell.
    reason
        Why that one.
    evaluations, gradients
        What the test took.
    diverged
        Whether the loss blew up before the highest rate was reached.
    """

    method: str
    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float
    reason: str
    evaluations: int
    gradients: int
    diverged: bool


def lr_range_test(
    fun: Callable[..., Any],
    x0: Any = None,
    *,
    method: str = "adam",
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    seed: int | RandomStream | None = None,
    options: Mapping[str, Any] | None = None,
    args: Any = (),
    jac: Jac = None,
    bounds: Any = None,
    batched: bool = False,
) -> LRRange:
    """Find a learning rate for a gradient method by trying all of them in one short run.

    The suggestion is where the smoothed loss falls steepest over the logarithm of the learning
    rate, before its minimum.

    Parameters
    ----------
    fun, args, jac, bounds, batched, seed
        As `minimize` takes them. A model's minibatches are drawn as in training.
    x0
        The start, (n,). None: the objective's own ``x0``, as models have it.
    method
        A gradient method with a learning rate: ``"adam"``, ``"sgd"`` ...
    lowest, highest
        The first rate and the last.
    steps
        From one to the other, each the same factor above the one before. There are fewer where the
        loss is no longer finite, or blows up.
    options
        The method's other options.

    Returns
    -------
    A `LRRange`.

    Raises
    ------
    TypeError, ValueError
        For arguments that make no sense, and a loss that is not finite where it begins.

    References
    ----------
    Smith, L. N. (2017), Cyclical learning rates for training neural networks, WACV.

    Examples
    --------
    >>> from blackbox import lr_range_test, minimize
    >>> found = lr_range_test(lambda x: sum((x - 1) ** 2), [9.0, -9.0], method="sgd")
    >>> 0.01 < found.suggestion < 1
    True
    """
    options = dict(options or {})
    name = _check_method(method, options)
    _check_range(lowest, highest, steps)
    start: Any = getattr(fun, "x0", None) if x0 is None else x0
    if np.ndim(start) > 1 and len(start) > 1:
        raise ValueError(f"x0 must be one start; got {len(start)} of them")
    sweep = _Sweep(np.geomspace(lowest, highest, steps))
    result = minimize(
        fun,
        start,
        args,
        name,
        jac,
        bounds=bounds,
        options=options | {"schedule": sweep},
        batched=batched,
        budget=ENDLESS,
        seed=seed,
    )
    losses = np.array(sweep.losses)
    rates = sweep.rates_tried[: len(losses)].copy()
    if not len(losses):
        raise ValueError("the loss at x0 is not finite; start elsewhere")
    smoothed = _smooth(losses, max(WIDTH * steps, NARROWEST))
    suggestion, reason = _suggest(rates, losses, smoothed, sweep.diverged)
    return LRRange(
        name,
        rates,
        losses,
        smoothed,
        suggestion,
        reason,
        result.nfev,
        result.njev,
        sweep.diverged,
    )


def _check_method(method: Any, options: Mapping[str, Any]) -> str:
    row = find(method)
    if not issubclass(row.load(), Descent):
        known = [r.name for r in ALGORITHMS.values() if r.where.startswith("descent.rules:")]
        raise ValueError(
            f"method {row.name!r} has no learning rate to find; methods that have one: "
            f"{', '.join(known)}"
        )
    for taken in ("lr", "schedule", "restarts"):
        if taken in options:
            raise ValueError(f"option {taken!r} is what the test itself sets; leave it out")
    lists = [key for key, value in options.items() if isinstance(value, list)]
    if lists:
        raise ValueError(f"option {lists[0]!r} is a list, and the test is of one setting")
    return row.name


def _check_range(lowest: Any, highest: Any, steps: Any) -> None:
    for name, rate in (("lowest", lowest), ("highest", highest)):
        number = isinstance(rate, Real) and not isinstance(rate, bool)
        if not (number and 0 < float(rate) < math.inf):
            raise ValueError(f"{name}, a learning rate, must be a number above 0; got {rate!r}")
    if lowest >= highest:
        raise ValueError(f"lowest={lowest!r} must be below highest={highest!r}")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < FEWEST:
        raise ValueError(f"steps must be a whole number of at least {FEWEST}; got {steps!r}")


class _Sweep(Programme):
    """Learning rates that only grow, and what came of each."""

    def __init__(self, rates: Array) -> None:
        self.rates_tried, self.losses = rates, list[float]()
        self.diverged = False

    def rates(self, arguments: dict[str, Any], steps: int | None) -> Rates:
        """Begin."""
        return _Growing(self)

    def take(self, loss: float) -> str | None:
        """Take in the loss where a step was taken; return why the test is over, if it is."""
        if not math.isfinite(loss):
            self.diverged = True
            return "the loss is not finite any more"
        self.losses.append(loss)
        if len(self.losses) > 2 * LATEST:
            means = np.convolve(self.losses, np.full(LATEST, 1 / LATEST), "valid")
            best = means.min()
            scale = max(abs(best), means[0] - best)
            if means[-1] > best + (DIVERGED - 1) * scale:
                self.diverged = True
                return "the loss has blown up"
        return "every rate was tried" if len(self.losses) == len(self.rates_tried) else None


class _Growing(Rates):
    """The next of the rates, until the test is over."""

    constant = False

    def __init__(self, sweep: _Sweep) -> None:
        super().__init__({"lr": float(sweep.rates_tried[0])})
        self._sweep = sweep

    def advance(self, value: float, validation: float | None) -> str | None:
        """Go on to the next step; return why the run is over, if it is."""
        ended = self._sweep.take(value)
        if ended is None:
            self.values["lr"] = float(self._sweep.rates_tried[len(self._sweep.losses)])
        return ended


def _smooth(losses: Array, width: float) -> Array:
    """Weighted means of the losses around each, by a bell curve of this standard deviation."""
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
    return np.asarray(weights @ losses / weights.sum(axis=1))


def _suggest(rates: Array, losses: Array, smoothed: Array, diverged: bool) -> tuple[float, str]:
    """Return the learning rate to begin with, and why."""
    if len(losses) < FEWEST // 2:
        return math.nan, (
            f"the loss blew up within {len(losses)} steps: give a lowest= below {rates[0]:.2g}"
        )
    lowest = int(smoothed.argmin())
    noise = float(np.std(losses[: lowest + 1] - smoothed[: lowest + 1]))
    rounding = 1e-9 * abs(float(smoothed[0]))
    if lowest < 2 or smoothed[0] - smoothed[lowest] <= max(CLEAR * noise, rounding):
        what = "rose" if diverged else "did not fall clearly"
        return math.nan, f"from {rates[0]:.2g} to {rates[-1]:.2g} the loss {what}"
    slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    steepest = int(slopes.argmin())
    reason = (
        f"at {rates[steepest]:.2g} the smoothed loss falls steepest over the logarithm of the "
        f"learning rate; it is lowest at {rates[lowest]:.2g}"
    )
    if lowest == len(rates) - 1 and not diverged:
        reason += ", the highest rate tried: it may fall further beyond"
    return float(rates[steepest]), reason
