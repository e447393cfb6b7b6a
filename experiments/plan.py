"""What a comparison is made of: problems x methods x seeds, as cells.

A method is written as its name, with its options after colons where it has any:
``cma:CMA_diagonal=True:popsize=32``. Values are Python literals, or bare words, which are texts.
"""

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from experiments import problems

START = "start"
"""Takes the place of a method: the start alone, evaluated once, which the others should beat."""


@dataclass(frozen=True)
class Cell:
    """One thing to run: a method on a problem, from the start and with the stream of a seed.

    Attributes
    ----------
    problem, method, seed
        A name, a name with options, and a number.
    budget
        Evaluations, those of finite differences included.
    restarts
        Whether a method that ends early begins again from the seed's next start.
    gradients
        Whether the objective's own gradients may be used; they are counted beside evaluations.
    max_seconds
        Where given, the cell's runs end after so many seconds, too.
    fingerprint
        Which version of the problem: of a user's file, a digest of its text.
    """

    problem: str
    method: str
    seed: int
    budget: int
    restarts: bool = True
    gradients: bool = False
    max_seconds: float | None = None
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """A name that hangs on every field and nothing else: the same on every machine."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def make_cells(
    names: Sequence[str],
    methods: Sequence[str],
    seeds: int | Sequence[int],
    budget: int,
    *,
    restarts: bool = True,
    gradients: bool = False,
) -> list[Cell]:
    """Return the cells of a comparison, seed by seed so that an early end leaves equal shares.

    Raises
    ------
    ValueError
        For a problem, method or option that is not known; it names the nearest. For a problem that
        needs what is not installed. For a budget or number of seeds below 1.
    """
    for name in names:
        _check_installed(name)
    known = [_checked(method) for method in methods]
    if budget < 1:
        raise ValueError(f"the budget is a number of evaluations, at least 1; got {budget}")
    listed = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not listed or not names or not known:
        raise ValueError("a comparison needs at least one problem, one method and one seed")
    if any(seed < 0 for seed in listed):
        raise ValueError(f"seeds are whole numbers from 0 on; got {min(listed)}")
    return [
        Cell(problem, method, seed, budget, restarts, gradients)
        for seed, problem, method in product(
            dict.fromkeys(listed), dict.fromkeys(names), dict.fromkeys(known)
        )
    ]


def parse_method(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options that a text names; whether they exist is not asked.

    Raises
    ------
    ValueError
        For an option that is not written ``name=value``, or given twice.

    Examples
    --------
    >>> parse_method("pso:swarmsize=40:updating=immediate")
    ('pso', {'swarmsize': 40, 'updating': 'immediate'})
    """
    name, *parts = _split(text)
    if "=" in name or ":" in name:
        raise ValueError(
            f"{text!r} is no method: options follow its name after colons, as in "
            "cma:CMA_diagonal=True:popsize=32"
        )
    pairs = [[side.strip() for side in part.split("=", 1)] for part in parts]
    options = {key: _value(key, value) for key, value in pairs}
    if len(options) < len(pairs):
        raise ValueError(f"{text!r} gives an option twice")
    return name, options


def _split(text: str) -> list[str]:
    """Split before each ``:name=``; other colons belong to values."""
    return [part.strip() for part in re.split(r":(?=\s*\w+\s*=)", text)]


def _value(option: str, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    if not re.fullmatch(r"[A-Za-z_][\w-]*", text):
        raise ValueError(f"{option}={text}: the value is neither a Python literal nor a word")
    if text in ("true", "false", "none"):
        raise ValueError(f"{option}={text}: Python writes {text.capitalize()}")
    return text


def _checked(text: str) -> str:
    """Return the method's text with its name as the table has it."""
    from scipy.optimize import OptimizeWarning

    from blackbox.algorithms import find

    name, options = parse_method(text)
    if name in ("auto", START):
        if options:
            raise ValueError(f"{name!r} takes no options; got {text!r}")
        return name
    row = find(name)
    if options:
        try:
            with warnings.catch_warnings():  # some methods only warn of unknown options
                warnings.simplefilter("error", OptimizeWarning)
                row.make(options)
        except (TypeError, OptimizeWarning) as error:
            raise ValueError(f"{text}: {error}") from error
    return ":".join([row.name, *_split(text)[1:]])


def _check_installed(name: str) -> None:
    require = problems.find(name).require
    if require is not None:
        try:
            require()
        except ModuleNotFoundError as error:
            raise ValueError(f"problem {name!r}: {error}") from error
