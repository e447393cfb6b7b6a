import numpy as np
import pytest
import scipy.stats

from experiments.statistics import difference_interval, median_interval, ratio_interval

INF = np.inf


def test_the_median_has_scipys_percentile_interval():
    values = np.random.default_rng(0).normal(size=31)
    found = median_interval(values)
    expected = scipy.stats.bootstrap(
        (values,), np.median, n_resamples=5000, method="percentile", rng=np.random.default_rng(9)
    ).confidence_interval
    assert found.middle == np.median(values)
    assert found.low == pytest.approx(expected.low, abs=0.05)
    assert found.high == pytest.approx(expected.high, abs=0.05)


@pytest.mark.parametrize(
    ("interval", "statistic"),
    [
        (ratio_interval, lambda a, b, axis: np.median(a, axis) / np.median(b, axis)),
        (difference_interval, lambda a, b, axis: np.median(a, axis) - np.median(b, axis)),
    ],
)
def test_two_medians_have_scipys_paired_interval(interval, statistic):
    random = np.random.default_rng(1)
    shared = random.lognormal(size=40)
    a, b = 3 * shared * random.lognormal(0, 0.1, 40), shared * random.lognormal(0, 0.1, 40)
    expected = scipy.stats.bootstrap(
        (a, b), statistic, n_resamples=5000, method="percentile", paired=True, rng=random
    ).confidence_interval
    found = interval(a, b)
    assert found.middle == statistic(a, b, 0)
    assert found.low == pytest.approx(expected.low, rel=0.05)
    assert found.high == pytest.approx(expected.high, rel=0.05)


def test_it_holds_the_true_median_as_often_as_it_says():
    random = np.random.default_rng(2)
    intervals = [median_interval(random.normal(size=25), resamples=500) for _ in range(400)]
    assert 0.90 < np.mean([low <= 0 <= high for low, _, high in intervals]) < 0.98


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).normal(size=9)
    assert median_interval(values) == median_interval(values)


def test_failed_runs_make_it_infinite_but_never_nan():
    assert median_interval(np.array([1.0, INF, INF])) == (1, INF, INF)
    assert difference_interval(np.array([INF, INF]), np.array([1.0, 2.0])) == (INF, INF, INF)
    assert difference_interval(np.array([INF]), np.array([INF])) == (0, 0, 0)
    assert ratio_interval(np.array([INF]), np.array([INF])) == (1, 1, 1)
    assert ratio_interval(np.array([2.0]), np.array([INF])) == (0, 0, 0)
    mixed = difference_interval(np.array([INF, 1.0, 2.0]), np.array([1.0, INF, INF]))
    assert mixed == (-INF, -INF, INF)


def test_a_single_value_has_no_width():
    assert median_interval(np.array([4.0])) == (4, 4, 4)


def test_what_makes_no_sense():
    with pytest.raises(ValueError, match="at least 1"):
        median_interval(np.empty(0))
    with pytest.raises(ValueError, match="same number of values"):
        difference_interval(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="confidence"):
        median_interval(np.ones(3), confidence=95)
    with pytest.raises(ValueError, match="positive"):
        ratio_interval(np.array([0.0]), np.ones(1))
