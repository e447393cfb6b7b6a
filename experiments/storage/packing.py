"""The arrays of a record as bytes: numpy's own format, compressed, never a pickle."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.record import Curve, Record, Training

MORE = ("rates", "moves", "medians", "spreads")
"""Columns of a training that are kept where there is something in them."""


def pack(record: Record) -> bytes:
    """Return the arrays of a record; counts as differences, which compress well."""
    curve, training = record.curve, record.training
    arrays: dict[str, Any] = {
        "x": record.x,
        "evaluations": np.diff(curve.evaluations, prepend=0),
        "gradients": np.diff(curve.gradients, prepend=0),
        "seconds": _short(curve.seconds),
        "values": curve.values,
    }
    if training is not None:
        arrays |= {
            "steps": np.diff(training.evaluations, prepend=0),
            "slopes": np.diff(training.gradients, prepend=0),
            "losses": _short(training.losses),
            "norms": _short(training.norms),
        }
        told = {name: _short(getattr(training, name)) for name in MORE}
        told["step_seconds"] = _short(training.seconds)
        arrays |= {name: part for name, part in told.items() if np.isfinite(part).any()}
        if len(training.validated):
            arrays |= {
                "validated": np.diff(training.validated, prepend=0),
                "validated_gradients": np.diff(training.validated_gradients, prepend=0),
                "validation": _short(training.validation),
            }
    if record.findings:
        arrays["findings"] = np.array(record.findings, dtype=np.str_)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _short(values: Any) -> Any:
    """The values in half as many bytes; those beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


class Unpacked(NamedTuple):
    """The arrays of a record, by its own names for them."""

    x: Any
    curve: Curve
    training: Training | None
    findings: tuple[str, ...]


def unpack(blob: bytes, gradients: int = 0) -> Unpacked:
    """Return x, both curves and the findings of a record, which took so many gradients in all."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        curve = Curve(
            np.cumsum(arrays["evaluations"]),
            np.cumsum(arrays["gradients"]),
            arrays["seconds"].astype(float),
            arrays["values"],
        )
        findings = tuple(arrays["findings"].tolist()) if "findings" in arrays else ()
        return Unpacked(arrays["x"], curve, _training(arrays, gradients), findings)


def _training(arrays: Mapping[str, Any], gradients: int) -> Training | None:
    """The steps; earlier versions kept fewer arrays, and steps with a gradient each alone."""
    if "steps" not in arrays:
        return None
    counts = {"steps": "evaluations", "slopes": "gradients"}
    counts |= {name: name for name in ("validated", "validated_gradients")}
    numbers = {name: name for name in ("losses", "norms", "validation", *MORE)}
    numbers["step_seconds"] = "seconds"
    found = {field: np.cumsum(arrays[name]) for name, field in counts.items() if name in arrays}
    if "slopes" not in arrays:
        shares = np.linspace(0, gradients, len(found["evaluations"]) + 1)[1:]
        found["gradients"] = shares.round().astype(np.int64)
    return Training(
        **found,
        **{field: arrays[name].astype(float) for name, field in numbers.items() if name in arrays},
    )
