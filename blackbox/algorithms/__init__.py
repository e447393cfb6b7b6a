"""Every method, by name: where its class lives, and what it can do, as plain data.

To add one: write its file, add its row to a file of `blackbox.algorithms.table`. The conformance
suite, `minimize`'s checks, the command line and the documentation read this table; none of them
imports torch or cma for it.
"""

from typing import Any

from blackbox.algorithms.method import Method, Proof, nearest
from blackbox.algorithms.table import baselines, evolution, gradient, local, nlopt, search, swarms

__all__ = ["ALGORITHMS", "Method", "Proof", "find"]

_FAMILIES = (local, nlopt, search, evolution, swarms, gradient, baselines)

ALGORITHMS: dict[str, Method] = {
    row.name: row
    for row in sorted((row for family in _FAMILIES for row in family.ROWS), key=lambda r: r.name)
}


def find(name: Any) -> Method:
    """Return the row of a method by its name, in any case, with ``-``, ``_`` or neither.

    Raises
    ------
    TypeError, ValueError
        If there is none; it names the nearest.
    """
    if not isinstance(name, str):
        raise TypeError(f"method is a name, one of {', '.join(ALGORITHMS)}; got {name!r}")
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    for row in ALGORITHMS.values():
        if _bare(row.name) == _bare(name):
            return row
    raise ValueError(
        f"unknown method {name!r}{nearest(name.lower(), list(ALGORITHMS))}; there are "
        f"{', '.join(ALGORITHMS)}, and 'auto'"
    )


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
