"""What results say: curves, runtimes, ranks, tests and words. It reads results and runs nothing.

One file a question; each names its sources.

- `curves`: how the best value fell, with median and band.
- `targets`, `runtime`, `ecdf`, `profiles`: what it took to reach which values.
- `area`: how well a method searches, in one number.
- `matrix`, `ranks`, `wins`: which method is better, on how many problems or seeds.
- `bootstrap`, `verdict`: how sure that is; all of it in words.
- `quantiles`, `steps`: medians where runs failed; step functions.
"""

from experiments.statistics.area import Quality, qualities
from experiments.statistics.bootstrap import (
    Interval,
    difference_interval,
    median_interval,
    ratio_interval,
)
from experiments.statistics.curves import Band, bands, best_at, grid
from experiments.statistics.ecdf import Ecdf, ecdfs
from experiments.statistics.matrix import Matrix, contestants, final_values
from experiments.statistics.profiles import Times, data_profiles, performance_profiles, times
from experiments.statistics.quantiles import median, quantiles
from experiments.statistics.ranks import Ranking, compare_methods
from experiments.statistics.runtime import cost, ert, hits, simulate, success_rate
from experiments.statistics.steps import Steps
from experiments.statistics.targets import Span, spans, targets
from experiments.statistics.verdict import verdict
from experiments.statistics.wins import Wins, wins

__all__ = [
    "Band",
    "Ecdf",
    "Interval",
    "Matrix",
    "Quality",
    "Ranking",
    "Span",
    "Steps",
    "Times",
    "Wins",
    "bands",
    "best_at",
    "compare_methods",
    "contestants",
    "cost",
    "data_profiles",
    "difference_interval",
    "ecdfs",
    "ert",
    "final_values",
    "grid",
    "hits",
    "median",
    "median_interval",
    "performance_profiles",
    "qualities",
    "quantiles",
    "ratio_interval",
    "simulate",
    "spans",
    "success_rate",
    "targets",
    "times",
    "verdict",
    "wins",
]
