"""What is noted while a model is read: values, and the steps that make them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

FOLDED = 64 * 2**20
"""Bytes of a value that all candidates share, up to which it is computed once and kept."""


class Unfit(Exception):
    """Says why something cannot be computed this way."""


class Room:
    """Memory that passes write into, over and over: fresh memory costs more than it looks.

    Every pass asks for the same tensors in the same order, and gets those of the pass before.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype, self._device = dtype, device
        self._made: list[Tensor] = []
        self._next = 0

    def restart(self) -> None:
        """Begin a pass."""
        self._next = 0

    def __call__(self, *shape: int, fill: float | None = None) -> Tensor:
        """Return a tensor; what is filled stays so where the pass does not write."""
        at, self._next = self._next, self._next + 1
        if at < len(self._made) and self._made[at].shape == shape:
            return self._made[at]
        made = torch.empty(shape, dtype=self._dtype, device=self._device)
        if fill is not None:
            made.fill_(fill)
        self._made[at:] = [made]
        return made

    @property
    def bytes(self) -> int:
        """How much there is."""
        return sum(tensor.nbytes for tensor in self._made)


Apply = Callable[..., Tensor]
"""``apply(room, *tensors)`` computes a step; `room` is None where autograd needs fresh memory."""


@dataclass(eq=False)
class Slot:
    """A value of the program.

    Attributes
    ----------
    index
        Where a pass keeps it.
    like
        What it is at the start, for one candidate: activations (1, features..., samples), or a
        weight (1, shape...).
    samples
        Whether its last axis is the samples.
    constant
        Whether all candidates share it.
    own
        Whether its memory was made by the pass.
    readers
        How many steps read it.
    """

    index: int
    like: Tensor
    samples: bool
    constant: bool
    own: bool = False
    readers: int = 1

    @property
    def free(self) -> bool:
        """Whether the step that reads it may overwrite it."""
        return self.own and self.readers == 1 and not self.constant


class Step(NamedTuple):
    """Computes a value from others."""

    apply: Apply
    inputs: tuple[int, ...]
    output: int
    across: Apply | None


class Trace:
    """The program so far.

    Parameters
    ----------
    weights
        The free parameters; their slots come first.
    """

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self._index = {id(weight): i for i, weight in enumerate(weights)}
        self.slots = [Slot(i, w.detach()[None], False, False) for i, w in enumerate(weights)]
        self._searched = list(self.slots)
        self._frozen: dict[int, Slot] = {}
        self.steps: list[Step] = []

    def weights(self, *parameters: Tensor | None) -> list[Slot]:
        """Return the slots of a layer's parameters; those that it does not have are left out."""
        return [self.weight(parameter) for parameter in parameters if parameter is not None]

    def weight(self, parameter: Tensor) -> Slot:
        """Return the slot of a parameter or buffer: searched, or the same for all candidates."""
        if id(parameter) in self._index:
            return self._searched[self._index[id(parameter)]]
        if id(parameter) not in self._frozen:
            self._frozen[id(parameter)] = self.constant(parameter.detach()[None], samples=False)
        return self._frozen[id(parameter)]

    def constant(self, tensor: Tensor, samples: bool) -> Slot:
        """Return the slot of what all candidates share."""
        return self._add(Slot(len(self.slots), tensor, samples, True))

    def emit(
        self,
        apply: Apply,
        *inputs: Slot,
        view: bool = False,
        alone: bool = True,
        across: Apply | None = None,
    ) -> Slot:
        """Add a step and return its value.

        Parameters
        ----------
        apply, inputs
            What computes it, and from what.
        view
            Whether the result may be the first input's memory, or else memory of its own.
        alone
            Whether samples are computed apart from each other.
        across
            What computes it with the candidates last, where that is known.
        """
        like = apply(None, *(slot.like for slot in inputs))
        samples = any(slot.samples for slot in inputs)
        constant = all(slot.constant for slot in inputs)
        if constant and alone and like.nbytes <= FOLDED:
            return self.constant(like, samples)
        own = inputs[0].free if view else True
        slot = self._add(Slot(len(self.slots), like, samples, False, own))
        self.steps.append(Step(apply, tuple(s.index for s in inputs), slot.index, across))
        return slot

    def _add(self, slot: Slot) -> Slot:
        self.slots.append(slot)
        return slot


Maker = Callable[..., Any]
"""``make(trace, module, x)``, or for functions ``make(trace, *arguments)``: adds what it takes."""
