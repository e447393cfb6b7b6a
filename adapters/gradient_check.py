"""Is a gradient right? Its slopes beside those of central differences, tensor by tensor."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.flatten import Array, as_points

Verdict = Literal[
    "agrees",
    "zero in both",
    "lost in rounding",
    "differs",
    "zero by autograd",
    "jumps",
    "kink",
    "not finite",
]
_ALL = "all together"
_UNTOLD = ("zero in both", "lost in rounding")  # their relative errors are those of rounding
_PASSES = ("agrees", *_UNTOLD)
_EXACTNESS = 1e-3  # the relative error that counts as none, where the precision allows it
_ENTRIES = 2**23  # most numbers in one batch of points: 64 MiB


@dataclass(frozen=True)
class TensorCheck:
    """What came out for one tensor, along the direction that says most.

    Attributes
    ----------
    name
        The parameter; in the last row "all together".
    autograd, differences
        The slope of the loss: by the gradient, and by differences.
    error
        How far these are apart, relative to the larger of them or, where both are small by chance,
        to the slope that the gradient lets expect.
    verdict
        In two words; `str` of the whole check explains them.
    """

    name: str
    autograd: float
    differences: float
    error: float
    verdict: Verdict


@dataclass(frozen=True)
class GradientCheck:
    """A gradient beside finite differences. Its truth is `ok`, its `str` a report.

    Attributes
    ----------
    ok
        Whether nothing contradicts the gradient. What rounding hides contradicts nothing.
    worst
        The largest relative error in a row, leaving aside those where rounding hides it.
    rows
        One a tensor, in their order, and one for all together.
    value, noise
        The loss at the point, and how exactly it comes there.
    precision
        The machine epsilon of the model's precision.
    """

    ok: bool
    worst: float
    rows: tuple[TensorCheck, ...]
    value: float
    noise: float
    precision: float

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        agreeing = sum(row.verdict == "agrees" for row in self.rows[:-1])
        head = "The gradient holds" if self.ok else "The gradient does not hold"
        if self.ok and not agreeing:
            head = "Nothing speaks against the gradient, but nothing could be told"
        head += f": {agreeing} of {len(self.rows) - 1} tensors agree with finite differences"
        seen = dict.fromkeys(row.verdict for row in self.rows)
        told = [f"{verdict}: {_MEANING[verdict]}" for verdict in seen if verdict in _MEANING]
        foot = f"The loss at x is {self.value:.6g}, exact to about {self.noise:.0e}."
        if self.precision > 1e-10:
            foot += " Smaller errors stay hidden in that: a model in float64 shows more."
        worst = f", worst relative error {self.worst:.1e}."
        return "\n".join([head + worst, "", *_table(self.rows), "", *told, foot])


def check_gradient(
    value: Callable[[Array], Array],
    gradient: Callable[[Array], tuple[Array, Array]],
    x: ArrayLike,
    slices: Mapping[str, slice],
    precision: float,
) -> GradientCheck:
    """Compare a gradient at ``x`` with central differences, along a few directions per tensor.

    Each tensor is looked at along its own gradient and along two random directions; so are all
    together. Slopes are taken over three steps, which are parts of the tensor's size, between
    points that the model's precision can hold. The step with the least estimated error says how
    far apart the two may be. Where they are further, more losses tell jumps and kinks. The
    directions are the same each time.

    Parameters
    ----------
    value
        Points (k, n) to losses (k,), float64; equal points must have equal losses.
    gradient
        Points (k, n) to losses (k,) and gradients (k, n), float64.
    x
        Where, (n,).
    slices
        Each tensor's name to its part of the vector; together they are the vector.
    precision
        The machine epsilon of what the model computes in, the largest if there are several.

    Raises
    ------
    ValueError
        ``x`` has a wrong shape or is not finite, or the loss there is not.

    References
    ----------
    J. J. Moré, S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33, 2011: how
    exactly a function comes, from differences of its values at points close together.
    """
    n = max(part.stop for part in slices.values())
    point = as_points(x, n, "x", dimensions=(1,))
    if not np.isfinite(point).all():
        raise ValueError(f"x must be finite; x[{np.flatnonzero(~np.isfinite(point))[0]}] is not")
    loss = _Loss(value, gradient, _rounded(point, precision), precision)
    filled = {name: part for name, part in slices.items() if part.start < part.stop}
    parts, sizes = {**filled, _ALL: slice(0, n)}, _sizes(point, filled)
    rng = np.random.default_rng(0)
    lines = {name: _lines(loss.gradient, sizes, part, rng) for name, part in parts.items()}
    with np.errstate(all="ignore"):  # losses beside x need not be finite
        slopes = dict(zip(parts, _slopes(loss, list(lines.values())), strict=True))
        dead = {name for name, part in parts.items() if not loss.gradient[part].any()}
        suspects = [name for name in parts if name in dead or not slopes[name].convinces]
        jumping = _jumping(loss, {name: lines[name][-1] for name in suspects})
    rows = tuple(_row(n, slopes[n], n in dead, n in jumping) for n in parts)
    return GradientCheck(
        ok=all(row.verdict in _PASSES for row in rows),
        worst=max((row.error for row in rows if row.verdict not in _UNTOLD), default=0.0),
        rows=rows,
        value=loss.centre,
        noise=loss.noise,
        precision=precision,
    )


class _Line(NamedTuple):
    """A direction within a part of the vector, of length one."""

    part: slice
    way: Array
    size: float  # moves no weight by more than its tensor's size
    usual: float  # the slope to expect, were the gradient's signs random


class _Loss:
    """The loss, and what its gradient foretells, around a point."""

    def __init__(
        self,
        value: Callable[[Array], Array],
        gradient: Callable[[Array], tuple[Array, Array]],
        point: Array,
        precision: float,
    ) -> None:
        self._value = value
        self._point = point
        self.precision = precision
        self.centre = float(value(point[None])[0])
        if not math.isfinite(self.centre):
            raise ValueError(f"the loss at x is {self.centre}; check where it is finite")
        self.gradient = gradient(point[None])[1][0]
        self.noise = precision * abs(self.centre)

    def along(self, lines: Sequence[_Line], steps: Array) -> tuple[Array, Array, Array]:
        """Return losses, foretold changes and lengths (k, s) of steps (k, s) along k lines.

        Steps are in sizes of their lines; lengths are what rounding leaves of them.
        """
        values, changes, lengths = np.empty((3, *steps.shape))
        pairs = [(line, step) for line, row in zip(lines, steps, strict=True) for step in row]
        most = max(1, _ENTRIES // len(self._point))
        for start in range(0, len(pairs), most):
            chunk = pairs[start : start + most]
            points = np.tile(self._point, (len(chunk), 1))
            for i, (line, step) in enumerate(chunk):
                here = self._point[line.part]
                there = _rounded(here + step * line.size * line.way, self.precision)
                points[i, line.part] = there
                changes.flat[start + i] = self.gradient[line.part] @ (there - here)
                lengths.flat[start + i] = np.linalg.norm(there - here)
            values.flat[start : start + len(chunk)] = self._value(points)
        return values, changes, lengths

    def measure_noise(self, line: _Line, step: float) -> None:
        """Estimate how exactly the loss comes, from values a few roundings apart."""
        steps: Array = step + 2 * self.precision * np.arange(12.0)
        values = self.along([line], steps[None])[0][0]
        third = np.abs(np.diff(values, 3))  # its variance is 20 times that of the noise
        noise = float(np.median(third)) / (0.6745 * math.sqrt(20))
        self.noise = max(self.noise, noise if math.isfinite(noise) else 0.0)


def _rounded(points: Array, precision: float) -> Array:
    """Return the nearest numbers of that precision, so that steps are what the model sees."""
    fraction, exponent = np.frexp(points)
    return np.ldexp(np.rint(fraction * (2 / precision)) * (precision / 2), exponent)


def _sizes(point: Array, slices: Mapping[str, slice]) -> Array:
    """Return the typical size of a weight of the tensor, for each weight: (n,)."""
    overall = float(np.sqrt(np.mean(point**2))) or 1.0
    sizes = np.empty_like(point)
    for part in slices.values():
        # A tensor of zeros, as fresh biases are, is measured by the others.
        sizes[part] = max(float(np.sqrt(np.mean(point[part] ** 2))), 0.1 * overall)
    return sizes


def _lines(gradient: Array, sizes: Array, part: slice, rng: np.random.Generator) -> list[_Line]:
    """Return three directions within a part: along the gradient, if it has one, and random ones."""
    slope, size = gradient[part], sizes[part]
    ways = [size * rng.choice([-1.0, 1.0], len(slope)) for _ in range(3)]
    if slope.any() and np.isfinite(slope).all():
        ways[0] = slope / np.abs(slope).max()  # its square must not vanish
    ways = [way / np.linalg.norm(way) for way in ways]
    return [
        _Line(part, way, 1 / float(np.max(np.abs(way) / size)), float(np.linalg.norm(slope * way)))
        for way in ways
    ]


class _Slopes(NamedTuple):
    """What the lines of one tensor say, each at the step that agrees best: arrays (3,)."""

    autograd: Array
    differences: Array
    error: Array  # how far these are apart, relative to themselves
    strain: Array  # and relative to how far they may be; infinite where no loss is finite
    telling: NDArray[np.bool_]  # whether a wrong gradient would show
    kink: NDArray[np.bool_]  # whether the loss has one at x

    @property
    def convinces(self) -> bool:
        return bool((self.strain <= 1).all() and self.telling.any())


def _slopes(loss: _Loss, tensors: Sequence[list[_Line]]) -> list[_Slopes]:
    """Measure the slopes along all lines, in one go, and judge them."""
    lines = [line for three in tensors for line in three]
    steps = loss.precision ** (1 / 3) / 2 * np.array([1 / 8, 1, 8])  # around the usual one
    loss.measure_noise(lines[-1], steps[-1])
    told = loss.along(lines, np.tile(np.concatenate([-steps, steps]), (len(lines), 1)))
    (down, up), (less, more), (left, right) = (np.split(each, 2, axis=1) for each in told)
    run = left + right
    by_differences, by_autograd = (up - down) / run, (more - less) / run
    gap = by_differences - by_autograd
    size, usual = (np.array([[line[i]] for line in lines]) for i in (2, 3))
    usable = np.isfinite(gap) & (run >= size * steps)  # half of it may be lost in rounding
    scale = np.maximum(np.maximum(np.abs(by_differences), np.abs(by_autograd)), usual)
    noise = np.maximum(loss.noise, loss.precision * np.maximum(np.abs(up), np.abs(down)))
    rounding = 4 * noise / run
    rise, fall = (up - loss.centre) / right, (loss.centre - down) / left
    bend = np.abs(rise - fall)
    small = np.where(bend < 0.2 * scale, bend / 2, 0.0)  # one kink among many may be next to x
    doubt = rounding + _bias(gap, scale) + small
    doubt = np.where(usable, doubt, np.inf).min(axis=1, keepdims=True)
    may_be = max(_EXACTNESS, 16 * loss.precision) * scale + doubt
    strain = np.where(usable, np.where(gap == 0, 0.0, np.abs(gap) / may_be), np.inf)
    error = np.where(usable, np.where(gap == 0, 0.0, np.abs(gap) / scale), np.inf)
    best = strain.argmin(axis=1)[:, None]
    each = (by_autograd, by_differences, error, strain, doubt <= 0.1 * scale)
    judged = [np.take_along_axis(values, best, axis=1)[:, 0] for values in each]
    judged.append(_kink(rise, fall, by_autograd, rounding, may_be))
    return [_Slopes(*(values[i : i + 3] for values in judged)) for i in range(0, len(lines), 3)]


def _bias(gap: Array, scale: Array) -> Array:
    """Estimate the errors of the differences themselves, (lines, steps), from step to step.

    They grow with the step, 64 times from one to the next where the loss is smooth, and about 3
    times where it is full of kinks: so what a step adds is at most what the one before had. As
    that may be small by chance, it counts for no less than it does along most lines of its kind.
    """
    steps = np.abs(np.diff(gap))
    change = np.where(steps == 0, 0.0, steps / scale[:, 1:]).reshape(-1, 3, 2)
    random = change[:, 1:]  # the first of three lines goes along the gradient
    random[:] = random.max(axis=1, keepdims=True)
    typical = np.median(np.nan_to_num(change, posinf=0.0), axis=0)
    likely = np.maximum(np.nan_to_num(change, nan=np.inf), 2 * typical).reshape(-1, 2)
    return np.column_stack([likely, 2 * likely[:, -1]]) * scale


def _kink(
    rise: Array, fall: Array, autograd: Array, rounding: Array, may_be: Array
) -> NDArray[np.bool_]:
    """Whether slopes on either side differ alike over two steps, and autograd's lies between."""
    bend = np.abs(rise - fall)
    alike = (bend[:, :-1] < 2 * bend[:, 1:]) & (bend[:, 1:] < 2 * bend[:, :-1])
    clear = bend > 10 * rounding
    low, high = np.minimum(rise, fall) - may_be, np.maximum(rise, fall) + may_be
    between = clear & (low <= autograd) & (autograd <= high)
    return np.asarray(np.any(alike & between[:, :-1] & clear[:, 1:], axis=1))


def _jumping(loss: _Loss, lines: Mapping[str, _Line]) -> set[str]:
    """Return where the loss jumps: most of a change stays when the step is halved and halved."""
    ends: dict[str, list[tuple[float, float]]] = {}  # two steps, and the losses there
    for step in (0.5, -0.5):
        for name, value in _at(loss, lines, {n: step for n in lines if n not in ends}).items():
            if abs(value - loss.centre) > 10 * loss.noise:
                ends[name] = [(0.0, loss.centre), (step, value)]
    least = {name: abs(high[1] - low[1]) for name, (low, high) in ends.items()}
    halvings = min(30, int(math.log2(0.5 / (4 * loss.precision))))
    for _ in range(halvings):
        middles = {name: (low[0] + high[0]) / 2 for name, (low, high) in ends.items()}
        for name, value in _at(loss, lines, middles).items():
            low, high = ends[name]
            replaced = 1 if abs(value - low[1]) > abs(high[1] - value) else 0
            ends[name][replaced] = middles[name], value
            least[name] /= math.sqrt(2)  # a loss without jumps loses about half
    left = {name: abs(high[1] - low[1]) for name, (low, high) in ends.items()}
    return {name for name in ends if left[name] > max(10 * loss.noise, least[name])}


def _at(loss: _Loss, lines: Mapping[str, _Line], steps: Mapping[str, float]) -> dict[str, float]:
    """Return the loss by line, one step along each."""
    column = np.array(list(steps.values()))[:, None]
    values = loss.along([lines[name] for name in steps], column)[0]
    return dict(zip(steps, values[:, 0].tolist(), strict=True))


def _row(name: str, slopes: _Slopes, dead: bool, jumps: bool) -> TensorCheck:
    """Put into words what the lines of a tensor say; the worst of them speaks."""
    failed = slopes.strain > 1
    speaker = np.lexsort((slopes.strain, slopes.telling, failed))[-1]
    verdict: Verdict
    if np.isinf(slopes.strain).any():
        verdict = "not finite"
    elif failed.any() and slopes.kink[failed].all():
        verdict = "kink"
    elif jumps:
        verdict = "jumps"
    elif failed.any():
        verdict = "zero by autograd" if dead else "differs"
    elif dead:
        verdict = "zero in both"
    else:
        verdict = "agrees" if slopes.telling.any() else "lost in rounding"
    autograd, differences, error = (float(values[speaker]) for values in slopes[:3])
    return TensorCheck(name, autograd, differences, error, verdict)


_MEANING = {
    "zero in both": "neither shows a slope: it is unused, its units are off, or x is at the very "
    "bottom of a valley.",
    "lost in rounding": "the slope is too small to tell, beside the rounding of the loss and the "
    "bends in it.",
    "differs": "a wrong backward, or a part of the loss that is hidden from autograd (detach(), "
    ".item(), .data). Among kinks also a right gradient may look so: check at another point.",
    "zero by autograd": "the loss depends on it and autograd does not see how: detach(), .item(), "
    ".data, a step without derivative (round, sign, argmax), or x lies on kinks (relu at 0).",
    "jumps": "the loss changes in jumps, by a step without derivative (round, sign, argmax). No "
    "gradient tells of them: use a method that needs none.",
    "kink": "x lies on a kink, as relu has at 0, or next to one: the slopes on its two sides "
    "differ, and autograd's is between. It may be right elsewhere: check at another point.",
    "not finite": "the gradient at x, or the loss on every step from it, is NaN or infinite.",
}
_SHOWN = 40


def _table(rows: Sequence[TensorCheck]) -> list[str]:
    if len(rows) > _SHOWN:  # what does not agree comes first
        rows = sorted(rows, key=lambda row: row.verdict == "agrees")
    cells = [("tensor", "by autograd", "by differences", "relative error", "verdict")]
    for row in rows[:_SHOWN]:
        error = "-" if row.verdict in _UNTOLD else f"{row.error:.1e}"
        slopes = f"{row.autograd:.5e}", f"{row.differences:.5e}"
        cells.append((row.name, *slopes, error, row.verdict))
    first, *widths = (max(map(len, column)) for column in zip(*cells, strict=True))
    lines = [
        "  ".join([name.ljust(first), *map(str.rjust, told, widths), verdict])
        for name, *told, verdict in cells
    ]
    return lines + [f"and {len(rows) - _SHOWN} more"] * (len(rows) > _SHOWN)
