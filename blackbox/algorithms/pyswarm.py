"""Particle swarm optimization by the library pyswarm itself: one particle at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

from blackbox.algorithms.pso import Swarm
from blackbox.blocking import Blocking, Pointwise
from blackbox.composing.views import FeasibleFirst
from blackbox.constraints import Constraints
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop

_INFEASIBLE = 1e299
"""Just below the value from which pyswarm calls a particle infeasible, and prints about it."""


@dataclass(frozen=True)
class PySwarm(Swarm, Blocking):
    """``pyswarm.pso`` with its options and defaults; see `PSO` for the same in batches.

    It takes inequalities alone. Where there are equalities feasible points rank before all others,
    as for methods that take no constraints.
    """

    debug: bool = False

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run pyswarm on `evaluate`."""
        import pyswarm

        constraints = Constraints(problem.constraints)
        if constraints.has_equalities:
            view = FeasibleFirst(problem)
            return self.solve(view.problem, rng, lambda ask: view.inward(ask, evaluate(ask)))
        last = Pointwise(problem, evaluate, gradients=False)
        # An exception that crosses the library's compiled loop makes it print to stderr. So it
        # waits here while the loop runs empty.
        raised: BaseException | None = None

        def slack(x: Array) -> Array:
            return constraints.residuals(x.copy()).positive

        def guard(call: Callable[[Array], Any], otherwise: Any) -> Callable[[Array], Any]:
            def guarded(x: Array) -> Any:
                nonlocal raised
                if raised is None:
                    try:
                        return call(x)
                    except BaseException as error:
                        raised = error
                return otherwise

            return guarded

        result = _silenced(pyswarm.pso)(
            guard(lambda x: min(last.value(x), _INFEASIBLE), _INFEASIBLE),
            problem.lower,
            problem.upper,
            swarmsize=self.swarmsize,
            omega=self.omega,
            phip=self.phip,
            phig=self.phig,
            maxiter=self.maxiter,
            minstep=self.minstep,
            minfunc=self.minfunc,
            f_ieqcons=guard(slack, np.zeros(1)) if problem.constraints else None,
            debug=self.debug,
            seed=np.random.default_rng(rng),  # a stream is used as it is
            patience=self.patience,
            init=self.first(problem, rng) if len(problem.starts) else None,
        )
        if raised is not None:
            raise raised
        ended = str(result.message).startswith("Maximum iterations")
        # Its best point is the best one told.
        nit = {"nit": int(result.nit)}
        return Stop(str(result.message), not ended, 2 if ended else 0, nit)


def _silenced(function: Any) -> Callable[..., Any]:
    """The function, whose `print` prints nothing: pyswarm regrets on stdout that all broke."""
    quiet = function.__globals__ | {"print": lambda *_: None}
    copy = FunctionType(function.__code__, quiet, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
