"""Fits that fail, in a search that asks for few candidates at a time."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

from sklearn.exceptions import FitFailedWarning

Evaluate = Callable[..., Mapping[str, Any]]
"""What scikit-learn's searches have candidates evaluated by."""


class Failing:
    """Evaluates candidates, and goes on where none of those asked for could be fitted.

    scikit-learn takes it for an error of the whole search where every fit of one call fails, which
    is sure for searches that call once. Here a call may be of one candidate. Its two functions that
    raise are replaced in a copy of its own function, nowhere else.

    Parameters
    ----------
    evaluate
        As `sklearn.model_selection.BaseSearchCV._run_search` is given it.
    """

    def __init__(self, evaluate: Any) -> None:
        known = evaluate.__globals__
        self._look = known["_warn_or_raise_about_fit_failures"]
        self._insert = known["_insert_error_scores"]
        self._error: ValueError | None = None
        self._fitted: list[Any] = []
        self._waiting: list[Any] = []
        mine = {
            "_warn_or_raise_about_fit_failures": self._warn,
            "_insert_error_scores": self._fill,
        }
        self._evaluate: Evaluate = FunctionType(
            evaluate.__code__,
            {**known, **mine},
            evaluate.__name__,
            evaluate.__defaults__,
            evaluate.__closure__,
        )

    def __call__(self, params: Sequence[Mapping[str, Any]], cv: Any) -> Mapping[str, Any]:
        """Return the results of all candidates so far."""
        return self._evaluate(params, cv=cv)

    def check(self) -> None:
        """Raise what scikit-learn does where no fit of the search succeeded.

        Raises
        ------
        ValueError
            Every fit of every candidate failed.
        """
        if self._error is not None and not self._fitted:
            raise self._error

    def _warn(self, results: Sequence[Any], error_score: Any) -> None:
        try:
            self._look(results, error_score)
        except ValueError as error:
            self._error = self._error or error
            warnings.warn(str(error), FitFailedWarning, stacklevel=2)
        if not self._fitted:
            self._fitted = [one for one in results if one["fit_error"] is None][:1]

    def _fill(self, results: Sequence[Any], error_score: Any) -> None:
        """Give failed fits their scores, by the names that a successful one has."""
        self._waiting += results
        if self._fitted:
            self._insert([*self._fitted, *self._waiting], error_score)
            self._waiting.clear()


class SameFolds:
    """A splitter that gives every time what another one gave the first time.

    Parameters
    ----------
    splitter
        It may draw its folds at random.
    """

    def __init__(self, splitter: Any) -> None:
        self._splitter = splitter
        self._folds: list[Any] | None = None

    def split(self, *given: Any, **named: Any) -> list[Any]:
        """Return pairs of rows: to train on, to test on."""
        if self._folds is None:
            self._folds = list(self._splitter.split(*given, **named))
        return self._folds
