"""Losses on validation data, measured now and then, and when to stop because of them.

Early stopping: Prechelt, L. (1998), Early stopping - but when? in: Neural networks: tricks of the
trade, Springer, 55-69.
"""

import math
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from blackbox.budget import Budget, Halt
from blackbox.history import History
from blackbox.types import Array, Ask, Stop, Told, default_interval

Losses = Callable[[Array], Array]
"""From points (k, n) to their losses (k,)."""

STALLED = 9
"""The status of a run that was stopped early."""


def find_validation(
    fun: Any,
    given: Callable[..., Any] | None,
    every: int | None,
    patience: int | None,
    options: Mapping[str, Any] | None,
    *,
    batched: bool,
) -> Losses | None:
    """Return what measures validation losses, where something is going to go by them.

    Parameters
    ----------
    fun, given, every, patience, options, batched
        As `minimize` takes them; `given` is its ``validation``.

    Raises
    ------
    TypeError, ValueError
        For arguments that make no sense, or contradict each other.
    """
    if given is not None and not callable(given):
        raise TypeError(
            "validation is a function of a point, like fun, that gives the loss on other data; got "
            f"{type(given).__name__}"
        )
    for name, count in (("validate_every", every), ("patience", patience)):
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, Integral):
            raise TypeError(f"{name} is a whole number or None; got {count!r}")
        if count < 1:
            raise ValueError(f"{name} must be at least 1; got {count!r}")
    own = getattr(fun, "validate", None) if getattr(fun, "has_validation", False) else None
    wanted = given is not None or patience is not None or every is not None
    if not wanted and not (own is not None and _adapts(options)):
        return None
    if given is None and own is None:
        if every is not None:
            raise ValueError(
                f"validate_every={every} but there is nothing to validate on: give validation=, a "
                "function of a point, or ModelObjective(..., validation=(inputs, targets))"
            )
        return None
    return _lift(given, batched) if given is not None else own


def _adapts(options: Mapping[str, Any] | None) -> bool:
    """Whether a schedule among the options goes by validation losses."""
    for name, value in (options or {}).items():
        if isinstance(value, Mapping) and _adapts(value):
            return True
        if name == "schedule" and isinstance(value, str) and ADAPTIVE & set(_words(value)):
            return True
    return False


ADAPTIVE = {"plateau", "adaptive"}
"""Schedules that go by validation losses."""


def _words(text: str) -> list[str]:
    return [part.partition("(")[0].strip().lower() for part in text.split("+")]


def _lift(validate: Callable[..., Any], batched: bool) -> Losses:
    """Return a function of batches."""

    def losses(points: Array) -> Array:
        told = validate(points) if batched else [validate(x.copy()) for x in points]
        values = np.asarray(told, dtype=float)
        if values.shape != (len(points),):
            raise ValueError(
                f"validation returned shape {values.shape} for {len(points)} points; it must "
                f"return one real number a point"
            )
        return values

    return losses


class Validation:
    """Measures validation losses during a run, and ends it when nothing gets better any more.

    What is validated: all points of runs that walk side by side; elsewhere the incumbent, or where
    values are provisional the batch's best. Each counts as an evaluation.

    Parameters
    ----------
    losses
        What measures; None where there is no validation data: then `patience` counts generations
        in which the incumbent did not improve.
    history, budget
        The run's.
    every
        Generations from one validation to the next; None: see `default_interval`.
    patience
        Checks in a row without a new lowest loss after which the run ends; None: it does not.
    held
        Evaluations of the budget that are held back.
    """

    def __init__(
        self,
        losses: Losses | None,
        history: History,
        budget: Budget,
        every: int | None = None,
        patience: int | None = None,
        held: int = 0,
    ) -> None:
        self._losses, self._history, self._budget = losses, history, budget
        self._every, self._patience, self._held = every, patience, held
        self._generation = self._idle = 0
        self._best = math.inf
        self._fun = math.inf
        self._latest: tuple[Array, Array] | None = None

    def measure(self, ask: Ask, told: Told) -> Told:
        """Take in a batch that was evaluated; where one is due, add validation losses to it.

        Raises `Halt` when nothing has got better for long enough.
        """
        if self._losses is None:
            self._check(self._history.best_value < self._best)
            self._best = min(self._best, self._history.best_value)
            return told
        if self._every is None:
            budget = self._budget.evaluations
            self._every = default_interval(None if budget is None else budget // len(ask.points))
        self._generation += 1
        if self._generation % self._every:
            return told
        points, values = self._chosen(ask, told)
        known = self._latest is not None and np.array_equal(self._latest[0], points)
        if known:
            assert self._latest is not None
            losses = self._latest[1]
        else:
            if not self._affordable(len(points)):
                return told
            losses = np.asarray(self._losses(points), dtype=float)
            losses = np.where(np.isfinite(losses), losses, math.inf)
            better = self._history.record_validation(points, losses)
            if better:
                self._fun = float(values[int(losses.argmin())])
            self._latest = points, losses
        self._check(not known and better)
        return told if ask.rates is None else told._replace(validation=losses)

    def _chosen(self, ask: Ask, told: Told) -> tuple[Array, Array]:
        history = self._history
        if ask.rates is not None:
            return ask.points, told.values
        if history.best_x is not None and math.isfinite(history.best_value):
            provisional = history.provisional_x is not None
            if not provisional:
                return history.best_x[None].copy(), np.array([history.best_value])
        leader = int(told.values.argmin())
        return ask.points[leader][None].copy(), told.values[leader : leader + 1].copy()

    def _affordable(self, k: int) -> bool:
        budget = self._budget.evaluations
        return budget is None or self._history.evaluation_count + k + self._held <= budget

    def _check(self, better: bool) -> None:
        self._idle = 0 if better else self._idle + 1
        if self._patience is not None and self._idle >= self._patience:
            what = "incumbent" if self._losses is None else "validation loss"
            unit = "generations" if self._losses is None else "validations"
            raise Halt(
                Stop(
                    f"stopped early: the {what} has not improved for {self._idle} {unit}",
                    success=True,
                    status=STALLED,
                )
            )

    @property
    def restores(self) -> bool:
        """Whether the result is the point with the lowest validation loss."""
        found = self._losses is not None and self._history.validated_x is not None
        return found and self._patience is not None

    def restore(self, stop: Stop) -> Stop:
        """Put the point with the lowest validation loss in place of the end, where asked to."""
        if not self.restores:
            return stop
        extras = dict(stop.extras) | {"x": self._history.validated_x, "fun": self._fun}
        return stop._replace(extras=extras | {"restored": True})
