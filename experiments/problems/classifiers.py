"""Classifiers of handwritten digits, on the loss that they are usually trained by.

A linear model, a network 64-32-10 and a small convolutional one (8 filters of 3 x 3, pooled by 2),
all float32 with ReLU. The objective is the cross-entropy on the first 898 digits, on all of them or
on minibatches; the other 899, by other writers, are for the validation. Gradients can be had, so
here they show what a search without them gives away.

The fourth is to be trained as people train: a network 64-128-10 on minibatches, stopped by its
validation loss. Of the 899 digits, 449 are for that, and the last 450 for the test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.problems import digits
from experiments.problems.benchmark import Array, Benchmark, Layers
from experiments.problems.family import Family, Parameter, Whole

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAINING = 898
"""Images that the loss is about, the first ones."""
VALIDATION = {"validation": slice(TRAINING, None)}
VALIDATION_AND_TEST = {
    "validation": slice(TRAINING, TRAINING + 449),
    "test": slice(TRAINING + 449, None),
}
BOUNDS = (-3.0, 3.0)
"""After 1500 steps of Adam at a rate of 0.01 the networks' largest weight is 2.4; those of the
linear model, which grow on, are at the bounds, at a validation accuracy of 0.93."""


@dataclass(frozen=True)
class Classifier:
    """A model to train.

    Attributes
    ----------
    name, description
        What the family is called, what the model is.
    layers
        Of the model, for its starts.
    cost
        What an evaluation on all training data takes.
    build
        Makes the model, untrained.
    shape
        Of an image as the model takes it.
    held_out
        Images that the loss is not about, by what they are for.
    batch
        Size of minibatches where none is given; 0: none.
    """

    name: str
    description: str
    layers: Layers
    cost: str
    build: "Callable[[], nn.Module]"
    shape: tuple[int, ...] = (digits.PIXELS,)
    held_out: Mapping[str, slice] = field(default_factory=VALIDATION.copy)
    batch: int = 0

    def network(self) -> "nn.Module":
        """Return the model; torch's stream stays as it is."""
        import torch

        with torch.random.fork_rng(devices=[]):
            return self.build()

    def objective(self, batch: int = 0) -> Any:
        """Return the batched objective, (k, n) -> (k,), on minibatches of this size; 0: on all."""
        from torch.nn.functional import cross_entropy

        from adapters import ModelObjective

        images, labels = self._data(slice(0, TRAINING))
        return ModelObjective(
            self.network(),
            cross_entropy,
            images,
            labels,
            batch_size=batch or None,
            validation=self._data(self.held_out["validation"]),
        )

    def report(self, x: Array) -> dict[str, float]:
        """Return accuracy and loss of the model with weights ``x`` (n,) on the data held out."""
        import torch
        from torch.nn.functional import cross_entropy

        from adapters import ParameterVector

        model = self.network()
        ParameterVector(model).assign(x)
        figures = {}
        with torch.no_grad():
            for name, rows in self.held_out.items():
                images, labels = self._data(rows)
                scores = model(images)
                right = scores.argmax(-1) == labels
                figures[f"{name} accuracy"] = float(right.double().mean())
                figures[f"{name} loss"] = float(cross_entropy(scores, labels))
        return figures

    def _data(self, rows: slice) -> "tuple[Tensor, Tensor]":
        images, labels = digits.load()
        return images[rows].reshape(-1, *self.shape), labels[rows]

    def benchmark(self, batch: int) -> Benchmark:
        """Return the problem with minibatches of this size; 0: with all the data."""
        return Benchmark(
            name=f"{self.name}:batch={batch}",
            description=f"cross-entropy of {self.description}"
            + (f", minibatches of {batch}" if batch else ""),
            source=digits.SOURCE,
            make=partial(self.objective, batch),
            n=self.layers.n,
            bounds=BOUNDS,
            draw=self.layers,
            report=self.report,
            require=digits.require,
            cost="up to " * (batch > 0) + self.cost,
            changing=0 < batch < TRAINING,
        )

    def family(self) -> Family:
        """Return the row of the table."""
        return Family(
            name=self.name,
            description=f"cross-entropy of {self.description}",
            source=digits.SOURCE,
            variables=f"{self.layers.n:,}",
            box="-3 .. 3",
            start="as torch initializes layers",
            optimum="unknown",
            cost=self.cost,
            make=self.benchmark,
            parameters={
                "batch": Parameter(
                    "size of minibatches; 0: none", Whole(0, TRAINING), str(self.batch)
                )
            },
            require=digits.require,
        )


def _linear() -> "nn.Module":
    from torch import nn

    return nn.Linear(digits.PIXELS, digits.CLASSES)


def _mlp() -> "nn.Module":
    from torch import nn

    return nn.Sequential(nn.Linear(digits.PIXELS, 32), nn.ReLU(), nn.Linear(32, digits.CLASSES))


def _wide() -> "nn.Module":
    from torch import nn

    return nn.Sequential(nn.Linear(digits.PIXELS, 128), nn.ReLU(), nn.Linear(128, digits.CLASSES))


def _conv() -> "nn.Module":
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(72, digits.CLASSES),
    )


CLASSIFIERS = (
    Classifier(
        "digits-linear",
        "a linear digit classifier",
        Layers(((digits.PIXELS, digits.CLASSES),)),
        "30 us",
        _linear,
    ),
    Classifier(
        "digits-mlp",
        "a 64-32-10 digit classifier",
        Layers(((digits.PIXELS, 32), (32, digits.CLASSES))),
        "70 us",
        _mlp,
    ),
    Classifier(
        "digits-conv",
        "a convolutional digit classifier",
        Layers(((9, 8), (72, digits.CLASSES))),
        "300 us",
        _conv,
        shape=(1, 8, 8),
    ),
    Classifier(
        "digits-training",
        "a 64-128-10 digit classifier, with validation and test data",
        Layers(((digits.PIXELS, 128), (128, digits.CLASSES))),
        "300 us",
        _wide,
        held_out=VALIDATION_AND_TEST,
        batch=64,
    ),
)
