import numpy as np
import pytest

from experiments.plan import START
from experiments.record import ProblemInfo
from experiments.statistics import spans, targets
from experiments.statistics.targets import PRECISIONS, TAUS
from tests.experiments.statistics.cases import record, results


def test_cocos_targets_are_five_a_decade_from_100_to_1e_8():
    assert len(PRECISIONS) == len(TAUS) == 51
    assert PRECISIONS[0] == 100
    assert PRECISIONS[-1] == pytest.approx(1e-8)
    np.testing.assert_allclose(np.diff(np.log10(PRECISIONS)), -0.2)


def test_a_problem_that_shows_precisions_has_cocos_targets():
    known = {"p": ProblemInfo("p", n=2, optimum=7.0, precision=True)}
    np.testing.assert_array_equal(targets(results(record(values=[8]), **known))["p"], PRECISIONS)


def test_others_have_shares_of_the_gain_to_the_best_that_was_found():
    runs = [record(method="a", values=[110, 20]), record(method="b", values=[90, 10])]
    found = targets(results(*runs))["p"]
    np.testing.assert_allclose(found, 10 + TAUS * (100 - 10))


def test_the_optimum_takes_the_place_of_the_best_where_it_is_known():
    known = {"p": ProblemInfo("p", n=2, optimum=4.0)}
    assert spans(results(record(values=[110, 20]), **known))["p"] == (4, 110)


def test_the_start_is_that_of_the_starts_where_they_were_run():
    runs = [
        *(record(method=START, seed=i, values=[v]) for i, v in enumerate([50, 60, 70])),
        record(method="a", values=[1000, 20]),
    ]
    assert spans(results(*runs))["p"] == (20, 60)


def test_without_any_value_nothing_is_a_target():
    assert np.isneginf(targets(results(record(values=[])))["p"]).all()
    known = {"p": ProblemInfo("p", n=2, optimum=4.0)}
    assert spans(results(record(values=[]), **known))["p"] == (4, 4)


def test_a_start_below_the_optimum_of_a_noisy_problem_leaves_no_gain():
    known = {"p": ProblemInfo("p", n=2, optimum=4.0)}
    np.testing.assert_array_equal(targets(results(record(values=[3]), **known))["p"], 4)
