"""Losses of a chunk of candidates by one compiled function."""

import warnings
from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor, nn

from adapters.bench import Bench
from adapters.evaluators import Vmapped
from adapters.stack import Stacked

MOST_ON_CPU = 16
MOST_ELSEWHERE = 256
"""Candidates in a chunk. It has one size, so small batches are padded: the more, the more is
computed for nothing; the fewer, the more calls. The second is a guess, not measured."""


class NotCompiled(Exception):
    """Says why the batched pass is not compiled."""


def as_mode(compile: object) -> str | None:
    """Return one of `torch.compile`'s modes for what was asked; None for not at all.

    Raises
    ------
    TypeError
        It is neither a bool nor a string.
    ValueError
        There is no such mode.
    """
    if isinstance(compile, bool):
        return "default" if compile else None
    if not isinstance(compile, str):
        raise TypeError(f"compile must be a bool or one of torch.compile's modes, not {compile!r}")
    from torch._inductor import list_mode_options  # takes a second, which few need

    modes = tuple(list_mode_options())
    if compile not in modes:
        raise ValueError(f"compile must be a bool or one of {modes}, not {compile!r}")
    return compile


class Compiled:
    """Evaluates candidates by the plan's batched pass, compiled for chunks of one size.

    Stacks of known layers and losses are compiled as they are. All others, and stacks whose loss
    is called candidate by candidate, by `torch.vmap` over `torch.func.functional_call`.

    Parameters
    ----------
    bench
        The private model.
    batch
        What evaluates batches uncompiled.
    mode
        One of `torch.compile`'s.

    Attributes
    ----------
    chunk
        How many candidates go through at once, always.
    fewest
        Smaller batches go by the plan's own path: padded, they would cost more.

    Raises
    ------
    NotCompiled
        There is something that a compiled pass would do otherwise.
    """

    def __init__(self, bench: Bench, batch: Stacked | Vmapped, mode: str) -> None:
        if bench.leaves_traces:
            raise NotCompiled("a pass changes the model or the loss, and that would be lost")
        on_cpu = bench.device.type == "cpu"
        self.chunk = min(batch.chunk, MOST_ON_CPU if on_cpu else MOST_ELSEWHERE)
        # Elsewhere a padded chunk takes hardly longer than a call.
        self.fewest = (self.chunk + 1) // 2 if on_cpu else 2
        self._bench, self._batch = bench, batch
        widest = min((w.dtype for w in bench.weights), key=lambda dtype: torch.finfo(dtype).eps)
        self._rows = torch.zeros(self.chunk, bench.vector.n, dtype=widest, device=bench.device)
        stack = batch if isinstance(batch, Stacked) and batch.known else None
        losses = _of_model(bench) if stack is None else _of_stack(stack)
        self._losses: Callable[[Tensor], Tensor] = torch.compile(
            _apart(losses), fullgraph=True, dynamic=False, mode=mode
        )
        self._taken = True

    def first(self, points: Tensor) -> Tensor:
        """Compile for the data as they are now, without a word, and return losses (k,)."""
        with warnings.catch_warnings(), self._bench.attempt():
            warnings.simplefilter("ignore")
            for _ in range(3):  # the first compiles, the second may record a CUDA graph
                values = self.values(points)
        return values

    def values(self, points: Tensor) -> Tensor:
        """Return losses (k,)."""
        if self._taken:
            # What a loss makes once for its data, it should not make in memory that is reused.
            self._batch.values(points[:1])
            self._taken = False
        parts = []
        with torch.no_grad():
            for part in torch.split(points, self.chunk):
                self._rows[: len(part)].copy_(part)
                # A copy, as CUDA graphs write into the same memory again.
                parts.append(self._losses(self._rows)[: len(part)].clone())
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def take(self) -> None:
        """Note that the batched pass has gone on with other samples."""
        self._taken = True


def _of_stack(stack: Stacked) -> Callable[[Tensor], Tensor]:
    def losses(rows: Tensor) -> Tensor:
        return stack._loss(None, stack._outputs(stack._cut(rows)))

    return losses


class _Pass(nn.Module):
    """The loss as a module without arguments, whose parameters can be replaced for a call."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.model, self.closure = bench.model, bench.closure

    def forward(self) -> Tensor:
        loss: Tensor = self.closure(self.model)
        return loss.reshape(())


def _of_model(bench: Bench) -> Callable[[Tensor], Tensor]:
    whole = _Pass(bench)
    names = [f"model.{name}" for name in bench.vector.names]
    sizes = [weight.numel() for weight in bench.weights]

    def loss(*weights: Tensor) -> Tensor:
        replaced = dict(zip(names, weights, strict=True))
        value: Tensor = torch.func.functional_call(whole, replaced, ())
        return value

    def losses(rows: Tensor) -> Tensor:
        parts = torch.split_with_sizes(rows, sizes, 1)
        stacked = [
            part.view(-1, *weight.shape).to(weight.device, weight.dtype)
            for part, weight in zip(parts, bench.weights, strict=True)
        ]
        values: Tensor = torch.vmap(loss)(*stacked)
        return values

    return losses


def _apart(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the same function with code of its own.

    What is compiled is kept by code, and only so much for each: objectives would share it.
    """
    assert isinstance(function, FunctionType)
    code, closure = function.__code__.replace(), function.__closure__
    return FunctionType(code, function.__globals__, function.__name__, None, closure)
