"""Update rules on rows: each row of weights has settings of its own, and moves as it would alone.

A rule is a handful of operations on whole arrays (k, n). To add one, write a `Rule` and name it in
`RULES`. Each is torch's rule of the same name, rearranged so that what differs from row to row is
one column (k, 1): the weights agree to rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from blackbox.types import Array

Columns = dict[str, Tensor]
"""What a step needs of each row's settings, (k, 1), by name."""

LEAST_RATE = 1e-30
"""In place of a learning rate of zero, by which Adam's step would have to be divided."""


class Rule(ABC):
    """How weights follow gradients.

    Attributes
    ----------
    settings
        The names of its settings, and what torch takes where they are not given.
    moments
        How many arrays (k, n), zero at first, it keeps from step to step.
    """

    settings: ClassVar[Mapping[str, Any]]
    moments: ClassVar[int]

    @abstractmethod
    def columns(
        self, settings: Mapping[str, Array], rates: Array, steps: Array
    ) -> dict[str, Array]:
        """Return what `step` needs, for several steps at once.

        Parameters
        ----------
        settings
            By name, (k,).
        rates
            Learning rates, (t, k).
        steps
            The numbers of the steps, (t, 1), from 1.

        Returns
        -------
        By name, (t, k) or (1, k). ``"decay"`` is there only where a row decays its weights.
        """

    @abstractmethod
    def step(self, rows: Tensor, slopes: Tensor, moments: Tensor, at: Columns) -> None:
        """Move the rows (k, n), in place; slopes (k, n) and moments (m, k, n) are overwritten."""

    @abstractmethod
    def build(
        self, parameters: Iterable[Tensor], settings: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """Return torch's own optimizer, for one model; settings have the names of `settings`."""


def _with_decay(columns: dict[str, Array], decay: Array) -> dict[str, Array]:
    return columns | {"decay": decay[None]} if decay.any() else columns


def _decay(rows: Tensor, slopes: Tensor, at: Columns) -> None:
    """Add a penalty's slope to the loss's."""
    if "decay" in at:
        slopes.addcmul_(rows, at["decay"])


class SGD(Rule):
    """``torch.optim.SGD``: gradient descent with momentum, if any, or Nesterov's."""

    settings: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-3,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
    }
    moments = 1

    def columns(
        self, settings: Mapping[str, Array], rates: Array, steps: Array
    ) -> dict[str, Array]:
        """See `Rule`."""
        momentum, nesterov = settings["momentum"], settings["nesterov"]
        made = {"momentum": momentum[None], "back": -rates}
        if nesterov.any():
            made |= {"ahead": np.where(nesterov, momentum, 1.0)[None], "own": 1.0 * nesterov[None]}
        return _with_decay(made, settings["weight_decay"])

    def step(self, rows: Tensor, slopes: Tensor, moments: Tensor, at: Columns) -> None:
        """See `Rule`."""
        _decay(rows, slopes, at)
        velocity = moments[0]
        velocity.mul_(at["momentum"]).add_(slopes)
        if "own" in at:
            slopes.mul_(at["own"]).addcmul_(velocity, at["ahead"])
            velocity = slopes
        rows.addcmul_(velocity, at["back"])

    def build(
        self, parameters: Iterable[Tensor], settings: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """See `Rule`."""
        # torch refuses Nesterov's without momentum, where it is the same as none.
        nesterov = bool(settings["nesterov"]) and settings["momentum"] > 0
        return torch.optim.SGD(parameters, **dict(settings) | {"nesterov": nesterov})


class RMSprop(Rule):
    """``torch.optim.RMSprop``: steps divided by a moving average of the gradient's size."""

    settings: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-2,
        "alpha": 0.99,
        "eps": 1e-8,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }
    moments = 2

    def columns(
        self, settings: Mapping[str, Array], rates: Array, steps: Array
    ) -> dict[str, Array]:
        """See `Rule`."""
        made = {
            "new": 1 - settings["alpha"][None],
            "eps": settings["eps"][None],
            "momentum": settings["momentum"][None],
            "back": -rates,
        }
        return _with_decay(made, settings["weight_decay"])

    def step(self, rows: Tensor, slopes: Tensor, moments: Tensor, at: Columns) -> None:
        """See `Rule`."""
        _decay(rows, slopes, at)
        squares, velocity = moments
        squares.lerp_(slopes.square(), at["new"])
        velocity.mul_(at["momentum"]).addcdiv_(slopes, squares.sqrt().add_(at["eps"]))
        rows.addcmul_(velocity, at["back"])

    def build(
        self, parameters: Iterable[Tensor], settings: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """See `Rule`."""
        return torch.optim.RMSprop(parameters, **settings)


class Adam(Rule):
    """``torch.optim.Adam``: steps by moving averages of the gradient and of its square."""

    settings: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    moments = 2

    def columns(
        self, settings: Mapping[str, Array], rates: Array, steps: Array
    ) -> dict[str, Array]:
        """See `Rule`."""
        first, second = 1 - settings["beta1"] ** steps, 1 - settings["beta2"] ** steps
        slow = first / np.maximum(rates, LEAST_RATE)
        made = {
            "new": 1 - settings["beta1"][None],
            "new_square": 1 - settings["beta2"][None],
            # The step is the mean gradient over (root * scale + offset).
            "scale": slow / np.sqrt(second),
            "offset": slow * settings["eps"],
        }
        return self._decaying(made, settings["weight_decay"], rates)

    def _decaying(self, columns: dict[str, Array], decay: Array, rates: Array) -> dict[str, Array]:
        return _with_decay(columns, decay)

    def step(self, rows: Tensor, slopes: Tensor, moments: Tensor, at: Columns) -> None:
        """See `Rule`."""
        self._decay(rows, slopes, at)
        mean, squares = moments
        mean.lerp_(slopes, at["new"])
        squares.lerp_(slopes.square_(), at["new_square"])
        torch.sqrt(squares, out=slopes)
        torch.addcmul(at["offset"], slopes, at["scale"], out=slopes)
        rows.addcdiv_(mean, slopes, value=-1)

    def _decay(self, rows: Tensor, slopes: Tensor, at: Columns) -> None:
        _decay(rows, slopes, at)

    def build(
        self, parameters: Iterable[Tensor], settings: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """See `Rule`."""
        return torch.optim.Adam(parameters, **_as_torch(settings))


class AdamW(Adam):
    """``torch.optim.AdamW``: Adam, and a weight decay that does not pass through its averages."""

    settings: ClassVar[Mapping[str, Any]] = {**Adam.settings, "weight_decay": 1e-2}

    def _decaying(self, columns: dict[str, Array], decay: Array, rates: Array) -> dict[str, Array]:
        return columns | {"decay": 1 - rates * decay} if decay.any() else columns

    def _decay(self, rows: Tensor, slopes: Tensor, at: Columns) -> None:
        if "decay" in at:
            rows.mul_(at["decay"])

    def build(
        self, parameters: Iterable[Tensor], settings: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        """See `Rule`."""
        return torch.optim.AdamW(parameters, **_as_torch(settings))


def _as_torch(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return Adam's settings by torch's names."""
    rest = {name: value for name, value in settings.items() if name not in ("beta1", "beta2")}
    return rest | {"betas": (settings["beta1"], settings["beta2"])}


RULES: Mapping[str, Rule] = {
    "sgd": SGD(),
    "rmsprop": RMSprop(),
    "adam": Adam(),
    "adamw": AdamW(),
}
"""Rules by name."""


def clip(slopes: Tensor, longest: Tensor) -> None:
    """Shorten rows of slopes (k, n), in place, to the lengths (k, 1), as torch would each."""
    length = torch.linalg.vector_norm(slopes, dim=1, keepdim=True)
    slopes.mul_((longest / (length + 1e-6)).clamp_(max=1.0))
