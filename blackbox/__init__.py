"""Gradient-free optimization for PyTorch people: ask, tell, minimize.

Importing this loads neither torch nor matplotlib; each method loads its own library when asked for.
"""

from blackbox.algorithms import ALGORITHMS, Method
from blackbox.history import History
from blackbox.lines import JournalError
from blackbox.lr_range import LRRange, lr_range_test
from blackbox.minimize import minimize
from blackbox.optimizer import Optimizer
from blackbox.past import Past, read_journal
from blackbox.ray_executor import RayExecutor
from blackbox.recommend import Recommendation, recommend
from blackbox.result import Result
from blackbox.types import Ask, Problem, Run, Stop, Told

__all__ = [
    "ALGORITHMS",
    "Ask",
    "History",
    "JournalError",
    "LRRange",
    "Method",
    "Optimizer",
    "Past",
    "Problem",
    "RayExecutor",
    "Recommendation",
    "Result",
    "Run",
    "Stop",
    "Told",
    "lr_range_test",
    "minimize",
    "read_journal",
    "recommend",
]
__version__ = "0.1.0"
