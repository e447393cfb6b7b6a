"""Results as files that are safe to open (format: `blackbox.packing`)."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from blackbox.history import History
from blackbox.packing import Unstorable, pack, read_packed, unpack, write_packed

LOG = logging.getLogger("blackbox")
FORMAT = 1


def save_result(result: Mapping[str, Any], path: str | os.PathLike[str]) -> list[str]:
    """Write a result; whoever reads the file meanwhile finds the one before.

    Returns
    -------
    list of str
        What could not be stored and was left out: functions, operators, the user's own objects.

    Raises
    ------
    TypeError, ValueError, OSError
        If `path` is no path, is empty, or can't be written.
    """
    path = _as_path(path)
    arrays: list[NDArray[Any]] = []
    fields, left_out = {}, []
    for name, value in result.items():
        before = len(arrays)
        try:
            fields[str(name)] = pack(value, arrays)
        except (Unstorable, RecursionError):
            del arrays[before:]
            left_out.append(str(name))
    content = {"blackbox result": FORMAT, "fields": fields, "left_out": left_out}
    write_packed(path, content, arrays)
    if left_out:
        LOG.info("%s holds all but %s", path, ", ".join(left_out))
    return left_out


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
    TypeError, ValueError
        If `path` is no path, or the file holds no result, or one that is damaged.
    OSError
        If it can't be read.
    """
    path = _as_path(path)
    try:
        with read_packed(path) as (content, arrays):
            if content["blackbox result"] != FORMAT:
                found = content["blackbox result"]
                raise ValueError(f"its format is {found!r:.40}, not {FORMAT}")
            fields = {str(name): unpack(item, arrays) for name, item in content["fields"].items()}
            left_out = [str(name) for name in content["left_out"]]
            result = kind(fields | ({"left_out": left_out} if left_out else {}))
            if not isinstance(result["history"], History):
                raise ValueError("it has no history")
            return result
    except ValueError as error:
        raise ValueError(f"{path} holds no result of minimize, or is damaged: {error}") from error


def _as_path(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TypeError(f"path is a text or a Path; got {path!r:.60}")
    if not os.fspath(path):
        raise ValueError("path='' names no file; give a name")
    return Path(path)
