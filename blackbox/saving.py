"""Results as files that are safe to open: numbers and texts, nothing that could be executed.

A file is numpy's ``npz``, uncompressed and without pickles: the arrays, and a text of JSON that
says what they belong to. Of classes there are ours only, known by their names.
"""

import json
import logging
import math
import os
import secrets
import zipfile
from array import array
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from blackbox import failures, history, thinned, trace
from blackbox.diagnosis import terms
from blackbox.lines import open_file

LOG = logging.getLogger("blackbox")
FORMAT = 1
KNOWN: dict[str, type[Any]] = {
    f"{module.__name__}.{name}": kind
    for module in (failures, history, terms, thinned, trace)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__
} | {"scipy.optimize.OptimizeResult": OptimizeResult}
"""Classes whose objects are stored, by their names."""
NAMES = {kind: name for name, kind in KNOWN.items()}


class _Unstorable(Exception):
    """An object that no safe file holds."""


def save_result(result: Mapping[str, Any], path: str | os.PathLike[str]) -> list[str]:
    """Write a result; whoever reads the file meanwhile finds the one before.

    Returns
    -------
    list of str
        What could not be stored and was left out: functions, operators, the user's own objects.
    """
    arrays: list[NDArray[Any]] = []
    fields, left_out = {}, []
    for name, value in result.items():
        before = len(arrays)
        try:
            fields[str(name)] = _pack(value, arrays)
        except (_Unstorable, RecursionError):
            del arrays[before:]
            left_out.append(str(name))
    content = {"blackbox result": FORMAT, "fields": fields, "left_out": left_out}
    text = np.frombuffer(json.dumps(content, allow_nan=False).encode(), np.uint8)
    named: dict[str, Any] = {str(i): part for i, part in enumerate(arrays)}
    _replace(Path(path), {"json": text} | named)
    if left_out:
        LOG.info("%s holds all but %s", path, ", ".join(left_out))
    return left_out


def _replace(path: Path, arrays: Mapping[str, Any]) -> None:
    """Put a file in the place of another, whole."""
    path = Path(os.path.realpath(path))  # of a link: what it leads to
    if path.exists() and not path.is_file():
        raise OSError(f"a result can't be saved as {str(path)!r}: that is no ordinary file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}; make it")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with part.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def load_result(path: str | os.PathLike[str], kind: type[Any]) -> Any:
    """Read a result; nothing in the file is executed.

    Parameters
    ----------
    path
        The file.
    kind
        The class of the result.

    Raises
    ------
    ValueError
        If the file holds no result, or one that is damaged.
    OSError
        If it can't be read.
    """
    file = open_file(path)
    try:
        with file:
            content, arrays = _read(file)
        fields = {str(name): _unpack(value, arrays) for name, value in content["fields"].items()}
        left_out = [str(name) for name in content["left_out"]]
        found = kind(fields | ({"left_out": left_out} if left_out else {}))
        if not isinstance(found["history"], history.History):
            raise ValueError("it has no history")
        return found
    except (
        *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OSError),
        *(MemoryError, RecursionError, OverflowError, NotImplementedError, RuntimeError),
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(f"{path} holds no result of minimize, or is damaged: {error}") from error


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with zipfile.ZipFile(file) as archive:
        # No array is larger than its part of the file: small files take little memory.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("it is compressed")
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    content = json.loads(arrays.pop("json").tobytes())
    if content["blackbox result"] != FORMAT:
        raise ValueError(f"its format is {content['blackbox result']!r:.40}, not {FORMAT}")
    return content, arrays


def _pack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return a value as JSON has it, and add to the arrays."""
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
        return [_pack(item, arrays) for item in value]
    if type(value) is tuple:
        return {"tuple": [_pack(item, arrays) for item in value]}
    if type(value) is dict or type(value) in NAMES:
        return _pack_object(value, arrays)
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return {"seed": "a generator"}
    raise _Unstorable


def _pack_object(value: Any, arrays: list[NDArray[Any]]) -> Any:
    packed: dict[str, Any] = {"class": NAMES.get(type(value), "dict")}
    if isinstance(value, tuple):
        packed["tuple"] = [_pack(item, arrays) for item in value]
        return packed
    if isinstance(value, dict):
        packed["items"] = [[_pack(k, arrays), _pack(v, arrays)] for k, v in value.items()]
        return packed
    state = value.__getstate__()
    packed["state"] = {name: _pack(item, arrays) for name, item in (state or {}).items()}
    return packed


def _unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(packed, list):
        return [_unpack(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if "class" in packed:
        return _unpack_object(packed, arrays)
    ((kind, content),) = packed.items()
    if kind == "array":
        return arrays[str(content)]
    if kind == "numbers":
        return array("d", arrays[str(content)].astype(float).tobytes())
    if kind == "tuple":
        return tuple(_unpack(item, arrays) for item in content)
    if kind == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if kind == "seed":
        return str(content)
    raise ValueError(f"{kind!r:.40} is not known")


def _unpack_object(packed: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    kind = dict if packed["class"] == "dict" else KNOWN[packed["class"]]
    if issubclass(kind, tuple):
        return kind(*(_unpack(item, arrays) for item in packed["tuple"]))
    if issubclass(kind, dict):
        return kind((_unpack(k, arrays), _unpack(v, arrays)) for k, v in packed["items"])
    # What a newer version has and the file has not, is as it is at first.
    fresh = kind() if kind in (history.History, trace.Trace) else object.__new__(kind)
    state = {str(name): _unpack(item, arrays) for name, item in packed["state"].items()}
    vars(fresh).update(state)
    return fresh
