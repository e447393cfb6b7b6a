"""What came out of a comparison: plain data, which statistics, pictures and pages read.

Nothing here runs or knows a method or a problem beyond its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.plan import Cell

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

Axis = Literal["evaluations", "passes", "seconds"]
AXES: dict[Axis, str] = {
    "evaluations": "evaluations",
    "passes": "forward passes",
    "seconds": "seconds",
}
"""The budgets that are accounted for, and how they are called on an axis."""
VALIDATION = "validation loss"
"""What the lowest loss on validation data is called among the figures that are reported."""
PASSES_A_GRADIENT = 2
"""A value costs one forward pass. A gradient costs two more: the backward pass through a network
makes two products, by the weights and by the inputs, for each one of the forward pass."""


def _no_counts() -> Counts:
    return np.empty(0, dtype=np.int64)


def _no_numbers() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class ProblemInfo:
    """What a problem is, without the problem itself: enough to show its results.

    Attributes
    ----------
    name, description, source
        The name in the plan, what it is in a sentence, where it comes from.
    n
        Number of variables.
    optimum
        The best value known; None where nobody knows.
    group
        Problems of one group differ in an instance only (a shift, a rotation): pictures and tables
        show them together, as if they were further seeds. By default the name.
    precision
        Whether values are shown as their distance from the optimum. Needs an optimum.
    """

    name: str
    n: int
    description: str = ""
    source: str = ""
    optimum: float | None = None
    group: str = ""
    precision: bool = False

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.name)

    def shown(self, values: Array) -> Array:
        """Return values as they are to be shown: themselves, or their distance from the optimum."""
        return values - self.optimum if self.precision and self.optimum is not None else values


@dataclass(frozen=True, eq=False)
class Curve:
    """The best value so far: an entry an improvement, and what had been spent when it came.

    Attributes
    ----------
    evaluations, gradients
        Spent at each improvement, int64 (m,), ascending.
    seconds
        Since the cell began, float64 (m,), ascending.
    values
        The new best values, float64 (m,), finite and falling.
    """

    evaluations: Counts
    gradients: Counts
    seconds: Array
    values: Array

    def spent(self, axis: Axis) -> Array:
        """Return what had been spent at each improvement, on an axis of `AXES`."""
        if axis == "seconds":
            return self.seconds
        if axis == "passes":
            return (self.evaluations + PASSES_A_GRADIENT * self.gradients).astype(float)
        return self.evaluations.astype(float)

    @classmethod
    def empty(cls) -> "Curve":
        """Return the curve of a run that never had a finite value."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Training:
    """What a run saw step by step, thinned where it was long: of all restarts, one after another.

    What there was nothing to tell of is NaN, and all of it in results of earlier versions. Where
    several runs went side by side, it is that of the one that ended lowest.

    Attributes
    ----------
    evaluations, gradients, seconds
        Spent when a step was taken, (m,), ascending. By default as many gradients as evaluations.
    losses
        The loss there (of the minibatch, where there is one); of a population its best.
    norms
        The gradient's Euclidean norm, before any clipping.
    rates, moves
        The learning rate, and how far the point lies from the one before.
    medians, spreads
        Of a population: its median value, and how far its points lie from their mean.
    validated, validated_gradients, validation
        Evaluations and gradients spent at each validation, and the loss: with a length of their
        own.
    """

    evaluations: Counts
    losses: Array
    norms: Array
    gradients: Counts = field(default_factory=_no_counts)
    seconds: Array = field(default_factory=_no_numbers)
    rates: Array = field(default_factory=_no_numbers)
    moves: Array = field(default_factory=_no_numbers)
    medians: Array = field(default_factory=_no_numbers)
    spreads: Array = field(default_factory=_no_numbers)
    validated: Counts = field(default_factory=_no_counts)
    validated_gradients: Counts = field(default_factory=_no_counts)
    validation: Array = field(default_factory=_no_numbers)

    def __post_init__(self) -> None:
        count = len(self.evaluations)
        if len(self.gradients) != count:
            object.__setattr__(self, "gradients", self.evaluations)
        for name in ("seconds", "rates", "moves", "medians", "spreads"):
            if len(getattr(self, name)) != count:
                object.__setattr__(self, name, np.full(count, np.nan))

    @property
    def stepped(self) -> bool:
        """Whether there are steps along gradients, or validations: more than a population's."""
        found = (self.norms, self.rates, self.validation)
        return any(bool(np.isfinite(part).any()) for part in found)

    def series(self, name: str, axis: Axis) -> tuple[Array, Array]:
        """Return where and what one of its arrays is, on an axis of `AXES`.

        Validations have no seconds: on that axis, evaluations are returned.
        """
        spent, gradients = self.evaluations, self.gradients
        if name == "validation":
            spent, gradients = self.validated, self.validated_gradients
        if axis == "passes":
            spent = spent + PASSES_A_GRADIENT * gradients
        return spent.astype(float), np.asarray(getattr(self, name))


@dataclass(frozen=True, eq=False)
class Record:
    """What a cell gave.

    Attributes
    ----------
    cell
        What was run.
    value, x
        The best finite, feasible value, ``inf`` where there was none; and where, (n,), or (0,).
        With early stopping by validation losses, x is the point where those were lowest.
    violation
        By how much x breaks the constraints; 0 where there are none.
    evaluations, gradients, failures, seconds
        What it cost in all; failures are evaluations that gave no finite value.
    runs
        Runs of the method: one, and each restart.
    curve, training
        The best value so far; the steps of gradient methods and the generations of populations,
        None for others.
    message
        Why the last run ended.
    error
        Empty; or why the cell could not run, or ended by an exception, in a line.
    report
        What the problem reports of x, by name: figures on data held out; and the lowest loss on
        validation data, where that was measured.
    findings
        What went wrong, as names: see `blackbox.Result.diagnose`. Of the last run that came to an
        end of its own, else of the first.
    """

    cell: Cell
    value: float
    x: Array
    evaluations: int
    gradients: int
    seconds: float
    runs: int
    curve: Curve
    message: str = ""
    error: str = ""
    failures: int = 0
    violation: float = 0.0
    training: Training | None = None
    report: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it found no finite, feasible value at all."""
        return not np.isfinite(self.value)

    def end(self, axis: Axis) -> float:
        """Return what was spent in all, on an axis of `AXES`."""
        if axis == "seconds":
            return self.seconds
        return float(
            self.evaluations + (PASSES_A_GRADIENT * self.gradients if axis == "passes" else 0)
        )

    def plain(self) -> dict[str, Any]:
        """Return its figures without the arrays, ready for JSON and tables."""
        found = {"findings": ", ".join(self.findings)} if self.findings else {}
        return (
            {
                "problem": self.cell.problem,
                "method": self.cell.method,
                "seed": self.cell.seed,
                "value": self.value,
                "violation": self.violation,
                "evaluations": self.evaluations,
                "gradients": self.gradients,
                "passes": int(self.end("passes")),
                "seconds": self.seconds,
                "failures": self.failures,
                "runs": self.runs,
                "message": self.message,
                "error": self.error,
            }
            | found
            | {f"report: {name}": value for name, value in self.report.items()}
        )


Groups = dict[tuple[str, str], list[Record]]
"""Records by the group of their problem and their method."""


@dataclass(frozen=True, eq=False)
class Results:
    """Records and what their problems are: what statistics, pictures and pages are given.

    Attributes
    ----------
    records
        In the order of the plan, which need not be complete.
    problems
        By name, what each problem is.
    """

    records: tuple[Record, ...]
    problems: Mapping[str, ProblemInfo]

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the plan."""
        return list(dict.fromkeys(record.cell.method for record in self.records))

    @property
    def groups(self) -> list[str]:
        """The groups of problems, in the order of the plan."""
        return list(dict.fromkeys(self.group(record) for record in self.records))

    def group(self, record: Record) -> str:
        """Return the group of a record's problem."""
        return self.problems[record.cell.problem].group

    def info(self, group: str) -> ProblemInfo:
        """Return what the first problem of a group is: it stands for all of them."""
        return next(info for info in self.problems.values() if info.group == group)

    def only(self, group: str) -> "Results":
        """Return the results on one group of problems."""
        kept = tuple(record for record in self.records if self.group(record) == group)
        return Results(kept, self.problems)

    def by_group(self) -> Groups:
        """Return the records by group and method, in the order of the plan."""
        found: Groups = {}
        for record in self.records:
            found.setdefault((self.group(record), record.cell.method), []).append(record)
        return found
