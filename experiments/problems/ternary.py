"""A linear layer whose weights are -1, 0 or 1 times a step."""

import torch
from torch import nn
from torch.nn.functional import linear


class TernaryLinear(nn.Linear):
    """``nn.Linear`` that rounds its weights and biases whenever it is used.

    Those that it holds are latent floats. They decide which level is nearest and nothing else, so
    the derivative of the output by them is zero.

    Parameters
    ----------
    in_features, out_features
        As in ``nn.Linear``.
    step
        The levels are -step, 0 and step.
    """

    def __init__(self, in_features: int, out_features: int, step: float) -> None:
        super().__init__(in_features, out_features)
        self.step = step

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the output of the layer with rounded weights."""
        return linear(inputs, self.rounded(self.weight), self.rounded(self.bias))

    def rounded(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the nearest levels."""
        return self.step * torch.round(weights / self.step).clamp(-1, 1)
