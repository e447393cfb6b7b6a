"""The format of a journal: lines of JSON with a checksum each, and what they say.

A line is the checksum (CRC-32, eight hexadecimal digits), a space, JSON, a line feed. The first is
the header: what makes the run again. Each other one is a batch that was evaluated, or says that the
run has ended. What a kill leaves behind, half a line at the end, is no damage; anything else that
does not fit its checksum is. Nothing that is read is ever executed: there are numbers, texts and
lists.
"""

import binascii
import errno
import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from blackbox.failures import KINDS as FAILURES
from blackbox.types import Array

SCHEMA = 1
KINDS = ("values", "gradients", "slopes", "full", "validation")
LONG = 8_000
"""Bytes from which a checksum is enough to tell arrays apart: it takes a quarter of the time."""
LARGEST = 10**12
"""Variables that a header may claim."""


class JournalError(RuntimeError):
    """A journal that can't be used: damaged, of another run, or in use."""


class Batch(NamedTuple):
    """A line of a journal: a batch of points, and what it gave.

    Attributes
    ----------
    kind
        ``"values"``, ``"gradients"`` (with values), ``"slopes"`` (gradients alone), ``"full"``
        (values at full fidelity) or ``"validation"``.
    digest
        Of the points; not written where all of them are.
    seconds
        Since the run began.
    values
        Shape (k,); NaN and infinities are failures. Empty for ``"slopes"``.
    points
        Shape (k, n), or where there are many variables (1, n), the best so far; None where that
        was none of these.
    row
        Which value belongs to the one point that is kept.
    gradients
        Shape (k, n), or None.
    failed
        Rows that failed, and how: kind and message (see `blackbox.failures`). Rows whose value is
        none and that are not among them returned none.
    """

    kind: str
    digest: str
    seconds: float
    values: NDArray[Any]
    points: Array | None = None
    row: int | None = None
    gradients: Array | None = None
    failed: Mapping[int, tuple[str, str]] = {}


class End(NamedTuple):
    """A line of a journal: the run has ended, and why; its best point, (n,), if few were kept."""

    seconds: float
    reason: str
    success: bool
    x: Array | None = None
    value: float = math.inf


class Left(NamedTuple):
    """A line of a journal: so many before it are of a course that was left (`Journal.leave`)."""

    lines: int
    evaluations: int


LEFT = b'{"k":"left"'
"""How such a line begins."""


class Reader:
    """The lines of a journal, from its beginning, each checked.

    Parameters
    ----------
    file
        Open for reading, in binary.
    name
        What errors call it.

    Attributes
    ----------
    number
        Lines so far.
    end
        Bytes up to the end of the latest.
    """

    def __init__(self, file: BinaryIO, name: Any) -> None:
        self._file, self._name = file, name
        self.number = self.end = 0

    def __iter__(self) -> Iterator[bytes]:
        """Give what each line holds, to the end or to half a line.

        Raises
        ------
        JournalError
            At a line that is damaged; and at the first where this is no journal.
        """
        for line in self._file:
            text = _checked(line)
            if text is None:
                self._excuse(line)
                return
            self.number += 1
            self.end += len(line)
            yield text

    def _excuse(self, line: bytes) -> None:
        """Let pass what a kill leaves at the end, and nothing else."""
        rest = iter(lambda: self._file.read(1 << 20), b"")
        last = not any(chunk.strip(b"\0") for chunk in rest)
        if not self.number and not (last and _begun(line)):
            raise JournalError(
                f"{self._name} is no journal, or its first line is damaged. It is left as it is; "
                "name another file"
            )
        if not last:
            raise JournalError(
                f"{self._name} is damaged in line {self.number + 1}, after {self.end} bytes. What "
                "is before can be read by blackbox.read_journal(); to go on from there, cut the "
                f"file to {self.end} bytes"
            )


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; raises OSError, also for a pipe or a device, which may never end."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "no ordinary file", str(path))
    return path.open("rb")


def _checked(line: bytes) -> bytes | None:
    """Return what a line holds; None where it is not whole."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    return line[9:-1] if line[:8] == b"%08x" % zlib.crc32(line[9:-1]) else None


def _begun(line: bytes) -> bool:
    """Whether this may be the beginning of a header, or of nothing."""
    content = line.rstrip(b"\0")
    return not content or re.match(rb'[0-9a-f]{8} \{"journal"', content) is not None


def write_line(content: Mapping[str, Any]) -> bytes:
    """Return a whole line."""
    return _checksum(_ENCODER.encode(content).encode())


def _checksum(text: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(text), text)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def parse(text: bytes) -> dict[str, Any]:
    """Return what JSON says, where it is an object; raises ValueError."""
    try:
        parsed = _DECODER.decode(text.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(parsed, dict):
        raise ValueError("it is no object of JSON")
    return parsed


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def read_header(text: bytes) -> dict[str, Any]:
    """Return the header that a line holds; raises ValueError."""
    header = parse(text)
    if header.get("journal") != SCHEMA:
        raise ValueError(f"it begins with no header of schema {SCHEMA}")
    n = header.get("n")
    if type(n) is not int or not 1 <= n <= LARGEST:
        raise ValueError("the header does not say how many variables there are")
    if not isinstance(header.get("made with"), dict):
        raise ValueError("the header does not say what it was made with")
    return header


def write_batch(batch: Batch) -> bytes:
    """Return the line of a batch; put together by hand, as it is written at each evaluation."""
    kind, name, seconds, values, points, row, gradients, failed = batch
    named = f'"h":"{name}",' if name else ""
    head = f'{{"k":"{kind}",{named}"t":{seconds:.6f},"y":{_pack_values(values)}'
    if points is None and gradients is None and not failed:
        return _checksum(f"{head}}}".encode())
    parts = [head.encode()]
    if row is not None:
        parts.append(b',"i":%d' % row)
    if failed:
        told = {str(row): list(how) for row, how in failed.items()}
        parts.append(b',"f":' + _ENCODER.encode(told).encode())
    if points is not None:
        parts += b',"x":"', _base64(points), b'"'
    if gradients is not None:
        parts += b',"g":"', _base64(gradients), b'"'
    parts.append(b"}")
    return _checksum(b"".join(parts))


def write_end(end: End) -> bytes:
    """Return the line that says that the run has ended."""
    told: dict[str, Any] = {"k": "end", "t": round(end.seconds, 6)}
    told |= {"reason": end.reason, "success": end.success}
    if end.x is not None:
        told |= {"x": pack(end.x), "y": [end.value]}
    return write_line(told)


def write_left(left: Left) -> bytes:
    """Return the line that says that those before it are of a course that was left."""
    return write_line({"k": "left", "lines": left.lines, "evaluations": left.evaluations})


def read_line(text: bytes, n: int) -> Batch | End | Left:
    """Return what a line after the header holds; raises ValueError."""
    try:
        parsed = parse(text)
        if parsed["k"] == "left":
            return Left(_count(parsed["lines"]), _count(parsed["evaluations"]))
        kind, seconds = parsed["k"], float(parsed["t"])
        if kind == "end":
            end = End(seconds, str(parsed["reason"]), bool(parsed["success"]))
            if "x" not in parsed:
                return end
            [x], [value] = unpack(parsed["x"], n), _unpack_values(parsed["y"]).real
            return end._replace(x=x, value=float(value))
        values = _unpack_values(parsed["y"])
        points, gradients = (unpack(parsed[key], n) if key in parsed else None for key in "xg")
        row, failed = parsed.get("i"), _read_failed(parsed.get("f", {}))
        name = parsed["h"] if points is None or row is not None else digest(points)
        batch = Batch(kind, name, seconds, values, points, row, gradients, failed)
    except (KeyError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if not _fits(batch):
        raise ValueError("its parts do not fit together")
    return batch


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("a count is no count")
    return number


def _read_failed(packed: Any) -> dict[int, tuple[str, str]]:
    failed = {int(row): (kind, message) for row, (kind, message) in packed.items()}
    for row, (kind, message) in failed.items():
        if row < 0 or kind not in FAILURES or not isinstance(message, str):
            raise ValueError("a failure is of no known kind")
    return failed


def _fits(batch: Batch) -> bool:
    """Whether numbers and their counts can be those of a batch."""
    k = len(batch.values)
    if k and any(row >= k for row in batch.failed):
        return False
    if batch.kind not in KINDS or not isinstance(batch.digest, str):
        return False
    if not math.isfinite(batch.seconds) or (k == 0) != (batch.kind == "slopes"):
        return False
    if k and batch.gradients is not None and len(batch.gradients) != k:
        return False
    if batch.row is None:
        return batch.points is None or len(batch.points) == k
    return (
        type(batch.row) is int
        and 0 <= batch.row < k
        and batch.points is not None
        and len(batch.points) == 1
    )


def digest(numbers: NDArray[Any]) -> str:
    """Return a few digits that stand for an array of numbers."""
    raw = np.ascontiguousarray(numbers).data  # as a rule it is, and nothing is copied
    if raw.nbytes > LONG:
        return f"{zlib.crc32(raw):08x}"
    return blake2b(raw, digest_size=6).hexdigest()


def pack(array: NDArray[Any]) -> str:
    """Return numbers as a text: base64 of 8-byte floats."""
    return _base64(array).decode()


def _base64(array: NDArray[Any]) -> bytes:
    return binascii.b2a_base64(array.astype("<f8", copy=False).tobytes(), newline=False)


def unpack(text: Any, n: int) -> Array:
    """Return the numbers of a text, in rows of n; raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("numbers are missing")
    flat = np.frombuffer(binascii.a2b_base64(text.encode(), strict_mode=True), "<f8")
    return flat.reshape(-1, n).astype(float)


def _pack_values(values: NDArray[Any]) -> str:
    """Return values as JSON."""
    if values.dtype.kind == "c":  # of a complex-step difference
        return f'{{"real":{_pack_values(values.real)},"imag":{_pack_values(values.imag)}}}'
    if len(values) == 1 and math.isfinite(value := float(values[0])):  # as serial solvers ask
        return f"[{value!r}]"
    finite = math.isfinite
    texts = [repr(v) if finite(v) else f'"{v!r}"' for v in values.tolist()]
    return f"[{','.join(texts)}]"


def _unpack_values(packed: Any) -> NDArray[Any]:
    if isinstance(packed, dict):
        parts = [_unpack_values(packed[name]) for name in ("real", "imag")]
        whole = np.empty(len(parts[0]), complex)
        whole.real, whole.imag = parts
        return whole
    if not isinstance(packed, list):
        raise ValueError("values are missing")
    return np.array([_unpack_value(v) for v in packed], dtype=float)


def _unpack_value(packed: Any) -> float:
    if packed in ("nan", "inf", "-inf") or type(packed) in (float, int):
        return float(cast(float, packed))
    raise ValueError("a value is no number")
