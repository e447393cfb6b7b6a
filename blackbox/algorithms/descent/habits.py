"""What people do around an update rule, as options that all of them share."""

import dataclasses
import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from blackbox.algorithms.descent.schedule import check_schedule
from blackbox.types import Problem, RandomStream, Run

Setting = float | Sequence[float]
"""A number; or a list of them, one for each run."""
Pair = tuple[float, float] | list[tuple[float, float]]
"""Two numbers; or a list of pairs, one for each run."""


@dataclass(frozen=True)
class Descent:
    """Gradient descent by a rule of torch: the base of all of them.

    Subclasses name the rule, and have its arguments as fields, by its own names and defaults. A
    list in place of a value (lists only: tuples are values) gives each run a setting of its own;
    one start then stands for all.

    Attributes
    ----------
    schedule
        How the learning rate changes from step to step: see `blackbox.algorithms.descent.schedule`.
        None: it stays.
    clip_norm
        Gradients longer than this (Euclidean norm over all variables) are shortened to it.
    clip_value
        Each partial derivative is cut to plus or minus this.
    accumulate
        Gradients that are averaged for a step, each of a minibatch of its own. A last step for
        which the budget has not enough of them is not taken.
    """

    library: ClassVar[str] = "torch.optim"
    rule: ClassVar[str] = ""
    """The class, and the module that it is in."""
    per_tensor: ClassVar[bool] = False
    """Whether the rule sees the model's own tensors; then runs are stepped one by one."""

    schedule: Any = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    accumulate: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        self._check_rates()
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit) and limit > 0):
                raise ValueError(f"{name} must be above 0, or None; got {limit!r}")
        if (
            isinstance(self.accumulate, bool)
            or not isinstance(self.accumulate, Integral)
            or self.accumulate < 1
        ):
            raise ValueError(f"accumulate is a number of gradients from 1; got {self.accumulate!r}")
        check_schedule(self.schedule)
        _count_runs(self.keywords())

    def _check_rates(self) -> None:
        check_rate("lr", getattr(self, "lr", 1.0))

    @property
    def elementwise(self) -> bool:
        """Whether each variable is moved by its own past alone: then k runs are one tensor."""
        return not self.per_tensor

    @property
    def resumable(self) -> bool:
        """Whether its optimizer's ``state`` and ``param_groups`` are all that it remembers."""
        return True

    def keywords(self) -> dict[str, Any]:
        """Return the rule's own arguments."""
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in HABITS
        }

    def settings(self, k: int) -> list[dict[str, Any]]:
        """Return the rule's arguments for each of k runs; one entry where they are the same."""
        given = self.keywords()
        runs = _count_runs(given)
        if runs is None:
            return [given]
        if runs != k:
            raise ValueError(
                f"x0 has {k} starts and the options {runs} settings; give as many, or one start"
            )
        return [{n: v[i] if isinstance(v, list) else v for n, v in given.items()} for i in range(k)]

    def starts(self, problem: Problem, rng: RandomStream) -> np.ndarray[Any, Any]:
        """Return where the runs begin, (k, n); one start serves as many as there are settings."""
        starts = problem.starts if len(problem.starts) else problem.start(rng)[None]
        runs = _count_runs(self.keywords())
        return np.tile(starts, (runs, 1)) if runs is not None and len(starts) == 1 else starts

    def build(self, parameters: list[Any], arguments: dict[str, Any]) -> Any:
        """Return torch's optimizer of these tensors.

        Raises
        ------
        ValueError
            For arguments that it refuses.
        """
        kind = getattr(importlib.import_module(self.library), self.rule)
        try:
            return kind(parameters, **arguments)
        except (TypeError, ValueError, IndexError) as error:
            lists = any(isinstance(value, list) for value in self.keywords().values())
            hint = " (a list is a setting for each run: else write a tuple)" if lists else ""
            raise ValueError(
                f"{self.library}.{self.rule} refuses {arguments}: {error}{hint}"
            ) from error

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run; it never stops by itself, unless its schedule does."""
        from blackbox.algorithms.descent.walk import Walk

        self.check(problem)
        return Walk(self, problem, rng)

    def check(self, problem: Problem) -> None:
        """Raise where an option does not fit the objective."""
        if self.accumulate > 1 and not (problem.changing or problem.noisy):
            raise ValueError(
                f"accumulate={self.accumulate} averages gradients of different minibatches, and "
                "this objective gives the same one each time: leave it out, or give "
                "ModelObjective(..., batch_size=...)"
            )


HABITS = ("schedule", "clip_norm", "clip_value", "accumulate")
"""Options that are not the rule's own."""


def rules_precision(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Return what a rule computes in: single or double, whichever the objective is nearer to.

    Half precision can't hold moments and small steps, and torch knows none beyond double.
    """
    return np.float32 if dtype.itemsize <= 4 else np.float64


def check_rate(name: str, given: Any) -> None:
    """Raise unless a learning rate, or each of a list of them, is a number above 0."""
    for rate in given if isinstance(given, list) else [given]:
        if not (_is_number(rate) and 0 < rate < math.inf):
            raise ValueError(f"{name}, the learning rate, must be above 0; got {given!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _count_runs(arguments: dict[str, Any]) -> int | None:
    """How many runs have settings of their own; None where there are no lists."""
    counts = {name: len(value) for name, value in arguments.items() if isinstance(value, list)}
    if not counts:
        return None
    if min(counts.values()) < 1 or len(set(counts.values())) > 1:
        raise ValueError(f"lists of settings must have the same length, from 1; got {counts}")
    return next(iter(counts.values()))
