"""A space of hyperparameters, and its unit box."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from adapters.space.parameters import Fixed, Parameter
from blackbox.types import Array

Params = dict[str, Any]
"""Values of the parameters that are active, by name."""


class Space:
    """Hyperparameters by name: what is searched, and how it becomes a vector.

    Parameters
    ----------
    parameters
        From name to `Parameter`, for names that are no Python words (``"model.lr"``).
    **named
        The same as keywords: ``Space(lr=Log(1e-5, 1e-2), act=Choice("relu", "tanh"))``. A value
        that is no `Parameter` is a constant, as ``Fixed(value)`` is.

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

    Raises
    ------
    TypeError, ValueError
        If there is nothing to search, a name is no string or given twice, or a condition names an
        unknown parameter, a value that it cannot have, or itself by a detour.
    """

    bounds = (0.0, 1.0)

    def __init__(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        given = {} if parameters is None else dict(parameters)
        if both := given.keys() & named.keys():
            raise ValueError(f"Space: {min(both)!r} is given twice")
        given |= named
        for name in given:
            if not isinstance(name, str) or not name:
                raise TypeError(f"Space: names must be strings, got {name!r}")
        for name, value in given.items():
            if isinstance(value, type) and issubclass(value, Parameter):
                raise TypeError(f"Space: {name} is the class {value.__name__}: give its range")
        self.parameters: Mapping[str, Parameter] = MappingProxyType(
            {
                name: value if isinstance(value, Parameter) else Fixed(value)
                for name, value in given.items()
            }
        )
        if not any(parameter.width for parameter in self.parameters.values()):
            raise ValueError(
                "Space: there is nothing to search"
                + (", only constants" if given else ": it is empty")
            )
        self._order = self._sort()

    def _sort(self) -> list[str]:
        """Check the conditions; return the names, each after those that it depends on."""
        for name, parameter in self.parameters.items():
            for other, wanted in (parameter.when or {}).items():
                if other not in self.parameters:
                    raise ValueError(
                        f"Space: {name} is active only where {other!r} has a value, but there is "
                        f"no such parameter: {', '.join(self.parameters)}"
                    )
                for value in _several(wanted):
                    try:
                        self.parameters[other].encode(value)
                    except (TypeError, ValueError) as error:
                        raise ValueError(
                            f"Space: {name} is active only where {other} is {value!r}: {error}"
                        ) from None
        order: list[str] = []
        while len(order) < len(self.parameters):
            ready = [
                name
                for name, parameter in self.parameters.items()
                if name not in order and set(parameter.when or ()) <= set(order)
            ]
            if not ready:
                circle = [name for name in self.parameters if name not in order]
                raise ValueError(f"Space: the conditions of {', '.join(circle)} go in a circle")
            order += ready
        return order

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
            [parameter.cells for parameter in self.parameters.values()],
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
        if np.isnan(array).any():
            raise ValueError("points must not be NaN")
        array = np.clip(array, 0.0, 1.0)
        return self._decode(array) if array.ndim == 1 else [self._decode(row) for row in array]

    def _decode(self, u: Array) -> Params:
        values: Params = {}
        for name in self._order:
            parameter = self.parameters[name]
            if self._is_active(parameter, values):
                values[name] = parameter.decode(u[self.slices[name]])
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
        if unknown := [name for name in params if name not in self.parameters]:
            raise ValueError(f"unknown: {unknown[0]!r}; the space has {', '.join(self.parameters)}")
        point = np.full(self.n, 0.5)
        values: Params = {}
        for name in self._order:
            parameter = self.parameters[name]
            if not self._is_active(parameter, values):
                if name in params:
                    raise ValueError(
                        f"{name} is given, but inactive: it is active only where "
                        f"{dict(parameter.when or {})}"
                    )
                continue
            if isinstance(parameter, Fixed):
                values[name] = params.get(name, parameter.value)
            elif name not in params:
                raise ValueError(f"{name} is missing: {parameter!r}")
            else:
                values[name] = params[name]
            try:
                point[self.slices[name]] = parameter.encode(values[name])
            except (TypeError, ValueError) as error:
                raise type(error)(f"{name}: {error}") from None
        return point

    def _is_active(self, parameter: Parameter, values: Mapping[str, Any]) -> bool:
        """Whether the parameter is, given the values of those that it depends on."""
        for other, wanted in (parameter.when or {}).items():
            if other not in values:
                return False
            if not any(
                _alike(self.parameters[other], values[other], one) for one in _several(wanted)
            ):
                return False
        return True

    def draw(self, rng: np.random.Generator) -> Params:
        """Return values drawn uniformly from the unit box."""
        return self._decode(rng.random(self.n))

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
        each = [
            f"{name}={parameter!r}" if name.isidentifier() else f"{name!r}: {parameter!r}"
            for name, parameter in self.parameters.items()
        ]
        line = f"Space({', '.join(each)})"
        return line if len(line) <= 88 else "Space(\n    " + ",\n    ".join(each) + ",\n)"

    def __reduce__(self) -> Any:
        return Space, (dict(self.parameters),)


def _several(wanted: Any) -> tuple[Any, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _alike(parameter: Parameter, one: Any, other: Any) -> bool:
    """Whether the two stand for one value of the parameter."""
    return bool(np.array_equal(parameter.encode(one), parameter.encode(other)))
