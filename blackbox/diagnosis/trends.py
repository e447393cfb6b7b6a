"""How the loss went: still falling, flat, exploding, lost in noise."""

import math

import numpy as np

from blackbox.diagnosis import thresholds as at
from blackbox.diagnosis.finding import Fact, Finding, show
from blackbox.diagnosis.record import Record, Track, fluctuation, tenths
from blackbox.diagnosis.steps import leaps
from blackbox.types import Array


def unfinished(run: Record) -> Finding | None:
    """Find a loss that was still falling when the run was ended."""
    if run.success or run.spent < at.STEPS or run.history.batch_count < at.FEW:
        return None
    by_incumbent = run.exact or len(run.true) >= at.STEPS // 2
    if by_incumbent:
        early, late, end = (run.best_at(share) for share in (0.1, 0.75, 1.0))
    else:
        parts = ((0.05, 0.15), (0.65, 0.75), (0.9, 1.0))
        early, late, end = (run.told.level(*part) for part in parts)
    whole, gained = early - end, late - end
    rates = run.curves.learning_rate
    if run.stage == "descent" and rates[-1] < at.ANNEALED * np.nanmax(rates):
        return None
    endless = run.stage == "descent" or run.terms.kind == "baseline" or not run.exact
    worth = (at.WORTH if endless else at.DIGITS) * (run.best_at(0.0) - end)
    least = max(worth, at.ROUNDING * abs(end))
    if not (gained > least and gained >= min(at.FALLING * whole, at.SHRINKING * abs(end))):
        return None
    # The best of ever more values falls by luck alone; their level does not.
    wanders = run.terms.kind == "baseline" or (run.terms.kind == "global" and run.stage == "single")
    if not wanders and not _falls(run.calm):
        return None
    evidence: dict[str, Fact] = {
        "fell in the last quarter by": gained,
        "since the first tenth by": whole,
        "to": end,
        "evaluations": run.spent,
    }
    if run.terms.budget is not None:
        evidence["budget"] = run.terms.budget
    remedy = "Give it more: raise what ended it, budget=, max_seconds= or the method's own limit."
    if run.terms.kind == "baseline":
        remedy += " A method that learns from what it sees would need less: method='auto'."
    elif run.stage == "descent":
        remedy += " If the budget is fixed, try a higher lr, or a schedule that ends at 0 (cosine)."
    return Finding("unfinished", "The loss was still falling when the run ended.", evidence, remedy)


def _falls(track: Track) -> bool:
    """Whether the level at the end is below that of a quarter before, beyond chance."""
    late, end = track.between(0.65, 0.75), track.between(0.9, 1.0)
    if min(len(late), len(end)) < 3:
        return True
    chance = max(fluctuation(late), fluctuation(end))
    # 1.25 standard errors of a mean is one of a median.
    error = 1.25 * chance * math.sqrt(1 / len(late) + 1 / len(end))
    return float(np.median(late) - np.median(end)) > at.CERTAIN * error


def flat(run: Record) -> Finding | None:
    """Find a loss that has not moved since the start."""
    if leaps(run) or _all_fixed(run):
        return None  # between two sides that are equally high; or there was nowhere to go
    return _nothing_differs(run) or _never_left(run) or _nothing_arrives(run)


def _all_fixed(run: Record) -> bool:
    lower, upper = run.terms.lower, run.terms.upper
    return lower is not None and upper is not None and bool((lower == upper).all())


_FLAT_REMEDY = (
    "Check that fun depends on x at all, and the scale of the variables: a step of "
    "the method should change the loss (x in units of about 1; a larger sigma0 or other bounds "
    "where they set the first steps). Then try another start."
)


def _nothing_differs(run: Record) -> Finding | None:
    values = run.everything
    if not len(values):
        return None
    size, reach = float(np.abs(values).max()), float(np.ptp(values))
    if reach > at.ROUNDING * size:
        return None
    if len(values) == 1 and not (run.success and run.spent <= 2 * run.terms.n + 2):
        return None
    alone = len(values) == 1
    start = "The run ended where it began" if alone else "All values are the same to rounding"
    words = (
        f"{start}: the start is flat. Candidates: variables whose scale is far from 1 for one step "
        "of the method, units that have no effect there (vanishing gradients), or the start is an "
        "optimum already."
    )
    evidence: dict[str, Fact] = {"largest minus smallest value": reach, "their size": size}
    evidence["evaluations"] = run.spent
    jac = run.result.get("jac")
    if jac is not None and np.size(jac):
        evidence["largest slope at the end"] = float(np.abs(jac).max())
    return Finding("flat", words, evidence, _FLAT_REMEDY)


def _never_left(run: Record) -> Finding | None:
    """Gradients that are too small to get anywhere."""
    if not run.descends:
        return None
    norms = _norms(run)
    values = run.true.values if len(run.true) >= at.GENERATIONS else run.told.values
    if not len(norms) or not len(values):
        return None
    fell = float(values[0] - values.min())
    if float(np.ptp(values)) > at.UNMOVED * abs(values[0]):
        return None
    begin, end = tenths(norms)
    if end < at.UNBENT * begin:
        return None
    evidence: dict[str, Fact] = {
        "loss at the start": float(values[0]),
        "fell by": fell,
        "gradient's length at the start": begin,
        "at the end": end,
    }
    words = (
        "The loss hardly moved, and the gradient is as long as in the beginning. Candidates: "
        "variables whose scale is far from 1, vanishing gradients, a learning rate that is far too "
        "low."
    )
    remedy = (
        "Scale the variables so that 1 is a natural step of each, or raise lr by factors of 10; "
        "of a model, check its initialization and activations."
    )
    uneven = _uneven(run)
    if uneven is not None:
        evidence["largest slope over the median slope"] = uneven
        words = "The loss hardly moved: the variables are badly scaled."
    return Finding("flat", words, evidence, remedy)


def _nothing_arrives(run: Record) -> Finding | None:
    """Layers of a model to which no gradient comes through, while the loss stands still."""
    layers = [i for i, shape in enumerate(run.terms.blocks) if len(shape) > 1]
    if not run.descends or len(layers) < 2 or not run.history.trace.slopes:
        return None
    track = run.calm
    if not len(track):
        return None
    begin, end = float(track.values[0]), track.level(0.9, 1.0)
    if abs(begin - end) > at.LITTLE * abs(begin):
        return None
    first, last = run.history.trace.slopes[0], run.history.trace.slopes[-1]
    row = run.row(len(last.sizes))
    sizes, zeros = last.sizes[row, layers], last.zeros[row, layers]
    evidence: dict[str, Fact] = {"loss at the start": begin, "at the end": end}
    dead = float(zeros[:-1].max())
    ratio = float(sizes[0] / sizes[-1]) if sizes[-1] > 0 else 0.0
    before = float(first.sizes[row, layers[0]] / max(first.sizes[row, layers[-1]], 1e-300))
    if dead >= at.DEAD:
        words = "The loss stands still: a layer's units are dead, so that no gradient passes them."
        evidence |= {"largest share of a layer's gradient that is exactly zero": dead}
        remedy = (
            "Initialize the weights by He et al. (2015), with biases at 0, and lower lr, which may "
            "have killed the units; or use an activation with a slope everywhere (LeakyReLU, GELU)."
        )
    elif min(ratio, before) < at.VANISHED:
        words = "The loss stands still: the gradient vanishes on its way to the first layer."
        evidence |= {"gradient in the first layer over that in the last": min(ratio, before)}
        remedy = (
            "Use an activation that does not saturate (ReLU, GELU), normalization or skip "
            "connections, and initialize by Glorot and Bengio (2010) or He et al. (2015)."
        )
    else:
        return None
    return Finding("flat", words, evidence, remedy)


def _uneven(run: Record) -> float | None:
    slopes = run.history.trace.slopes
    if not slopes or run.terms.blocks or slopes[0].sizes.shape[1] != run.terms.n:
        return None
    sizes = slopes[0].sizes[run.row(len(slopes[0].sizes))]
    middle = float(np.median(sizes))
    ratio = float(sizes.max()) / middle if middle > 0 else math.inf
    return ratio if ratio > at.UNEVEN else None


def diverging(run: Record) -> Finding | None:
    """Find values that explode, or fall without end."""
    return _endless(run) or _blown(run) or _ended_higher(run)


def _endless(run: Record) -> Finding | None:
    begin, late, end = (run.best_at(share) for share in (0.0, 0.75, 1.0))
    spread = run.curves.spread[np.isfinite(run.curves.spread)]
    out = float(spread[-1] / spread[0]) if len(spread) and spread[0] > 0 else 1.0
    endless = -end > at.ENDLESS * (1 + abs(begin)) or out > at.SPREAD_OUT
    if not (endless and late - end > 0.5 * (begin - end)):
        return None
    evidence: dict[str, Fact] = {
        "first value": begin,
        "after three quarters": late,
        "last": end,
        "largest variable": float(np.abs(run.result.x).max()),
    }
    words = "The loss falls faster and faster: the function seems to have no lower bound."
    remedy = "Check the sign of fun (it is minimized), or keep the variables in a box: bounds=."
    if out > at.SPREAD_OUT:
        evidence["spread at the end, in units of the first"] = out
        remedy += " Where the function is sound, the first steps are far too short: raise sigma0."
    return Finding("diverging", words, evidence, remedy)


def _blown(run: Record) -> Finding | None:
    if run.stage != "descent":
        return None
    told, trace = run.told.values, run.history.trace
    lost = int(np.isinf(run.curves.loss).sum())
    if not len(told):
        return None
    size = abs(run.first) + run.fall
    peak = float(told.max())
    if not peak - run.first > at.BLOWN * size:
        return None
    recovered = run.told.level(0.8, 1.0) < run.first and not (lost or trace.skipped)
    if recovered and peak - run.first < at.FAR * size:
        return None
    evidence: dict[str, Fact] = {"first loss": run.first, "largest": peak}
    longest = run.curves.gradient_norm[np.isfinite(run.curves.gradient_norm)]
    if len(longest):
        evidence["longest gradient"] = float(longest.max())
    if lost or trace.skipped:
        evidence |= {"steps with a loss that is not finite": lost}
        evidence |= {"gradients that were not finite": trace.skipped}
    return Finding("diverging", f"The loss exploded: {_TOO_HIGH}.", evidence, _lower(run))


def _ended_higher(run: Record) -> Finding | None:
    if not run.descends or run.history.constrained:
        return None
    track = run.calm
    values = track.values
    if len(values) < at.STEPS // 2:
        return None
    first = float(values[0]) if track is run.true else run.first
    end, chance = track.level(0.8, 1.0), fluctuation(values[len(values) // 2 :])
    if not end - first > max(at.CERTAIN * chance, at.SWING * run.fall, at.ROUNDING * abs(first)):
        return None
    evidence: dict[str, Fact] = {"first loss": first, "level at the end": end}
    evidence["fluctuation"] = chance
    words = f"The run ended above where it began: {_TOO_HIGH}."
    return Finding("diverging", words, evidence, _lower(run))


_TOO_HIGH = "the learning rate is too high, or the gradient is wrong"


def _lower(run: Record) -> str:
    """The remedy for steps that are too long."""
    rates = run.curves.learning_rate[np.isfinite(run.curves.learning_rate)]
    now = f" (it was at most {show(float(rates.max()))})" if len(rates) else ""
    remedy = f"Lower lr by a factor of 3 to 10{now}"
    if run.terms.clip_norm is None:
        remedy += ", clip gradients (clip_norm=1.0)"
    return remedy + ", or warm up (schedule='warmup(5%) + cosine')."


def noise(run: Record) -> Finding | None:
    """Find a run whose values differ more from one to the next than over its length."""
    wanders = run.terms.kind in ("baseline", None) or (run.terms.kind, run.stage) in (
        ("global", "single"),
        ("local", "population"),
    )
    if wanders or run.terms.restarts or run.stage in ("gradient", "none"):
        return None
    if run.history.constrained:
        return None
    if run.stage == "descent" and run.exact:
        return None  # a function without noise is not noisy: see `oscillating`
    values = run.told.values
    if len(values) < at.STEPS:
        return None
    quarters = np.array_split(values, 4)
    chance, before = fluctuation(quarters[3]), fluctuation(quarters[1])
    first = float(np.median(values[: max(1, min(5, len(values) // 20))]))
    fell = first - run.told.level(0.8, 1.0)
    if chance <= at.ROUNDING * float(np.abs(values).max()) or chance < at.LASTING * before:
        return None
    if fell >= at.NOISE * chance:
        return None
    evidence: dict[str, Fact] = {"level fell by": fell, "fluctuation": chance}
    evidence["values"] = len(values)
    words = "Values differ more from one to the next than they fell over the whole run: noise"
    words += "." if not run.exact else ", or a very rugged function."
    remedy = {
        "descent": "Use larger minibatches, or average several (accumulate=8); then a lower lr.",
        "population": "Say noisy=True, average several evaluations in fun, or use more points a "
        "generation (popsize).",
    }.get(run.stage, "Say noisy=True with method='cma', or average several evaluations in fun.")
    return Finding("noise", words, evidence, remedy)


def _norms(run: Record) -> Array:
    norms = run.curves.gradient_norm
    return norms[np.isfinite(norms)]
