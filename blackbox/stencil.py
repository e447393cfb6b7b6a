"""Derivatives by finite differences: the whole stencil is one batch, up to 64 MiB of points."""

from collections.abc import Generator, Iterable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox.history import all_finite
from blackbox.types import Array, Ask, Problem, Told

Asking = Generator[Ask, Told, Array]

BATCH_BYTES = 1 << 26
"""Bytes of points in one batch; a larger stencil is asked in several."""


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
    scheme: str = problem.scheme or "2-point"
    if problem.scheme is not None:
        step = None
    h = _steps(points, step, relative_step, scheme, problem.dtype)
    if scheme == "2-point":
        return (yield from _forward(problem, points, values, _fit_forward(points, h, problem)))
    if scheme == "cs":
        return (yield from _complex_step(points, h))
    return (yield from _central(problem, points, values, h))


def _steps(
    points: Array,
    step: float | None,
    relative_step: float | Array | None,
    scheme: str,
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
    usual = eps ** (1 / 3) if scheme == "3-point" else eps**0.5
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


def _moved(points: NDArray[Any], steps: NDArray[Any]) -> Asking:
    """Values where every point, (k, n), is moved along each coordinate in turn.

    `steps` is (k, s, n): s stars around each point. So are the values.
    """
    k, s, n = steps.shape
    rows, values = _rows(n), np.empty(k * s * n, dtype=steps.dtype)
    for begin in range(0, k * s * n, rows):
        which = np.arange(begin, min(begin + rows, k * s * n))
        star = points[which // (s * n)]
        star[np.arange(len(which)), which % n] += steps.ravel()[which]
        values[which] = (yield Ask(star, stencil=True)).values
    return values.reshape(steps.shape)


def _rows(n: int) -> int:
    return max(2, BATCH_BYTES // (8 * n) // 2 * 2)


def _forward(problem: Problem, points: Array, values: Array, h: Array) -> Asking:
    reached = (yield from _moved(points, h[:, None]))[:, 0]
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
        row, column = np.nonzero(retry)
        star = points[row]
        star[np.arange(len(star)), column] += h[retry]
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
    told = yield from _moved(points, np.stack([first, second], axis=1))
    told = np.moveaxis(told, 1, -1)
    with np.errstate(all="ignore"):
        return _central_slope(points, values[:, None], first, second, central, told)


def _complex_step(points: Array, h: Array) -> Asking:
    told = yield from _moved(points.astype(complex), 1j * h[:, None])
    return _slope(told[:, 0].imag, h)


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


def along_lines(
    problem: Problem, centre: Array, value: float, points: Iterable[NDArray[Any]]
) -> Generator[Ask, Told, list[Any]]:
    """Evaluate a stencil that somebody else laid, and make up for points that fail.

    A point that fails, or lies outside the bounds, is tried on the other side of the centre, where
    the stencil has no other point on its line. Its value is then that of the line through the
    centre and the other; where that fails too, it is the centre's: a slope of 0.

    Parameters
    ----------
    problem
        Gives the bounds.
    centre, value
        The point that the stencil is around, (n,), and the finite value there.
    points
        Each moved along one coordinate; a line's two points in a row, where there are two.

    Returns
    -------
    As many values.
    """
    values: list[Any] = []
    rows = iter(points)
    while batch := list(islice(rows, _rows(len(centre)))):
        star = np.array(batch)
        if star.dtype.kind == "c":
            told = (yield Ask(star, stencil=True)).values
            values += np.where(np.isfinite(told), told, value).tolist()
        else:
            values += (yield from _along(problem, centre, value, star)).tolist()
    return values


def _along(problem: Problem, centre: Array, value: float, star: Array) -> Asking:
    lower, upper = problem.lower, problem.upper
    outside = ((star < lower) | (star > upper)).any(axis=1)
    if outside.any():
        told = np.full(len(star), np.inf)
        told[~outside] = (yield Ask(star[~outside], stencil=True)).values
    else:
        told = (yield Ask(star, stencil=True)).values
    if all_finite(told):
        return told
    step = star - centre
    line = np.abs(step).argmax(axis=1)
    step = step[np.arange(len(star)), line]
    if len(line) > 1 and line[0] == line[1]:
        partner = np.arange(len(star)) ^ 1
        other, reach = told[partner], step[partner]
    else:
        mirrored = 2 * centre - star
        inside = ((mirrored >= lower) & (mirrored <= upper)).all(axis=1)
        retry = ~np.isfinite(told) & inside
        other, reach = np.full(len(star), np.inf), -step
        if retry.any():
            other[retry] = (yield Ask(mirrored[retry], stencil=True)).values
    with np.errstate(all="ignore"):
        drawn = value + (other - value) * (step / reach)
    return np.where(np.isfinite(told), told, np.where(np.isfinite(drawn), drawn, value))


def hessian(problem: Problem, point: Array, value: float, slope: Array | None = None) -> Asking:
    """Approximate the Hessian at a point from one batch: of gradients, or of values.

    Parameters
    ----------
    problem
        Gives the precision; bounds are not looked at.
    point, value
        Shape (n,): where, and the value there.
    slope
        The gradient there, (n,), where the objective gives gradients: then n of them by forward
        differences. Else (n**2 + 3 n) / 2 values: central differences on the diagonal, forward
        ones off it.

    Returns
    -------
    Shape (n, n), float64, symmetric; 0 where evaluations failed.
    """
    n, eps = len(point), float(np.finfo(problem.dtype).eps)
    scale = np.maximum(1.0, np.abs(point))
    if slope is not None:
        h = eps**0.5 * scale
        told = yield Ask(point + np.diag(h), gradients=True, stencil=True)
        assert told.gradients is not None
        matrix = (told.gradients - slope) / h[:, None]
    else:
        h = eps**0.25 * scale
        row, column = np.triu_indices(n, 1)
        star = np.concatenate(
            [point + np.diag(h), point - np.diag(h), np.tile(point, (len(row), 1))]
        )
        pairs = np.arange(2 * n, len(star))
        star[pairs, row] += h[row]
        star[pairs, column] += h[column]
        values = []
        for begin in range(0, len(star), _rows(n)):
            values.append((yield Ask(star[begin : begin + _rows(n)], stencil=True)).values)
        told_values = np.concatenate(values)
        above, below, both = np.split(told_values, [n, 2 * n])
        matrix = np.diag((yield from _curvatures(point, value, h, above, below)))
        with np.errstate(all="ignore"):
            cross = (both - above[row] - above[column] + value) / (h[row] * h[column])
        matrix[row, column] = matrix[column, row] = cross
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    return (matrix + matrix.T) / 2


def _curvatures(point: Array, value: float, h: Array, above: Array, below: Array) -> Asking:
    """Second derivatives, (n,), from the values at ``point + h`` and ``point - h``.

    Where one of the two failed, as at a bound, from a second step to the other side.
    """
    lost = np.isfinite(above) != np.isfinite(below)
    with np.errstate(all="ignore"):
        curvatures: Array = ((above - value) + (below - value)) / h**2
    if lost.any():
        which = np.flatnonzero(lost)
        side = np.where(np.isfinite(above[which]), 1.0, -1.0)
        star = np.tile(point, (len(which), 1))
        star[np.arange(len(which)), which] += 2 * side * h[which]
        far = (yield Ask(star, stencil=True)).values
        near = np.where(side > 0, above[which], below[which])
        curvatures[which] = (value - 2 * near + far) / h[which] ** 2
    return curvatures
