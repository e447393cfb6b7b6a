"""What turns models into objectives over flat vectors."""

from adapters.flatten import ParameterVector
from adapters.model import ModelObjective

__all__ = ["ModelObjective", "ParameterVector"]
