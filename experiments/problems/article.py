"""The problem of "Advanced optimizers for PyTorch" (2024).

A float64 network of two layers, Linear(2, 2, no bias), ReLU, Linear(2, 2), is to reproduce its
input: 32 standard-normal points in the plane, the second coordinate 1000 times larger. The loss is
the mean squared error; ten parameters. Every number is the article's, to the last digit: model and
data were drawn in float32 from torch's stream of seed 42, the model first, and converted then. The
data stand here as numbers, because torch's normal draws differ in their last bits between
processors with and without AVX2.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems.benchmark import Benchmark
from experiments.problems.family import Family

if TYPE_CHECKING:
    import torch

    from adapters.batched import Plan

Array = NDArray[np.float64]

SEED = 42
N = 10
BOUNDS = (-1.0, 1.0)
OPTIMUM = 0.7830541
"""The global minimum: the best of 2,000 gradient descents; more than half of them end there."""
START_LOSS = 307090.483492672
"""The loss at the article's start."""
# fmt: off
POINTS = (
    (-0.24285863, -0.93416315), (-0.2482575, -1.2082148), (-0.47766745, 0.5201312),
    (1.6423169, -0.15959747), (2.322806, -0.9633659), (2.0024154, 0.4664319),
    (1.5730273, -0.92282885), (1.2791244, 1.2964228), (-0.49335635, 0.24148779),
    (-1.1109039, 0.09154566), (-2.3169227, -0.21680473), (-1.3846737, -0.87123615),
    (0.80340934, -0.6215954), (-0.59200054, -0.06307438), (-0.8285543, 0.33089843),
    (-1.5575725, 0.9956361), (1.5736002, -0.84546745), (1.3123076, 0.6871596),
    (-1.0891753, -0.35528663), (-0.913823, -0.65813726), (0.049905386, 2.266718),
    (1.1789509, -0.4344544), (-1.3863655, -1.2862155), (-1.4032478, 0.036003668),
    (1.8113178, 0.16056493), (0.36724865, 0.17541084), (1.3851606, -0.445852),
    (1.4451338, 0.85641253), (-1.0758859, 0.53565466), (1.1753677, 0.56117386),
    (-0.45274803, -0.77177787), (-0.17219013, 0.52378845),
)
# fmt: on
"""What ``torch.randn(32, 2)`` gives after the model was drawn; float32."""
ROWS = len(POINTS)


def network() -> "tuple[torch.nn.Module, torch.Tensor]":
    """Return the model and its data (inputs are the targets too); torch's stream stays as it is."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).double()
    data = torch.tensor(POINTS, dtype=torch.float32).double()
    data[:, 1] *= 1000
    return model, data


def objective(order: Any = None, plan: "Plan" = "auto") -> Any:
    """Return the batched objective, (k, 10) -> (k,).

    Parameters
    ----------
    order
        A permutation of the rows of the data. The loss stays the same but for the last bits of
        its sum, which shows what hangs on them.
    plan
        As in `adapters.ModelObjective`; ``"loop"`` is point by point, as in the article.
    """
    from torch.nn.functional import mse_loss

    from adapters import ModelObjective

    model, data = network()
    if order is not None:
        data = data[order]
    return ModelObjective(model, mse_loss, data, data, plan=plan)


def draw(rng: np.random.Generator | np.random.RandomState) -> Array:
    """Return a start: normal, a tenth in scale. ``RandomState(42)`` gives the article's."""
    return 0.1 * np.asarray(rng.standard_normal(N))


def start() -> Array:
    """Return the article's start."""
    return draw(np.random.RandomState(SEED))


def stream() -> np.random.RandomState:
    """Return numpy's legacy stream in the state after the draw of the article's start."""
    rng = np.random.RandomState(SEED)
    draw(rng)
    return rng


FAMILY = Family.single(
    Benchmark(
        name="article",
        description="a 2-2-2 ReLU network learns the identity, one input 1000 times larger",
        source='"Advanced optimizers for PyTorch" (2024)',
        make=objective,
        n=N,
        bounds=BOUNDS,
        draw=draw,
        legacy=True,
        optimum=OPTIMUM,
        cost="5 us",
    ),
    start="normal, a tenth in scale; seed 42 has the article's",
)
