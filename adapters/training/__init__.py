"""Many small trainings at once: a population of models, each with its own hyperparameters."""

from adapters.training.evolving import Evolved, population_based_training
from adapters.training.halving import Halving, hyperband, successive_halving
from adapters.training.objective import TrainingObjective
from adapters.training.trainings import Trainings

__all__ = [
    "Evolved",
    "Halving",
    "TrainingObjective",
    "Trainings",
    "hyperband",
    "population_based_training",
    "successive_halving",
]
