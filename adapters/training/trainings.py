"""Several trainings under way: they go on epoch by epoch, may be given up, copied and changed."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from adapters.batched import Batching
from adapters.given import undisturbed
from adapters.training.apart import Apart
from adapters.training.group import Group
from adapters.training.hyperparameters import COMMON, NAMES, Params, Settings
from adapters.training.rules import RULES
from adapters.training.setup import Setup
from adapters.training.together import Together
from blackbox.types import Array

FIXED = ("optimizer", "batch_size")
"""What stays as a training began with it, as does its architecture."""


class Trainings:
    """Several trainings under way, as `TrainingObjective.start` begins them.

    Those of alike models, with one optimizer and batch size, are rows of the same arrays. All see
    the same samples in the same order, and the same draws of dropout.

    Attributes
    ----------
    hyperparameters
        Those of each training, a list of dictionaries (copies): see `change`.
    losses
        Validation losses, (epochs, k): of each training still there, the history of its weights.
    epochs_spent
        How many epochs each of them has had.
    batching
        How they are computed: a `Batching` for each group of alike ones.
    slow
        Why some go one after another that were not meant to; None: none do.
    """

    def __init__(
        self,
        setup: Setup,
        lock: threading.RLock,
        each: Sequence[Params],
        seeds: Sequence[int] | None,
    ) -> None:
        self._setup, self._lock = setup, lock
        self._each = [dict(params) for params in each]
        self._seeds = [setup.seed] * len(each) if seeds is None else _checked_seeds(seeds)
        settings = [setup.division.of_training(params) for params in each]
        self._losses: list[Array] = []
        self._groups: list[Group] = []
        self._where: list[tuple[int, int]] = [(0, 0)] * len(each)
        self.batching: list[Batching] = []
        self.slow: str | None = None
        with lock, undisturbed():
            self._divide(settings)

    def _divide(self, settings: list[Params]) -> None:
        """Sort the trainings into groups."""
        setup, models = self._setup, self._models()
        found: dict[Any, list[int]] = {}
        plans = {}
        for i, (model, own) in enumerate(zip(models, settings, strict=True)):
            prototype, planned = setup.planned(model, own["batch_size"])
            key = id(prototype), own["optimizer"], own["batch_size"]
            found.setdefault(key, []).append(i)
            plans[key] = prototype, planned
        for key, members in found.items():
            prototype, planned = plans[key]
            of_group = Settings([settings[i] for i in members])
            own_models = [models[i] for i in members]
            batching = planned.batching
            if planned.computed is None or len(members) < planned.fewest:
                group: Group = Apart(prototype, own_models, of_group)
                if planned.computed is not None:
                    batching = Batching("loop", 1, "there is one of its kind")
            else:
                group = Together(prototype, planned, own_models, of_group)
            for row, i in enumerate(members):
                self._where[i] = len(self._groups), row
            self._groups.append(group)
            self.batching.append(batching)
            if planned.slow:
                self.slow = planned.batching.reason

    def _models(self) -> list[nn.Module]:
        """Return a model for each, made once where they are equal."""
        made: list[tuple[Params, int, nn.Module]] = []
        models = []
        for params, seed in zip(self._each, self._seeds, strict=True):
            own = self._setup.division.of_model(params)
            same = [model for known, at, model in made if at == seed and known == own]
            if not same:
                same = [self._setup.model(params, seed)]
                made.append((own, seed, same[0]))
            models.append(same[0])
        return models

    def __len__(self) -> int:
        return len(self._each)

    @property
    def hyperparameters(self) -> list[Params]:
        """Those of each training."""
        return [dict(params) for params in self._each]

    @property
    def epochs_spent(self) -> int:
        """How many epochs each training has had."""
        return len(self._losses)

    @property
    def losses(self) -> Array:
        """Validation losses, (epochs, k)."""
        return np.array(self._losses).reshape(-1, len(self))

    def step(self, epochs: int = 1) -> Array:
        """Go on for some epochs.

        Returns
        -------
        Validation losses (k,) after the last of them; inf where a training has run away.

        Raises
        ------
        ValueError
            There are not so many epochs left.
        """
        left = self._setup.epochs - self.epochs_spent
        if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 1:
            raise ValueError(f"epochs must be a whole number from 1 on; got {epochs!r}")
        if epochs > left:
            raise ValueError(
                f"epochs={epochs}, but of the {self._setup.epochs} of a whole training only {left} "
                "are left; make the objective with more epochs="
            )
        for _ in range(epochs):
            values = np.empty(len(self))
            with self._lock, undisturbed():
                found = [self._step(group) for group in self._groups]
            for i, (group, row) in enumerate(self._where):
                values[i] = found[group][row]
            self._losses.append(np.where(np.isfinite(values), values, np.inf))
        return self._losses[-1].copy()

    def _step(self, group: Group) -> Array:
        group.train(self._setup.epoch(self.epochs_spent, group.settings.batch_size))
        return group.values()

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these trainings only, in this order.

        Raises
        ------
        ValueError
            There are no such rows, or none are named.
        """
        self._gather(_checked("rows", rows, len(self)))

    def copy(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Replace trainings by copies of others: weights, moments, hyperparameters and history.

        Raises
        ------
        ValueError
            There are no such rows, or not as many of one as of the other.
        """
        rows = list(range(len(self)))
        sources = _checked("sources", sources, len(self))
        targets = _checked("targets", targets, len(self))
        if len(sources) != len(targets):
            raise ValueError(
                f"there are {len(sources)} sources, but {len(targets)} targets: as many, please"
            )
        for source, target in zip(sources, targets, strict=True):
            rows[target] = source
        self._gather(rows)

    def _gather(self, rows: list[int]) -> None:
        members: list[list[int]] = [[] for _ in self._groups]
        where = []
        for row in rows:
            group, inner = self._where[row]
            where.append((group, len(members[group])))
            members[group].append(inner)
        left = [i for i, inner in enumerate(members) if inner]
        for i in left:
            self._groups[i].gather(members[i])
        self._groups = [self._groups[i] for i in left]
        self.batching = [self.batching[i] for i in left]
        self._where = [(left.index(group), inner) for group, inner in where]
        self._each = [dict(self._each[row]) for row in rows]
        self._seeds = [self._seeds[row] for row in rows]
        self._losses = [losses[rows] for losses in self._losses]

    def change(self, row: int, params: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Go on with other hyperparameters in one training; those not named stay.

        Raises
        ------
        ValueError
            One is the model's, or says how the training goes on with others (optimizer,
            batch_size); is unknown, or impossible.
        """
        (row,) = _checked("row", [row], len(self))
        changed = {**(params or {}), **named}
        new = {**self._each[row], **changed}
        for name in changed:
            stays = name in self._setup.division.model_names or name in FIXED
            if stays and new[name] != self._each[row].get(name):
                raise ValueError(f"{name} cannot change in the middle of a training")
        settings = self._setup.division.of_training(new)
        for name in changed:
            if name in NAMES and name not in {
                *RULES[settings["optimizer"]].settings,
                *COMMON,
                *FIXED,
            }:
                raise ValueError(f"{name} is nothing that {settings['optimizer']} uses")
        group, inner = self._where[row]
        each = list(self._groups[group].settings.each)
        each[inner] = settings
        self._groups[group].settings = Settings(each)
        self._each[row] = new

    def model(self, row: int) -> nn.Module:
        """Return the model of a training as it is now, in evaluation mode; it is the caller's."""
        (row,) = _checked("row", [row], len(self))
        group, inner = self._where[row]
        with self._lock, undisturbed():
            model = self._setup.model(self._each[row], self._seeds[row])
            self._groups[group].write(inner, model)
        return model.eval()

    def __repr__(self) -> str:
        ways = "; ".join(map(str, self.batching))
        return f"Trainings({len(self)}, {self.epochs_spent} of {self._setup.epochs} epochs, {ways})"


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    array = np.asarray(seeds)
    if array.dtype.kind not in "iu" or array.ndim != 1 or array.min() < 0:
        raise ValueError(f"seeds must be a list of whole numbers from 0 on; got {seeds!r:.60}")
    return [int(seed) for seed in array]


def _checked(name: str, rows: Sequence[int], count: int) -> list[int]:
    """Return rows as a list of ints."""
    array = np.asarray(rows)
    if array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
        raise ValueError(f"{name} must be a list of row numbers, at least one; got {rows!r:.60}")
    if array.min() < 0 or array.max() >= count:
        raise ValueError(f"{name} must be between 0 and {count - 1}; got {rows!r:.60}")
    return [int(row) for row in array]
