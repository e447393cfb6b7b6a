"""Muon: matrices by orthogonalized momentum, all else by AdamW."""

from dataclasses import dataclass
from typing import Any

from blackbox.algorithms.descent.habits import Descent, Pair, Setting, check_rate


@dataclass(frozen=True)
class Muon(Descent):
    """``torch.optim.Muon`` of a model's matrices, ``torch.optim.AdamW`` of its other tensors.

    Attributes
    ----------
    adjust_lr_fn
        How the step of a matrix is scaled by its shape: ``"original"`` (also None), or
        ``"match_rms_adamw"``, for learning rates that were found for AdamW.
    adamw_lr
        AdamW's learning rate; None: the same as `lr`. A schedule keeps their ratio.
    adamw_betas, adamw_eps, adamw_weight_decay
        AdamW's own arguments.
    """

    rule = "Muon"
    per_tensor = True

    lr: Setting = 1e-3
    weight_decay: Setting = 0.1
    momentum: Setting = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315)
    eps: Setting = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None
    adamw_lr: float | list[float] | None = None
    adamw_betas: Pair = (0.9, 0.999)
    adamw_eps: Setting = 1e-8
    adamw_weight_decay: Setting = 1e-2

    def _check_rates(self) -> None:
        super()._check_rates()
        if self.adamw_lr is not None:
            check_rate("adamw_lr", self.adamw_lr)

    def build(self, parameters: list[Any], arguments: dict[str, Any]) -> Any:
        """Return both optimizers as one, or the one that there are tensors for."""
        import torch

        own = {n: v for n, v in arguments.items() if not n.startswith(PREFIX)}
        others = {n[len(PREFIX) :]: v for n, v in arguments.items() if n.startswith(PREFIX)}
        rate = own["lr"] if others["lr"] is None else others["lr"]
        matrices = [p for p in parameters if p.ndim == 2]
        rest = [{"params": [p for p in parameters if p.ndim != 2], "share": rate / own["lr"]}]
        parts: list[Any] = [super().build(matrices, own)] if matrices else []
        if rest[0]["params"]:
            try:
                parts.append(torch.optim.AdamW(rest, **others | {"lr": rate}))
            except (TypeError, ValueError) as error:
                given = {n: v for n, v in arguments.items() if n.startswith(PREFIX)}
                raise ValueError(f"torch.optim.AdamW refuses {given}: {error}") from error
        return parts[0] if len(parts) == 1 else Joined(parts)


PREFIX = "adamw_"


class Joined:
    """Optimizers of different tensors that step together."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self) -> None:
        """Take a step of each."""
        for part in self.parts:
            part.step()
