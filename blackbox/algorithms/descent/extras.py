"""Rules of the library pytorch-optimizer, by their own names, options and defaults.

Left out are arguments about how it computes (``foreach``) and ``maximize``.
"""

from dataclasses import dataclass

from blackbox.algorithms.descent.habits import Descent, Pair, Setting


@dataclass(frozen=True)
class LARS(Descent):
    """``pytorch_optimizer.LARS``: momentum, each matrix's step as long as its own norm says."""

    library = "pytorch_optimizer"
    rule = "LARS"
    per_tensor = True

    lr: Setting = 1e-3
    weight_decay: Setting = 0.0
    momentum: Setting = 0.9
    dampening: Setting = 0.0
    trust_coefficient: Setting = 1e-3
    nesterov: bool = False


@dataclass(frozen=True)
class Lamb(Descent):
    """``pytorch_optimizer.Lamb``: Adam, each tensor's step as long as its own norm says."""

    library = "pytorch_optimizer"
    rule = "Lamb"
    per_tensor = True

    lr: Setting = 1e-3
    betas: Pair = (0.9, 0.999)
    weight_decay: Setting = 0.0
    weight_decouple: bool = True
    fixed_decay: bool = False
    rectify: bool = False
    degenerated_to_sgd: bool = False
    n_sma_threshold: int = 5
    grad_averaging: bool = True
    max_grad_norm: Setting = 1.0
    adam: bool = False
    pre_norm: bool = False
    eps: Setting = 1e-6


@dataclass(frozen=True)
class FTRL(Descent):
    """``pytorch_optimizer.FTRL``: each weight made anew from the sum of its gradients."""

    library = "pytorch_optimizer"
    rule = "FTRL"

    lr: Setting = 1e-3
    lr_power: Setting = -0.5
    beta: Setting = 0.0
    lambda_1: Setting = 0.0
    lambda_2: Setting = 0.0


@dataclass(frozen=True)
class Shampoo(Descent):
    """``pytorch_optimizer.Shampoo``: gradients preconditioned along each side of a tensor."""

    library = "pytorch_optimizer"
    rule = "Shampoo"
    per_tensor = True

    lr: Setting = 1e-3
    momentum: Setting = 0.0
    weight_decay: Setting = 0.0
    weight_decouple: bool = False
    fixed_decay: bool = False
    preconditioning_compute_steps: int = 1
    matrix_eps: Setting = 1e-6
