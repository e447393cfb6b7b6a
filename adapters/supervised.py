"""The usual loss: of a model's outputs and targets."""

from collections.abc import Callable
from typing import Any

from torch import nn


class Supervised(nn.Module):
    """A closure over data; a module, so that a loss with tensors of its own moves along."""

    def __init__(self, loss: Callable[[Any, Any], Any], inputs: Any, targets: Any) -> None:
        super().__init__()
        self.loss = loss
        self.data = inputs, targets

    def forward(self, model: nn.Module) -> Any:
        """Return the loss of the model on the data."""
        inputs, targets = self.data
        return self.loss(model(inputs), targets)
