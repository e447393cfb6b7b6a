"""An objective that remembers every value, those of finite-difference stencils included."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Recorder:
    """Wraps a batched objective and keeps each value in the order of evaluation.

    Everything else (``batched``, ``n``, ``dtype``, ``apply`` ...) is the wrapped objective's own.

    Parameters
    ----------
    objective
        (k, n) -> (k,), perhaps with ``value_and_gradient``.
    """

    def __init__(self, objective: Any) -> None:
        self._objective = objective
        self._values: list[Array] = []
        if hasattr(objective, "value_and_gradient"):
            self.value_and_gradient = self._value_and_gradient

    def __getattr__(self, name: str) -> Any:
        if name == "_objective":  # not there yet while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self._objective, name)

    def __call__(self, points: Array) -> Array:
        """Evaluate a batch."""
        values: Array = self._objective(points)
        self._values.append(np.array(values, dtype=float))
        return values

    def _value_and_gradient(self, points: Array) -> tuple[Array, Array]:
        values, gradients = self._objective.value_and_gradient(points)
        self._values.append(np.array(values, dtype=float))
        return values, gradients

    @property
    def values(self) -> Array:
        """Every value, in order."""
        return np.concatenate(self._values) if self._values else np.empty(0)

    @property
    def best_so_far(self) -> Array:
        """The running minimum of every value."""
        return np.fmin.accumulate(self.values)
