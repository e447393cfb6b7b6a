"""What ``method="auto"`` chooses, and why: one rule, by what is known before the first trial.

It was chosen on functions and small trainings of our own (docs/tuning.md has the figures), not on
the tasks by which the methods are compared.
"""

from typing import NamedTuple

from adapters.space import Space

FEW = 150
"""Trials up to which a Gaussian process is worth its time, which grows with their cube."""
MANY = 1000
"""Trials from which on our own methods find more than estimators of densities, whatever the space:
and TPE takes longer for each the more there are."""
GENERATION = 8
"""Trials at a time from which on a method should think in generations."""
GENERATIONS = 8
"""How many of them it takes at least to learn something."""
WIDE = 20
"""Coordinates up to which few trials are enough for a model of all of them at once."""


class Chosen(NamedTuple):
    """A method, and the reason for it in a sentence."""

    method: str
    why: str


def choose(space: Space, *, budget: int | None, fidelity: bool, at_once: int) -> Chosen:
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
    parameters = [each for each in space.parameters.values() if each.width]
    conditional = any(parameter.when for parameter in parameters)
    numbers = sum(parameter.width == 1 and not parameter.is_discrete for parameter in parameters)
    if fidelity:
        return Chosen("tpe", "it learns most from trainings that were stopped early")
    if budget is None:
        return Chosen("tpe", "without a budget in trials it is the safe choice")
    if budget > MANY:
        return Chosen("cma", f"more than {MANY} trials are enough for an evolution strategy")
    if conditional:
        return Chosen("tpe", "it looks at parameters with conditions where they are active")
    if at_once >= GENERATION:
        if budget >= GENERATIONS * at_once:
            return Chosen("cma", f"{at_once} trials at a time are a generation")
        return Chosen("tpe", f"{at_once} at a time are too many for a model of so few trials")
    if space.n > WIDE:
        return Chosen("tpe", f"{space.n} coordinates are too many for a model of all at once")
    if 2 * numbers <= len(parameters):
        return Chosen("tpe", "most parameters are whole numbers or choices")
    if budget <= FEW:
        return Chosen("gp", f"most parameters are real numbers, and {budget} trials are few")
    return Chosen("lq-cma", f"most parameters are real numbers, and {budget} trials are many")
