"""The usual loss: of a model's outputs and targets."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adapters.data import take


@dataclass
class _Taken:
    """Which samples to go on with, and those that were gathered last."""

    rows: Tensor | None = None
    gathered: Tensor | None = None
    samples: tuple[Any, Any] = (None, None)


class Supervised(nn.Module):
    """A closure over data; a module, so that a loss with tensors of its own moves along.

    Attributes
    ----------
    loss, inputs, targets
        What it is made of; `inputs` and `targets` are all the data.
    autocast
        The lower precision in which the model computes, or None.
    """

    def __init__(
        self,
        loss: Callable[[Any, Any], Any],
        inputs: Any,
        targets: Any,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.inputs, self.targets = inputs, targets
        self.autocast = autocast
        # An object, as attributes are put back after each pass, and this is to stay.
        self._taken = _Taken()

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        self._taken.rows = rows

    def forward(self, model: nn.Module) -> Any:
        """Return the loss of the model on the samples taken."""
        inputs, targets = self._samples()
        if self.autocast is None:
            return self.loss(model(inputs), targets)
        with self.lower(next(model.parameters()).device):
            outputs = model(inputs)
        return self.loss(as_float32(outputs), targets)

    def _samples(self) -> tuple[Any, Any]:
        """Return inputs and targets; gathered when they are needed, and not again."""
        taken = self._taken
        if taken.rows is None:
            return self.inputs, self.targets
        if taken.gathered is not taken.rows:
            with torch.inference_mode(False):  # else gradients could not use them
                taken.samples = take(self.inputs, taken.rows), take(self.targets, taken.rows)
            taken.gathered = taken.rows
        return taken.samples

    def lower(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return torch's autocast, or nothing."""
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.autocast, cache_enabled=False)


def as_float32(outputs: Any) -> Any:
    """Return outputs of a lower precision in float32, in which losses are accumulated."""
    low = isinstance(outputs, Tensor) and outputs.dtype in (torch.float16, torch.bfloat16)
    return outputs.float() if low else outputs
