"""What turns models into objectives over flat vectors."""

from adapters.batched import Batching, SlowPathWarning
from adapters.flatten import ParameterVector
from adapters.model import ModelObjective

__all__ = ["Batching", "ModelObjective", "ParameterVector", "SlowPathWarning"]
