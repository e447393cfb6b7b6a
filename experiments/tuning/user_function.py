"""The user's function ``FILE.py:train``, and the space that belongs to it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.space import Space
from experiments.problems.user_file import UserFileError, attribute, load


class FileFunction:
    """A function of a user's file, which other processes load from there.

    Parameters
    ----------
    path, name
        The file, and what it is called there.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.__name__ = path.absolute(), name
        self.__wrapped__: Callable[..., Any] = attribute(path, name)

    def __call__(self, **params: Any) -> Any:
        """Call it."""
        return self.__wrapped__(**params)

    def __reduce__(self) -> Any:
        return FileFunction, (self._path, self.__name__)


def read_function(text: str) -> tuple[Any, Path]:
    """Return what ``path/to/file.py:name`` names, and the file.

    A batched objective is returned as it is.

    Raises
    ------
    UserFileError
        If the file is not there, does not import, or has nothing of this name that can be called.
    """
    match = re.fullmatch(r"(.+?\.py)(?::(\w*))?", text.strip(), re.DOTALL)
    if match is None:
        raise UserFileError(f"{text!r} is not FILE.py:function")
    path, name = Path(match[1]), match[2] or ""
    found = attribute(path, name)
    if getattr(found, "batched", False):
        return found, path
    if not callable(found):
        raise UserFileError(f"{text}: {name} is {type(found).__name__}, not a function")
    return FileFunction(path, name), path


def read_space(train: Any, path: Path, file: Path | None) -> Space:
    """Return the space: of a file of its own, of the function, or what its file calls ``space``.

    Parameters
    ----------
    train, path
        As `read_function` returns them.
    file
        TOML or JSON; None where nobody gave one.

    Raises
    ------
    TypeError, ValueError
        If there is none, or it is wrong.
    """
    if file is not None:
        try:
            return Space.from_file(file)
        except OSError as error:
            raise ValueError(f"the space {file} cannot be read: {error.strerror}") from None
    owner = getattr(train, "__wrapped__", train)
    found = getattr(owner, "space", None) or getattr(load(path), "space", None)
    if isinstance(found, Space):
        return found
    if found is None:
        raise ValueError(
            f"what is to be searched? Give --space FILE.toml, or define space in {path}"
        )
    raise TypeError(f"space in {path} is {type(found).__name__}; it must be a Space")
