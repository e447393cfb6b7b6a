"""The page and the numbers of ``experiments speed population``; it runs nothing."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from experiments.environment import describe, machine, versions
from experiments.population.goals import LEAST_FLOOR, judge
from experiments.population.measure import (
    GRADIENTS,
    MOST_ONE_BY_ONE,
    MOST_WEIGHED,
    Finding,
    Floor,
    Gradients,
    Timing,
    Weight,
)
from experiments.population.models import MODELS
from experiments.population.sides import SIDES
from experiments.report import Column, Table, number, to_json, write
from experiments.speed import duration

PEERS = ("evotorch", "jax", "scikit-learn")


def goals(findings: list[Finding]) -> Table:
    """Return a line a goal, with the worst that was measured."""
    columns = [
        Column("what", number=False),
        Column("goal"),
        Column("measured", number=False),
        Column("reached", number=False),
    ]
    shown = {True: "yes", False: "NO", None: "-"}
    rows = [[v.what, v.goal, v.measured, shown[v.reached]] for v in judge(findings)]
    return Table("Goals", columns, rows)


def speed(findings: list[Finding]) -> Table:
    """Return a line a population: the loop's price, and how many times faster the others are."""
    sides = [name for name in SIDES if name != "tutorial"]
    columns = [
        Column("model", number=False),
        Column("candidates"),
        Column("tutorial's loop"),
        *(Column(name, extra=name not in ("lean loop", "ours", "JAX")) for name in sides),
    ]
    timings = [f for f in findings if isinstance(f, Timing)]
    rows = [
        [
            t.model,
            f"{t.count:,}",
            duration(median(t.seconds["tutorial"])),
            *(number(t.faster(name, "tutorial"), 3) for name in sides),
        ]
        for t in timings
    ]
    return Table("Times faster than the tutorial's loop", columns, rows, _speed_notes(timings))


def _speed_notes(timings: list[Timing]) -> list[str]:
    notes = [
        "The loop's time is for one candidate; the others are medians of the ratios within a "
        "round. Points are numpy arrays in the model's precision, in one column float64, as "
        "optimizers ask. What goes one by one (the loops, NEProblem) is timed on at most "
        f"{MOST_ONE_BY_ONE} candidates, as the price of one does not hang on their number."
    ]
    chunks = {t.model: t.chunk for t in timings if t.chunk}
    if chunks:
        sizes = ", ".join(f"{model} {chunk}" for model, chunk in chunks.items())
        notes.append(f"JAX's chunks, the fastest of a few sizes: {sizes} candidates.")
    return notes + [f"Not timed: {line}." for line in _failures(timings)]


def _failures(timings: list[Timing]) -> list[str]:
    """Return a line a side and reason: where it failed, or nothing if that is everywhere."""
    places: dict[tuple[str, str], list[str]] = {}
    for t in timings:
        for side, why in t.failed.items():
            places.setdefault((side, why), []).append(f"{t.model} with {t.count:,}")
    return [
        side + (f" ({', '.join(where)})" if len(where) < len(timings) else "") + f": {why}"
        for (side, why), where in places.items()
    ]


def memory(findings: list[Finding]) -> Table:
    """Return a line a population: scratch memory by side."""
    weights = [f for f in findings if isinstance(f, Weight)]
    sides = [name for name in SIDES if any(name in w.peaks for w in weights)]
    columns = [Column("model", number=False), Column("candidates"), *map(Column, sides)]
    rows = [
        [w.model, f"{w.count:,}", *(_mib(w.peaks.get(name)) for name in sides)] for w in weights
    ]
    notes = [
        "MiB at the peak of making the objective and of its first call, beside the population "
        "itself; on a processor each in a process of its own. Peers are measured with "
        f"at most {MOST_WEIGHED:,} candidates."
    ]
    if any(peak is None for w in weights for peak in w.peaks.values()):
        notes.append(
            "Some cannot be measured: on a processor that needs Linux, and its "
            "/proc/self/clear_refs."
        )
    notes += [f"{w.model}: {why}." for w in weights for why in w.failed.values()]
    return Table("Scratch memory, MiB", columns, rows, notes)


def _mib(peak: float | None) -> str:
    return "-" if peak is None else f"{peak:,.1f}"


def gradients(findings: list[Finding]) -> Table:
    """Return a line a model: a training loop's price, and ours."""
    columns = [
        Column("model", number=False),
        Column("training loop"),
        Column("ours"),
        Column("times faster"),
        Column("largest difference", extra=True),
    ]
    rows = [
        [
            g.model,
            duration(median(g.loop)),
            duration(median(g.ours)),
            number(g.faster, 3),
            f"{g.difference:.1e}",
        ]
        for g in findings
        if isinstance(g, Gradients)
    ]
    notes = [
        "Time for one candidate. The loop is zero_grad, forward, backward and collecting the "
        "gradient; the difference is that of the gradients, relative to the largest component."
    ]
    return Table(f"Values and gradients of {GRADIENTS} candidates", columns, rows, notes)


def floor(findings: list[Finding]) -> Table:
    """Return a line an architecture: never slower than the loop."""
    floors = [f for f in findings if isinstance(f, Floor)]
    counts = sorted({count for f in floors for count in f.faster})
    columns = [
        Column("architecture", number=False),
        Column("path", number=False),
        *(Column(f"{count:,}") for count in counts),
        Column("first call, ms"),
    ]
    rows = [
        [f.architecture, f.path]
        + [_marked(f.faster.get(count)) for count in counts]
        + [f"+{number(1e3 * f.first, 3)}"]
        for f in floors
    ]
    notes = [
        "Times faster than the tutorial's loop, by the number of candidates, from the second call "
        f"on; ! where it is below {LEAST_FLOOR}. The first call's column has what making the "
        "objective and its first call cost beyond a later one."
    ]
    return Table("Small batches of every architecture", columns, rows, notes)


def _marked(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return number(ratio, 3) + (" !" if ratio < LEAST_FLOOR else "")


TABLES = (goals, speed, memory, gradients, floor)


def tables(findings: list[Finding]) -> list[Table]:
    """Return the tables that have lines."""
    return [table for table in (make(findings) for make in TABLES) if table.rows]


def summary(findings: list[Finding], command: str, device: str, threads: int) -> dict[str, Any]:
    """Return all numbers, ready for JSON."""
    return {
        "command": command,
        "versions": versions(*PEERS),
        "machine": machine(),
        "device": _device(device),
        "torch_threads": threads,
        "goals": [verdict._asdict() for verdict in judge(findings)],
        "speed": [_timing(f) for f in findings if isinstance(f, Timing)],
        "gradients": [
            {
                "model": f.model,
                "candidates": GRADIENTS,
                "microseconds": {"loop": _spread(f.loop), "ours": _spread(f.ours)},
                "times_faster": f.faster,
                "difference": f.difference,
            }
            for f in findings
            if isinstance(f, Gradients)
        ],
        "memory_mib": [
            {"model": f.model, "candidates": f.count, "peaks": f.peaks, "failed": f.failed}
            for f in findings
            if isinstance(f, Weight)
        ],
        "architectures": [
            {
                "name": f.architecture,
                "path": f.path,
                "times_faster": f.faster,
                "first_call_extra_seconds": f.first,
            }
            for f in findings
            if isinstance(f, Floor)
        ],
    }


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "model": timing.model,
        "candidates": timing.count,
        "rounds": len(timing.seconds["tutorial"]),
        "microseconds": {name: _spread(s) for name, s in timing.seconds.items()},
        "times_faster": {name: timing.faster(name, "tutorial") for name in timing.seconds},
        "differences": timing.differences,
        "not_timed": timing.failed,
        "jax_chunk": timing.chunk,
    }


def _spread(seconds: list[float]) -> list[float]:
    """Return the quartiles, in microseconds for a candidate."""
    return [round(1e6 * q, 4) for q in quantiles(seconds, n=4, method="inclusive")]


def _device(device: str) -> str:
    if device != "cuda":
        return device
    import torch

    return str(torch.cuda.get_device_name())


def stem(device: str, threads: int) -> str:
    """Return the name of the page's file, without its ending."""
    return (
        "population"
        + (f"-{device}" if device != "cpu" else "")
        + (f"-{threads}-threads" if threads != 1 else "")
    )


def save(findings: list[Finding], folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Write the page and the numbers as ``<name>.md`` and ``<name>.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{name}.json", to_json(content))
    models = "\n".join(f"- {model.name}: {model.about}." for model in MODELS.values())
    judged = judge(findings)
    missed = [v.what for v in judged if v.reached is False]
    verdict = f"Goals missed: {'; '.join(missed)}." if missed else "Every goal was reached."
    if unknown := [v.what for v in judged if v.reached is None]:
        verdict = f"{verdict if missed else ''} Not measured: {'; '.join(unknown)}.".strip()
    sections = "\n".join(f"## {t.title}\n\n{t.markdown()}" for t in tables(findings))
    threads = content["torch_threads"]
    text = f"""# A population through a model

Made by `{content["command"]}`, on {content["device"]}, {threads} \
thread{"s" if threads != 1 else ""}; the numbers are in `{name}.json`. What the loops of
the optimizers cost is in [README.md](README.md).

{verdict}

{models}

All under a cross-entropy. Ways: the tutorial's loop (`vector_to_parameters`, forward under
`no_grad`, `.item()`); ours is `ModelObjective` as it plans by itself, the lean loop the same with
`plan="loop"`; evotorch by `NEProblem` and by its functional module under `vmap`; JAX by `jit` of
`vmap`, and in chunks by `lax.map`. Every way's losses are held against the loop's first. All run in
one process, in turns.

{sections}
{describe(content["versions"], content["machine"])}.
"""
    write(folder / f"{name}.md", text)
