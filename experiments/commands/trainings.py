"""The commands ``speed training``, ``speed trainings`` and ``speed halving``."""

import sys
from argparse import Namespace
from importlib import import_module

from experiments.cli import UsageError
from experiments.commands.shared import collect, ended, make_folder, say_written, show
from experiments.report import to_json


def trainings_speed(options: Namespace) -> int:
    """Measure what trainings cost, by topic; a missed goal is reported and is no failure."""
    measuring = import_module(f"experiments.{options.topic}_speed")
    from experiments.problems import digits

    try:
        digits.require()
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from None
    make_folder(options.out)
    plan = measuring.steps(quick=options.quick)
    found, stopped = collect(measuring.measure_all(plan), len(plan), (step.label for step in plan))
    words = [f"experiments speed {options.topic}", *(["--quick"] if options.quick else [])]
    command = " ".join(words) + (", stopped early" if stopped else "")
    content = measuring.summary(found, command)
    if found:
        measuring.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif found:
        for table in measuring.tables(found):
            show(table)
        say_written(options.out)
    return ended(stopped, len(found), len(plan))
