"""Runs for TensorBoard: the best value so far, and the steps of gradient methods.

A folder a run, ``problem/method/seed-0``. The scalars: ``best/evaluations`` and ``best/passes``,
the best value against what was spent, which is the step. Against evaluations, and only where there
is something to tell: ``train/loss``, ``train/gradient_norm``, ``train/learning_rate`` and
``train/step_size`` of the steps of gradient methods, ``population/median`` and
``population/spread`` of populations, and ``validation/loss``.
"""

import hashlib
import re
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from experiments.record import Axis, Record, Results, Training

AXES: tuple[Axis, ...] = ("evaluations", "passes")
TAGS = {
    "train/loss": "losses",
    "train/gradient_norm": "norms",
    "train/learning_rate": "rates",
    "train/step_size": "moves",
    "population/median": "medians",
    "population/spread": "spreads",
}
"""What is written of the steps, by the fields of `Training`."""
KEPT = 1000
"""Events a scalar and run at most: TensorBoard itself shows no more."""


class Events:
    """Writes runs as they end. Use it in a ``with`` statement, or close it.

    Parameters
    ----------
    folder
        What is given to ``tensorboard --logdir``; made where it is not there. A run that is written
        again takes the place of what was there.

    Raises
    ------
    ModuleNotFoundError
        If tensorboard is not installed; it says how to install it.
    """

    def __init__(self, folder: Path | str) -> None:
        self._writer = _require_writer()
        self._folder = Path(folder)

    def add(self, record: Record) -> Path:
        """Write a run that has just ended, and return its folder.

        Its last event has the time of now; the others are as much earlier as they came.
        """
        cell = record.cell
        place = self._folder / _plain(cell.problem) / _plain(cell.method) / f"seed-{cell.seed}"
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        writer = self._writer(log_dir=str(place))
        try:
            _write(writer, record, began=time.time() - record.seconds)
        finally:
            writer.close()
        return place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left open between runs."""


def write_events(records: Results | Record | Iterable[Record], folder: Path | str) -> list[Path]:
    """Write runs for TensorBoard and return their folders; see `Events`."""
    if isinstance(records, Record):
        records = [records]
    elif isinstance(records, Results):
        records = records.records
    with Events(folder) as events:
        return [events.add(record) for record in records]


def _write(writer: Any, record: Record, began: float) -> None:
    curve = record.curve
    kept = _thinned(len(curve.values))
    for axis in AXES if len(kept) else ():
        tag = f"best/{axis}"
        lines = zip(curve.spent(axis)[kept], curve.values[kept], curve.seconds[kept], strict=True)
        for spent, value, seconds in lines:
            writer.add_scalar(tag, value, int(spent), walltime=began + seconds)
        end = int(record.end(axis))
        if end > curve.spent(axis)[-1]:
            writer.add_scalar(tag, curve.values[-1], end, walltime=began + record.seconds)
    if record.training is not None:
        _write_training(writer, record, record.training, began)


def _write_training(writer: Any, record: Record, training: Training, began: float) -> None:
    # Not every version kept when a step was taken: its share of the evaluations stands for it.
    spent, seconds = training.evaluations, training.seconds
    pace = record.seconds / max(record.evaluations, 1)
    seconds = np.where(np.isfinite(seconds), seconds, pace * spent)
    times = np.interp(training.validated, spent, seconds) if len(spent) else seconds
    series = [
        ("validation/loss", training.validated, training.validation, times),
        *((tag, spent, getattr(training, name), seconds) for tag, name in TAGS.items()),
    ]
    for tag, steps, values, when in series:
        if not np.isfinite(values).any():
            continue
        for i in _thinned(len(values)).tolist():
            # A loss that is no number says something; elsewhere there was nothing to tell.
            if np.isfinite(values[i]) or tag == "train/loss":
                writer.add_scalar(tag, values[i], int(steps[i]), walltime=began + when[i])


def _thinned(count: int) -> NDArray[np.intp]:
    """Which of so many to keep: the first, the last, and others evenly between."""
    return np.unique(np.linspace(0, count - 1, min(count, KEPT)).round().astype(np.intp))


def _plain(text: str) -> str:
    """A folder's name that every file system takes; it is no other text's."""
    plain = re.sub(r"[^\w.=,+-]", "_", text.replace(":", ","), flags=re.ASCII).strip(".")[:80]
    if plain and plain.replace(",", ":") == text:
        return plain
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{plain}-{digest[:8]}"


def _require_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'events need tensorboard: pip install -e ".[tensorboard]"', name=error.name
        ) from error
    return SummaryWriter
