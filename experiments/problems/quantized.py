"""A digit classifier with ternary weights: no gradient leads anywhere.

A float32 network 64-16-10 with ReLU, whose 1210 weights and biases are rounded to -1/2, 0 or 1/2 in
the forward pass. The variables are the latent weights before rounding; the loss is the rounded
network's cross-entropy on the first 898 digits, and the other 899 are for the test. Autograd gives
a gradient of zeros everywhere, and finite differences see none of the steps.

What else one could do, on the same halves: train the same network in float32 by Adam (test accuracy
0.93) and round it afterwards (0.55 to 0.68 by the seed); or pretend in the backward pass that
nothing was rounded (a straight-through estimator), if one can reach into the layers: Adam then gets
to 0.91 to 0.94 in 1000 steps, where its weights begin far enough from zero. A search needs only
the loss.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import digits
from experiments.problems.benchmark import Benchmark
from experiments.problems.family import Family

if TYPE_CHECKING:
    from torch import nn

    from adapters.batched import Plan

Array = NDArray[np.float64]

SEED = 0
HIDDEN = 16
STEP = 0.5
TRAINING = 898
"""Images that the loss is about, the first ones; the rest are for the test."""
N = 1210
BOUNDS = (-1.0, 1.0)
"""The latent weights' box: beyond 3/4 nothing changes."""


def network() -> "nn.Module":
    """Return the model as it is made, untrained; torch's stream stays as it is."""
    import torch
    from torch import nn

    from experiments.problems.ternary import TernaryLinear

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        return nn.Sequential(
            TernaryLinear(digits.PIXELS, HIDDEN, STEP),
            nn.ReLU(),
            TernaryLinear(HIDDEN, digits.CLASSES, STEP),
        )


def objective(plan: "Plan" = "auto") -> Any:
    """Return the batched objective, (k, 1210) -> (k,).

    Parameters
    ----------
    plan
        As in `adapters.ModelObjective`.
    """
    from torch.nn.functional import cross_entropy

    from adapters import ModelObjective

    images, labels = digits.load()
    return ModelObjective(network(), cross_entropy, images[:TRAINING], labels[:TRAINING], plan=plan)


def draw(rng: np.random.Generator | np.random.RandomState) -> Array:
    """Return a start: normal, a tenth in scale, so that most weights are rounded to zero."""
    return 0.1 * np.asarray(rng.standard_normal(N))


def report(x: Array) -> dict[str, float]:
    """Return the accuracy of the network with latent weights ``x`` on the test half."""
    import torch

    from adapters import ParameterVector

    model = network()
    ParameterVector(model).assign(x)
    images, labels = digits.load()
    with torch.no_grad():
        right = model(images[TRAINING:]).argmax(-1) == labels[TRAINING:]
    return {"test accuracy": float(right.double().mean())}


FAMILY = Family.single(
    Benchmark(
        name="quantized",
        description="cross-entropy of a 64-16-10 digit classifier with ternary weights",
        source=digits.SOURCE,
        make=objective,
        n=N,
        bounds=BOUNDS,
        draw=draw,
        legacy=True,
        report=report,
        require=digits.require,
        cost="60 us",
    ),
    start="normal, a tenth in scale",
)
