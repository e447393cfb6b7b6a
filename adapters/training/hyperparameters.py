"""Which hyperparameters a training has, and whose each one is: the model's or the training's."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from adapters.space import Choice, Fixed, Parameter, Space
from adapters.training.rules import RULES, Rule
from adapters.training.schedules import SCHEDULES
from blackbox.types import Array

Params = dict[str, Any]
"""Hyperparameters by name, as `Space.decode` gives them."""

COMMON: Mapping[str, Any] = {"clip": math.inf, "warmup": 0.0, "schedule": "constant"}
"""What any rule takes besides its own settings, and what it is where it is not given."""

NAMES = (
    *dict.fromkeys([*(name for rule in RULES.values() for name in rule.settings), *COMMON]),
    "optimizer",
    "batch_size",
)
"""All names of hyperparameters of trainings."""


class _Range(NamedTuple):
    low: float
    high: float
    text: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Real) and self.low <= float(value) <= self.high


_BELOW_ONE = _Range(0.0, math.nextafter(1.0, 0.0), "at least 0 and below 1")
_NOT_NEGATIVE = _Range(0.0, math.nextafter(math.inf, 0.0), "at least 0 and finite")
_RANGES = {
    "lr": _NOT_NEGATIVE,
    "momentum": _NOT_NEGATIVE,
    "beta1": _BELOW_ONE,
    "beta2": _BELOW_ONE,
    "alpha": _Range(0.0, 1.0, "between 0 and 1"),
    "eps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "clip": _Range(math.nextafter(0.0, 1.0), math.inf, "above 0 (or None: no clipping)"),
    "warmup": _Range(0.0, 1.0, "a share of the training, between 0 and 1"),
}


def beside(line: Params, params: Params) -> Params:
    """Return a line of a table with hyperparameters; ``params_value`` where it has a ``value``."""
    return line | {f"params_{name}" if name in line else name: params[name] for name in params}


def check_value(name: str, value: Any) -> None:
    """Raise where a training's hyperparameter cannot have a value.

    Raises
    ------
    ValueError
        It cannot.
    """
    if name in _RANGES:
        good, wanted = value in _RANGES[name], _RANGES[name].text
        good = (good and not isinstance(value, bool)) or (name == "clip" and value is None)
    elif name == "nesterov":
        good, wanted = isinstance(value, bool | np.bool_), "True or False"
    elif name == "batch_size":
        whole = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
        good, wanted = whole or value is None, "a whole number from 1 on (or None: all samples)"
    elif name == "optimizer":
        good, wanted = isinstance(value, str) and value in RULES, f"one of {', '.join(RULES)}"
    else:
        known = isinstance(value, str) and value in SCHEDULES
        good, wanted = known or callable(value), f"one of {', '.join(SCHEDULES)}, or a function"
    if not good:
        raise ValueError(f"{name} must be {wanted}; got {value!r}")


class Division:
    """Which names of a space are make_model's, and which are the training's.

    Parameters
    ----------
    make_model
        A name that its signature has is its own; with ``**others`` also every unknown one.
    space
        The space.
    optimizer, batch_size
        What they are where the space has none.

    Raises
    ------
    TypeError, ValueError
        A name is nobody's, or of a rule that is never used; make_model needs one that is not, or
        not always, there; or a value is impossible.
    """

    def __init__(
        self,
        make_model: Callable[..., Any],
        space: Space,
        optimizer: str,
        batch_size: int | None,
    ) -> None:
        self._defaults: Params = {"optimizer": optimizer, "batch_size": batch_size}
        for name, value in self._defaults.items():
            check_value(name, value)
        named, needed, any_name = _signature(make_model)
        self.model_names = frozenset(
            name for name in space if name in named or (any_name and name not in NAMES)
        )
        for name in needed:
            if name not in space:
                raise TypeError(
                    f"make_model needs {name!r}, which the space has not: add it, or a default"
                )
            if space[name].when is not None:
                raise TypeError(
                    f"make_model always needs {name!r}, which the space has only where "
                    f"{dict(space[name].when or {})}: give it a default"
                )
        own = [name for name in space if name not in self.model_names]
        rules = _possible(space["optimizer"]) if "optimizer" in own else [optimizer]
        for name in own:
            if name not in NAMES:
                raise ValueError(
                    f"space: {name!r} is neither a parameter of make_model "
                    f"({', '.join(sorted(named)) or 'which has none'}) nor one of a training: "
                    f"{', '.join(NAMES)}"
                )
            for value in _possible(space[name]):
                try:
                    check_value(name, value)
                except ValueError as error:
                    raise ValueError(f"space: {error}") from None
        for name in own:
            used = {*COMMON, *self._defaults}.union(*(RULES[rule].settings for rule in rules))
            if name not in used:
                raise ValueError(
                    f"space: {name!r} is nothing that {' or '.join(rules)} uses; leave it out, or "
                    "give another optimizer="
                )

    def of_model(self, params: Params) -> Params:
        """Return the part that is make_model's."""
        return {name: value for name, value in params.items() if name in self.model_names}

    def of_training(self, params: Params) -> Params:
        """Return the training's part, with all that is not given as it is by default.

        Raises
        ------
        ValueError
            An unknown name, or an impossible value.
        """
        own = {name: value for name, value in params.items() if name not in self.model_names}
        for name, value in own.items():
            if name not in NAMES:
                raise ValueError(
                    f"{name!r} is neither a parameter of make_model nor one of a training: "
                    f"{', '.join(NAMES)}"
                )
            check_value(name, value)
        rule = str(own.get("optimizer", self._defaults["optimizer"]))
        made = {**self._defaults, **RULES[rule].settings, **COMMON, **own}
        if made["clip"] is None:
            made["clip"] = math.inf
        return made


def _signature(make_model: Callable[..., Any]) -> tuple[set[str], list[str], bool]:
    """Return the names that it takes, those that it needs, and whether it takes any name."""
    if not callable(make_model):
        raise TypeError(f"make_model must be a function, not {type(make_model).__name__}")
    parameters = inspect.signature(make_model).parameters.values()
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise TypeError(f"make_model must take {parameter.name!r} by name")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [parameter for parameter in parameters if parameter.kind in kinds]
    return (
        {parameter.name for parameter in named},
        [parameter.name for parameter in named if parameter.default is parameter.empty],
        any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
    )


def _possible(parameter: Parameter) -> list[Any]:
    """Return all the values of a choice or constant; of a number, the lowest and highest."""
    if isinstance(parameter, Choice):
        return list(parameter.options)
    if isinstance(parameter, Fixed):
        return [parameter.value]
    return [parameter.decode(np.full(parameter.width, end)) for end in (0.0, 1.0)]


class Settings:
    """The settings of trainings that have one rule and one batch size.

    Parameters
    ----------
    each
        Those of each training, as `Division.of_training` gives them.

    Attributes
    ----------
    rule
        What moves the weights.
    batch_size
        Samples of a minibatch; None: all.
    columns
        The rule's numbers and ``warmup``, and ``clip`` where one has a limit; (k,) each.
    schedules
        Names or functions, one a training.
    """

    def __init__(self, each: Iterable[Params]) -> None:
        self.each = list(each)
        first = self.each[0]
        self.rule: Rule = RULES[first["optimizer"]]
        self.batch_size: int | None = first["batch_size"]
        self.schedules = [one["schedule"] for one in self.each]
        self.columns: dict[str, Array] = {
            name: np.array([one[name] for one in self.each], dtype=np.float64)
            for name in [*self.rule.settings, "warmup", "clip"]
        }

    def __len__(self) -> int:
        return len(self.each)
