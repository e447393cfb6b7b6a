"""From a user's start and bounds to a checked `Problem`, before anything is evaluated."""

import secrets
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.optimize import Bounds, LinearConstraint, OptimizeWarning

from blackbox.constraints import check_constraints, measure_violation
from blackbox.evaluated import choose_best
from blackbox.types import Array, Callback, Evaluated, Problem, RandomStream, Scheme


def make_problem(
    x0: Any,
    bounds: Any,
    constraints: Any = (),
    *,
    fun: Any = None,
    gradients: Literal["none", "joint", "separate"] = "none",
    scheme: Scheme | None = None,
    dtype: DTypeLike | None = None,
    budget: int | None = None,
    changing: bool = False,
    full_every: int | None = 0,
    validate_every: int | None = 0,
    noisy: bool = False,
    integrality: Any = None,
    hess: Any = None,
    hessp: Callable[..., Any] | None = None,
    callback: Callback | None = None,
    past: Evaluated | None = None,
) -> Problem:
    """Check what the user gave and return the `Problem`.

    Parameters
    ----------
    x0, bounds, constraints, integrality
        As `minimize` takes them.
    fun
        The objective. One that has an attribute ``batched``, as our adapters' have, may say more of
        itself: ``n``, ``dtype``, ``blocks``.
    gradients, scheme, dtype, budget, changing, full_every, validate_every, noisy, hess, hessp
        See `Problem`, as for `callback`; a `dtype` of None is the objective's, else float64.
    past
        Points and values, in any order, instead of `x0`.

    Raises
    ------
    TypeError, ValueError
        That name the argument, before anything is evaluated.
    """
    if past is not None and x0 is not None:
        raise ValueError(
            "x0 and warm_start both say where to begin, and they need not agree; leave x0 out "
            "(x0=None), or add it to the points of warm_start"
        )
    starts = None if x0 is None else check_starts(x0)
    # Only an objective that speaks our adapters' protocol means by these names what we do.
    names = ("n", "dtype", "blocks") if hasattr(fun, "batched") else ()
    says = {name: getattr(fun, name) for name in names if hasattr(fun, name)}
    expected = says.get("n")
    given = starts if past is None else past.points
    name = "x0" if past is None else "warm_start"
    lower, upper = check_bounds(bounds, expected if given is None else given.shape[1], name)
    if expected is not None and expected != len(lower):
        raise ValueError(
            f"{name} (or bounds) has {len(lower)} coordinates, but the objective takes {expected}"
        )
    if constraints is None:
        constraints = ()
    elif isinstance(constraints, dict) or not isinstance(constraints, Sequence):
        constraints = (constraints,)
    constraints = tuple(map(_without_matrix, constraints))
    check_constraints(constraints, len(lower))
    integers = check_integrality(integrality, len(lower))
    if integers is not None:
        lower, upper = fit_integers(integers, lower, upper)
    starts = np.empty((0, len(lower))) if starts is None else clip_starts(starts, lower, upper)
    if integers is not None:
        starts = np.where(integers, np.round(starts), starts)
    if past is not None:
        past = choose_best(past, lower, upper, integers, measure_violation(constraints))
        starts = past.points[:1].copy()
        if noisy or changing:
            past = past._replace(values=None)
    return Problem(
        lower,
        upper,
        starts,
        constraints=constraints,
        gradients=gradients,
        scheme=scheme,
        blocks=tuple(says.get("blocks", ())),
        dtype=check_dtype(says.get("dtype") if dtype is None else dtype),
        budget=budget,
        changing=changing,
        full_every=full_every,
        validate_every=validate_every,
        noisy=bool(noisy),
        integrality=integers,
        hess=hess,
        hessp=hessp,
        callback=callback,
        past=past,
    )


def _without_matrix(given: Any) -> Any:
    """A linear constraint whose coefficients are a `numpy.matrix`, with a plain array of them."""
    if isinstance(given, LinearConstraint) and isinstance(given.A, np.matrix):
        return LinearConstraint(np.asarray(given.A), given.lb, given.ub, given.keep_feasible)
    return given


def check_integrality(integrality: Any, n: int) -> NDArray[np.bool_] | None:
    """Return which variables are integers, (n,); None where none is.

    Raises
    ------
    ValueError
        If `integrality` is not 0 or 1, once or for each variable.
    """
    if integrality is None:
        return None
    flags = np.asarray(integrality)
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ValueError(
            f"integrality is 0 (real) or 1 (integer), once or for each variable; got "
            f"{integrality!r:.60}"
        )
    if flags.shape not in ((), (1,), (n,)):
        raise ValueError(f"integrality has shape {flags.shape}, but there are {n} variables")
    flags = np.broadcast_to(flags.astype(bool), n)
    return flags.copy() if flags.any() else None


def fit_integers(integers: NDArray[np.bool_], lower: Array, upper: Array) -> tuple[Array, Array]:
    """Move the bounds of integer variables to the integers inside.

    Raises
    ------
    ValueError
        If there is none.
    """
    low, high = (
        np.where(integers, np.ceil(lower), lower),
        np.where(integers, np.floor(upper), upper),
    )
    if (low > high).any():
        i = int(np.flatnonzero(low > high)[0])
        raise ValueError(
            f"bounds leave no integer for coordinate {i}: [{lower[i]:g}, {upper[i]:g}]"
        )
    return low, high


def check_bounds(bounds: Any, n: int | None, given: str = "x0") -> tuple[Array, Array]:
    """Return lower and upper bounds, each (n,), infinite where there is none.

    Parameters
    ----------
    bounds
        None, a `scipy.optimize.Bounds`, a sequence of ``(min, max)`` pairs (None or infinite for
        no bound), or one pair of numbers for all coordinates.
    n
        The dimension where the start gives it.
    given
        The argument that does.

    Raises
    ------
    ValueError
        If bounds are crossed, NaN or of the wrong number, or the dimension is nowhere given.
    """
    if bounds is None:
        if n is None:
            raise ValueError("x0 and bounds are both missing; give a start, or bounds to draw in")
        return np.full(n, -np.inf), np.full(n, np.inf)
    if isinstance(bounds, Bounds):
        lower = np.atleast_1d(np.asarray(bounds.lb, dtype=float))
        upper = np.atleast_1d(np.asarray(bounds.ub, dtype=float))
        size = n if n is not None else max(len(lower), len(upper))
        lower, upper = (np.full(size, b[0]) if len(b) == 1 else b for b in (lower, upper))
    else:
        lower, upper = _pairs(bounds, n)
    for name, side in (("lower", lower), ("upper", upper)):
        if n is not None and len(side) != n:
            raise ValueError(
                f"The number of bounds is not compatible with the length of `{given}`. "
                f"bounds has {len(side)} {name} bounds, but {given} has {n} coordinates"
            )
        if np.isnan(side).any():
            where = np.flatnonzero(np.isnan(side))[:5].tolist()
            raise ValueError(
                f"bounds: the {name} bound is NaN at coordinates {where}; use None or inf for "
                "no bound"
            )
    if (lower > upper).any():
        i = int(np.flatnonzero(lower > upper)[0])
        raise ValueError(
            "An upper bound is less than the corresponding lower bound. "
            f"bounds are crossed at coordinate {i}: {lower[i]:g} > {upper[i]:g}; give (min, max)"
        )
    if np.isposinf(lower).any() or np.isneginf(upper).any():
        raise ValueError("bounds: a lower bound of +inf or an upper of -inf leaves no point")
    return lower.astype(float), upper.astype(float)


def _pairs(bounds: Any, n: int | None) -> tuple[Array, Array]:
    try:
        rows = list(bounds)
    except TypeError:
        raise TypeError(
            f"bounds must be pairs (min, max) or a Bounds; got {bounds!r:.60}"
        ) from None
    if len(rows) == 2 and all(row is None or np.ndim(row) == 0 for row in rows):
        if n is None:
            raise ValueError(
                f"bounds={tuple(rows)!r} holds for all coordinates, but x0, which says how many "
                "there are, is missing; give x0, or one pair per coordinate"
            )
        rows = [tuple(rows)] * n
    if not all(isinstance(row, (Sequence, np.ndarray)) and len(row) == 2 for row in rows):
        raise ValueError(
            f"bounds must be one (min, max) pair per coordinate, or one pair for all; got "
            f"{bounds!r:.80}"
        )
    if not rows:
        raise ValueError("bounds is empty; there is nothing to optimize")
    try:
        lower = np.array([-np.inf if low is None else low for low, _ in rows], dtype=float)
        upper = np.array([np.inf if high is None else high for _, high in rows], dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"bounds must be numbers or None; got {bounds!r:.80}") from None
    return lower, upper


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the precision of an objective; float64 for None.

    Raises
    ------
    TypeError
        If it is no real floating type.
    """
    found = np.dtype(np.float64 if dtype is None else dtype)
    if found.kind != "f":
        raise TypeError(f"dtype must be a real floating type; got {dtype!r}")
    return found


def check_tolerance(tol: Any) -> None:
    """Refuse a tolerance that is none.

    Raises
    ------
    TypeError, ValueError
        If `tol` is neither None nor a number from 0.
    """
    if tol is None:
        return
    if isinstance(tol, bool) or not isinstance(tol, Real):
        raise TypeError(f"tol is a number or None; got {tol!r:.60}")
    if not float(tol) >= 0:
        raise ValueError(f"tol must be at least 0; got {tol!r}")


def check_starts(x0: Any) -> Array:
    """Return the starts as (k0, n) float64.

    Raises
    ------
    TypeError, ValueError
        If `x0` is empty, not finite, not numeric or has more than two axes.
    """
    try:
        array = np.asarray(x0)
        if array.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            f"x0 must be an array of real numbers, (n,) or several starts (k, n); got {x0!r:.80}"
        ) from None
    starts = np.atleast_2d(array.astype(float))
    if starts.ndim > 2:
        raise ValueError(f"x0 has shape {array.shape}; give one start (n,) or several, (k, n)")
    if starts.size == 0:
        raise ValueError(f"x0 is empty (shape {array.shape}); there is nothing to optimize")
    if not np.isfinite(starts).all():
        where = np.argwhere(~np.isfinite(starts))[0]
        raise ValueError(
            f"x0 is not finite at coordinate {int(where[1])} ({starts[tuple(where)]}); "
            "start from finite numbers"
        )
    return starts


def clip_starts(starts: Array, lower: Array, upper: Array) -> Array:
    """Move starts into the bounds, with scipy's warning where that changes one."""
    clipped = np.clip(starts, lower, upper)
    if not np.array_equal(clipped, starts):
        warnings.warn(
            "Initial guess is not within the specified bounds: x0 was clipped to them",
            OptimizeWarning,
            stacklevel=4,
        )
    return clipped


def make_random(seed: Any) -> tuple[RandomStream, int | RandomStream]:
    """Return a run's random stream, and the seed that makes it again.

    Parameters
    ----------
    seed
        An int from 0; None for a fresh one; or a `Generator` or `RandomState`, used as it is.
    """
    if isinstance(seed, (np.random.Generator, np.random.RandomState)):
        return seed, seed
    if seed is None:
        seed = secrets.randbits(63)  # short enough to be written down
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed is an int, a numpy Generator or a RandomState; got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative; got {seed!r}")
    return np.random.default_rng(int(seed)), int(seed)
