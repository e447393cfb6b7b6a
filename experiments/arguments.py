"""What the command line takes for numbers, budgets and lists of names; arguments in common."""

import argparse
from pathlib import Path

from experiments.methods import cut


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def seed(text: str) -> int:
    """Return a whole number of at least 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def budget(text: str) -> int | str:
    """Return evaluations: a number, or a text such as ``100n``, a hundred a variable."""
    if text.endswith("n"):
        return f"{count(text[:-1])}n"
    return count(text)


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def names(text: str) -> list[str]:
    """Return names with commas between; those within brackets or quotes are left alone."""
    found = [part for part in cut(",", text) if part]
    if not found:
        raise argparse.ArgumentTypeError("no name given; see `experiments list`")
    return found


RELIABILITY = ("costs", "bad-input", "kills", "workers")
"""Parts of `experiments reliability`, each with a page of its own."""


def parts(text: str) -> list[str]:
    """Return names of `RELIABILITY`, with commas between."""
    found = names(text)
    if unknown := [name for name in found if name not in RELIABILITY]:
        raise argparse.ArgumentTypeError(
            f"there is no part {unknown[0]!r}; the parts are {', '.join(RELIABILITY)}"
        )
    return found


def add_out(parser: argparse.ArgumentParser, to: str) -> None:
    """Add ``--out``, a folder that there is by default."""
    shown = default("folder")
    parser.add_argument("--out", type=Path, default=Path(to), metavar="DIR", help=shown)


def default(text: str) -> str:
    """Return a help text that tells the default."""
    return f"{text} (default: %(default)s)"
