"""Losses of outputs (k, features..., samples): one number for each candidate.

To add one, write what makes it of the loss and the targets, and name it in `_MODULES` (and, for a
function that is called with defaults, in `_FUNCTIONS`). All others are called candidate by
candidate, on outputs as the model gives them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.bench import Bench
from adapters.data import take
from adapters.evaluators import as_number
from adapters.stack.program import check_plain
from adapters.stack.trace import Room, view


class Loss(ABC):
    """A loss against targets, of which it may take some of the samples.

    Parameters
    ----------
    targets
        Samples first.
    """

    def __init__(self, targets: Any) -> None:
        self._all = self._arranged(targets)
        self.take(None)

    def _arranged(self, targets: Tensor) -> Tensor:
        """Return targets with the samples last."""
        return targets.movedim(0, -1).contiguous()

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        self.targets = self._all if rows is None else self._all.index_select(-1, rows)

    @abstractmethod
    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""


class SquaredError(Loss):
    """Mean squared error."""

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        super().take(rows)
        count = self.targets.numel()
        self._shares = torch.full_like(self.targets, 1 / count).view(count)

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        if room is None:
            return self._mean(torch.square(outputs - self.targets))
        errors = torch.sub(outputs, self.targets, out=room.out(outputs.shape))
        return self._mean(errors.square_())

    def _mean(self, each: Tensor) -> Tensor:
        # One product: half of what a mean costs where there is little to add.
        return torch.mv(each.view(each.shape[0], -1), self._shares)

    def across(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,) of outputs (features..., samples, k)."""
        errors = outputs.sub_(self.targets.unsqueeze(-1)).square_()
        return errors.flatten(0, -2).mean(0)


class Pointwise(Loss):
    """The mean of a function of an output and its target."""

    def __init__(self, targets: Tensor, function: Callable[..., Tensor]) -> None:
        super().__init__(targets)
        self._function = function

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        targets = self.targets.expand_as(outputs)
        return self._function(outputs, targets, reduction="none").flatten(1).mean(1)


class CrossEntropy(Loss):
    """Mean cross-entropy of scores (k, classes, samples) against classes (samples,)."""

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        super().take(rows)
        samples = self.targets.shape[0]
        # Where the scores of the right classes are, in rows (classes * samples).
        self._rows = self.targets * samples + torch.arange(samples, device=self.targets.device)
        self._kept: Tensor | None = None

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        out = None if room is None else room.out(outputs.shape)
        scores = view(room, _flat, torch.log_softmax(outputs, 1, out=out))
        # One product: half of what a mean costs where there is little to add.
        return torch.mv(scores.index_select(1, self._rows), self._shares(outputs))

    def _shares(self, outputs: Tensor) -> Tensor:
        """Return what each sample counts: minus one part of them all."""
        samples = self._rows.shape[0]
        if self._kept is None or self._kept.dtype != outputs.dtype:
            self._kept = outputs.new_full((samples,), -1 / samples)
        return self._kept

    def across(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,) of scores (classes, samples, k)."""
        likelihoods = torch.log_softmax(outputs, 0).flatten(0, 1).index_select(0, self._rows)
        return torch.mv(likelihoods.t(), self._shares(outputs))


class LogLikelihood(Loss):
    """Mean negative log-likelihood of log-probabilities (k, classes, samples)."""

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        chosen = outputs.gather(1, self.targets.expand(len(outputs), 1, -1))
        return -chosen.squeeze(1).mean(1)


class SoftCrossEntropy(Loss):
    """Mean cross-entropy with label smoothing, or against probabilities (samples, classes)."""

    def __init__(self, targets: Tensor, smoothing: float) -> None:
        super().__init__(targets)
        self._smoothing = smoothing

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        targets = self.targets.expand(len(outputs), *self.targets.shape)
        each = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=self._smoothing)
        return each.mean(1)


class Each:
    """Any other loss, candidate by candidate, on outputs as the model gives them."""

    def __init__(self, bench: Bench, loss: Callable[[Any, Any], Any], targets: Any) -> None:
        self._bench, self._loss = bench, loss
        self._all = self._targets = targets

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        self._targets = self._all if rows is None else take(self._all, rows)

    def __call__(self, room: Room | None, outputs: Tensor) -> Tensor:
        """Return the losses (k,)."""
        each = outputs.movedim(-1, 1).contiguous().unbind(0)
        if self._bench.leaves_traces:
            losses = []
            for output in each:
                with self._bench.attempt():
                    losses.append(self._value(output, graph=room is None))
        else:
            with self._bench.attempt():
                losses = [self._value(output, graph=room is None) for output in each]
        if any(isinstance(loss, Tensor) for loss in losses):
            # In double precision, as plain numbers are.
            exact = torch.float32 if outputs.device.type == "mps" else torch.float64
            device = outputs.device
            return torch.stack([torch.as_tensor(x, dtype=exact, device=device) for x in losses])
        return torch.from_numpy(np.array(losses, dtype=np.float64))

    def _value(self, output: Tensor, graph: bool) -> Tensor | float:
        loss = self._loss(output, self._targets)
        number = as_number(loss)
        return loss.reshape(()) if graph and _depends(loss) else number


def _depends(loss: Any) -> bool:
    return isinstance(loss, Tensor) and loss.requires_grad


def _flat(scores: Tensor) -> Tensor:
    return scores.flatten(1)


def read_loss(bench: Bench, loss: Any, targets: Any, outputs: Tensor) -> Loss | Each:
    """Return what computes a loss.

    Parameters
    ----------
    bench
        For losses that leave traces.
    loss, targets
        The user's.
    outputs
        What the model gives at the start: (1, features..., samples).
    """
    if isinstance(loss, nn.Module):
        check_plain(loss)
    known = [make for function, make in _FUNCTIONS.items() if function is loss]
    if known:
        loss = known[0]()
    if not isinstance(targets, Tensor) or targets.requires_grad or not targets.dim():
        return Each(bench, loss, targets)
    if targets.is_floating_point() and targets.dtype != outputs.dtype:
        return Each(bench, loss, targets)
    read = _MODULES.get(type(loss))
    plain = (outputs.shape[-1], *outputs.shape[1:-1])
    found = None if read is None else read(loss, targets, plain)
    return Each(bench, loss, targets) if found is None else found


def _read_cross_entropy(
    loss: nn.CrossEntropyLoss, targets: Tensor, plain: tuple[int, ...]
) -> Loss | None:
    if loss.reduction != "mean" or loss.weight is not None or len(plain) != 2:
        return None
    if targets.is_floating_point():
        return SoftCrossEntropy(targets, loss.label_smoothing) if targets.shape == plain else None
    if not _are_classes(targets, plain) or bool((targets == loss.ignore_index).any()):
        return None
    if loss.label_smoothing:
        return SoftCrossEntropy(targets, loss.label_smoothing)
    return CrossEntropy(targets)


def _read_likelihood(loss: nn.NLLLoss, targets: Tensor, plain: tuple[int, ...]) -> Loss | None:
    usual = loss.reduction == "mean" and loss.weight is None and len(plain) == 2
    if not usual or not _are_classes(targets, plain) or bool((targets == loss.ignore_index).any()):
        return None
    return LogLikelihood(targets)


def _are_classes(targets: Tensor, plain: tuple[int, ...]) -> bool:
    """Whether these are class numbers, one a sample, each of them known."""
    if targets.dtype != torch.int64 or targets.shape != plain[:1]:
        return False
    return bool(((targets >= 0) & (targets < plain[1])).all())


def _read_squared(loss: nn.MSELoss, targets: Tensor, plain: tuple[int, ...]) -> Loss | None:
    usual = loss.reduction == "mean" and targets.shape == plain and targets.is_floating_point()
    return SquaredError(targets) if usual else None


def _pointwise(function: Callable[..., Tensor], *settings: str) -> Callable[..., Loss | None]:
    """Return what reads a loss that is a mean over all outputs."""

    def read(loss: Any, targets: Tensor, plain: tuple[int, ...]) -> Loss | None:
        if loss.reduction != "mean" or targets.shape != plain or not targets.is_floating_point():
            return None
        if (
            getattr(loss, "weight", None) is not None
            or getattr(loss, "pos_weight", None) is not None
        ):
            return None
        return Pointwise(
            targets, partial(function, **{name: getattr(loss, name) for name in settings})
        )

    return read


_MODULES: dict[type[nn.Module], Callable[..., Loss | None]] = {
    nn.BCELoss: _pointwise(F.binary_cross_entropy),
    nn.BCEWithLogitsLoss: _pointwise(F.binary_cross_entropy_with_logits),
    nn.CrossEntropyLoss: _read_cross_entropy,
    nn.HuberLoss: _pointwise(F.huber_loss, "delta"),
    nn.L1Loss: _pointwise(F.l1_loss),
    nn.MSELoss: _read_squared,
    nn.NLLLoss: _read_likelihood,
    nn.SmoothL1Loss: _pointwise(F.smooth_l1_loss, "beta"),
    nn.SoftMarginLoss: _pointwise(F.soft_margin_loss),
}

_FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.binary_cross_entropy: nn.BCELoss,
    F.binary_cross_entropy_with_logits: nn.BCEWithLogitsLoss,
    F.cross_entropy: nn.CrossEntropyLoss,
    F.huber_loss: nn.HuberLoss,
    F.l1_loss: nn.L1Loss,
    F.mse_loss: nn.MSELoss,
    F.nll_loss: nn.NLLLoss,
    F.smooth_l1_loss: nn.SmoothL1Loss,
    F.soft_margin_loss: nn.SoftMarginLoss,
}
"""Functions that, called with defaults, are what a module is."""
