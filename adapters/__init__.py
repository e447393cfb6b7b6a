"""What turns models and hyperparameters into objectives over flat vectors.

Importing this loads neither torch nor Optuna; each name loads its own library when asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.batched import Batching, SlowPathWarning
    from adapters.flatten import ParameterVector
    from adapters.model import ModelObjective
    from adapters.search_cv import BlackboxSearchCV, EstimatorObjective
    from adapters.space import Bool, Choice, Fixed, Float, Int, Log, LogInt, SearchBox, Space
    from adapters.training import (
        TrainingObjective,
        Trainings,
        hyperband,
        population_based_training,
        successive_halving,
    )
    from adapters.tuning.result import TuneResult
    from adapters.tuning.sampler import BlackboxSampler
    from adapters.tuning.tune import tune

_HOMES = {
    "Batching": "adapters.batched",
    "SlowPathWarning": "adapters.batched",
    "ParameterVector": "adapters.flatten",
    "ModelObjective": "adapters.model",
    "BlackboxSampler": "adapters.tuning.sampler",
    "BlackboxSearchCV": "adapters.search_cv",
    "EstimatorObjective": "adapters.search_cv",
    "TrainingObjective": "adapters.training",
    "Trainings": "adapters.training",
    "TuneResult": "adapters.tuning.result",
    "tune": "adapters.tuning.tune",
    **dict.fromkeys(
        ["hyperband", "population_based_training", "successive_halving"], "adapters.training"
    ),
    **dict.fromkeys(
        ["Bool", "Choice", "Fixed", "Float", "Int", "Log", "LogInt", "SearchBox", "Space"],
        "adapters.space",
    ),
}

__all__ = [
    "Batching",
    "BlackboxSampler",
    "BlackboxSearchCV",
    "Bool",
    "Choice",
    "EstimatorObjective",
    "Fixed",
    "Float",
    "Int",
    "Log",
    "LogInt",
    "ModelObjective",
    "ParameterVector",
    "SearchBox",
    "SlowPathWarning",
    "Space",
    "TrainingObjective",
    "Trainings",
    "TuneResult",
    "hyperband",
    "population_based_training",
    "successive_halving",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home, once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'adapters' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
