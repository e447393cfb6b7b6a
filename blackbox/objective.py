"""From what the user gave to a batched objective: lifting one point to many, and checks."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blackbox.budget import Halt
from blackbox.calls import Call
from blackbox.failures import Failed, OnError, describe
from blackbox.returned import as_gradients, as_pair, as_scalar, as_vector
from blackbox.types import Array, Scheme, Stop
from blackbox.workers import Spread

Jac = Callable[..., Any] | bool | Scheme | None


class Objective:
    """A batched objective made of what the user gave.

    Parameters
    ----------
    fun
        ``fun(x, *args) -> float`` for one point (n,), or with `batched` values (k,) of a batch
        (k, n); ``(value, gradient)`` where `jac` is True.
    args
        Further arguments of `fun` and `jac`.
    jac
        The gradient, as `minimize` takes it. None: the objective's own ``value_and_gradient``
        where it has one; False: none.
    batched
        Whether `fun` takes batches; also where ``fun.batched`` is true. A `fun` that has this
        attribute, as our adapters' have, may say more of itself: ``begin``, ``full`` and ``end``
        (see `blackbox.fidelity`), and ``reads_only``, which spares it a copy of each batch.
    spread
        Evaluates the points of a batch elsewhere, where `fun` takes one point; None: here.
    on_error
        ``"raise"``, or ``"penalize"``: an exception of `fun` counts as a failed evaluation. Or
        ``on_error(x, error) -> value``.

    Attributes
    ----------
    gradients
        ``"none"``, ``"joint"`` or ``"separate"``; see `blackbox.types.Problem`.
    scheme
        The finite difference that `jac` names, or None.
    begin, full, end
        Those of `fun`; None where it does not change from batch to batch, has no full fidelity,
        or nothing to do after a run.
    done
        Points of the latest batch that were evaluated: all, unless an exception ended it.
    failed
        The rows of the latest batch that gave no value of their own, and why.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        args: tuple[Any, ...] = (),
        jac: Jac = None,
        *,
        batched: bool = False,
        spread: Spread | None = None,
        on_error: OnError = "raise",
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {type(fun).__name__}: {fun!r:.60}")
        if on_error not in ("raise", "penalize") and not callable(on_error):
            raise ValueError(
                "on_error is 'raise', 'penalize' or a function of the point and the error; got "
                f"{on_error!r}"
            )
        self._fun, self._args, self._spread, self._on_error = fun, args, spread, on_error
        self._calls: dict[int, Call] = {}
        self.batched = batched or bool(getattr(fun, "batched", False))
        self.gradients: Literal["none", "joint", "separate"] = "none"
        self.scheme: Scheme | None = None
        self._gradient: Callable[..., Any] | None = None
        self._own: Callable[[Array], tuple[Any, Any]] | None = None
        self._read_jac(jac)
        self._read_protocol()
        if spread is not None and (self.batched or self._own is not None):
            raise ValueError(
                "workers= and timeout= are for a function of one point; this one is batched and "
                "scores a whole batch at once. Leave them out, or pass a function of one point"
            )
        self.done = 0
        self.failed: dict[int, Failed] = {}

    def _read_jac(self, jac: Jac) -> None:
        if jac is None:
            self._own = getattr(self._fun, "value_and_gradient", None)
            self.gradients = "none" if self._own is None else "joint"
        elif jac is True:
            self.gradients = "joint"
        elif jac is False:
            pass
        elif isinstance(jac, str) and jac in ("2-point", "3-point", "cs"):
            self.scheme = jac
        elif callable(jac):
            self.gradients, self._gradient = "separate", jac
        else:
            raise ValueError(
                f"jac={jac!r} is not known; give a function, True (fun returns value and "
                "gradient), False, '2-point', '3-point', 'cs', or None"
            )

    def _read_protocol(self) -> None:
        """Read the names that mean what we do only where `fun` speaks our adapters' protocol."""
        fun = self._fun if hasattr(self._fun, "batched") else None
        self.begin: Callable[..., Any] | None = getattr(fun, "begin", None)
        self.full: Callable[..., Any] | None = getattr(fun, "full", None)
        self._reads_only = bool(getattr(fun, "reads_only", False))
        self.end: Callable[..., Any] | None = getattr(fun, "end", None)
        self._state = getattr(fun, "state", None)
        self._resume, self._recall = getattr(fun, "resume", None), getattr(fun, "recall", None)
        for name, found in (("begin", self.begin), ("full", self.full), ("end", self.end)):
            if found is not None and not callable(found):
                raise TypeError(f"fun.{name} must be a function or None; got {found!r:.60}")

    @property
    def changing(self) -> bool:
        """Whether the objective changes from batch to batch."""
        return self.begin is not None

    def state(self) -> dict[str, Any] | None:
        """Return what a run has changed in `fun`; None where it changes and does not say."""
        if callable(self._state) and callable(self._resume):
            return dict(self._state())
        return None if self.changing else {}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        if callable(self._state) and callable(self._resume):
            self._resume(state)

    def recall(self, values: NDArray[Any], gradients: Array) -> None:
        """Let `fun` take in values (k,) and gradients (k, n) that are not computed again."""
        if callable(self._recall):
            self._recall(values, gradients)

    def values(self, points: Array, out: Array) -> None:
        """Fill `out`, (k,), in order, so that an exception leaves what came before it."""
        self.done, self.failed = 0, {}
        if points.dtype.kind == "c":
            self._complex(points, out)
        elif self.gradients == "joint" and self._own is None:
            self._pairs(points, out)
        elif self.batched:
            self._whole(self._fun, points, out)
        else:
            self._one_by_one(points, out)

    def full_values(self, points: Array, out: Array) -> None:
        """Fill `out`, (k,), with the values at full fidelity. Only where there is `full`."""
        assert self.full is not None
        self.failed = {}
        self._whole(self.full, points, out)

    def values_and_gradients(self, points: Array, out: Array) -> Array:
        """Fill `out` and return the gradients, (k, n). For joint gradients only."""
        self.done, self.failed = 0, {}
        return self._pairs(points, out)

    def gradients_alone(self, points: Array) -> Array:
        """Gradients (k, n) at points whose values are known. For separate gradients only."""
        assert self._gradient is not None
        self.failed = {}
        rows = np.full(points.shape, np.nan, dtype=points.dtype)
        if self.batched:
            told = self._call(self._gradient, points.copy())
            if not isinstance(told, Failed):
                return as_gradients(told, points.shape, points.dtype)
            self._stand_in(told, points)
            return rows
        for i, told in enumerate(self._each(self._gradient, points, slot=1)):
            if isinstance(told, Failed):
                self._stand_in(told, points[i], i)
            else:
                rows[i] = as_gradients(told, points[i].shape, points.dtype)
        return rows

    def _lend(self, points: Array) -> Array:
        """Points for `fun`: its own to change, unless it promises that it only reads them."""
        if not self._reads_only:
            return points.copy()
        lent = points.view()
        lent.flags.writeable = False
        return lent

    def _one_by_one(self, points: Array, out: Array) -> None:
        fun, args = self._fun, self._args
        if self._spread is None and self._on_error == "raise":
            if len(points) == 1:  # as serial solvers ask
                value = fun(points[0].copy(), *args)
                out[0] = value if type(value) is float else as_scalar(value)
                self.done = 1
                return
            for i, x in enumerate(points.copy()):
                value = fun(x, *args)
                out[i] = value if type(value) is float else as_scalar(value)
                self.done = i + 1
            return
        for i, told in enumerate(self._each(fun, points)):
            if isinstance(told, Failed):
                out[i] = self._stand_in(told, points[i], i)
            else:
                out[i] = told if type(told) is float else as_scalar(told)
            self.done = i + 1

    def _each(self, function: Callable[..., Any], points: Array, slot: int = 0) -> Iterator[Any]:
        """Call a function of one point at each, here or elsewhere; `Failed` where that fails."""
        if self._spread is None:
            for x in points.copy():
                yield self._call(function, x)
            return
        if slot not in self._calls or self.changing:  # there are copies of it elsewhere
            self._calls[slot] = Call(function, self._args, slot)
        yield from self._spread.map(self._calls[slot], points.copy())

    @property
    def call(self) -> Call:
        """What evaluates one point elsewhere."""
        return self._calls.setdefault(0, Call(self._fun, self._args))

    def _call(self, function: Callable[..., Any], x: Array) -> Any:
        """Call a function here; `Failed` where it raises and that does not end the run."""
        try:
            return function(x, *self._args)
        except Exception as error:
            if self._on_error == "raise":
                raise
            return Failed("raised", error=error)

    def _stand_in(self, failed: Failed, x: Array, row: int | None = None) -> Any:
        """Return what stands for the value at a point, or for those of a batch; or raise."""
        given, error = math.nan, failed.error
        if error is not None:
            if self._on_error == "raise" or not isinstance(error, Exception):
                raise error
            if callable(self._on_error):
                given = self._ask_user(x, error)
        for each in range(len(x)) if row is None else (row,):
            self.failed[each] = failed
        return given

    def _ask_user(self, x: Array, error: Exception) -> Any:
        assert callable(self._on_error)
        try:
            given = self._on_error(x.copy(), error)
        except StopIteration:
            reason = f"`on_error` raised `StopIteration` at {describe(error)}"
            raise Halt(Stop(reason, success=False, status=99)) from None
        array = np.asarray(given)
        if array.dtype.kind not in "fiu" or array.shape not in ((), x.shape[:-1]):
            raise TypeError(
                f"on_error must return a number to stand for the value, or raise; got {given!r:.60}"
            )
        return given

    def _pairs(self, points: Array, out: Array) -> Array:
        if self._own is not None or self.batched:
            told = self._call(self._own or self._fun, self._lend(points))
            if isinstance(told, Failed):
                out[:] = self._stand_in(told, points)
                self.done = len(points)
                return np.full(points.shape, np.nan)
            values, slopes = as_pair(told)
            out[:] = as_vector(values, len(points))
            self.done = len(points)
            return as_gradients(slopes, points.shape)
        gradients = np.full(points.shape, np.nan)
        for i, told in enumerate(self._each(self._fun, points)):
            if isinstance(told, Failed):
                out[i] = self._stand_in(told, points[i], i)
            else:
                value, slope = as_pair(told)
                out[i], gradients[i] = as_scalar(value), as_gradients(slope, points[i].shape)
            self.done = i + 1
        return gradients

    def _complex(self, points: Array, out: Array) -> None:
        """Values at the points of a complex-step difference."""
        try:
            if self.batched:
                told = self._call(self._fun, points.copy())
                out[:] = self._complex_values(told, points).reshape(-1)
                self.done = len(points)
                return
            for i, told in enumerate(self._each(self._fun, points)):
                out[i] = self._complex_values(told, points[i], i).item()
                self.done = i + 1
        except TypeError as error:
            raise TypeError(_NOT_COMPLEX) from error

    def _complex_values(self, told: Any, x: Array, row: int | None = None) -> NDArray[Any]:
        if isinstance(told, Failed):
            if isinstance(told.error, TypeError):
                raise told.error
            given = np.asarray(self._stand_in(told, x, row), dtype=complex)
            return np.broadcast_to(given, x.shape[:-1])
        values = np.asarray(told)
        if values.dtype.kind != "c":
            raise TypeError(type(told).__name__)
        return values

    def _whole(self, function: Callable[..., Any], points: Array, out: Array) -> None:
        told = self._call(function, self._lend(points))
        if isinstance(told, Failed):
            out[:] = self._stand_in(told, points)
        else:
            out[:] = as_vector(told, len(points))
        self.done = len(points)


_NOT_COMPLEX = (
    "jac='cs' differentiates by a complex step, but the objective does not take complex points and "
    "return complex values; use jac='2-point' or '3-point'"
)
