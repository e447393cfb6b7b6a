"""What a comparison is made of: problems x methods x seeds, as cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from experiments import problems


@dataclass(frozen=True)
class Cell:
    """One thing to run: a method on a problem, from the start and with the stream of a seed.

    Attributes
    ----------
    problem, method, seed
        Names and seed.
    budget
        Evaluations, those of finite differences included.
    restarts
        Whether a method that ends early begins again from the seed's next start.
    gradients
        Whether the objective's own gradients may be used; they are counted beside evaluations.
    """

    problem: str
    method: str
    seed: int
    budget: int
    restarts: bool = True
    gradients: bool = False


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
        For a problem or method that is not known; it names the nearest. For a budget or number of
        seeds below 1.
    """
    from blackbox.algorithms import find

    for name in names:
        problems.find(name)
    known = ["auto" if method == "auto" else find(method).name for method in methods]
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
