"""Basin hopping by scipy: random hops, each with a local search whose stencils are batches.

Wales, D. J., Doye, J. P. K. (1997), Journal of Physical Chemistry A 101, 5111-5116.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import basinhopping

from blackbox.algorithms.around_scipy import LocalView, descent, shelter, stream
from blackbox.blocking import Blocking
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class BasinHopping(Blocking):
    """Basin hopping; options and defaults are scipy's, bounds are kept.

    Hops are clipped into the bounds. `minimizer_kwargs` None is L-BFGS-B inside the bounds, by the
    objective's own gradient or by stencils of one batch each; what is given instead is scipy's
    own, which evaluates one point at a time.
    """

    niter: int = 100
    T: float = 1.0
    stepsize: float = 0.5
    minimizer_kwargs: dict[str, Any] | None = None
    take_step: Callable[[Array], Array] | None = None
    accept_test: Callable[..., Any] | None = None
    interval: int = 50
    disp: bool = False
    niter_success: int | None = None
    target_accept_rate: float = 0.5
    stepwise_factor: float = 0.9

    def __post_init__(self) -> None:
        if self.niter < 1:
            raise ValueError(f"niter must be at least 1; got {self.niter}")

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem, rng), evaluate)

    def _search(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        own = self.minimizer_kwargs is None
        view = LocalView(problem, evaluate, slopes=own)
        result = basinhopping(
            view.value,
            problem.start(rng),
            niter=self.niter,
            T=self.T,
            minimizer_kwargs=descent(view, problem) if own else self.minimizer_kwargs,
            take_step=self._step(problem, rng),
            accept_test=self.accept_test,
            interval=self.interval,
            disp=self.disp,
            niter_success=self.niter_success,
            target_accept_rate=self.target_accept_rate,
            stepwise_factor=self.stepwise_factor,
            **stream(rng),
        )
        # Its best point is the best one told.
        nit = {"nit": int(result.nit), "minimization_failures": int(result.minimization_failures)}
        return Stop(" ".join(result.message), bool(result.success), extras=nit)

    def _step(self, problem: Problem, rng: RandomStream) -> "_Step":
        if self.take_step is None:
            return _Hop(problem, rng, self.stepsize)
        kind = _Sized if hasattr(self.take_step, "stepsize") else _Step
        return kind(problem, self.take_step)


class _Step:
    """A step of the user's, clipped into the bounds."""

    def __init__(self, problem: Problem, step: Callable[[Array], Array]) -> None:
        self._lower, self._upper, self._step = problem.lower, problem.upper, step

    def __call__(self, x: Array) -> Array:
        moved: Array = np.clip(self._step(x), self._lower, self._upper)
        return moved


class _Sized(_Step):
    """One that has a `stepsize`, which scipy adapts."""

    @property
    def stepsize(self) -> float:
        """The step's own."""
        size: float = self._step.stepsize  # type: ignore[attr-defined]
        return size

    @stepsize.setter
    def stepsize(self, size: float) -> None:
        self._step.stepsize = size  # type: ignore[attr-defined]


class _Hop(_Step):
    """scipy's default: a uniform displacement of at most `stepsize` a coordinate."""

    def __init__(self, problem: Problem, rng: RandomStream, stepsize: float) -> None:
        super().__init__(problem, self._displaced)
        self.stepsize, self._rng = stepsize, rng

    def _displaced(self, x: Array) -> Array:
        return x + self._rng.uniform(-self.stepsize, self.stepsize, x.shape)
