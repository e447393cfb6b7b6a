"""Whether two models differ in nothing but their weights, so that one program computes both."""

from typing import Any

import torch
from torch import Tensor, nn

_HELD = ("_parameters", "_buffers", "_modules")


def are_alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether two models compute the same but for trained weights and dropout's probability.

    Modules, their attributes, frozen weights and buffers are compared; what cannot be, as two
    functions made on the way, counts as different.
    """
    mine, theirs = dict(one.named_modules()), dict(other.named_modules())
    return (
        mine.keys() == theirs.keys()
        and all(_same_module(mine[name], theirs[name]) for name in mine)
        and _same_tensors(dict(one.named_parameters()), dict(other.named_parameters()))
        and _same_tensors(dict(one.named_buffers()), dict(other.named_buffers()))
    )


def _same_module(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = vars(one), vars(other)
    skipped = (*_HELD, "p") if type(one) is nn.Dropout else _HELD
    return (
        type(one) is type(other)
        and mine.keys() == theirs.keys()
        and all(_same(mine[name], theirs[name]) for name in mine if name not in skipped)
    )


def _same_tensors(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    if mine.keys() != theirs.keys():
        return False
    for name, own in mine.items():
        other = theirs[name]
        if (own.shape, own.dtype, own.device) != (other.shape, other.dtype, other.device):
            return False
        if own.requires_grad != other.requires_grad:
            return False
        if not own.requires_grad and not torch.equal(own, other):
            return False
    return True


def _same(one: Any, other: Any) -> bool:
    """Whether two attributes are the same; in doubt, no."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    try:
        return bool(one == other)
    except Exception:
        return False
