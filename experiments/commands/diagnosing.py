"""The command ``diagnosis``."""

import sys
from argparse import Namespace

from experiments.cli import OK
from experiments.commands.shared import (
    collect,
    ended,
    make_folder,
    say_written,
    show,
)
from experiments.report import to_json


def diagnosis(options: Namespace) -> int:
    """Diagnose the fixed set of runs; errors are reported and are no failure."""
    from experiments import diagnosis as testing
    from experiments import diagnosis_cases, diagnosis_tuning, diagnosis_tuning_more

    make_folder(options.out)
    test = diagnosis_cases.cases()
    cases = test + diagnosis_tuning.cases() + diagnosis_tuning_more.cases()
    made, stopped = collect(testing.outcomes(cases), len(cases), (case.name for case in cases))
    if stopped:
        return ended(stopped, len(made), len(cases))
    found = testing.Found(made[: len(test)], made[len(test) :])
    content = testing.summary(found, "experiments diagnosis")
    testing.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    else:
        for table in testing.tables(found):
            show(table)
        say_written(options.out)
    return OK
