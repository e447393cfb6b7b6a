"""The reproduction on disk: figures, a page, and JSON. Reads results, runs nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.environment import describe, machine, versions
from experiments.pictures import article as pictures
from experiments.problems import article
from experiments.report import Column, Table, to_json, write
from experiments.reproduce import ENTRIES, Outcome, Reproduction


def save(found: Reproduction, folder: Path, command: str) -> dict[str, Any]:
    """Write everything into a folder and return what ``results.json`` holds.

    Parameters
    ----------
    found
        What was found.
    folder
        Is made where it is not there.
    command
        The command that makes the same again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _draw(found, folder)
    content = summary(found, command)
    write(folder / "results.json", to_json(content))
    write(folder / "README.md", page(found, content))
    return content


def table(found: Reproduction) -> Table:
    """Return published against ours."""
    checks = {check.name: check for check in found.checks()}
    rows = []
    for outcome in found.outcomes:
        entry = outcome.entry
        check = checks.get(entry.label)
        difference = outcome.value - entry.published
        if check is None:
            verdict = f"percentile {found.cma_percentile:.0f}"
        elif check.ours != outcome.value:
            verdict = "by median *"
        else:
            verdict = "yes" if check.passed else "NO"
        rows.append(
            [
                entry.label,
                f"{entry.published:.8g}",
                f"{outcome.value:.8g}",
                f"{difference:+.1e}" if difference else "0",
                f"{outcome.evaluations:,}",
                f"{outcome.gradients:,}",
                f"{outcome.seconds:.2f}",
                verdict,
            ]
        )
    columns = [
        Column("method", number=False),
        *map(Column, ("published", "here", "difference", "evaluations")),
        Column("gradients", extra=True),
        Column("seconds", extra=True),
        Column("matches", number=False),
    ]
    return Table("Final losses: published and here", columns, rows, _notes(found))


def _notes(found: Reproduction) -> list[str]:
    notes = [
        f"CMA-ES can't be matched on another LAPACK: of {len(found.cma)} seeds here, "
        f"{found.cma_percentile:.0f} % end at or below the published loss."
    ]
    annealing = next(c for c in found.checks() if c.name == "Dual annealing")
    own = next(o.value for o in found.outcomes if o.entry.method == "dual_annealing")
    if annealing.ours != own:
        notes.append(
            "* Rounding decides which path annealing takes, so the processor does: "
            f"{_share(found)} (median {annealing.ours:.8g})."
        )
    return notes


def _share(found: Reproduction) -> str:
    entry = next(e for e in ENTRIES if e.method == "dual_annealing")
    assert entry.tolerance is not None
    near = np.abs(found.annealing / entry.published - 1) <= entry.tolerance
    return (
        f"with the data's rows in other orders {near.sum()} of {len(near)} runs end at the "
        "published loss"
    )


def page(found: Reproduction, content: Mapping[str, Any]) -> str:
    """Return the page that explains the results."""
    every = {o.entry.method: o for o in found.outcomes}
    slsqp = every["slsqp"]
    quantities = "; ".join(f"{e.label}: {e.quantity}" for e in ENTRIES)
    low, middle, high = np.percentile(found.cma, [25, 50, 75])
    stuck = 100 * np.mean(found.cma > 1000)
    return f"""# The article's experiment, again

Five methods train one network of ten parameters, as in "Advanced optimizers for PyTorch" (2024).
Made by `{content["command"]}`; the numbers are in `results.json`.

{table(found).markdown()}
What the article calls the final loss: {quantities}.

- **CMA-ES** depends on the signs and order of eigenvectors, so on the linear algebra library: its
  published loss is one draw from a wide distribution. Over {len(found.cma)} seeds the final loss
  has the median {middle:.3g} and the quartiles {low:.3g} and {high:.3g};
  {found.cma_percentile:.0f} % of the runs end at or below the published {_published("cma"):.4g},
  and {stuck:.0f} % are still above 1000.
- **Dual annealing** depends on the last bits of the loss: {_share(found)}.
- **SLSQP**'s curve in the article's figure goes down to {slsqp.every[-1]:.4g}, below the loss it
  returns, {slsqp.value:.4g}: the figure counts the points of finite differences as progress.

![The article's figure](figure.png)

The article's figure stretches every curve over the same hundred "iterations", though they cost
between 100 and 10,100 evaluations. The same runs by what they cost, the best loss that the method
itself holds (points of finite differences aside); a gradient by backpropagation counts as two
forward passes more:

![By evaluations](evaluations.png)

![By passes and seconds](cost.png)

![CMA-ES over seeds](cma.png)

{describe(content["versions"], content["machine"])}.
"""


def summary(found: Reproduction, command: str) -> dict[str, Any]:
    """Return all numbers, ready for JSON."""
    return {
        "command": command,
        "versions": versions(),
        "machine": machine(),
        "start": {"seed": article.SEED, "x": article.start(), "loss": found.start_loss},
        "optimum": article.OPTIMUM,
        "passed": all(check.passed for check in found.checks()),
        "checks": [
            {
                "name": check.name,
                "published": check.published,
                "here": check.ours,
                "tolerance": check.tolerance,
                "passed": check.passed,
                "note": check.note,
            }
            for check in found.checks()
        ],
        "methods": [_outcome(outcome) for outcome in found.outcomes],
        "cma": {
            "seeds": {"first": 0, "count": len(found.cma)},
            "published_percentile": found.cma_percentile,
            "quartiles": np.percentile(found.cma, [25, 50, 75]),
            "losses": found.cma,
        },
        "annealing_row_orders": {
            "seeds": {"first": 0, "count": len(found.annealing)},
            "losses": found.annealing,
        },
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "method": outcome.entry.method,
        "quantity": outcome.entry.quantity,
        "published": outcome.entry.published,
        "here": outcome.value,
        "evaluations": outcome.evaluations,
        "gradients": outcome.gradients,
        "seconds": round(outcome.seconds, 4),
        "lowest_evaluated": float(outcome.every[-1]),
        "curve": {name: outcome.curve[name] for name in ("evaluations", "gradients", "values")},
    }


def _published(method: str) -> float:
    return next(e.published for e in ENTRIES if e.method == method)


def _draw(found: Reproduction, folder: Path) -> None:
    pictures.article({o.entry.label: o.every for o in found.outcomes}, folder / "figure.png")
    pictures.losses(
        {"evaluations": [_curve(o, "evaluations") for o in found.outcomes]},
        folder / "evaluations.png",
        title="The same runs by evaluations",
        optimum=article.OPTIMUM,
    )
    pictures.losses(
        {
            "forward-pass equivalents (value 1, gradient +2)": [
                _curve(o, "passes") for o in found.outcomes
            ],
            "seconds": [_curve(o, "seconds") for o in found.outcomes],
        },
        folder / "cost.png",
        title="The same runs by forward passes and by time",
        optimum=article.OPTIMUM,
    )
    pictures.distribution(
        found.cma,
        folder / "cma.png",
        title=f"CMA-ES: final loss over {len(found.cma)} seeds",
        published=_published("cma"),
        percentile=found.cma_percentile,
        optimum=article.OPTIMUM,
    )


def _curve(outcome: Outcome, against: str) -> pictures.Curve:
    spent, end = outcome.curve.get(against), getattr(outcome, against, 0.0)
    if against == "passes":
        spent = outcome.curve["evaluations"] + 2 * outcome.curve["gradients"]
        end = outcome.evaluations + 2 * outcome.gradients
    assert spent is not None
    best = outcome.curve["values"]
    return pictures.Curve(outcome.entry.method, outcome.entry.label, spent, best, float(end))
