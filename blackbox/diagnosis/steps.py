"""How gradient descent went: its learning rate, its gradients, what it learned by heart."""

import numpy as np

from blackbox.diagnosis import thresholds as at
from blackbox.diagnosis.finding import Fact, Finding, show
from blackbox.diagnosis.record import Record, fluctuation, tenths
from blackbox.types import Array


def oscillating(run: Record) -> Finding | None:
    """Find a loss that goes up and down instead of down: the learning rate is too high."""
    values = run.true.values
    if not run.descends or run.history.constrained or len(values) < at.STEPS:
        return None
    return _swings(run, values) or leaps(run)


def _swings(run: Record, values: Array) -> Finding | None:
    half = values[len(values) // 2 :]
    changes = np.diff(half)
    up, down = float(changes[changes > 0].sum()), float(-changes[changes < 0].sum())
    low, high = np.quantile(half, [0.1, 0.9])
    swing, fall = float(high - low), run.fall
    if not (swing > at.SWING * fall and up > at.BACK * down and swing > at.ROUNDING * abs(low)):
        return None
    evidence: dict[str, Fact] = {
        "swing in the second half": swing,
        "share of all that the loss fell by": swing / fall if fall > 0 else np.inf,
        "went up by, for 1 that it came down": up / down if down > 0 else np.inf,
    }
    return _too_high(run, evidence)


def leaps(run: Record) -> Finding | None:
    """Find steps over a valley to and fro, whose two sides may well be equally high."""
    curves, track = run.curves, run.told
    if not (run.descends and run.exact and len(track)):
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        labour = (curves.gradient_norm[:-1] * curves.step_size[1:])[len(curves.loss) // 2 :]
    labour = labour[np.isfinite(labour)]
    fall = run.fall
    gained = track.level(0.45, 0.55) - track.level(0.9, 1.0)
    if not len(labour) or gained > at.SWING * fall:
        return None
    steps = run.history.batch_count / 2
    done = float(np.median(labour)) * steps
    if done < at.LABOUR * fall or done <= at.ROUNDING * steps * float(np.abs(track.values).max()):
        return None
    evidence: dict[str, Fact] = {
        "steps times slopes in the second half": done,
        "all that the loss fell by": fall,
        "gained in the second half": gained,
    }
    return _too_high(run, evidence)


def _too_high(run: Record, evidence: dict[str, Fact]) -> Finding:
    rates = run.curves.learning_rate
    evidence = evidence | {"last learning rate": float(rates[-1])}
    words = "The loss goes up and down instead of falling: the learning rate is too high."
    remedy = (
        f"Lower lr by a factor of 3 to 10 (it was {show(float(rates.max()))}), or let it decay: "
        "options={'schedule': 'cosine'}."
    )
    return Finding("oscillating", words, evidence, remedy)


def slow(run: Record) -> Finding | None:
    """Find steps so small that nothing about the function has changed along the way."""
    if not run.descends or run.success:
        return None
    track = run.calm
    norms = run.curves.gradient_norm[np.isfinite(run.curves.gradient_norm)]
    if len(norms) < at.STEPS:
        return None
    begin, middle, end = track.level(0, 0.1), track.level(0.45, 0.55), track.level(0.9, 1.0)
    first, last = tenths(norms)
    error = 0.0 if run.exact else fluctuation(track.values) / np.sqrt(len(track) / 10)
    fell = begin - end
    if not fell > max(2 * at.CERTAIN * error, 0.0):
        return None
    if not (middle - end > at.STRAIGHT * fell and abs(last / first - 1) < at.SAME):
        return None
    rises = float(np.mean(np.diff(track.values) > 0))
    if run.exact and rises > at.RISES:
        return None
    moves = run.curves.step_size[np.isfinite(run.curves.step_size)]
    length = float(np.linalg.norm(run.result.x))
    evidence: dict[str, Fact] = {
        "loss fell by": fell,
        "from": begin,
        "share of it in the second half": (middle - end) / fell,
        "gradient's length at the start": first,
        "at the end": last,
    }
    if len(moves) and length > 0:
        evidence["median step over the length of x"] = float(np.median(moves)) / length
    rate = show(float(run.curves.learning_rate.max()))
    words = (
        "The loss falls in a straight line, and the gradient is as it was at the start: the "
        "learning rate is too low."
    )
    remedy = f"Raise lr by a factor of 10 or more (it was {rate}); lr_range_test finds how far."
    return Finding("slow", words, evidence, remedy)


def skipped(run: Record) -> Finding | None:
    """Find gradients that were not finite, where the losses were."""
    trace = run.history.trace
    count = run.history.gradient_count
    runs = 1 if trace.ends_value is None else len(trace.ends_value)
    lamed = run.exact and trace.skipped >= at.HALVINGS * runs
    if not count or not (lamed or trace.skipped >= at.FAILED * count):
        return None
    evidence: dict[str, Fact] = {
        "gradients that were not finite": trace.skipped,
        "of": count,
        "share": trace.skipped / count,
        "last learning rate": float(run.curves.learning_rate[-1]),
    }
    words = "Many gradients were not finite, and their steps were not taken."
    if lamed:
        words += " Each time the learning rate was halved, until the run stood still."
    remedy = (
        "Look for the root of zero, a logarithm or a division without a margin (add eps), or "
        "numbers that overflow in low precision; objective.check_gradient() tries a point."
    )
    return Finding("skipped", words, evidence, remedy)


def clipped(run: Record) -> Finding | None:
    """Find gradients that were clipped in nearly all steps."""
    limit = run.terms.clip_norm
    norms = run.curves.gradient_norm
    norms = norms[np.isfinite(norms)]
    norms = norms[len(norms) // 2 :]
    if limit is None or not run.descends or len(norms) < at.STEPS // 2:
        return None
    share = float(np.mean(norms > limit))
    if share < at.ALWAYS:
        return None
    typical = float(np.median(norms))
    evidence: dict[str, Fact] = {
        "share of steps that were clipped in the second half": share,
        "clip_norm": float(limit),
        "median length": typical,
    }
    words = "Nearly every gradient was clipped: their lengths no longer count, only lr does."
    remedy = (
        f"Raise clip_norm above the usual length (to {show(2 * typical)}, say), so that it cuts "
        "outliers only; lower lr if that makes the loss jump."
    )
    return Finding("clipped", words, evidence, remedy)


def overfitting(run: Record) -> Finding | None:
    """Find a validation loss that rises while the training loss falls."""
    history, curves = run.history, run.curves
    good = np.isfinite(curves.validation_loss)
    losses, spent = curves.validation_loss[good], curves.validation_evaluations[good]
    if len(losses) < at.VALIDATIONS or not len(run.told):
        return None
    if history.validated_x is not None and np.array_equal(run.result.x, history.validated_x):
        return None  # the best weights were restored
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(losses, 3), axis=1)
    lowest = int(smooth.argmin())
    low, end = float(smooth[lowest]), float(smooth[-1])
    size = abs(low) if low > 0 else float(smooth[0] - low)
    if end - low < max(at.OVER * size, at.CERTAIN * fluctuation(losses)):
        return None
    then = float(np.interp(spent[lowest + 1], *_extent(run)))
    trained, now = run.told.level(max(0.0, then - 0.05), then + 0.05), run.told.level(0.9, 1.0)
    if not now <= trained:
        return None
    evidence: dict[str, Fact] = {
        "lowest validation loss": low,
        "after evaluations": int(spent[lowest + 1]),
        "validation loss at the end": end,
        "training loss then": trained,
        "training loss at the end": now,
    }
    words = "Validation loss rises while the training loss falls: the model learns by heart."
    remedy = (
        "Stop early (patience=10 restores the best weights), add weight_decay or dropout, use more "
        "data or a smaller model."
    )
    return Finding("overfitting", words, evidence, remedy)


def _extent(run: Record) -> tuple[list[float], list[float]]:
    """From evaluations to shares of what was told."""
    return [float(run.told.spent[0]), float(run.told.spent[-1])], [0.0, 1.0]
