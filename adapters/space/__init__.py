"""Hyperparameters as a unit box: what each may be, and the way there and back."""

from adapters.space.parameters import (
    Bool,
    Choice,
    Fixed,
    Float,
    Int,
    Log,
    LogInt,
    Parameter,
)
from adapters.space.space import Space

__all__ = ["Bool", "Choice", "Fixed", "Float", "Int", "Log", "LogInt", "Parameter", "Space"]
