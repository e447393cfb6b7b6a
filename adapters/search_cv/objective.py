"""A cross-validated estimator as a function of its parameters."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv, cross_val_score

from adapters.space import Space

_ALL_FAILED = "fits failed.\nIt is very likely"


def as_space(given: Any, estimator: Any) -> Space:
    """Return the space that a search of an estimator's parameters was given.

    Parameters
    ----------
    given
        A `Space`; or a dictionary of parameters, ``scipy.stats`` distributions and lists.
    estimator
        Whose parameters they are.

    Raises
    ------
    TypeError, ValueError
        If it is none, or the estimator has no parameter of a name.
    """
    if not isinstance(given, (Space, Mapping)):
        raise TypeError(
            f"space must be a Space, or a dictionary from parameters of the estimator to ranges, "
            f"distributions or lists; got {given!r:.60}"
        )
    space = given if isinstance(given, Space) else Space.from_sklearn(given)
    has = estimator.get_params(deep=True)
    for name in space:
        # What a step that is searched itself has is known only once it is there.
        step, nested, _ = name.partition("__")
        if name not in has and not (nested and step in space):
            raise ValueError(
                f"space: {type(estimator).__name__} has no parameter {name!r}; it has "
                f"{', '.join(sorted(has))}"
            )
    return space


class EstimatorObjective:
    """Minus the mean test score of an estimator, as a function of its parameters: lower is better.

    Takes parameters by name, as `adapters.tune` gives them, or a point of the unit box, as
    `blackbox.minimize` does. The same folds every time.

    Parameters
    ----------
    estimator
        Of scikit-learn's kind; it is cloned, never changed.
    X, y
        Its data.
    space
        As `BlackboxSearchCV` takes it.
    cv, scoring, n_jobs, error_score, groups
        As `sklearn.model_selection.cross_val_score` takes them. A failed fit has the value NaN, a
        failed evaluation; ``error_score="raise"`` raises.

    Attributes
    ----------
    space
        What is searched.
    n, bounds
        Of its unit box.

    Raises
    ------
    TypeError, ValueError
        If the space makes no sense for the estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from adapters import EstimatorObjective, Log, tune
    >>> space = {"C": Log(1e-2, 1e3), "gamma": Log(1e-4, 10)}
    >>> objective = EstimatorObjective(SVC(), *load_iris(return_X_y=True), space)
    >>> bool(tune(objective, method="random", budget=20, seed=0).best_value < -0.95)
    True
    """

    batched = False
    """A call takes one point; that it says so lets `minimize` read ``n``."""

    def __init__(
        self,
        estimator: BaseEstimator,
        X: Any,
        y: Any = None,
        space: Space | Mapping[str, Any] | None = None,
        *,
        cv: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        error_score: Any = np.nan,
        groups: Any = None,
    ) -> None:
        self.estimator = estimator
        self.space = as_space(space, estimator)
        self._x, self._y = X, y
        folds = check_cv(cv, y, classifier=is_classifier(estimator))
        self._folds = list(folds.split(X, y, groups))
        self._how = {"scoring": scoring, "n_jobs": n_jobs, "error_score": error_score}

    @property
    def n(self) -> int:
        """The number of coordinates of the unit box."""
        return self.space.n

    @property
    def bounds(self) -> tuple[float, float]:
        """Of each coordinate."""
        return self.space.bounds

    def __call__(self, point: Any = None, /, **params: Any) -> float:
        """Return minus the mean test score with a point (n,), or with parameters by name."""
        if point is not None:
            if params:
                raise TypeError("give a point or parameters by name, not both")
            params = self.space.decode(np.reshape(point, -1))
        estimator = clone(self.estimator).set_params(**clone(params, safe=False))
        try:
            scores = cross_val_score(estimator, self._x, self._y, cv=self._folds, **self._how)
        except ValueError as error:
            # scikit-learn raises where the fits of all folds fail, whatever error_score is.
            if self._how["error_score"] == "raise" or _ALL_FAILED not in str(error):
                raise
            warnings.warn(str(error), FitFailedWarning, stacklevel=2)
            scores = self._how["error_score"]
        return -float(np.mean(scores))

    def fit(self, params: Mapping[str, Any] | Any) -> BaseEstimator:
        """Return the estimator fitted to all the data, with parameters or a point (n,)."""
        if not isinstance(params, Mapping):
            params = self.space.decode(np.reshape(params, -1))
        fitted = clone(self.estimator).set_params(**clone(dict(params), safe=False))
        return fitted.fit(self._x) if self._y is None else fitted.fit(self._x, self._y)
