"""Population-based training: hyperparameters change while weights are trained.

Jaderberg, M., Dalibard, V., Osindero, S., et al. (2017), Population based training of neural
networks, arXiv:1711.09846. Truncation selection (their section 4.1.1): the worst members go on as
copies of some of the best, weights, moments and hyperparameters (exploit), with hyperparameters
changed a little or drawn anew (explore).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from adapters.space import Fixed, Float, Int, Log, LogInt, Parameter, Space
from adapters.training.hyperparameters import Params, beside
from adapters.training.objective import TrainingObjective
from adapters.training.trainings import FIXED
from blackbox.types import Array


class Phase(NamedTuple):
    """From this epoch on, counted from 0, training went on with these hyperparameters."""

    epoch: int
    params: Params


@dataclass(frozen=True)
class Evolved:
    """What came out of population-based training.

    Attributes
    ----------
    best_value
        The validation loss of the best member at the end.
    best_params
        The hyperparameters with which it ended.
    schedule
        Those on the way to it, along its ancestors: a list of `Phase`.
    model
        The best member, trained, in evaluation mode.
    losses
        Validation losses of the members as they were, (epochs, members).
    parents
        For each time that members were replaced: the epochs that were over, and whose copy each
        member went on as, (members,).
    epochs
        What was spent, over all members.
    objective
        What was trained.
    """

    best_value: float
    best_params: Params
    schedule: list[Phase]
    model: nn.Module
    losses: Array
    parents: list[tuple[int, list[int]]]
    epochs: int
    objective: TrainingObjective

    def replay(self, objective: TrainingObjective | None = None) -> nn.Module:
        """Train one model by the schedule that was found, and return it in evaluation mode.

        Parameters
        ----------
        objective
            Of another model or data; None: the same, which gives the weights of `model` again, to
            rounding.
        """
        objective = self.objective if objective is None else objective
        trainings = objective.start([self.schedule[0].params])
        ends = [phase.epoch for phase in self.schedule[1:]] + [len(self.losses)]
        for phase, end in zip(self.schedule, ends, strict=True):
            trainings.change(0, phase.params)
            trainings.step(end - phase.epoch)
        return trainings.model(0)

    @property
    def table(self) -> Any:
        """The schedule as a `pandas.DataFrame`: a line a phase, columns as of `Halving.table`."""
        import pandas as pd

        return pd.DataFrame(
            [beside({"epoch": phase.epoch}, phase.params) for phase in self.schedule]
        )


def population_based_training(
    objective: TrainingObjective,
    *,
    members: int = 32,
    every: int = 1,
    quantile: float = 0.25,
    resample: float = 0.25,
    factors: tuple[float, float] = (0.8, 1.2),
    seed: int | None = None,
) -> Evolved:
    """Train a population whose worse members give way to changed copies of better ones.

    Parameters
    ----------
    objective
        What is trained, ``objective.epochs`` long. Its space may hold what can change in the middle
        of a training: not the model's own parameters, nor ``optimizer`` and ``batch_size``, but as
        constants.
    members
        How many are trained at once.
    every
        Epochs from one selection to the next.
    quantile
        The share of members that is replaced, and the share that the copies are of.
    resample
        How likely a hyperparameter of a copy is drawn anew; else a number is multiplied by one of
        `factors`, and an ordered choice moves on by one.
    factors
        What numbers are multiplied by.
    seed
        Of the first hyperparameters and of all changes; None: a fresh one.

    Returns
    -------
    An `Evolved`.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense, or a parameter can't change; before anything is trained.

    Examples
    --------
    >>> import torch
    >>> from adapters import Log, Space, TrainingObjective, population_based_training
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> objective = TrainingObjective(
    ...     lambda: torch.nn.Linear(1, 1), torch.nn.MSELoss(), (x, 2 * x),
    ...     Space(lr=Log(1e-4, 1.0)), epochs=6, batch_size=8
    ... )
    >>> found = population_based_training(objective, members=8, seed=0)
    >>> found.epochs, found.losses.shape, found.best_value < 0.01
    (48, (6, 8), True)
    """
    _check(objective, members, every, quantile, resample, factors)
    rng = np.random.default_rng(seed)
    each = [objective.space.draw(rng) for _ in range(members)]
    trainings = objective.start(each)
    lines = [[Phase(0, params)] for params in each]
    losses: list[Array] = []
    parents: list[tuple[int, list[int]]] = []
    count = max(1, int(members * quantile))
    while trainings.epochs_spent < objective.epochs:
        losses.append(trainings.step())
        spent = trainings.epochs_spent
        if spent % every or spent == objective.epochs:
            continue
        order = np.argsort(losses[-1], kind="stable")
        worst = [int(row) for row in order[::-1][:count]]
        best = order[:count][np.isfinite(losses[-1][order[:count]])]
        if not len(best):
            continue
        sources = [int(row) for row in rng.choice(best, len(worst))]
        trainings.copy(sources, worst)
        whose = list(range(members))
        for source, target in zip(sources, worst, strict=True):
            whose[target] = source
            params = _explored(objective.space, lines[source][-1].params, rng, resample, factors)
            trainings.change(target, params)
            lines[target] = [*lines[source], Phase(spent, params)]
        parents.append((spent, whose))
    winner = int(np.argmin(losses[-1]))
    return Evolved(
        best_value=float(losses[-1][winner]),
        best_params=lines[winner][-1].params,
        schedule=lines[winner],
        model=trainings.model(winner),
        losses=np.array(losses),
        parents=parents,
        epochs=members * objective.epochs,
        objective=objective,
    )


def _check(
    objective: Any, members: Any, every: Any, quantile: Any, resample: Any, factors: Any
) -> None:
    if not isinstance(objective, TrainingObjective):
        raise TypeError(f"objective must be a TrainingObjective; got {type(objective).__name__}")
    for name, value, least in (("members", members, 2), ("every", every, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} on; got {value!r}")
    if not 0 < quantile <= 0.5:
        raise ValueError(f"quantile must be above 0 and at most 0.5; got {quantile!r}")
    if not 0 <= resample <= 1:
        raise ValueError(f"resample must be a probability; got {resample!r}")
    if np.ndim(factors) != 1 or not len(factors) or not all(factor > 0 for factor in factors):
        raise ValueError(f"factors must be positive numbers, as (0.8, 1.2); got {factors!r}")
    for name, parameter in objective.space.parameters.items():
        if isinstance(parameter, Fixed):
            continue
        if name in FIXED or name in objective._setup.division.model_names:
            raise ValueError(
                f"{name} cannot change in the middle of a training: make it a constant of the space"
            )
        if any(not isinstance(objective.space[other], Fixed) for other in parameter.when or {}):
            raise ValueError(
                f"{name} is active only at times, {dict(parameter.when or {})}: population-based "
                "training takes no such conditions"
            )


def _explored(
    space: Space,
    params: Params,
    rng: np.random.Generator,
    resample: float,
    factors: tuple[float, float],
) -> Params:
    """Return hyperparameters near those of a member."""
    point = space.encode(params)
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Fixed) or name not in params:
            continue
        part = space.slices[name]
        if rng.random() < resample:
            point[part] = rng.random(parameter.width)
        else:
            point[part] = _moved(parameter, params[name], point[part], rng, factors)
    return space.decode(point)


def _moved(
    parameter: Parameter,
    value: Any,
    u: Array,
    rng: np.random.Generator,
    factors: tuple[float, float],
) -> Array:
    """Return coordinates of a value a little away."""
    factor = float(rng.choice(factors))
    if isinstance(parameter, Log) or (isinstance(parameter, Float) and parameter.step is None):
        return parameter.encode(min(max(value * factor, parameter.low), parameter.high))
    if isinstance(parameter, LogInt) or (isinstance(parameter, Int) and parameter.step == 1):
        step = 1 if factor > 1 else -1
        number = round(value * factor)
        number = value + step if number == value else number
        return parameter.encode(min(max(number, parameter.low), parameter.high))
    if parameter.cells:
        cell = int(u[0] * parameter.cells) + (1 if factor > 1 else -1)
        return np.array([(min(max(cell, 0), parameter.cells - 1) + 0.5) / parameter.cells])
    return u  # an unordered choice has no neighbours
