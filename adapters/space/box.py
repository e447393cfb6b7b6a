"""The box in which a method searches a space, so that discrete values stay alive until the end.

Coordinates cut into equal cells become whole numbers, for which methods have ways of their own
(`blackbox.algorithms.cmaes_integers`). Unordered choices (one-hot) and `LogInt`, whose cells are
unequal, get a floor under the standard deviation, for methods that have one. As in Hamano, R.,
Saito, S., Nomura, M., Shirakawa, S. (2022), CMA-ES with margin: lower-bounding marginal probability
for mixed-integer black-box optimization, GECCO, 639-647, the floor is such that another value than
the mean's is drawn with a probability of 1 / (n * population) at least.
"""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.space.choices import Choice
from adapters.space.parameter import Parameter
from adapters.space.ranges import LogInt
from adapters.space.space import Params, Space
from blackbox.algorithms import find
from blackbox.types import Array


class SearchBox:
    """A space as a method searches it.

    Parameters
    ----------
    space
        What is searched.

    Attributes
    ----------
    bounds
        Shape (n, 2): 0 and the last cell for whole numbers; 0 and 1 for all others.
    integrality
        Shape (n,): which coordinates are whole numbers; None where none is.

    Raises
    ------
    TypeError
        If `space` is no `Space`.
    """

    def __init__(self, space: Space) -> None:
        if not isinstance(space, Space):
            raise TypeError(f"space must be a Space, got {space!r:.60}")
        self.space = space
        self._whole = space.cells > 0
        self.bounds: Array = np.zeros((space.n, 2))
        self.bounds[:, 1] = np.where(self._whole, space.cells - 1.0, 1.0)
        self.integrality: NDArray[np.bool_] | None = self._whole if self._whole.any() else None

    def to_unit(self, points: ArrayLike) -> Array:
        """Return points of the unit box, (..., n), for points of this one."""
        points = np.asarray(points, dtype=np.float64)
        cells = np.maximum(self.space.cells, 1)
        return np.where(self._whole, (points + 0.5) / cells, points)

    def from_unit(self, points: ArrayLike) -> Array:
        """Return points of this box, (..., n), for points of the unit box."""
        points = np.asarray(points, dtype=np.float64)
        last = np.maximum(self.space.cells - 1.0, 0.0)
        cells = np.clip(np.floor(points * self.space.cells), 0.0, last)
        return np.where(self._whole, cells, points)

    def decode(self, point: ArrayLike) -> Params:
        """Return the values that a point of this box, (n,), stands for."""
        return self.space.decode(self.to_unit(point))

    def encode(self, params: Mapping[str, Any]) -> Array:
        """Return a point of this box, (n,), for values. See `Space.encode`."""
        return self.from_unit(self.space.encode(params))

    def objective(self, train: Callable[..., float]) -> "SpaceObjective":
        """Return ``train(**params)`` as a function of a point of this box, for `minimize`."""
        return SpaceObjective(train, self)

    def settings(
        self, method: str = "cma", options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what `minimize` needs to search the space: method, bounds, integrality, options.

        Raises
        ------
        ValueError
            If there is no such method, or it walks on slopes where values are discrete.
        """
        row = find(method)
        steps = [name for name in self.space if self.space[name].is_discrete]
        if row.integers == "refused" and steps:
            raise ValueError(
                f"method {row.name!r} walks on slopes, and {steps[0]} has none "
                f"({self.space[steps[0]]!r}); use method='cma' or another without gradients"
            )
        return {
            "method": row.name,
            "bounds": self.bounds,
            "integrality": self.integrality,
            "options": {**self.options(method), **(options or {})},
        }

    def options(self, method: str) -> dict[str, Any]:
        """Return the options with which a method keeps discrete values alive: floors, or none.

        Raises
        ------
        ValueError
            If there is no such method.
        """
        row = find(method)
        if row.integers != "native" or not self._floors.any() or "minstd" not in row.options():
            return {}
        # With the floor steps differ in size ever more: without this cma stops or gives in.
        return {"minstd": self._floors.copy(), "conditioncov_alleviate": [1e8, 0]}

    @cached_property
    def _floors(self) -> Array:
        """Shape (n,): standard deviations that keep discrete values alive; 0 where none does."""
        n = self.space.n
        population = 4 + 3 * math.log(n)  # cma's default
        floors = np.zeros(n)
        for name, parameter in self.space.parameters.items():
            floors[self.space.slices[name]] = _floor(parameter, 1 / (n * population))
        return floors


class SpaceObjective:
    """A function of a point of a box, made of one of hyperparameters.

    Parameters
    ----------
    train
        Takes the active parameters and constants by name, returns what is to be minimized.
    box
        Where points are.
    """

    batched = False

    def __init__(self, train: Callable[..., float], box: SearchBox) -> None:
        if not callable(train):
            raise TypeError(f"train must be callable, got {train!r:.60}")
        self.train, self.box, self.n = train, box, box.space.n

    def __call__(self, point: Array) -> float:
        """Return the value at a point, (n,)."""
        return self.train(**self.box.decode(point))


def _floor(parameter: Parameter, probability: float) -> float:
    """Return the standard deviation with which another value is that probable at least."""
    normal = NormalDist()
    if isinstance(parameter, LogInt):
        # The mean is in the middle of the cell, and another value beyond half of it on both sides.
        # The cell is that at the geometric mean of the range: a floor for the widest, that of 1,
        # would blur large numbers.
        start, end = parameter.ends
        middle = math.sqrt(parameter.low * parameter.high)
        half = 0.5 * math.log((middle + 0.5) / (middle - 0.5)) / (end - start)
        return half / -normal.inv_cdf(probability / 2)
    if isinstance(parameter, Choice) and not parameter.cells:
        # At worst one option's mean is 1 and the others' are 0. The difference of two coordinates
        # has sqrt(2) of their deviation; any one of the others may win.
        others = parameter.width - 1
        return 1.0 / (math.sqrt(2.0) * -normal.inv_cdf(probability / others))
    return 0.0
