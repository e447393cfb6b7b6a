"""The command ``quality``."""

import shlex
import sys
from argparse import Namespace

from experiments.cli import OK, UsageError
from experiments.commands.shared import make_folder, refused, say_written, show
from experiments.report import to_json


def quality(options: Namespace) -> int:
    """Show how well the methods of a comparison search, and write it; nothing is run."""
    from experiments import quality as measuring
    from experiments.comparison import load
    from experiments.storage import StoreError

    folder = options.out or options.folder
    try:
        found = load(options.folder)
        standing = measuring.measure(found)
    except StoreError as error:
        return refused(error)
    except ValueError as error:
        raise UsageError(f"{options.folder}: {error}") from None
    make_folder(folder)
    command = f"experiments quality {shlex.quote(str(options.folder))}"
    content = measuring.summary(found, standing, command)
    measuring.save(found, standing, content, folder)
    if options.json:
        sys.stdout.write(to_json(content))
        return OK
    for table in measuring.tables(standing):
        show(table)
    say_written(folder)
    return OK
