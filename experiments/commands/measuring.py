"""The commands ``reproduce``, ``speed``, ``agreement`` and ``drop-in``."""

import importlib.util
import sys
from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from experiments.cli import FAILED, OK, UsageError
from experiments.commands.shared import (
    collect,
    ended,
    make_folder,
    progress_bar,
    say_written,
    show,
)
from experiments.report import to_json

if TYPE_CHECKING:
    from experiments.report import Table
    from experiments.speed import Benchmark


def reproduce(options: Namespace) -> int:
    """Run the article's experiment; 1 where a published loss does not come back."""
    from experiments import reproduce_report
    from experiments.reproduce import reproduce as run
    from experiments.reproduce import steps

    make_folder(options.out)
    with progress_bar() as progress:
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
        show(reproduce_report.table(found))
        say_written(options.out)
    for check in failed:
        print(f"experiments: {check.sentence()}", file=sys.stderr)
    return FAILED if failed else OK


def speed(options: Namespace) -> int:
    """Measure; a missed goal is reported and is no failure."""
    if options.topic == "population":
        return _population(options)
    if options.device or options.threads:
        raise UsageError("--device and --threads belong to `experiments speed population`")
    if options.topic in ("training", "trainings", "halving"):
        from experiments.commands.trainings import trainings_speed

        return trainings_speed(options)
    from experiments import speed as measuring

    benchmarks, packages = _benchmarks(options.topic)
    make_folder(options.out)
    found, stopped = collect(
        measuring.measure_all(benchmarks, quick=options.quick),
        len(benchmarks),
        (b.name for b in benchmarks),
    )
    tables: list[Table] = []
    more: dict[str, Any] = {}
    measured = len(found)
    if not stopped:
        tables, more, stopped = _beside(options.topic, quick=options.quick)
    words = ["experiments speed", *([options.topic] if options.topic != "loop" else [])]
    words += ["--quick"] if options.quick else []
    command = " ".join(words) + (", stopped early" if stopped else "")
    content = measuring.summary(found, command, *packages) | more
    if found:
        measuring.save(found, options.out, content, options.topic, tables)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        for table in [measuring.table(found), *tables]:
            show(table)
        say_written(options.out)
    return ended(stopped, measured, len(benchmarks))


def _benchmarks(topic: str) -> "tuple[list[Benchmark], list[str]]":
    """What a topic measures, and the packages whose versions count, too."""
    if topic == "loop":
        from experiments import speed_cases

        return speed_cases.BENCHMARKS, []
    if topic == "methods":
        from experiments import method_cases

        nlopt = importlib.util.find_spec("nlopt") is not None
        return method_cases.BENCHMARKS, ["nlopt"] if nlopt else []
    if topic == "sampler":
        from experiments import sampler_speed

        try:
            return sampler_speed.benchmarks(), ["optuna", "cmaes"]
        except ModuleNotFoundError as error:
            raise UsageError(str(error)) from None
    from experiments import harness_cases
    from experiments.problems import bbob

    try:
        bbob.require()
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from None
    return harness_cases.BENCHMARKS, ["ioh"]


def _beside(topic: str, *, quick: bool) -> "tuple[list[Table], dict[str, Any], bool]":
    """What is no time: tables, their figures for JSON, and whether Ctrl-C ended it."""
    if topic == "harness":
        from experiments import harness_size

        size = harness_size.measure()
        return [harness_size.table(size)], {"long_runs": asdict(size)}, False
    if topic == "methods":
        from experiments import method_memory as memory

        names = memory.scaling()
        labels = [f"memory of {name}" for name in names for _ in memory.SIZES]
        peaks, stopped = collect(memory.peaks(names), len(labels), labels)
        if stopped:
            return [], {}, True
        refusals = memory.refusals()
        return (
            memory.tables(peaks, refusals),
            {"memory": memory.summary(peaks, refusals)},
            False,
        )
    if topic == "sampler":
        from experiments import sampler_quality as quality

        labels = [f"{sampler} on {task}" for task, sampler in quality.cells()]
        seeds = 2 if quick else quality.SEEDS
        found, stopped = collect(quality.measure_all(seeds), len(labels), labels)
        return [quality.table(found)], {"quality": quality.summary(found)}, stopped
    return [], {}, False


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
    make_folder(options.out)
    with threads(count):
        steps = measure.steps(device, count, quick=options.quick)
        found, stopped = collect(
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
            show(table)
        say_written(options.out)
    return ended(stopped, len(found), len(steps))


def agreement(options: Namespace) -> int:
    """Hold every path against a plain loop; 1 where one differs by more than rounding."""
    from experiments import agreement as comparing

    make_folder(options.out)
    cases = comparing.cases()
    found, stopped = collect(comparing.compare_all(cases), len(cases), (c.label for c in cases))
    command = "experiments agreement" + (", stopped early" if stopped else "")
    content = comparing.summary(found, command)
    if found:
        comparing.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        for table in comparing.tables(found):
            show(table)
        say_written(options.out)
    beyond = [sentence for one in found for sentence in one.beyond()]
    for sentence in beyond:
        print(f"experiments: {sentence}", file=sys.stderr)
    return ended(stopped, len(found), len(cases)) or (FAILED if beyond else OK)


def drop_in(options: Namespace) -> int:
    """Run scipy's tests on our `minimize`; 1 where one fails that does not differ on purpose."""
    from experiments import drop_in as testing

    make_folder(options.out)
    with progress_bar() as progress:
        progress.add_task("scipy's tests", total=None)
        found = testing.run()
    content = testing.summary(found, "experiments drop-in")
    testing.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    else:
        show(testing.table(found))
        say_written(options.out)
    for name, error in found.failing.items():
        print(f"experiments: {name} fails: {error}", file=sys.stderr)
    for name in found.stale:
        print(f"experiments: {name} is listed as differing, and does not fail", file=sys.stderr)
    return OK if found.fits else FAILED


def _usable(device: str) -> None:
    """Refuse a device that torch does not find, before the work."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    if not there.get(device, torch.backends.mps.is_available()):
        raise UsageError(f"torch finds no {device} device here; leave --device out for the cpu")
