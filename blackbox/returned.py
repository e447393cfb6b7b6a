"""What the user's function returned: checked, and made what we go by."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from blackbox.types import Array


def as_scalar(value: Any) -> float:
    """Return one value of the objective; size-1 arrays count, as in scipy."""
    if isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool):
        return float(value)
    if value is None:
        raise TypeError("the objective returned None; it must return a number (forgot `return`?)")
    if isinstance(value, str):
        raise TypeError(f"the objective returned a string, {value!r:.40}; it must return a number")
    array = np.asarray(value)
    if array.dtype.kind == "c":
        raise TypeError(
            f"the objective returned a complex number, {value!r:.60}; return a real one, its "
            "`.real` or `abs()`"
        )
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value. For one point it "
            f"returned an array of shape {array.shape}. If it scores whole batches (k, n) -> (k,), "
            "pass batched=True"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"the objective returned {type(value).__name__} {value!r:.40}; it must return a number"
        )
    return float(array.reshape(()))


def as_vector(values: Any, k: int) -> Array:
    """Return the values of a whole batch, (k,)."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        what = "None" if values is None else f"{type(values).__name__} of {array.dtype}"
        raise TypeError(
            f"the batched objective returned {what}; it must return {k} real numbers, shape ({k},)"
        )
    if array.shape != (k,):
        raise ValueError(
            f"the batched objective returned shape {array.shape} for {k} points; it must return "
            f"shape ({k},)"
        )
    return array if array.dtype == np.float64 else array.astype(float)


def as_told(values: Any, k: int) -> Array:
    """Return the values, (k,), that an `Optimizer` is told."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"values must be real numbers, shape ({k},); got {array.dtype}")
    if array.shape != (k,):
        raise ValueError(f"asked {k} points, told values of shape {array.shape}; tell ({k},)")
    if np.isneginf(array).any():
        raise ValueError("a value is -inf, so nothing could ever be better; tell NaN for a failure")
    return array.astype(float)


def as_pair(told: Any) -> tuple[Any, Any]:
    """Return a value and its gradient, neither looked at."""
    if not (isinstance(told, Sequence) and len(told) == 2):
        raise TypeError(
            f"with jac=True the objective returns (value, gradient); got {type(told).__name__}"
        )
    return told[0], told[1]


def as_gradients(told: Any, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Return a gradient, (n,), or those of a batch, (k, n)."""
    array = np.asarray(told)
    if array.dtype.kind not in "fiu" and array.dtype.kind != np.dtype(dtype).kind:
        raise TypeError(f"the gradient must be an array of real numbers; got {told!r:.60}")
    if array.shape != shape:
        if array.size == math.prod(shape) and 1 in (*shape, array.ndim):
            return array.astype(dtype).reshape(shape)
        raise ValueError(f"the gradient has shape {array.shape}; expected {shape}")
    # A copy: it may be the objective's own memory, which the next call writes to.
    return array.astype(dtype)
