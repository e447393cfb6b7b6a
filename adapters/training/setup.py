"""What all trainings of an objective have in common: models, data, the order of samples."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from adapters import data
from adapters.batched import Plan
from adapters.training.alike import are_alike
from adapters.training.group import Epoch
from adapters.training.hyperparameters import Division, Params
from adapters.training.passes import Task
from adapters.training.plan import Planned, make_plan
from adapters.training.prototype import Prototype

KEPT = 16
"""Architectures whose plans are kept."""

_ORDER, _NOISE = 1, 2
"""What random numbers are for: streams of one seed."""


@dataclass
class Setup:
    """What all trainings of an objective have in common.

    Attributes
    ----------
    make_model, division
        What makes models, and of which hyperparameters.
    task
        Data, loss and metric.
    epochs
        How long a whole training is.
    plan
        The wanted path.
    seed
        What all random numbers come from.
    dtype, device
        Of the models; None: as they are made.
    plans
        Those that were made, the latest used last.
    """

    make_model: Callable[..., nn.Module]
    division: Division
    task: Task
    epochs: int
    plan: Plan
    seed: int
    dtype: torch.dtype | None
    device: torch.device | None
    plans: list[tuple[nn.Module, int, Prototype, Planned]] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many there are to train on."""
        return data.count(self.task.inputs, self.task.targets)

    def model(self, params: Params, seed: int | None = None) -> nn.Module:
        """Return a fresh model, initialised from a seed; torch's random state is as before.

        Raises
        ------
        TypeError
            make_model made none.
        """
        devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
        with torch.random.fork_rng(devices=list(devices)):
            torch.manual_seed(self.seed if seed is None else seed)
            made = self.make_model(**self.division.of_model(params))
        if not isinstance(made, nn.Module):
            raise TypeError(f"make_model must return a torch.nn.Module, not {made!r:.60}")
        return made.to(device=self.device, dtype=self.dtype).train()

    def planned(self, model: nn.Module, batch_size: int | None) -> tuple[Prototype, Planned]:
        """Return what stands for such models, and how they are trained."""
        size = self._size(batch_size)
        for i, (like, of_size, prototype, planned) in enumerate(self.plans):
            if of_size == size and are_alike(like, model):
                self.plans.append(self.plans.pop(i))
                return prototype, planned
        prototype = Prototype(model, self.task, size)
        planned = make_plan(prototype, self.plan)
        self.plans.append((model, size, prototype, planned))
        del self.plans[:-KEPT]
        return prototype, planned

    def epoch(self, number: int, batch_size: int | None) -> Epoch:
        """Return the steps of an epoch (from 0): the same samples and noise for all trainings."""
        size, seed = self._size(batch_size), [self.seed, _NOISE, number]
        per_epoch = -(-self.samples // size)
        noise = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
        return Epoch(self._order(number, size), number * per_epoch, self.epochs * per_epoch, noise)

    def _order(self, number: int, size: int) -> list[Tensor | None]:
        if size == self.samples:
            return [None]
        rng = np.random.default_rng([self.seed, _ORDER, number])
        order = torch.from_numpy(rng.permutation(self.samples))
        return list(torch.split(order.to(self._place), size))

    @property
    def _place(self) -> torch.device | None:
        return self.task.inputs.device if isinstance(self.task.inputs, Tensor) else self.device

    def _size(self, batch_size: int | None) -> int:
        return self.samples if batch_size is None else min(batch_size, self.samples)
