"""One cell: a method on a problem, from the starts of its seed, until its budget is spent."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.validation import STALLED
from experiments import problems
from experiments.gathering import Steps
from experiments.methods import START, parse_method
from experiments.plan import Cell
from experiments.record import VALIDATION, Curve, Record

Array = NDArray[np.float64]

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
        objective = Watched(problem.make())
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
    budget, gradients, patience = cell.budget, cell.gradients, cell.patience
    every = cell.validate_every if getattr(objective, "has_validation", False) else None
    if method == START:  # its first evaluation is that of the start
        # Where batches differ, slsqp is refused, and adam loads torch.
        method, budget, gradients = "adam" if problem.changing else "slsqp", 1, False
        every = patience = None
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
            validate_every=every,
            patience=patience,
            on_error="penalize",
            # A stream of its own: the start was drawn from this seed as well.
            seed=np.random.default_rng([cell.seed, trace.runs, 1]),
        )
        if not result.history.evaluation_count:
            break
        trace.add(result)
        if result.status == STALLED and patience is not None:
            break


@cache
def _warm(method: str) -> None:
    """Load what a method needs, so that the first run of a process does not pay for it."""
    from blackbox import minimize

    with suppress(Exception):  # the run itself says what is wrong
        minimize(_bowl, np.zeros(2), method=method, bounds=(-1, 1), budget=WARM, seed=0)


def _bowl(x: Array) -> float:
    return float(x @ x)


class Watched:
    """An objective that remembers its first exception.

    Everything else (``batched``, ``n``, ``begin``, ``full`` ...) is the objective's own.

    Parameters
    ----------
    objective
        What is watched.
    """

    def __init__(self, objective: Any) -> None:
        self._objective = objective
        self.exception = ""
        if hasattr(objective, "value_and_gradient"):
            self.value_and_gradient = self._joint

    def __getattr__(self, name: str) -> Any:
        if name == "_objective":  # not there yet while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self._objective, name)

    def __call__(self, points: Array) -> Any:
        """Evaluate a batch, or a point where the objective takes points."""
        with self._noting():
            return self._objective(points)

    def _joint(self, points: Array) -> Any:
        with self._noting():
            return self._objective.value_and_gradient(points)

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


class _Trace:
    """The runs of one cell, put together."""

    def __init__(self) -> None:
        self.objective: Watched | None = None
        self.value, self.x, self.violation = math.inf, np.empty(0), 0.0
        self.evaluations = self.gradients = self.failures = self.runs = 0
        self.seconds = 0.0
        self.message = self.error = ""
        self.latest: Any = None
        self._judged: Any = None
        self._validated = math.inf
        self._validated_x: Array | None = None
        self._validated_violation = 0.0
        self._steps = Steps()
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
        if history.validated_value < self._validated:
            self._validated, self._validated_x = history.validated_value, history.validated_x
            self._validated_violation = float(history.violation(history.validated_x))
        self._steps.add(history, self.evaluations, self.gradients, self.seconds)
        self.evaluations += int(history.evaluation_count)
        self.gradients += int(history.gradient_count)
        self.failures += int(history.failure_count)
        self.seconds += float(result.seconds)
        self.runs += 1
        self.message = "" if result.status == SPENT else str(result.message)
        self.latest = result
        if self._judged is None or result.status != SPENT:
            self._judged = result

    def record(self, cell: Cell, problem: problems.Benchmark | None) -> Record:
        """Return everything as a record."""
        found = math.isfinite(self.value)
        x, violation = self.x if found else np.empty(0), self.violation
        if found and cell.patience is not None and self._validated_x is not None:
            x, violation = np.array(self._validated_x), self._validated_violation
        report = {}
        if found and problem is not None and problem.report is not None:
            try:
                report = {str(k): float(v) for k, v in problem.report(x).items()}
            except Exception as error:
                self.error = self.error or f"report: {_sentence(error)}"
        if math.isfinite(self._validated):
            report.setdefault(VALIDATION, self._validated)
        message, watched = self.message, self.objective
        if not message and self.runs:
            message = "all was spent"
        if watched is not None and watched.exception:
            message = f"{message} ({RAISED}: {watched.exception})"
        return Record(
            cell=cell,
            value=self.value,
            x=x,
            evaluations=self.evaluations,
            gradients=self.gradients,
            seconds=self.seconds,
            runs=self.runs,
            curve=self._curve(),
            message=message,
            error=self.error,
            failures=self.failures,
            violation=violation,
            training=None if cell.method == START else self._steps.training(),
            report=report,
            findings=_findings(self._judged) if cell.method != START else (),
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


def _findings(result: Any) -> tuple[str, ...]:
    """The names of what a run's result says went wrong, notes left out."""
    with suppress(Exception):  # a record is worth more than what is said of it
        return tuple(fault.name for fault in result.diagnose().faults)
    return ()


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500]
