"""The command ``lr-test``."""

import shlex
import sys
from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from experiments.cli import UsageError
from experiments.commands.shared import collect, ended, make_folder, say_written, show
from experiments.record import PASSES_A_GRADIENT
from experiments.report import Column, Table, number, to_json, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blackbox.lr_range import LRRange
    from experiments.problems import Benchmark

STEM = "lr-test"


def lr_test(options: Namespace) -> int:
    """Find learning rates to begin with."""
    from experiments.environment import machine, versions

    problem, methods = _problem(options.problem), _methods(options.methods)
    if options.out is not None:
        make_folder(options.out)
    try:
        found, stopped = collect(_tests(problem, methods, options), len(methods), methods)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{options.problem}: {error}") from None
    tests = dict(zip(methods, found, strict=False))
    content = {
        "command": _command(options),
        "problem": problem.name,
        "seed": options.seed,
        "steps": options.steps,
        "versions": versions(),
        "machine": machine(),
        "tests": [{"text": text} | asdict(test) for text, test in tests.items()],
    }
    if options.out is not None and tests:
        from experiments.pictures.single import draw_lr_range

        write(options.out / f"{STEM}.json", to_json(content))
        figure = draw_lr_range(list(tests.values()), titles=list(tests))
        figure.savefig(options.out / f"{STEM}.png")
    if options.json:
        sys.stdout.write(to_json(content))
    elif tests:
        show(_table(problem, tests))
        if options.out is not None:
            say_written(options.out)
    return ended(stopped, len(tests), len(methods))


def _problem(text: str) -> "Benchmark":
    from experiments.problems import expand

    try:
        problem, *more = expand(text)
        if problem.require is not None:
            problem.require()
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(str(error)) from None
    if more:
        raise UsageError(f"{text!r} names {1 + len(more)} problems; name one")
    return problem


def _methods(given: list[str]) -> list[str]:
    from blackbox import ALGORITHMS
    from experiments.methods import START, check_method, parse_method

    try:
        texts = list(dict.fromkeys(map(check_method, given)))
    except ValueError as error:
        raise UsageError(str(error)) from None
    for text in texts:
        name, _ = parse_method(text)
        if name in ("auto", START) or "+" in name or "lr" not in ALGORITHMS[name].options():
            raise UsageError(
                f"{name!r} has no learning rate to be tested; methods of gradient descent have, "
                "such as adam and sgd"
            )
    return texts


def _tests(problem: "Benchmark", methods: list[str], options: Namespace) -> "Iterator[LRRange]":
    from blackbox.lr_range import lr_range_test
    from experiments.methods import parse_method

    for text in methods:
        name, given = parse_method(text)
        yield lr_range_test(
            problem.make(),
            problem.start(options.seed),
            method=name,
            options=given,
            steps=options.steps,
            bounds=problem.bounds,
            seed=options.seed,
        )


def _table(problem: "Benchmark", tests: "dict[str, LRRange]") -> Table:
    from experiments.methods import label

    columns = [
        Column("method", number=False),
        Column("begin with lr"),
        Column("lowest loss"),
        Column("steps"),
        Column("passes", extra=True),
        Column("why", number=False),
    ]
    rows = [
        [
            " ".join(label(text)).strip(),
            number(test.suggestion, 2),
            number(float(min(test.smoothed, default=float("nan")))),
            f"{len(test.rates)}",
            f"{test.evaluations + PASSES_A_GRADIENT * test.gradients:,}",
            test.reason,
        ]
        for text, test in tests.items()
    ]
    return Table(f"Learning rates for {problem.name}", columns, rows)


def _command(options: Namespace) -> str:
    words = ["experiments lr-test", shlex.quote(options.problem)]
    words.append(f"--methods {shlex.quote(','.join(options.methods))}")
    words.append(f"--steps {options.steps} --seed {options.seed}")
    words += [f"--out {shlex.quote(str(options.out))}"] if options.out is not None else []
    return " ".join(words)
