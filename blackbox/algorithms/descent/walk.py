"""The loop of gradient descent: k runs side by side, each as it would walk alone."""

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.algorithms.descent.habits import rules_precision
from blackbox.algorithms.descent.schedule import Rates, make_rates
from blackbox.stencil import gradient
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Stop, Told

if TYPE_CHECKING:
    import torch

    from blackbox.algorithms.descent.habits import Descent

SKIPS = 3
"""Minibatches in a row without a finite gradient after which a run goes back to a good point."""
STUCK = 100
"""Times in a row that a run goes back without a step in between; then there is no way on."""


def walk(descent: "Descent", problem: Problem, rng: RandomStream) -> Run:
    """Start the runs: from each start, or with each setting, (k, n) points a batch.

    A gradient that is not finite moves nothing. Where the objective changes from batch to batch the
    next may be better; elsewhere, after several such, and where the value is not finite, the run
    goes back to its best point (its latest good one, where values can't be compared) with fresh
    moments and half the learning rate.
    """
    runs = Runs(descent, problem, descent.starts(problem, rng))
    while True:
        values, slopes, validation = yield from _look(problem, runs, descent.accumulate)
        stop = runs.step(values, slopes, validation)
        if stop is not None:
            return stop


def _look(
    problem: Problem, runs: "Runs", count: int
) -> Generator[Ask, Told, tuple[Array, Array, Array | None]]:
    """Ask for values and gradients at the runs' points; the mean of several where asked to."""
    values, slopes, validation = first = yield from _look_once(problem, runs)
    if count == 1:
        return first
    for _ in range(count - 1):
        more, steeper, late = yield from _look_once(problem, runs)
        values, slopes = values + more, slopes + steeper
        validation = validation if late is None else late
    return values / count, slopes / count, validation


def _look_once(
    problem: Problem, runs: "Runs"
) -> Generator[Ask, Told, tuple[Array, Array, Array | None]]:
    points, rates = runs.points(), runs.rates
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


class Walker:
    """A torch optimizer of some rows, which are neighbours: views of the memory of all runs."""

    def __init__(
        self,
        descent: "Descent",
        memory: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
        rows: slice,
        blocks: tuple[tuple[int, ...], ...],
        arguments: dict[str, Any],
        rates: Rates,
    ) -> None:
        self._descent, self._memory, self._blocks = descent, memory, blocks
        self._arguments, self._rates = arguments, rates
        self._shrink = 1.0
        # Others than torch's own may keep the gradient that they are given, or write to it.
        self._shares_slopes = descent.library == "torch.optim"
        self.rows = rows
        self._parameters, self._slopes = self._views()
        self._optimizer = descent.build(self._parameters, arguments)
        self._groups = self._optimizer.param_groups
        if not rates.constant:
            self.follow()

    def _views(self) -> "tuple[list[torch.Tensor], list[torch.Tensor]]":
        """Return what the optimizer sees: the rows, or the model's tensors of one row."""
        import torch

        flat, slopes = (torch.from_numpy(array[self.rows]) for array in self._memory)
        if self._descent.elementwise or not self._blocks:
            pairs = [(flat, slopes)] if self._descent.elementwise else [(flat[0], slopes[0])]
        else:
            pairs, at = [], 0
            for shape in self._blocks:
                end = at + math.prod(shape)
                pairs.append((flat[0, at:end].view(shape), slopes[0, at:end].view(shape)))
                at = end
        for parameter, slope in pairs:
            parameter.grad = slope
        return [parameter for parameter, _ in pairs], [slope for _, slope in pairs]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._groups[0]["lr"])

    def step(self) -> None:
        """Take a step, by the gradient that lies in the memory."""
        if not self._shares_slopes:
            for parameter, slope in zip(self._parameters, self._slopes, strict=True):
                parameter.grad = slope.clone()
        self._optimizer.step()

    def follow(self) -> None:
        """Take over what the schedule says now."""
        for group in self._groups:
            group.update(self._rates.values)
            group["lr"] *= self._shrink * group.get("share", 1.0)

    def begin_again(self) -> None:
        """Forget the past, and go on with half the learning rate."""
        self._optimizer = self._descent.build(self._parameters, self._arguments)
        self._groups = self._optimizer.param_groups
        self._shrink /= 2
        self.follow()

    def split(self, row: int) -> "list[Walker]":
        """Return walkers that go on as this one: for one row, and for those on either side."""
        begin, end = self.rows.start, self.rows.stop
        parts = [slice(begin, row), slice(row, row + 1), slice(row + 1, end)]
        return [self._part(part) for part in parts if part.stop > part.start]

    def _part(self, rows: slice) -> "Walker":
        import torch

        part = Walker(self._descent, self._memory, rows, self._blocks, self._arguments, self._rates)
        part._shrink = self._shrink
        for new, old in zip(part._groups, self._groups, strict=True):
            new.update({key: value for key, value in old.items() if key != "params"})
        (mine,), (theirs,) = self._parameters, part._parameters
        within = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
        for key, value in self._optimizer.state.get(mine, {}).items():
            if isinstance(value, torch.Tensor):
                value = (value[within] if value.shape == mine.shape else value).clone()
            part._optimizer.state[theirs][key] = value
        return part


def clip(
    slopes: np.ndarray[Any, Any],
    blocks: tuple[tuple[int, ...], ...],
    norm: float | None,
    value: float | None,
) -> None:
    """Clip the gradients (k, n) of k runs in place, each as torch would alone."""
    if norm is None and value is None:
        return
    import torch

    rows = torch.from_numpy(slopes)
    if value is not None:
        rows.clamp_(-value, value)
    if norm is None:
        return
    sizes = [math.prod(shape) for shape in blocks] or [rows.shape[1]]
    parts = torch.split(rows, sizes, dim=1)
    # As torch.nn.utils.clip_grad_norm_: the norm of the tensors' norms.
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts])
    total = torch.linalg.vector_norm(norms, dim=0)
    shorter = torch.clamp(norm / (total + 1e-6), max=1.0)
    rows.mul_(shorter[:, None])
