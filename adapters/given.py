"""What an objective is given, before anything is evaluated: checked, placed, copied."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, get_args

import torch
from torch import nn

from adapters.batched import Plan
from adapters.supervised import Supervised


def undisturbed() -> AbstractContextManager[Any]:
    """Leave the caller's inference mode and autocast, which would show in what is computed."""
    casts = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    if not casts and not torch.is_inference_mode_enabled():
        return _NOTHING
    stack = ExitStack()
    stack.enter_context(torch.inference_mode(False))
    for kind in casts:
        stack.enter_context(torch.autocast(kind, enabled=False))
    return stack


_NOTHING = nullcontext()


def private_copy(
    model: nn.Module, closure: Callable[[Any], Any]
) -> tuple[nn.Module, Callable[[Any], Any]]:
    """Copy the modules, but not the data and functions that they refer to."""
    keep: list[Any] = [] if isinstance(closure, nn.Module) else [closure]
    if isinstance(closure, Supervised):
        keep += [closure.inputs, closure.targets]
        if not isinstance(closure.loss, nn.Module):
            keep.append(closure.loss)
    try:
        with torch.no_grad():  # scripted modules copy by operations, which autograd would record
            return copy.deepcopy((model, closure), {id(kept): kept for kept in keep})
    except Exception as error:
        raise TypeError(f"model cannot be copied ({error}); the objective needs its own") from error


def check_given(
    model: nn.Module, name: str, function: object, plan: Plan, validation: object = None
) -> None:
    """Raise TypeError or ValueError for what is no model, function, plan or pair of data."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if not callable(function):
        raise TypeError(f"{name} must be callable, not {type(function).__name__}")
    if plan not in get_args(Plan):
        raise ValueError(f"plan must be one of {get_args(Plan)}, not {plan!r}")
    if validation is not None and not (
        isinstance(validation, tuple | list) and len(validation) == 2
    ):
        raise TypeError(
            f"validation must be a pair, (inputs, targets), not {type(validation).__name__}"
        )


def place_of(model: nn.Module, device: torch.device | str | None) -> torch.device | None:
    """Return where to evaluate; None for a model spread over several devices."""
    if device is not None:
        try:
            place = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(f"device={device!r} cannot be used here: {error}") from error
    else:
        devices = {tensor.device for tensor in [*model.parameters(), *model.buffers()]}
        if len(devices) != 1:
            return None
        place = devices.pop()
    if place.type == "meta":
        raise ValueError(
            "nothing can be evaluated on the meta device, which holds no numbers: move the model "
            "by `model.to_empty(device=...)` and give it weights, and name another `device`"
        )
    return place
