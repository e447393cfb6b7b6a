"""Gradients by finite differences: the whole stencil is one batch."""

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.history import all_finite
from blackbox.types import Array, Ask, Problem, Scheme, Told

Asking = Generator[Ask, Told, Array]


def gradient(
    problem: Problem,
    points: Array,
    values: Array,
    step: float | None = None,
    relative_step: float | Array | None = None,
) -> Asking:
    """Approximate the gradients at a batch of points, with one batch of evaluations.

    A generator, for ``yield from`` in a run or `blackbox.blocking.drive` in a solver.

    Steps, their signs and what happens at a bound are those of `scipy.optimize.approx_fprime`'s
    successor inside `scipy.optimize.minimize`, so that a solver walks as it would there. A stencil
    point that fails is tried on the other side (a second batch); where that fails too the
    derivative is 0: the direction is left alone.

    Parameters
    ----------
    problem
        Gives the bounds, the scheme (``"2-point"`` where it names none) and the precision.
    points, values
        Shapes (k, n) and (k,): where, and the values there.
    step
        Absolute step; by default, or where the problem names a scheme, a relative one: the square
        root (2-point) or cube root (3-point) of the machine epsilon, times ``max(1, |x|)``.
    relative_step
        Steps relative to ``|x|`` instead of that default.

    Returns
    -------
    Shape (k, n), float64.
    """
    scheme: Scheme = problem.scheme or "2-point"
    if problem.scheme is not None:
        step = None
    h = _steps(points, step, relative_step, scheme, problem.dtype)
    if scheme == "2-point":
        return (yield from _forward(problem, points, values, _fit_forward(points, h, problem)))
    return (yield from _central(problem, points, values, h))


def _steps(
    points: Array,
    step: float | None,
    relative_step: float | Array | None,
    scheme: Scheme,
    dtype: np.dtype[Any],
) -> Array:
    """Steps (k, n) before any bound is looked at; never so small that they vanish."""
    sign = np.where(points >= 0, 1.0, -1.0)
    if step is not None:
        h = np.full_like(points, step)
    elif relative_step is not None:
        h = np.asarray(relative_step * sign * np.abs(points))
    else:
        h = np.zeros_like(points)
    vanishes = (points + h) - points == 0
    if not vanishes.any():
        return h
    eps = float(np.finfo(dtype).eps)
    usual = eps**0.5 if scheme == "2-point" else eps ** (1 / 3)
    return np.where(vanishes, usual * sign * np.maximum(1.0, np.abs(points)), h)


def _fit_forward(points: Array, h: Array, problem: Problem) -> Array:
    """Flip a step that leaves the box; shrink one that fits on neither side."""
    lower, upper = problem.lower, problem.upper
    reached = points + h
    if not ((reached < lower) | (reached > upper)).any():
        return h
    room = np.maximum(points - lower, upper - points)
    fits = np.abs(h) <= room
    flipped = np.where((reached < lower) | (reached > upper), -h, h)
    towards = np.where(upper - points >= points - lower, 1.0, -1.0)
    return np.where(fits, flipped, towards * room)


def _star(points: Array, h: Array) -> Array:
    """Return (k * n, n): every point moved along each coordinate in turn."""
    k, n = points.shape
    moved = np.repeat(points, n, axis=0)
    diagonal = np.tile(np.arange(n), k)
    moved[np.arange(k * n), diagonal] += h.ravel()
    return moved


def _forward(problem: Problem, points: Array, values: Array, h: Array) -> Asking:
    told = yield Ask(_star(points, h), stencil=True)
    reached = told.values.reshape(h.shape)
    if not all_finite(reached):
        reached, h = yield from _mirror(problem, points, reached, h)
    with np.errstate(all="ignore"):  # failed points are +inf
        return _slope(reached - values[:, None], (points + h) - points)


def _mirror(
    problem: Problem, points: Array, reached: Array, h: Array
) -> Generator[Ask, Told, tuple[Array, Array]]:
    """Try the failed points on the other side of the centre."""
    other = points - h
    retry = ~np.isfinite(reached) & (other >= problem.lower) & (other <= problem.upper)
    if retry.any():
        h = np.where(retry, -h, h)
        star = _star(points, h)[retry.ravel()]
        reached = reached.copy()
        reached[retry] = (yield Ask(star, stencil=True)).values
    return reached, h


def _central(problem: Problem, points: Array, values: Array, h: Array) -> Asking:
    lower, upper = problem.lower, problem.upper
    h = np.abs(h)
    below, above = points - lower, upper - points
    central = (below >= h) & (above >= h)
    half = 0.5 * np.where(above >= below, above, below)
    one_sided = np.where(above >= below, 1.0, -1.0) * np.minimum(h, half)
    nearest = np.minimum(below, above)
    squeezed = ~central & (np.abs(one_sided) <= nearest)
    central |= squeezed
    h = np.where(squeezed, nearest, np.where(central, h, one_sided))
    first, second = np.where(central, -h, h), np.where(central, h, 2 * h)
    star = np.stack([_star(points, first), _star(points, second)], axis=1)
    answer = yield Ask(star.reshape(-1, points.shape[1]), stencil=True)
    told = answer.values.reshape(*h.shape, 2)
    with np.errstate(all="ignore"):
        return _central_slope(points, values[:, None], first, second, central, told)


def _central_slope(
    points: Array,
    centre: Array,
    first: Array,
    second: Array,
    central: NDArray[np.bool_],
    told: Array,
) -> Array:
    """Combine two values a coordinate, (k, n, 2): around the centre, or both on one side of it."""
    x1, x2 = points + first, points + second
    width = np.where(central, x2 - x1, x2 - points)
    rise = np.where(
        central, told[..., 1] - told[..., 0], -3.0 * centre + 4 * told[..., 0] - told[..., 1]
    )
    if all_finite(told):
        return _slope(rise, width)
    # Where one of the two failed, the other still gives a one-sided difference.
    good_first = np.isfinite(told[..., 0])
    single = np.where(good_first, told[..., 0], told[..., 1]) - centre
    reach = np.where(good_first, x1, x2) - points
    both = np.isfinite(told).all(axis=-1)
    return _slope(np.where(both, rise, single), np.where(both, width, reach))


def _slope(rise: Array, run: Array) -> Array:
    slope = rise / run
    return slope if all_finite(slope) else np.where(np.isfinite(slope), slope, 0.0)
