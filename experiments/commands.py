"""What the commands do: run, show progress, print, write; each returns its exit code."""

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.cli import FAILED, INTERRUPTED, OK, UsageError
from experiments.report import Column, Table, to_json, write


def reproduce(options: Namespace) -> int:
    """Run the article's experiment; 1 where a published loss does not come back."""
    from experiments import reproduce_report
    from experiments.reproduce import reproduce as run
    from experiments.reproduce import steps

    _writable(options.out)
    with _progress() as progress:
        task = progress.add_task("the article's five runs", total=steps(options.seeds))
        found = run(
            options.seeds, advance=lambda label: progress.update(task, advance=1, description=label)
        )
        progress.update(task, description="drawing")
        command = f"experiments reproduce --seeds {options.seeds}"
        content = reproduce_report.save(found, options.out, command)
    failed = [check for check in found.checks() if not check.passed]
    if options.json:
        sys.stdout.write(to_json(content))
    else:
        _show(reproduce_report.table(found))
        _wrote(options.out)
    for check in failed:
        print(f"experiments: {check.sentence()}", file=sys.stderr)
    return FAILED if failed else OK


def compare(options: Namespace) -> int:
    """Run a comparison; what was done before a Ctrl-C is shown and written as well."""
    from blackbox import ALGORITHMS
    from experiments.comparison import Comparison, run_cells
    from experiments.plan import make_cells

    try:
        cells = make_cells(
            options.problems,
            options.methods or list(ALGORITHMS),
            options.seeds,
            options.budget,
            restarts=options.restarts,
            gradients=options.gradients,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.out is not None:
        _writable(options.out)
    records, stopped = _collect(
        run_cells(cells), len(cells), (f"{c.problem}, {c.method}, seed {c.seed}" for c in cells)
    )
    comparison = Comparison(tuple(records))
    content = {"command": _compare_command(options), "complete": not stopped}
    content |= _made_with(options.problems) | comparison.summary()
    if options.out is not None and records:
        _write_comparison(comparison, content, options.out)
    if options.json:
        sys.stdout.write(to_json(content))
    elif records:
        _show(comparison.table())
        if options.out is not None:
            _wrote(options.out)
    return _ended(stopped, len(records), len(cells))


def listing(options: Namespace) -> int:
    """Show problems and methods."""
    kinds = {"problems": _problems, "methods": _methods}
    chosen = {k: v for k, v in kinds.items() if options.what in (None, k)}
    if options.json:
        sys.stdout.write(to_json({kind: make()[1] for kind, make in chosen.items()}))
    else:
        for make in chosen.values():
            _show(make()[0])
    return OK


def speed(options: Namespace) -> int:
    """Measure; a missed goal is reported and is no failure."""
    if options.topic == "population":
        return _population(options)
    if options.device or options.threads:
        raise UsageError("--device and --threads belong to `experiments speed population`")
    from experiments import speed as measuring
    from experiments.speed_cases import BENCHMARKS

    _writable(options.out)
    found, stopped = _collect(
        measuring.measure_all(quick=options.quick), len(BENCHMARKS), (b.name for b in BENCHMARKS)
    )
    command = "experiments speed" + (" --quick" if options.quick else "")
    content = measuring.summary(found, command + (", stopped early" if stopped else ""))
    if found:
        measuring.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        _show(measuring.table(found))
        _wrote(options.out)
    return _ended(stopped, len(found), len(BENCHMARKS))


def _population(options: Namespace) -> int:
    """Measure what a population costs; a missed goal is reported and is no failure."""
    from experiments.population import measure, report
    from experiments.problems import digits
    from experiments.speed import threads

    device, count = options.device or "cpu", options.threads or 1
    _usable(device)
    try:
        digits.require()
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from None
    _writable(options.out)
    with threads(count):
        steps = measure.steps(device, count, quick=options.quick)
        found, stopped = _collect(
            measure.measure_all(steps), len(steps), (step.label for step in steps)
        )
    words = ["experiments speed population"]
    words += [f"--device {device}"] if device != "cpu" else []
    words += [f"--threads {count}"] if count != 1 else []
    words += ["--quick"] if options.quick else []
    command = " ".join(words) + (", stopped early" if stopped else "")
    content = report.summary(found, command, device, count)
    if found:
        report.save(found, options.out, report.stem(device, count), content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        for table in report.tables(found):
            _show(table)
        _wrote(options.out)
    return _ended(stopped, len(found), len(steps))


def agreement(options: Namespace) -> int:
    """Hold every path against a plain loop; 1 where one differs by more than rounding."""
    from experiments import agreement as comparing

    _writable(options.out)
    cases = comparing.cases()
    found, stopped = _collect(comparing.compare_all(cases), len(cases), (c.label for c in cases))
    command = "experiments agreement" + (", stopped early" if stopped else "")
    content = comparing.summary(found, command)
    if found:
        comparing.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        for table in comparing.tables(found):
            _show(table)
        _wrote(options.out)
    beyond = [sentence for one in found for sentence in one.beyond()]
    for sentence in beyond:
        print(f"experiments: {sentence}", file=sys.stderr)
    return _ended(stopped, len(found), len(cases)) or (FAILED if beyond else OK)


def _collect(work: Iterator[Any], total: int, labels: Iterable[str]) -> tuple[list[Any], bool]:
    """Everything that the work yields, until its end or Ctrl-C (then True)."""
    done: list[Any] = []
    try:
        with _progress() as progress:
            task = progress.add_task("", total=total)
            for label in labels:
                progress.update(task, description=label)
                done.append(next(work))
                progress.advance(task)
    except KeyboardInterrupt:
        return done, True
    return done, False


def _ended(stopped: bool, done: int, total: int) -> int:
    if stopped:
        print(f"experiments: stopped after {done} of {total}; these are kept", file=sys.stderr)
        return INTERRUPTED
    return OK


def _methods() -> tuple[Table, list[dict[str, Any]]]:
    from blackbox import ALGORITHMS

    rows = [
        [
            row.name,
            row.gradients,
            row.bounds,
            "yes" if row.constraints else "-",
            "yes" if row.tolerates_failures else "-",
            "yes" if row.changing else "-",
            row.library,
            row.batch,
            row.summary,
        ]
        for row in ALGORITHMS.values()
    ]
    titles = ("method", "gradients", "bounds", "constraints", "failures", "changing", "library")
    columns = [
        *(Column(title, number=False) for title in titles),
        Column("a batch is", number=False, extra=True),
        Column("what it is", number=False, extra=True),
    ]
    notes = [
        "gradients: optional: uses the objective's own, else finite differences. bounds: strict: "
        "none needed, never left; required: finite ones. failures: converges although a quarter "
        "of all evaluations fail. changing: stands an objective that changes from batch to batch "
        "(minibatches, fresh noise)."
    ]
    plain = [
        {key: value for key, value in asdict(row).items() if key not in ("proof", "where")}
        for row in ALGORITHMS.values()
    ]
    return Table("Methods", columns, rows, notes), plain


def _problems() -> tuple[Table, list[dict[str, Any]]]:
    from experiments.problems import PROBLEMS

    plain = [
        {
            "name": row.name,
            "description": row.description,
            "source": row.source,
            "n": row.n,
            "bounds": row.bounds,
            "optimum": row.optimum,
        }
        for row in PROBLEMS.values()
    ]
    rows = [
        [
            row.name,
            str(row.n),
            f"{row.bounds[0]:g} .. {row.bounds[1]:g}",
            "unknown" if row.optimum is None else f"{row.optimum:g}",
            row.description,
            row.source,
        ]
        for row in PROBLEMS.values()
    ]
    columns = [
        Column("problem", number=False),
        Column("variables"),
        Column("box"),
        Column("optimum"),
        Column("what it is", number=False),
        Column("source", number=False, extra=True),
    ]
    return Table("Problems", columns, rows), plain


def _compare_command(options: Namespace) -> str:
    words = ["experiments compare", *options.problems]
    if options.methods:
        words.append(f"--methods {shlex.quote(','.join(options.methods))}")
    words.append(f"--seeds {options.seeds} --budget {options.budget}")
    words += ["--gradients"] if options.gradients else []
    words += [] if options.restarts else ["--no-restarts"]
    return " ".join(words)


def _write_comparison(comparison: Any, content: dict[str, Any], folder: Path) -> None:
    from experiments.environment import describe

    comparison.plot(folder / "comparison.png")
    write(folder / "results.json", to_json(content))
    table = comparison.table()
    stopped = "" if content["complete"] else " It was stopped early."
    page = (
        f"# {table.title}\n\nMade by `{content['command']}`.{stopped}\n\n{table.markdown()}\n"
        "![Best value so far](comparison.png)\n\n"
        f"{describe(content['versions'], content['machine'])}.\n"
    )
    write(folder / "README.md", page)


def _made_with(names: Iterable[str]) -> dict[str, Any]:
    """Versions and machine; scikit-learn's too where one of these problems has its data."""
    from experiments.environment import machine, versions
    from experiments.problems import digits, find

    learned = any(find(name).require is digits.require for name in names)
    return {"versions": versions(*["scikit-learn"] * learned), "machine": machine()}


def _usable(device: str) -> None:
    """Refuse a device that torch does not find, before the work."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    if not there.get(device, torch.backends.mps.is_available()):
        raise UsageError(f"torch finds no {device} device here; leave --device out for the cpu")


def _writable(folder: Path) -> None:
    """Make the folder now: to fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def _show(table: Table) -> None:
    console = Console()
    console.print(table.rich(console.width))


def _wrote(folder: Path) -> None:
    names = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_file()))
    Console().print(f"[dim]wrote {folder}: {names}[/dim]", highlight=False)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A line on stderr, where that is a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress
