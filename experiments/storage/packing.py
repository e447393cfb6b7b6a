"""The arrays of a record as bytes: numpy's own format, compressed, never a pickle."""

import io
from typing import Any

import numpy as np

from experiments.record import Curve, Record, Training


def pack(record: Record) -> bytes:
    """Return the arrays of a record; counts as differences, which compress well."""
    curve, training = record.curve, record.training
    arrays: dict[str, Any] = {
        "x": record.x,
        "evaluations": np.diff(curve.evaluations, prepend=0),
        "gradients": np.diff(curve.gradients, prepend=0),
        "seconds": curve.seconds.astype(np.float32),
        "values": curve.values,
    }
    if training is not None:
        arrays |= {
            "steps": np.diff(training.evaluations, prepend=0),
            "losses": training.losses.astype(np.float32),
            "norms": training.norms.astype(np.float32),
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(blob: bytes) -> tuple[Any, Curve, Training | None]:
    """Return x, the curve and the training curve of a record."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        curve = Curve(
            np.cumsum(arrays["evaluations"]),
            np.cumsum(arrays["gradients"]),
            arrays["seconds"].astype(float),
            arrays["values"],
        )
        training = None
        if "steps" in arrays:
            training = Training(
                np.cumsum(arrays["steps"]),
                arrays["losses"].astype(float),
                arrays["norms"].astype(float),
            )
        return arrays["x"], curve, training
