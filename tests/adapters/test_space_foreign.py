"""Optuna's distributions and scikit-learn's: the libraries themselves are the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adapters import Bool, Choice, Fixed, Float, Int, Log, LogInt, Space
from tests.adapters.test_space import PARAMETERS

optuna = pytest.importorskip("optuna")
from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

OPTUNA = {
    "lr": FloatDistribution(1e-5, 1e-2, log=True),
    "x": FloatDistribution(-1, 1),
    "step": FloatDistribution(0.1, 1.0, step=0.1),
    "n": IntDistribution(1, 9, step=2),
    "width": IntDistribution(1, 512, log=True),
    "act": CategoricalDistribution(["relu", None, True]),
}


def test_optuna_there_and_back():
    space = Space.from_optuna(OPTUNA)
    assert space == Space(
        lr=Log(1e-5, 1e-2),
        x=Float(-1, 1),
        step=Float(0.1, 1, step=0.1),
        n=Int(1, 9, step=2),
        width=LogInt(1, 512),
        act=Choice("relu", None, True),
    )
    assert space.to_optuna() == OPTUNA


def test_single_values_are_constants():
    single = {
        "a": FloatDistribution(1, 1),
        "b": IntDistribution(2, 2),
        "c": CategoricalDistribution(["x"]),
        "d": FloatDistribution(0.5, 0.5, log=True),
        "x": FloatDistribution(0, 1),
    }
    space = Space.from_optuna(single)
    assert [space[name] for name in "abcd"] == [Fixed(1.0), Fixed(2), Fixed("x"), Fixed(0.5)]


PLAIN = PARAMETERS.filter(
    lambda parameter: isinstance(parameter, (Bool, Log, LogInt)) or hasattr(parameter, "low")
)


@given(PLAIN, st.floats(0, 1))
def test_optuna_allows_what_we_decode_and_the_reverse(parameter, share):
    space = Space(p=parameter)
    distribution = space.to_optuna()["p"]
    value = parameter.decode([share] * parameter.width)
    assert distribution._contains(distribution.to_internal_repr(value))
    back = Space.from_optuna({"p": distribution})["p"]
    assert isinstance(back, Fixed) or back.decode([share] * back.width) == value


def test_a_trial_is_asked_for_what_is_active():
    space = Space(
        degree=Int(2, 5, when={"kernel": "poly"}),
        kernel=Choice("rbf", "poly"),
        c=Log(0.1, 10),
        width=LogInt(1, 9),
        drop=Float(0, 0.5, step=0.1),
        batch=64,
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        params = space.suggest(trial)
        assert params.pop("batch") == 64
        assert params == trial.params
        assert list(params) == [name for name in space if name in params]
        assert ("degree" in params) == (params["kernel"] == "poly")
        assert trial.distributions == {name: space.to_optuna()[name] for name in params}
        assert space.decode(space.encode(params)).keys() - {"batch"} == params.keys()
        study.tell(trial, 0.0)


def test_optuna_refused():
    with pytest.raises(TypeError, match="a is 3: from_optuna takes Categorical"):
        Space.from_optuna({"a": 3})
    with pytest.raises(TypeError, match="dictionary"):
        Space.from_optuna([FloatDistribution(0, 1)])
    with pytest.raises(ValueError, match=r"a: Int: these are more than"):
        Space.from_optuna({"a": IntDistribution(0, 2**60)})


SKLEARN = {
    "uniform": (stats.uniform(-1, 3), Float(-1, 2)),
    "uniform by name": (stats.uniform(scale=2, loc=1), Float(1, 3)),
    "loguniform": (stats.loguniform(1e-4, 1e2), Log(1e-4, 1e2)),
    "reciprocal": (stats.reciprocal(1, 10), Log(1, 10)),
    "scaled": (stats.loguniform(1, 10, scale=2), Log(2, 20)),
    "randint": (stats.randint(1, 11), Int(1, 10)),
    "moved": (stats.randint(0, 3, loc=5), Int(5, 7)),
    "one": (stats.randint(4, 5), Fixed(4)),
    "list": (["a", "b", None], Choice("a", "b", None)),
    "tuple": (("a", "b"), Choice("a", "b")),
    "rising": ([1, 10, 100], Choice(1, 10, 100, ordered=True)),
    "falling": (np.array([3.0, 2.0, 1.0]), Choice(3.0, 2.0, 1.0, ordered=True)),
    "neither": ([1, 3, 2], Choice(1, 3, 2)),
    "bools": ([False, True], Choice(False, True)),
    "lonely": (["a"], Fixed("a")),
    "ours": (Log(1, 2), Log(1, 2)),
}


@pytest.mark.parametrize(("given", "expected"), SKLEARN.values(), ids=SKLEARN)
def test_sklearn(given, expected):
    assert Space.from_sklearn({"p": given, "q": [1, 2]})["p"] == expected


@pytest.mark.parametrize("name", ["uniform by name", "scaled", "moved", "randint"])
def test_ranges_are_those_that_scipy_draws_from(name):
    given, expected = SKLEARN[name]
    assert given.support() == (expected.low, expected.high)
    drawn = given.rvs(size=500, random_state=0)
    ours = [expected.decode([u]) for u in np.random.default_rng(0).random(500)]
    assert stats.ks_2samp(drawn, ours).pvalue > 1e-3


SKLEARN_REFUSED = {
    "normal": (stats.norm(0, 1), ValueError, r"got norm: .* such as Float\(-2.33, 2.33\)"),
    "poisson": (stats.poisson(4), ValueError, r"got poisson: .* such as Int\("),
    "moved log": (stats.loguniform(1, 10, loc=1), ValueError, r"give Log\(2, 11\)"),
    "value": (3, TypeError, "for a constant give a list of one"),
    "text": ("abc", TypeError, "list of one"),
    "empty": ([], ValueError, "p is an empty list"),
    "twice": ([1, 1], ValueError, "p: Choice: 1 is given twice"),
}


@pytest.mark.parametrize(("given", "kind", "says"), SKLEARN_REFUSED.values(), ids=SKLEARN_REFUSED)
def test_sklearn_refused(given, kind, says):
    with pytest.raises(kind, match=says):
        Space.from_sklearn({"p": given})


def test_sklearn_takes_one_dictionary():
    with pytest.raises(TypeError, match="one dictionary, got a list"):
        Space.from_sklearn([{"a": [1, 2]}])


def test_those_of_others_in_a_space():
    with pytest.raises(TypeError, match=r"of scipy.stats: use Space.from_sklearn"):
        Space(a=stats.uniform(0, 1))
    with pytest.raises(TypeError, match=r"of optuna.distributions: use Space.from_optuna"):
        Space(a=FloatDistribution(0, 1))
