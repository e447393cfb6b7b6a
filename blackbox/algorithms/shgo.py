"""SHGO by scipy: an iteration's sampling points in one batch, the stencils of local searches too.

Endres, S. C., Sandrock, C., Focke, W. W. (2018), Journal of Global Optimization 72, 181-217.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import shgo

from blackbox.algorithms.around_scipy import LocalView, shelter
from blackbox.blocking import Blocking
from blackbox.types import Array, Ask, Evaluate, Problem, RandomStream, Stop

CORNERS = 12
"""Variables up to which a box's corners are few enough to be joined with one another."""

_SLSQP_STEP = 1.4901161193847656e-08
"""scipy's absolute step for SLSQP."""


@dataclass(frozen=True)
class SHGO(Blocking):
    """Simplicial homology global optimization; options and defaults are scipy's.

    Starts that are given are evaluated first, in a batch of their own, and count for the result;
    the search does not know of them. `minimizer_kwargs` None is SLSQP to ``ftol=1e-12``, by the
    objective's own gradient or by stencils of one batch each; what is given instead is scipy's
    own, which evaluates one point at a time. As in scipy, ``n=100`` with ``"simplicial"`` means the
    corners of the box and its middle, 2^n + 1 for n variables.

    scipy's code calls `logging.info` of the standard library, which installs a handler on the root
    logger where there is none.
    """

    n: int | None = 100
    iters: int | None = 1
    minimizer_kwargs: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    sampling_method: Any = "simplicial"

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem), evaluate)

    def _search(self, problem: Problem, evaluate: Evaluate) -> Stop:
        if self.sampling_method == "simplicial" and self.n in (None, 100) and problem.n > CORNERS:
            raise ValueError(
                f"shgo joins all corners of the box with one another, too many for n = {problem.n} "
                f"variables (up to {CORNERS}); give the option n=, a number of points other than "
                "100, or use method='differential_evolution'"
            )
        if len(problem.unseen):
            evaluate(Ask(problem.unseen.copy()))
        own = self.minimizer_kwargs is None
        view = LocalView(problem, evaluate, _SLSQP_STEP, slopes=own)
        default = {"method": "SLSQP", "jac": view.slope, "options": {"ftol": 1e-12}}

        def value_all(fun: Callable[..., Any], points: Iterable[Array]) -> Iterable[Any]:
            # scipy hands out the points of an iteration here, and before them those to be looked
            # at for constraints, which are no evaluations.
            if fun.__name__ == "gcons":
                return map(fun, points)
            batch = list(points)
            if not batch:
                return []
            clipped = np.minimum(np.maximum(batch, problem.lower), problem.upper)
            values: list[float] = evaluate(Ask(clipped)).values.tolist()
            return values

        result = shgo(
            view.value,
            list(zip(problem.lower, problem.upper, strict=True)),
            constraints=problem.constraints or None,
            n=self.n,
            iters=self.iters,
            minimizer_kwargs=default if own else self.minimizer_kwargs,
            options=self.options,
            sampling_method=self.sampling_method,
            workers=value_all,
        )
        extras = {k: result[k] for k in ("nit", "xl", "funl") if result.get(k) is not None}
        if result.success and not view.solved:
            return Stop("every local search failed: none came to a finite value", False, 3, extras)
        # Its best point is the best one told, and feasible.
        return Stop(str(result.message), bool(result.success), extras=extras)
