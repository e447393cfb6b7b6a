"""What changes in an objective from batch to batch, and from step to step."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.batched import Planned
from adapters.bench import Bench
from adapters.minibatches import Minibatches
from adapters.supervised import Supervised


class Changing:
    """Minibatches, noise and the scale of losses: what `minimize` drives in a `ModelObjective`."""

    _bench: Bench
    _plan: Planned
    _lock: threading.RLock
    _minibatches: Minibatches | None
    _taken: Tensor | None

    @property
    def begin(self) -> Callable[[int, np.random.Generator], None] | None:
        """What draws the next minibatch and noise; None where nothing changes."""
        noise = self._bench.noise.randomness != "fixed" and self._bench.random
        return self._begin if noise or self._minibatches else None

    def _begin(self, generation: int, rng: np.random.Generator) -> None:
        with self._lock:
            if generation == 0:
                self.end()
            self._bench.noise.renew(rng)
            if self._minibatches is not None:
                self._take(self._minibatches.draw(rng).to(self._bench.device))

    def end(self) -> None:
        """Go back to all the data, and to where runs begin; `minimize` calls it after a run."""
        with self._lock:
            self._take(None)
            for kept in (self._minibatches, self._bench.scale):
                if kept is not None:
                    kept.restart()

    def _take(self, rows: Tensor | None) -> None:
        if rows is not self._taken and isinstance(self._bench.closure, Supervised):
            self._taken = rows
            self._bench.closure.take(rows)
            self._plan.take(rows)

    def state(self) -> dict[str, Any]:
        """Return what a run has changed, for its snapshots: taken between two batches."""
        kept = {"minibatches": self._minibatches, "scale": self._bench.scale}
        with self._lock:
            return {name: None if one is None else one.state() for name, one in kept.items()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        kept = {"minibatches": self._minibatches, "scale": self._bench.scale}
        with self._lock:
            self.end()
            for name, one in kept.items():
                if (one is None) != (state[name] is None):
                    raise ValueError(f"{name}: there or here it has none")
                if one is not None:
                    one.resume(state[name])

    def recall(self, values: Any, gradients: Any) -> None:
        """Take in losses (k,) and gradients (k, n) that come from a journal."""
        if self._bench.scale is not None:
            told = torch.tensor(values), torch.tensor(gradients)
            self._bench.scale.unscale(*told)
