import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.statistics import median, quantiles

finite = st.floats(-1e6, 1e6)
shares = st.floats(0, 1)


@given(arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=finite), shares)
def test_of_finite_values_they_are_numpys(values, share):
    expected = np.quantile(values, share, axis=0)
    np.testing.assert_allclose(quantiles(values, [share])[0], expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(quantiles(values.T, [share], axis=1)[0], expected, 1e-12, 1e-9)


@given(st.lists(finite, max_size=6), st.integers(0, 6), st.integers(0, 3), shares)
def test_infinite_exactly_where_an_infinite_value_has_weight(values, infinite, unknown, share):
    if not values and not infinite + unknown:
        return
    mixed = np.array([np.nan] * unknown + [np.inf] * infinite + values)
    found = quantiles(mixed, [share])[0]
    needed = int(np.ceil(share * (len(mixed) - 1)))  # the upper of the neighbours
    assert np.isinf(found) == (needed >= len(values))
    assert not np.isnan(found)


def test_the_median_of_an_even_number_is_between_the_middle_ones():
    assert median(np.array([4.0, 1.0, 2.0, np.inf])) == 3.0


def test_no_values_have_no_quantile():
    with pytest.raises(ValueError, match="at least one number"):
        quantiles(np.empty((0, 3)), [0.5])
