"""Values of options that can't be meant: refused before the first evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from blackbox.algorithms.table.options import BELOW, TAKEN
from blackbox.algorithms.takes import Takes, of_type


def takes(method: str, kind: type[Any]) -> Mapping[str, Takes]:
    """Return what each option takes of a method with this class; where nobody knows, nothing."""
    found = {}
    for field in dataclasses.fields(kind):
        typed = of_type(field.type)
        known = TAKEN.get(f"{method}.{field.name}") or TAKEN.get(field.name) or typed
        if known is not None:
            found[field.name] = known
    return found


def read_values(
    method: str, kind: type[Any], options: Mapping[str, Any], *, lenient: bool, settings: bool
) -> dict[str, Any]:
    """Return the options as the method has them: numbers of numpy as Python's, counts as ints.

    Parameters
    ----------
    method, kind
        The method's name, and its class: a dataclass, whose fields are the options.
    options
        What the user gave, by name.
    lenient
        Whether scipy's ways hold: see `blackbox.algorithms.takes.Takes.read`.
    settings
        Whether a list is a setting for each run.

    Raises
    ------
    TypeError, ValueError
        It names the option, what was passed, and what the option takes.
    """
    known, given = takes(method, kind), dict(options)
    for field in dataclasses.fields(kind):
        name = field.name
        if name not in given or name not in known:
            continue
        value, what = given[name], known[name]
        if value is None and _may_be_none(field, lenient):
            continue
        runs = settings and isinstance(value, list)
        try:
            read = [what.read(one, lenient) for one in (value if runs else [value])]
        except (TypeError, ValueError, OverflowError) as error:
            refused = TypeError if isinstance(error, TypeError) else ValueError
            hint = "; a list is a setting for each run: else write a tuple" if runs else ""
            within = f": {error}" if what.inner is not None and str(error) else ""
            raise refused(
                f"{name}={value!r:.60} is not what method {method!r} takes: give "
                f"{what.describe()}{within}{hint}"
            ) from error
        given[name] = read if runs else read[0]
    _check_order(method, {f.name: given.get(f.name, f.default) for f in dataclasses.fields(kind)})
    return given


def check_shapes(method: str, kind: type[Any], options: Mapping[str, Any], n: int) -> None:
    """Refuse arrays that have other lengths than a problem of `n` variables.

    Raises
    ------
    ValueError
        It names the option and the shape.
    """
    known = takes(method, kind)
    for name, value in options.items():
        if not isinstance(value, (np.ndarray, list, tuple)) or name not in known:
            continue
        what = known[name]
        depends = any(isinstance(side, str) for shape in what.shapes for side in shape)
        if what.numbers and depends and not what.fits(np.asarray(value), n):
            raise ValueError(
                f"{name} has the shape {np.shape(value)}, and there are n = {n} variables; method "
                f"{method!r} takes {what.describe()}"
            )


def _may_be_none(field: "dataclasses.Field[Any]", lenient: bool) -> bool:
    optional = type(None) in getattr(field.type, "__args__", ())
    return optional or field.default is None or (field.type is bool and lenient)


def _check_order(method: str, options: Mapping[str, Any]) -> None:
    for low, high, equal in BELOW:
        one, other = options.get(low), options.get(high)
        if one is None or other is None or one < other or (equal and one == other):
            continue
        raise ValueError(
            f"{low}={one!r} is not {'at most' if equal else 'below'} {high}={other!r}, as method "
            f"{method!r} needs it; give both"
        )
