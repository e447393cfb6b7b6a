"""Optuna's voice, kept down while we call it."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_notices() -> Iterator[None]:
    """Keep back what Optuna logs below a warning, in this thread; its levels stay as they are."""
    thread = threading.get_ident()

    def keep_back(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.thread != thread

    loggers = [
        each
        for name, each in list(logging.root.manager.loggerDict.items())
        if name.startswith("optuna.") and isinstance(each, logging.Logger)
    ]
    for each in loggers:
        each.addFilter(keep_back)
    try:
        yield
    finally:
        for each in loggers:
            each.removeFilter(keep_back)


@contextmanager
def no_experimental_warnings() -> Iterator[None]:
    """Keep back Optuna's `ExperimentalWarning`; Python's filters are afterwards as before.

    For as short as can be: while filters change, Python forgets which warnings it has shown.
    """
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
