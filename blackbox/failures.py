"""Evaluations that gave no value: how each ended, and what a history keeps of them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from blackbox.child import RemoteError, pack_error, unpack_error

LOG = logging.getLogger("blackbox")

Kind = Literal["nan", "infinite", "raised", "timeout", "lost"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""How an evaluation can fail: NaN or an infinity came back; the objective raised; it took longer
than ``timeout=``; the process that evaluated it ended, by itself or by another's hand."""
MESSAGE = 500
"""Characters kept of a message."""

OnError = Literal["raise", "penalize"] | Callable[[Any, Exception], Any]


class Failed:
    """What stands for the value of an evaluation that has none; it travels between processes.

    Attributes
    ----------
    kind
        One of `KINDS`.
    message
        For people.
    error
        What the objective raised, where it did.
    """

    def __init__(self, kind: Kind, message: str = "", error: BaseException | None = None) -> None:
        self.kind, self.error = kind, error
        self.message = (message or describe(error))[:MESSAGE]

    def __reduce__(self) -> tuple[Any, ...]:
        packed = None if self.error is None else pack_error(self.error)
        return _unpack, (self.kind, self.message, packed)


def _unpack(kind: Kind, message: str, packed: tuple[bytes, str] | None) -> Failed:
    return Failed(kind, message, None if packed is None else unpack_error(*packed))


def describe(error: BaseException | None) -> str:
    """Return an error as one text."""
    try:
        text = str(error)
    except Exception:  # its own text fails
        text = ""
    if isinstance(error, RemoteError):  # it names another
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(frozen=True)
class Failures:
    """Failures of one kind.

    Attributes
    ----------
    count
        How many there were.
    message
        What the first of them said.
    """

    count: int
    message: str


class FailureCounts(dict[Kind, Failures]):
    """Failures by kind, those that occurred: ``counts["timeout"].count``."""

    def add(self, failed: Failed) -> None:
        """Take in one more failure."""
        if failed.kind in self:
            before = self[failed.kind]
            self[failed.kind] = replace(before, count=before.count + 1)
            return
        self[failed.kind] = Failures(1, failed.message)
        level = logging.WARNING if failed.kind in ("timeout", "lost") else logging.INFO
        LOG.log(level, "an evaluation failed (%s): %s", failed.kind, failed.message)

    def add_batch(self, values: NDArray[Any], known: Mapping[int, Failed]) -> None:
        """Take in the values of a batch, (k,), as the objective gave them.

        Parameters
        ----------
        values
            NaN where there is none.
        known
            The rows that are known to have failed, and how.
        """
        for failed in known.values():
            self.add(failed)
        for row in np.flatnonzero(~np.isfinite(values)).tolist():
            if row not in known:
                kind: Kind = "nan" if np.isnan(values[row]) else "infinite"
                self.add(Failed(kind, f"the value was {values[row]}"))
