"""Whether alike models are trained all in one pass, or one after another, and why."""

import warnings
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from adapters.batched import Batching, Plan
from adapters.evaluators import Loop, as_number
from adapters.stack.trace import Unfit
from adapters.training.passes import Pass, StackPass, VmapPass, slopes_of
from adapters.training.prototype import Prototype

ON_CPU = 32 * 2**20
"""Bytes that a chunk works on, on a processor: its caches should hold most of them."""
SHARE = 0.25
"""Of a device's free memory, what a chunk may take."""
ELSEWHERE = 256 * 2**20
"""Bytes of a chunk on a device that does not say how much it has."""
COPIES = 6
"""Arrays as large as the weights that a step works on: weights, slopes twice, moments, views."""
PASSES = 3
"""How many times as much a pass with derivatives writes as one without."""
FEWEST_ON_CPU = {"stack": 3, "vmap": 5}
"""On a processor a way pays where a chunk holds so many trainings. One that needs more memory is
busy with arithmetic, not with calls, and arithmetic does not get faster in batches."""
NEAR = 0.01
"""How far apart the two candidates of a trial are."""

WAYS: dict[Literal["stack", "vmap"], tuple[str, str]] = {
    "stack": ("a stack of known layers, samples last", "no stack of known layers"),
    "vmap": ("by vmap two candidates came out as one by one", "vmap failed"),
}
"""The ways to train many at once, the fastest first: what is said of each, or where it fails."""


class Planned(NamedTuple):
    """How alike models are trained.

    Attributes
    ----------
    computed
        What computes many at once; None: they are trained one after another.
    batching
        Path, how many are trained at once, and the reason.
    judged
        How many are judged at once.
    slow
        Whether something keeps them from going through together.
    """

    computed: Pass | None
    batching: Batching
    judged: int
    slow: bool

    @property
    def fewest(self) -> int:
        """How many trainings are faster together than one after another."""
        return 1 if self.batching.path == "stack" else 2


def make_plan(prototype: Prototype, wanted: Plan) -> Planned:
    """Try the fast ways on two candidates; take the first that comes to what a plain pass does.

    Raises
    ------
    TypeError
        The loss is not one real number, or has no derivatives.
    ValueError
        The wanted path is not possible; or the loss of an untrained model is NaN.
    """
    trial = _Trial(prototype)
    failures, heavy = [], False
    for path, (good, bad) in WAYS.items():
        if wanted not in ("auto", path):
            continue
        try:
            computed = trial.attempt(path)
        except Exception as error:
            failures.append(f"{bad}: {_short(error).removeprefix('vmap: ')}")
            continue
        at_once, judged = _chunks(prototype, computed)
        on_cpu = prototype.device.type == "cpu"
        if wanted == "auto" and on_cpu and at_once < FEWEST_ON_CPU[path]:
            heavy = True
            size = _needed(prototype, computed) / 2**20
            failures.append(f"one training works on {size:.0f} MiB: by {path} it is no faster")
        else:
            batching = Batching(path, at_once, "; ".join([*failures, good]))
            return Planned(computed, batching, judged, slow=False)
    reason = "; ".join(failures) or "asked for"
    if wanted in ("stack", "vmap"):
        raise ValueError(f"plan={wanted!r} is not possible: {reason}; use plan='auto' or 'loop'")
    return Planned(None, Batching("loop", 1, reason), 1, slow=wanted == "auto" and not heavy)


class _Trial:
    """Two candidates, and what plain passes make of them."""

    def __init__(self, prototype: Prototype) -> None:
        self._prototype, bench = prototype, prototype.bench
        start = torch.from_numpy(bench.vector.pack())
        steps = torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
        self._points = torch.stack([start, start + NEAR * steps])
        losses, slopes = zip(*(self._one(point) for point in self._points), strict=True)
        self._losses, self._slopes = torch.cat(losses), torch.cat(slopes)
        if bool(self._losses.isnan().all()):
            raise ValueError(
                "the loss of an untrained model is NaN: look for NaN in the inputs and targets, "
                "and for logarithms, roots and divisions in the loss"
            )
        if not bool(self._slopes.any()):
            raise TypeError(
                "the loss does not depend differentiably on the weights: training needs "
                "gradients; what has none can be searched by ModelObjective"
            )
        values = [self._value(point) for point in self._points]
        self._values = torch.tensor(values, dtype=torch.float64)

    def _one(self, point: Tensor) -> tuple[Tensor, Tensor]:
        self._prototype.draws.restart(0)
        return Loop(self._prototype.bench).gradients(point[None])

    def _value(self, point: Tensor) -> float:
        prototype = self._prototype
        prototype.bench.write(point.numpy())
        try:
            with torch.no_grad():
                return as_number(prototype.judge(prototype.model.eval()))
        finally:
            prototype.model.train()

    def attempt(self, path: Literal["stack", "vmap"]) -> Pass:
        """Return what computes many at once.

        Raises
        ------
        Exception
            It cannot be, or comes to something else.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                made = self._make(path)
                self._compare(made)
            finally:
                self._prototype.bench.put_back()
                self._prototype.model.train()
        looping = [w.message for w in caught if "batching rule" in str(w.message)]
        if looping:
            raise Unfit(f"it would loop inside: {_short(looping[0])}")
        return made

    def _make(self, path: Literal["stack", "vmap"]) -> Pass:
        own = self._prototype
        if not own.dtypes <= {torch.float64, torch.float32}:
            raise Unfit(f"it is in {own.dtype}".replace("torch.", ""))
        if path == "vmap":
            return VmapPass(own.model, own.tensors, own.task, own.bytes)
        if own.changing:
            raise Unfit(f"training changes {own.changing[0]}")
        for inputs in (own.task.inputs, own.task.held_inputs):
            if not isinstance(inputs, Tensor) or inputs.dim() < 2 or {inputs.dtype} != own.dtypes:
                raise Unfit("the inputs are no tensor of samples in the model's precision")
        return StackPass(own.model, [*own.weights, *own.rates], own.task)

    def _compare(self, made: Pass) -> None:
        """Raise where two candidates do not come out as plain ones did."""
        own = self._prototype
        rows = self._points.to(own.device, own.dtype)
        weights = [part.requires_grad_() for part in own.cut(rows)]
        others = [tensor.detach().expand(2, *tensor.shape).clone() for tensor in own.others]
        own.draws.restart(0)
        with own.bench.attempt(), torch.enable_grad():
            losses = made.losses([*weights, *others], own.first)
            slopes = own.joined(slopes_of(losses, weights))
        others = [tensor.detach().expand(2, *tensor.shape).clone() for tensor in own.others]
        with torch.no_grad():
            values = made.values([*weights, *others])
        tolerance = torch.finfo(own.dtype).eps ** 0.5
        if not _close(losses[:, None], self._losses[:, None], tolerance):
            raise Unfit("it gave other losses than one by one")
        # At a kink, as of ReLU and pooling, rounding decides which of two derivatives is taken.
        if not _close(slopes, self._slopes, 0.01):
            raise Unfit("it gave other gradients than one by one")
        # A metric may count: rounding can turn a sample over.
        if not _close(
            values[:, None], self._values[:, None], 0.05 if own.task.metric else tolerance
        ):
            raise Unfit("it gave other validation losses than one by one")


def _close(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Whether rows differ by a share of their length at most."""
    got, expected = got.detach().cpu().double(), expected.detach().cpu().double()
    same = (got == expected) | (got.isnan() & expected.isnan())
    apart = torch.linalg.vector_norm(torch.where(same, 0.0, got - expected), dim=1)
    length = torch.linalg.vector_norm(expected.nan_to_num(0.0, 0.0, 0.0), dim=1)
    return bool((apart <= tolerance * (length + tolerance)).all())


def _chunks(prototype: Prototype, computed: Pass) -> tuple[int, int]:
    """Return how many are trained at once, and judged."""
    scratch = ON_CPU
    if prototype.device.type == "cuda":
        scratch = int(SHARE * torch.cuda.mem_get_info(prototype.device)[0])
    elif prototype.device.type != "cpu":
        scratch = ELSEWHERE
    judged = prototype.n * prototype.dtype.itemsize + computed.bytes * prototype.held
    return max(1, int(scratch / _needed(prototype, computed))), max(1, int(scratch / judged))


def _needed(prototype: Prototype, computed: Pass) -> float:
    """Return the bytes that a step of one training works on."""
    weights = prototype.n * prototype.dtype.itemsize
    return COPIES * weights + PASSES * computed.bytes * len(prototype.first)


def _short(error: object, most: int = 160) -> str:
    """Return the first sentence of an error's or warning's text."""
    text = " ".join(str(error).split()) or type(error).__name__
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if len(sentence) <= most else sentence[: most - 3] + "..."
