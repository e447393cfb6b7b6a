"""Many small trainings at once: a population of models, each with its own hyperparameters."""

from adapters.training.objective import TrainingObjective
from adapters.training.trainings import Trainings

__all__ = ["TrainingObjective", "Trainings"]
