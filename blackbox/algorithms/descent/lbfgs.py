"""torch's L-BFGS, which calls its objective."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from blackbox.algorithms.around_scipy import shelter
from blackbox.algorithms.descent.habits import check_rate, rules_precision
from blackbox.algorithms.projected import moved, project
from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Array, Evaluate, Problem, RandomStream, Stop

STUCK = 30
"""Times that it goes back to its best point, with half the learning rate each time."""
CALLS = 1000
"""Steps of torch's optimizer, of `max_iter` iterations each, after which it gives up."""


@dataclass(frozen=True)
class LBFGS(Blocking):
    """``torch.optim.LBFGS``, stepped until one of its tolerances is met.

    Where the value or the gradient is not finite, or its steps have become small higher up than it
    began, it begins again at its best point with half the learning rate.

    Attributes
    ----------
    lr
        Learning rate: the length of a step along the direction, or of the first one that the line
        search tries.
    max_iter, max_eval
        Iterations and evaluations of a step of torch's optimizer, of which there are as many as it
        takes: without a line search the last point of each is its next first. None: 1.25
        `max_iter`.
    history_size
        Steps that are remembered: two vectors each.
    line_search_fn
        None: a step of `lr` along the direction, which need not go down; or ``"strong_wolfe"``.
    """

    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lr, list):
            raise ValueError(f"lr is one number here; got {self.lr!r}")
        check_rate("lr", self.lr)
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(
                f"line_search_fn is 'strong_wolfe' or None; got {self.line_search_fn!r}"
            )
        for name in ("max_iter", "max_eval", "history_size"):
            count = getattr(self, name)
            if count is None and name == "max_eval":
                continue
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
                raise ValueError(f"{name} must be at least 1, and whole; got {count!r}")
        for name in ("tolerance_grad", "tolerance_change"):
            least = getattr(self, name)
            if not (isinstance(least, Real) and float(least) >= 0):
                raise ValueError(f"{name} must be a number from 0; got {least!r}")

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run torch's solver on `evaluate`."""
        start = problem.start(rng)

        def search(evaluate: Evaluate) -> Stop:
            return self._search(*project(problem, evaluate), start)

        stop = shelter(search, evaluate)
        x = stop.extras.get("x")
        if x is None:
            return stop
        inside = np.clip(x, problem.lower, problem.upper)
        own = {"x": inside, "fun": stop.extras["fun"] - moved(x, inside)}
        return stop._replace(extras={**stop.extras, **own})

    def _search(self, problem: Problem, evaluate: Evaluate, start: Array) -> Stop:
        import torch

        point = torch.from_numpy(start.astype(rules_precision(problem.dtype)))
        closure = _Closure(problem, evaluate, point)
        rate, returns, iterations = self.lr, 0, 0
        optimizer = self._begin(point, rate)
        for _ in range(CALLS):
            evaluated = closure.count
            before = _iterations(optimizer)
            optimizer.step(closure)
            done = _iterations(optimizer) - before
            iterations += done
            small = done < self.max_iter and closure.count - evaluated < self._most
            if (closure.failed and closure.here()) or (small and closure.astray()):
                returns += 1
                if closure.best_x is None or returns > STUCK:
                    reason = "no finite value and gradient, or no way down from any good point"
                    return closure.end(Stop(reason, success=False, status=3), iterations)
                rate /= 2
                point.copy_(torch.from_numpy(closure.best_x))
                optimizer = self._begin(point, rate)
                closure.begin()
            elif small:
                reason = "the gradient is within tolerance_grad, or a step within tolerance_change"
                return closure.end(Stop(reason, success=True), iterations)
        reason = f"{CALLS} steps of max_iter={self.max_iter} iterations; raise it to go on"
        return closure.end(Stop(reason, success=False, status=1), iterations)

    @property
    def _most(self) -> int:
        return self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval

    def _begin(self, point: Any, rate: float) -> Any:
        import torch

        return torch.optim.LBFGS(
            [point],
            lr=rate,
            max_iter=self.max_iter,
            max_eval=self.max_eval,
            tolerance_grad=self.tolerance_grad,
            tolerance_change=self.tolerance_change,
            history_size=self.history_size,
            line_search_fn=self.line_search_fn,
        )


def _iterations(optimizer: Any) -> int:
    return sum(int(state.get("n_iter", 0)) for state in optimizer.state.values())


class _Closure:
    """What torch calls: gives the value at its point, and leaves the gradient there.

    A failure counts as somewhat worse than the worst so far, with a slope of 0: a line search then
    turns back, and without one torch takes the point for the end.

    Attributes
    ----------
    failed
        Whether there was no finite value and gradient at the latest point.
    best_x
        The lowest of the good points, (n,), in the objective's precision.
    count
        How often it was called.
    """

    def __init__(self, problem: Problem, evaluate: Evaluate, point: Any) -> None:
        self._objective = Pointwise(problem, evaluate)
        self._gradients = problem.gradients != "none"
        self._point = point
        self._x: Array = point.numpy()  # torch's own memory
        self._latest: Array | None = None
        self._told = math.inf
        self._begun: float | None = None
        self._lowest, self._highest = math.inf, -math.inf
        self._best_slope: Array | None = None
        self.failed = False
        self.best_x: Array | None = None
        self.count = 0

    def here(self) -> bool:
        """Whether torch's point is the latest that was evaluated."""
        return self._latest is not None and np.array_equal(self._x, self._latest, equal_nan=True)

    def astray(self) -> bool:
        """Whether the latest value is above the first since `begin`, as after too long steps."""
        return self._begun is not None and self._told > self._begun

    def begin(self) -> None:
        """Take in that the next value is where it begins."""
        self._begun = None

    def __call__(self) -> float:
        self.count += 1
        if not self.here():
            self._latest = self._x.copy()
            value, slope = self._look(self._x.astype(np.float64))
            self._point.grad = self._point.new_tensor(slope)
            self._told = value
        if self._begun is None:
            self._begun = self._told
        return self._told

    def _look(self, x: Array) -> tuple[float, Array]:
        value = self._objective.value(x) if np.isfinite(x).all() else math.inf
        if math.isfinite(value):
            slope = (
                self._objective.gradient(x) if self._gradients else self._objective.differences(x)
            )
            if np.isfinite(slope.astype(self._x.dtype)).all():
                self.failed = False
                self._keep(value, slope)
                return value, slope
        self.failed = True
        if self.best_x is None:
            return 0.0, np.zeros(len(x))
        gap = (self._highest - self._lowest) or abs(self._highest) or 1.0
        return min(self._highest + gap, 1e300), np.zeros(len(x))

    def _keep(self, value: float, slope: Array) -> None:
        self._highest = max(self._highest, value)
        if value < self._lowest:
            self._lowest, self.best_x, self._best_slope = value, self._x.copy(), slope

    def end(self, stop: Stop, iterations: int) -> Stop:
        """Add where it came to."""
        extras: dict[str, Any] = {"nit": iterations}
        if self.best_x is not None:
            x = self.best_x.astype(np.float64)
            extras |= {"x": x, "fun": self._lowest, "jac": self._best_slope}
        return stop._replace(extras=extras)
