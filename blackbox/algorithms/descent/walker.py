"""What moves the runs of gradient descent: torch's optimizers, on views of their memory."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.algorithms.descent.schedule import Rates

if TYPE_CHECKING:
    import torch

    from blackbox.algorithms.descent.habits import Descent


class Walker:
    """A torch optimizer of some rows, which are neighbours: views of the memory of all runs."""

    def __init__(
        self,
        descent: "Descent",
        memory: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
        rows: slice,
        blocks: tuple[tuple[int, ...], ...],
        arguments: dict[str, Any],
        rates: Rates,
    ) -> None:
        self._descent, self._memory, self._blocks = descent, memory, blocks
        self._arguments, self._rates = arguments, rates
        self._shrink = 1.0
        # Others than torch's own may keep the gradient that they are given, or write to it.
        self._shares_slopes = descent.library == "torch.optim"
        self.rows = rows
        self._parameters, self._slopes = self._views()
        self._optimizer = descent.build(self._parameters, arguments)
        self._groups = self._optimizer.param_groups
        if not rates.constant:
            self.follow()

    def _views(self) -> "tuple[list[torch.Tensor], list[torch.Tensor]]":
        """Return what the optimizer sees: the rows, or the model's tensors of one row."""
        import torch

        flat, slopes = (torch.from_numpy(array[self.rows]) for array in self._memory)
        if self._descent.elementwise or not self._blocks:
            pairs = [(flat, slopes)] if self._descent.elementwise else [(flat[0], slopes[0])]
        else:
            pairs, at = [], 0
            for shape in self._blocks:
                end = at + math.prod(shape)
                pairs.append((flat[0, at:end].view(shape), slopes[0, at:end].view(shape)))
                at = end
        for parameter, slope in pairs:
            parameter.grad = slope
        return [parameter for parameter, _ in pairs], [slope for _, slope in pairs]

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._groups[0]["lr"])

    def step(self) -> None:
        """Take a step, by the gradient that lies in the memory."""
        if not self._shares_slopes:
            for parameter, slope in zip(self._parameters, self._slopes, strict=True):
                parameter.grad = slope.clone()
        self._optimizer.step()

    def follow(self) -> None:
        """Take over what the schedule says now."""
        for group in self._groups:
            group.update(self._rates.values)
            group["lr"] *= self._shrink * group.get("share", 1.0)

    def begin_again(self) -> None:
        """Forget the past, and go on with half the learning rate."""
        self._optimizer = self._descent.build(self._parameters, self._arguments)
        self._groups = self._optimizer.param_groups
        self._shrink /= 2
        self.follow()

    def state(self) -> dict[str, Any]:
        """Return its rows, its settings, and what its optimizer remembers of each tensor."""
        return {
            "rows": [self.rows.start, self.rows.stop],
            "shrink": self._shrink,
            "groups": [_as_arrays({**group, "params": None}) for group in self._groups],
            "tensors": [_as_arrays(part.state.get(one, {})) for part, one in self._tensors()],
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self._shrink = float(state["shrink"])
        for group, settings in zip(self._groups, state["groups"], strict=True):
            group.update({**_as_tensors(settings), "params": group["params"]})
        for (part, one), remembered in zip(self._tensors(), state["tensors"], strict=True):
            part.state.pop(one, None)
            if remembered:
                part.state[one] = _as_tensors(remembered)

    def _tensors(self) -> "list[tuple[Any, torch.Tensor]]":
        """The optimizer, or the part of it, and each tensor that it steps, in their order."""
        return [
            (part, parameter)
            for part in getattr(self._optimizer, "parts", [self._optimizer])
            for group in part.param_groups
            for parameter in group["params"]
        ]

    def split(self, row: int) -> "list[Walker]":
        """Return walkers that go on as this one: for one row, and for those on either side."""
        begin, end = self.rows.start, self.rows.stop
        parts = [slice(begin, row), slice(row, row + 1), slice(row + 1, end)]
        return [self.part(part) for part in parts if part.stop > part.start]

    def part(self, rows: slice) -> "Walker":
        """Return one that goes on as this one, for some of its rows."""
        import torch

        part = Walker(self._descent, self._memory, rows, self._blocks, self._arguments, self._rates)
        part._shrink = self._shrink
        for new, old in zip(part._groups, self._groups, strict=True):
            new.update({key: value for key, value in old.items() if key != "params"})
        (mine,), (theirs,) = self._parameters, part._parameters
        within = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
        for key, value in self._optimizer.state.get(mine, {}).items():
            if isinstance(value, torch.Tensor):
                value = (value[within] if value.shape == mine.shape else value).clone()
            part._optimizer.state[theirs][key] = value
        return part


def _as_arrays(remembered: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors as arrays, and all else as it is."""
    import torch

    return {
        key: value.numpy() if isinstance(value, torch.Tensor) else value
        for key, value in remembered.items()
    }


def _as_tensors(remembered: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays as tensors, in memory of torch's own, and all else as it is."""
    import torch

    return {
        key: torch.from_numpy(value).clone() if isinstance(value, np.ndarray) else value
        for key, value in remembered.items()
    }


def clip(
    slopes: np.ndarray[Any, Any],
    blocks: tuple[tuple[int, ...], ...],
    norm: float | None,
    value: float | None,
) -> None:
    """Clip the gradients (k, n) of k runs in place, each as torch would alone."""
    if norm is None and value is None:
        return
    import torch

    rows = torch.from_numpy(slopes)
    if value is not None:
        rows.clamp_(-value, value)
    if norm is None:
        return
    sizes = [math.prod(shape) for shape in blocks] or [rows.shape[1]]
    parts = torch.split(rows, sizes, dim=1)
    # As torch.nn.utils.clip_grad_norm_: the norm of the tensors' norms.
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts])
    total = torch.linalg.vector_norm(norms, dim=0)
    shorter = torch.clamp(norm / (total + 1e-6), max=1.0)
    rows.mul_(shorter[:, None])
