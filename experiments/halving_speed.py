"""How many epochs it takes to find the best of many trainings, when the worse ones are dropped.

A network 64-32-10 on the digits, by Adam in minibatches of 64; learning rate, betas and weight
decay are searched. The yardstick trains 81 candidates drawn at random, all of them for 27 epochs,
and takes the best. Beside it, from the same seed:

- successive halving of the very same 81 candidates, from the first epoch on, and from the second;
- Hyperband, all brackets in turn, with a quarter of the yardstick's epochs;
- population-based training, with as many members as the yardstick's epochs, or a quarter of them,
  allow.

Values are losses on samples held out. A share of epochs needs no clock: seconds are beside it.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from experiments.environment import describe, machine, versions
from experiments.problems import digits
from experiments.report import Column, Table, number, to_json, write
from experiments.speed import threads

CANDIDATES, EPOCHS, BATCH = 81, 27, 64
SEEDS, FEW_SEEDS = 10, 2
FULL = "all, to the end"
MOST_EPOCHS, MOST_LOSS = 0.25, 1.0
"""The goal: at most this share of the yardstick's epochs, and no worse than this share of its best
loss, medians."""


class Search(NamedTuple):
    """What one way of searching gave, from one seed."""

    way: str
    seed: int
    value: float
    epochs: int
    seconds: float


class Step(NamedTuple):
    """Something to measure, and how it is called while it runs."""

    label: str
    run: Callable[[], list[Search]]


def steps(*, quick: bool = False) -> list[Step]:
    """Return all that is to be measured, seed by seed."""
    count = FEW_SEEDS if quick else SEEDS
    return [Step(f"seed {seed}", partial(search_all, seed)) for seed in range(count)]


def measure_all(plan: list[Step]) -> Iterator[list[Search]]:
    """Take the steps, one after the other, with one thread."""
    for step in plan:
        with threads(1):
            found = step.run()
        yield found


def make_objective(seed: int) -> Any:
    """Return the trainings: what is held out, initial weights and order of samples by the seed."""
    from torch import nn

    from adapters import Float, Log, Space, TrainingObjective

    images, labels = digits.load()
    return TrainingObjective(
        _network,
        nn.CrossEntropyLoss(),
        (images, labels),
        Space(
            lr=Log(1e-5, 1e-1),
            beta1=Float(0.5, 0.99),
            beta2=Float(0.9, 0.9999),
            weight_decay=Log(1e-6, 1e-1),
        ),
        epochs=EPOCHS,
        batch_size=BATCH,
        validation=0.3,
        seed=seed,
    )


def _network() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def search_all(seed: int) -> list[Search]:
    """Search by every way from one seed."""
    from adapters import hyperband, population_based_training, successive_halving

    objective = make_objective(seed)
    rng = np.random.default_rng(seed)
    candidates = [objective.space.draw(rng) for _ in range(CANDIDATES)]
    whole = CANDIDATES * EPOCHS
    quarter = int(whole * MOST_EPOCHS)

    def by_all() -> tuple[float, int]:
        return float(np.min(objective(candidates))), whole

    def by_halving(first: int) -> tuple[float, int]:
        found = successive_halving(objective, candidates, min_epochs=first)
        return found.best_value, found.epochs

    def by_hyperband() -> tuple[float, int]:
        found = hyperband(objective, budget=quarter, seed=seed)
        return found.best_value, found.epochs

    def by_population(epochs: int) -> tuple[float, int]:
        found = population_based_training(objective, members=epochs // EPOCHS, seed=seed)
        return found.best_value, found.epochs

    ways: dict[str, Callable[[], tuple[float, int]]] = {
        FULL: by_all,
        "successive halving": partial(by_halving, 1),
        "successive halving, from 2 epochs": partial(by_halving, 2),
        "hyperband": by_hyperband,
        "population-based, quarter": partial(by_population, quarter),
        "population-based": partial(by_population, whole),
    }
    found = []
    for way, run in ways.items():
        start = time.perf_counter()
        value, epochs = run()
        found.append(Search(way, seed, value, epochs, time.perf_counter() - start))
    return found


class Standing(NamedTuple):
    """How a way of searching stands, medians over seeds.

    Attributes
    ----------
    way
        Which.
    value, epochs, seconds
        Its best loss, and what it spent.
    loss_share, epoch_share
        Both as shares of the yardstick's from the same seed.
    no_worse
        From how many seeds its loss was no worse.
    seeds
        Of how many.
    """

    way: str
    value: float
    epochs: float
    seconds: float
    loss_share: float
    epoch_share: float
    no_worse: int
    seeds: int

    @property
    def reached(self) -> bool:
        """Whether the goal was reached."""
        return self.epoch_share <= MOST_EPOCHS and self.loss_share <= MOST_LOSS


def standings(found: list[list[Search]]) -> list[Standing]:
    """Return how each way stands."""
    whole = {each.seed: each for part in found for each in part if each.way == FULL}
    by_way: dict[str, list[Search]] = {}
    for each in (each for part in found for each in part):
        by_way.setdefault(each.way, []).append(each)
    return [
        Standing(
            way,
            median(each.value for each in part),
            median(each.epochs for each in part),
            median(each.seconds for each in part),
            median(each.value / whole[each.seed].value for each in part),
            median(each.epochs / whole[each.seed].epochs for each in part),
            sum(each.value <= whole[each.seed].value for each in part),
            len(part),
        )
        for way, part in by_way.items()
    ]


def tables(found: list[list[Search]]) -> list[Table]:
    """Return a line a way of searching."""
    rows = [
        [
            each.way,
            f"{each.value:.4f}",
            f"{each.loss_share:.3f}",
            number(int(each.epochs)),
            f"{each.epoch_share:.3f}",
            f"{each.no_worse} of {each.seeds}",
            f"{each.seconds:.2f}",
        ]
        for each in standings(found)
    ]
    columns = [
        Column("search", number=False),
        Column("best loss"),
        Column("of all's"),
        Column("epochs"),
        Column("of all's"),
        Column("no worse"),
        Column("seconds", extra=True),
    ]
    notes = [
        f"{CANDIDATES} candidates, {EPOCHS} epochs; medians over seeds; the best loss is on "
        "samples held out. Seconds are of one thread, all candidates of a search in one program.",
        f"Goal: at most {MOST_EPOCHS} of the epochs, and no greater loss.",
    ]
    return [Table("Dropping trainings", columns, rows, notes)]


def summary(found: list[list[Search]], command: str) -> dict[str, Any]:
    """Return all figures, ready for JSON."""
    return {
        "command": command,
        "goal": {"epoch share": MOST_EPOCHS, "loss share": MOST_LOSS},
        "reached": {each.way: each.reached for each in standings(found) if each.way != FULL},
        "standings": [each._asdict() for each in standings(found)],
        "searches": [each._asdict() for part in found for each in part],
        "versions": versions("scikit-learn"),
        "machine": machine(),
    }


def save(found: list[list[Search]], folder: Path, content: dict[str, Any]) -> None:
    """Write ``halving.json`` and ``halving.md``."""
    write(folder / "halving.json", to_json(content))
    parts = [
        "# Dropping trainings that promise little",
        f"Made by `{content['command']}`; all numbers are in `halving.json`.",
        *(table.markdown().strip() for table in tables(found)),
        describe(content["versions"], content["machine"]) + ".",
    ]
    write(folder / "halving.md", "\n\n".join(parts) + "\n")
