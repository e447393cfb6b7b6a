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
    own: Any = getattr(fun, "validate", None) if getattr(fun, "has_validation", False) else None
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
    return _lift(own, True) if given is None else _lift(given, batched)


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
    """Return a function of batches, (k, n) -> (k,), that fails with a word about validation."""

    def losses(points: Array) -> Array:
        told = validate(points.copy()) if batched else [validate(x) for x in points.copy()]
        values = np.asarray(told)
        if values.dtype.kind not in "fiub":
            raise TypeError(
                f"validation must return one real number a point; for {len(points)} points it "
                f"returned {told!r:.60}"
            )
        if values.size != len(points):
            raise ValueError(
                f"validation returned shape {values.shape} for {len(points)} points; it must "
                "return one real number a point"
            )
        return values.astype(float).reshape(len(points))

    return losses


STATE = ("_every", "_generation", "_idle", "_fulls", "_seen", "_fun", "_latest")
"""What a `Validation` has found, as far as numbers and arrays say it."""


class Validation:
    """Measures validation losses during a run, and ends it when nothing gets better any more.

    What is validated: all points of runs that walk side by side; elsewhere the incumbent, or where
    values are provisional the batch's best. Each counts as an evaluation, also the last one, of
    where the run has come to, which is made when the budget allows. Points that break a constraint,
    or whose own value is a failure, are never the best.

    Parameters
    ----------
    losses
        What measures; None where there is no validation data: then `patience` counts generations
        in which the incumbent did not improve; on minibatches, evaluations at full fidelity.
    history, budget
        The run's.
    every
        Generations from one validation to the next; None: see `default_interval`.
    patience
        Checks in a row without a new lowest loss after which the run ends; None: it does not.
    held
        Evaluations of the budget that are held back, for values at full fidelity; 0 where all
        values are.

    Attributes
    ----------
    round
        Batches that `patience` counts as one generation: 1, but where values come one by one.
    """

    round = 1

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
        self._generation = self._idle = self._fulls = 0
        self._seen: Array | None = None
        self._fun = math.inf
        self._latest: tuple[Array, Array] | None = None
        self._unmeasured: tuple[Ask, Told] | None = None

    def measure(self, ask: Ask, told: Told) -> Told:
        """Take in a batch that was evaluated; where one is due, add validation losses to it.

        Raises `Halt` when nothing has got better for long enough.
        """
        if self._losses is None:
            self._watch_incumbent()
            return told
        if self._every is None:
            budget = self._budget.evaluations
            self._every = default_interval(None if budget is None else budget // len(ask.points))
        self._generation += 1
        self._unmeasured = ask, told
        if self._generation % self._every:
            return told
        losses, better = self._measure(ask, told)
        if losses is None:
            return told
        self._count(better)
        return told if ask.rates is None else told._replace(validation=losses)

    def _measure(self, ask: Ask, told: Told) -> tuple[Array | None, bool]:
        """Return losses, None where the budget has none left for them; whether one is the best."""
        assert self._losses is not None
        points, values = self._chosen(ask, told)
        if self._latest is not None and np.array_equal(self._latest[0], points):
            self._unmeasured = None
            return self._latest[1], False
        if not self._affordable(len(points)):
            return None, False
        losses = np.asarray(self._losses(points), dtype=float)
        losses = np.where(np.isfinite(losses), losses, math.inf)
        counted = np.where(np.isfinite(values), losses, math.inf)
        if self._history.constrained:
            broken = np.array([self._history.violation(x) for x in points])
            counted = np.where(broken <= self._history.tolerance, counted, math.inf)
        better = self._history.record_validation(points, counted)
        if better:
            self._fun = float(values[int(counted.argmin())])
        self._latest, self._unmeasured = (points, losses), None
        return losses, better

    def _chosen(self, ask: Ask, told: Told) -> tuple[Array, Array]:
        """Return what is to be validated, (k, n), and its values."""
        if ask.rates is not None:
            return ask.points, told.values
        history = self._history
        if not self._held and history.best_x is not None and math.isfinite(history.best_value):
            return history.best_x[None].copy(), np.array([history.best_value])
        leader = int(told.values.argmin())
        return ask.points[leader][None].copy(), told.values[leader : leader + 1].copy()

    def _affordable(self, k: int) -> bool:
        budget = self._budget.evaluations
        return budget is None or self._history.evaluation_count + k + self._held <= budget

    def _watch_incumbent(self) -> None:
        """Count generations without another incumbent; or chances that there was one."""
        history = self._history
        if self._held and history.full_count == self._fulls:
            return
        self._fulls, before, self._seen = history.full_count, self._seen, history.best_x
        same = before is self._seen or (
            before is not None and self._seen is not None and np.array_equal(before, self._seen)
        )
        self._count(not same)

    def _count(self, better: bool) -> None:
        self._idle = 0 if better else self._idle + 1
        if self._patience is None or self._idle < self._patience * self.round:
            return
        if self._losses is None:
            unit = "evaluations at full fidelity" if self._held else "generations"
            if self.round > 1:
                unit = f"values, {self._patience} rounds of {self.round}"
            reason = f"stopped early: the incumbent has not improved for {self._idle} {unit}"
        elif self._history.validated_x is None:
            reason = f"stopped early: {self._idle} validations gave no finite loss"
        else:
            reason = (
                f"stopped early: the validation loss has not improved for {self._idle} validations"
            )
        lost = self._losses is not None and self._history.validated_x is None
        raise Halt(Stop(reason, success=not lost, status=STALLED))

    def state(self) -> dict[str, Any]:
        """Return where it stands, for `blackbox.snapshot`."""
        told = {name: getattr(self, name) for name in STATE}
        unmeasured = self._unmeasured
        return told | {"_unmeasured": unmeasured and tuple(tuple(part) for part in unmeasured)}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        for name in STATE:
            setattr(self, name, state[name])
        unmeasured = state["_unmeasured"]
        self._unmeasured = unmeasured and (Ask(*unmeasured[0]), Told(*unmeasured[1]))

    @property
    def restores(self) -> bool:
        """Whether the result is to be the point with the lowest validation loss.

        Not where the target was reached: then it is the point that reached it.
        """
        history, target = self._history, self._budget.target
        if self._losses is None or self._patience is None or history.validated_x is None:
            return False
        return target is None or not (history.best_value <= target and history.feasible)

    def close(self, stop: Stop) -> Stop:
        """Validate where the run has come to, unless that is done or cannot be afforded.

        Return why the run ended; and a word about it where nothing was ever validated.
        """
        if self._losses is not None and self._unmeasured is not None:
            self._measure(*self._unmeasured)
        if self._losses is None or self._every is None or self._latest is not None:
            return stop
        reason = (
            f"{stop.reason} (no validation was due: there is one every {self._every} "
            f"generations, and there were {self._generation}; lower validate_every=)"
        )
        return stop._replace(reason=reason)

    def restore(self, stop: Stop) -> Stop:
        """Put the point with the lowest validation loss in place of the end, where asked to."""
        if not self.restores:
            return stop
        x, extras = self._history.validated_x, dict(stop.extras)
        end, value = extras.pop("x", None), extras.pop("fun", math.inf)
        if end is None or not np.array_equal(end, np.asarray(x)):
            for name in ("jac", "fun_error", "fun_count"):  # of another point
                extras.pop(name, None)
            if end is not None:
                extras |= {"solver_x": end, "solver_fun": value}
        return stop._replace(extras=extras | {"x": x, "fun": self._fun, "restored": True})
