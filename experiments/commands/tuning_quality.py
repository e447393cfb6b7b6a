"""The command ``tuning-quality``."""

import sys
from argparse import Namespace

from experiments.cli import INTERRUPTED, UsageError
from experiments.commands.shared import collect, ended, make_folder, say_written, show
from experiments.report import to_json


def tuning_quality(options: Namespace) -> int:
    """Tune six estimators by several methods; a missed goal is reported and is no failure."""
    from adapters.tuning.methods import check_name

    try:
        methods = [check_name(each) for each in options.methods]
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    from experiments.tuning_quality import report, runs

    make_folder(options.out)
    cells = runs.plan(methods, options.seeds, options.budget)
    there = {run.cell for run in runs.load(options.out)}
    missing = [cell for cell in cells if cell not in there]
    labels = (f"{cell.task}, seed {cell.seed}" for cell in missing)
    done, stopped = collect(
        runs.complete(cells, options.out, options.workers), len(missing), labels
    )
    wanted = set(cells)
    found = [run for run in runs.load(options.out) if run.cell in wanted]
    words = ["experiments tuning-quality", f"--seeds {options.seeds}", f"--budget {options.budget}"]
    if tuple(methods) != runs.METHODS:
        words.append(f"--methods {','.join(methods)}")
    try:
        standing = report.measure(found)
    except ValueError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return INTERRUPTED
    content = report.summary(standing, " ".join(words) + (", stopped early" if stopped else ""))
    report.save(found, standing, content, options.out)
    if options.json:
        sys.stdout.write(to_json(content))
    else:
        show(report.table(standing))
        say_written(options.out)
    if not standing.reached and "auto" in methods:
        print(f"experiments: not reached: {content['goal']}", file=sys.stderr)
    return ended(stopped, len(done), len(missing))
