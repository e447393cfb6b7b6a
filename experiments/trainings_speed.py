"""What many trainings at once cost, beside torch.optim.Adam one after another.

A small network on the digits, minibatches of 64, one thread; each training with its own learning
rate, betas and weight decay. By hand: a loop of torch for each training in turn. Ours: a
`TrainingObjective`. Both go through the same number of epochs and evaluate the validation loss
after each.

Sides take turns, round after round, so that a busy machine slows both; a ratio is the median over
rounds. Times are the processor's for the thread, so that other work on the machine is not counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from adapters.space import Float, Log, Space
from experiments.environment import describe, machine, versions
from experiments.problems import digits
from experiments.report import Column, Table, number, to_json, write
from experiments.speed import duration, threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from adapters import TrainingObjective

SIZE = 64
"""Samples of a minibatch."""
COUNTS = (1, 8, 64, 256)
MANY = 64
"""How many trainings the goal is about."""
EPOCHS = 2
BY_HAND = 64
"""Trainings by hand that are timed at most: more cost as much each."""
ROUNDS = 7
GOAL = 6.0
"""How many times as fast 64 trainings are to be at once."""
STEPS, FEW, COMPARED = 100, 256, 16
"""Steps after which weights are compared, samples of each, and trainings."""
GAP = 1e-12
"""How far apart they may be."""

RANGES = {
    "lr": Log(1e-5, 1e-2),
    "beta1": Float(0.5, 0.99),
    "beta2": Float(0.9, 0.999),
    "weight_decay": Log(1e-5, 1e-2),
    "momentum": Float(0.0, 0.95),
    "alpha": Float(0.9, 0.999),
}
ADAM = ("lr", "beta1", "beta2", "weight_decay")
SPACE = Space({name: RANGES[name] for name in ADAM})
MODELS = ("64-32-10", "with dropout", "with BatchNorm")

Pairs = tuple[tuple["Tensor", "Tensor"], tuple["Tensor", "Tensor"]]
"""Inputs and targets, to train on and to judge by."""
Build = Callable[[Any], Any]
"""From parameters to an optimizer."""


def _build(kind: str, params: Mapping[str, Any], parameters: Any) -> Any:
    """Return torch's own optimizer of a kind."""
    import torch

    settings = {name: value for name, value in params.items() if name not in ("beta1", "beta2")}
    if "beta1" in params:
        settings["betas"] = params["beta1"], params["beta2"]
    return getattr(torch.optim, kind)(parameters, **settings)


RULES = {
    "sgd": ("SGD", ("lr", "momentum", "weight_decay")),
    "rmsprop": ("RMSprop", ("lr", "alpha", "momentum", "weight_decay")),
    "adam": ("Adam", ADAM),
    "adamw": ("AdamW", ADAM),
}
"""torch's own optimizers, and what differs between trainings."""


class Step(NamedTuple):
    """Something to measure, and how it is called while it runs."""

    label: str
    run: Callable[[], "Timing | Gap"]


@dataclass(frozen=True)
class Timing:
    """Seconds of a step of all trainings, by side, a number for each round.

    Attributes
    ----------
    model
        Which of `MODELS`.
    trainings
        How many.
    path
        How ours are computed.
    seconds
        ``"hand"`` and ``"ours"``.
    """

    model: str
    trainings: int
    path: str
    seconds: Mapping[str, list[float]]

    @property
    def faster(self) -> float:
        """How many times as fast ours are, the median over rounds."""
        pairs = zip(self.seconds["hand"], self.seconds["ours"], strict=True)
        return median(hand / ours for hand, ours in pairs)

    @property
    def reached(self) -> bool | None:
        """Whether the goal was reached; None where there is none."""
        headline = self.trainings == MANY and self.model == "64-32-10"
        return self.faster >= GOAL if headline else None


@dataclass(frozen=True)
class Gap:
    """How far weights are from those by hand, the largest of all trainings.

    Attributes
    ----------
    rule
        Which optimizer.
    largest
        The difference.
    """

    rule: str
    largest: float

    @property
    def reached(self) -> bool:
        """Whether it is rounding."""
        return self.largest <= GAP


def steps(*, quick: bool = False) -> list[Step]:
    """Return all that is to be measured, in order."""
    rounds = 3 if quick else ROUNDS
    timed = [("64-32-10", count) for count in COUNTS]
    timed += [(model, MANY) for model in MODELS if model != "64-32-10"]
    plan = [
        Step(f"{model}, {count} trainings", partial(time_many, model, count, rounds))
        for model, count in timed
    ]
    return [*plan, *(Step(f"weights of {rule}", partial(compare, rule)) for rule in RULES)]


def measure_all(plan: list[Step]) -> Iterator[Timing | Gap]:
    """Take the steps, one after the other, with one thread."""
    for step in plan:
        with threads(1):
            found = step.run()
        yield found


def time_many(model: str, count: int, rounds: int) -> Timing:
    """Time trainings at once, and one after another."""
    import torch

    make, pairs = partial(_network, model), _data()
    objective = _objective(make, SPACE, pairs, epochs=EPOCHS, batch_size=SIZE)
    each = _drawn(SPACE, count)
    few = min(count, BY_HAND)
    spent: dict[str, list[float]] = {"hand": [], "ours": []}
    steps = EPOCHS * -(-len(pairs[0][0]) // SIZE)
    for turn in range(rounds + 1):
        began = time.thread_time()
        with torch.random.fork_rng(devices=[]):
            for params in each[:few]:
                _by_hand(make(), partial(_build, "Adam", params), pairs, EPOCHS, SIZE)
        ended = time.thread_time()
        objective(each)
        done = time.thread_time()
        if turn:  # the first one warms up
            spent["hand"].append((ended - began) * count / few / steps)
            spent["ours"].append((done - ended) / steps)
    return Timing(model, count, objective.batching.path, spent)


def compare(rule: str) -> Gap:
    """Compare the weights after `STEPS` steps on all of `FEW` samples, in float64."""
    import torch

    kind, names = RULES[rule]
    space = Space({name: RANGES[name] for name in names})
    train, held = ((inputs[:FEW].double(), targets[:FEW]) for inputs, targets in _data())
    pairs = train, held
    make = partial(_network, "64-32-10")
    objective = _objective(make, space, pairs, epochs=STEPS, optimizer=rule, dtype=torch.float64)
    each = _drawn(space, COMPARED)
    trainings = objective.start(each)
    trainings.step(STEPS)
    gap = 0.0
    for row, params in enumerate(each):
        with torch.random.fork_rng(devices=[]):
            model = _by_hand(make().double(), partial(_build, kind, params), pairs, STEPS, FEW)
        both = zip(trainings.model(row).parameters(), model.parameters(), strict=True)
        gap = max(gap, *(float((ours - theirs).detach().abs().max()) for ours, theirs in both))
    return Gap(rule, gap)


def _drawn(space: Space, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [space.draw(rng) for _ in range(count)]


def _by_hand(
    model: "nn.Module", build: "Build", pairs: "Pairs", epochs: int, size: int
) -> "nn.Module":
    """Train as a loop of torch does, and evaluate after each epoch."""
    import torch
    from torch.nn.functional import cross_entropy

    (inputs, targets), (held_inputs, held_targets) = pairs
    optimizer = build(model.parameters())
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(inputs)), size):
            optimizer.zero_grad()
            cross_entropy(model.train()(inputs[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            cross_entropy(model.eval()(held_inputs), held_targets).item()
    return model


def _network(kind: str) -> "nn.Module":
    """Return the network, with the weights that it has under a `TrainingObjective`'s seed 0."""
    import torch
    from torch import nn

    between: dict[str, list[nn.Module]] = {
        "with dropout": [nn.Dropout(0.2)],
        "with BatchNorm": [nn.BatchNorm1d(32)],
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(digits.PIXELS, 32),
            *between.get(kind, []),
            nn.ReLU(),
            nn.Linear(32, digits.CLASSES),
        )


def _objective(
    make: "Callable[[], nn.Module]", space: Space, pairs: "Pairs", **options: Any
) -> "TrainingObjective":
    from torch.nn.functional import cross_entropy

    from adapters import TrainingObjective

    train, held = pairs
    return TrainingObjective(make, cross_entropy, train, space, validation=held, **options)


def _data() -> "Pairs":
    """Return the first four fifths, to train on, and the rest."""
    images, labels = digits.load()
    count = 4 * len(images) // 5
    return (images[:count], labels[:count]), (images[count:], labels[count:])


def timings_table(found: list[Timing]) -> Table:
    """Return a line a measurement of time."""
    columns = [
        Column("model", number=False),
        *map(Column, ("trainings", "at once", "one after another", "times as fast")),
        Column("path", number=False, extra=True),
        Column("goal"),
        Column("reached", number=False),
    ]
    rows = [
        [
            one.model,
            str(one.trainings),
            duration(median(one.seconds["ours"])),
            duration(median(one.seconds["hand"])),
            number(one.faster, 3),
            one.path,
            "" if one.reached is None else f">= {number(GOAL, 3)}",
            "" if one.reached is None else _yes(one.reached),
        ]
        for one in found
    ]
    notes = [
        f"Processor time of a step of all trainings, one thread, minibatches of {SIZE}, with the "
        f"validation loss after each epoch. By hand {BY_HAND} trainings are timed at most; more "
        "are reckoned from these.",
    ]
    return Table("Trainings", columns, rows, notes)


def gaps_table(found: list[Gap]) -> Table:
    """Return a line a rule, of how far weights are from torch's."""
    columns = [Column("optimizer", number=False), *map(Column, ("largest difference", "goal"))]
    columns.append(Column("reached", number=False))
    rows = [[one.rule, f"{one.largest:.1e}", f"<= {GAP:.0e}", _yes(one.reached)] for one in found]
    note = f"Of all weights of {COMPARED} trainings, after {STEPS} steps in float64."
    return Table("Weights beside torch.optim's", columns, rows, [note])


def _yes(reached: bool | None) -> str:
    return "yes" if reached else "NO"


def tables(found: list[Timing | Gap]) -> list[Table]:
    """Return the tables of what was measured."""
    timings = [one for one in found if isinstance(one, Timing)]
    gaps = [one for one in found if isinstance(one, Gap)]
    made = [timings_table(timings)] if timings else []
    return [*made, gaps_table(gaps)] if gaps else made


def summary(found: list[Timing | Gap], command: str) -> dict[str, Any]:
    """Return all numbers, ready for JSON."""
    return {
        "command": command,
        "versions": versions("scikit-learn"),
        "machine": machine(),
        "torch_threads": 1,
        "goals": {"times_faster": GOAL, "largest_difference": GAP},
        "trainings": [
            {
                "model": one.model,
                "trainings": one.trainings,
                "path": one.path,
                "seconds_per_step": {side: median(spent) for side, spent in one.seconds.items()},
                "times_faster": one.faster,
                "rounds": len(one.seconds["ours"]),
            }
            for one in found
            if isinstance(one, Timing)
        ],
        "largest_difference": {one.rule: one.largest for one in found if isinstance(one, Gap)},
    }


def save(found: list[Timing | Gap], folder: Path, content: Mapping[str, Any]) -> None:
    """Write the page and its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "trainings.json", to_json(content))
    missed = any(one.reached is False for one in found)
    verdict = "A goal was missed." if missed else "Every goal was reached."
    parts = "\n".join(f"## {table.title}\n\n{table.markdown()}" for table in tables(found))
    text = f"""# Speed: many trainings at once

Made by `{content["command"]}`; the numbers are in `trainings.json`. {verdict}

{parts}
The network has {digits.PIXELS}, 32 and {digits.CLASSES} units; {digits.SOURCE}. One after another:
a loop of torch for each training, by `torch.optim.Adam`. At once: a `TrainingObjective`; each
training has its own learning rate, betas and weight decay.

{describe(content["versions"], content["machine"])}.
"""
    write(folder / "trainings.md", text)
