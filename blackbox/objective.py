"""From what the user gave to a batched objective: lifting one point to many, and checks."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from blackbox.types import Array, Scheme
from blackbox.workers import Map

OnError = Literal["raise", "penalize"]
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
    map_points
        Runs a pointwise `fun` over the points of a batch, elsewhere perhaps.
    on_error
        ``"raise"``, or ``"penalize"``: an exception of `fun` counts as a failed evaluation.

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
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        args: tuple[Any, ...] = (),
        jac: Jac = None,
        *,
        batched: bool = False,
        map_points: Map | None = None,
        on_error: OnError = "raise",
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {type(fun).__name__}: {fun!r:.60}")
        if on_error not in ("raise", "penalize"):
            raise ValueError(f"on_error is 'raise' or 'penalize'; got {on_error!r}")
        self._fun, self._args, self._map = fun, args, map_points
        self._penalize = on_error == "penalize"
        self.batched = batched or bool(getattr(fun, "batched", False))
        if self.batched and map_points is not None:
            raise ValueError(
                "workers= spreads a pointwise objective; this one is batched and scores a whole "
                "batch at once. Leave workers out, or pass a function of one point"
            )
        self.gradients: Literal["none", "joint", "separate"] = "none"
        self.scheme: Scheme | None = None
        self._gradient: Callable[..., Any] | None = None
        self._own: Callable[[Array], tuple[Any, Any]] | None = None
        self._read_jac(jac)
        self._read_protocol()
        self.done = 0

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
        for name, found in (("begin", self.begin), ("full", self.full), ("end", self.end)):
            if found is not None and not callable(found):
                raise TypeError(f"fun.{name} must be a function or None; got {found!r:.60}")

    @property
    def changing(self) -> bool:
        """Whether the objective changes from batch to batch."""
        return self.begin is not None

    def values(self, points: Array, out: Array) -> None:
        """Fill `out`, (k,), in order, so that an exception leaves what came before it."""
        self.done = 0
        if points.dtype.kind == "c":
            self._complex(points, out)
        elif self.gradients == "joint" and self._own is None:
            self.values_and_gradients(points, out)
        elif self.batched:
            self._whole(self._fun, points, out)
        elif self._map is not None:
            self._mapped(points, out)
        else:
            self._one_by_one(points, out)

    def full_values(self, points: Array, out: Array) -> None:
        """Fill `out`, (k,), with the values at full fidelity. Only where there is `full`."""
        assert self.full is not None
        self._whole(self.full, points, out)

    def values_and_gradients(self, points: Array, out: Array) -> Array:
        """Fill `out` and return the gradients, (k, n). For joint gradients only."""
        self.done = 0
        if self._own is not None or self.batched:
            told = self._call(self._own or self._fun, self._lend(points))
            if told is _FAILED:
                return np.full(points.shape, np.nan)
            values, slopes = _pair(told)
            out[:] = _vector(values, len(points))
            self.done = len(points)
            return _gradients(slopes, points.shape)
        gradients = np.full(points.shape, np.nan)
        for i, x in enumerate(points.copy()):
            told = self._call(self._fun, x)
            if told is not _FAILED:
                value, slope = _pair(told)
                out[i], gradients[i] = _scalar(value), _gradients(slope, x.shape)
            self.done = i + 1
        return gradients

    def gradients_alone(self, points: Array) -> Array:
        """Gradients (k, n) at points whose values are known. For separate gradients only."""
        assert self._gradient is not None
        rows = np.full(points.shape, np.nan, dtype=points.dtype)
        if self.batched:
            told = self._call(self._gradient, points.copy())
            return rows if told is _FAILED else _gradients(told, points.shape, points.dtype)
        for i, x in enumerate(points.copy()):
            told = self._call(self._gradient, x)
            if told is not _FAILED:
                rows[i] = _gradients(told, x.shape, points.dtype)
        return rows

    def _lend(self, points: Array) -> Array:
        """Points for `fun`: its own to change, unless it promises that it only reads them."""
        if not self._reads_only:
            return points.copy()
        lent = points.view()
        lent.flags.writeable = False
        return lent

    def _call(self, function: Callable[..., Any], x: Array) -> Any:
        """Call the user's function; `_FAILED` where it raises and that counts as a failure."""
        if not self._penalize:
            return function(x, *self._args)
        try:
            return function(x, *self._args)
        except Exception:
            return _FAILED

    def _one_by_one(self, points: Array, out: Array) -> None:
        fun, args = self._fun, self._args
        if not self._penalize:
            if len(points) == 1:  # as serial solvers ask
                value = fun(points[0].copy(), *args)
                out[0] = value if type(value) is float else _scalar(value)
                self.done = 1
                return
            for i, x in enumerate(points.copy()):
                value = fun(x, *args)
                out[i] = value if type(value) is float else _scalar(value)
                self.done = i + 1
            return
        for i, x in enumerate(points.copy()):
            value = self._call(fun, x)
            if value is not _FAILED:
                out[i] = _scalar(value)
            self.done = i + 1

    def _mapped(self, points: Array, out: Array) -> None:
        assert self._map is not None
        call = _RemoteCall(self._fun, self._args, self._penalize)
        for i, value in enumerate(self._map(call, list(points.copy()))):
            if not isinstance(value, _Failed):
                out[i] = _scalar(value)
            self.done = i + 1

    def _complex(self, points: Array, out: Array) -> None:
        """Values at the points of a complex-step difference."""
        for i, x in enumerate([points.copy()] if self.batched else points.copy()):
            try:
                told = self._fun(x, *self._args)
            except TypeError as error:
                raise TypeError(_NOT_COMPLEX) from error
            values = np.asarray(told)
            if values.dtype.kind != "c":
                raise TypeError(_NOT_COMPLEX)
            if self.batched:
                out[:] = values.reshape(out.shape)
            else:
                out[i] = values.item()
            self.done = len(points) if self.batched else i + 1

    def _whole(self, function: Callable[..., Any], points: Array, out: Array) -> None:
        told = self._call(function, self._lend(points))
        if told is not _FAILED:
            out[:] = _vector(told, len(points))
        self.done = len(points)


_NOT_COMPLEX = (
    "jac='cs' differentiates by a complex step, but the objective does not take complex points and "
    "return complex values; use jac='2-point' or '3-point'"
)


class _Failed:
    """Stands for the value of an evaluation that raised, also across processes."""


_FAILED = _Failed()


class _RemoteCall:
    """A picklable call of the objective, for workers."""

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...], penalize: bool) -> None:
        self.fun, self.args, self.penalize = fun, args, penalize

    def __call__(self, x: Array) -> Any:
        try:
            return self.fun(x, *self.args)
        except Exception:
            if self.penalize:
                return _FAILED
            raise


def _scalar(value: Any) -> float:
    """One value of the objective; size-1 arrays count, as in scipy."""
    if isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool):
        return float(value)
    if value is None:
        raise TypeError("the objective returned None; it must return a number (forgot `return`?)")
    if isinstance(value, str):
        raise TypeError(f"the objective returned a string, {value!r:.40}; it must return a number")
    array = np.asarray(value)
    if array.dtype.kind == "c":
        raise TypeError(
            f"the objective returned a complex number, {value!r:.60}; return a real one, its "
            "`.real` or `abs()`"
        )
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value. For one point it "
            f"returned an array of shape {array.shape}. If it scores whole batches (k, n) -> (k,), "
            "pass batched=True"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"the objective returned {type(value).__name__} {value!r:.40}; it must return a number"
        )
    return float(array.reshape(()))


def _vector(values: Any, k: int) -> Array:
    """Values of a whole batch, (k,)."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        what = "None" if values is None else f"{type(values).__name__} of {array.dtype}"
        raise TypeError(
            f"the batched objective returned {what}; it must return {k} real numbers, shape ({k},)"
        )
    if array.shape != (k,):
        raise ValueError(
            f"the batched objective returned shape {array.shape} for {k} points; it must return "
            f"shape ({k},)"
        )
    return array if array.dtype == np.float64 else array.astype(float)


def _pair(told: Any) -> tuple[Any, Any]:
    if not (isinstance(told, Sequence) and len(told) == 2):
        raise TypeError(
            f"with jac=True the objective returns (value, gradient); got {type(told).__name__}"
        )
    return told[0], told[1]


def _gradients(told: Any, shape: tuple[int, ...], dtype: Any = float) -> Array:
    array = np.asarray(told)
    if array.dtype.kind not in "fiu" and array.dtype.kind != np.dtype(dtype).kind:
        raise TypeError(f"the gradient must be an array of real numbers; got {told!r:.60}")
    if array.shape != shape:
        if array.size == math.prod(shape) and 1 in (*shape, array.ndim):
            return array.astype(dtype).reshape(shape)
        raise ValueError(f"the gradient has shape {array.shape}; expected {shape}")
    return array.astype(dtype)
