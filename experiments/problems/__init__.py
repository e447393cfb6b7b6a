"""Named problems, one file a family, and users' own.

A problem is written as ``name``, as ``name:parameter=value:...`` where it is one of a family, or as
``path/to/file.py:name``. A parameter may have several values (``bbob:f=1-24:n=2,5,10``), so that
the text names several problems.

To add one: write a file with a `Family`, and add it to `FAMILIES`. Rows are plain data: torch, ioh
and data sets load only when a problem is made.
"""

import difflib
import re

from experiments.problems import (
    article,
    bbob,
    classifiers,
    constrained,
    control,
    finetune,
    hyperparameters,
    quantized,
    sampling,
    sphere,
    toys,
)
from experiments.problems.benchmark import Benchmark
from experiments.problems.family import Family

__all__ = ["FAMILIES", "Benchmark", "Family", "expand", "find", "from_object"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in [
        article.FAMILY,
        quantized.FAMILY,
        finetune.FAMILY,
        bbob.FAMILY,
        sphere.FAMILY,
        constrained.FAMILY,
        toys.XOR,
        toys.SPIRALS,
        *(classifier.family() for classifier in classifiers.CLASSIFIERS),
        sampling.FAMILY,
        hyperparameters.FAMILY,
        control.CARTPOLE,
        control.ACROBOT,
    ]
}


def expand(text: str) -> list[Benchmark]:
    """Return the problems that a text names, in the order of its family's parameters.

    Parameters
    ----------
    text
        ``article``, ``bbob:f=1-24:n=2,5``, ``path/to/file.py:function``. Parameters that are left
        out have their defaults.

    Raises
    ------
    ValueError
        If there is no such problem, parameter or value; it names those that there are. If a package
        is missing; it says how to install it. If a user's file does not import, or has no such
        problem.

    Examples
    --------
    >>> [problem.name for problem in expand("sphere:n=2,3:noise=0")]
    ['sphere:n=2:noise=0', 'sphere:n=3:noise=0']
    """
    if re.search(r"\.py(:|$)", text):
        from experiments.problems.user import from_file

        return [from_file(text)]
    name, *parts = (part.strip() for part in text.split(":"))
    if name not in FAMILIES:
        raise ValueError(_unknown(name))
    given: dict[str, str] = {}
    for part in parts:
        key, equals, value = (side.strip() for side in part.partition("="))
        if not equals:
            raise ValueError(
                f"problem {text!r}: {part!r} is not written parameter=value, as in "
                f"{FAMILIES[name].usage}"
            )
        if key in given:
            raise ValueError(f"problem {text!r} gives {key} twice")
        given[key] = value
    return FAMILIES[name].expand(given)


def find(name: str) -> Benchmark:
    """Return the one problem that a text names.

    Raises
    ------
    ValueError
        As `expand`; and if it names several.
    """
    found = expand(name)
    if len(found) > 1:
        raise ValueError(f"{name!r} names {len(found)} problems, from {found[0].name!r} on")
    return found[0]


def from_object(given: object, name: str | None = None) -> Benchmark:
    """Return the problem that a Python object is: see `experiments.problems.user`.

    Parameters
    ----------
    given
        A function of a point (n,), or an object that can be called so, with `x0` or `bounds`.
    name
        What to call it; by default its own name, or that of its class.

    Raises
    ------
    TypeError, ValueError
        If it cannot be called, or does not say where to start.
    """
    from experiments.problems import user

    return user.from_object(given, name)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.75)
    hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    file = (
        "; a function of yours is written path/to/file.py:name"
        if re.search(r"[\\/.]", name)
        else ""
    )
    return f"unknown problem {name!r}{hint}; there are: {', '.join(sorted(FAMILIES))}{file}"
