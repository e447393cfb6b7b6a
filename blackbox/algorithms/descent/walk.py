"""The loop of gradient descent: k runs side by side, each as it would walk alone."""

import math
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.algorithms.descent.habits import rules_precision
from blackbox.algorithms.descent.schedule import Rates, make_rates
from blackbox.algorithms.descent.walker import Walker, clip
from blackbox.stencil import gradient
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Stop, Told

if TYPE_CHECKING:
    from blackbox.algorithms.descent.habits import Descent

KEPT = ("flat", "best", "best_values", "skips", "returns")
"""The arrays that say where runs stand."""
SKIPS = 3
"""Minibatches in a row without a finite gradient after which a run goes back to a good point."""
STUCK = 100
"""Times in a row that a run goes back without a step in between; then there is no way on."""


class Walk(Generator[Ask, Told, Stop]):
    """The runs, one after another step: from each start, or with each setting, (k, n) points.

    A gradient that is not finite moves nothing. Where the objective changes from batch to batch the
    next may be better; elsewhere, after several such, and where the value is not finite, the run
    goes back to its best point (its latest good one, where values can't be compared) with fresh
    moments and half the learning rate.
    """

    def __init__(self, descent: "Descent", problem: Problem, rng: RandomStream) -> None:
        self._problem, self._count = problem, descent.accumulate
        # All that is drawn is the start: the same again in a run that is made again.
        self._runs = Runs(descent, problem, descent.starts(problem, rng))
        self._steps, self._between = self._walk(), True

    def send(self, told: Any) -> Ask:
        """Take in what was told; return what is asked next."""
        self._between = False
        return self._steps.send(told)

    def throw(self, *error: Any) -> Ask:
        """Raise an error where it waits."""
        return self._steps.throw(*error)

    def close(self) -> None:
        """End it."""
        self._steps.close()

    def state(self) -> dict[str, Any] | None:
        """Return where it stands, for `blackbox.snapshot`; None in the middle of a step."""
        return self._runs.state() if self._between else None

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned; what is asked next is asked anew."""
        self._steps.close()
        self._runs.resume(state)
        self._steps, self._between = self._walk(), True

    def _walk(self) -> Run:
        runs = self._runs
        while True:
            self._between = True
            values, slopes, validation = yield from self._look()
            stop = runs.step(values, slopes, validation)
            if stop is not None:
                return stop

    def _look(self) -> Generator[Ask, Told, tuple[Array, Array, Array | None]]:
        """Ask for values and gradients at the points; the mean of several where asked to."""
        values, slopes, validation = first = yield from self._look_once()
        count = self._count
        if count == 1:
            return first
        for _ in range(count - 1):
            more, steeper, late = yield from self._look_once()
            values, slopes = values + more, slopes + steeper
            validation = validation if late is None else late
        return values / count, slopes / count, validation

    def _look_once(self) -> Generator[Ask, Told, tuple[Array, Array, Array | None]]:
        problem, points, rates = self._problem, self._runs.points(), self._runs.rates
        if problem.gradients != "none":
            told = yield Ask(points, gradients=True, rates=rates)
            assert told.gradients is not None
            return told.values, told.gradients, told.validation
        told = yield Ask(points, rates=rates)
        if not np.isfinite(told.values).any():
            return told.values, np.full_like(points, np.nan), told.validation
        slopes = yield from gradient(problem, points, told.values)
        return told.values, slopes, told.validation


class Runs:
    """k runs: their points, in the rule's precision, and what moves them.

    Attributes
    ----------
    rates
        The learning rate of each run's next step, (k,).
    """

    def __init__(self, descent: "Descent", problem: Problem, starts: Array) -> None:
        k = len(starts)
        self._descent, self._problem = descent, problem
        self._bounded = bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())
        self._flat = starts.astype(rules_precision(problem.dtype))
        self._slopes = np.zeros_like(self._flat)
        self._all, self._zeros = np.ones(k, dtype=bool), np.zeros(k)
        self._best, self._best_values = self._flat.copy(), np.full(k, math.inf)
        self._skips, self._returns = np.zeros(k, dtype=int), np.zeros(k, dtype=int)
        self._troubled = False
        settings = descent.settings(k)
        steps = problem.generations(k, sloped=True)
        total = None if steps is None else max(1, steps // descent.accumulate)
        validated = problem.validate_every != 0
        self._rates: list[Rates] = []
        self._walkers: list[Walker] = []
        apart = len(settings) > 1 or not descent.elementwise
        for i in range(k) if apart else [0]:
            arguments = settings[i % len(settings)]
            rows = slice(i, i + 1) if apart else slice(0, k)
            rates = make_rates(descent, arguments, total, validated)
            if rates.adaptive and rows.stop - rows.start > 1:  # each run has its own losses
                for row in range(k):
                    self._add(
                        slice(row, row + 1),
                        arguments,
                        make_rates(descent, arguments, total, validated),
                    )
            else:
                self._add(rows, arguments, rates)
        self._constant = all(rates.constant for rates in self._rates)
        self.rates = self._present_rates()

    def _add(self, rows: slice, arguments: dict[str, Any], rates: Rates) -> None:
        self._rates.append(rates)
        memory, blocks = (self._flat, self._slopes), self._problem.blocks
        self._walkers.append(Walker(self._descent, memory, rows, blocks, arguments, rates))

    def state(self) -> dict[str, Any] | None:
        """Return where they stand; None where a rule or a schedule can't say it."""
        rates = [rates.state() for rates in self._rates]
        if not self._descent.resumable or any(state is None for state in rates):
            return None
        walkers = [walker.state() for walker in self._walkers]
        kept = {name: getattr(self, f"_{name}") for name in KEPT}
        return kept | {"troubled": self._troubled, "rates": rates, "walkers": walkers}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        for name in KEPT:
            own, given = getattr(self, f"_{name}"), state[name]
            if given.shape != own.shape or given.dtype != own.dtype:
                raise ValueError(f"{name} is {given.dtype} {given.shape}, not {own.shape}")
            own[...] = given
        self._troubled = bool(state["troubled"])
        for rates, where in zip(self._rates, state["rates"], strict=True):
            rates.resume(where)
        whole, self._walkers = self._walkers, []
        for where in state["walkers"]:
            rows = slice(*where["rows"])
            walker = next(
                w for w in whole if w.rows.start <= rows.start and rows.stop <= w.rows.stop
            )
            self._walkers.append(walker if walker.rows == rows else walker.part(rows))
            self._walkers[-1].resume(where)
        self.rates = self._present_rates()

    def points(self) -> Array:
        """Return where the runs are, (k, n), float64: a copy, inside the bounds."""
        points = self._flat.astype(np.float64)
        if self._bounded:  # which need not be numbers of the lower precision
            np.clip(points, self._problem.lower, self._problem.upper, out=points)
        return points

    def step(self, values: Array, slopes: Array, validation: Array | None) -> Stop | None:
        """Take a step of each run, by its value and gradient; return why all is over, if it is."""
        if self._slopes.dtype == slopes.dtype:
            self._slopes[...] = slopes
        else:
            with np.errstate(over="ignore"):
                self._slopes[...] = slopes
        healthy = self._all_finite(values)
        good = self._all if healthy else np.isfinite(values) & np.isfinite(self._slopes).all(axis=1)
        self._keep_best(values, good)
        clip(self._slopes, self._problem.blocks, self._descent.clip_norm, self._descent.clip_value)
        if healthy:
            if self._troubled:
                self._skips[:] = self._returns[:] = 0
                self._troubled = False
            for walker in self._walkers:
                walker.step()
        else:
            self._step_some(values, good)
        if self._bounded:
            np.clip(self._flat, self._problem.lower, self._problem.upper, out=self._flat)
        stop = None if self._constant else self._advance(values, validation)
        if self._troubled and (self._returns >= STUCK).all():
            return Stop("no finite gradient, neither here nor at any good point", False, 3)
        return stop

    def _all_finite(self, values: Array) -> bool:
        """Whether all numbers are finite; cheaply, by dot products, where none is huge."""
        if not math.isfinite(np.vdot(values, self._zeros)):
            return False
        if math.isfinite(np.vdot(self._slopes, self._slopes)):
            return True
        return bool(np.isfinite(self._slopes).all())

    def _keep_best(self, values: Array, good: Any) -> None:
        better = good if self._problem.changing else good & (values < self._best_values)
        if better.all():
            self._best[...] = self._flat
            self._best_values = values
        elif better.any():
            self._best[better] = self._flat[better]
            self._best_values = np.where(better, values, self._best_values)

    def _step_some(self, values: Array, good: Any) -> None:
        """Step the runs whose gradients are finite; the others wait, or go back."""
        self._troubled = True
        self._separate(np.flatnonzero(~good))
        for walker in self._walkers:
            row = walker.rows.start
            if good[row]:
                self._skips[walker.rows] = self._returns[walker.rows] = 0
                walker.step()
                continue
            self._skips[row] += 1
            hopeful = self._problem.changing and math.isfinite(values[row])
            if hopeful and self._skips[row] < SKIPS:
                continue
            self._skips[row] = 0
            self._returns[row] += 1
            self._flat[row] = self._best[row]
            walker.begin_again()
        self.rates = self._present_rates()

    def _separate(self, rows: Any) -> None:
        """Give each of these rows a walker of its own, and what it knows."""
        for row in rows:
            i = next(i for i, w in enumerate(self._walkers) if w.rows.start <= row < w.rows.stop)
            if self._walkers[i].rows.stop - self._walkers[i].rows.start > 1:
                self._walkers[i : i + 1] = self._walkers[i].split(row)

    def _advance(self, values: Array, validation: Array | None) -> Stop | None:
        """Move the schedules on."""
        ended = []
        for i, rates in enumerate(self._rates):
            row = i if len(self._rates) > 1 else 0
            heard = None if validation is None else float(validation[row])
            ended.append(rates.advance(float(values[row]), heard))
        for walker in self._walkers:
            walker.follow()
        self.rates = self._present_rates()
        if all(end is not None for end in ended):
            return Stop(str(ended[0]), success=True)
        return None

    def _present_rates(self) -> Array:
        rates = np.empty(len(self._flat))
        for walker in self._walkers:
            rates[walker.rows] = walker.rate
        return rates
