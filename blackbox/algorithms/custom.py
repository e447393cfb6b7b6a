"""scipy's custom methods: ``minimize(..., method=function)``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.optimize import minimize as scipy_minimize

from blackbox.algorithms.scipy_local import read_result
from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Evaluate, Problem, RandomStream, Stop


@dataclass(frozen=True)
class Custom(Blocking):
    """A method of the user's own, called as scipy calls it.

    Attributes
    ----------
    method
        ``method(fun, x0, args, **kwargs, **options) -> OptimizeResult``, where `fun` is counted and
        `args` is empty.
    bounds, constraints
        Handed on as they were given: to keep them is the method's business.
    options, tol
        The method's.
    """

    method: Callable[..., Any]
    bounds: Any = None
    constraints: Any = ()
    options: Mapping[str, Any] | None = None
    tol: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.method, type) and self.method.__module__.startswith("torch.optim"):
            name = self.method.__name__
            raise TypeError(
                f"method is a name, or a function as scipy's custom methods are; got the class "
                f"torch.optim.{name}: write method={name.lower()!r}, or "
                f"method='torch', options={{'optimizer': torch.optim.{name}, 'arguments': ...}}"
            )

    def solve(self, problem: Problem, rng: RandomStream, evaluate: Evaluate) -> Stop:
        """Run the method on `evaluate`."""
        objective = Pointwise(problem, evaluate)
        result = scipy_minimize(
            objective.value,
            problem.start(rng),
            method=self.method,
            jac=problem.scheme if problem.gradients == "none" else objective.gradient,
            hess=problem.hess,
            hessp=problem.hessp,
            bounds=self.bounds,
            constraints=self.constraints,
            tol=self.tol,
            callback=problem.callback,
            options=None if self.options is None else dict(self.options),
        )
        return read_result(result)
