"""Passes of a batch of alike models: losses to train by, and values to judge by.

A pass is given tensors of k candidates: their weights, their dropouts' probabilities and, where
training changes buffers (as of BatchNorm), those, all (k, ...).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from adapters import data
from adapters.evaluators import as_number
from adapters.stack.losses import Each, Loss, read_loss
from adapters.stack.program import Program


class Task(NamedTuple):
    """What is trained on, and what the trained are judged by.

    Attributes
    ----------
    loss
        ``loss(outputs, targets)``, one number.
    inputs, targets
        To train on.
    held_inputs, held_targets
        To judge by.
    metric
        ``metric(outputs, targets)``, one number, lower is better; None: the loss.
    """

    loss: Callable[[Any, Any], Any]
    inputs: Any
    targets: Any
    held_inputs: Any
    held_targets: Any
    metric: Callable[[Any, Any], Any] | None


class Pass(Protocol):
    """Computes a batch of candidates.

    Attributes
    ----------
    bytes
        What one candidate's pass writes for a sample.
    """

    bytes: float

    def losses(self, tensors: Sequence[Tensor], samples: Tensor | None) -> Tensor:
        """Return losses (k,) of some samples (None: all), in training, with autograd."""
        ...

    def values(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return values (k,) on what is held out, as in evaluation."""
        ...


class StackPass:
    """Known layers, samples last: see `adapters.stack`.

    Parameters
    ----------
    model
        A model of ours, whose layers say how it computes.
    tensors
        Those of its tensors that differ between candidates.
    task
        Data, loss and metric.

    Raises
    ------
    Unfit
        The model computes something that is not in the tables; it says what.
    """

    def __init__(self, model: nn.Module, tensors: list[nn.Parameter], task: Task) -> None:
        self._training = Program(model.train(), tensors, task.inputs)
        self._judging = Program(model.eval(), tensors, task.held_inputs)
        self._loss = _loss_of_outputs(task.loss, task.targets, self._training.like)
        self._held_loss = _loss_of_outputs(task.loss, task.held_targets, self._judging.like)
        self._metric, self._held_targets = task.metric, task.held_targets
        self.bytes = self._training.bytes / len(task.inputs)

    def losses(self, tensors: Sequence[Tensor], samples: Tensor | None) -> Tensor:
        """See `Pass`."""
        self._training.take(samples)
        self._loss.take(samples)
        losses: Tensor = self._loss(None, self._training(tensors, None))
        return losses

    def values(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Pass`."""
        outputs = self._judging(tensors, None)
        if self._metric is None:
            return self._held_loss(None, outputs)
        each = outputs.movedim(-1, 1).contiguous().unbind(0)
        numbers = [as_number(self._metric(one, self._held_targets)) for one in each]
        return torch.tensor(numbers, dtype=torch.float64)


def _loss_of_outputs(
    loss: Callable[[Any, Any], Any], targets: Any, like: Tensor
) -> "Loss | _AnyLoss":
    # What a strange loss would need the bench for, we do ourselves.
    read = read_loss(cast(Any, None), loss, targets, like)
    return _AnyLoss(loss, targets) if isinstance(read, Each) else read


class _AnyLoss:
    """A loss that is in no table, by vmap over outputs as the model gives them."""

    def __init__(self, loss: Callable[[Any, Any], Any], targets: Any) -> None:
        self._loss, self._all = loss, targets
        self._targets = targets

    def take(self, rows: Tensor | None) -> None:
        self._targets = self._all if rows is None else data.take(self._all, rows)

    def __call__(self, room: None, outputs: Tensor) -> Tensor:
        outputs = outputs.movedim(-1, 1).contiguous()
        losses: Tensor = torch.vmap(self._one, randomness="same")(outputs)
        return losses

    def _one(self, outputs: Tensor) -> Tensor:
        loss: Tensor = _as_scalar(self._loss(outputs, self._targets))
        return loss


def _as_scalar(loss: Any) -> Any:
    return loss.reshape(()) if isinstance(loss, Tensor) and loss.dim() else loss


class VmapPass:
    """Any model that torch can vectorise, by `torch.vmap` over the tensors.

    Parameters
    ----------
    model
        A model of ours, in which tensors are swapped.
    tensors
        Those of its parameters and buffers that differ between candidates.
    task
        Data, loss and metric.
    bytes
        See `Pass`.
    """

    def __init__(
        self, model: nn.Module, tensors: Sequence[Tensor], task: Task, bytes: float
    ) -> None:
        self._model, self._own, self._task = model, tensors, task
        self._places = [_places(model, tensor) for tensor in tensors]
        self.bytes = bytes

    def losses(self, tensors: Sequence[Tensor], samples: Tensor | None) -> Tensor:
        """See `Pass`."""
        task, self._inputs, self._targets = self._task, self._task.inputs, self._task.targets
        if samples is not None:
            self._inputs, self._targets = data.take((task.inputs, task.targets), samples)
        self._model.train()
        losses: Tensor = torch.vmap(self._loss, randomness="same")(*tensors)
        return losses

    def values(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Pass`."""
        self._inputs, self._targets = self._task.held_inputs, self._task.held_targets
        self._model.eval()
        if self._task.metric is None:
            losses: Tensor = torch.vmap(self._loss, randomness="same")(*tensors)
            return losses
        metric, values = self._task.metric, []
        for each in zip(*(tensor.unbind(0) for tensor in tensors), strict=True):
            with self._holding(each):
                values.append(as_number(metric(self._model(self._inputs), self._targets)))
        return torch.tensor(values, dtype=torch.float64)

    def _loss(self, *tensors: Tensor) -> Any:
        with self._holding(tensors):
            return _as_scalar(self._task.loss(self._model(self._inputs), self._targets))

    @contextmanager
    def _holding(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        self._swap(tensors)
        try:
            yield
        finally:
            self._swap(self._own)

    def _swap(self, tensors: Sequence[Tensor]) -> None:
        # As functional_call does, less its walk over the whole module at every call.
        for tensor, places in zip(tensors, self._places, strict=True):
            for held, name in places:
                held[name] = tensor


def slopes_of(losses: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the derivatives of losses (k,), each by its own row of weights (k, ...)."""
    return torch.autograd.grad(losses.sum(), weights, materialize_grads=True)


def _places(model: nn.Module, tensor: Tensor) -> list[tuple[dict[str, Any], str]]:
    """Return where modules refer to a parameter or buffer: several places, if tied."""
    return [
        (held, name)
        for module in model.modules()
        for held in (
            cast(dict[str, Any], module._parameters),
            cast(dict[str, Any], module._buffers),
        )
        for name, found in held.items()
        if found is tensor
    ]
