"""From a tuning's result to what its page shows."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.space import Choice, Fixed
from experiments import page
from experiments.page.numbers import readable
from experiments.tuning.drawings import (
    Tried,
    draw_history,
    draw_importance,
    draw_parallel,
    draw_slices,
    written,
)

if TYPE_CHECKING:
    from adapters.tuning.result import TuneResult

Cells = list[page.content.TableCell]


def tried(result: "TuneResult") -> Tried:
    """Return the trials of a result, as they are drawn."""
    table = result.trials
    return Tried(
        result.space,
        table["number"].tolist(),
        table["value"].to_numpy(float),
        table["state"].tolist(),
        [result.params_of(trial) for trial in result.finished],
        result.study.direction.name == "MINIMIZE",
    )


def verdict(result: "TuneResult") -> str:
    """Say what came out, in a sentence or two."""
    try:
        best = result.best_trial
    except ValueError as error:
        text = str(error)
        return f"{text[:1].upper()}{text[1:]}."
    listed = ", ".join(f"{name} = {written(v)}" for name, v in result.best_params.items())
    return (
        f"{readable(result.best_value)} is the best value of {result.n_trials} trials, that of "
        f"trial {best.number}: {listed}."
    )


def facts(result: "TuneResult") -> list[tuple[str, str]]:
    """Return names and values: how many trials, of which method, in which time."""
    states = Counter(result.trials["state"])
    listed = ", ".join(f"{states[s]} {s}" for s in ("complete", "pruned", "failed") if states[s])
    found = [
        (
            "Trials",
            f"{result.n_trials:,} ({listed})" if len(states) > 1 else f"{result.n_trials:,}",
        ),
        ("Direction", result.study.direction.name.lower()),
        ("Method", result.method),
        ("Seed", f"{result.seed}"),
    ]
    found += [("Epochs", f"{result.steps:,}")] if result.steps else []
    return [*found, ("Time", spoken(busy_seconds(result)))]


def busy_seconds(result: "TuneResult") -> float:
    """Return how long anything was trained: trials side by side count once, breaks do not."""
    spans = sorted(
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        for trial in result.finished
        if trial.datetime_start is not None and trial.datetime_complete is not None
    )
    total, until = 0.0, -math.inf
    for begin, end in spans:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def spoken(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def importance(result: "TuneResult") -> dict[str, float]:
    """Return shares by parameter, the largest first; empty where nothing can be said."""
    try:
        return result.importance()
    except (ValueError, RuntimeError):  # too few trials, or no parameter that is always active
        return {}


def content(
    result: "TuneResult",
    shares: Mapping[str, float],
    *,
    name: str,
    command: str,
    notes: list[str],
    versions: Mapping[str, str],
    machine: Mapping[str, Any],
) -> page.PageContent:
    """Return what a tuning's page shows.

    Parameters
    ----------
    result
        At least one trial is done.
    shares
        Its `importance`.
    name
        The study's.
    command, notes, versions, machine
        What made it.
    """
    shown = tried(result)
    why = f"Method: {result.method}, {result.why}."
    stopped = [f"It ended because {result.stopped}."] if result.stopped else []
    return page.PageContent(
        title=f"Tuning {name}",
        verdict=verdict(result),
        facts=facts(result),
        drawings=_drawings(shown, shares),
        tables=[_parameters(result, shares), _trials(result, shown)],
        failures=_failures(result),
        notes=[why, *stopped, *notes],
        command=command,
        versions=versions,
        machine=machine,
    )


def _drawings(shown: Tried, shares: Mapping[str, float]) -> list[page.Drawing]:
    if not shown.complete:
        return []
    found = [
        page.Drawing(
            "History",
            draw_history(shown),
            "A dot is a trial, the line is the best so far. Hollow dots were stopped early, "
            "crosses failed; values much worse than most lie at the edge.",
        )
    ]
    if shares:
        found.append(
            page.Drawing(
                "Importance",
                draw_importance(shares),
                "How much of the spread of the values each parameter explains: functional ANOVA on "
                "a random forest (Hutter et al. 2014). Few trials, or trials that keep to one "
                "region, say little.",
            )
        )
    return [
        *found,
        page.Drawing(
            "Parallel coordinates",
            draw_parallel(shown),
            "A line is a complete trial, the stronger the better; the best is in another colour.",
        ),
        page.Drawing(
            "Slices",
            draw_slices(shown),
            "The value over each parameter. Later trials are stronger; the best is ringed.",
        ),
    ]


def _parameters(result: "TuneResult", shares: Mapping[str, float]) -> page.DataTable:
    columns = [
        page.DataColumn("parameter", "text"),
        page.DataColumn("best", "text"),
        page.DataColumn("searched", "text"),
        page.DataColumn("importance"),
    ]
    try:
        best = result.best_params
    except ValueError:
        best = {}
    rows: list[Cells] = []
    for name, parameter in result.space.parameters.items():
        share = shares.get(name, math.nan)
        rows.append(
            [
                name,
                f"{best[name]!r}" if name in best else "–",
                "constant" if isinstance(parameter, Fixed) else repr(parameter),
                page.Shown("–" if math.isnan(share) else f"{share:.0%}", share),
            ]
        )
    return page.DataTable("Best parameters", columns, rows, "As they were trained, all digits.")


def _trials(result: "TuneResult", shown: Tried) -> page.DataTable:
    table = result.trials
    space = result.space
    names = shown.searched
    has_steps, has_reasons = bool(table["steps"].any()), bool((table["reason"] != "").any())
    columns = [
        page.DataColumn("trial"),
        page.DataColumn("value", best="low" if shown.down else "high"),
        page.DataColumn("state", "text"),
        *(page.DataColumn(n, "text" if isinstance(space[n], Choice) else "number") for n in names),
        *([page.DataColumn("epochs")] if has_steps else []),
        page.DataColumn("seconds"),
        *([page.DataColumn("reason", "text")] if has_reasons else []),
    ]
    rows: list[Cells] = []
    for row, given in zip(table.to_dict("records"), shown.params, strict=True):
        pruned = row["state"] == "pruned"
        value: page.content.TableCell = float(row["value"])
        if pruned:  # not one that competes for the best
            value = page.Shown(readable(float(row["value"])), math.nan)
        params: Cells = [
            (written(given[n]) if isinstance(space[n], Choice) else given[n])
            if n in given
            else None
            for n in names
        ]
        rows.append(
            [
                row["number"],
                value,
                row["state"],
                *params,
                *([row["steps"]] if has_steps else []),
                float(f"{row['seconds']:.3g}"),
                *([row["reason"]] if has_reasons else []),
            ]
        )
    note = "All that was tried; the best value in bold."
    if "pruned" in shown.states:
        note += " The value of a trial that was stopped early is its last one."
    return page.DataTable("Trials", columns, rows, note)


def _failures(result: "TuneResult") -> page.DataTable | None:
    found: dict[str, list[int]] = {}
    for row in result.trials.to_dict("records"):
        if row["state"] == "failed":
            found.setdefault(row["reason"], []).append(row["number"])
    if not found:
        return None
    columns = [
        page.DataColumn("why", "text"),
        page.DataColumn("trials"),
        page.DataColumn("which", "text"),
    ]
    rows: list[Cells] = [
        [why, len(which), ", ".join(map(str, which[:12])) + (", …" if len(which) > 12 else "")]
        for why, which in found.items()
    ]
    return page.DataTable("Failed trials", columns, rows, "They count in the budget.")
