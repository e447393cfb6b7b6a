"""`BlackboxSearchCV`: scikit-learn's search class over all methods of `adapters.tune`."""

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state

from adapters.search_cv.failing import Failing, SameFolds
from adapters.search_cv.objective import as_space
from adapters.space import Space
from adapters.tuning.generations import begin_together
from adapters.tuning.starting import open_session

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class BlackboxSearchCV(BaseSearchCV):
    """Search the parameters of an estimator by cross-validation.

    As scikit-learn's `RandomizedSearchCV`, with the same attributes after `fit`
    (``best_params_``, ``best_score_``, ``best_estimator_``, ``cv_results_`` ...), but what is tried
    next depends on what came out so far.

    Parameters
    ----------
    estimator
        Of scikit-learn's kind, a pipeline as well.
    space
        An `adapters.Space`; or a dictionary from parameters (``"svc__C"``) to ranges such as
        ``Log(1e-2, 1e3)``, frozen `scipy.stats` distributions, or lists. A parameter with a
        condition is left at the estimator's own value where it is inactive, and masked in
        ``cv_results_``.
    method
        As `adapters.tune` takes it.
    budget
        Candidates in all. A grid may have fewer.
    options
        The method's, by its library's names.
    scoring, refit
        As `RandomizedSearchCV` takes them. With several metrics the one named by `refit` is
        searched, or the first, where `refit` is a function.
    n_jobs
        Folds and candidates at a time. Methods without generations are asked for as many candidates
        at once as that takes.
    random_state
        An int makes the search repeat.
    cv, verbose, pre_dispatch, error_score, return_train_score
        As `RandomizedSearchCV` takes them. A candidate whose score is NaN is a failed trial.

    Attributes
    ----------
    method_
        The name of the method that ran.
    why_
        Why ``"auto"`` chose it.

    Raises
    ------
    TypeError, ValueError
        By `fit`, before anything is fitted: if the space makes no sense for the estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from adapters import BlackboxSearchCV, Log
    >>> space = {"C": Log(1e-2, 1e3), "gamma": Log(1e-4, 10)}
    >>> search = BlackboxSearchCV(SVC(), space, method="random", budget=20, random_state=0)
    >>> bool(search.fit(*load_iris(return_X_y=True)).best_score_ > 0.95)
    True
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        space: Space | Mapping[str, Any],
        *,
        method: "str | BaseSampler" = "auto",
        budget: int = 50,
        options: Mapping[str, Any] | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., Any] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.space = space
        self.method = method
        self.budget = budget
        self.options = options
        self.random_state = random_state
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )

    def _run_search(self, evaluate_candidates: Callable[..., Mapping[str, Any]]) -> None:
        """Ask for candidates, have them evaluated, tell their scores, until the budget is spent."""
        space = as_space(self.space, self.estimator)
        if isinstance(self.budget, bool) or not isinstance(self.budget, (int, np.integer)):
            raise TypeError(f"budget is a number of candidates, an int; got {self.budget!r}")
        if self.budget < 1:
            raise ValueError(f"budget={self.budget} leaves nothing to try; give 1 or more")
        width = max(1, math.ceil(effective_n_jobs(self.n_jobs) / self.n_splits_))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        method = copy.deepcopy(self.method)  # a sampler of Optuna's remembers, parameters do not
        evaluate, folds = Failing(evaluate_candidates), SameFolds(self._checked_cv_orig)
        with open_session(
            space,
            method,
            budget=int(self.budget),
            steps=None,
            max_seconds=None,
            direction="maximize",
            fidelity=None,
            seed=seed,
            at_once=width,
            epochs=None,
            storage=None,
            name=type(self).__name__,
            options=dict(self.options or {}),
        ) as started:
            self.method_, self.why_ = started.identity["chosen"], started.identity["why"]
            session = started.session
            while begun := begin_together(session, None, width, None):
                results = evaluate([each.params for each in begun], cv=folds)
                scores = self._searched(results)[-len(begun) :]
                for each, score in zip(begun, scores.tolist(), strict=True):
                    if math.isfinite(score):
                        session.finish(each.number, score)
                    else:
                        session.finish(each.number, failed=f"the mean test score was {score}")
        evaluate.check()

    def _searched(self, results: Mapping[str, Any]) -> Any:
        """Return the mean test scores that are searched, of all candidates so far."""
        if isinstance(self.refit, str) and f"mean_test_{self.refit}" in results:
            return results[f"mean_test_{self.refit}"]
        return next(values for name, values in results.items() if name.startswith("mean_test_"))
