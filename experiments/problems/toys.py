"""Two small tasks that networks have been tried on for decades: XOR and two spirals.

Rumelhart, D. E., Hinton, G. E., Williams, R. J. (1986), Learning internal representations by error
propagation, Parallel Distributed Processing 1, 318-362 (XOR by two hidden units).
Lang, K. J., Witbrock, M. J. (1988), Learning to tell two spirals apart, Proceedings of the 1988
Connectionist Models Summer School, 52-59.

Their gradients can be had.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.problems.benchmark import Benchmark, Layers
from experiments.problems.family import Family

if TYPE_CHECKING:
    from torch import Tensor, nn

XOR_LAYERS = Layers(((2, 2), (2, 1)))
SPIRAL_LAYERS = Layers(((2, 16), (16, 16), (16, 1)))
SPIRAL_POINTS = 97
"""Points of each spiral, three turns."""


def xor_objective() -> Any:
    """Return the mean squared error of a 2-2-1 network, batched: (k, 9) -> (k,)."""
    import torch
    from torch.nn.functional import mse_loss

    from adapters import ModelObjective

    inputs = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    targets = torch.tensor([[0], [1], [1], [0]], dtype=torch.float64)
    return ModelObjective(_network(XOR_LAYERS).double(), mse_loss, inputs, targets)


def spirals_objective() -> Any:
    """Return the cross-entropy of a 2-16-16-1 network, batched: (k, 337) -> (k,)."""
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    from adapters import ModelObjective

    return ModelObjective(_network(SPIRAL_LAYERS), cross_entropy, *spirals())


def spirals_report(x: Any) -> dict[str, float]:
    """Return the share of the points that the network with weights ``x`` tells apart."""
    import torch

    from adapters import ParameterVector

    model = _network(SPIRAL_LAYERS)
    ParameterVector(model).assign(x)
    inputs, targets = spirals()
    with torch.no_grad():
        right = (model(inputs) > 0) == (targets > 0)
    return {"accuracy": float(right.double().mean())}


def spirals() -> "tuple[Tensor, Tensor]":
    """Return the points, float32 (194, 2) within the unit disk, and which spiral's, (194, 1)."""
    import torch

    steps = np.arange(SPIRAL_POINTS)
    angle, radius = steps * np.pi / 16, (104 - steps) / 104
    first = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    inputs = torch.tensor(np.concatenate([first, -first]), dtype=torch.float32)
    return inputs, torch.tensor([[1.0]] * SPIRAL_POINTS + [[0.0]] * SPIRAL_POINTS)


def _network(layers: Layers) -> "nn.Module":
    """Linear layers with tanh between them; torch's stream stays as it is."""
    import torch
    from torch import nn

    modules: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for fan_in, fan_out in layers.layers:
            modules += [nn.Linear(fan_in, fan_out), nn.Tanh()]
    return nn.Sequential(*modules[:-1])


XOR = Family.single(
    Benchmark(
        name="xor",
        description="squared error of a 2-2-1 tanh network that learns XOR",
        source="Rumelhart, Hinton and Williams (1986)",
        make=xor_objective,
        n=XOR_LAYERS.n,
        bounds=(-5.0, 5.0),
        draw=XOR_LAYERS,
        optimum=0.0,
        cost="5 us",
    ),
    start="as torch initializes layers",
)
SPIRALS = Family.single(
    Benchmark(
        name="spirals",
        description="cross-entropy of a 2-16-16-1 tanh network that tells two spirals apart",
        source="Lang and Witbrock (1988)",
        make=spirals_objective,
        n=SPIRAL_LAYERS.n,
        bounds=(-10.0, 10.0),
        draw=SPIRAL_LAYERS,
        report=spirals_report,
        cost="30 us",
    ),
    start="as torch initializes layers",
)
