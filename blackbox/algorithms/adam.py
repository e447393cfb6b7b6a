"""Adam by torch: k starts are one batch, in the objective's own precision.

Kingma, D. P., Ba, J. (2015), Adam: a method for stochastic optimization, arXiv:1412.6980.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from blackbox.stencil import gradient
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Told


@dataclass(frozen=True)
class Adam:
    """``torch.optim.Adam``; options and defaults are torch's.

    The update is element-wise, so k starts walk as one tensor (k, n) just as each would alone.
    Bounds are kept by projection after each step. A start whose value or gradient is not finite
    goes back to its best point (its latest good one, where the objective changes from batch to
    batch) and begins again from there with fresh moments.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def __post_init__(self) -> None:
        if not self.lr >= 0:
            raise ValueError(f"lr must not be negative; got {self.lr}")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run; it never stops by itself."""
        import torch

        starts = problem.starts if len(problem.starts) else problem.start(rng)[None]
        dtype = getattr(torch, problem.dtype.name)
        x = torch.tensor(starts, dtype=dtype)
        lower, upper = (torch.tensor(b, dtype=dtype) for b in (problem.lower, problem.upper))
        x.grad = torch.zeros_like(x)
        rule = torch.optim.Adam(
            [x],
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            amsgrad=self.amsgrad,
        )
        best, best_values = x.clone(), np.full(len(x), np.inf)
        while True:
            points = np.clip(x.numpy().astype(np.float64), problem.lower, problem.upper)
            values, gradients = yield from self._look(problem, points)
            bad = ~(np.isfinite(values) & np.isfinite(gradients).all(axis=1))
            better = torch.from_numpy(((values < best_values) | problem.changing) & ~bad)
            best[better] = x[better]
            best_values = np.where(better, values, best_values)
            x.grad.copy_(torch.from_numpy(np.where(bad[:, None], 0.0, gradients)))
            if bad.any():
                rows = torch.from_numpy(bad)
                x[rows] = best[rows]
                for moment in rule.state[x].values():
                    if moment.shape == x.shape:
                        moment[rows] = 0
            rule.step()
            x.clamp_(lower, upper)

    @staticmethod
    def _look(problem: Problem, points: Array) -> Generator[Ask, Told, tuple[Array, Array]]:
        """Values and gradients, by the stencil where the objective has none."""
        if problem.gradients != "none":
            told = yield Ask(points, gradients=True)
            assert told.gradients is not None
            return told.values, told.gradients
        values = (yield Ask(points)).values
        if not np.isfinite(values).any():
            return values, np.zeros_like(points)
        return values, (yield from gradient(problem, points, values))
