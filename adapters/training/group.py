"""What trains alike models by one rule: several trainings, side by side."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from adapters.training.hyperparameters import Settings
from blackbox.types import Array


class Epoch:
    """What the steps of an epoch have in common, whatever is trained.

    Parameters
    ----------
    order
        The samples of each step; None: all.
    begin, total
        How many steps came before; how many a whole training has.
    seed
        What dropout and the like draw from.

    Attributes
    ----------
    steps
        The numbers of the steps, (t, 1), from `begin` on.
    """

    def __init__(self, order: Sequence[Tensor | None], begin: int, total: int, seed: int) -> None:
        self.order, self.total, self.seed = order, total, seed
        self.steps: Array = begin + np.arange(float(len(order)))[:, None]


class Group(Protocol):
    """Several trainings of alike models, by one rule.

    Attributes
    ----------
    settings
        Those of the trainings, in their order; may be replaced between epochs by others of the
        same rule.
    """

    settings: Settings

    def train(self, epoch: Epoch) -> None:
        """Take the steps of an epoch."""
        ...

    def values(self) -> Array:
        """Return losses or metrics (k,) on what is held out; inf where weights are not finite."""
        ...

    def gather(self, rows: Sequence[int]) -> None:
        """Go on with these trainings, in this order; those named twice go on as two."""
        ...

    def write(self, row: int, model: nn.Module) -> None:
        """Write a training's weights, and the buffers that it changed, into a model."""
        ...
