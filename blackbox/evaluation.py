"""From what the user gave to values of a batch: lifting, checks, failures, exact counting."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy.optimize import OptimizeResult

from blackbox.budget import Budget, Halt
from blackbox.history import History, all_finite
from blackbox.types import Array, Ask, Callback, Scheme, Stop, Told
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
        Whether `fun` takes batches; also where ``fun.batched`` is true.
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

    def _read_jac(self, jac: Jac) -> None:
        if jac is None:
            self._own = getattr(self._fun, "value_and_gradient", None)
            self.gradients = "none" if self._own is None else "joint"
        elif jac is True:
            self.gradients = "joint"
        elif jac is False:
            pass
        elif jac == "2-point" or jac == "3-point":
            self.scheme = "2-point" if jac == "2-point" else "3-point"
        elif callable(jac):
            self.gradients, self._gradient = "separate", jac
        else:
            raise ValueError(
                f"jac={jac!r} is not known; give a function, True (fun returns value and "
                "gradient), False, '2-point', '3-point', or None"
            )

    def values(self, points: Array, out: Array) -> None:
        """Fill `out`, (k,), in order, so that an exception leaves what came before it."""
        if self.gradients == "joint" and self._own is None:
            self.values_and_gradients(points, out)
        elif self.batched:
            self._whole(points, out)
        elif self._map is not None:
            self._mapped(points, out)
        else:
            self._one_by_one(points, out)

    def values_and_gradients(self, points: Array, out: Array) -> Array:
        """Fill `out` and return the gradients, (k, n). For joint gradients only."""
        if self._own is not None or self.batched:
            told = self._call(self._own or self._fun, points.copy())
            if told is _FAILED:
                return np.full(points.shape, np.nan)
            values, slopes = _pair(told)
            out[:] = _vector(values, len(points))
            return _gradients(slopes, points.shape)
        gradients = np.full(points.shape, np.nan)
        for i, x in enumerate(points.copy()):
            told = self._call(self._fun, x)
            if told is not _FAILED:
                value, slope = _pair(told)
                out[i], gradients[i] = _scalar(value), _gradients(slope, x.shape)
        return gradients

    def gradients_alone(self, points: Array) -> Array:
        """Gradients (k, n) at points whose values are known. For separate gradients only."""
        assert self._gradient is not None
        rows = np.full(points.shape, np.nan)
        if self.batched:
            told = self._call(self._gradient, points.copy())
            return rows if told is _FAILED else _gradients(told, points.shape)
        for i, x in enumerate(points.copy()):
            told = self._call(self._gradient, x)
            if told is not _FAILED:
                rows[i] = _gradients(told, x.shape)
        return rows

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
            for i, x in enumerate(points.copy()):
                value = fun(x, *args)
                out[i] = value if type(value) is float else _scalar(value)
            return
        for i, x in enumerate(points.copy()):
            value = self._call(fun, x)
            if value is not _FAILED:
                out[i] = _scalar(value)

    def _mapped(self, points: Array, out: Array) -> None:
        assert self._map is not None
        call = _RemoteCall(self._fun, self._args, self._penalize)
        for i, value in enumerate(self._map(call, list(points.copy()))):
            if not isinstance(value, _Failed):
                out[i] = _scalar(value)

    def _whole(self, points: Array, out: Array) -> None:
        told = self._call(self._fun, points.copy())
        if told is not _FAILED:
            out[:] = _vector(told, len(points))


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
            f"the objective returned an array of shape {array.shape} for one point; it must return "
            "one number. If it scores whole batches (k, n) -> (k,), pass batched=True"
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


def _gradients(told: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(told)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"the gradient must be an array of real numbers; got {told!r:.60}")
    if array.shape != shape:
        if array.size == math.prod(shape) and 1 in (*shape, array.ndim):
            return array.astype(float).reshape(shape)
        raise ValueError(f"the gradient has shape {array.shape}; expected {shape}")
    return array.astype(float)


class Evaluator:
    """Answers every `Ask` of one run: counts, records, and ends the run when it is over.

    Parameters
    ----------
    objective, history, budget
        What is evaluated, where it is recorded, what may be spent.
    callback
        scipy's: ``callback(intermediate_result)`` or ``callback(x)``, after each batch.
    watch
        Called with the history after each batch (a progress line).
    """

    def __init__(
        self,
        objective: Objective,
        history: History,
        budget: Budget,
        callback: Callback | None = None,
        watch: Callable[[History], None] | None = None,
    ) -> None:
        self._objective, self._history, self._budget = objective, history, budget
        self._callback = None if callback is None else as_intermediate(callback)
        self._watch = watch
        self._last: tuple[Array, Array] | None = None
        # Solvers run with numpy's warnings off; the user's own code keeps the user's setting.
        self._errstate = np.geterr()

    def __call__(self, ask: Ask) -> Told:
        """Evaluate a batch. Raises `Halt` when the run is over."""
        if ask.gradients and self._known(ask.points):
            return self._gradients_only(ask)
        points, cut = ask.points, False
        left = self._budget.left(self._history)
        if len(points) > left:
            points, cut = points[: int(left)], True
        if not all_finite(points):
            raise Halt(
                Stop(
                    "the method proposed a point that is not finite; the values or gradients it "
                    "was told left it nowhere to go",
                    success=False,
                    status=4,
                )
            )
        told = self._evaluate(points, ask)
        if cut:
            raise Halt(self._budget.spent())
        self._after(ask)
        return told

    def _evaluate(self, points: Array, ask: Ask) -> Told:
        k, objective = len(points), self._objective
        joint = ask.gradients and objective.gradients == "joint"
        values, gradients = np.full(k, np.nan), None
        try:
            with np.errstate(**self._errstate):
                if joint:
                    gradients = objective.values_and_gradients(points, values)
                else:
                    objective.values(points, values)
            if not all_finite(values):
                values = _settle(values)
        except BaseException:
            done = ~np.isnan(values)
            self._history.record(points[done], _settle(values[done], strict=False))
            raise
        self._history.record(points, values, gradients=k if joint else 0, stencil=ask.stencil)
        if objective.gradients == "separate":
            self._last = points, values
            if ask.gradients:
                gradients = self._separate(points)
        return Told(values, gradients)

    def _known(self, points: Array) -> bool:
        last = self._last
        return last is not None and np.array_equal(last[0], points)

    def _gradients_only(self, ask: Ask) -> Told:
        assert self._last is not None
        return Told(self._last[1], self._separate(ask.points))

    def _separate(self, points: Array) -> Array:
        with np.errstate(**self._errstate):
            gradients = self._objective.gradients_alone(points)
        self._history.gradient_count += len(points)
        return gradients

    def _after(self, ask: Ask) -> None:
        history = self._history
        self._budget.check(history)
        if self._watch is not None:
            self._watch(history)
        if self._callback is not None and not ask.stencil:
            report = OptimizeResult(
                x=history.best_x,
                fun=history.best_value,
                nfev=history.evaluation_count,
                nit=history.batch_count,
            )
            try:
                self._callback(report)
            except StopIteration:
                reason = "`callback` raised `StopIteration`"
                raise Halt(Stop(reason, success=False, status=99)) from None


def _settle(values: Array, strict: bool = True) -> Array:
    """Failed evaluations, NaN, become ``+inf``; ``-inf`` is no value to go by."""
    if strict and (values == -math.inf).any():
        raise ValueError(
            "the objective returned -inf, so nothing could ever be better; return a finite value, "
            "or NaN for a failed evaluation"
        )
    return np.where(np.isfinite(values), values, math.inf)


def as_intermediate(callback: Callback) -> Callable[[OptimizeResult], object]:
    """Wrap either of scipy's callback signatures as one of the intermediate result."""
    if not callable(callback):
        raise TypeError(f"callback must be callable; got {callback!r}")
    try:
        names = set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = set()
    if names == {"intermediate_result"}:
        return lambda report: callback(intermediate_result=report)
    return lambda report: callback(np.copy(report.x))
