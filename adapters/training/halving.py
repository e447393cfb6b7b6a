"""Hyperband: many trainings begin, the better ones go on.

Li, L., Jamieson, K., DeSalvo, G., Rostamizadeh, A., Talwalkar, A. (2018), Hyperband: a novel
bandit-based approach to hyperparameter optimization, Journal of Machine Learning Research 18(185),
1-52. Successive halving, which a bracket is: Jamieson, K., Talwalkar, A. (2016), Non-stochastic
best arm identification and hyperparameter optimization, AISTATS, 240-248.

A bracket is one batch of trainings, out of which the worse rows are dropped: nothing is trained
twice, and a survivor's losses are those of its whole training.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

from adapters.training.hyperparameters import Params, beside
from adapters.training.objective import TrainingObjective
from blackbox.types import Array


class Trained(NamedTuple):
    """A candidate, and how far it came.

    Attributes
    ----------
    params
        Its hyperparameters.
    epochs
        How long it was trained.
    value
        Its validation loss after that; inf where it ran away.
    bracket
        Which bracket it was in, from 0 on.
    """

    params: Params
    epochs: int
    value: float
    bracket: int


@dataclass(frozen=True)
class Halving:
    """What came out.

    Attributes
    ----------
    best_params, best_value
        Of the training that did best among those that went furthest; the value is its validation
        loss.
    epochs
        What was spent, over all trainings.
    trials
        All candidates: a list of `Trained`.
    reason
        Why it ended.
    """

    best_params: Params
    best_value: float
    epochs: int
    trials: list[Trained]
    reason: str

    @property
    def table(self) -> Any:
        """All candidates as a `pandas.DataFrame`: epochs, value, bracket, hyperparameters.

        A hyperparameter of one of the first three names is in a column ``params_value``.
        """
        import pandas as pd

        lines = [each._asdict() for each in self.trials]
        return pd.DataFrame([beside(line, line.pop("params")) for line in lines])


class Rung(NamedTuple):
    """So many trainings of a bracket go on until they have had so many epochs."""

    rows: int
    epochs: int


def rungs(candidates: int, first: int, last: int, factor: int) -> list[Rung]:
    """Return the rungs of a bracket: one in `factor` goes on, `factor` times as far.

    Parameters
    ----------
    candidates
        How many begin.
    first, last
        Epochs on the first rung and, at most, on the last.
    factor
        What rows shrink, and epochs grow, by.
    """
    found = [Rung(candidates, min(first, last))]
    while found[-1].epochs < last and found[-1].rows > 1:
        rows = max(1, found[-1].rows // factor)
        found.append(Rung(rows, min(found[-1].epochs * factor, last)))
    if found[-1].epochs < last:
        found[-1] = found[-1]._replace(epochs=last)
    return found


def brackets(last: int, factor: int = 3, first: int = 1) -> list[list[Rung]]:
    """Return Hyperband's brackets (Li et al. 2018, algorithm 1), the one that drops most first.

    Parameters
    ----------
    last
        Epochs of a whole training: their R.
    factor
        Their eta.
    first
        The fewest epochs after which a training may be dropped.
    """
    most = 0
    while first * factor ** (most + 1) <= last:
        most += 1
    found = []
    for s in range(most, -1, -1):
        candidates = math.ceil((most + 1) / (s + 1) * factor**s)
        found.append(rungs(candidates, max(first, last // factor**s), last, factor))
    return found


def hyperband(
    objective: TrainingObjective,
    *,
    budget: int | None = None,
    factor: int = 3,
    min_epochs: int = 1,
    seed: int | None = None,
) -> Halving:
    """Search by Hyperband: candidates at random, in brackets that drop more or fewer of them.

    Parameters
    ----------
    objective
        What is trained; its ``epochs`` are a whole training.
    budget
        Epochs in all, over all trainings; never more. Brackets follow each other until they are
        spent. None: each bracket once.
    factor
        One in so many goes on, so many times as far.
    min_epochs
        No training is dropped before.
    seed
        Of the candidates; None: a fresh one.

    Returns
    -------
    A `Halving`.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense; before anything is trained.

    Examples
    --------
    >>> import torch
    >>> from adapters import Log, Space, TrainingObjective, hyperband
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> objective = TrainingObjective(
    ...     lambda: torch.nn.Linear(1, 1), torch.nn.MSELoss(), (x, 2 * x),
    ...     Space(lr=Log(1e-4, 1.0)), epochs=9, batch_size=8
    ... )
    >>> found = hyperband(objective, seed=0)
    >>> found.epochs, len(found.trials), found.best_value < 0.01
    (69, 17, True)
    """
    _check(objective, {"budget": budget, "factor": factor, "min_epochs": min_epochs})
    if factor < 2:
        raise ValueError(f"factor must be 2 or more; got {factor}")
    if min_epochs > objective.epochs:
        raise ValueError(f"min_epochs={min_epochs}, but a training has {objective.epochs} epochs")
    rng = np.random.default_rng(seed)
    plan = brackets(objective.epochs, factor, min_epochs)

    def batches() -> Iterator[tuple[list[Params], list[Rung]]]:
        for bracket in plan if budget is None else cycle(plan):
            yield [objective.space.draw(rng) for _ in range(bracket[0].rows)], bracket

    return _run(objective, batches(), budget)


def successive_halving(
    objective: TrainingObjective,
    candidates: Sequence[Mapping[str, Any]],
    *,
    budget: int | None = None,
    factor: int = 3,
    min_epochs: int = 1,
) -> Halving:
    """Train given candidates, and drop the worse ones on the way: one bracket.

    Parameters
    ----------
    objective, budget, factor, min_epochs
        As `hyperband` takes them.
    candidates
        Hyperparameters of each.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense; before anything is trained.
    """
    _check(objective, {"budget": budget, "factor": factor, "min_epochs": min_epochs})
    if factor < 2:
        raise ValueError(f"factor must be 2 or more; got {factor}")
    if isinstance(candidates, Mapping) or not all(isinstance(c, Mapping) for c in candidates):
        raise TypeError("candidates must be a list of dictionaries, one for each training")
    if not candidates:
        raise ValueError("candidates: give the hyperparameters of one training at least")
    ladder = rungs(len(candidates), min_epochs, objective.epochs, factor)
    return _run(objective, iter([([dict(each) for each in candidates], ladder)]), budget)


def _check(objective: Any, counts: Mapping[str, Any]) -> None:
    if not isinstance(objective, TrainingObjective):
        raise TypeError(f"objective must be a TrainingObjective; got {type(objective).__name__}")
    for name, value in counts.items():
        if value is None and name == "budget":
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1 on; got {value!r}")


def _run(
    objective: TrainingObjective,
    batches: Iterator[tuple[list[Params], list[Rung]]],
    budget: int | None,
) -> Halving:
    """Run brackets until there are no more, or the budget is spent."""
    left = math.inf if budget is None else budget
    trials: list[Trained] = []
    reason = "every bracket was run"
    for number, (candidates, ladder) in enumerate(batches):
        if left < 1:
            reason = f"all {budget} epochs of the budget are spent"
            break
        # With fewer epochs left than candidates only some begin.
        candidates = candidates[: int(min(len(candidates), left))]
        found = _run_bracket(objective, candidates, ladder, left, number)
        left -= sum(each.epochs for each in found)
        trials += found
    furthest = max(each.epochs for each in trials)
    best = min((each for each in trials if each.epochs == furthest), key=lambda each: each.value)
    spent = sum(each.epochs for each in trials)
    return Halving(best.params, best.value, spent, trials, reason)


def _run_bracket(
    objective: TrainingObjective,
    candidates: list[Params],
    ladder: list[Rung],
    left: float,
    number: int,
) -> list[Trained]:
    """Train one bracket within what is left; return its candidates in the order they came in."""
    trainings = objective.start(candidates)
    alive = list(range(len(candidates)))
    values: Array = np.full(len(candidates), np.inf)
    epochs = np.zeros(len(candidates), dtype=int)
    for rung in ladder:
        order = sorted(range(len(alive)), key=lambda row: values[alive[row]])[: rung.rows]
        # A training that has run away does not come back.
        order = [row for row in order if epochs[alive[row]] == 0 or np.isfinite(values[alive[row]])]
        if not order:
            break
        if len(order) < len(alive):
            trainings.keep(order)
            alive = [alive[row] for row in order]
        while epochs[alive[0]] < rung.epochs:
            if left < len(alive):  # the best of them go on with what is left
                order = sorted(range(len(alive)), key=lambda row: values[alive[row]])[: int(left)]
                if not order:
                    break
                trainings.keep(order)
                alive = [alive[row] for row in order]
            values[alive] = trainings.step()
            epochs[alive] += 1
            left -= len(alive)
        if left < 1:
            break
    return [
        Trained(params, int(count), float(value), number)
        for params, count, value in zip(candidates, epochs, values, strict=True)
    ]
