"""Spaces written down: as plain dictionaries, in TOML and in JSON."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from adapters.space.choices import Bool, Choice, Fixed
from adapters.space.parameter import Parameter
from adapters.space.ranges import Float, Int, Log, LogInt
from adapters.space.space import Space
from blackbox.algorithms.method import nearest


def _choice(options: Any, **others: Any) -> Choice:
    if not isinstance(options, tuple):
        raise TypeError(f"options must be a list, got {options!r:.60}")
    return Choice(*options, **others)


_KINDS: dict[str, tuple[Callable[..., Parameter], tuple[str, ...], tuple[str, ...]]] = {
    "float": (Float, ("low", "high"), ("step",)),
    "log": (Log, ("low", "high"), ()),
    "int": (Int, ("low", "high"), ("step",)),
    "logint": (LogInt, ("low", "high"), ()),
    "choice": (_choice, ("options",), ("ordered",)),
    "bool": (Bool, (), ()),
    "fixed": (Fixed, ("value",), ()),
}
"""From a type's name to what makes it, the fields that it needs, and those that it may have."""

_NAMED = "object"
"""The key under which a class or function is described by its name."""


def describe(name: str, parameter: Parameter) -> Any:
    """Return what JSON can hold of a parameter: a dictionary, or of a constant its plain value.

    Raises
    ------
    TypeError
        If it holds what cannot be described.
    """
    if isinstance(parameter, Fixed) and parameter.when is None:
        value = _plain(name, parameter.value)
        if not isinstance(value, (list, dict)):
            return value
    kind = type(parameter).__name__.lower()
    if kind not in _KINDS:
        raise TypeError(f"{name} is a {type(parameter).__name__}, which has no description")
    _, needed, others = _KINDS[kind]
    described: dict[str, Any] = {"type": kind}
    usual = {field.name: field.default for field in fields(parameter)}  # type: ignore[arg-type]
    for field in (*needed, *others):
        value = getattr(parameter, field)
        if field in needed or value != usual[field]:
            described[field] = _plain(name, value)
    if parameter.when is not None:
        described["when"] = {
            other: _plain(name, wanted) for other, wanted in parameter.when.items()
        }
    return described


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(name, each) for each in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(name, each) for key, each in value.items()}
    if hasattr(value, "tolist"):  # numpy's
        return _plain(name, value.tolist())
    if hasattr(value, "__qualname__"):
        return {_NAMED: f"{value.__module__}.{value.__qualname__}"}
    raise TypeError(
        f"{name}: {value!r:.60} cannot be written down: give options names, and look them up where "
        "they are used"
    )


def read_dict(described: Mapping[str, Any]) -> Space:
    """Return the space that `describe` described, parameter by parameter.

    Raises
    ------
    TypeError, ValueError
        That name the parameter and the field.
    """
    if not isinstance(described, Mapping):
        raise TypeError(
            f"a space is described by a dictionary from names to parameters, got {described!r:.60}"
        )
    return Space({name: _read(name, value) for name, value in described.items()})


def _read(name: str, described: Any) -> Parameter:
    if isinstance(described, (list, tuple)):
        raise TypeError(
            f"{name} is a list: give type 'choice' and these as options, or for a constant type "
            "'fixed' and this as value"
        )
    if not isinstance(described, Mapping):
        return Fixed(described)
    if "type" not in described:
        hint = ""
        if described and all(isinstance(value, Mapping) for value in described.values()):
            inner = next(iter(described))
            hint = f'; in TOML a name with dots is quoted: ["{name}.{inner}"]'
        raise ValueError(f"{name}: the field type is missing: one of {', '.join(_KINDS)}{hint}")
    kind = described["type"]
    if not isinstance(kind, str) or kind not in _KINDS:
        close = nearest(kind, list(_KINDS)) if isinstance(kind, str) else ""
        raise ValueError(f"{name}: type must be one of {', '.join(_KINDS)}, got {kind!r}{close}")
    make, needed, others = _KINDS[kind]
    known = [*needed, *others, "when"]
    values = {field: _restored(name, value) for field, value in described.items()}
    del values["type"]
    for field in values:
        if field not in known:
            raise ValueError(
                f"{name}: a {kind} has no field {field!r}{nearest(field, known)}; it has "
                f"{', '.join(known)}"
            )
    for field in needed:
        if field not in values:
            raise ValueError(f"{name}: the field {field} of the {kind} is missing")
    try:
        positional = [values.pop(field) for field in needed]
        return make(*positional, **values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _restored(name: str, value: Any) -> Any:
    """Return a value with tuples for lists."""
    if isinstance(value, (list, tuple)):
        return tuple(_restored(name, each) for each in value)
    if isinstance(value, Mapping):
        if set(value) == {_NAMED}:
            raise ValueError(
                f"{name}: {value[_NAMED]} was an object, which a description cannot hold: build "
                "the space in Python, or give options names"
            )
        return {key: _restored(name, each) for key, each in value.items()}
    return value


def read_file(path: Path) -> Space:
    """Return the space that a TOML or JSON file describes.

    Raises
    ------
    OSError
        If it cannot be read.
    TypeError, ValueError
        That name the file, the parameter and the field.
    """
    readers: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: a space is read from a .toml or a .json file")
    try:
        described = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
        return read_dict(described)
    except (TypeError, ValueError) as error:  # those of tomllib, json and unicode among them
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{path}: {error}") from None
