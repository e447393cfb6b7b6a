"""Learning rates that change from step to step."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.algorithms.descent.habits import Descent


def check_schedule(schedule: Any) -> None:
    """Raise where it makes no sense."""


class Rates:
    """The learning rate of a run, and what changes with it, step by step.

    Attributes
    ----------
    values
        What torch's parameter groups are to be updated with: ``lr``, and perhaps ``momentum`` ...
    constant
        Whether nothing ever changes.
    adaptive
        Whether it depends on losses.
    """

    constant = True
    adaptive = False

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def advance(self, value: float, validation: float | None) -> str | None:
        """Go on to the next step; return why the run is over, if it is."""
        return None


def make_rates(
    descent: "Descent", arguments: dict[str, Any], steps: int | None, validated: bool
) -> Rates:
    """Return the learning rates of a run.

    Parameters
    ----------
    descent, arguments
        The rule, whose `schedule` this is about, and its arguments in this run.
    steps
        How many steps the run is going to take; None where nobody knows.
    validated
        Whether validation losses will be measured now and then.
    """
    return Rates({"lr": arguments["lr"]})
