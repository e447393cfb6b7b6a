"""Particle swarm optimization by the library pyswarm itself: one particle at a time."""

from dataclasses import dataclass

import numpy as np

from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop

_INFEASIBLE = 1e299
"""Just below the value from which pyswarm calls a particle infeasible, and prints about it."""


@dataclass(frozen=True)
class PySwarm(Blocking):
    """``pyswarm.pso`` with its options and defaults; see `PSO` for the same in batches."""

    swarmsize: int = 100
    omega: float = 0.5
    phip: float = 0.5
    phig: float = 0.5
    maxiter: int = 100
    minstep: float = 1e-8
    minfunc: float = 1e-8
    patience: int = 0
    debug: bool = False

    def __post_init__(self) -> None:
        if self.swarmsize < 2:
            raise ValueError(
                f"swarmsize={self.swarmsize} is below the minimum of 2: a lone particle has no "
                "swarm to learn from"
            )
        if self.maxiter < 1:
            raise ValueError(f"maxiter must be at least 1; got {self.maxiter}")

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run pyswarm on `evaluate`."""
        import pyswarm

        last = Pointwise(problem, evaluate)
        # An exception that crosses the library's compiled loop makes it print to stderr. So it
        # waits here while the loop runs empty.
        raised: BaseException | None = None

        def value(x: Array) -> float:
            nonlocal raised
            if raised is None:
                try:
                    return min(last.value(x), _INFEASIBLE)
                except BaseException as error:
                    raised = error
            return _INFEASIBLE

        result = pyswarm.pso(
            value,
            problem.lower,
            problem.upper,
            swarmsize=self.swarmsize,
            omega=self.omega,
            phip=self.phip,
            phig=self.phig,
            maxiter=self.maxiter,
            minstep=self.minstep,
            minfunc=self.minfunc,
            debug=self.debug,
            seed=np.random.default_rng(rng),  # a stream is used as it is
            patience=self.patience,
            init=self._first(problem, rng),
        )
        if raised is not None:
            raise raised
        ended = str(result.message).startswith("Maximum iterations")
        extras: dict[str, object] = {"nit": int(result.nit)}
        if result.fun < _INFEASIBLE:
            extras |= {"x": np.array(result.x), "fun": float(result.fun)}
        return Stop(str(result.message), not ended, 2 if ended else 0, extras)

    def _first(self, problem: Problem, rng: RandomStream) -> Array | None:
        """Positions as the library draws them, the given starts in place of the first ones."""
        if not len(problem.starts):
            return None
        x = problem.lower + rng.random((self.swarmsize, problem.n)) * (
            problem.upper - problem.lower
        )
        starts = problem.starts[: self.swarmsize]
        x[: len(starts)] = starts
        return x
