"""The first line of a journal: what makes a run again, ready for JSON."""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.optimize import Bounds

from blackbox.appended import file_named
from blackbox.lines import (
    SCHEMA,
    JournalError,
    Reader,
    digest,
    open_file,
    pack,
    read_header,
    unpack,
)
from blackbox.types import Array, Evaluated, Problem

WHOLE = 100_000
"""Numbers up to which starts and bounds are written out; of more a digest is enough to compare."""
LIBRARIES = ("blackbox-torch", "numpy", "scipy", "cma", "torch", "nlopt", "pyswarm")


def make_header(
    method: str | Sequence[str],
    options: Mapping[str, Any] | None,
    problem: Problem,
    seed: Any,
    **settings: Any,
) -> dict[str, Any]:
    """Return the header of a run.

    Parameters
    ----------
    method, options, problem, seed
        What runs: the method's name, its options, the problem, the seed or generator.
    settings
        What else steers the run, and must be the same when it goes on.

    Notes
    -----
    The budget is not part of it: it may be raised when a run goes on, where the method does not
    plan by it. Functions are known by their names only.
    """
    past = None if problem.past is None else _table(problem.past)
    whole = problem.n * (2 + len(problem.starts)) + (0 if past is None else past.size) <= WHOLE
    put = pack if whole else digest
    return {
        "journal": SCHEMA,
        "method": method if isinstance(method, str) else list(method),
        "options": to_plain(dict(options or {})),
        "n": problem.n,
        "lower": put(problem.lower),
        "upper": put(problem.upper),
        "starts": put(problem.starts if past is None else problem.starts[:0]),
        "past": None if past is None else put(past),
        "whole": whole,
        "dtype": problem.dtype.name,
        "constraints": len(problem.constraints),
        "gradients": problem.gradients,
        "scheme": problem.scheme,
        "hessian": problem.hess is not None or problem.hessp is not None,
        "changing": problem.changing,
        "noisy": problem.noisy,
        "integers": None if problem.integrality is None else problem.integrality.tolist(),
        "seed": _plain_seed(seed),
        **{name: to_plain(value) for name, value in settings.items()},
        "made with": {"budget": problem.budget, **_machine()},
    }


def _table(past: Evaluated) -> Array:
    """Return points and in the last column their values, or ranks where these are unknown."""
    values = np.arange(len(past.points)) if past.values is None else past.values
    return np.column_stack([past.points, values])


def same_seed(header: Mapping[str, Any] | None, seed: Any) -> Any:
    """Return the seed of a run that is there already, where the caller gives none."""
    found = None if header is None else header.get("seed")
    return found if seed is None and type(found) is int else seed


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the arguments of an `Optimizer` that make the run of a journal again.

    Raises
    ------
    JournalError
        If they can't be had from the file.
    """
    header = first_line(path)
    try:
        missing = [
            what
            for what, is_missing in (
                ("constraints", header["constraints"]),
                ("a Hessian", header["hessian"]),
                ("its start, past and bounds, which are long", not header["whole"]),
                ("the state of its generator", type(header["seed"]) is not int),
                ("all of its options", not _is_whole(header["options"])),
                ("the code that optimizer= names", _names_code(header["options"])),
                *_of_minimize(header),
            )
            if is_missing
        ]
        if missing:
            raise JournalError(
                f"{path} does not hold {', '.join(missing)}: make the Optimizer with the same "
                "arguments, and journal= among them; or where `minimize` wrote it, call that again"
            )
        n = header["n"]
        starts, lower, upper = (unpack(header[name], n) for name in ("starts", "lower", "upper"))
        past = None if header.get("past") is None else unpack(header["past"], n + 1)
        return {
            "method": header["method"],
            "x0": starts if len(starts) and past is None else None,
            "warm_start": None if past is None else (past[:, :-1], past[:, -1]),
            "bounds": Bounds(lower[0], upper[0]),
            "gradients": header["gradients"] != "none",
            "dtype": header["dtype"],
            "budget": header["made with"]["budget"],
            "seed": header["seed"],
            "noisy": header["noisy"],
            "integrality": header["integers"],
            **from_plain(header["options"]),
        }
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise JournalError(f"{path}, line 1 makes no sense: {error!r:.80}") from error


def _of_minimize(header: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return what `minimize` takes and an `Optimizer` does not, and whether it was given."""
    return [
        ("jac, which is asked apart from values", header["gradients"] == "separate"),
        ("the finite difference of jac", header["scheme"] is not None),
        ("the minibatches that the objective draws", bool(header["changing"])),
        ("the order in which values came (steady=)", header.get("steady") is not None),
        ("what tol= set", header.get("tol") is not None),
        ("validation=", any(header.get(n) is not None for n in ("validate_every", "patience"))),
    ]


def first_line(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header of a journal.

    Raises
    ------
    JournalError, TypeError
        If there is none, or what should be its path is no path.
    """
    path = file_named(path)
    try:
        with open_file(path) as file:
            text = next(iter(Reader(file, path)), None)
    except OSError as error:
        raise JournalError(f"{path} can't be read: {error.strerror or error}") from error
    if text is None:
        raise JournalError(f"{path} holds no run yet")
    try:
        return read_header(text)
    except ValueError as error:
        raise JournalError(f"{path}, line 1 makes no sense: {error}") from error


def _plain_seed(seed: Any) -> Any:
    """Return a seed, or a digest of a generator's state."""
    if isinstance(seed, Integral):
        return int(seed)
    if isinstance(seed, np.random.RandomState):
        state: Any = seed.get_state(legacy=False)
    else:
        # Streams of their own are made from the sequence, and how many it has made already.
        state = [seed.bit_generator.state, repr(seed.bit_generator.seed_seq)]
    return f"state {digest(np.frombuffer(repr(to_plain(state)).encode(), np.uint8))}"


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it; what it has not, by a name that is the same in every run."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        if value.size > WHOLE:
            return {"object": f"array {value.shape} {digest(value)}"}
        return {"array": to_plain(value.tolist())}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [to_plain(item) for item in value]
    if isinstance(value, (set, frozenset, complex, bytes)):
        return {"object": repr(sorted(value, key=repr) if isinstance(value, set) else value)}
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return {"object": f"{getattr(value, '__module__', '')}.{name}"}


def from_plain(plain: Any) -> Any:
    """Return what `to_plain` was given, where JSON holds it."""
    if isinstance(plain, list):
        return [from_plain(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if plain.keys() == {"float"}:
        return float(plain["float"])
    if plain.keys() == {"array"}:
        return np.array(from_plain(plain["array"]))
    return {key: from_plain(item) for key, item in plain.items()}


def _names_code(plain: Any) -> bool:
    """Whether an option names a module, which would be imported: a file must not do that."""
    if isinstance(plain, list):
        return any(map(_names_code, plain))
    if isinstance(plain, dict):
        own = plain.get("optimizer")
        return (isinstance(own, str) and "." in own) or any(map(_names_code, plain.values()))
    return False


def _is_whole(plain: Any) -> bool:
    """Whether JSON holds all of a value."""
    if isinstance(plain, list):
        return all(map(_is_whole, plain))
    if isinstance(plain, dict):
        return plain.keys() != {"object"} and all(map(_is_whole, plain.values()))
    return True


def _machine() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
