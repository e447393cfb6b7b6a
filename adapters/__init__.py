"""What turns models and hyperparameters into objectives over flat vectors.

Importing this loads neither torch nor Optuna; each name loads its own library when asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.batched import Batching, SlowPathWarning
    from adapters.flatten import ParameterVector
    from adapters.model import ModelObjective
    from adapters.space import Bool, Choice, Fixed, Float, Int, Log, LogInt, Space

_HOMES = {
    "Batching": "adapters.batched",
    "SlowPathWarning": "adapters.batched",
    "ParameterVector": "adapters.flatten",
    "ModelObjective": "adapters.model",
    **dict.fromkeys(
        ["Bool", "Choice", "Fixed", "Float", "Int", "Log", "LogInt", "Space"], "adapters.space"
    ),
}

__all__ = [
    "Batching",
    "Bool",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Log",
    "LogInt",
    "ModelObjective",
    "ParameterVector",
    "SlowPathWarning",
    "Space",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home, once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'adapters' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
