"""A digit classifier meets a camera out of focus: fine-tuned on the score that counts.

A float32 network 64-16-10 with ReLU is pretrained by Adam on the first 600 digits. The second 600,
out of focus (each pixel is the mean of its neighbourhood), are what it is fine-tuned on, by its
biases and its last layer alone: 186 variables. The objective is 1 - macro F1, a count of right and
wrong answers without a derivative. The last 597 digits, out of focus too, are held out.

Fine-tuning pays: Adam on the cross-entropy of the same weights, 500 steps, takes the held-out F1
from 0.66 to 0.87. Where such a stand-in for the score exists, it costs less than a search and may
hold out better; a search needs only the score.
"""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import digits
from experiments.problems.benchmark import Benchmark
from experiments.problems.family import Family

if TYPE_CHECKING:
    import torch
    from torch import nn

    from adapters.batched import Plan

Array = NDArray[np.float64]

SEED = 0
HIDDEN = 16
PRETRAINING, TUNING, HELD_OUT = slice(0, 600), slice(600, 1200), slice(1200, None)
"""Which digits are for what."""
FREE = ("*.bias", "2.*")
"""The weights that are fine-tuned: all biases, and the last layer."""
N = 186
BOUNDS = (-3.0, 3.0)
"""Twice the largest of the pretrained weights."""


def network() -> "nn.Module":
    """Return the pretrained model; torch's stream stays as it is."""
    import torch

    with torch.random.fork_rng(devices=[]):
        model = _untrained()
    model.load_state_dict(_pretrained())
    return model


def objective(plan: "Plan" = "auto") -> Any:
    """Return the batched objective, (k, 186) -> (k,), from 0 to 1.

    Parameters
    ----------
    plan
        As in `adapters.ModelObjective`.
    """
    from adapters import ModelObjective

    images, labels = _out_of_focus(TUNING)
    return ModelObjective(network(), missed_f1, images, labels, select=FREE, plan=plan)


def draw(rng: np.random.Generator | np.random.RandomState) -> Array:
    """Return the start, the same for every source: the pretrained network."""
    from adapters import ParameterVector

    return ParameterVector(network(), FREE).pack()


def report(x: Array) -> dict[str, float]:
    """Return the macro F1 of the network with free weights ``x`` on the digits held out."""
    import torch

    from adapters import ParameterVector

    model = network()
    ParameterVector(model, FREE).assign(x)
    images, labels = _out_of_focus(HELD_OUT)
    with torch.no_grad():
        return {"held-out F1": 1 - float(missed_f1(model(images), labels))}


def missed_f1(scores: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Return 1 - macro F1 of the classes with the highest scores.

    Parameters
    ----------
    scores
        Of shape (rows, classes).
    labels
        The right classes, (rows,).

    Notes
    -----
    F1 of a class is 2 hits / (predicted + true); macro F1 is their mean over all classes, in which
    one that is neither predicted nor true counts as 0.
    """
    classes = labels.new_tensor(range(scores.shape[-1]))
    predicted = scores.argmax(-1).unsqueeze(-1) == classes
    true = labels.unsqueeze(-1) == classes
    hits = (predicted & true).double().sum(-2)
    named = predicted.double().sum(-2) + true.double().sum(-2)
    return 1 - (2 * hits / named.clamp(min=1)).mean(-1)


def _out_of_focus(rows: slice) -> "tuple[torch.Tensor, torch.Tensor]":
    from torch.nn.functional import avg_pool2d

    images, labels = digits.load()
    square = images[rows].reshape(-1, 1, 8, 8)
    blurred = avg_pool2d(square, 3, stride=1, padding=1, count_include_pad=False)
    return blurred.flatten(1), labels[rows]


def _untrained() -> "nn.Module":
    from torch import nn

    return nn.Sequential(
        nn.Linear(digits.PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, digits.CLASSES)
    )


@functools.cache
def _pretrained() -> "dict[str, torch.Tensor]":
    """The weights after 300 steps of Adam on all pretraining digits at once: about 0.2 seconds."""
    import torch
    from torch.nn.functional import cross_entropy

    images, labels = digits.load()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(SEED)
        model = _untrained()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(300):
            optimizer.zero_grad()
            cross_entropy(model(images[PRETRAINING]), labels[PRETRAINING]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.state_dict()


FAMILY = Family.single(
    Benchmark(
        name="finetune",
        description="1 - macro F1 of a digit classifier, fine-tuned to images out of focus",
        source=digits.SOURCE,
        make=objective,
        n=N,
        bounds=BOUNDS,
        draw=draw,
        legacy=True,
        report=report,
        require=digits.require,
        cost="100 us",
    ),
    start="the pretrained network",
)
