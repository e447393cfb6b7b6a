"""A space of hyperparameters, and its unit box."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from adapters.space.choices import Fixed
from adapters.space.conditions import Condition, check_conditions, hold, in_order
from adapters.space.parameter import Parameter
from blackbox.types import Array

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Params = dict[str, Any]
"""Values of the parameters that are active, by name."""


class _Step(NamedTuple):
    """How one parameter is decoded: its part of the point, and on what it depends."""

    name: str
    decode: Callable[[Sequence[float]], Any]
    part: slice
    conditions: tuple[Condition, ...]


class Space:
    """Hyperparameters by name: what is searched, and how it becomes a vector.

    Parameters
    ----------
    parameters
        From name to `Parameter`, for names that are no Python words (``"model.lr"``).
    **named
        The same as keywords: ``Space(lr=Log(1e-5, 1e-2), act=Choice("relu", "tanh"))``. A number, a
        string or another plain value is a constant, as ``Fixed(value)`` is.

    Attributes
    ----------
    parameters
        Read only: from name to `Parameter`, in the order given.
    n
        The number of coordinates of the unit box.
    bounds
        ``(0.0, 1.0)``, as `blackbox.minimize` takes them.
    cells
        Shape (n,): into how many equal cells each coordinate is cut; 0 where it is not.
    slices
        From name to the slice of coordinates that are the parameter's.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to search, a name is no string or given twice, or a condition names an
        unknown parameter, one without separate values, a value that it cannot have, or itself by a
        detour.
    """

    bounds = (0.0, 1.0)

    def __init__(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        if parameters is not None and not isinstance(parameters, Mapping):
            raise TypeError(
                f"Space: parameters must be a dictionary from names to parameters, got "
                f"{parameters!r:.60}"
            )
        given = {} if parameters is None else dict(parameters)
        if both := given.keys() & named.keys():
            raise ValueError(f"Space: {min(both)!r} is given twice")
        given |= named
        for name in given:
            if not isinstance(name, str) or not name:
                raise TypeError(f"Space: names must be strings, got {name!r}")
        self.parameters: Mapping[str, Parameter] = MappingProxyType(
            {name: _as_parameter(name, value) for name, value in given.items()}
        )
        if not any(parameter.width for parameter in self.parameters.values()):
            raise ValueError(
                "Space: there is nothing to search"
                + (", only constants" if given else ": it is empty")
            )
        self._conditions = {
            name: check_conditions(name, self.parameters) for name in self.parameters
        }
        self._steps = [
            _Step(name, self[name].decode, self.slices[name], self._conditions[name])
            for name in in_order(self._conditions)
        ]
        self._is_sorted = [step.name for step in self._steps] == list(self.parameters)

    @cached_property
    def n(self) -> int:
        """The number of coordinates."""
        return sum(parameter.width for parameter in self.parameters.values())

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """Which coordinates are whose."""
        ends = np.cumsum([parameter.width for parameter in self.parameters.values()]).tolist()
        starts = [0, *ends[:-1]]
        return {
            name: slice(start, end)
            for name, start, end in zip(self.parameters, starts, ends, strict=True)
        }

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """Into how many equal cells each coordinate is cut, (n,); 0 where it is not."""
        return np.repeat(
            np.array([parameter.cells for parameter in self.parameters.values()], dtype=np.int64),
            [parameter.width for parameter in self.parameters.values()],
        )

    @overload
    def decode(self, points: NDArray[np.float64]) -> Params: ...
    @overload
    def decode(self, points: Any) -> Any: ...
    def decode(self, points: Any) -> Any:
        """Return the values that a point of the unit box stands for.

        Parameters
        ----------
        points
            Shape (n,), or (k, n); coordinates beyond 0 and 1 count as 0 and 1.

        Returns
        -------
        A dictionary of the active parameters and constants in the order of the space; a list of k
        such for (k, n).

        Raises
        ------
        ValueError
            If the shape is another, or a coordinate is NaN.
        """
        array = np.asarray(points, dtype=np.float64)
        if array.ndim not in (1, 2) or array.shape[-1] != self.n:
            raise ValueError(
                f"points must be ({self.n},) or (k, {self.n}), got shape {array.shape}"
            )
        rows = array.tolist()
        return self._decode(rows) if array.ndim == 1 else [self._decode(row) for row in rows]

    def _decode(self, u: Sequence[float]) -> Params:
        if any(share != share for share in u):
            raise ValueError("points must not be NaN")
        # Plain floats: numpy would take ten times as long for so few.
        u = [0.0 if share < 0.0 else 1.0 if share > 1.0 else share for share in u]
        values: Params = {}
        for name, decode, part, conditions in self._steps:
            if not conditions or hold(conditions, values):
                values[name] = decode(u[part])
        if self._is_sorted:
            return values
        return {name: values[name] for name in self.parameters if name in values}

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return a point of the unit box, (n,), that `decode`s to the values.

        Parameters
        ----------
        params
            Every active parameter; constants may be left out. Coordinates of inactive ones are 1/2.

        Raises
        ------
        TypeError, ValueError
            If a name is unknown or missing, or a value impossible.
        """
        if not isinstance(params, Mapping):
            raise TypeError(f"params must be a dictionary of values by name, got {params!r:.60}")
        for name in params:
            if name not in self.parameters:
                raise ValueError(f"unknown: {name!r}; the space has {', '.join(self.parameters)}")
        point = np.full(self.n, 0.5)
        values: Params = {}
        for name, _, part, conditions in self._steps:
            parameter = self[name]
            if not hold(conditions, values):
                if name in params:
                    raise ValueError(
                        f"{name} is given, but inactive: it is active only where {parameter.when}"
                    )
                continue
            if name not in params and not isinstance(parameter, Fixed):
                raise ValueError(f"{name} is missing: {parameter!r}")
            if name in params:
                try:
                    point[part] = parameter.encode(params[name])
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{name}: {error}") from None
            values[name] = parameter.decode(point[part])
        return point

    def is_active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether a parameter is active, given the values of those that it depends on.

        Raises
        ------
        KeyError
            If the space has no such parameter.
        """
        return hold(self._conditions[name], params)

    def draw(self, rng: int | np.random.Generator) -> Params:
        """Return values drawn uniformly from the unit box.

        Parameters
        ----------
        rng
            What draws; or a seed, which gives the same values each time.

        Raises
        ------
        TypeError, ValueError
            If it is neither, or no seed.
        """
        return self._decode(_as_generator(rng).random(self.n).tolist())

    def suggest(self, trial: "optuna.Trial") -> Params:
        """Ask an Optuna trial for the parameters that are active, in an order that can know.

        Constants are added without asking.
        """
        from adapters.space.foreign import ask_trial

        values: Params = {}
        for name, _, _, conditions in self._steps:
            if hold(conditions, values):
                values[name] = ask_trial(trial, name, self[name])
        return {name: values[name] for name in self.parameters if name in values}

    def to_dict(self) -> dict[str, Any]:
        """Return a description that JSON can hold, and that `from_dict` reads.

        ``{"lr": {"type": "log", "low": 1e-5, "high": 1e-2}, "batch": 64}``. Tuples become lists,
        and lists tuples when read. Classes and functions among options and constants are
        described by their names, which `from_dict` refuses.

        Raises
        ------
        TypeError
            If an option or a constant is an object that cannot be described.
        """
        from adapters.space.files import describe

        return {name: describe(name, parameter) for name, parameter in self.parameters.items()}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> "Space":
        """Return the space that `to_dict` described.

        Raises
        ------
        TypeError, ValueError
            That name the parameter and the field.
        """
        from adapters.space.files import read_dict

        return read_dict(described)

    @classmethod
    def from_file(cls, path: str | Path) -> "Space":
        """Return the space that a TOML or JSON file describes, in the words of `to_dict`.

        Raises
        ------
        TypeError, ValueError
            That name the file, the parameter and the field.
        """
        from adapters.space.files import read_file

        return read_file(Path(path))

    @classmethod
    def from_optuna(cls, distributions: "Mapping[str, BaseDistribution]") -> "Space":
        """Return the space of Optuna's distributions; one with a single value is a constant.

        Raises
        ------
        TypeError, ValueError
            If one is no distribution, or has more values than float64 can tell apart.
        """
        from adapters.space.foreign import read_optuna

        return read_optuna(distributions)

    def to_optuna(self) -> "dict[str, BaseDistribution]":
        """Return what Optuna calls each parameter, also conditional ones and constants.

        Optuna's distributions know no conditions: `is_active` says which to ask for, `suggest`
        asks a trial. A choice, ordered or not, is categorical; a constant has one category.
        """
        from adapters.space.foreign import as_optuna

        return {name: as_optuna(parameter) for name, parameter in self.parameters.items()}

    @classmethod
    def from_sklearn(cls, distributions: Mapping[str, Any]) -> "Space":
        """Return the space of what scikit-learn's `RandomizedSearchCV` takes.

        Frozen ``uniform``, ``loguniform``, ``randint`` of `scipy.stats` become ranges. Lists and
        arrays are choices, ordered where numbers rise or fall; with one entry constants. A
        `Parameter` stays what it is.

        Raises
        ------
        TypeError, ValueError
            If it is a list of dictionaries, or a distribution is another: with the range to give
            in its place.
        """
        from adapters.space.foreign import read_sklearn

        return read_sklearn(distributions)

    def __len__(self) -> int:
        return len(self.parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        return list(self.parameters.items()) == list(other.parameters.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        are_words = all(name.isidentifier() for name in self.parameters)
        start, end = ("Space(", ")") if are_words else ("Space({", "})")
        each = [
            f"{name}={parameter!r}" if are_words else f"{name!r}: {parameter!r}"
            for name, parameter in self.parameters.items()
        ]
        line = f"{start}{', '.join(each)}{end}"
        return line if len(line) <= 88 else f"{start}\n    " + ",\n    ".join(each) + f",\n{end}"

    def __reduce__(self) -> Any:
        return Space, (dict(self.parameters),)


def _as_generator(rng: Any) -> np.random.Generator:
    """Return a generator as it is, or one made of a seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, Integral):
        raise TypeError(
            "draw: rng is a numpy Generator, numpy.random.default_rng(seed), or a seed, an int; "
            f"got {rng!r:.60}"
        )
    if rng < 0:
        raise ValueError(f"draw: a seed must be at least 0; got {rng!r}")
    return np.random.default_rng(int(rng))


def _as_parameter(name: str, value: Any) -> Parameter:
    """Return a parameter as it is, a plain value as a constant.

    Raises
    ------
    TypeError
        If it looks as if something else was meant.
    """
    if isinstance(value, Parameter):
        return value
    if isinstance(value, type) and issubclass(value, Parameter):
        raise TypeError(f"Space: {name} is the class {value.__name__}: give its range")
    if isinstance(value, (list, tuple, set, frozenset, range, dict, np.ndarray)):
        raise TypeError(
            f"Space: {name} is {value!r:.60}: give Choice(*options), a range such as Float(low, "
            "high), or for a constant Fixed(value)"
        )
    for kind, way in (("scipy.stats", "from_sklearn"), ("optuna.distributions", "from_optuna")):
        if type(value).__module__.startswith(kind):
            raise TypeError(
                f"Space: {name} is {type(value).__name__} of {kind}: use Space.{way}(...)"
            )
    return Fixed(value)
