"""DIRECT by scipy: dividing rectangles, one point at a time.

Jones, D. R., Perttunen, C. D., Stuckman, B. E. (1993), Journal of Optimization Theory and
Applications 79, 157-181; locally biased: Gablonsky, J. M., Kelley, C. T. (2001), Journal of Global
Optimization 21, 27-37.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import Bounds, direct

from blackbox.algorithms.around_scipy import shelter
from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Ask, Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class Direct(Blocking):
    """Dividing rectangles; options and defaults are scipy's.

    It begins at the middle of the box. Starts that are given are evaluated before, in a batch of
    their own, and count for the result; the search does not know of them.
    """

    eps: float = 1e-4
    maxfun: int | None = None
    maxiter: int = 1000
    locally_biased: bool = True
    f_min: float = -np.inf
    f_min_rtol: float = 1e-4
    vol_tol: float = 1e-16
    len_tol: float = 1e-6

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run scipy's solver on `evaluate`."""
        return shelter(partial(self._search, problem), evaluate)

    def _search(self, problem: Problem, evaluate: Evaluate) -> Stop:
        if len(problem.unseen):
            evaluate(Ask(problem.unseen.copy()))
        result = direct(
            Pointwise(problem, evaluate, gradients=False).value,
            Bounds(problem.lower, problem.upper),
            eps=self.eps,
            maxfun=self.maxfun,
            maxiter=self.maxiter,
            locally_biased=self.locally_biased,
            f_min=self.f_min,
            f_min_rtol=self.f_min_rtol,
            vol_tol=self.vol_tol,
            len_tol=self.len_tol,
        )
        # Its best point is the best one told.
        nit = {"nit": int(result.nit)}
        return Stop(str(result.message), bool(result.success), int(result.status), nit)
