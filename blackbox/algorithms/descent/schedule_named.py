"""From the phases of a schedule's text to torch's own schedulers."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blackbox.algorithms.descent.schedule_text import WARMUP, Length, Phase, Share
from blackbox.types import default_interval

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

ENDED_AT = 0.01
"""What `exponential` leaves of the learning rate at its end, unless ``gamma`` is given."""
SLOWED_TO = 0.1
"""What `inverse-time` leaves of it, unless ``decay`` is given."""
STARTED_AT = 0.01
"""Where a warm-up begins, as a share of the learning rate."""
FALLS = 3
"""Equal parts of a phase in which `step` falls, unless ``step_size`` is given."""
CYCLES = 4
"""Cycles of `cosine-restarts` in a phase, unless ``T_0`` is given."""
ADAPTIVE = {"factor": 0.3, "patience": 5, "threshold": 1e-3, "eps": 0.0}
"""What `adaptive` gives to torch's plateau in place of its defaults."""
REDUCTIONS = 3
"""Reductions in a row without a gain after which `adaptive` ends the run."""


@dataclass(frozen=True)
class Part:
    """A phase of one run: when it begins, and how many steps it has; None: nobody knows."""

    phase: Phase
    begin: int
    length: int | None


class Plan:
    """The phases of a run, laid out in steps.

    Parameters
    ----------
    text, phases
        The schedule, and what was read from it.
    steps
        How many there are in the run; None where nobody knows.

    Attributes
    ----------
    end
        Steps after which nothing changes any more.

    Raises
    ------
    ValueError
        Where the phases take more steps than there are, or depend on a number that nobody knows.
    """

    def __init__(self, text: str, phases: list[Phase], steps: int | None) -> None:
        self.text, self._steps = text, steps
        if phases[-1].name == "adaptive" and len(phases) == 1:
            warmup = phases[-1].arguments.get("warmup", WARMUP)
            phases = [Phase("warmup", warmup)] * (warmup != 0) + phases
        self._parts: list[Part] = []
        begin = 0
        for phase in phases[:-1]:
            assert phase.length is not None
            length = self._count(phase.length)
            self._parts.append(Part(phase, begin, length))
            begin += length
        last = phases[-1].length
        length_of_last = None if last is None else self._count(last)
        taken = begin + (length_of_last or 0)
        fixed = any(isinstance(phase.length, int) for phase in phases)
        if steps is not None and fixed and taken > steps:
            raise self._error(
                f"its phases take {taken} steps, and the run has {steps}; give lengths in per cent "
                "of the run, or a larger budget"
            )
        if last is not None:
            self.end: float = taken
        elif steps is not None:
            length_of_last = max(1, steps - begin)
            self.end = steps - 1  # what comes after the last step would be for nothing
        else:
            self.end = float("inf")
        self._parts.append(Part(phases[-1], begin, length_of_last))

    def _error(self, what: str) -> ValueError:
        return ValueError(f"schedule={self.text!r}: {what}")

    def _count(self, length: Length) -> int:
        if not isinstance(length, Share):
            return length
        if self._steps is None:
            raise self._error(
                "how many steps the run has is not known; give budget=, or every length in steps"
            )
        return max(1, round(length.percent / 100 * self._steps))

    @property
    def last(self) -> Part:
        """The last phase."""
        return self._parts[-1]

    def build(self, optimizer: "Optimizer") -> "LRScheduler":
        """Return torch's scheduler of all phases; one that goes by losses stays flat here.

        Raises
        ------
        ValueError
            Where torch refuses an argument.
        """
        from torch.optim.lr_scheduler import SequentialLR

        try:
            schedulers = [self._build_one(part, optimizer) for part in self._parts]
            if len(schedulers) == 1:
                return schedulers[0]
            return SequentialLR(optimizer, schedulers, [part.begin for part in self._parts[1:]])
        except (TypeError, ArithmeticError) as error:
            raise self._error(f"torch says: {error}") from error

    def _build_one(self, part: Part, optimizer: "Optimizer") -> "LRScheduler":
        from torch.optim import lr_scheduler as schedulers

        name, given = part.phase.name, dict(part.phase.arguments)
        counts = {"T_0", "step_size"} & set(given)
        given |= {key: self._count(given[key]) for key in counts}
        if name in ("plateau", "adaptive"):
            return schedulers.ConstantLR(optimizer, factor=1.0)
        if name == "constant":
            length = sys.maxsize if part.length is None else part.length
            return schedulers.ConstantLR(
                optimizer, **{"factor": 1.0, "total_iters": length} | given
            )
        if name == "step" and "milestones" in given:
            milestones = [self._count(one) for one in given.pop("milestones")]
            return schedulers.MultiStepLR(optimizer, milestones, **given)
        if name == "step" and "step_size" in given:
            return schedulers.StepLR(optimizer, **given)
        if name == "cosine-restarts" and "T_0" in given:
            return schedulers.CosineAnnealingWarmRestarts(optimizer, **given)
        if name == "exponential" and "gamma" in given:
            return schedulers.ExponentialLR(optimizer, **given)
        if name == "inverse-time" and "decay" in given:
            decay: float = given["decay"]
            return schedulers.LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
        if part.length is None:
            raise self._error(f"{name!r} depends on how many steps the run has; give budget=")
        return self._build_for(part.length, name, given, optimizer)

    def _build_for(
        self, length: int, name: str, given: dict[str, Any], optimizer: "Optimizer"
    ) -> "LRScheduler":
        """Return what depends on the phase's length."""
        from torch.optim import lr_scheduler as schedulers

        if name == "warmup":
            start = {"start_factor": STARTED_AT, "total_iters": length}
            return schedulers.LinearLR(optimizer, **start | given)
        if name == "linear":
            ends = {"start_factor": 1.0, "end_factor": 0.0, "total_iters": length}
            return schedulers.LinearLR(optimizer, **ends | given)
        if name == "polynomial":
            return schedulers.PolynomialLR(optimizer, length, **given)
        if name == "cosine":
            return schedulers.CosineAnnealingLR(optimizer, length, **given)
        if name == "cosine-restarts":
            first = max(1, length // CYCLES)
            return schedulers.CosineAnnealingWarmRestarts(optimizer, first, **given)
        if name == "exponential":
            return schedulers.ExponentialLR(optimizer, ENDED_AT ** (1 / length))
        if name == "inverse-time":
            decay = (1 / SLOWED_TO - 1) / length
            return schedulers.LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
        if name == "step":
            return schedulers.StepLR(optimizer, -(-length // FALLS), **given)
        assert name == "one-cycle"
        group = optimizer.param_groups[0]
        moves = {"cycle_momentum": "momentum" in group or "betas" in group}
        given = moves | given
        if given["cycle_momentum"] and not moves["cycle_momentum"]:
            raise self._error("cycle_momentum=True, but the rule has neither momentum nor betas")
        if "pct_start" in given:
            given["pct_start"] = float(given["pct_start"])  # torch takes no int
        return schedulers.OneCycleLR(optimizer, group["lr"], length, **given)

    def build_plateau(self, optimizer: "Optimizer") -> "ReduceLROnPlateau":
        """Return torch's scheduler of the last phase, which goes by losses."""
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        given = ADAPTIVE if self.last.phase.name == "adaptive" else {}
        own = ("every", "warmup", "reductions")
        arguments = self.last.phase.arguments
        return ReduceLROnPlateau(
            optimizer, **given | {k: v for k, v in arguments.items() if k not in own}
        )

    @property
    def every(self) -> int:
        """Steps from one look at the training losses to the next."""
        given = self.last.phase.arguments.get("every")
        return default_interval(self._steps) if given is None else self._count(given)

    @property
    def reductions(self) -> int | None:
        """Reductions without a gain that end the run; None: it goes on."""
        if self.last.phase.name != "adaptive":
            return None
        return int(self.last.phase.arguments.get("reductions", REDUCTIONS))
