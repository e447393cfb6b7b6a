"""A lower precision for a model's passes: whether it can be had, and small gradients kept in it."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def check_autocast(dtype: object, device: torch.device) -> None:
    """Raise where `torch.autocast` cannot compute in a precision on a device.

    Raises
    ------
    TypeError
        It is no dtype.
    ValueError
        The device cannot do it.
    """
    if dtype is None:
        return
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"autocast must be a torch.dtype or None, not {dtype!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns, and goes on without
            torch.autocast(device.type, dtype=dtype)
    except (RuntimeError, ValueError, UserWarning) as error:
        why = str(error).split("\n")[0].split(". ")[0].rstrip(".")
        raise ValueError(
            f"autocast={dtype} cannot be had on the device {device}: {why}; give torch.bfloat16 or "
            "torch.float16 where the device has it, or None for the model's own precision"
        ) from error


class LossScale:
    """Keeps small gradients from becoming zero in float16: `torch.amp.GradScaler`, its rule.

    The loss is multiplied by a scale before it is differentiated, and the gradients are divided by
    it. The scale begins at 2**16, is halved by gradients that are not finite, and doubled after
    2,000 passes without such.

    References
    ----------
    Micikevicius, P., Narang, S., Alben, J., et al. (2018), Mixed precision training, ICLR.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a run, with the first scale."""
        self._scaler = torch.amp.GradScaler("cpu")
        self._scaler.scale(torch.zeros((), device="cpu"))  # which makes its state

    @property
    def scale(self) -> float:
        """What losses are multiplied by: a power of two."""
        return float(self._scaler.get_scale())

    def state(self) -> dict[str, Any]:
        """Return the scale, and what it has seen."""
        return dict(self._scaler.state_dict())

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self._scaler.load_state_dict(dict(state))

    def unscale(self, values: Tensor, gradients: Tensor) -> Tensor:
        """Return gradients (k, n), on the CPU, by the losses themselves; and go on to the next.

        Those that are not finite stay so. Of candidates whose losses, `values` (k,), are not finite
        either nothing follows for the scale.
        """
        told = values.isfinite().to(gradients.device)
        meant = gradients[told]
        holder = torch.nn.Parameter(meant, requires_grad=False)
        holder.grad = meant
        if len(meant):
            self._scaler.unscale_(torch.optim.SGD([holder]))
            self._scaler.update()
            gradients[told] = meant
        return gradients
