"""From the results of a comparison to its pictures: what is drawn, and from which statistics."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.pictures import convergence as lines
from experiments.pictures import finals, ranks, shares, style, training, wins
from experiments.record import AXES, Axis, ProblemInfo, Results
from experiments.report import number
from experiments.sections import ALL, dimensions, sections
from experiments.statistics import curves, ecdf, matrix, profiles
from experiments.statistics.ranks import Ranking, compare_methods
from experiments.statistics.steps import Steps
from experiments.statistics.targets import SOLVED
from experiments.statistics.training import all_courses
from experiments.statistics.wins import wins as win_matrix

TAU = profiles.TAU
PAGE = 24
"""Panels that a page of pictures holds."""


class Picture(NamedTuple):
    """A picture that was drawn.

    Attributes
    ----------
    title, note
        What it shows, and how to read it.
    paths
        Its files, an SVG and a PNG a page.
    """

    title: str
    note: str
    paths: list[Path]

    @property
    def pngs(self) -> list[Path]:
        """The pages as PNG."""
        return [path for path in self.paths if path.suffix == ".png"]


def draw_all(results: Results, folder: Path, axis: Axis) -> Iterator[Picture]:
    """Draw every picture that the results give rise to, one after the other.

    Of more problems than a page holds, it is the report that shows all; here are the curves alone.

    Parameters
    ----------
    results
        At least one record.
    folder
        Where to; it exists.
    axis
        What the budgets are equal in.
    """
    contestants = matrix.contestants(results)
    many = len(results.groups) > PAGE
    for shown in [axis] if many else axes_of(results, axis):
        name = "convergence" + ("" if shown == axis else f"-{shown}")
        yield Picture(
            f"Best value so far, by {AXES[shown]}",
            "Median over runs; the band holds the middle half of them.",
            convergence(results, folder / name, shown),
        )
    if not many:
        yield Picture(
            "Where runs ended",
            "A point a run, the box from quartile to quartile, a cross for a failure.",
            _finals(results, folder / "finals"),
        )
    if len(contestants) > 1 and matrix.final_values(results, axis).complete().pairs:
        yield from _against_each_other(results, folder, axis)
    if seen := all_courses(results, axis):
        panels = [training.Panel(group, lines) for group, lines in seen.items()]
        unit = AXES["passes" if axis == "passes" else "evaluations"]
        looks = style.looks(results.methods)
        yield Picture(
            "Training",
            "Step by step: medians over the runs under way; the band holds the middle half of "
            "them. Of populations, the best of each generation and how far its points lie from "
            "their mean.",
            training.draw_training(panels, folder / "training", looks, xlabel=unit),
        )


def axes_of(results: Results, first: Axis) -> list[Axis]:
    """Return the axes worth showing: passes are evaluations where there were no gradients."""
    gradients = any(record.gradients for record in results.records)
    return list(dict.fromkeys([first, *(a for a in AXES if a != "passes" or gradients)]))


def convergence(results: Results, stem: Path, axis: Axis) -> list[Path]:
    """Draw medians and interquartile bands of the best value so far, a panel a problem."""
    panels: dict[str, lines.Panel] = {}
    for (group, method), band in bands(results, axis).items():
        info = results.info(group)
        panel = panels.setdefault(group, lines.Panel(_title(results, info), [], _optimum(info)))
        drawn: list[lines.Band] = panel.bands  # type: ignore[assignment]
        drawn.append(lines.Band(method, band.spent, band.low, band.middle, band.high))
    distance = all(results.info(group).precision for group in results.groups)
    least = f"distance from the optimum, {number(SOLVED)} at least"
    ylabel = least if distance else "best value so far"
    looks = style.looks(results.methods)
    return lines.draw_convergence(
        list(panels.values()), stem, looks, xlabel=AXES[axis], ylabel=ylabel
    )


def bands(results: Results, axis: Axis, points: int = 200) -> dict[tuple[str, str], curves.Band]:
    """Return medians and quartiles as they are drawn: precisions end where all is solved."""
    found = curves.bands(results, axis, points)
    for (group, method), band in found.items():
        if results.info(group).precision:
            low, middle, high = (np.maximum(part, SOLVED) for part in band[:3])
            found[group, method] = curves.Band(low, middle, high, band.spent)
    return found


def _against_each_other(results: Results, folder: Path, axis: Axis) -> Iterator[Picture]:
    looks = style.looks(results.methods)
    unit = "seconds" if axis == "seconds" else f"{AXES[axis]} / variables"
    yield Picture(
        "Targets hit",
        "The share of (problem, target) pairs reached by then, as COCO has it: with simulated "
        "restarts.",
        shares.draw_ecdf(_distributions(results, axis), folder / "targets", looks, xlabel=unit),
    )
    times = profiles.times(results, TAU, axis)
    if np.isfinite(times.spent).any():
        note = f"Solved: all but {TAU:g} of the gain from the start to the best value is had."
        yield Picture(
            "Performance profile",
            note,
            shares.draw_performance_profile(
                [_profile(profiles.performance_profiles(times))], folder / "performance", looks
            ),
        )
        yield Picture(
            "Data profile",
            note,
            shares.draw_data_profile(
                [_profile(profiles.data_profiles(times, axis))], folder / "data", looks
            ),
        )
    ranking = compare_methods(results, axis)
    yield Picture(
        "Ranks",
        words(ranking),
        ranks.draw_ranks(
            dict(zip(ranking.methods, ranking.average.tolist(), strict=True)),
            ranking.cliques(),
            folder / "ranks",
            looks,
            difference=ranking.critical_difference,
            caption=words(ranking),
        ),
    )
    won = win_matrix(results, axis, methods=ranking.methods)
    yield Picture(
        "Duels",
        "How often the row's method ends better than the column's, from the same start.",
        wins.draw_wins(won.methods, won.share, folder / "wins"),
    )


def words(ranking: Ranking) -> str:
    """Return what ranks were taken over, in a sentence."""
    count = len(ranking.blocks)
    unit = ranking.unit if count != 1 else ranking.unit.rstrip("s")
    return (
        f"Average ranks over {count} {unit}; a bar joins methods that Nemenyi's test does not tell "
        "apart at 5 %."
    )


def _distributions(results: Results, axis: Axis) -> list[shares.Panel]:
    panels = []
    for title, names in dimensions(sections(results)).items():
        found = ecdf.ecdfs(results, axis, problems=names)
        steps = [shares.Steps(name, *one.steps) for name, one in found.items()]
        panels.append(shares.Panel(title, steps, next(iter(found.values())).end))
    return panels


def _profile(found: dict[str, Steps]) -> shares.Panel:
    steps = [shares.Steps(name, *one) for name, one in found.items()]
    return shares.Panel(ALL, steps, None)


def _finals(results: Results, stem: Path) -> list[Path]:
    panels: dict[str, dict[str, list[float]]] = {}
    for (group, method), records in results.by_group().items():
        info = results.problems
        panels.setdefault(group, {})[method] = [
            float(info[r.cell.problem].shown(np.array(r.value))) for r in records
        ]
    drawn = [
        finals.Panel(
            _title(results, results.info(group)),
            {method: np.array(values) for method, values in rows.items()},
            _optimum(results.info(group)),
        )
        for group, rows in panels.items()
    ]
    distance = all(results.info(group).precision for group in panels)
    label = "distance from the optimum in the end" if distance else "value in the end"
    return finals.draw_finals(drawn, stem, style.looks(results.methods), xlabel=label)


def _title(results: Results, info: ProblemInfo) -> str:
    """What a panel is called; beside problems that show values, precisions are called so."""
    mixed = len({results.info(group).precision for group in results.groups}) > 1
    return f"{info.group}, precision" if mixed and info.precision else info.group


def _optimum(info: ProblemInfo) -> float | None:
    """The level to mark: none where the values are distances from it."""
    return None if info.precision else info.optimum
