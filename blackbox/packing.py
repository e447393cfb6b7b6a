"""Files of numbers and texts that are safe to open: numpy's ``npz`` without pickles.

A file holds arrays, uncompressed, and a text of JSON that says what they belong to. Of classes
there are ours only, known by their names. Nothing that is read is ever executed.
"""

import json
import math
import os
import secrets
import zipfile
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from blackbox import evaluated, failures, history, thinned, trace
from blackbox.diagnosis import terms
from blackbox.lines import open_file

KNOWN: dict[str, type[Any]] = {
    f"{module.__name__}.{name}": kind
    for module in (evaluated, failures, history, terms, thinned, trace)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__
} | {"scipy.optimize.OptimizeResult": OptimizeResult}
"""Classes whose objects are stored, by their names."""
NAMES = {kind: name for name, kind in KNOWN.items()}
LONG = 100
"""Rows from which a list of tuples is stored by its columns: it takes a tenth of the time."""
BROKEN = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError),
    *(MemoryError, RecursionError, OverflowError, NotImplementedError, RuntimeError),
    zipfile.BadZipFile,
)
"""What a file that is damaged, or another one, raises where it is read."""


class Unstorable(Exception):
    """An object that no safe file holds."""


def write_packed(
    path: Path, content: Mapping[str, Any], arrays: list[NDArray[Any]], token: str | None = None
) -> None:
    """Put a file in the place of another, whole: whoever reads it meanwhile finds the one before.

    Parameters
    ----------
    path
        The file.
    content, arrays
        JSON, and the arrays that `pack` has found in it.
    token
        Part of the name that the file has until it is whole; None: a random one. A name that is
        known is used again after a kill, but must have one writer only.
    """
    path = Path(os.path.realpath(path))  # of a link: what it leads to
    if path.exists() and not path.is_file():
        raise OSError(f"{str(path)!r} can't be written: it is no ordinary file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}; make it")
    text = np.frombuffer(json.dumps(content, allow_nan=False).encode(), np.uint8)
    named: dict[str, Any] = {"json": text} | {str(i): part for i, part in enumerate(arrays)}
    part = path.with_name(f".{path.name}.{secrets.token_hex(4) if token is None else token}")
    try:
        with part.open("xb" if token is None else "wb") as file:
            np.savez(file, allow_pickle=False, **named)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the system write a folder's names, where folders can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def read_packed(
    path: str | os.PathLike[str],
) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """Give what `write_packed` was given; what goes wrong in the block, too, is a ValueError.

    Raises
    ------
    ValueError
        If the file is another one, or damaged.
    OSError
        If it can't be opened.
    """
    file = open_file(path)
    try:
        with file:
            with zipfile.ZipFile(file) as archive:
                # No array is larger than its part of the file: small files take little memory.
                if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                    raise ValueError("it is compressed")
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
        content = json.loads(arrays.pop("json").tobytes())
        if not isinstance(content, dict):
            raise ValueError("it is no object of JSON")
        yield content, arrays
    except BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


def pack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return a value as JSON has it, and add to the arrays.

    Raises
    ------
    Unstorable
        If there is something in it that is neither number, text, array, list, mapping nor ours.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is np.ndarray and value.dtype.kind in "biufcU":
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if type(value) is array and value.typecode == "d":
        arrays.append(np.array(value))
        return {"numbers": len(arrays) - 1}
    if type(value) is list:
        table = _pack_table(value, arrays)
        return [pack(item, arrays) for item in value] if table is None else table
    if type(value) is tuple:
        return {"tuple": [pack(item, arrays) for item in value]}
    if type(value) is dict or type(value) in NAMES:
        return _pack_object(value, arrays)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return {"seed": "a generator"}
    raise Unstorable(f"{type(value).__module__}.{type(value).__qualname__}")


def _pack_table(rows: list[Any], arrays: list[NDArray[Any]]) -> Any:
    """Pack many tuples of numbers, all of one class of ours, as columns; None for other lists."""
    kind = type(rows[0]) if len(rows) >= LONG else None
    if kind not in NAMES or not issubclass(kind, tuple) or {*map(type, rows)} != {kind}:
        return None
    columns = [list(column) for column in zip(*rows, strict=True)]
    kinds = [{*map(type, column)} for column in columns]
    if any(each not in ({int}, {float}) for each in kinds):
        return None
    packed = [pack(np.array(column), arrays) for column in columns]
    return {"table": NAMES[kind], "columns": packed}


def _pack_object(value: Any, arrays: list[NDArray[Any]]) -> Any:
    packed: dict[str, Any] = {"class": NAMES.get(type(value), "dict")}
    if isinstance(value, tuple):
        packed["tuple"] = [pack(item, arrays) for item in value]
        return packed
    if isinstance(value, dict):
        packed["items"] = [[pack(k, arrays), pack(v, arrays)] for k, v in value.items()]
        return packed
    state = value.__getstate__()
    packed["state"] = {name: pack(item, arrays) for name, item in (state or {}).items()}
    return packed


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return what `pack` was given; raises one of `BROKEN` where it is something else."""
    if isinstance(packed, list):
        return [unpack(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if "class" in packed:
        return _unpack_object(packed, arrays)
    if "table" in packed:
        columns = [unpack(column, arrays).tolist() for column in packed["columns"]]
        kind = KNOWN[packed["table"]]
        return [kind(*row) for row in zip(*columns, strict=True)]
    ((kind, content),) = packed.items()
    if kind == "array":
        return arrays[str(content)]
    if kind == "numbers":
        return array("d", arrays[str(content)].astype(float).tobytes())
    if kind == "tuple":
        return tuple(unpack(item, arrays) for item in content)
    if kind == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if kind == "seed":
        return str(content)
    raise ValueError(f"{kind!r:.40} is not known")


def _unpack_object(packed: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    kind = dict if packed["class"] == "dict" else KNOWN[packed["class"]]
    if issubclass(kind, tuple):
        return kind(*(unpack(item, arrays) for item in packed["tuple"]))
    if issubclass(kind, dict):
        return kind((unpack(k, arrays), unpack(v, arrays)) for k, v in packed["items"])
    # What a newer version has and the file has not, is as it is at first.
    fresh = kind() if kind in (history.History, trace.Trace) else object.__new__(kind)
    state = {str(name): unpack(item, arrays) for name, item in packed["state"].items()}
    vars(fresh).update(state)
    return fresh
