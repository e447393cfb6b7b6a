"""Trainings of alike models in one pass: a row of weights each."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from adapters.noise import Noise
from adapters.training.dropout import dropouts
from adapters.training.group import Epoch
from adapters.training.hyperparameters import Settings
from adapters.training.passes import slopes_of
from adapters.training.plan import Planned
from adapters.training.prototype import Prototype
from adapters.training.rules import clip
from adapters.training.schedules import rates
from blackbox.types import Array


class Together:
    """A `Group` whose trainings are rows: weights (k, n), moments (m, k, n), and what differs else.

    Parameters
    ----------
    prototype, planned
        What all models are like, and what computes them.
    models
        As they are made, one a training.
    settings
        Of the trainings.
    """

    def __init__(
        self,
        prototype: Prototype,
        planned: Planned,
        models: Sequence[nn.Module],
        settings: Settings,
    ) -> None:
        assert planned.computed is not None
        self._prototype, self._pass = prototype, planned.computed
        self._at_once, self._judged = planned.batching.chunk, planned.judged
        self.settings = settings
        parameters = [dict(model.named_parameters()) for model in models]
        buffers = [dict(model.named_buffers()) for model in models]
        like = prototype.weights[0]
        self._rows = prototype.joined(
            [torch.stack([own[name].detach() for own in parameters]) for name in prototype.names]
        )
        layers = [dropouts(model) for model in models]
        chances = [
            like.new_tensor([layer.p for layer in same]) for same in zip(*layers, strict=True)
        ]
        changed = [torch.stack([own[name] for own in buffers]) for name in prototype.changing]
        self._others: list[Tensor] = [*chances, *changed]
        self._moments = self._rows.new_zeros((settings.rule.moments, *self._rows.shape))

    def train(self, epoch: Epoch) -> None:
        """See `Group`."""
        columns = self._columns(epoch)
        noise = Noise("fixed", epoch.seed, self._prototype.device)
        for chunk in _slices(len(self._rows), self._at_once):
            self._prototype.draws.restart(epoch.seed)
            own = {name: column[:, chunk] for name, column in columns.items()}
            if self._prototype.bench.random:
                with noise.drawn():
                    self._train(chunk, epoch.order, own)
            else:
                self._train(chunk, epoch.order, own)

    def _columns(self, epoch: Epoch) -> dict[str, Tensor]:
        """Return what the steps need of the settings, (t, k, 1); (1, k, 1): always alike."""
        settings = self.settings
        before = epoch.steps
        lr = rates(settings.columns, settings.schedules, before, epoch.total)
        made = settings.rule.columns(settings.columns, lr, before + 1)
        if np.isfinite(settings.columns["clip"]).any():
            made["clip"] = settings.columns["clip"][None]
        return {
            name: torch.from_numpy(column).to(self._rows.dtype).to(self._rows.device)[..., None]
            for name, column in made.items()
        }

    def _train(
        self, chunk: slice, order: Sequence[Tensor | None], columns: dict[str, Tensor]
    ) -> None:
        rows, moments = self._rows[chunk], self._moments[:, chunk]
        weights = [part.requires_grad_() for part in self._prototype.cut(rows.detach())]
        tensors = [*weights, *(other[chunk] for other in self._others)]
        slopes = torch.empty_like(rows)
        rule = self.settings.rule
        for step, samples in enumerate(order):
            with torch.enable_grad():
                losses = self._pass.losses(tensors, samples)
                parts = slopes_of(losses, weights)
            at = {name: column[step if len(column) > 1 else 0] for name, column in columns.items()}
            with torch.no_grad():
                self._prototype.joined(parts, out=slopes)
                if "clip" in at:
                    clip(slopes, at["clip"])
                rule.step(rows, slopes, moments, at)

    def values(self) -> Array:
        """See `Group`."""
        found = []
        with torch.no_grad():
            for chunk in _slices(len(self._rows), self._judged):
                weights = self._prototype.cut(self._rows[chunk])
                others = [other[chunk] for other in self._others]
                found.append(self._pass.values([*weights, *others]).cpu().double())
        values: Array = torch.cat(found).numpy()
        # A metric that counts has a value for NaN, too.
        lost = ~torch.isfinite(self._rows).all(1).cpu().numpy()
        return np.where(lost, np.inf, values)

    def gather(self, rows: Sequence[int]) -> None:
        """See `Group`."""
        chosen = torch.tensor(rows, device=self._rows.device)
        self._rows = self._rows.index_select(0, chosen)
        self._moments = self._moments.index_select(1, chosen)
        self._others = [other.index_select(0, chosen) for other in self._others]
        self.settings = Settings([self.settings.each[row] for row in rows])

    def write(self, row: int, model: nn.Module) -> None:
        """See `Group`."""
        own, parameters = self._prototype, dict(model.named_parameters())
        buffers = dict(model.named_buffers())
        changed = self._others[len(own.rates) :]
        with torch.no_grad():
            for name, part in zip(own.names, own.cut(self._rows[row][None]), strict=True):
                parameters[name].copy_(part[0])
            for name, tensor in zip(own.changing, changed, strict=True):
                buffers[name].copy_(tensor[row])


def _slices(count: int, most: int) -> list[slice]:
    """Return neighbouring parts of so many rows at most, all about as large."""
    parts = -(-count // most)
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(begin, end) for begin, end in pairwise(ends)]
