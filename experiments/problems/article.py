"""The problem of "Advanced optimizers for PyTorch" (2024).

A float64 network of two layers, Linear(2, 2, no bias), ReLU, Linear(2, 2), is to reproduce its
input: 32 standard-normal points in the plane, the second coordinate 1000 times larger. The loss is
the mean squared error; ten parameters. Every number is the article's, to the last digit: model and
data are drawn in float32 from torch's stream of seed 42, the model first, and converted then.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

SEED = 42
N = 10
ROWS = 32
BOUNDS = (-1.0, 1.0)
OPTIMUM = 0.7830541
"""The global minimum: the best of 2,000 gradient descents; more than half of them end there."""
START_LOSS = 307090.483492672
"""The loss at the article's start."""


def network() -> "tuple[torch.nn.Module, torch.Tensor]":
    """Return the model and its data (inputs are the targets too); torch's stream stays as it is."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).double()
        data = torch.randn(ROWS, 2).double()
    data[:, 1] *= 1000
    return model, data


def objective(order: Any = None) -> Any:
    """Return the batched objective, (k, 10) -> (k,).

    Parameters
    ----------
    order
        A permutation of the rows of the data. The loss stays the same but for the last bits of
        its sum, which shows what hangs on them.
    """
    from torch.nn.functional import mse_loss

    from adapters import ModelObjective

    model, data = network()
    if order is not None:
        data = data[order]
    return ModelObjective(model, mse_loss, data, data)


def draw(rng: np.random.Generator | np.random.RandomState) -> Array:
    """Return a start: normal, a tenth in scale. ``RandomState(42)`` gives the article's."""
    return 0.1 * np.asarray(rng.standard_normal(N))


def start() -> Array:
    """Return the article's start."""
    return draw(np.random.RandomState(SEED))  # noqa: NPY002 (the published stream)


def stream() -> np.random.RandomState:
    """Return numpy's legacy stream in the state after the draw of the article's start."""
    rng = np.random.RandomState(SEED)  # noqa: NPY002 (the published stream)
    draw(rng)
    return rng
