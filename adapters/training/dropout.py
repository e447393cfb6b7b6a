"""Dropout in many trainings at once: one draw for all of them, a probability for each."""

from typing import Any

import torch
from torch import Tensor, nn

from adapters.stack.trace import Room, Slot, Trace

LEAST_KEPT = 1e-30
"""In place of the share that is kept where nothing is, by which would have to be divided."""


class Draws:
    """Uniform random numbers, from a generator of our own.

    Parameters
    ----------
    device
        Where they are wanted.
    """

    def __init__(self, device: torch.device) -> None:
        self._generator = torch.Generator(device)

    def restart(self, seed: int) -> None:
        """Begin with the numbers of a seed."""
        self._generator.manual_seed(seed)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Draws":
        """Return itself: copies of a model draw from the same."""
        return self

    def __call__(self, shape: Any, dtype: torch.dtype) -> Tensor:
        """Return numbers from 0 to 1."""
        device = self._generator.device
        return torch.rand(shape, generator=self._generator, dtype=dtype, device=device)


def _mask(drawn: Tensor, p: Tensor) -> Tensor:
    return (drawn >= p) / (1 - p).clamp(min=LEAST_KEPT)


def _add(trace: Trace, module: "CommonDropout", x: Slot) -> Slot:
    """Add a dropout to a stack."""
    if not module.training:
        return x

    def apply(room: Room | None, h: Tensor, p: Tensor) -> Tensor:
        plain = h.shape[-1], *h.shape[1:-1]  # as the module itself would be given it
        drawn = module.draws(plain, h.dtype).movedim(0, -1).contiguous()
        return h * _mask(drawn, p.view(-1, *[1] * drawn.dim()))

    return trace.emit(apply, x, trace.weight(module.p), alone=False)


class CommonDropout(nn.Module):
    """`torch.nn.Dropout` whose draw does not depend on the training.

    Parameters
    ----------
    layer
        What it replaces.
    draws
        What it draws from.
    like
        A tensor of the model, for the precision and the device.

    Attributes
    ----------
    p
        Frozen, shape (): with one for each training, they are stacked as weights are.
    """

    stacked = staticmethod(_add)

    def __init__(self, layer: nn.Dropout, draws: Draws, like: Tensor) -> None:
        super().__init__()
        self.train(layer.training)
        self.p = nn.Parameter(like.new_tensor(layer.p), requires_grad=False)
        self.draws = draws
        # torch.fx goes into all modules but torch's own; this one is a layer, too.
        self.__module__ = nn.Dropout.__module__

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, with the share p of its numbers zero, in training."""
        if not self.training:
            return x
        return x * _mask(self.draws(x.shape, x.dtype), self.p)


def dropouts(model: nn.Module) -> list[nn.Dropout]:
    """Return a model's layers of the kind that `make_common` replaces, in its order."""
    return [module for module in model.modules() if type(module) is nn.Dropout]


def make_common(model: nn.Module, draws: Draws, like: Tensor) -> list[nn.Parameter]:
    """Replace each `torch.nn.Dropout` of a model; return the probabilities."""
    made = {id(layer): CommonDropout(layer, draws, like) for layer in dropouts(model)}
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if id(child) in made:
                module._modules[name] = made[id(child)]
    return [layer.p for layer in made.values()]


def common_dropouts(model: nn.Module) -> list[CommonDropout]:
    """Return those that were put in, in their order."""
    return [module for module in model.modules() if type(module) is CommonDropout]
