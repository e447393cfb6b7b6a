"""The four networks that a population goes through, small to large, and the populations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from experiments.architectures import Setup, convolutions
from experiments.one_by_one import weights
from experiments.problems import digits

SPREAD = 0.3
"""Candidates are normal around the model's weights, with this deviation."""


@dataclass(frozen=True)
class Model:
    """A network with its data.

    Attributes
    ----------
    name, about
        A short name, and what it is.
    make
        Builds it.
    populations
        The sizes of population to measure.
    quick
        The one of them for a quick measurement.
    heaviest
        The size whose memory is measured.
    """

    name: str
    about: str
    make: Callable[[], Setup]
    populations: tuple[int, ...]
    quick: int
    heaviest: int

    def setup(self, device: str = "cpu") -> Setup:
        """Build it, the same at every call; torch's global random state stays as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.make().to(device=device)


def population(setup: Setup, count: int) -> NDArray[np.floating]:
    """Return candidates (count, n) in the model's precision, the same at every call."""
    center = weights(setup.model)
    noise = np.random.default_rng(count).standard_normal((count, len(center)))
    points: NDArray[np.floating] = (center + SPREAD * noise).astype(precision(setup))
    return points


def precision(setup: Setup) -> np.dtype[Any]:
    """Return the model's floating type."""
    first = next(setup.model.parameters())
    return np.dtype(str(first.dtype).removeprefix("torch."))


def _tiny() -> Setup:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).double()
    inputs = torch.randn(32, 2, dtype=torch.float64)
    return Setup(model, F.cross_entropy, inputs, (inputs[:, 0] * inputs[:, 1] > 0).long())


def _perceptron() -> Setup:
    images, labels = digits.load()
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return Setup(model, F.cross_entropy, images, labels)


def _convolutions() -> Setup:
    images, labels = digits.load()
    return Setup(convolutions(), F.cross_entropy, images[:256].reshape(256, 1, 8, 8), labels[:256])


def _wide() -> Setup:
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return Setup(model, F.cross_entropy, torch.randn(256, 784), torch.randint(10, (256,)))


MODELS: dict[str, Model] = {
    row.name: row
    for row in [
        Model(
            "M1",
            "Linear(2, 2) without bias, ReLU, Linear(2, 2); 32 rows; float64",
            _tiny,
            (10, 100, 1000, 4096),
            quick=1000,
            heaviest=4096,
        ),
        Model(
            "M2",
            "Linear(64, 32), ReLU, Linear(32, 10); 1797 digits; float32",
            _perceptron,
            (10, 100, 1000, 4096),
            quick=100,
            heaviest=4096,
        ),
        Model(
            "M3",
            "Conv2d(1, 8, 3), ReLU, MaxPool2d, Conv2d(8, 16, 3), ReLU, MaxPool2d, "
            "Linear(64, 10); 256 digits; float32",
            _convolutions,
            (10, 100, 1000),
            quick=100,
            heaviest=4096,
        ),
        Model(
            "M4",
            "Linear(784, 128), ReLU, Linear(128, 10); 256 rows; float32",
            _wide,
            (10, 100, 1000),
            quick=100,
            heaviest=1000,
        ),
    ]
}
