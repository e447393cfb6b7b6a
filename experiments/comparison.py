"""Methods against each other: problems x methods x seeds, from the same starts, on equal budgets.

`run_cell` is a pure function of a cell of the plan; what cells gave is summed up by a `Comparison`,
which runs nothing.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments import problems
from experiments.plan import START, Cell, make_cells, parse_method
from experiments.report import Column, Table, number, to_json

if TYPE_CHECKING:
    from experiments.plots import Band

Array = NDArray[np.float64]

CLOSE = 0.01
"""A run counts as solved within this share of the optimum."""
LONG, DIGITS = 100, 7
"""Longer solutions are written to files with so many digits, which is what float32 holds."""
IMPROVEMENTS = 200
"""A run's curve is written to files with at most so many."""


@dataclass(frozen=True, eq=False)
class Record:
    """What a cell gave.

    Attributes
    ----------
    cell
        What was run.
    value, x
        The best value and where.
    evaluations, gradients, seconds
        What it cost.
    runs
        Runs of the method: one, and each restart.
    spent, best
        At each improvement: evaluations spent so far, and the new best value.
    message
        Why the last run ended.
    report
        What the problem reports of x: figures on data held out.
    """

    cell: Cell
    value: float
    x: Array
    evaluations: int
    gradients: int
    seconds: float
    runs: int
    spent: Array
    best: Array
    message: str
    report: Mapping[str, float]


@dataclass
class _Trace:
    """Runs of one cell, put together."""

    value: float = np.inf
    x: Array = field(default_factory=lambda: np.empty(0))
    evaluations: int = 0
    gradients: int = 0
    seconds: float = 0.0
    runs: int = 0
    spent: list[int] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    message: str = ""

    def add(self, result: Any) -> None:
        history = result.history
        for spent, value in zip(history.evaluations, history.values, strict=True):
            if value < self.value:
                self.value, self.x = float(value), history.best_x
                self.spent.append(self.evaluations + int(spent))
                self.best.append(float(value))
        self.evaluations += int(history.evaluation_count)
        self.gradients += int(history.gradient_count)
        self.seconds += float(result.seconds)
        self.runs += 1
        self.message = str(result.message)


def run_cell(cell: Cell) -> Record:
    """Run a cell. The same cell gives the same record, but for the seconds."""
    from blackbox import minimize

    problem = problems.find(cell.problem)
    method, options = parse_method(cell.method)
    budget = cell.budget
    if method == START:
        method, budget = "random", 1  # its first point is the start
    objective, trace = problem.make(), _Trace()
    while trace.evaluations < budget and (cell.restarts or trace.runs == 0):
        result = minimize(
            objective,
            problem.start(cell.seed, trace.runs),
            method=method,
            options=options,
            jac=None if cell.gradients else False,
            bounds=problem.bounds,
            budget=budget - trace.evaluations,
            # A stream of its own: the start was drawn from this seed as well.
            seed=np.random.default_rng([cell.seed, trace.runs, 1]),
        )
        if not result.history.evaluation_count:
            break
        trace.add(result)
    return Record(
        cell=cell,
        value=trace.value,
        x=np.array(trace.x),
        evaluations=trace.evaluations,
        gradients=trace.gradients,
        seconds=trace.seconds,
        runs=trace.runs,
        spent=np.array(trace.spent),
        best=np.array(trace.best),
        message=trace.message,
        report=problem.report(trace.x) if problem.report and len(trace.x) else {},
    )


def run_cells(cells: Sequence[Cell]) -> Iterator[Record]:
    """Run cells one after the other."""
    for cell in cells:
        yield run_cell(cell)


def compare(
    names: Sequence[str],
    methods: Sequence[str],
    *,
    seeds: int | Sequence[int] = 10,
    budget: int = 2000,
    restarts: bool = True,
    gradients: bool = False,
) -> "Comparison":
    """Run methods on problems over seeds.

    Parameters
    ----------
    names, methods
        Problems of `experiments.problems.PROBLEMS`; methods of `blackbox.ALGORITHMS`, with options
        where they need any, ``"cma:CMA_diagonal=True:popsize=32"`` (see `experiments.plan`), and
        ``"start"`` for the start alone.
    seeds
        The seeds, or how many, from 0.
    budget
        Evaluations of each run, those of finite differences included.
    restarts
        Whether a method that ends early begins again, from the seed's next start.
    gradients
        Whether methods may use the problem's own gradients.
    """
    cells = make_cells(names, methods, seeds, budget, restarts=restarts, gradients=gradients)
    return Comparison(tuple(run_cells(cells)))


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the cells of a comparison gave."""

    records: tuple[Record, ...]

    def groups(self) -> dict[tuple[str, str], list[Record]]:
        """Return the records by problem and method, in the order in which they came."""
        found: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            found.setdefault((record.cell.problem, record.cell.method), []).append(record)
        return found

    def table(self) -> Table:
        """Return a line a problem and method, the best median first."""
        groups = self.groups()
        names = {problem for problem, _ in groups}
        columns = [
            Column("problem", number=False),
            Column("method", number=False),
            *map(Column, ("median", "quartiles", "best", f"within {CLOSE:.0%}")),
            *map(Column, _reported(self.records)),
            Column("evaluations"),
            *(Column(title, extra=True) for title in ("gradients", "runs", "seconds")),
        ]
        left_out = {"problem"} if len(names) < 2 else set()
        if all(problems.find(name).optimum is None for name in names):
            left_out.add(f"within {CLOSE:.0%}")
        columns = [column for column in columns if column.title not in left_out]
        ordered = sorted(
            groups.items(), key=lambda item: (item[0][0], np.median(_values(item[1])), item[0][1])
        )
        rows = []
        for (problem, method), records in ordered:
            cells = {"problem": problem, "method": " ".join(_label(method)).strip()}
            cells |= _texts(records, problems.find(problem).optimum)
            rows.append([cells.get(column.title, "-") for column in columns])
        return Table(self._title(), columns, rows, self._notes())

    def plot(self, path: Path | str) -> None:
        """Draw medians and interquartile bands of the best value so far."""
        from experiments import plots

        panels: dict[str, tuple[list[Band], float | None]] = {}
        for (name, method), records in self.groups().items():
            rows, _ = panels.setdefault(name, ([], problems.find(name).optimum))
            rows.append(_band(method, records, _hue(method, rows)))
        for rows, _ in panels.values():
            rows.sort(key=lambda band: band.middle[-1], reverse=True)  # legends read as curves end
        caption = f"{self._title()}; median and interquartile band"
        plots.bands(panels, Path(path), caption=caption)

    def summary(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        lines = [
            {"problem": name, "method": method} | _statistics(records, problems.find(name).optimum)
            for (name, method), records in self.groups().items()
        ]
        return {"methods": lines, "records": [_plain_record(r) for r in self.records]}

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return to_json(self.summary())

    def _title(self) -> str:
        cells = [record.cell for record in self.records]
        names = ", ".join(dict.fromkeys(cell.problem for cell in cells))
        seeds = len({cell.seed for cell in cells})
        return (
            f"{names}: {cells[0].budget:,} evaluations, {seeds} seed{'s' if seeds > 1 else ''}"
            if cells
            else "nothing was run"
        )

    def _notes(self) -> list[str]:
        if not self.records:
            return []
        cell = self.records[0].cell
        early = (
            "One that ends early begins again from the seed's next start until the budget is spent."
            if cell.restarts
            else "One that ends early stays ended."
        )
        differences = (
            "Methods use the problem's own gradients where they can, counted beside evaluations."
            if cell.gradients
            else "No gradients but finite differences, whose evaluations count."
        )
        sizes = [len(records) for records in self.groups().values()]
        rows = [problems.find(name) for name in dict.fromkeys(r.cell.problem for r in self.records)]
        partial = []
        if min(sizes) < max(sizes):
            partial = [f"Stopped early: between {min(sizes)} and {max(sizes)} seeds a method."]
        alone = any(record.cell.method == START for record in self.records)
        within = any(row.optimum is not None for row in rows)
        return [
            *(f"{row.name}: {row.description}." for row in rows),
            *partial,
            "Every method has the same starts, box and evaluations. " + early,
            *(["The line of the start says what was there before: one evaluation."] * alone),
            f"{differences} Columns are medians over seeds, but for best{' and within' * within}.",
        ]


def _values(records: Sequence[Record]) -> Array:
    return np.array([record.value for record in records])


def _statistics(records: Sequence[Record], optimum: float | None) -> dict[str, Any]:
    values = _values(records)
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {
        "seeds": len(records),
        "median": middle,
        "quartiles": [low, high],
        "best": values.min(),
        "within": None if optimum is None else np.mean(values <= optimum + CLOSE * abs(optimum)),
        "report": {
            name: np.median([r.report[name] for r in records if name in r.report])
            for name in _reported(records)
        },
        "evaluations": np.median([r.evaluations for r in records]),
        "gradients": np.median([r.gradients for r in records]),
        "runs": np.median([r.runs for r in records]),
        "seconds": np.median([r.seconds for r in records]),
    }


def _reported(records: Iterable[Record]) -> list[str]:
    """The figures that any of the records reports."""
    return list(dict.fromkeys(name for record in records for name in record.report))


def _texts(records: Sequence[Record], optimum: float | None) -> dict[str, str]:
    """The cells of a line of the table, by the titles of their columns."""
    found = _statistics(records, optimum)
    low, high = found["quartiles"]
    within = "-" if found["within"] is None else f"{100 * found['within']:.0f} %"
    return {name: number(value) for name, value in found["report"].items()} | {
        "median": number(found["median"]),
        "quartiles": f"{number(low)} .. {number(high)}",
        "best": number(found["best"]),
        f"within {CLOSE:.0%}": within,
        "evaluations": f"{found['evaluations']:,.0f}",
        "gradients": f"{found['gradients']:,.0f}",
        "runs": f"{found['runs']:g}",
        "seconds": f"{found['seconds']:.2f}",
    }


def _hue(method: str, others: Iterable["Band"]) -> str:
    """What decides the colour: the method's name, but for the first of its variants alone."""
    name, _ = parse_method(method)
    return method if any(band.method == name for band in others) else name


def _band(method: str, records: Sequence[Record], hue: str | None = None) -> "Band":
    """Best so far of all seeds on one grid of evaluations."""
    from experiments.plots import Band

    end = max(record.cell.budget for record in records)
    grid = np.unique(np.round(np.geomspace(1, end, 400)))
    rows = np.full((len(records), len(grid)), np.nan)
    for row, record in zip(rows, records, strict=True):
        at = np.searchsorted(record.spent, grid, side="right") - 1
        row[at >= 0] = record.best[at[at >= 0]]
    begun = ~np.isnan(rows).any(axis=0)
    low, middle, high = np.percentile(rows[:, begun], [25, 50, 75], axis=0)
    name, options = _label(method)
    label = "\n".join([name, *textwrap.wrap(options, 34)])
    return Band(hue or method, label, grid[begun], low, middle, high)


def _label(method: str) -> tuple[str, str]:
    """The method for people: its name, and its options."""
    name, options = parse_method(method)
    return name, ", ".join(f"{option}={value}" for option, value in options.items())


def _plain_record(record: Record) -> Mapping[str, Any]:
    cell = asdict(record.cell)
    names = ("value", "report", "evaluations", "gradients", "seconds", "runs", "message")
    rest = {name: getattr(record, name) for name in names}
    kept = _thinned(len(record.spent))
    return (
        cell
        | rest
        | {
            "x": record.x
            if len(record.x) <= LONG
            else [float(f"{v:.{DIGITS}g}") for v in record.x],
            "spent": record.spent[kept],
            "best": record.best[kept],
        }
    )


def _thinned(count: int) -> NDArray[np.intp]:
    """Which of so many improvements to keep: the first, the last, and fewer the later."""
    if count <= IMPROVEMENTS:
        return np.arange(count)
    return np.unique(np.geomspace(1, count, IMPROVEMENTS).round().astype(np.intp)) - 1
