"""Values of options that can't be meant: refused before the first evaluation."""

import dataclasses
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, get_args

import numpy as np

NUMBERS = {int, float, bool, type(None)}
"""Of options that take nothing else it is known what can't be meant."""


def check_values(method: str, kind: type[Any], options: Mapping[str, Any], arrays: bool) -> None:
    """Refuse what is no number where the method's option is one.

    Parameters
    ----------
    method, kind
        The method's name, and its class: a dataclass, whose fields are the options.
    options
        What the user gave, by name.
    arrays
        Whether an array of numbers may stand for a number, one for each variable, as in scipy.

    Raises
    ------
    TypeError, ValueError
        It names the option. Whether a number is in its range is the method's to say.
    """
    for field in dataclasses.fields(kind):
        taken = {*(get_args(field.type) or (field.type,))}
        if field.name not in options or not taken <= NUMBERS:
            continue
        value = options[field.name]
        if value is None and (type(None) in taken or bool in taken):
            continue
        if isinstance(value, (np.ndarray, list, tuple)) and _are_numbers(value):
            if arrays:
                continue
            value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
        if callable(value):  # a class that `cma` takes in place of true: its own matter
            continue
        if not isinstance(value, (Real, np.bool_)):
            what = "true or false" if taken <= {bool, type(None)} else "one number"
            raise TypeError(f"{field.name} is {what}; method {method!r} got {value!r:.60}")
        if math.isnan(value):
            raise ValueError(f"{field.name} is NaN for method {method!r}; give a number")


def _are_numbers(values: Any) -> bool:
    try:
        return np.asarray(values).dtype.kind in "biuf"
    except ValueError:  # ragged
        return False
