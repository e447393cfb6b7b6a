"""The command ``list``."""

import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from experiments.cli import OK
from experiments.commands.shared import show
from experiments.report import Column, Table, to_json

KINDS = {
    "descent": "Methods: gradient descent",
    "local": "Methods: local search",
    "global": "Methods: global search",
    "baseline": "Methods: baselines",
}
"""How the groups of methods are called."""

Shown = tuple[list[Table], list[dict[str, Any]]]
"""What is shown of a kind of thing, and the same as plain data."""


def listing(options: Namespace) -> int:
    """Show problems and methods."""
    kinds = {"problems": _problems, "methods": _methods}
    chosen = {k: v for k, v in kinds.items() if options.what in (None, k)}
    if options.json:
        sys.stdout.write(to_json({kind: make()[1] for kind, make in chosen.items()}))
    else:
        for make in chosen.values():
            for table in make()[0]:
                show(table)
    return OK


def _methods() -> Shown:
    from blackbox import ALGORITHMS

    groups: dict[str, list[list[str]]] = {title: [] for title in KINDS.values()}
    for row in ALGORITHMS.values():
        kind = "descent" if row.where.startswith("descent.") else row.kind
        groups[KINDS[kind]].append(
            [
                row.name,
                row.gradients,
                row.bounds,
                row.constraints,
                "yes" if row.changing else "-",
                "yes" if row.steady else "-",
                "yes" if row.tolerates_failures else "-",
                row.library,
                row.summary + ("" if row.installed else " (not installed)"),
            ]
        )
    titles = ("method", "gradients", "bounds", "constraints", "changing", "steady")
    columns = [
        *(Column(title, number=False) for title in titles),
        Column("failures", number=False, extra=True),
        Column("library", number=False, extra=True),
        Column("what it is", number=False, extra=True),
    ]
    notes = [
        "gradients: optional: uses the objective's own, else finite differences. bounds: strict: "
        "none needed, never left; required: finite ones. constraints: native: the method's own "
        "way; lagrangian: an augmented Lagrangian around it; penalty: feasible points first. "
        "changing: stands an objective that changes from batch to batch (minibatches, fresh "
        "noise). steady: can take in each value as it comes (minimize(..., steady=True)). "
        "failures: converges although a quarter of all evaluations fail.",
        "Gradient descent takes schedules and clipping among its options: "
        "adam:lr=0.01:clip_norm=1:schedule='warmup(5%) + cosine'.",
    ]
    plain = [
        {key: value for key, value in asdict(row).items() if key not in ("proof", "where")}
        for row in ALGORITHMS.values()
    ]
    tables = [Table(title, columns, rows) for title, rows in groups.items() if rows]
    return [*tables[:-1], tables[-1]._replace(notes=notes)], plain


def _problems() -> Shown:
    from experiments.problems import FAMILIES

    rows, plain = [], []
    for family in FAMILIES.values():
        parameters = [
            f"{name}: {one.meaning} ({one.values.allowed}; default {one.default})"
            for name, one in family.parameters.items()
        ]
        told = ". ".join([family.description, *parameters])
        texts = (family.name, family.variables, family.box, family.optimum, family.cost)
        rows.append([*texts, told, family.source])
        plain.append(
            {
                name: getattr(family, name)
                for name in ("name", "description", "source", "variables", "box", "start")
            }
            | {"optimum": family.optimum, "cost": family.cost}
            | {
                "parameters": {
                    name: {
                        "meaning": one.meaning,
                        "values": one.values.allowed,
                        "default": one.default,
                    }
                    for name, one in family.parameters.items()
                }
            }
        )
    columns = [
        *(Column(name, number=False) for name in ("problem", "variables", "box", "optimum")),
        Column("an evaluation", number=False, extra=True),
        Column("what it is", number=False),
        Column("source", number=False, extra=True),
    ]
    notes = [
        "Parameters follow the name after colons, several values at once: bbob:f=1-24:n=2,5. Your "
        "own: path/to/file.py:function, with its box as an attribute: "
        "function.bounds = [(-5, 5)] * 10."
    ]
    return [Table("Problems", columns, rows, notes)], plain
