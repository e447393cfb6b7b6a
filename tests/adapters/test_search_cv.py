import pickle

import numpy as np
import pytest
from optuna.samplers import TPESampler
from scipy.stats import loguniform
from sklearn.base import clone, is_regressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from adapters import (
    BlackboxSearchCV,
    Choice,
    EstimatorObjective,
    Fixed,
    Float,
    Log,
    Space,
    tune,
)
from blackbox import minimize

IRIS = load_iris(return_X_y=True)
BOX = {"C": Log(1e-2, 1e3), "gamma": Log(1e-4, 10)}


def search(**given):
    return BlackboxSearchCV(
        **{"estimator": SVC(), "space": BOX, "method": "random", "budget": 6, "cv": 3} | given
    )


def checked():
    """The four that scikit-learn checks its own search classes with."""
    pipelines = [
        Pipeline([("pca", PCA()), ("ridge", Ridge())]),
        Pipeline([("pca", PCA()), ("logisticregression", LogisticRegression())]),
    ]
    cases = [
        (Ridge(), "alpha"),
        (LogisticRegression(), "C"),
        (pipelines[0], "ridge__alpha"),
        (pipelines[1], "logisticregression__C"),
    ]
    return [
        BlackboxSearchCV(
            estimator,
            {name: [0.1, 1.0]},
            method="random",
            budget=2,
            cv=2,
            error_score="raise",
            random_state=0,
        )
        for estimator, name in cases
    ]


def excused(estimator):
    """The checks that scikit-learn excuses its own search classes from, for the same reasons."""
    reasons = {"check_requires_y_none": "Doesn't fail gracefully"}
    if is_regressor(estimator):
        reasons["check_supervised_y_2d"] = "DataConversionWarning not caught"
    return reasons


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@parametrize_with_checks(checked(), expected_failed_checks=excused)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_grid_gives_what_theirs_gives():
    options = {"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]}
    theirs = GridSearchCV(SVC(), options, cv=3, return_train_score=True).fit(*IRIS)
    ours = search(
        space=options, method="grid", budget=10, return_train_score=True, random_state=0
    ).fit(*IRIS)
    names = [f"{kind}_{part}_score" for kind in ("mean", "std") for part in ("test", "train")] + [
        "rank_test_score",
        "split0_test_score",
    ]

    def rows(results):
        return {
            repr(sorted(params.items())): [float(results[name][i]) for name in names]
            for i, params in enumerate(results["params"])
        }

    assert rows(ours.cv_results_) == rows(theirs.cv_results_)
    assert ours.best_score_ == theirs.best_score_
    assert ours.n_splits_ == 3
    assert ours.method_ == "grid"


def test_it_finds_and_predicts_and_repeats():
    first, second = (search(method="cma", budget=13, random_state=3).fit(*IRIS) for _ in range(2))
    assert len(first.cv_results_["params"]) == 13
    assert first.cv_results_["params"] == second.cv_results_["params"]
    assert first.best_score_ == max(first.cv_results_["mean_test_score"]) > 0.9
    assert first.predict(IRIS[0]).shape == IRIS[1].shape
    assert first.score(*IRIS) > 0.9
    assert pickle.loads(pickle.dumps(first)).best_params_ == first.best_params_
    assert clone(first).get_params()["budget"] == 13


@pytest.mark.slow
def test_two_jobs_try_what_one_tries():
    one, two = (search(method="sobol", n_jobs=n, random_state=1).fit(*IRIS) for n in (1, 2))
    assert one.cv_results_["params"] == two.cv_results_["params"]


def test_parameters_of_steps_and_steps_themselves():
    pipeline = make_pipeline(StandardScaler(), SVC())
    space = Space(
        {
            "standardscaler": Choice("passthrough", StandardScaler()),
            "svc__kernel": Choice("linear", "rbf"),
            "svc__gamma": Log(1e-3, 10, when={"svc__kernel": "rbf"}),
            "svc__C": 2.0,
        }
    )
    found = search(estimator=pipeline, space=space, budget=12, random_state=0).fit(*IRIS)
    masked = found.cv_results_["param_svc__gamma"].mask
    linear = [params["svc__kernel"] == "linear" for params in found.cv_results_["params"]]
    assert np.any(linear)
    assert masked.tolist() == linear
    assert found.best_estimator_.get_params()["svc__C"] == 2.0


def test_several_metrics():
    metrics = ["accuracy", "neg_log_loss"]
    estimator = LogisticRegression(max_iter=1000)
    space = {"C": loguniform(1e-4, 1)}
    named = search(estimator=estimator, space=space, scoring=metrics, refit="neg_log_loss")
    named.fit(*IRIS)
    assert named.best_score_ == max(named.cv_results_["mean_test_neg_log_loss"])

    def second(results):
        return 1

    chosen = search(estimator=estimator, space=space, scoring=metrics, refit=second).fit(*IRIS)
    assert chosen.best_params_ == chosen.cv_results_["params"][1]


@pytest.mark.filterwarnings("ignore:.*non-finite")
@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_a_score_of_nan_is_a_failed_trial():
    def broken(estimator, X, y):
        return float("nan") if estimator.C < 3 else estimator.C

    found = search(method="cma", scoring=broken, budget=20, random_state=0).fit(*IRIS)
    scores = found.cv_results_["mean_test_score"]
    assert 0 < np.isnan(scores).sum() < 20
    assert found.best_score_ == np.nanmax(scores)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"space": {"c": Log(1, 2)}}, "Never has no parameter 'c'; it has C, "),
        ({"space": {}}, "nothing to search"),
        ({"space": {"C": Fixed(1.0)}}, "only constants"),
        ({"space": [1, 2]}, "space must be a Space"),
        ({"budget": 0}, "budget=0"),
        ({"budget": 2.5}, "budget is a number of candidates"),
        ({"method": "slsqp"}, "slsqp"),
        ({"method": "cma", "options": {"nonsense": 1}}, "nonsense"),
    ],
)
def test_bad_input_says_what_is_wrong(given, text):
    fitted = []

    class Never(SVC):
        def fit(self, *args):
            fitted.append(1)

    estimator = Never()
    with pytest.raises((TypeError, ValueError), match=text):
        search(estimator=estimator, **given).fit(*IRIS)
    assert not fitted


def test_the_objective_is_a_function_for_all():
    folds = StratifiedKFold(3, shuffle=True)  # drawn once
    objective = EstimatorObjective(SVC(), *IRIS, Space(BOX, kernel="rbf"), cv=folds)
    found = minimize(objective, bounds=objective.bounds, method="cma", budget=15, seed=0)
    params = objective.space.decode(found.x)
    assert objective(**params) == found.fun < -0.9
    assert objective.fit(params).score(*IRIS) > 0.9
    tuned = tune(objective, method="random", budget=4, seed=0)
    assert objective(**tuned.best_params) == tuned.best_value
    with pytest.raises(TypeError, match="not both"):
        objective(found.x, C=1.0)


def dictionary_of_scores(estimator, X, y):
    return {"half": 0.5, "right": estimator.score(X, y)}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
@pytest.mark.parametrize("scoring", [None, dictionary_of_scores])
def test_a_candidate_of_which_no_fold_can_be_fitted_ends_no_search(scoring):
    # Methods without generations ask for one candidate at a time.
    given = {"method": "tpe", "budget": 5, "scoring": scoring, "random_state": 0}
    given |= {"refit": "right"} if scoring else {}
    found = search(space={"C": Float(-2.0, 1.0)}, **given).fit(*IRIS)
    scores = found.cv_results_["mean_test_right" if scoring else "mean_test_score"]
    below = np.array([params["C"] <= 0 for params in found.cv_results_["params"]])
    assert below.any()
    assert not below.all()
    np.testing.assert_array_equal(np.isnan(scores), below)
    with pytest.raises(ValueError, match="fits failed"):
        search(space={"C": Float(-2.0, -1.0)}, **given).fit(*IRIS)


def test_all_candidates_are_scored_on_the_same_folds():
    folds = StratifiedKFold(3, shuffle=True)
    space = {"C": [1.0, 1.0 + 1e-9]}
    found = search(space=space, method="tpe", budget=4, cv=folds).fit(*IRIS)
    for i in range(3):
        assert len(set(found.cv_results_[f"split{i}_test_score"])) == 1


def test_a_sampler_of_optunas_is_left_as_it_was():
    model = search(method=TPESampler(seed=0), budget=4)
    assert model.fit(*IRIS).cv_results_["params"] == model.fit(*IRIS).cv_results_["params"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_the_objective_is_nan_where_no_fold_can_be_fitted():
    space = {"C": Float(-2.0, 1.0)}
    assert np.isnan(EstimatorObjective(SVC(), *IRIS, space)(C=-1.0))
    assert EstimatorObjective(SVC(), *IRIS, space, error_score=0.5)(C=-1.0) == -0.5
    with pytest.raises(ValueError, match="'C' parameter"):
        EstimatorObjective(SVC(), *IRIS, space, error_score="raise")(C=-1.0)
