"""One cell: a method on a problem, from the starts of its seed, until its budget is spent."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.thinned import Thinned
from experiments import problems
from experiments.methods import START, parse_method
from experiments.plan import Cell
from experiments.record import Curve, Record, Training

Array = NDArray[np.float64]

STEPS_KEPT = 2000
"""Steps of a gradient method that are kept; of more, evenly spaced ones and the latest."""
SPENT = 1
"""The status of a run whose budget was spent, as scipy has it."""
RAISED = "the objective raised"
"""Goes before the first exception of an objective, in the message of a record."""
ALLOWED = 1e-6
"""How far a point may break a constraint and still count, whatever the method allows itself."""
WARM = 20
"""Evaluations that load a method, before its first run."""
IMPROVEMENTS_KEPT = 10_000
"""Improvements that a record holds over all of its restarts."""


def run_cell(cell: Cell, problem: problems.Benchmark | None = None) -> Record:
    """Run a cell. The same cell gives the same record, but for the seconds.

    Evaluations that raise, or give no finite value, are counted as failures and the run goes on.
    What ends it all the same (a method that refuses the problem, a fault in the method) is in the
    record's `error`, with what was found until then.

    Parameters
    ----------
    cell
        What to run.
    problem
        The problem itself, where its name does not say enough; by default found by its name.
    """
    trace = _Trace()
    try:
        problem = problem or problems.find(cell.problem)
        objective = Watched(problem.make(), cell.gradients)
        trace.objective = objective
        _run(cell, problem, objective, trace)
    except Exception as error:
        trace.error = _sentence(error)
        if (result := getattr(error, "result", None)) is not None and trace.latest is not result:
            trace.add(result)
    return trace.record(cell, problem)


def _run(cell: Cell, problem: problems.Benchmark, objective: "Watched", trace: "_Trace") -> None:
    from blackbox import minimize

    method, options = parse_method(cell.method)
    budget, gradients = cell.budget, cell.gradients
    if method == START:  # its first evaluation is that of the start
        method, budget, gradients = "slsqp" if problem.constraints else "adam", 1, False
    _warm(method)
    began = time.perf_counter()
    while trace.evaluations < budget and (cell.restarts or trace.runs == 0):
        left = None
        if cell.max_seconds is not None:
            left = cell.max_seconds - (time.perf_counter() - began)
            if left <= 0:
                break
        result = minimize(
            objective,
            problem.start(cell.seed, trace.runs),
            method=method,
            options=options,
            jac=None if gradients else False,
            bounds=problem.bounds,
            constraints=problem.constraints,
            budget=budget - trace.evaluations,
            max_seconds=left,
            on_error="penalize",
            # A stream of its own: the start was drawn from this seed as well.
            seed=np.random.default_rng([cell.seed, trace.runs, 1]),
        )
        if not result.history.evaluation_count:
            break
        trace.add(result)


@cache
def _warm(method: str) -> None:
    """Load what a method needs, so that the first run of a process does not pay for it."""
    from blackbox import minimize

    with suppress(Exception):  # the run itself says what is wrong
        minimize(_bowl, np.zeros(2), method=method, bounds=(-1, 1), budget=WARM, seed=0)


def _bowl(x: Array) -> float:
    return float(x @ x)


class Watched:
    """An objective that remembers its first exception and, where asked, each gradient.

    Everything else (``batched``, ``n``, ``begin``, ``full`` ...) is the objective's own.

    Parameters
    ----------
    objective
        What is watched.
    gradients
        Whether steps are kept: where the objective has gradients.
    """

    def __init__(self, objective: Any, gradients: bool = False) -> None:
        self._objective = objective
        self.exception = ""
        self._spent = 0
        self._steps: Thinned[tuple[int, float, float]] = Thinned(STEPS_KEPT)
        if hasattr(objective, "value_and_gradient"):
            self.value_and_gradient = self._step if gradients else objective.value_and_gradient

    def __getattr__(self, name: str) -> Any:
        if name == "_objective":  # not there yet while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self._objective, name)

    def __call__(self, points: Array) -> Any:
        """Evaluate a batch, or a point where the objective takes points."""
        self._spent += len(points) if points.ndim == 2 else 1
        with self._noting():
            return self._objective(points)

    def _step(self, points: Array) -> Any:
        self._spent += len(points) if points.ndim == 2 else 1
        with self._noting():
            values, gradients = self._objective.value_and_gradient(points)
        row = np.ravel(gradients[0] if np.ndim(gradients) == 2 else gradients)
        self._steps.append((self._spent, float(np.ravel(values)[0]), math.sqrt(row @ row)))
        return values, gradients

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note the first exception. One that would exit is a failure like others."""
        try:
            yield
        except Exception as error:
            self.exception = self.exception or _sentence(error)
            raise
        except SystemExit as error:
            self.exception = self.exception or _sentence(error)
            raise RuntimeError(f"the objective wants to exit ({error})") from error

    def training(self) -> Training | None:
        """Return the steps seen, None where there are none."""
        if not len(self._steps):
            return None
        spent, losses, norms = zip(*self._steps, strict=True)
        return Training(np.array(spent, dtype=np.int64), np.array(losses), np.array(norms))


class _Trace:
    """The runs of one cell, put together."""

    def __init__(self) -> None:
        self.objective: Watched | None = None
        self.value, self.x, self.violation = math.inf, np.empty(0), 0.0
        self.evaluations = self.gradients = self.failures = self.runs = 0
        self.seconds = 0.0
        self.message = self.error = ""
        self.latest: Any = None
        self._pieces: list[tuple[Array, ...]] = []

    def add(self, result: Any) -> None:
        """Take in what a run found and spent."""
        history = result.history
        values = history.values
        better = (values < self.value) & (history.violations <= ALLOWED)
        better &= values < np.minimum.accumulate(
            np.concatenate([[math.inf], np.where(better, values, math.inf)])[:-1]
        )
        if better.any():
            self._pieces.append(
                (
                    self.evaluations + history.evaluations[better],
                    self.gradients + history.gradients[better],
                    self.seconds + history.seconds[better],
                    values[better],
                )
            )
            self.value, self.x = float(values[better][-1]), np.array(history.best_x)
            self.violation = float(history.best_violation)
        elif not len(self.x) and history.best_x is not None:
            self.x, self.violation = np.array(history.best_x), float(history.best_violation)
        self.evaluations += int(history.evaluation_count)
        self.gradients += int(history.gradient_count)
        self.failures += int(history.failure_count)
        self.seconds += float(result.seconds)
        self.runs += 1
        self.message = "" if result.status == SPENT else str(result.message)
        self.latest = result

    def record(self, cell: Cell, problem: problems.Benchmark | None) -> Record:
        """Return everything as a record."""
        found = math.isfinite(self.value)
        report = {}
        if found and problem is not None and problem.report is not None:
            try:
                report = {str(k): float(v) for k, v in problem.report(self.x).items()}
            except Exception as error:
                self.error = self.error or f"report: {_sentence(error)}"
        message, watched = self.message, self.objective
        if not message and self.runs:
            message = "all was spent"
        if watched is not None and watched.exception:
            message = f"{message} ({RAISED}: {watched.exception})"
        return Record(
            cell=cell,
            value=self.value,
            x=self.x if found else np.empty(0),
            evaluations=self.evaluations,
            gradients=self.gradients,
            seconds=self.seconds,
            runs=self.runs,
            curve=self._curve(),
            message=message,
            error=self.error,
            failures=self.failures,
            violation=self.violation,
            training=watched.training() if watched is not None else None,
            report=report,
        )

    def _curve(self) -> Curve:
        if not self._pieces:
            return Curve.empty()
        columns = [np.concatenate(column) for column in zip(*self._pieces, strict=True)]
        count = len(columns[0])
        if count > IMPROVEMENTS_KEPT:
            kept = np.unique(np.linspace(0, count - 1, IMPROVEMENTS_KEPT).astype(np.intp))
            columns = [column[kept] for column in columns]
        evaluations, gradients, seconds, values = columns
        return Curve(evaluations, gradients, seconds, values)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
