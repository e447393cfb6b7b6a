"""From a method's row to an algorithm that takes this problem: views and loops around it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from blackbox.algorithms.method import Method
from blackbox.composing.lagrangian import SHARED_ROUNDS, Lagrangian
from blackbox.composing.parts import Viewed
from blackbox.composing.refined import read_refinement, refine
from blackbox.composing.restarts import Restarted
from blackbox.composing.starts import Together
from blackbox.composing.views import FeasibleFirst, Rounded
from blackbox.types import Algorithm, Problem

Handling = Literal["native", "lagrangian", "penalty"]

SEARCH = 20_000
"""Evaluations that rounds of an augmented Lagrangian share where there is no budget."""


@dataclass(frozen=True)
class Common:
    """Options that every method has, beside its own.

    Attributes
    ----------
    restarts
        Local methods: how many runs from random starts follow the first; inf or True goes on until
        the budget is spent.
    constraint_handling
        ``"native"``: the method's own way, refused where it has none; ``"lagrangian"``: an
        augmented Lagrangian; ``"penalty"``: feasible points rank before all others. None: what the
        method's row says.
    refine
        Methods that ask batches of points: a gradient method, from the best of each batch a few
        steps of which are taken (see `blackbox.composing.refined`). Its name, or a mapping:
        ``{"method": "adam", "steps": 5, "best": 1, "inherit": None, "lr": 0.01}``.
    """

    restarts: float = 0
    constraint_handling: Handling | None = None
    refine: Any = None

    def __post_init__(self) -> None:
        restarts: Any = self.restarts
        if restarts is True or restarts == "inf":
            object.__setattr__(self, "restarts", math.inf)
        elif restarts != math.inf and (not isinstance(restarts, Integral) or restarts < 0):
            raise ValueError(f"restarts is a number of runs from 0, or inf; got {restarts!r}")
        if self.constraint_handling not in (None, *get_args(Handling)):
            raise ValueError(
                f"constraint_handling is 'native', 'lagrangian', 'penalty' or None; got "
                f"{self.constraint_handling!r}"
            )
        object.__setattr__(self, "refine", read_refinement(self.refine))


@runtime_checkable
class Checked(Protocol):
    """An algorithm that can say, before anything is evaluated, that a problem is not for it."""

    def check(self, problem: Problem) -> None:
        """Raise ValueError where an option does not fit the problem."""


COMMON = tuple(f.name for f in fields(Common))


def split_options(row: Method, options: Mapping[str, Any]) -> tuple[Common, dict[str, Any]]:
    """Split what the user gave into options common to all methods and the method's own."""
    own = row.options()
    common = {name: options[name] for name in COMMON if name in options and name not in own}
    return Common(**common), {k: v for k, v in options.items() if k not in common}


def assemble(row: Method, options: Mapping[str, Any], problem: Problem) -> tuple[Algorithm, bool]:
    """Return the configured algorithm, and whether it is the method's own, with nothing around it.

    Raises
    ------
    ValueError
        For options that the method does not have, or that contradict the problem.
    """
    common, own = split_options(row, options)
    algorithm = plain = row.make(own)
    if isinstance(plain, Checked):
        plain.check(problem)
    if common.refine is not None:
        algorithm = refine(row, algorithm, common.refine, problem)
    handling = common.constraint_handling or row.constraints
    if handling == "native" and row.constraints != "native" and problem.constraints:
        raise ValueError(
            f"method {row.name!r} has no way of its own to keep constraints, and "
            "constraint_handling='native' asks for one; leave that out, or take method='slsqp', "
            "'cobyqa' or 'trust-constr'"
        )
    if problem.constraints and handling == "lagrangian":
        algorithm = Lagrangian(algorithm, _share(row, problem))
    elif problem.constraints and handling == "penalty":
        algorithm = Viewed(algorithm, FeasibleFirst)
    if problem.integrality is not None and row.integers == "rounded":
        algorithm = Viewed(algorithm, Rounded)
    # The rounds of an augmented Lagrangian go on from one point: starts walk by one each.
    alone = not row.many_starts or isinstance(algorithm, Lagrangian)
    if row.kind == "local" and alone and len(problem.starts) > 1:
        algorithm = Together(algorithm)
    if common.restarts:
        if row.kind != "local" or row.default_budget is not None:
            raise ValueError(
                f"restarts is for local methods that end by themselves, and {row.name!r} is none; "
                "leave it out"
            )
        algorithm = Restarted(algorithm, common.restarts)
    return algorithm, algorithm is plain


def _share(row: Method, problem: Problem) -> int | None:
    """Evaluations of a round, for methods that never stop by themselves, or search far."""
    if row.default_budget is None and (row.kind == "local" or not row.random):
        return None
    apart = len(problem.starts) if row.kind == "local" and len(problem.starts) > 1 else 1
    return max(1, (problem.budget or row.default_budget or SEARCH) // (SHARED_ROUNDS * apart))
