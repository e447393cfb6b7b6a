"""Conditions: a parameter that is active only where others have a value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapters.space.choices import Choice
from adapters.space.parameter import Parameter, same
from adapters.space.ranges import Float, Log

Condition = tuple[str, tuple[Any, ...]]
"""A parameter's name, and the values, as they are decoded, of which it must have one."""


def check_conditions(name: str, parameters: Mapping[str, Parameter]) -> tuple[Condition, ...]:
    """Return the conditions under which the parameter is active.

    Raises
    ------
    ValueError
        If one names an unknown parameter, one without separate values, or one of no values or of
        values that it cannot have.
    """
    found = []
    for other, wanted in (parameters[name].when or {}).items():
        says = f"Space: {name} is active only where {other}"
        if other not in parameters:
            raise ValueError(
                f"{says} has a value, but there is no such parameter; the space has "
                f"{', '.join(parameters)}"
            )
        parent = parameters[other]
        if isinstance(parent, Log) or (isinstance(parent, Float) and parent.step is None):
            raise ValueError(
                f"{says} is {wanted!r}, which a real number never is by chance: let it depend on a "
                "Choice, Bool or Int, or give the Float a step"
            )
        values = []
        for value in _several(wanted, parent):
            try:
                values.append(parent.decode(parent.encode(value)))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{says} is {value!r}: {error}{_hint(value)}") from None
        if not values:
            raise ValueError(f"{says} is one of no values: name one")
        found.append((other, tuple(values)))
    return tuple(found)


def _several(wanted: Any, parent: Parameter) -> tuple[Any, ...]:
    """Return the values that a condition names: a tuple is several, unless it is an option."""
    if not isinstance(wanted, tuple):
        return (wanted,)
    if isinstance(parent, Choice) and any(same(wanted, option) for option in parent.options):
        return (wanted,)
    return wanted


def _hint(value: Any) -> str:
    """Say how several values are given, where something like them was."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, set, frozenset, range)) or not value:
        return ""
    return f"; for any one of several values give a tuple, {tuple(value)!r:.60}"


def in_order(conditions: Mapping[str, Sequence[Condition]]) -> list[str]:
    """Return the names, each after those that it depends on.

    Raises
    ------
    ValueError
        If they go in a circle.
    """
    order: list[str] = []
    while len(order) < len(conditions):
        ready = [
            name
            for name, needs in conditions.items()
            if name not in order and all(other in order for other, _ in needs)
        ]
        if not ready:
            circle = [name for name in conditions if name not in order]
            raise ValueError(f"Space: the conditions of {', '.join(circle)} go in a circle")
        order += ready
    return order


def hold(conditions: Sequence[Condition], values: Mapping[str, Any]) -> bool:
    """Whether each parameter named is active and has one of its values."""
    return all(
        other in values and any(same(values[other], one) for one in wanted)
        for other, wanted in conditions
    )
