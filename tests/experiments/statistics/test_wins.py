import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics import wins
from tests.experiments.statistics.cases import by_chance, finals, record, results


def test_ties_count_half_and_failures_tie():
    found = wins(finals(a=[1.0, 2.0, np.inf, np.inf], b=[2.0, 2.0, 5.0, np.inf]))
    assert found.methods == ("a", "b")
    assert found.share[0, 1] == (1 + 0.5 + 0 + 0.5) / 4


def test_methods_that_never_met():
    found = wins(results(record("p", "a"), record("q", "b")))
    assert np.isnan(found.share).all()
    assert found.met.tolist() == [[1, 0], [0, 1]]


@given(st.integers(0, 500))
def test_what_one_wins_the_other_loses(seed):
    found = wins(by_chance(seed, missing=0.2))
    met = (found.met > 0) & ~np.eye(3, dtype=bool)
    np.testing.assert_allclose((found.share + found.share.T)[met], 1)
    np.testing.assert_array_equal(np.isnan(found.share), ~met)
