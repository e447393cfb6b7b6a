"""Users' Python files: loaded under names of their own; what is wrong with them, in few words."""

import difflib
import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

FRAMES = 6
"""Of a traceback so many are shown, the last ones."""
PREFIX = "_user_file_"


class UserFileError(ValueError):
    """A user's file cannot be used; the text says why, with the part of the traceback in it."""


def digest(path: Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def attribute(path: Path, name: str) -> Any:
    """Return what the file defines by this name.

    Raises
    ------
    UserFileError
        If the file is not there or does not import, or has no such name; it says which it has.
    """
    try:
        if not path.is_file():
            raise UserFileError(_missing(path))
        module = load(path)
    except OSError as error:
        raise UserFileError(f"{path} cannot be read: {error.strerror}") from None
    if name and hasattr(module, name):
        return getattr(module, name)
    there = _callables(module)
    known = f"it has: {', '.join(there)}" if there else "it defines none"
    if not name:
        raise UserFileError(f"{path}: which function of it? Write {path}:name; {known}")
    close = difflib.get_close_matches(name, there, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise UserFileError(f"{path} has no function {name!r}{hint}; {known}")


def load(path: Path) -> ModuleType:
    """Return the file as a module, loaded once for its present text.

    It has a name of its own, so that one called as a library does no harm; ``__name__`` is not
    ``"__main__"``. While it loads, modules in its folder can be imported, and those of installed
    packages come first; afterwards they are forgotten, as two folders may have modules of one name.

    Raises
    ------
    UserFileError
        If it does not import, or wants to exit; with the traceback's part in the user's folder.
    """
    path = path.absolute()
    name = PREFIX + hashlib.sha256(f"{path}\n{digest(path)}".encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _importable(path.parent):
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise UserFileError(_short(error, path)) from None
        except BaseException:
            del sys.modules[name]
            raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of the folder be imported for a while; they are forgotten afterwards."""
    before, text = set(sys.modules), str(folder)
    sys.path.append(text)
    try:
        yield
    finally:
        sys.path.remove(text)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and not name.startswith(PREFIX) and _of_user(file, folder):
                del sys.modules[name]


def _of_user(file: str, folder: Path) -> bool:
    """Whether a file lies in the user's folder, and not in an environment within it."""
    place = Path(file).absolute()
    libraries = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib")]
    return place.is_relative_to(folder) and not any(map(place.is_relative_to, libraries))


def _short(error: BaseException, path: Path) -> str:
    """The traceback without frames of ours and of libraries, and its last line."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")  # the import system's own
        and _of_user(frame.filename, path.parent)
        and Path(frame.filename) != Path(__file__)
    ]
    told = traceback.format_list(frames[-FRAMES:]) + traceback.format_exception_only(error)
    verb = "wants to exit" if isinstance(error, SystemExit) else "does not import"
    return f"{path} {verb}:\n{''.join(told).rstrip()}"


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}, nor a folder {folder}"
    there = sorted(other.name for other in folder.glob("*.py"))
    close = difflib.get_close_matches(path.name, there, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    return f"there is no file {path}{hint}"


def _callables(module: ModuleType) -> list[str]:
    """Names of what the file itself defines and one can call."""
    return [
        name
        for name, found in vars(module).items()
        if callable(found)
        and not name.startswith("_")
        and (getattr(found, "__module__", None) == module.__name__ or hasattr(found, "x0"))
    ]
