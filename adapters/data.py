"""Inputs and targets of every kind: read, moved, counted, and cut into minibatches.

Data are tensors, numpy arrays, or tuples, lists and dicts of them, nested as they like. Anything
else is a leaf that is passed along. What moves itself (``.to``) counts as one leaf, also where it
is a tuple or a dict: packed sequences, encodings of texts.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader


def read(
    inputs: Any, targets: Any, dtype: torch.dtype, device: torch.device | None
) -> tuple[Any, Any]:
    """Return inputs and targets of any kind as pairs of tensors; see the three functions below."""
    inputs, targets = (as_tensors(d, dtype, device) for d in collect(inputs, targets))
    check_pair(inputs, targets)
    return inputs, targets


def collect(inputs: Any, targets: Any) -> tuple[Any, Any]:
    """Return inputs and targets; a `DataLoader` in place of both is read once, whole.

    Its batches, in the order in which they come, are joined along the first axis. torch's random
    state (on the CPU), from which a loader without a generator of its own draws, is as before.

    Raises
    ------
    TypeError
        There are targets beside a loader, or its batches are not pairs ``(inputs, targets)`` of
        tensors, arrays, or structures of them.
    ValueError
        The loader is empty, or its batches don't fit together.
    """
    if not isinstance(inputs, DataLoader):
        return inputs, targets
    if targets is not None:
        raise TypeError(
            f"inputs is a DataLoader, which gives the targets too: targets must be None, "
            f"not {type(targets).__name__}"
        )
    with torch.random.fork_rng(devices=[]):
        batches = [_pair(batch) for batch in inputs]
    if not batches:
        raise ValueError("inputs is a DataLoader that gives no batches")
    joined: tuple[Any, Any] = _joined(batches)
    return joined


def as_tensors(data: Any, dtype: torch.dtype, device: torch.device | str | None = None) -> Any:
    """Return data with its numpy arrays as tensors, and all tensors on the device.

    Parameters
    ----------
    data
        Of any kind; its structure is kept.
    dtype
        What floating arrays become. int32 ones become int64, other integers, booleans and complex
        numbers stay what they are; arrays of anything else stay arrays. Tensors keep their dtype.
    device
        Where to. None: arrays become tensors on the CPU, and tensors stay where they are.

    Returns
    -------
    Arrays are copied; tensors only where they move.
    """

    def change(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fiubc":
            leaf = _tensor(leaf, dtype)
        return leaf.to(device) if device is not None and hasattr(leaf, "to") else leaf

    return _mapped(change, data)


def count(inputs: Any, targets: Any) -> int:
    """Return how many samples there are: the length of the first axis, common to all tensors.

    None, as for targets that a loss does not need, holds no samples and is no error.

    Raises
    ------
    TypeError
        Something is not a tensor or array with at least one axis, or nothing is.
    ValueError
        The lengths differ.
    """
    held = {"inputs": _lengths("inputs", inputs), "targets": _lengths("targets", targets)}
    every = {length for lengths in held.values() for length in lengths}
    if not every:
        raise TypeError(f"inputs and targets hold no tensors; {_NEEDED}")
    if len(every) > 1:
        first, second = (" and ".join(map(str, lengths)) or "none" for lengths in held.values())
        raise ValueError(
            f"inputs hold {first} samples, targets {second}; {_NEEDED}, as many in each"
        )
    return every.pop()


_NEEDED = "batch_size needs tensors whose first axis is the samples"


def take(data: Any, rows: Tensor) -> Any:
    """Return the rows (int64, 1-d) of every tensor and array in the data, as fresh ones."""

    def change(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.index_select(0, rows.to(leaf.device))
        return leaf[rows.cpu().numpy()] if isinstance(leaf, np.ndarray) else leaf

    return _mapped(change, data)


def check_pair(inputs: Any, targets: Any) -> None:
    """Raise ValueError if inputs and targets, both one tensor or array, differ in length."""
    shapes = [leaf.shape for leaf in (inputs, targets) if isinstance(leaf, Tensor | np.ndarray)]
    if len(shapes) == 2 and all(map(len, shapes)) and shapes[0][0] != shapes[1][0]:
        raise ValueError(
            f"inputs hold {shapes[0][0]} samples, targets {shapes[1][0]}; give each input its "
            "target, or write the loss yourself (`from_function`) if they do not go in pairs"
        )


def _mapped(change: Callable[[Any], Any], data: Any) -> Any:
    """Return the same structure of changed leaves."""
    held = _held(data)
    return change(data) if held is None else _like(data, [_mapped(change, one) for one in held])


def _held(data: Any) -> list[Any] | None:
    """Return what a structure holds; None for a leaf."""
    if hasattr(data, "to"):
        return None
    if isinstance(data, dict):
        return list(data.values())
    return list(data) if isinstance(data, tuple | list) else None


def _like(data: Any, held: list[Any]) -> Any:
    """Return a structure as the given one that holds something else."""
    if isinstance(data, dict):
        other = copy(data)  # its order and, of a defaultdict, the default
        other.update(zip(data, held, strict=True))
        return other
    return type(data)(*held) if hasattr(data, "_fields") else type(data)(held)


def _leaves(data: Any) -> Iterator[Any]:
    held = _held(data)
    if held is None:
        yield data
    else:
        for one in held:
            yield from _leaves(one)


def _lengths(name: str, data: Any) -> list[int]:
    """Return the lengths of the first axes, each once."""
    leaves = [leaf for leaf in _leaves(data) if leaf is not None]
    for leaf in leaves:
        if not isinstance(leaf, Tensor | np.ndarray):
            raise TypeError(f"{name} hold something of type {type(leaf).__name__}; {_NEEDED}")
        if leaf.ndim == 0:
            raise TypeError(f"{name} hold a tensor without axes; {_NEEDED}")
    return list(dict.fromkeys(len(leaf) for leaf in leaves))


def _tensor(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
    """Copy a numeric array: torch takes neither foreign byte orders nor negative strides."""
    native = array.dtype.newbyteorder("=")
    if array.dtype.kind == "f":
        # torch knows no long doubles.
        native = np.dtype(np.float64) if native.itemsize > 8 else native
        return torch.from_numpy(np.array(array, native, order="C")).to(dtype)
    wide = np.dtype(np.int64) if native == np.int32 else native
    return torch.from_numpy(np.array(array, wide, order="C"))


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and not hasattr(batch, "to") and len(batch) == 2:
        return batch[0], batch[1]
    size = f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else ""
    raise TypeError(
        "inputs is a DataLoader, whose batches must be pairs (inputs, targets); "
        f"one is a {type(batch).__name__}{size}: give it a dataset of pairs, or a collate_fn"
    )


def _joined(batches: Sequence[Any]) -> Any:
    """Join structures of the same form, leaf by leaf, along the first axis."""
    first = batches[0]
    held = [_held(batch) for batch in batches]
    if held[0] is None:
        return _joined_leaves(batches)
    for batch, parts in zip(batches, held, strict=True):
        same = type(batch) is type(first) and parts is not None and len(parts) == len(held[0])
        if not same or (isinstance(first, dict) and list(batch) != list(first)):
            raise ValueError("inputs is a DataLoader whose batches are not all of one structure")
    return _like(first, [_joined(parts) for parts in zip(*filter(None, held), strict=True)])


def _joined_leaves(leaves: Sequence[Any]) -> Any:
    if len(leaves) == 1 or all(leaf is None for leaf in leaves):
        return leaves[0]
    try:
        if all(isinstance(leaf, Tensor) for leaf in leaves):
            return torch.cat(list(leaves))
        if all(isinstance(leaf, np.ndarray) for leaf in leaves):
            return np.concatenate(leaves)
    except (RuntimeError, ValueError) as error:
        shapes = list(dict.fromkeys(tuple(leaf.shape) for leaf in leaves))[:4]
        raise ValueError(
            f"inputs is a DataLoader whose batches, of shapes {shapes}, cannot be joined along "
            "the first axis; make all samples of one shape, as by padding, in its dataset"
        ) from error
    kinds = " and ".join(sorted({type(leaf).__name__ for leaf in leaves}))
    raise TypeError(
        f"inputs is a DataLoader whose batches hold {kinds}, which cannot be joined; "
        "make them tensors in its dataset or collate_fn"
    )
