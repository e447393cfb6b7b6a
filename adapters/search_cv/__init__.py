"""scikit-learn: an estimator's parameters as an objective, and a search class as its own are."""

from adapters.search_cv.objective import EstimatorObjective
from adapters.search_cv.search import BlackboxSearchCV

__all__ = ["BlackboxSearchCV", "EstimatorObjective"]
