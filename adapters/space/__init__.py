"""Hyperparameters as a unit box: what each may be, and the way there and back."""

from adapters.space.box import SearchBox, SpaceObjective
from adapters.space.choices import Bool, Choice, Fixed
from adapters.space.parameter import Parameter
from adapters.space.ranges import Float, Int, Log, LogInt
from adapters.space.space import Params, Space

__all__ = [
    "Bool",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Log",
    "LogInt",
    "Parameter",
    "Params",
    "SearchBox",
    "Space",
    "SpaceObjective",
]
