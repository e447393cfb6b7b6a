import numpy as np
import pytest

from experiments.page import (
    Chart,
    DataColumn,
    DataTable,
    Line,
    MethodInfo,
    PageContent,
    Panel,
    Ranks,
    Shown,
    StaticFigure,
    View,
    Wins,
)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000")
AXES = ("evaluations", "forward passes", "seconds")


def make_content(names=("adam", "cma", "pso"), problems=("one", "two"), points=30, zero=False):
    """Content with every section; later methods are worse, later problems higher."""
    methods = [
        MethodInfo(name, name, COLOURS[i % 4], (6.0, 2.0) if i % 2 else ())
        for i, name in enumerate(names)
    ]
    spent = np.unique(np.geomspace(1, 1000, points).round())
    panels = []
    for p, problem in enumerate(problems):
        views = []
        for axis in AXES:
            lines = {}
            for i, name in enumerate(names):
                middle = 10.0 ** (p % 5 + i) / spent
                if zero and i == 0:
                    middle[-3:] = 0
                lines[name] = Line(spent, middle, middle / 2, middle * 2)
            views.append(View(axis, axis, "best value so far", lines))
        panels.append(Panel(problem, views, f"about {problem}"))
    share = np.linspace(0, 1, len(spent))
    reached = {name: Line(spent, share / (i + 1)) for i, name in enumerate(names)}
    ecdf = View("evaluations", "evaluations / n", "share", reached, log_y=False, rising=True)
    columns = [
        DataColumn("problem", "panel"),
        DataColumn("method", "method"),
        DataColumn("median", best="low"),
        DataColumn("quartiles"),
    ]
    finals = [5.0, np.inf, 0.25, np.nan, 12.0, -3.0]
    rows = [
        [problem, name, finals[(i + len(names) * p) % 6], Shown("1 – 2", 1.0)]
        for p, problem in enumerate(problems)
        for i, name in enumerate(names)
    ]
    shares = np.full((len(names), len(names)), 0.75)
    return PageContent(
        title="A title",
        verdict="adam is best.",
        facts=[("Seeds", "3")],
        methods=methods,
        charts=[
            Chart("Convergence", panels, "Medians.", "experiments compare"),
            Chart("Runtimes", [Panel("all", [ecdf])]),
        ],
        tables=[DataTable("Results", columns, rows, within="problem")],
        ranks=Ranks({name: 1.0 + i for i, name in enumerate(names)}, 1.2, [names[:2]], "Friedman."),
        wins=Wins(names, shares),
        figures=[StaticFigure("Picture", "<svg xmlns='http://www.w3.org/2000/svg'/>", "draw it")],
        failures=DataTable(
            "Failures",
            [DataColumn("method", "method"), DataColumn("why", "text")],
            [[names[0], "no bounds"]],
        ),
        notes=["The same starts."],
        command="experiments compare one",
        versions={"python": "3.11"},
        machine={"cores": 2, "blas": ""},
    )


@pytest.fixture
def make():
    return make_content
