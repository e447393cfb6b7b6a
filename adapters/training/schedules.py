"""How learning rates change while a training lasts, many trainings at once.

The names and what they mean are those of the gradient methods' option ``schedule``
(`blackbox.algorithms.descent.schedule`), with its defaults.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from blackbox.types import Array

Schedule = Callable[[Array], Array]
"""From how much of the training is done, 0 to 1, to the share of the learning rate, (t, 1) each."""

WARMUP_BEGINS = 0.01
"""Share of the learning rate with which a warm-up begins."""

SCHEDULES: Mapping[str, Schedule] = {
    "constant": lambda done: np.ones_like(done),
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + np.cos(np.pi * done)) / 2,
    "exponential": lambda done: 0.01**done,
    "inverse-time": lambda done: 1 / (1 + 9 * done),
    "step": lambda done: 0.1 ** np.minimum(np.floor(3 * done + 1e-9), 2),
}
"""Schedules by name."""


def rates(
    settings: Mapping[str, Any], schedules: Sequence[str | Schedule], steps: Array, total: int
) -> Array:
    """Return learning rates.

    Parameters
    ----------
    settings
        ``"lr"`` and ``"warmup"`` of each training, (k,): its highest learning rate, and the share
        of the steps in which it is reached.
    schedules
        What happens after the warm-up, for each training: a name, or a function.
    steps
        How many steps were taken before, (t, 1).
    total
        How many are taken in a whole training.

    Returns
    -------
    (t, k).
    """
    warmup = np.round(settings["warmup"] * total)
    done = np.clip((steps - warmup) / np.maximum(total - warmup, 1), 0, 1)
    shares = np.empty_like(done)
    for schedule in dict.fromkeys(schedules):
        function = SCHEDULES[schedule] if isinstance(schedule, str) else schedule
        chosen = [i for i, own in enumerate(schedules) if own == schedule]
        shares[:, chosen] = function(done[:, chosen])
    rising = WARMUP_BEGINS + (1 - WARMUP_BEGINS) * steps / np.maximum(warmup, 1)
    made: Array = np.where(steps < warmup, rising, shares) * settings["lr"]
    return made
