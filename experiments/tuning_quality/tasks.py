"""Six estimators to tune, on data that scikit-learn brings along.

Fixed before any method was run on them. Numbers on logarithmic scales, whole numbers, choices and
conditions; the value is a loss by cross-validation, lower is better, and the same every time. Parts
of the data and few trees or epochs keep an evaluation below a tenth of a second.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from adapters.space import Bool, Choice, Float, Int, Log, LogInt, Space

FOLDS_SEED = 0


class Task(NamedTuple):
    """A task.

    Attributes
    ----------
    name, description
        For tables.
    space
        What is searched.
    make
        Gives the objective, ``(**params) -> float``.
    """

    name: str
    description: str
    space: Space
    make: Callable[[], Callable[..., float]]


def _objective(
    estimator: Any, data: str, rows: int | None, scoring: str, space: Space, folds: int = 3
) -> Callable[..., float]:
    """An estimator on the first so many rows, in an order of their own."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, ShuffleSplit

    from adapters.search_cv import EstimatorObjective

    inputs, targets = getattr(datasets, f"load_{data}")(return_X_y=True)
    order = np.random.default_rng(FOLDS_SEED).permutation(len(inputs))[:rows]
    cv = (
        KFold(folds, shuffle=True, random_state=FOLDS_SEED)
        if folds > 1
        else ShuffleSplit(1, test_size=0.4, random_state=FOLDS_SEED)
    )
    return EstimatorObjective(
        estimator, inputs[order], targets[order], space, cv=cv, scoring=scoring
    )


SVR = Space(
    svr__kernel=Choice("rbf", "sigmoid", "linear"),
    svr__C=Log(1e-1, 1e3),
    svr__epsilon=Log(1e-2, 1e2),
    svr__gamma=Log(1e-4, 10, when={"svr__kernel": ("rbf", "sigmoid")}),
)


def _svr() -> Callable[..., float]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR as Estimator

    estimator = make_pipeline(StandardScaler(), Estimator())
    return _objective(estimator, "diabetes", 300, "neg_mean_squared_error", SVR)


FOREST = Space(
    max_depth=Int(1, 16),
    min_samples_leaf=LogInt(1, 32),
    max_features=Float(0.05, 1.0),
    criterion=Choice("gini", "entropy"),
    bootstrap=Bool(),
)


def _forest() -> Callable[..., float]:
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(n_estimators=10, random_state=0)
    return _objective(estimator, "breast_cancer", 400, "neg_brier_score", FOREST)


BOOSTING = Space(
    learning_rate=Log(1e-2, 1.0),
    n_estimators=LogInt(4, 40),
    max_depth=Int(1, 6),
    min_samples_leaf=LogInt(1, 64),
    subsample=Float(0.3, 1.0),
    loss=Choice("squared_error", "absolute_error", "huber"),
)


def _boosting() -> Callable[..., float]:
    from sklearn.ensemble import GradientBoostingRegressor

    estimator = GradientBoostingRegressor(random_state=0)
    return _objective(estimator, "diabetes", 300, "neg_mean_squared_error", BOOSTING)


RIDGE = Space(
    kernel=Choice("linear", "rbf", "laplacian", "polynomial"),
    alpha=Log(1e-4, 1e2),
    gamma=Log(1e-3, 1e2, when={"kernel": ("rbf", "laplacian", "polynomial")}),
    degree=Int(2, 4, when={"kernel": "polynomial"}),
    coef0=Float(0.0, 2.0, when={"kernel": "polynomial"}),
)


def _ridge() -> Callable[..., float]:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.preprocessing import StandardScaler

    estimator = TransformedTargetRegressor(KernelRidge(), transformer=StandardScaler())
    inner = Space({f"regressor__{name}": _inner(RIDGE[name]) for name in RIDGE})
    plain = _objective(estimator, "diabetes", 300, "neg_mean_squared_error", inner)
    return lambda **params: plain(**{f"regressor__{name}": v for name, v in params.items()})


def _inner(parameter: Any) -> Any:
    """A parameter whose condition names parameters of the regressor within."""
    if parameter.when is None:
        return parameter
    import dataclasses

    when = {f"regressor__{name}": value for name, value in parameter.when.items()}
    return dataclasses.replace(parameter, when=when)


NETWORK = Space(
    hidden_layer_sizes=LogInt(4, 64),
    learning_rate_init=Log(1e-4, 1e-1),
    alpha=Log(1e-6, 1.0),
    beta_1=Float(0.5, 0.99),
    batch_size=Choice(16, 32, 64, 128, ordered=True),
    activation=Choice("relu", "tanh", "logistic"),
)


def _network() -> Callable[..., float]:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    class Network(MLPClassifier):
        """So many epochs, without a word that it has not converged."""

        def _fit_stochastic(self, *given: Any, **more: Any) -> Any:
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return super()._fit_stochastic(*given, **more)

    network = Network(max_iter=10, random_state=0)
    estimator = make_pipeline(FunctionTransformer(_shrink), network)
    inner = Space({f"network__{name}": NETWORK[name] for name in NETWORK})
    plain = _objective(estimator, "digits", 500, "neg_log_loss", inner, folds=1)
    return lambda **params: plain(**{f"network__{name}": v for name, v in params.items()})


def _shrink(pixels: Any) -> Any:
    """Pixels from 0 to 1."""
    return pixels / 16


NEIGHBOURS = Space(
    standardscaler=Choice("passthrough", "scale"),
    pca__n_components=Int(2, 40),
    pca__whiten=Bool(),
    kneighborsclassifier__n_neighbors=LogInt(1, 40),
    kneighborsclassifier__weights=Choice("uniform", "distance"),
    kneighborsclassifier__metric=Choice("euclidean", "manhattan", "cosine"),
)


def _neighbours() -> Callable[..., float]:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pca = PCA(svd_solver="full", random_state=0)
    estimator = make_pipeline(StandardScaler(), pca, KNeighborsClassifier())
    plain = _objective(estimator, "digits", 400, "neg_brier_score", NEIGHBOURS)

    def train(**params: Any) -> float:
        scaler = StandardScaler() if params["standardscaler"] == "scale" else "passthrough"
        return plain(**{**params, "standardscaler": scaler})

    return train


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("svr", "support vector regression, diabetes", SVR, _svr),
        Task("forest", "random forest of 10 trees, breast cancer", FOREST, _forest),
        Task("boosting", "gradient boosting, diabetes", BOOSTING, _boosting),
        Task("ridge", "kernel ridge regression, diabetes", RIDGE, _ridge),
        Task("network", "network of one layer, 10 epochs, digits", NETWORK, _network),
        Task("neighbours", "scaling, PCA and nearest neighbours, digits", NEIGHBOURS, _neighbours),
    )
}
"""By name, in the order of the tables."""
