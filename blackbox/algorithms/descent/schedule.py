"""Learning rates that change from step to step: the option ``schedule`` of gradient methods.

A schedule is given as a text, as a function, or as a scheduler of torch's.

A text such as ``"cosine"`` or ``"warmup(5%) + cosine"`` names phases, joined by ``+``. A phase is
``name``, ``name(length)`` or ``name(length, key=value)``. Lengths are steps, or per cent of the
run; the last phase takes what is left, or nothing changes any more after its length. Each phase
begins at the run's own learning rate. The steps are the optimizer's: with ``accumulate`` they are
fewer than gradients. How many there are follows from the budget.

================= ====================== ========================================================
name              torch's class          keys, and defaults where they are not torch's
================= ====================== ========================================================
constant          ConstantLR             ``factor=1``
warmup            LinearLR               5% long; ``start_factor=0.01``, ``end_factor``
linear            LinearLR               ``start_factor=1``, ``end_factor=0``
polynomial        PolynomialLR           ``power``
cosine            CosineAnnealingLR      ``eta_min``
cosine-restarts   CosineAnnealing-       ``T_0``: a quarter of the phase, ``T_mult``, ``eta_min``
                  WarmRestarts
exponential       ExponentialLR          ``gamma``: falls to a hundredth over the phase
inverse-time      LambdaLR               lr / (1 + ``decay`` step); falls to a tenth
step              StepLR, MultiStepLR    ``step_size``: a third of the phase, or ``milestones``;
                                         ``gamma``
one-cycle         OneCycleLR             its own, ``max_lr`` is the run's learning rate; momentum
                                         or betas move too, where the rule has any. Alone only
plateau           ReduceLROnPlateau      its own, and ``every``. Last only
adaptive          LinearLR, then         ``warmup=5%``, ``reductions=3``, and those of `plateau`:
                  ReduceLROnPlateau      ``factor=0.3``, ``patience=5``, ``threshold=0.001``
================= ====================== ========================================================

``plateau`` goes by the validation loss where one is measured; else by the mean of the training
losses of every so many steps (``every``: a hundredth of the run, at least 10), so that no single
minibatch decides. ``adaptive`` warms up, goes on as ``plateau``, and ends the run, with success,
where after ``reductions`` of them in a row without a gain the next would be due.

A function is given torch's optimizer and returns a scheduler of it:
``lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)``. One that goes by
losses does so as ``plateau``.

A scheduler that was made for another optimizer is followed by a copy, from where it stands: the
learning rate of its first group replaces the option ``lr``. The scheduler itself stays as it is.

References
----------
Loshchilov, I., Hutter, F. (2017), SGDR: stochastic gradient descent with warm restarts, ICLR.
Goyal, P. et al. (2017), Accurate, large minibatch SGD, arXiv:1706.02677 (warm-up).
Smith, L. N., Topin, N. (2019), Super-convergence, SPIE 11006 (one cycle).
"""

import copy
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from blackbox.algorithms.descent.schedule_named import Plan
from blackbox.algorithms.descent.schedule_text import read
from blackbox.types import default_interval

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from blackbox.algorithms.descent.habits import Descent


def check_schedule(schedule: Any) -> None:
    """Raise where it makes no sense.

    Raises
    ------
    TypeError
        Where it is no schedule.
    ValueError
        Where its text is none.
    """
    if schedule is None or isinstance(schedule, Programme):
        return
    if isinstance(schedule, str):
        read(schedule)
    elif not callable(schedule) and not _is_scheduler(schedule):
        raise TypeError(
            "schedule is a text such as 'warmup(5%) + cosine', a function from torch's optimizer "
            f"to a scheduler, a scheduler of torch's, or None; got {schedule!r:.60}"
        )


def _is_scheduler(given: Any) -> bool:
    # Whoever has made one has loaded torch.
    module = sys.modules.get("torch.optim.lr_scheduler")
    return module is not None and isinstance(given, module.LRScheduler | module.ReduceLROnPlateau)


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

    def state(self) -> dict[str, Any] | None:
        """Return where it stands; None where it can't say."""
        return {} if self.constant else None

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned, from the beginning."""


class Programme:
    """A schedule that makes its own rates: for what the library itself does with them."""

    def rates(self, arguments: dict[str, Any], steps: int | None) -> Rates:
        """Return the learning rates of a run; arguments as those of `make_rates`."""
        raise NotImplementedError


class Scheduled(Rates):
    """What a scheduler of torch's says, on an optimizer that has nothing else to do.

    Parameters
    ----------
    group
        The rule's own settings: of what the scheduler changes, these are passed on.
    scheduler
        The scheduler.
    end
        Steps after which nothing changes any more.
    """

    constant = False

    def __init__(self, group: dict[str, Any], scheduler: "LRScheduler", end: float) -> None:
        self._own, self._scheduler, self._end = group, scheduler, end
        self._group = scheduler.optimizer.param_groups[0]
        self._count = 0
        super().__init__({})
        self._take_over()

    def advance(self, value: float, validation: float | None) -> str | None:
        """Go on to the next step; return why the run is over, if it is."""
        if self._count < self._end:
            self._count += 1
            self._scheduler.step()
            self._take_over()
        return None

    def state(self) -> dict[str, Any] | None:
        """Return how many steps it has gone."""
        return {"count": self._count}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go as many steps: whatever a scheduler remembers, it then remembers again."""
        while self._count < state["count"]:
            self._count += 1
            self._scheduler.step()
            self._take_over()

    def _take_over(self) -> None:
        for key, own in self._own.items():
            now = self._group.get(key, own)
            if key == "lr" or key in self.values or now != own:
                self.values[key] = float(now) if key == "lr" else now


class Plateau(Scheduled):
    """Goes by losses, when what comes first is over.

    Parameters
    ----------
    group
        As for `Scheduled`.
    plateau
        The scheduler.
    every
        Training losses that make one loss for it; None: it is given validation losses.
    before, begin
        The scheduler of the steps before, and how many they are.
    reductions
        Reductions in a row without a gain after which the next one ends the run; None: never.
    """

    adaptive = True

    def __init__(
        self,
        group: dict[str, Any],
        plateau: "ReduceLROnPlateau",
        every: int | None,
        before: "LRScheduler | None" = None,
        begin: int = 0,
        reductions: int | None = None,
    ) -> None:
        super().__init__(group, before or plateau, begin)
        self._plateau, self._every, self._limit = plateau, every, reductions
        self._losses: list[float] = []
        self._idle = 0
        self._reason: str | None = None

    def advance(self, value: float, validation: float | None) -> str | None:
        """Go on to the next step; return why the run is over, if it is."""
        if self._count < self._end:
            return super().advance(value, validation)
        loss = validation if self._every is None else self._average(value, self._every)
        if loss is not None and self._reason is None:
            self._look(loss)
            self._take_over()
        return self._reason

    def state(self) -> dict[str, Any] | None:
        """Return how many steps came before, and what losses have done since."""
        told = {name: getattr(self, f"_{name}") for name in ("losses", "idle", "reason")}
        group = {key: value for key, value in self._group.items() if key != "params"}
        more = {"plateau": self._plateau.state_dict(), "group": group}
        return {"count": self._count} | told | more

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        super().resume(state)
        self._losses, self._idle = list(state["losses"]), int(state["idle"])
        self._reason = state["reason"]
        self._plateau.load_state_dict(state["plateau"])
        self._group.update(state["group"])
        self._take_over()

    def _average(self, value: float, every: int) -> float | None:
        self._losses.append(value)
        if len(self._losses) < every:
            return None
        good = [loss for loss in self._losses if math.isfinite(loss)]
        self._losses.clear()
        return sum(good) / len(good) if good else math.inf

    def _look(self, loss: float) -> None:
        best, rate = self._plateau.best, self._group["lr"]
        self._plateau.step(loss)
        if self._plateau.best < best:
            self._idle = 0
        if self._group["lr"] == rate:
            return
        self._idle += 1
        if self._limit is not None and self._idle > self._limit:
            self._group["lr"] = rate
            which = "training" if self._every is not None else "validation"
            self._reason = (
                f"the schedule ended the run: the {which} loss has not fallen through "
                f"{self._limit} reductions of the learning rate, to {rate:.3g}"
            )


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

    Raises
    ------
    TypeError, ValueError
        Where the schedule does not fit the rule or the run.
    """
    schedule = descent.schedule
    if schedule is None:
        return Rates({"lr": arguments["lr"]})
    if isinstance(schedule, Programme):
        return schedule.rates(arguments, steps)
    import torch
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    theirs = descent.build([torch.zeros(1, 1)], arguments).param_groups[0]
    group = {key: value for key, value in theirs.items() if key != "params"}
    optimizer = _stand_in([group])
    every = None if validated else default_interval(steps)
    if isinstance(schedule, str):
        plan = Plan(schedule, read(schedule), steps)
        before = plan.build(optimizer)
        if plan.last.phase.name not in ("plateau", "adaptive"):
            return Scheduled(group, before, plan.end)
        return Plateau(
            group,
            plan.build_plateau(optimizer),
            None if validated else plan.every,
            before,
            plan.last.begin,
            plan.reductions,
        )
    scheduler = _copy(schedule) if _is_scheduler(schedule) else _make(schedule, optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        return Plateau(group, scheduler, every)
    # A cycle that is over would begin to rise again, and then raise.
    return Scheduled(group, scheduler, getattr(scheduler, "total_steps", math.inf))


def _stand_in(groups: list[dict[str, Any]]) -> "Optimizer":
    """Return an optimizer that has these settings and nothing to do, for a scheduler to work on."""
    import torch

    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]} for _ in groups], lr=1.0)
    # Torch warns where a scheduler steps first, and sees steps from its first scheduler on.
    torch.optim.lr_scheduler.ConstantLR(optimizer)
    optimizer.step()
    for own, settings in zip(optimizer.param_groups, groups, strict=True):
        parameters = own["params"]
        own.clear()
        own.update(settings, params=parameters)
    optimizer.defaults = dict(groups[0])
    return optimizer


def _make(schedule: Any, optimizer: "Optimizer") -> Any:
    """Return what a function makes of the optimizer."""
    made = schedule(optimizer)
    if not _is_scheduler(made) or made.optimizer is not optimizer:
        raise TypeError(
            "schedule as a function must return a scheduler of the optimizer that it is given, as "
            f"in lambda optimizer: ExponentialLR(optimizer, 0.99); it returned {made!r:.60}"
        )
    return made


def _copy(scheduler: Any) -> Any:
    """Return a copy of a scheduler that works on an optimizer of its own, without the weights."""
    theirs = scheduler.optimizer
    groups = [
        {key: copy.copy(value) for key, value in group.items() if key != "params"}
        for group in theirs.param_groups
    ]
    return copy.deepcopy(scheduler, {id(theirs): _stand_in(groups)})
