"""Objectives that change from batch to batch: minibatches, fresh noise.

Such an objective has, beside ``batched``:

``begin(generation, rng)``
    Called before each batch, stencils aside, with 0, 1, 2 ... and a `numpy.random.Generator`: what
    it draws there holds until the next call, so that all candidates of a generation, their stencils
    and their gradients see the same. None, or left out: the objective does not change.
``full(points) -> values``
    Values (k,) of points (k, n) at full fidelity: on all the data, without noise. What `begin` drew
    must still hold afterwards. Left out: values count as they are told.
``end()``
    Called when the run is over, however it ended: what `begin` drew holds no longer. May be left
    out.
``state() -> dict``, ``resume(state)``
    What a run has changed in it besides, as numbers, texts and arrays, taken before a `begin`; and
    back to it. Without them a run on an objective that changes has no snapshots.
``recall(values, gradients)``
    Called where gradients come from a journal in place of being computed. May be left out.

Common random numbers: Glasserman, P., Yao, D. D. (1992), Some guidelines and guarantees for common
random numbers, Management Science 38, 884-908.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from blackbox.budget import Budget, Halt
from blackbox.evaluation import ASTRAY, Evaluator
from blackbox.history import History, all_finite
from blackbox.noise import Averaging
from blackbox.objective import Objective
from blackbox.types import Array, Ask, Callback, RandomStream, Stop, Told, default_interval
from blackbox.validation import Validation


def make_evaluator(
    objective: Objective,
    history: History,
    budget: Budget,
    rng: RandomStream,
    callback: Callback | None = None,
    watch: Callable[[History], None] | None = None,
    noisy: bool = False,
    validation: Validation | None = None,
) -> Evaluator:
    """Return the evaluator that the objective needs; arguments as those of `Evaluator`.

    Where the objective changes, its own random stream is derived from `rng`, the run's. What is
    `noisy` is averaged, unless it changes by announcement, which has its own way.
    """
    if not objective.changing:
        if noisy:
            return Averaging(objective, history, budget, callback, watch, validation)
        return Evaluator(objective, history, budget, callback, watch, validation)
    kind = Announcing if objective.full is None else Electing
    return kind(objective, history, budget, _derive(rng), callback, watch, validation)


def _derive(rng: RandomStream) -> np.random.Generator:
    """A stream of its own, which leaves the run's undisturbed where that can spawn."""
    if isinstance(rng, np.random.Generator):
        with contextlib.suppress(TypeError):  # made without a seed sequence
            return rng.spawn(1)[0]
    return np.random.default_rng(list(rng.bytes(16)))


class Announcing(Evaluator):
    """Tells the objective of each generation before it is evaluated.

    Parameters
    ----------
    objective, history, budget, callback, watch, validation
        As for `Evaluator`.
    stream
        What the objective draws from.
    """

    def __init__(
        self,
        objective: Objective,
        history: History,
        budget: Budget,
        stream: np.random.Generator,
        callback: Callback | None = None,
        watch: Callable[[History], None] | None = None,
        validation: Validation | None = None,
    ) -> None:
        super().__init__(objective, history, budget, callback, watch, validation)
        self._stream = stream
        self._generation = -1

    def state(self) -> dict[str, Any] | None:
        """Return where it stands; see `Evaluator.state`."""
        before, stream = super().state(), self._stream.bit_generator.state
        if before is None:
            return None
        return before | {"generation": self._generation, "stream": stream}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        super().resume(state)
        self._generation = int(state["generation"])
        self._stream.bit_generator.state = state["stream"]

    def _evaluate(self, points: Array, ask: Ask) -> Told:
        if not ask.stencil:
            self._generation += 1
            assert self._objective.begin is not None
            self._objective.begin(self._generation, self._stream)
        return super()._evaluate(points, ask)


class Electing(Announcing):
    """Takes values as provisional, and evaluates what won a generation at full fidelity.

    That is done in the first generation, in every tenth or fewer from there (`default_interval`),
    where a provisional value reaches the target, and at the end of the run. It counts as an
    evaluation, and the last one of the budget is held back for it. Only values at full fidelity
    make an incumbent or reach the target.
    """

    provisional = True
    _winner: Array | None = None
    """(n,): the latest, until it is evaluated."""
    _every = 0
    """Generations from one evaluation at full fidelity to the next; 0 until the first."""

    def __call__(self, ask: Ask) -> Told:
        """Evaluate a batch, and its winner where due. Raises `Halt` when the run is over."""
        held = 0 if ask.stencil and self._winner is None and not self._restores else 1
        room = self._budget.left(self._history) - held
        if len(ask.points) <= room:
            return super().__call__(ask)
        fits = int(room)
        if fits:
            super().__call__(ask._replace(points=ask.points[:fits]))
        if self._winner is None and not ask.stencil and self._affordable():
            self._spend_last(ask.points[fits])
        raise Halt(self._budget.spent())

    def _conclude(self, stop: Stop) -> Stop:
        """Evaluate the last winner, then the solver's own end point where the budget allows.

        In place of both, the point with the lowest validation loss where that is the result.
        """
        if self._validation is not None:
            stop = self._validation.close(stop)
        if self._restores:
            assert self._validation is not None
            stop, self._winner = self._validation.restore(stop), None
        if self._winner is not None:
            self._evaluate_winner()
        own = stop.extras.get("x")
        if own is not None:
            affordable = self._affordable()
            value = self._evaluate_fully(np.array(own, dtype=float)) if affordable else math.inf
            extras = {**stop.extras, "fun": value}
            if not math.isfinite(value):  # the incumbent then is the result
                extras.pop("restored", None)
            stop = stop._replace(extras=extras)
        try:
            self._budget.check(self._history)
        except Halt as halt:
            return halt.stop._replace(extras=stop.extras)
        return stop

    def interrupt(self, stop: Stop) -> Stop:
        """Fall back on the best provisional value where there is none at full fidelity."""
        history = self._history
        if self._restores:
            assert self._validation is not None
            reason = (
                f"{stop.reason} (x has the lowest validation loss, and fun is its value on a "
                "minibatch)"
            )
            return self._validation.restore(stop)._replace(reason=reason)
        if math.isfinite(history.best_value) or history.provisional_x is None:
            return stop
        reason = f"{stop.reason} (x is the best on minibatches, and fun its provisional value)"
        best = {"x": history.provisional_x, "fun": history.provisional_value}
        return stop._replace(reason=reason, extras=best)

    def state(self) -> dict[str, Any] | None:
        """Return where it stands; see `Evaluator.state`."""
        before = super().state()
        return None if before is None else before | {"winner": self._winner, "every": self._every}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        super().resume(state)
        self._winner, self._every = state["winner"], int(state["every"])

    @property
    def _restores(self) -> bool:
        """Whether the result is to be the point with the lowest validation loss."""
        return self._validation is not None and self._validation.restores

    def _affordable(self) -> bool:
        budget = self._budget.evaluations
        return budget is None or self._history.evaluation_count < budget

    def _evaluate(self, points: Array, ask: Ask) -> Told:
        told = super()._evaluate(points, ask)
        if not ask.stencil:
            self._elect(points, told.values)
        return told

    def _elect(self, points: Array, values: Array) -> None:
        if not self._every:
            budget = self._budget.evaluations
            self._every = default_interval(None if budget is None else budget // len(points))
        leader = int(values.argmin())
        value, target = float(values[leader]), self._budget.target
        if math.isfinite(value):
            self._winner = points[leader].copy()
        due = self._generation % self._every == 0 or (target is not None and value <= target)
        budget = self._budget.evaluations
        last = budget is not None and self._history.evaluation_count + 1 >= budget
        # The last one is held back for the point with the lowest validation loss.
        if due and self._winner is not None and not (last and self._restores):
            self._evaluate_winner()

    def _evaluate_winner(self) -> None:
        assert self._winner is not None
        winner, self._winner = self._winner, None
        self._evaluate_fully(winner)

    def _evaluate_fully(self, point: Array) -> float:
        """Value at a point, (n,), counted and recorded; a failure is ``+inf``."""
        values = np.full(1, np.nan)
        self._objective.full_values(point[None], values)
        values = self._settle(values)
        self._history.record_full(point[None], values)
        return float(values[0])

    def _spend_last(self, point: Array) -> None:
        """Evaluate a point at full fidelity at once: a value on a minibatch would go to waste."""
        if not all_finite(point):
            raise Halt(ASTRAY)
        self._evaluate_fully(point)
        if not self._history.batch_count:
            spent = self._budget.spent()
            reason = f"{spent.reason} (it was spent on one point at full fidelity)"
            raise Halt(spent._replace(reason=reason))
