"""Points, as callers give them, and results as they expect them."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def as_batch(points: Any, n: int) -> Tensor:
    """Return points (n,) or (k, n) as a tensor (k, n), by itself or sharing their memory.

    Parameters
    ----------
    points
        A tensor, an array, or what makes one.
    n
        The number of variables.

    Raises
    ------
    TypeError
        They are not real numbers.
    ValueError
        They have another width, or are not finite.
    """
    if isinstance(points, Tensor):
        batch = points.detach()
        if batch.is_complex():
            raise TypeError(f"points must hold real numbers, not {batch.dtype}")
        if batch.dtype not in (torch.float64, torch.float32):
            batch = batch.to(torch.float32 if batch.dtype.is_floating_point else torch.float64)
        good = _are_finite(batch)
    else:
        array = _plain(points)
        # Plain numbers are faster where there are few.
        few = array.size <= 256 and math.isfinite(sum(array.ravel().tolist()))
        batch = torch.from_numpy(array)
        good = few or _are_finite(batch)
    if batch.dim() not in (1, 2) or batch.shape[-1] != n:
        raise ValueError(
            f"points have shape {tuple(batch.shape)}; expected ({n},) or (k, {n}), as n = {n}"
        )
    if not good:
        where = (~batch.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"points must be finite; points{where} is {batch[tuple(where)].item()}")
    return batch if batch.dim() == 2 else batch[None]


def _plain(points: Any) -> NDArray[Any]:
    """Return an array that torch can share: the same one, where it is such."""
    array = points if type(points) is np.ndarray else np.asarray(points)
    kind = array.dtype.char
    if kind not in "df" or not array.dtype.isnative:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"points must hold real numbers, not {array.dtype}")
        return np.array(array, dtype=np.float64, order="C")
    array = np.ascontiguousarray(array)
    if not array.flags.writeable:  # which torch warns of; but nothing is written here
        try:
            array = array.view()
            array.flags.writeable = True
        except ValueError:
            array = array.copy()
    return array


def as_given(results: Tensor, points: Any) -> Any:
    """Return results (k, ...) as points were given: without k for one, as a tensor for tensors."""
    if type(points) is np.ndarray and results.dtype == torch.float64 and results.is_cpu:
        array = results.numpy()
        one = points.ndim == 1
    elif isinstance(points, Tensor):
        there = results.to(points.device)
        if points.device.type != "mps":  # which knows no float64
            there = there.double()
        return there[0] if points.dim() == 1 else there
    else:
        array = results.cpu().double().numpy()
        one = np.ndim(points) == 1
    if not one:
        return array
    return array[0] if array.ndim > 1 else float(array[0])


def _are_finite(batch: Tensor) -> bool:
    """Whether all numbers are finite: surely so where their sum is."""
    return math.isfinite(batch.sum().item()) or bool(batch.isfinite().all())
