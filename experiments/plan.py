"""What a comparison is made of: problems x methods x seeds, as cells."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import product
from numbers import Integral
from typing import Any

from experiments import problems as problem_table
from experiments.methods import START, check_method, parse_method

__all__ = ["START", "Cell", "Plan", "make_plan", "parse_method", "select", "several"]


LATER = ("validate_every", "patience")
"""Fields of cells and settings of plans that stores made before do not know."""


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
    validate_every, patience
        As `blackbox.minimize` takes them; None where not given.
    """

    problem: str
    method: str
    seed: int
    budget: int
    restarts: bool = True
    gradients: bool = False
    max_seconds: float | None = None
    fingerprint: str = ""
    validate_every: int | None = None
    patience: int | None = None

    def plain(self) -> dict[str, Any]:
        """Return its fields, ready for JSON; without those of later versions that are not given."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in LATER or value is not None
        }

    @property
    def key(self) -> str:
        """A name that hangs on every field and nothing else: the same on every machine."""
        text = json.dumps(self.plain(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run.

    Attributes
    ----------
    cells
        Seed by seed, so that an early end leaves equal shares.
    problems
        By name, what they are about.
    settings
        What makes the cells comparable: ``budget``, ``restarts``, ``gradients``, ``max_seconds``;
        and ``validate_every`` and ``patience`` where they are given.
    given
        Names of problems that were given as objects: in another process no name leads to them.
    """

    cells: tuple[Cell, ...]
    problems: Mapping[str, problem_table.Benchmark]
    settings: Mapping[str, Any]
    given: frozenset[str] = frozenset()


def make_plan(
    problems: Sequence[Any],
    methods: Sequence[str],
    seeds: int | Sequence[int],
    budget: int | str,
    *,
    restarts: bool = True,
    gradients: bool = False,
    max_seconds: float | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
) -> Plan:
    """Return the plan of a comparison.

    Parameters
    ----------
    problems
        Texts, which may stand for several problems each (see `experiments.problems.expand`);
        benchmarks; functions and objects (see `experiments.problems.from_object`).
    methods, seeds, budget, restarts, gradients, max_seconds, validate_every, patience
        As in `experiments.compare`.

    Raises
    ------
    ValueError
        For a problem, method or option that is not known; it names the nearest. For a problem that
        needs what is not installed. For a budget or number of seeds below 1.
    """
    problems, methods = several(problems, "problems"), several(methods, "methods")
    named: dict[str, problem_table.Benchmark] = {}
    given = set()
    for item in problems:
        if isinstance(item, str):
            found = problem_table.expand(item)
        else:
            found = [_given(item)]
            given |= {row.name for row in found}
        for row in found:
            if named.setdefault(row.name, row) is not row and not isinstance(item, str):
                raise ValueError(f"two problems have the name {row.name!r}; rename one of them")
    known = list(dict.fromkeys(check_method(method) for method in methods))
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds must be above 0; got {max_seconds!r}")
    later = {"validate_every": validate_every, "patience": patience}
    for name, number in later.items():
        if number is not None and not (_is_whole(number) and number >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}")
    listed = _listed(seeds)
    if not listed or not named or not known:
        raise ValueError("a comparison needs at least one problem, one method and one seed")
    for row in named.values():
        _check_installed(row)
    cells = tuple(
        Cell(
            name,
            method,
            seed,
            _budget(budget, named[name].n),
            restarts,
            gradients,
            max_seconds,
            named[name].fingerprint,
            **later,
        )
        for seed, name, method in product(dict.fromkeys(listed), named, known)
    )
    settings = {
        "budget": budget,
        "restarts": restarts,
        "gradients": gradients,
        "max_seconds": max_seconds,
        **{name: number for name, number in later.items() if number is not None},
    }
    return Plan(cells, named, settings, frozenset(given))


def several(given: Any, argument: str) -> list[Any]:
    """Return what was given as a list; a text is a list of one.

    Raises
    ------
    TypeError
        If it is no list.
    """
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument} must be a list; got {given!r:.60}: write [...] around it")
    return list(given)


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _listed(seeds: int | Sequence[int]) -> list[int]:
    listed = list(range(seeds)) if isinstance(seeds, Integral) else several(seeds, "seeds")
    for seed in listed:
        if not isinstance(seed, Integral) or seed < 0:
            raise ValueError(f"seeds are whole numbers from 0 on; got {seed!r}")
    return [int(seed) for seed in listed]


def _budget(budget: int | str, n: int) -> int:
    if isinstance(budget, str) and (number := re.fullmatch(r"(\d+) ?n", budget)):
        evaluations = int(number[1]) * n
    elif isinstance(budget, int) and not isinstance(budget, bool):
        evaluations = budget
    else:
        raise ValueError(
            f"budget is a number of evaluations, or a text such as '100n' for so many a variable; "
            f"got {budget!r}"
        )
    if evaluations < 1:
        raise ValueError(f"the budget is a number of evaluations, at least 1; got {budget!r}")
    return evaluations


def select(cells: Sequence[Cell], words: Sequence[str]) -> list[Cell]:
    """Return the cells that one of these words names.

    Parameters
    ----------
    cells
        Of a plan.
    words
        A problem, a method with or without its options, or ``seed=3``; ``*`` stands for anything.

    Raises
    ------
    ValueError
        If a word names no cell of the plan.
    """
    found: dict[Cell, None] = {}
    for word in words:
        named = [
            cell for cell in cells if any(n == word or fnmatchcase(n, word) for n in _names(cell))
        ]
        if not named:
            raise ValueError(
                f"{word!r} names nothing in this plan: give a problem, a method or seed=N of it"
            )
        found |= dict.fromkeys(named)
    return [cell for cell in cells if cell in found]


def _names(cell: Cell) -> tuple[str, ...]:
    return (cell.problem, cell.method, parse_method(cell.method)[0], f"seed={cell.seed}")


def _given(item: Any) -> problem_table.Benchmark:
    if isinstance(item, problem_table.Benchmark):
        return item
    return problem_table.from_object(item)


def _check_installed(row: problem_table.Benchmark) -> None:
    if row.require is not None:
        try:
            row.require()
        except ModuleNotFoundError as error:
            raise ValueError(f"problem {row.name!r}: {error}") from error
