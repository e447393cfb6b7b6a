"""Networks of every kind that the adapter is held against: the rows of the agreement table.

To add one: a class or a function that builds it, and a row in `ARCHITECTURES`. All are small, and
seeded without touching torch's global random state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Setup(NamedTuple):
    """What an objective is made of: ``loss(model(inputs), targets)``."""

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor

    def to(self, *, dtype: torch.dtype | None = None, device: str | None = None) -> "Setup":
        """Return the same in another floating precision or elsewhere; the model is changed."""

        def moved(data: Tensor) -> Tensor:
            return data.to(device=device, dtype=dtype if data.is_floating_point() else None)

        model = self.model.to(device=device, dtype=dtype)
        loss = (
            self.loss.to(device=device, dtype=dtype) if isinstance(self.loss, nn.Module) else None
        )
        return Setup(model, loss or self.loss, moved(self.inputs), moved(self.targets))


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes
    ----------
    name
        What it shows.
    make
        Builds it, in float32.
    training
        Whether its model is evaluated in training mode.
    random
        Whether its forward pass draws random numbers.
    mixed
        Whether its weights are of several precisions; then there is no float64 version of it.
    """

    name: str
    make: Callable[[], Setup]
    training: bool = False
    random: bool = False
    mixed: bool = False

    def setup(self, dtype: torch.dtype = torch.float32) -> Setup:
        """Build it, in the mode in which it is evaluated: the same at every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            setup = self.make()
        setup.model.train(self.training)
        return setup if self.mixed else setup.to(dtype=dtype)

    def objective(self, setup: Setup, plan: Any = "auto", device: str | None = None) -> Any:
        """Return the adapter's objective of a setup; a plan that is impossible is a ValueError."""
        from adapters import ModelObjective

        return ModelObjective(*setup, plan=plan, device=device, training=self.training)


class Residual(nn.Module):
    """Two residual blocks of convolutions, written with functions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(96, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (rows, 4)."""
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.head(torch.flatten(F.max_pool2d(x, 2), 1))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    """A recurrent cell over a sequence, and a linear layer after its last step."""

    def __init__(self, cell: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cell = cell(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        return self.head(self.cell(x)[0][:, -1])  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head self-attention, and a linear layer after its last position."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        mixed, _ = self.mix(x, x, x, need_weights=False)
        return self.head(mixed[:, -1])  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """A transformer encoder of two layers over embedded tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        self.encode = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (rows, 3)."""
        return self.head(self.encode(self.embed(tokens)).mean(1))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3, bias=False)
        self.outer = nn.Linear(3, 3)
        self.outer.weight = self.inner.weight

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 3)."""
        return self.outer(torch.tanh(self.inner(x)))  # type: ignore[no-any-return]


class Reading(nn.Module):
    """Scales by a number that it reads from its own activations."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        hidden: Tensor = self.layer(x)
        return hidden / max(1.0, hidden.abs().max().item())


class Branching(nn.Module):
    """Goes one way or the other, as its activations say."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        hidden = torch.tanh(self.first(x))
        way = self.left if hidden.mean() > 0 else self.right
        return way(hidden)  # type: ignore[no-any-return]


class Rounded(nn.Module):
    """Weights are rounded to eighths in the forward pass: no useful derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (rows, 3)."""
        first, last = (torch.round(y.weight * 8) / 8 for y in (self.first, self.last))
        hidden = torch.relu(F.linear(x, first, self.first.bias))
        return F.linear(hidden, last, self.last.bias)


class Sampling(nn.Module):
    """Adds noise to what it hides."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        hidden: Tensor = self.inner(x)
        return self.outer(hidden + torch.randn_like(hidden))  # type: ignore[no-any-return]


class Counting(nn.Module):
    """Counts its passes in a buffer, and lets the count matter."""

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2)."""
        self.passes += 1
        return self.layer(x) * self.passes  # type: ignore[no-any-return]


class Mixed(nn.Module):
    """A layer in float64 before one in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(3, 4).double(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (rows, 2), float32."""
        return self.narrow(torch.tanh(self.wide(x.double())).float())  # type: ignore[no-any-return]


def convolutions() -> nn.Sequential:
    """Two convolutions of 8 x 8 pixels, each with ReLU and pooling, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def strided() -> nn.Sequential:
    """Convolutions with a stride and without a bias, and average pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, bias=False),
        nn.Tanh(),
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(6, 6, 2),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def perceptron(outputs: int = 3) -> nn.Sequential:
    """A hidden layer with tanh."""
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


def deep() -> nn.Sequential:
    """Seven hidden layers, a nonlinearity of its own after each."""
    bends = [nn.Tanh(), nn.GELU(), nn.SiLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.Sigmoid()]
    layers = [part for bend in bends for part in (nn.Linear(6, 6), bend)]
    return nn.Sequential(nn.Linear(4, 6), nn.Softplus(), *layers, nn.Linear(6, 2))


def settled(model: nn.Module, *shape: int) -> nn.Module:
    """Return a model whose running statistics have seen data."""
    with torch.no_grad():
        for _ in range(3):
            model(1.0 + 2.0 * torch.randn(30, *shape))
    return model


def regression(
    model: Callable[[], nn.Module],
    *shape: int,
    outputs: int = 2,
    rows: int = 9,
    loss: Callable[[Tensor, Tensor], Tensor] = F.mse_loss,
) -> Setup:
    """Make a setup of real inputs (rows, *shape) and real targets (rows, outputs)."""
    return Setup(model(), loss, torch.randn(rows, *shape), torch.randn(rows, outputs))


def classification(
    model: Callable[[], nn.Module],
    *shape: int,
    classes: int = 3,
    rows: int = 24,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Setup:
    """Make a setup of real inputs (rows, *shape) and classes (rows,)."""
    return Setup(model(), loss, torch.randn(rows, *shape), torch.arange(rows) % classes)


def images(model: Callable[[], nn.Module]) -> Setup:
    """Make a setup of images (24, 1, 8, 8) and four classes."""
    return classification(model, 1, 8, 8, classes=4)


def words(model: Callable[[], nn.Module], length: int) -> Setup:
    """Make a setup of tokens (12, length) below 7 and three classes."""
    return Setup(model(), F.cross_entropy, torch.randint(7, (12, length)), torch.arange(12) % 3)


def binary() -> Setup:
    """Make a setup of yes and no under a binary cross-entropy of logits."""
    setup = regression(lambda: perceptron(1), 4, outputs=1, rows=20)
    targets = (setup.targets > 0).float()
    return setup._replace(loss=F.binary_cross_entropy_with_logits, targets=targets)


def fourth_power(output: Tensor, targets: Tensor) -> Tensor:
    """A loss that no library has."""
    return ((output - targets) ** 4).mean() + 0.1 * output.abs().max()


def _embeddings() -> nn.Module:
    return nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(12, 3))


def _batch_norm_1d() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


def _batch_norm_2d() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def _layer_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2))


def _group_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def _dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))


ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in [
        Architecture("perceptron", partial(classification, perceptron, 4)),
        Architecture("seven nonlinearities", partial(regression, deep, 4)),
        Architecture("convolutions", partial(images, convolutions)),
        Architecture("strides, average pooling", partial(images, strided)),
        Architecture(
            "BatchNorm1d, eval", partial(regression, lambda: settled(_batch_norm_1d(), 3), 3)
        ),
        Architecture(
            "BatchNorm2d, eval",
            partial(classification, lambda: settled(_batch_norm_2d(), 2, 6, 6), 2, 6, 6),
        ),
        Architecture(
            "BatchNorm1d, training", partial(regression, _batch_norm_1d, 3), training=True
        ),
        Architecture("LayerNorm", partial(regression, _layer_norm, 3)),
        Architecture("GroupNorm", partial(classification, _group_norm, 2, 6, 6)),
        Architecture("residual blocks", partial(images, Residual)),
        Architecture("embeddings", partial(words, _embeddings, 4)),
        Architecture("multi-head attention", partial(regression, Attention, 5, 4)),
        Architecture("transformer encoder, eval", partial(words, Encoder, 6)),
        Architecture("tied weights", partial(regression, Tied, 3, outputs=3)),
        Architecture("LSTM", partial(regression, lambda: Recurrent(nn.LSTM), 6, 3)),
        Architecture("GRU", partial(regression, lambda: Recurrent(nn.GRU), 6, 3)),
        Architecture(".item() in forward", partial(regression, Reading, 3)),
        Architecture("if on activations", partial(regression, Branching, 3)),
        Architecture("rounded weights", partial(classification, Rounded, 4)),
        Architecture("sampling in forward", partial(regression, Sampling, 3), random=True),
        Architecture(
            "dropout, training", partial(regression, _dropout, 3), training=True, random=True
        ),
        Architecture("counter in a buffer", partial(regression, Counting, 3)),
        Architecture("float64 before float32", partial(regression, Mixed, 3), mixed=True),
        Architecture("loss: l1", partial(regression, perceptron, 4, outputs=3, loss=F.l1_loss)),
        Architecture(
            "loss: label smoothing",
            partial(classification, perceptron, 4, loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        ),
        Architecture("loss: binary cross-entropy", binary),
        Architecture(
            "loss: a function of one's own",
            partial(regression, perceptron, 4, outputs=3, loss=fourth_power),
        ),
    ]
}
