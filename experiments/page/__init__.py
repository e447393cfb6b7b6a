"""A comparison's results as one HTML file that can be sent to a colleague.

`content_from` builds what is shown from results and their statistics, `write_page` writes it.
"""

from experiments.page.build import content_from
from experiments.page.content import (
    Chart,
    DataColumn,
    DataTable,
    Drawing,
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
from experiments.page.write import write_page

__all__ = [
    "Chart",
    "DataColumn",
    "DataTable",
    "Drawing",
    "Line",
    "MethodInfo",
    "PageContent",
    "Panel",
    "Ranks",
    "Shown",
    "StaticFigure",
    "View",
    "Wins",
    "content_from",
    "write_page",
]
