"""The command ``list``."""

import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from experiments.cli import OK
from experiments.commands.shared import show
from experiments.report import Column, Table, to_json


def listing(options: Namespace) -> int:
    """Show problems and methods."""
    kinds = {"problems": _problems, "methods": _methods}
    chosen = {k: v for k, v in kinds.items() if options.what in (None, k)}
    if options.json:
        sys.stdout.write(to_json({kind: make()[1] for kind, make in chosen.items()}))
    else:
        for make in chosen.values():
            show(make()[0])
    return OK


def _methods() -> tuple[Table, list[dict[str, Any]]]:
    from blackbox import ALGORITHMS

    rows = [
        [
            row.name,
            row.kind,
            row.gradients,
            row.bounds,
            row.constraints,
            "yes" if row.changing else "-",
            "yes" if row.tolerates_failures else "-",
            row.library,
            row.summary,
        ]
        for row in ALGORITHMS.values()
    ]
    titles = ("method", "kind", "gradients", "bounds", "constraints", "changing")
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
        "noise). failures: converges although a quarter of all evaluations fail."
    ]
    plain = [
        {key: value for key, value in asdict(row).items() if key not in ("proof", "where")}
        for row in ALGORITHMS.values()
    ]
    return Table("Methods", columns, rows, notes), plain


def _problems() -> tuple[Table, list[dict[str, Any]]]:
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
    return Table("Problems", columns, rows, notes), plain
