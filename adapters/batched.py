"""From candidates (k, n) to losses (k,): the plan, and why.

What `torch.func.vmap` cannot do (buffers updated in the forward pass, random numbers, control flow
that depends on data, operations without a batching rule) is listed in PyTorch's "UX limitations"
of `torch.func`: some of it fails, some is silently wrong. So nothing is assumed of a model: two
candidates go through the loop and through a faster path, which is taken where losses and gradients
agree and nothing else has changed. Stacks of known layers have a path of their own, the fastest.

The choice follows from what a pass works on, never from a clock: a run would otherwise depend, in
its last digits, on how busy the machine was when it began.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from adapters.bench import Bench
from adapters.compiled import Compiled, NotCompiled
from adapters.evaluators import Loop, Vmapped
from adapters.footprint import footprint
from adapters.stack import Stacked
from adapters.supervised import Supervised

Path = Literal["stack", "vmap", "loop"]
Plan = Literal["auto", "stack", "vmap", "loop"]

STACK_SCRATCH = 6 * 2**20
VMAP_SCRATCH = 4 * 2**20
"""Bytes of weights and activations in one chunk on a processor, which should find them in its
caches: fresh memory costs more than the saved calls bring. Gradients take about three times as
many."""

SHARE = 0.25
"""Of a device's free memory, what a chunk may take."""

SCRATCH_ELSEWHERE = 256 * 2**20
"""Bytes of a chunk on a device that does not say how much it has."""

FEWEST_ON_CPU = 16
"""On a processor vmap pays where so many candidates fit a chunk. A pass that needs more memory is
busy with arithmetic, not with calls, and arithmetic does not get faster in batches."""


class SlowPathWarning(UserWarning):
    """Batches are evaluated one by one, as the model or the loss does not allow better."""


class Batching(NamedTuple):
    """How batches of candidates are evaluated.

    Attributes
    ----------
    path
        ``"stack"``: known layers, samples last. ``"vmap"``: `torch.func.vmap`. ``"loop"``: one
        by one.
    chunk
        How many candidates go through at once.
    reason
        Why.
    """

    path: Path
    chunk: int
    reason: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        how = "one by one" if self.path == "loop" else f"by {self.path}, {self.chunk} at once"
        return f"{how}: {self.reason}"


class Planned:
    """What evaluates batches, and why.

    Attributes
    ----------
    path, reason
        As in `Batching`.
    slow
        Whether something keeps candidates from going through together.
    differentiable
        Whether there are gradients.
    """

    def __init__(self, loop: Loop, batch: Stacked | Vmapped | None, why: "_Why") -> None:
        self._loop = loop
        self._batch: Stacked | Vmapped | Loop = batch or loop
        self._fewest = 1 if batch is None else batch.fewest
        self.path: Path = "loop"
        if batch is not None:
            self.path = "stack" if isinstance(batch, Stacked) else "vmap"
        self.reason, self.slow, self.differentiable = why
        self._plain = self.reason
        self._compiled: Compiled | None = None
        self._warned = False

    def warn(self, count: int) -> None:
        """Say once that so many candidates went one by one, where that is not as asked."""
        if self.slow and count > 1 and not self._warned:
            self._warned = True
            warnings.warn(
                f"candidates are evaluated one by one: {self.reason}. "
                "plan='loop' says that this is meant",
                SlowPathWarning,
                stacklevel=3,
            )

    @property
    def chunk(self) -> int:
        """How many candidates go through at once."""
        return (self._compiled or self._batch).chunk

    def compile(self, bench: Bench, start: np.ndarray[Any, Any], mode: str) -> bool:
        """Compile what gives values, for the data as they are now; or go on without."""
        try:
            if isinstance(self._batch, Loop):
                raise NotCompiled("there is no batched pass to compile")
            compiled = self._compiled or Compiled(bench, self._batch, mode)
            points = _near(start, compiled.chunk)
            expected = self._loop.values(points)
            if not _agree(compiled.first(points), expected, bench.vector.precision):
                raise NotCompiled("it gave other losses than the loop")
            self._compiled = compiled
            self.reason = f"{self._plain}; compiled: {compiled.chunk} at once, mode {mode!r}"
        except Exception as error:
            self._leave_compiled(error)
        return self._compiled is not None

    def _leave_compiled(self, error: Exception) -> None:
        cause = getattr(error, "inner_exception", error)  # where dynamo wraps its backend's
        self._compiled, self.reason = None, f"{self._plain}; not compiled: {_short(cause)}"

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        if self._compiled is not None and points.shape[0] >= self._compiled.fewest:
            try:
                return self._compiled.values(points)
            except Exception as error:
                self._leave_compiled(error)
        evaluator = self._batch if points.shape[0] >= self._fewest else self._loop
        if points.shape[0] <= evaluator.chunk or evaluator is self._loop:
            return evaluator.values(points)
        parts, evaluator.chunk = in_chunks(evaluator.values, points, evaluator.chunk)
        return torch.cat(parts)

    def gradients(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return losses (k,) and gradients (k, n); a single one's as a training loop would."""
        evaluator = self._batch if len(points) >= max(self._fewest, 2) else self._loop
        if isinstance(evaluator, Stacked) and not evaluator.gradients_pay:
            evaluator = self._loop
        if evaluator is self._loop:
            return evaluator.gradients(points)
        size = evaluator.gradient_chunk
        parts, evaluator.gradient_chunk = in_chunks(evaluator.gradients, points, size)
        if len(parts) == 1:
            return parts[0]
        values, gradients = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(gradients)

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        if isinstance(self._batch, Stacked):
            self._batch.take(rows)
        if self._compiled is not None:
            self._compiled.take()


_T = TypeVar("_T")


def in_chunks(evaluate: Callable[[Tensor], _T], points: Tensor, size: int) -> tuple[list[_T], int]:
    """Evaluate chunk after chunk; where memory runs out, that one again, by halves.

    Parameters
    ----------
    evaluate
        Takes a chunk of points.
    points
        All of them, (k, n).
    size
        How many to a chunk.

    Returns
    -------
    What `evaluate` gave, and the size of chunk that fitted.

    Raises
    ------
    torch.OutOfMemoryError
        A single point does not fit.
    """
    parts: list[_T] = []
    at, count = 0, len(points)
    while at < count:
        left = count - at
        chunk = points[at : at + -(-left // -(-left // size))]  # all about as large
        try:
            parts.append(evaluate(chunk))
        except torch.OutOfMemoryError:
            if len(chunk) == 1:
                raise
            size = len(chunk) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        else:
            at += len(chunk)
    return parts, size


class _Why(NamedTuple):
    reason: str
    slow: bool
    differentiable: bool


def make_plan(bench: Bench, start: np.ndarray[Any, Any], wanted: Plan) -> Planned:
    """Try the loss at ``start`` and near it, and choose how batches are evaluated.

    Raises
    ------
    TypeError
        The loss is not one real number.
    ValueError
        ``wanted`` is ``"stack"`` or ``"vmap"``, and it cannot be; or the loss is NaN.
    """
    points = _near(start, 2)
    loop, reason, slow = Loop(bench), "asked for", False
    values = _first_values(bench, loop, points)
    gradients, why_not = _first_gradients(bench, loop, points)
    trial = _Trial(bench, points, values, gradients)
    batch: Stacked | Vmapped | None = None
    if wanted in ("auto", "stack"):
        batch, reason = _try_stack(trial)
    if wanted == "vmap" or (wanted == "auto" and batch is None):
        batch, why, slow = _try_vmap(trial, forced=wanted == "vmap")
        reason = why if wanted == "vmap" else f"{reason}; {why}"
    if batch is None and wanted in ("stack", "vmap"):
        raise ValueError(f"plan={wanted!r} is not possible: {reason}; use plan='auto' or 'loop'")
    if gradients is None:
        reason += f"; no gradients: {why_not}"
    return Planned(loop, batch, _Why(reason, slow, gradients is not None))


def _near(start: np.ndarray[Any, Any], count: int) -> Tensor:
    """Return so many candidates: the start, and others near it."""
    steps = 0.01 * np.random.default_rng(0).standard_normal((count - 1, len(start)))
    return torch.from_numpy(np.vstack([start, start + steps]))


class _Trial(NamedTuple):
    """Two candidates, and what the loop made of them."""

    bench: Bench
    points: Tensor
    values: Tensor
    gradients: Tensor | None

    def agrees(self, batch: Stacked | Vmapped) -> bool:
        """Whether a faster way comes to the same."""
        lower = getattr(self.bench.closure, "autocast", None)
        precision = lower or self.bench.vector.precision
        if not _agree(batch.values(self.points), self.values, precision):
            return False
        if self.gradients is None:
            return True
        gradients = batch.gradients(self.points)[1]
        rows = zip(torch.split(gradients, 1), torch.split(self.gradients, 1), strict=True)
        if any(_agree(got, expected, precision) for got, expected in rows):
            return True
        # At a kink, as of ReLU and pooling, rounding decides which of two derivatives is taken.
        parts = list(self.bench.vector.slices.values())
        return all(_nearly(gradients[:, part], self.gradients[:, part]) for part in parts)


def _first_values(bench: Bench, loop: Loop, points: Tensor) -> Tensor:
    """Evaluate two candidates, and note what a pass does besides."""
    try:
        bench.look(points)
        values = loop.values(points)
    except RuntimeError as error:
        # A loss that differentiates inside itself needs autograd for its value, too.
        bench.graph = True
        try:
            bench.look(points)
            values = loop.values(points)
        except Exception:
            raise error from None
    if bool(values.isnan().all()):
        raise ValueError(
            "the loss is NaN at the model's own weights and near them: look for NaN in the inputs "
            "and targets, and for logarithms, roots and divisions in the loss"
        )
    return values


def _first_gradients(bench: Bench, loop: Loop, points: Tensor) -> tuple[Tensor | None, str]:
    """Return gradients, or why there are none."""
    nothing = None, "the loss does not depend differentiably on the weights"
    try:
        with bench.attempt(), torch.enable_grad():
            loss = bench.loss()
            if not (isinstance(loss, Tensor) and loss.requires_grad):
                return nothing
            slopes = torch.autograd.grad(loss, bench.weights, allow_unused=True)
            if all(slope is None for slope in slopes):
                return nothing
        return loop.gradients(points)[1], ""
    except Exception as error:
        return None, _short(error)


def _try_stack(trial: _Trial) -> tuple[Stacked | None, str]:
    """Return what evaluates a stack of known layers, or None; and the reason."""
    bench = trial.bench
    if not isinstance(bench.closure, Supervised):
        return None, "no stack of known layers: the loss is a function of the model"
    try:
        with bench.attempt():
            batch = Stacked(bench, bench.closure, _scratch(bench.device, STACK_SCRATCH))
        agree = trial.agrees(batch)
    except Exception as error:
        return None, f"no stack of known layers: {_short(error)}"
    if not agree:
        return None, "a stack gave other losses or gradients than the loop"
    return batch, "a stack of known layers, samples last"


def _scratch(device: torch.device, on_cpu: int) -> int:
    """Return how many bytes a chunk may take."""
    if device.type == "cpu":
        return on_cpu
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    return SCRATCH_ELSEWHERE


def _try_vmap(trial: _Trial, forced: bool) -> tuple[Vmapped | None, str, bool]:
    """Return what evaluates by vmap, or None; the reason; and whether more cannot be had."""
    bench = trial.bench
    if bench.random:
        return None, "passes draw random numbers", True
    size = footprint(bench)
    chunk = max(1, _scratch(bench.device, VMAP_SCRATCH) // size)
    if bench.device.type == "cpu" and chunk < FEWEST_ON_CPU and not forced:
        why = f"one pass works on {size / 2**20:.1f} MiB, so vmap would not be faster"
        return None, why, False
    batch = Vmapped(bench, chunk)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with bench.attempt(), torch.enable_grad() if bench.graph else torch.no_grad():
                batch.losses(bench.vector.stack(trial.points))
                changed = bench.changed()
            agree = trial.agrees(batch)
    except Exception as error:
        return None, f"vmap failed: {_short(error).removeprefix('vmap: ')}", True
    slow = [w.message for w in caught if "batching rule" in str(w.message)]
    if slow:
        return None, f"vmap would loop inside: {_short(slow[0])}", True
    if changed:
        return None, f"a pass changes {changed}, which candidates would share under vmap", True
    if not agree:
        return None, "vmap gave other losses or gradients than the loop", True
    return batch, "by vmap two candidates came out as one by one", False


def _agree(got: Tensor, expected: Tensor, precision: torch.dtype) -> bool:
    """Whether results differ by rounding alone: by half the digits of the largest in a row."""
    tolerance = torch.finfo(precision).eps ** 0.5
    a, b = got.detach().cpu().double().numpy(), expected.detach().cpu().double().numpy()
    finite = np.where(np.isfinite(b), np.abs(b), 0.0)
    scale = finite.reshape(len(finite), -1).max(axis=1).reshape(-1, *[1] * (b.ndim - 1))
    with np.errstate(invalid="ignore"):
        close = np.abs(a - b) <= tolerance * (scale + tolerance)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return bool((close | same).all())


def _nearly(got: Tensor, expected: Tensor) -> bool:
    """Whether the rows of two tensors differ by a hundredth of their length at most."""
    apart = torch.linalg.vector_norm(got.cpu().double() - expected.cpu().double(), dim=1)
    return bool((apart <= 0.01 * torch.linalg.vector_norm(expected.cpu().double(), dim=1)).all())


def _short(error: object, most: int = 160) -> str:
    """Return the first sentence of an error's or warning's text."""
    text = " ".join(str(error).split()) or type(error).__name__
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= most else sentence[: most - 3] + "..."
