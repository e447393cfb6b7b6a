"""From candidates (k, n) to losses (k,): the plan, and why.

What `torch.func.vmap` cannot do (buffers updated in the forward pass, random numbers, control flow
that depends on data, operations without a batching rule) is listed in PyTorch's "UX limitations"
of `torch.func`: some of it fails, some is silently wrong. So nothing is assumed of a model: two
candidates go through the loop and through a faster path, which is taken where losses and gradients
agree and nothing else has changed. Stacks of linear layers have a path of their own, the fastest.
"""

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from adapters.bench import Bench, Noise
from adapters.evaluators import Evaluator, Loop, Vmapped
from adapters.flatten import Array
from adapters.stack import Stacked
from adapters.supervised import Supervised

Path = Literal["stack", "vmap", "loop"]
Plan = Literal["auto", "stack", "vmap", "loop"]

SCRATCH_ON_CPU = 4 * 2**20
SCRATCH_ELSEWHERE = 256 * 2**20
"""Bytes of weights and activations in one chunk (gradients take about three times as many). A
processor should find them in its caches: fresh memory costs more than the saved calls bring."""

FEWEST_ON_CPU = 16
"""On a processor vmap pays where so many candidates fit a chunk. A pass that needs more memory is
busy with arithmetic, not with calls, and arithmetic does not get faster in batches."""


class Planned(NamedTuple):
    """How batches are evaluated, and why."""

    loop: Loop
    batch: Evaluator
    fewest: int
    path: Path
    differentiable: bool
    reason: str

    def values(self, k: int) -> Evaluator:
        """Return what computes the values of k candidates."""
        return self.batch if k >= self.fewest else self.loop

    def gradients(self, k: int) -> Evaluator:
        """Return what computes the gradients of k: a single one's as a training loop would."""
        return self.batch if k >= max(self.fewest, 2) else self.loop


def make_plan(bench: Bench, start: Array, wanted: Plan) -> Planned:
    """Try the loss at ``start`` and near it, and choose how batches are evaluated.

    Raises
    ------
    TypeError
        The loss is not one real number.
    ValueError
        ``wanted`` is ``"stack"`` or ``"vmap"``, and it cannot be.
    """
    near = start + 0.01 * np.random.default_rng(0).standard_normal(start.shape)
    points = np.stack([start, near])
    loop, reason = Loop(bench), "asked for"
    batch: Stacked | Vmapped | None = None
    noise = Noise(bench.device)
    with noise.replayed():
        values = _first_values(bench, loop, points)
        if noise.advanced():
            bench.noise = noise
            values = loop.values(points)
        gradients, why_not = _first_gradients(bench, loop, points)
        if wanted in ("auto", "stack"):
            batch, reason = _try_stack(bench, points, values, gradients)
        if wanted == "vmap" or (wanted == "auto" and batch is None):
            batch, reason = _try_vmap(bench, points, values, gradients, forced=wanted == "vmap")
    if batch is None and wanted in ("stack", "vmap"):
        raise ValueError(f"plan={wanted!r} is not possible: {reason}; use plan='auto' or 'loop'")
    if bench.noise is not None:
        reason += "; random numbers: every evaluation draws the same"
    if gradients is None:
        reason += f"; no gradients: {why_not}"
    path: Path = "loop"
    if batch is not None:
        path = "stack" if isinstance(batch, Stacked) else "vmap"
    fewest = 1 if batch is None else batch.fewest
    return Planned(loop, batch or loop, fewest, path, gradients is not None, reason)


def _first_values(bench: Bench, loop: Loop, points: Array) -> Array:
    try:
        return loop.values(points)
    except RuntimeError as error:
        # A loss that differentiates inside itself needs autograd for its value, too.
        bench.graph = True
        try:
            return loop.values(points)
        except Exception:
            raise error from None


def _first_gradients(bench: Bench, loop: Loop, points: Array) -> tuple[Array | None, str]:
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


def _try_stack(
    bench: Bench, points: Array, values: Array, gradients: Array | None
) -> tuple[Stacked | None, str]:
    """Return what evaluates a stack of linear layers, or None; and the reason."""
    if not isinstance(bench.closure, Supervised) or bench.noise is not None:
        return None, "no stack of linear layers: the loss is a function of its own, or random"
    try:
        batch = Stacked(bench, bench.closure.loss, *bench.closure.data, chunk=_chunk(bench))
        agree = _agree(batch.values(points), values, bench)
        if gradients is not None and agree:
            agree = _agree(batch.gradients(points)[1], gradients, bench)
    except Exception as error:
        return None, f"no stack of linear layers: {_short(error)}"
    if not agree:
        return None, "a stack gave other losses or gradients than the loop"
    return batch, f"a stack of linear layers, samples last; chunks of {batch.chunk}"


def _chunk(bench: Bench) -> int:
    scratch = SCRATCH_ON_CPU if bench.device.type == "cpu" else SCRATCH_ELSEWHERE
    return max(1, scratch // _footprint(bench))


def _try_vmap(
    bench: Bench, points: Array, values: Array, gradients: Array | None, forced: bool
) -> tuple[Vmapped | None, str]:
    """Return what evaluates by vmap, or None; and the reason."""
    size, on_cpu, chunk = _footprint(bench), bench.device.type == "cpu", _chunk(bench)
    if on_cpu and chunk < FEWEST_ON_CPU and not forced:
        return None, f"one pass works on {size / 2**20:.1f} MiB, so batches would not be faster"
    batch = Vmapped(bench, chunk)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with bench.attempt(), bench.mode():
                batch.losses(bench.vector.stack(torch.from_numpy(points)))
                changed = bench.changed()
            agree = _agree(batch.values(points), values, bench)
            if gradients is not None and agree:
                agree = _agree(batch.gradients(points)[1], gradients, bench)
    except Exception as error:
        return None, f"vmap failed: {_short(error).removeprefix('vmap: ')}"
    slow = [w.message for w in caught if "batching rule" in str(w.message)]
    if slow:
        return None, f"vmap would loop inside: {_short(slow[0])}"
    if changed:
        return None, f"a pass changes {changed}, which candidates would share under vmap"
    if not agree:
        return None, "vmap gave other losses or gradients than the loop"
    return batch, f"two candidates came out as one by one; chunks of {chunk}"


def _agree(got: Array, expected: Array, bench: Bench) -> bool:
    """Whether results differ by rounding alone: by half the digits of the largest in a row."""
    tolerance = torch.finfo(bench.vector.precision).eps ** 0.5
    finite = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    scale = finite.reshape(len(finite), -1).max(axis=1).reshape(-1, *[1] * (expected.ndim - 1))
    with np.errstate(invalid="ignore"):
        close = np.abs(got - expected) <= tolerance * (scale + tolerance)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    return bool((close | same).all())


class _Allocations(TorchFunctionMode):
    """Counts the bytes of the tensors that torch's functions return."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: int = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes += result.nbytes
        return result


def _footprint(bench: Bench) -> int:
    """Return the bytes of one candidate's weights and of all that a pass computes from them."""
    weights = sum(weight.nbytes for weight in bench.weights)
    with bench.attempt(), bench.mode(), _Allocations() as activations:
        bench.loss()
    return int(weights + activations.bytes)


def _short(error: object, most: int = 160) -> str:
    """Return the first sentence of an error's or warning's text."""
    text = " ".join(str(error).split()) or type(error).__name__
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= most else sentence[: most - 3] + "..."
