"""A private model that stands for all alike ones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adapters import data
from adapters.bench import Bench
from adapters.footprint import footprint
from adapters.given import private_copy
from adapters.noise import Noise
from adapters.supervised import Supervised
from adapters.training.dropout import Draws, make_common
from adapters.training.passes import Task


class Prototype:
    """A private model that stands for all alike ones, and what it takes to train them.

    Parameters
    ----------
    model
        One of them, as it was made.
    task
        Data, loss and metric.
    size
        Samples of a minibatch.

    Attributes
    ----------
    model, task
        Ours alone; the model's dropouts are common ones, which draw from `draws`.
    names, weights
        The parameters that are trained.
    n, dtype, dtypes, device
        How many numbers these are; their lowest precision, all of them, and the place.
    rates
        The probabilities of the dropouts.
    changing
        Names of the buffers that training changes, as those of BatchNorm.
    bench
        In which plain passes are tried, on the first minibatch.
    bytes
        What a plain pass writes for a sample.
    samples, held
        How many samples there are; how many are held out.

    Raises
    ------
    TypeError
        There is nothing to train.
    """

    def __init__(self, model: nn.Module, task: Task, size: int) -> None:
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        if not self.names:
            raise TypeError("make_model made a model that has nothing to train")
        self.samples = data.count(task.inputs, task.targets)
        self.held = data.count(task.held_inputs, task.held_targets)
        closure = Supervised(task.loss, task.inputs, task.targets)
        self.model, closure = private_copy(model.train(), closure)  # type: ignore[assignment]
        self.task = task._replace(loss=closure.loss)
        like = dict(self.model.named_parameters())[self.names[0]]
        self.device = like.device
        self.draws = Draws(self.device)
        self.rates = make_common(self.model, self.draws, like)
        self.bench = Bench(self.model, closure, tuple(self.names), Noise("fixed", 0, self.device))
        self.weights = self.bench.weights
        self.dtypes = {weight.dtype for weight in self.weights}
        self.n, self.dtype = self.bench.vector.n, self.bench.vector.precision
        self.first = torch.arange(min(size, self.samples), device=self.device)
        closure.take(self.first)
        self.bench.look(torch.from_numpy(self.bench.vector.pack())[None])
        weights = sum(weight.nbytes for weight in self.weights)
        self.bytes = (footprint(self.bench) - weights) / len(self.first)
        self.changing = self._changing()

    def _changing(self) -> list[str]:
        before = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self.bench.attempt(), torch.no_grad():
            self.bench.loss()
            after = dict(self.model.named_buffers())
            return [name for name in before if not torch.equal(before[name], after[name])]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors that differ between alike models: weights, probabilities, buffers."""
        return [*self.weights, *self.others]

    @property
    def others(self) -> list[Tensor]:
        """Those that are not trained: probabilities, and buffers that training changes."""
        buffers = dict(self.model.named_buffers())
        return [*self.rates, *(buffers[name] for name in self.changing)]

    def judge(self, model: nn.Module) -> Any:
        """Return a model's loss or metric on what is held out."""
        task = self.task
        return (task.metric or task.loss)(model(task.held_inputs), task.held_targets)

    def cut(self, rows: Tensor) -> list[Tensor]:
        """Return weights (k, ...) as views of rows (k, n)."""
        parts = torch.split_with_sizes(rows, [weight.numel() for weight in self.weights], 1)
        return [
            part.view(-1, *weight.shape) for part, weight in zip(parts, self.weights, strict=True)
        ]

    def joined(self, parts: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
        """Return rows (k, n) of what belongs to the weights, (k, ...)."""
        return torch.cat([part.reshape(len(part), -1) for part in parts], 1, out=out)
