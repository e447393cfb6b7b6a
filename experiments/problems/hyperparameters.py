"""How to train a digit classifier: six numbers of a training, and how well it then does.

A float32 network 64-width-10 with ReLU is trained by stochastic gradient descent with momentum on
the first 600 digits, four times over, always from the same random numbers: the objective is a
function. Its value is the cross-entropy on the next 600; on the last 597 the report says how many
are right. The variables go from 0 to 1 and stand for

- the rate, 10^-3 to 1;
- the momentum, 0 to 0.99;
- the weight decay, 10^-6 to 10^-1;
- the width, 4 to 64, rounded;
- the size of minibatches, 16 to 128, rounded on a logarithmic scale;
- the scale of the first weights, 1/10 to 10 times torch's own.

A training that runs away counts as `WORST`, as does one that ends worse than that.

Random search is the baseline to beat: Bergstra, J., Bengio, Y. (2012), Random search for
hyper-parameter optimization, Journal of Machine Learning Research 13, 281-305.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.problems import digits
from experiments.problems.benchmark import Benchmark, Layers, Uniform
from experiments.problems.family import Family

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

SEED = 0
N = 6
BOUNDS = (0.0, 1.0)
EPOCHS = 4
WORST = 10.0
"""No training is worse: the cross-entropy of a guess is 2.3."""
TRAINING, VALIDATION, TEST = slice(0, 600), slice(600, 1200), slice(1200, None)


class Choice(NamedTuple):
    """What the variables stand for."""

    rate: float
    momentum: float
    decay: float
    width: int
    batch: int
    scale: float


def read(x: Array) -> Choice:
    """Return what a point (6,) of the box stands for."""
    rate, momentum, decay, width, batch, scale = np.clip(x, 0, 1).tolist()
    return Choice(
        rate=10 ** (3 * rate - 3),
        momentum=0.99 * momentum,
        decay=10 ** (5 * decay - 6),
        width=round(4 + 60 * width),
        batch=round(16 * 8**batch),
        scale=10 ** (2 * scale - 1),
    )


def value(x: Array) -> float:
    """Return the cross-entropy on the validation data after a training by `read(x)`."""
    return _score(x, VALIDATION)[0]


def report(x: Array) -> dict[str, float]:
    """Return how many test digits are recognized after a training by `read(x)`."""
    return {"test accuracy": _score(x, TEST)[1]}


class Objective:
    """Trainings, one after the other, as a batched objective: (k, 6) -> (k,)."""

    batched = True
    reads_only = True

    def __call__(self, points: Array) -> Array:
        """Return the values (k,) of points (k, 6)."""
        return np.array([value(x) for x in points])


def _score(x: Array, rows: slice) -> tuple[float, float]:
    """Cross-entropy and accuracy on these digits."""
    import torch
    from torch.nn.functional import cross_entropy

    images, labels = digits.load()
    first, biases, last, bias = _train(read(x))
    with torch.no_grad():
        scores = (images[rows] @ first + biases).relu() @ last + bias
        loss = float(cross_entropy(scores, labels[rows]).nan_to_num(WORST))
        right = float((scores.argmax(-1) == labels[rows]).double().mean())
    return min(loss, WORST), right


def _train(choice: Choice) -> "list[Tensor]":
    """Return the weights and biases of both layers after the training."""
    import torch
    from torch.nn.functional import cross_entropy

    images, labels = digits.load()
    images, labels = images[TRAINING], labels[TRAINING]
    rng = np.random.default_rng(SEED)
    weights = _initial(rng, choice)
    steps = torch.optim.SGD(
        weights, lr=choice.rate, momentum=choice.momentum, weight_decay=choice.decay
    )
    with torch.inference_mode(False), torch.enable_grad():
        for _ in range(EPOCHS):
            for rows in torch.split(torch.from_numpy(rng.permutation(len(labels))), choice.batch):
                first, biases, last, bias = weights
                scores = (images[rows] @ first + biases).relu() @ last + bias
                steps.zero_grad()
                cross_entropy(scores, labels[rows]).backward()  # type: ignore[no-untyped-call]
                steps.step()
    return weights


def _initial(rng: np.random.Generator, choice: Choice) -> "list[Tensor]":
    """Weights as torch initializes layers, times a scale."""
    import torch

    drawn = []
    for fan_in, fan_out in ((digits.PIXELS, choice.width), (choice.width, digits.CLASSES)):
        numbers = choice.scale * Layers(((fan_in, fan_out),))(rng)
        drawn += [numbers[:-fan_out].reshape(fan_in, fan_out), numbers[-fan_out:]]
    return [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in drawn]


FAMILY = Family.single(
    Benchmark(
        name="hyperparameters",
        description="validation loss of a short training of a digit classifier, by its settings",
        source=digits.SOURCE,
        make=Objective,
        n=N,
        bounds=BOUNDS,
        draw=Uniform(*BOUNDS, N),
        report=report,
        require=digits.require,
        cost="30 ms",
    ),
    start="uniform in the box",
)
