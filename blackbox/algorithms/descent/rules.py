"""The rules of `torch.optim`, by their own names, options and defaults.

Left out are arguments about how torch computes (``foreach``, ``fused``, ``capturable``,
``differentiable``), ``maximize``, and Adam's ``decoupled_weight_decay``, which makes it AdamW.
"""

from dataclasses import dataclass

from blackbox.algorithms.descent.habits import Descent, Pair, Setting


@dataclass(frozen=True)
class SGD(Descent):
    """``torch.optim.SGD``: plain gradient descent, momentum, Nesterov's."""

    rule = "SGD"

    lr: Setting = 1e-3
    momentum: Setting = 0.0
    dampening: Setting = 0.0
    weight_decay: Setting = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Adagrad(Descent):
    """``torch.optim.Adagrad``: steps divided by the root of the sum of all squared gradients."""

    rule = "Adagrad"

    lr: Setting = 1e-2
    lr_decay: Setting = 0.0
    weight_decay: Setting = 0.0
    initial_accumulator_value: Setting = 0.0
    eps: Setting = 1e-10


@dataclass(frozen=True)
class Adadelta(Descent):
    """``torch.optim.Adadelta``: steps in the ratio of averages of past steps and gradients."""

    rule = "Adadelta"

    lr: Setting = 1.0
    rho: Setting = 0.9
    eps: Setting = 1e-6
    weight_decay: Setting = 0.0


@dataclass(frozen=True)
class RMSprop(Descent):
    """``torch.optim.RMSprop``: steps divided by a moving average of the gradient's size."""

    rule = "RMSprop"

    lr: Setting = 1e-2
    alpha: Setting = 0.99
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0
    momentum: Setting = 0.0
    centered: bool = False


@dataclass(frozen=True)
class Rprop(Descent):
    """``torch.optim.Rprop``: the gradient's signs alone; a step size for each variable."""

    rule = "Rprop"

    lr: Setting = 1e-2
    etas: Pair = (0.5, 1.2)
    step_sizes: Pair = (1e-6, 50)


@dataclass(frozen=True)
class Adam(Descent):
    """``torch.optim.Adam``: steps by moving averages of the gradient and of its square."""

    rule = "Adam"

    lr: Setting = 1e-3
    betas: Pair = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0
    amsgrad: bool = False


@dataclass(frozen=True)
class AdamW(Descent):
    """``torch.optim.AdamW``: Adam, and a weight decay that does not pass through its averages."""

    rule = "AdamW"

    lr: Setting = 1e-3
    betas: Pair = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 1e-2
    amsgrad: bool = False


@dataclass(frozen=True)
class NAdam(Descent):
    """``torch.optim.NAdam``: Adam with Nesterov's momentum."""

    rule = "NAdam"

    lr: Setting = 2e-3
    betas: Pair = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0
    momentum_decay: Setting = 4e-3
    decoupled_weight_decay: bool = False


@dataclass(frozen=True)
class RAdam(Descent):
    """``torch.optim.RAdam``: Adam, rectified while its averages are young."""

    rule = "RAdam"

    lr: Setting = 1e-3
    betas: Pair = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0
    decoupled_weight_decay: bool = False


@dataclass(frozen=True)
class Adamax(Descent):
    """``torch.optim.Adamax``: Adam with the largest recent gradient in place of a mean square."""

    rule = "Adamax"

    lr: Setting = 2e-3
    betas: Pair = (0.9, 0.999)
    eps: Setting = 1e-8
    weight_decay: Setting = 0.0


@dataclass(frozen=True)
class ASGD(Descent):
    """``torch.optim.ASGD``: gradient descent with a rate that falls, step by step.

    torch keeps the average of the points beside; the walk, and so the result, is of the points.
    """

    rule = "ASGD"

    lr: Setting = 1e-2
    lambd: Setting = 1e-4
    alpha: Setting = 0.75
    t0: Setting = 1e6
    weight_decay: Setting = 0.0


@dataclass(frozen=True)
class Adafactor(Descent):
    """``torch.optim.Adafactor``: a matrix's squared gradients by their rows and columns alone."""

    rule = "Adafactor"
    per_tensor = True

    lr: Setting = 1e-2
    beta2_decay: Setting = -0.8
    eps: tuple[float | None, float] | list[tuple[float | None, float]] = (None, 1e-3)
    d: Setting = 1.0
    weight_decay: Setting = 0.0
