"""The commands ``reliability`` and ``journal``."""

import sys
from argparse import Namespace

from experiments.cli import FAILED, OK
from experiments.commands.shared import collect, ended, make_folder, refused, say_written, show
from experiments.report import to_json


def reliability(options: Namespace) -> int:
    """Try bad input, kill runs and workers, measure costs; 1 where anything is lost or hangs."""
    from experiments import reliability as trying

    make_folder(options.out)
    found, parts = trying.Found(), trying.steps(options.quick, options.only)
    done, stopped = collect(trying.work(parts, found), len(parts), (part.label for part in parts))
    command = "experiments reliability" + (" --quick" if options.quick else "")
    command += f" --only {','.join(options.only)}" if options.only else ""
    content = trying.summary(found, command + (", stopped early" if stopped else ""))
    if done:
        trying.save(found, options.out, content)
    if options.json:
        sys.stdout.write(to_json(content))
    elif done:
        for table in trying.tables(found):
            show(table)
        say_written(options.out)
    for sentence in [*content["broken"], *content["missed"]]:
        print(f"experiments: {sentence}", file=sys.stderr)
    return ended(stopped, len(done), len(parts)) or (FAILED if content["broken"] else OK)


def journal(options: Namespace) -> int:
    """Print what is in a journal; 1 where it is damaged or none."""
    from blackbox import JournalError, read_journal

    try:
        past = read_journal(options.file)
    except JournalError as error:
        return refused(error)
    sys.stdout.write(to_json(past.summary()) if options.json else f"{past}\n")
    return FAILED if past.damage else OK
