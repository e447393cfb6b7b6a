"""What ``method="auto"`` chooses, and why: one rule, by what is known before the first trial."""

from typing import NamedTuple

from adapters.space import Space

FEW, MANY = 150, 1000


class Choice(NamedTuple):
    """A method, and the reason for it in a sentence."""

    method: str
    why: str


def choose(space: Space, *, budget: int | None, fidelity: bool, at_once: int) -> Choice:
    """Return the method for a search.

    Parameters
    ----------
    space
        What is searched.
    budget
        Trials in all; None where that is not known.
    fidelity
        Whether trainings may be stopped early.
    at_once
        Trials that are trained at the same time.
    """
    return Choice("tpe", "the only rule so far")
