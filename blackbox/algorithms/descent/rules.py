"""The rules of `torch.optim`, by their own names, options and defaults."""

from dataclasses import dataclass

from blackbox.algorithms.descent.habits import Descent, Setting

Betas = tuple[float, float] | list[tuple[float, float]]


@dataclass(frozen=True)
class Adam(Descent):
    """``torch.optim.Adam``: steps by moving averages of the gradient and of its square."""

    rule = "Adam"

    lr: Setting = 1e-3
    betas: Betas = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0
    amsgrad: bool = False


@dataclass(frozen=True)
class SGD(Descent):
    """``torch.optim.SGD``: plain gradient descent, momentum, Nesterov's."""

    rule = "SGD"

    lr: Setting = 1e-3
    momentum: Setting = 0.0
    dampening: Setting = 0.0
    weight_decay: Setting = 0.0
    nesterov: bool = False
