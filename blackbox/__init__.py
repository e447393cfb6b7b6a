"""Gradient-free optimization for PyTorch people: ask, tell, minimize.

Importing this loads neither torch nor matplotlib; each method loads its own library when asked for.
"""

from blackbox.algorithms import ALGORITHMS, Method
from blackbox.history import History
from blackbox.minimize import Result, minimize
from blackbox.optimizer import Optimizer
from blackbox.recommend import Recommendation, recommend
from blackbox.types import Ask, Problem, Run, Stop, Told

__all__ = [
    "ALGORITHMS",
    "Ask",
    "History",
    "Method",
    "Optimizer",
    "Problem",
    "Recommendation",
    "Result",
    "Run",
    "Stop",
    "Told",
    "minimize",
    "recommend",
]
__version__ = "0.1.0"
