"""How reliable runs are: bad input, kills of runs and of workers, and what it costs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from blackbox import ALGORITHMS
from experiments import reliability_costs as costs
from experiments import reliability_inputs as inputs
from experiments import reliability_kills as kills
from experiments import reliability_workers as workers
from experiments.environment import describe, machine, versions
from experiments.reliability_cases import CASES
from experiments.reliability_costs import Cost
from experiments.reliability_inputs import RULE, Outcome
from experiments.reliability_kills import Killed
from experiments.reliability_workers import Shipped, Survived
from experiments.report import Column, Table, number, to_json, write

KILLS = 5
"""Kills of each method, at most: some have ended before. More than 200 in all."""
WORKERS_KILLED = 100
"""Of each engine."""
QUICK = ("cma", "differential_evolution", "l-bfgs-b", "nelder-mead", "pso")
"""Methods of a quick look."""
BAD = ("obscure", "silent", "hang")


@dataclass
class Found:
    """What was found so far.

    Attributes
    ----------
    inputs
        For each method what came of each case; None where it is not for the method.
    kills, costs
        For each method; and each figure.
    survived, shipped, skipped
        What became of runs whose workers were killed, and what large data costs, by engine; the
        engines that are not installed.
    """

    inputs: dict[str, list[Outcome | None]] = field(default_factory=dict)
    kills: list[Killed] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    survived: list[Survived] = field(default_factory=list)
    shipped: list[Shipped] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def broken(self) -> dict[str, list[str]]:
        """What is not as it should be, part by part, as sentences."""
        bad = [
            f"{name}, {case.name}: {outcome.kind} ({outcome.said})"
            for name, outcomes in self.inputs.items()
            for case, outcome in zip(CASES, outcomes, strict=True)
            if outcome is not None and outcome.kind in BAD
        ]
        return {
            "bad-input": bad,
            "kills": [f"{one.method}, killed: {one}" for one in self.kills if not one.kept],
            "workers": [f"{one.engine}, killed: {one}" for one in self.survived if not one.kept],
        }

    def missed(self) -> dict[str, list[str]]:
        """Goals that were missed, part by part, as sentences."""
        return {
            "costs": [
                f"{one.name}: {number(one.value)} {one.unit}, the goal is {number(one.goal)}"
                for one in self.costs
                if not one.kept
            ],
            "workers": [
                f"{one.engine} sends data again: {one}" for one in self.shipped if not one.kept
            ],
        }


class Step(NamedTuple):
    """A piece of the work: which part it is of, what to call it, what to do."""

    part: str
    label: str
    run: Callable[[Found], None]


def steps(quick: bool, only: Sequence[str] = ()) -> list[Step]:
    """Return the work, step by step; where parts are named, see `experiments.arguments`, theirs."""
    names = [row.name for row in ALGORITHMS.values() if row.installed]
    names = [name for name in names if name in QUICK] if quick else names

    def try_inputs(name: str) -> Callable[[Found], None]:
        def run(found: Found) -> None:
            found.inputs[name] = list(inputs.try_all(name))

        return run

    def kill(pair: Sequence[str]) -> Callable[[Found], None]:
        def run(found: Found) -> None:
            with ThreadPoolExecutor(2) as pool:
                often = [1 if quick else KILLS] * len(pair)
                found.kills += pool.map(kills.kill_often, pair, often)

        return run

    def measure(topic: str) -> Callable[[Found], None]:
        def run(found: Found) -> None:
            found.costs += costs.measure(topic, quick)

        return run

    def kill_workers(engine: str) -> Callable[[Found], None]:
        def run(found: Found) -> None:
            if not workers.is_there(engine):
                found.skipped.append(engine)
                return
            found.shipped.append(workers.ship_data(engine))
            found.survived.append(workers.kill_workers(engine, 3 if quick else WORKERS_KILLED))

        return run

    pairs = [names[i : i + 2] for i in range(0, len(names), 2)]
    found = [
        *(Step("costs", f"costs: {topic}", measure(topic)) for topic in costs.TOPICS),
        *(Step("bad-input", f"bad input: {name}", try_inputs(name)) for name in names),
        *(Step("kills", f"kills: {', '.join(pair)}", kill(pair)) for pair in pairs),
        *(Step("workers", f"workers: {name}", kill_workers(name)) for name in workers.ENGINES),
    ]
    return [step for step in found if not only or step.part in only]


def work(parts: Sequence[Step], found: Found) -> Iterator[str]:
    """Do the work; give the label of each part when it is done."""
    for part in parts:
        part.run(found)
        yield part.label


def input_tables(found: Mapping[str, list[Outcome | None]]) -> list[Table]:
    """Return what came of bad input: by method, by case, and one by one where it is bad."""
    kinds = list(RULE)
    heads = [*(Column(kind) for kind in kinds), Column("not for it")]

    def row(name: str, outcomes: Sequence[Outcome | None]) -> list[str]:
        counts = Counter("not for it" if o is None else o.kind for o in outcomes)
        return [name, *(str(counts[kind]) for kind in [*kinds, "not for it"])]

    total = [outcome for outcomes in found.values() for outcome in outcomes]
    methods = [row("all methods", total), *(row(name, found[name]) for name in found)]
    cases = [
        row(case.name, [outcomes[i] for outcomes in found.values()]) for i, case in enumerate(CASES)
    ]
    notes = [f"{kind}: {meaning}." for kind, meaning in RULE.items()]
    return [
        Table("By method", [Column("method", number=False), *heads], methods, notes, best=[0]),
        Table("By case, over all methods", [Column("case", number=False), *heads], cases),
    ]


def kill_table(found: Sequence[Killed]) -> Table:
    """Return what kills did, method by method."""
    titles = ["kills", "recorded", "evaluated", "again", "largest batch", "twice", "same end"]
    columns = [Column("method", number=False), *(Column(title) for title in titles)]
    rows = [
        [
            *(one.method, str(one.kills), str(one.recorded), str(one.evaluated)),
            *(str(one.evaluated - one.recorded), str(one.in_flight), str(one.twice)),
            "yes" if one.same else "NO",
        ]
        for one in found
    ]
    count, again = sum(one.kills for one in found), sum(o.evaluated - o.recorded for o in found)
    notes = [
        f"{count} kills by SIGKILL of the process, at random moments; {again} evaluations were "
        "made again: those in flight.",
        "same end: point, value, message, counts and every improvement are those of a run that "
        "nobody killed, bit for bit.",
        "recorded, evaluated: evaluations in the journal, and those that the objective saw in all "
        "lives together. twice: evaluations in the journal beyond those of the run.",
    ]
    return Table("Kills", columns, rows, notes)


def worker_tables(found: Found) -> list[Table]:
    """Return what kills of workers did, and what large data costs, engine by engine."""
    titles = ["kills", "told", "budget", "lost", "counted", "twice", "others right", "seconds"]
    columns = [Column("engine", number=False), *map(Column, titles), Column("watchdog")]
    rows = [
        [
            *(one.engine, str(one.kills), str(one.told), str(one.budget), str(one.lost)),
            *(str(one.counted), str(one.twice), "yes" if one.same else "NO"),
            *(number(one.seconds), "FIRED" if one.watchdog else "silent"),
        ]
        for one in found.survived
    ]
    kills = sum(one.kills for one in found.survived)
    notes = [
        f"{kills} kills by SIGKILL of processes that evaluate, at random moments of an evaluation; "
        f"two of them at a time, runs of {workers.BUDGET} evaluations one after another.",
        "lost: evaluations given up, as all tries were hit (two; dask itself tries four times, and "
        "holds those that waited at a worker for suspect as well); counted: failures in the "
        "histories. twice: evaluations in the journals beyond one for each point. others right: "
        "their points and values are those of a run alone, bit for bit.",
        f"The watchdog ends runs without a new evaluation for {workers.WATCHDOG:.0f} s.",
        *(f"Skipped, as it is not installed: {name}." for name in found.skipped),
    ]
    heads = [Column("engine", number=False), Column("MB"), Column("first batch, s")]
    heads += [Column("ms a task later"), Column("without data")]
    costs = [
        [
            *(one.engine, str(one.megabytes), number(one.first)),
            number(one.later) + ("" if one.kept else " (missed)"),
            number(one.alone),
        ]
        for one in found.shipped
    ]
    again = [
        "An objective that holds an array; the first batch takes it to each worker. Batches of 60 "
        f"points, the fastest counts; the goal is at most {workers.CARRIED:.0f} ms more a task."
    ]
    return [
        Table("Workers killed", columns, rows, notes),
        Table("Large data is shipped once", heads, costs, again),
    ]


def cost_table(found: Sequence[Cost]) -> Table:
    """Return the figures and their goals."""
    columns = [Column("what", number=False), Column("measured"), Column("goal"), Column("unit")]
    rows = [
        [
            one.name,
            number(one.value) + ("" if one.kept else " (missed)"),
            "" if one.goal is None else f"<= {number(one.goal)}",
            one.unit,
        ]
        for one in found
    ]
    notes = [
        "Times are processor time, as others may have been at work on the machine; those of "
        "timeout= and of the hang are by the clock."
    ]
    return Table("Costs", columns, rows, notes)


def tables(found: Found) -> list[Table]:
    """Return what a terminal shows of what was found."""
    shown = [cost_table(found.costs)] if found.costs else []
    shown += input_tables(found.inputs)[:1] if found.inputs else []
    shown += [kill_table(found.kills)] if found.kills else []
    return shown + (worker_tables(found) if found.survived or found.skipped else [])


def summary(found: Found, command: str) -> dict[str, Any]:
    """Return everything, ready for JSON."""
    return {
        "command": command,
        "versions": versions("nlopt", "distributed", "ray"),
        "machine": machine(),
        "rule": RULE,
        "inputs": {
            case.name: {
                kind: [
                    name
                    for name, outcomes in found.inputs.items()
                    if (o := outcomes[i]) is not None and o.kind == kind
                ]
                for kind in RULE
            }
            | {"said": _said([outcomes[i] for outcomes in found.inputs.values()])}
            for i, case in enumerate(CASES)
        },
        "kills": [one._asdict() for one in found.kills],
        "costs": [one._asdict() for one in found.costs],
        "workers": {
            "survived": [one._asdict() for one in found.survived],
            "shipped": [one._asdict() for one in found.shipped],
            "skipped": found.skipped,
        },
        "broken": _all(found.broken()),
        "missed": _all(found.missed()),
    }


def _said(outcomes: Sequence[Outcome | None]) -> list[str]:
    """Return the errors of a case, each once and a few of them."""
    said = [o.said for o in outcomes if o is not None and o.kind != "ok"]
    return list(dict.fromkeys(said))[:3]


def save(found: Found, folder: Path, content: Mapping[str, Any]) -> None:
    """Write a page and a file for machines for each part that was done."""
    folder.mkdir(parents=True, exist_ok=True)
    made = describe(content["versions"], content["machine"])
    shared = ("command", "versions", "machine")
    parts: list[tuple[str, str, str, list[Table]]] = []
    if found.inputs:
        parts.append(("bad-input", "inputs", "Bad input", input_tables(found.inputs)))
    if found.kills:
        parts.append(("kills", "kills", "Kills", [kill_table(found.kills)]))
    if found.costs:
        parts.append(("costs", "costs", "What it costs", [cost_table(found.costs)]))
    if found.survived:
        parts.append(("workers", "workers", "Workers that are killed", worker_tables(found)))
    for stem, key, title, shown in parts:
        own = {name: content[name] for name in (*shared, key)}
        own |= {"rule": RULE} if key == "inputs" else {}
        write(folder / f"{stem}.json", to_json(own))
        body = "\n".join(f"## {table.title}\n\n{table.markdown()}" for table in shown)
        write(
            folder / f"{stem}.md",
            f"# {title}\n\nMade by `{content['command']}`; all figures are in `{stem}.json`. "
            f"{_verdict(found, stem)}\n\n{body}\n{made}.\n",
        )


def _verdict(found: Found, part: str) -> str:
    wrong, missed = found.broken().get(part, []), found.missed().get(part, [])
    if wrong:
        return f"Not as it should be: {'; '.join(wrong)}."
    if missed:
        return f"Missed: {'; '.join(missed)}."
    if part == "costs":
        return "All goals are met."
    if part == "bad-input":
        return "0 hangs, 0 silent, 0 obscure."
    if part == "kills":
        return "Nothing was lost."
    lost = sum(one.lost for one in found.survived)
    return f"No run hung, and none came short; {lost} evaluations were lost, and counted as such."


def _all(sentences: Mapping[str, list[str]]) -> list[str]:
    return [each for part in sentences.values() for each in part]
