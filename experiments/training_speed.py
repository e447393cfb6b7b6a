"""What a training step costs: gradient methods beside loops of torch written by hand.

A small network on the digits, minibatches of 64, one thread. The loop by hand takes a minibatch,
zeroes the gradients, goes forward and backward, steps, and reads the loss. Ours does the same
through `minimize`, with its counting, its record of each step, and every tenth step an evaluation
on all the data, which the loop by hand has not.

Sides take turns, round after round, so that a busy machine slows both; a ratio is the median over
rounds of two sides' ratio in a round. Times are the processor's for the thread, so that other work
on the machine is not counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from blackbox import ALGORITHMS, minimize
from experiments.environment import describe, machine, versions
from experiments.problems import digits
from experiments.report import Column, Table, number, to_json, write
from experiments.speed import duration, threads

if TYPE_CHECKING:
    import torch

    from adapters import ModelObjective

SIZE = 64
"""Samples of a minibatch."""
STARTS = 64
STEPS, FEW_STEPS = 400, 100
"""Steps of a run alone, and of runs side by side."""
WHOLE_STEPS = 40
"""Evaluations on all the data, where a method takes no minibatches: fewer than until it has
converged, from where a loop by hand would do next to nothing."""
ROUNDS = 9
MOST_RATIO, LEAST_FASTER = 1.10, 6.0
"""Goals: ours over the loop by hand for one run; how many times faster many are at once."""

Timed = tuple[float, int]
"""Seconds and steps of a run."""
Side = Callable[[], Timed]


class Step(NamedTuple):
    """Something to measure, and how it is called while it runs."""

    label: str
    run: Callable[[], "Timing"]


@dataclass(frozen=True)
class Timing:
    """Seconds a step by side, a number for each round.

    Attributes
    ----------
    method
        Which rule.
    runs
        How many at once.
    whole
        Whether steps are on all the data, as for methods that take no minibatches.
    seconds
        ``"hand"``, ``"ours"``, and ``"ours, no full"``: without evaluations on all the data.
    """

    method: str
    runs: int
    whole: bool
    seconds: Mapping[str, list[float]]

    def ratio(self, side: str) -> float:
        """Return the median over rounds of a side's time over that of the loop by hand."""
        pairs = zip(self.seconds[side], self.seconds["hand"], strict=True)
        return median(ours / hand for ours, hand in pairs)

    @property
    def reached(self) -> bool:
        """Whether the goal was reached."""
        if self.runs == 1:
            return self.ratio("ours") <= MOST_RATIO
        return 1 / self.ratio("ours") >= LEAST_FASTER


def rules() -> list[str]:
    """Return the methods that are one rule of torch each."""
    return [name for name, row in ALGORITHMS.items() if row.library == "torch" and name != "torch"]


def steps(*, quick: bool = False) -> list[Step]:
    """Return all that is to be measured, in order."""
    share = 4 if quick else 1
    plan = [
        Step(name, partial(time_one, name, _count(name) // share, max(3, ROUNDS // share)))
        for name in rules()
    ]
    runs = partial(time_many, "adam", FEW_STEPS // share, max(3, 5 // share))
    many = Step(f"adam, {STARTS} starts", runs)
    return [*plan, many]


def _count(name: str) -> int:
    return STEPS if ALGORITHMS[name].changing else WHOLE_STEPS


def measure_all(plan: list[Step]) -> Iterator[Timing]:
    """Take the steps, one after the other, with one thread."""
    for step in plan:
        with threads(1):
            found = step.run()
        yield found


def time_one(name: str, count: int, rounds: int) -> Timing:
    """Time one run of a rule, from one start."""
    whole = not ALGORITHMS[name].changing
    objective, plain = _objective(whole), _objective(whole)
    plain.full = None  # type: ignore[method-assign, assignment]
    sides = {
        "hand": lambda: _by_closure(name, count) if whole else _by_hand(name, count),
        "ours": lambda: _ours(objective, objective.x0, name, count),
    }
    if not whole:
        sides["ours, no full"] = lambda: _ours(plain, plain.x0, name, count)
    return Timing(name, 1, whole, _take_turns(sides, rounds))


def time_many(name: str, count: int, rounds: int) -> Timing:
    """Time many runs at once, beside as many by hand, one after the other."""
    objective = _objective(whole=False)
    starts = objective.x0 + 0.01 * np.random.default_rng(0).standard_normal((STARTS, objective.n))

    def by_hand() -> Timed:
        runs = [_by_hand(name, count, start) for start in starts]
        return sum(seconds for seconds, _ in runs), count

    sides = {"hand": by_hand, "ours": lambda: _ours(objective, starts, name, STARTS * count)}
    return Timing(name, STARTS, False, _take_turns(sides, rounds))


def _take_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            seconds, done = run()
            if turn:  # the first one warms up
                spent[name].append(seconds / done)
    return spent


def _network() -> "torch.nn.Sequential":
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Linear(digits.PIXELS, 32), torch.nn.ReLU(), torch.nn.Linear(32, digits.CLASSES)
        )


def _objective(whole: bool) -> "ModelObjective":
    from torch.nn.functional import cross_entropy

    from adapters import ModelObjective

    size = None if whole else SIZE
    return ModelObjective(_network(), cross_entropy, *_data(), batch_size=size)


def _data() -> "tuple[torch.Tensor, torch.Tensor]":
    """The first four fifths."""
    images, labels = digits.load()
    count = 4 * len(images) // 5
    return images[:count], labels[:count]


def _ours(objective: Any, start: Any, name: str, budget: int) -> Timed:
    began = time.thread_time()
    result = minimize(objective, start, method=name, budget=budget, seed=0)
    return time.thread_time() - began, result.history.batch_count


def _optimizer(name: str, model: "torch.nn.Module") -> Any:
    """torch's own, with our defaults, of the model's tensors."""
    algorithm: Any = ALGORITHMS[name].make({})
    return algorithm.build(list(model.parameters()), algorithm.keywords())


def _by_hand(name: str, count: int, start: Any = None) -> Timed:
    import torch
    from torch.nn.functional import cross_entropy

    model, (inputs, targets) = _network(), _data()
    if start is not None:
        torch.nn.utils.vector_to_parameters(torch.from_numpy(start).float(), model.parameters())
    optimizer, rng = _optimizer(name, model), np.random.default_rng(0)
    zero_grad = getattr(optimizer, "zero_grad", model.zero_grad)  # two joined ones have none
    began = time.thread_time()
    for _ in range(count):
        chosen = rng.choice(len(inputs), SIZE, replace=False, shuffle=False)
        rows = torch.from_numpy(chosen)
        zero_grad()
        loss = cross_entropy(model(inputs[rows]), targets[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()
    return time.thread_time() - began, count


def _by_closure(name: str, count: int) -> Timed:
    """On all the data, for an optimizer that calls for the loss itself."""
    import torch
    from torch.nn.functional import cross_entropy

    model, (inputs, targets) = _network(), _data()
    kind = {found.lower(): found for found in dir(torch.optim)}[name]
    optimizer, calls = getattr(torch.optim, kind)(model.parameters()), [0]

    def closure() -> torch.Tensor:
        calls[0] += 1
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        loss.item()
        return loss

    began = time.thread_time()
    while calls[0] < count:
        optimizer.step(closure)
    return time.thread_time() - began, calls[0]


def tables(found: list[Timing]) -> list[Table]:
    """Return the one table: a line a measurement."""
    rows = []
    for timing in found:
        low, high = _quartiles(timing)
        bare = "ours, no full"
        alone = timing.runs == 1
        what = timing.method if alone else f"{timing.method}, {timing.runs} starts"
        goal = MOST_RATIO if alone else 1 / LEAST_FASTER
        rows.append(
            [
                what + (", all the data" if timing.whole else ""),
                duration(median(timing.seconds["ours"])),
                duration(median(timing.seconds["hand"])),
                number(timing.ratio("ours"), 3),
                f"{number(low, 3)} .. {number(high, 3)}",
                number(timing.ratio(bare), 3) if bare in timing.seconds else "-",
                f"<= {number(goal, 3)}",
                "yes" if timing.reached else "NO",
            ]
        )
    columns = [
        Column("method", number=False),
        *map(Column, ("ours", "by hand", "ours : by hand")),
        Column("quartiles", extra=True),
        Column("without full evaluations", extra=True),
        Column("goal"),
        Column("reached", number=False),
    ]
    notes = [
        f"Processor time of a step, one thread, minibatches of {SIZE}. Ours evaluates every tenth "
        "winner on all the data, which the loop by hand does not: the column without has the rest."
    ]
    many = [timing for timing in found if timing.runs > 1]
    notes += [
        f"{timing.runs} runs of {timing.method} at once take as many steps a second as "
        f"{number(1 / timing.ratio('ours'), 3)} times the loop by hand, one run after the other."
        for timing in many
    ]
    return [Table("Training", columns, rows, notes)]


def _quartiles(timing: Timing) -> tuple[float, float]:
    pairs = zip(timing.seconds["ours"], timing.seconds["hand"], strict=True)
    ratios = sorted(ours / hand for ours, hand in pairs)
    return ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]


def summary(found: list[Timing], command: str) -> dict[str, Any]:
    """Return all numbers, ready for JSON."""
    return {
        "command": command,
        "versions": versions("scikit-learn"),
        "machine": machine(),
        "torch_threads": 1,
        "goals": {"ratio": MOST_RATIO, "times_faster": LEAST_FASTER},
        "training": [
            {
                "method": timing.method,
                "runs": timing.runs,
                "all_the_data": timing.whole,
                "seconds_per_step": {k: median(v) for k, v in timing.seconds.items()},
                "ratio": {k: timing.ratio(k) for k in timing.seconds if k != "hand"},
                "quartiles": _quartiles(timing),
                "rounds": len(timing.seconds["ours"]),
                "reached": timing.reached,
            }
            for timing in found
        ],
    }


def save(found: list[Timing], folder: Path, content: Mapping[str, Any]) -> None:
    """Write the page and its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "training.json", to_json(content))
    missed = [timing.method for timing in found if not timing.reached]
    verdict = f"Goals missed: {', '.join(missed)}." if missed else "Every goal was reached."
    text = f"""# Speed: training

Made by `{content["command"]}`; the numbers are in `training.json`. {verdict}

{tables(found)[0].markdown()}
The network has {digits.PIXELS}, 32 and {digits.CLASSES} units; {digits.SOURCE}. By hand: take a
minibatch, zero the gradients, forward, backward, step, read the loss. Ours: the same through
`minimize`, with its budget, its record of each step and its incumbent.

{describe(content["versions"], content["machine"])}.
"""
    write(folder / "training.md", text)
