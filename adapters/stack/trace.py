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

    Parameters
    ----------
    dtype, device
        Of what kind, and where.
    fresh
        Whether to give none, but views only: small memory costs less than to write into it.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, fresh: bool = False) -> None:
        self._dtype, self._device = dtype, device
        self.fresh = fresh
        self._made: list[tuple[Any, Tensor]] = []
        self._next = 0

    def restart(self) -> None:
        """Begin a pass."""
        self._next = 0

    def out(self, shape: tuple[int, ...]) -> Tensor | None:
        """Return a tensor to write a result into, or None."""
        return None if self.fresh else self(*shape)

    def __call__(self, *shape: int, fill: float | None = None) -> Tensor:
        """Return a tensor; what is filled stays so where the pass does not write."""
        at, self._next = self._next, self._next + 1
        if at < len(self._made) and self._made[at][0] == shape:
            return self._made[at][1]
        made = torch.empty(shape, dtype=self._dtype, device=self._device)
        if fill is not None:
            made.fill_(fill)
        self._made[at : at + 1] = [(shape, made)]
        return made

    def once(self, look: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
        """Return a view of a tensor: that of the pass before, if the tensor is the same object."""
        place, self._next = self._next, self._next + 1
        if place < len(self._made) and self._made[place][0] is at:
            return self._made[place][1]
        made = look(at)
        self._made[place : place + 1] = [(at, made)]
        return made


def view(room: Room | None, look: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return a view of a tensor, which a room keeps for the next pass."""
    return look(at) if room is None else room.once(look, at)


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
        Whether its memory was made by a step.
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
    def alone(self) -> bool:
        """Whether the step that reads it is the only one that would see it overwritten."""
        return self.own and self.readers == 1

    @property
    def free(self) -> bool:
        """Whether the step that reads it may overwrite it."""
        return self.alone and not self.constant


class Step(NamedTuple):
    """Computes a value from others."""

    apply: Apply
    inputs: tuple[int, ...]
    output: int
    across: Apply | None
    monotone: bool


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
        monotone: bool = False,
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
        monotone
            Whether a larger number in the first input never gives a smaller one, place by place.
        """
        like = apply(None, *(slot.like for slot in inputs))
        samples = any(slot.samples for slot in inputs)
        constant = all(slot.constant for slot in inputs)
        own = inputs[0].alone if view else True
        if constant and alone and like.nbytes <= FOLDED:
            return self._add(Slot(len(self.slots), like, samples, True, own))
        slot = self._add(Slot(len(self.slots), like, samples, False, own))
        self.steps.append(Step(apply, tuple(s.index for s in inputs), slot.index, across, monotone))
        return slot

    def lift(self, x: Slot) -> tuple[Slot, list[Step]]:
        """Take back the monotone steps that x comes from; return what they began with, and them.

        They may as well come after a maximum, which leaves them less to do.
        """
        lifted: list[Step] = []
        while self.steps and self.steps[-1].output == x.index and self.steps[-1].monotone:
            begin = self.slots[self.steps[-1].inputs[0]]
            if not (x.free and begin.free):
                break
            lifted.append(self.steps.pop())
            x = begin
        return x, lifted[::-1]

    def again(self, x: Slot, steps: list[Step]) -> Slot:
        """Add lifted steps, from x on."""
        for step in steps:
            others = [self.slots[i] for i in step.inputs[1:]]
            x = self.emit(step.apply, x, *others, across=step.across, monotone=True)
        return x

    def _add(self, slot: Slot) -> Slot:
        self.slots.append(slot)
        return slot


Maker = Callable[..., Any]
"""``make(trace, module, x)``, or for functions ``make(trace, *arguments)``: adds what it takes."""
