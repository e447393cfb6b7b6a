"""How reliable the methods are: bad input, kills, and what it costs not to lose anything."""

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
from experiments.environment import describe, machine, versions
from experiments.reliability_cases import CASES
from experiments.reliability_costs import Cost
from experiments.reliability_inputs import RULE, Outcome
from experiments.reliability_kills import Killed
from experiments.report import Column, Table, number, to_json, write

KILLS = 5
"""Kills of each method, at most: some have ended before. More than 200 in all."""
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
    """

    inputs: dict[str, list[Outcome | None]] = field(default_factory=dict)
    kills: list[Killed] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def broken(self) -> list[str]:
        """What is not as it should be, as sentences."""
        sentences = [
            f"{name}, {case.name}: {outcome.kind} ({outcome.said})"
            for name, outcomes in self.inputs.items()
            for case, outcome in zip(CASES, outcomes, strict=True)
            if outcome is not None and outcome.kind in BAD
        ]
        return sentences + [f"{one.method}, killed: {one}" for one in self.kills if not one.kept]

    def missed(self) -> list[str]:
        """Goals of costs that were missed, as sentences."""
        return [
            f"{one.name}: {number(one.value)} {one.unit}, the goal is {number(one.goal)}"
            for one in self.costs
            if not one.kept
        ]


class Step(NamedTuple):
    """A part of the work."""

    label: str
    run: Callable[[Found], None]


def steps(quick: bool) -> list[Step]:
    """Return the work, part by part."""
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

    pairs = [names[i : i + 2] for i in range(0, len(names), 2)]
    return [
        *(Step(f"costs: {topic}", measure(topic)) for topic in costs.TOPICS),
        *(Step(f"bad input: {name}", try_inputs(name)) for name in names),
        *(Step(f"kills: {', '.join(pair)}", kill(pair)) for pair in pairs),
    ]


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
    return shown + ([kill_table(found.kills)] if found.kills else [])


def summary(found: Found, command: str) -> dict[str, Any]:
    """Return everything, ready for JSON."""
    return {
        "command": command,
        "versions": versions("nlopt"),
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
        "broken": found.broken(),
        "missed": found.missed(),
    }


def _said(outcomes: Sequence[Outcome | None]) -> list[str]:
    """Return the errors of a case, each once and a few of them."""
    said = [o.said for o in outcomes if o is not None and o.kind != "ok"]
    return list(dict.fromkeys(said))[:3]


def save(found: Found, folder: Path, content: Mapping[str, Any]) -> None:
    """Write a page and a file for machines for each of the three parts."""
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
    for stem, key, title, shown in parts:
        own = {name: content[name] for name in (*shared, key)}
        own |= {"rule": RULE} if key == "inputs" else {}
        write(folder / f"{stem}.json", to_json(own))
        body = "\n".join(f"## {table.title}\n\n{table.markdown()}" for table in shown)
        write(
            folder / f"{stem}.md",
            f"# {title}\n\nMade by `{content['command']}`; all figures are in `{stem}.json`. "
            f"{_verdict(found, key)}\n\n{body}\n{made}.\n",
        )


def _verdict(found: Found, key: str) -> str:
    if key == "costs":
        missed = found.missed()
        return f"Missed: {'; '.join(missed)}." if missed else "All goals are met."
    wrong = [s for s in found.broken() if (", killed: " in s) == (key == "kills")]
    if wrong:
        return f"Not as it should be: {'; '.join(wrong)}."
    good = "0 hangs, 0 silent, 0 obscure" if key == "inputs" else "Nothing was lost"
    return f"{good}."
