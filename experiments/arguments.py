"""What the command line takes for numbers, budgets and lists of names."""

import argparse
import re


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


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


_COMMA = re.compile(r",(?![^(\[{]*[)\]}])")
"""A comma between methods, not one within brackets: ``adam:betas=(0.8,0.99),cma`` are two."""


def names(text: str) -> list[str]:
    """Return names with commas between; those within brackets are left alone."""
    found = [name.strip() for name in _COMMA.split(text) if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("no name given; see `experiments list`")
    return found
