"""Trainings of models one after another, by torch's own optimizers."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from adapters import data
from adapters.evaluators import as_number
from adapters.noise import Noise
from adapters.training.dropout import common_dropouts, dropouts
from adapters.training.group import Epoch
from adapters.training.hyperparameters import Params, Settings
from adapters.training.prototype import Prototype
from adapters.training.schedules import rates
from blackbox.types import Array


class Apart:
    """A `Group` whose trainings are models, each with an optimizer of its own.

    Parameters
    ----------
    prototype
        What all models are like.
    models
        As they are made, one a training.
    settings
        Of the trainings.
    """

    def __init__(
        self, prototype: Prototype, models: Sequence[nn.Module], settings: Settings
    ) -> None:
        self._prototype = prototype
        self._trained: list[tuple[nn.Module, torch.optim.Optimizer]] = []
        self._settings = settings
        for model, each in zip(models, settings.each, strict=True):
            own = _copied(prototype.model, model)
            weights = dict(own.named_parameters())
            rule = settings.rule
            built = rule.build([weights[name] for name in prototype.names], _own(each, settings))
            self._trained.append((own, built))

    @property
    def settings(self) -> Settings:
        """See `Group`."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        for (_, optimizer), each in zip(self._trained, settings.each, strict=True):
            like = settings.rule.build([torch.zeros(1)], _own(each, settings)).param_groups[0]
            changed = {name: value for name, value in like.items() if name != "params"}
            optimizer.param_groups[0].update(changed)

    def train(self, epoch: Epoch) -> None:
        """See `Group`."""
        lr = rates(self._settings.columns, self._settings.schedules, epoch.steps, epoch.total)
        noise = Noise("fixed", epoch.seed, self._prototype.device)
        for i, (model, optimizer) in enumerate(self._trained):
            self._prototype.draws.restart(epoch.seed)
            with noise.drawn(), torch.enable_grad():
                self._train(model.train(), optimizer, epoch, lr[:, i], self._settings.each[i])

    def _train(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        epoch: Epoch,
        lr: Array,
        settings: Params,
    ) -> None:
        task, (group,) = self._prototype.task, optimizer.param_groups
        pair = task.inputs, task.targets
        for rate, samples in zip(lr, epoch.order, strict=True):
            inputs, targets = pair if samples is None else data.take(pair, samples)
            group["lr"] = float(rate)
            optimizer.zero_grad()
            task.loss(model(inputs), targets).backward()
            if np.isfinite(settings["clip"]):
                nn.utils.clip_grad_norm_(group["params"], settings["clip"])
            optimizer.step()

    def values(self) -> Array:
        """See `Group`."""
        with torch.no_grad():
            return np.array([self._value(model.eval()) for model, _ in self._trained])

    def _value(self, model: nn.Module) -> float:
        # A metric that counts has a value for NaN, too.
        if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
            return math.inf
        return as_number(self._prototype.judge(model))

    def gather(self, rows: Sequence[int]) -> None:
        """See `Group`."""
        seen: set[int] = set()
        trained = []
        for row in rows:
            one = self._trained[row]
            trained.append(copy.deepcopy(one) if row in seen else one)
            seen.add(row)
        self._trained = trained
        self._settings = Settings([self._settings.each[row] for row in rows])

    def write(self, row: int, model: nn.Module) -> None:
        """See `Group`."""
        copy_tensors(self._trained[row][0], model)


def _own(each: Params, settings: Settings) -> dict[str, Any]:
    """Return what the rule takes of a training's settings."""
    return {name: each[name] for name in settings.rule.settings}


@torch.no_grad()
def copy_tensors(source: nn.Module, target: nn.Module) -> None:
    """Write parameters and buffers into a model, as far as both have them."""
    mine = {**dict(source.named_parameters()), **dict(source.named_buffers())}
    for name, tensor in [*target.named_parameters(), *target.named_buffers()]:
        if name in mine:
            tensor.copy_(mine[name])


@torch.no_grad()
def _copied(prototype: nn.Module, model: nn.Module) -> nn.Module:
    """Return a copy of the prototype's model with the state of another."""
    own = copy.deepcopy(prototype)
    for layer, plain in zip(common_dropouts(own), dropouts(model), strict=True):
        layer.p.fill_(plain.p)
    copy_tensors(model, own)
    return own
