from itertools import combinations, product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.plan import START
from experiments.record import ProblemInfo
from experiments.statistics import compare_methods, final_values
from experiments.statistics.matrix import decades
from experiments.statistics.ranks import (
    cliques,
    critical_difference,
    friedman,
    holm,
    iman_davenport,
    signed_rank,
)
from tests.experiments.statistics.cases import by_chance, finals, record, results

INF = np.inf
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
"""Demšar 2006, table 6: areas under the ROC curve of four variants of C4.5 on 14 data sets.

The paper prints 0.975 twice on "voting", and ranks the first of them higher."""

blocks = st.tuples(st.integers(2, 8), st.integers(3, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 6).map(float))
)


def problems_of(values):
    """Results with a problem for each row of values (problems, methods)."""
    return results(
        *(
            record(f"p{i}", f"m{j}", values=[value])
            for i, row in enumerate(values)
            for j, value in enumerate(row)
        )
    )


def test_the_example_of_the_paper():
    found = compare_methods(problems_of(1 - DEMSAR))
    published = {"m0": 3.143, "m1": 2.000, "m2": 2.893, "m3": 1.964}
    assert found.unit == "problems"
    assert found.methods == ("m3", "m1", "m2", "m0")
    for method, average in zip(found.methods, found.average, strict=True):
        assert average == pytest.approx(published[method], abs=5e-4)
    uncorrected = 12 * 14 / 20 * (np.sum(found.average**2) - 25)
    assert uncorrected == pytest.approx(9.28, abs=0.005)  # the paper leaves ties uncorrected
    assert 13 * uncorrected / (42 - uncorrected) == pytest.approx(3.69, abs=0.005)
    assert found.friedman.statistic > uncorrected
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    tenth = compare_methods(problems_of(1 - DEMSAR), alpha=0.1)
    assert tenth.critical_difference == pytest.approx(1.12, abs=0.005)
    assert found.cliques() == [("m3", "m1", "m2", "m0")]
    assert tenth.cliques() == [("m3", "m1", "m2"), ("m2", "m0")]


@pytest.mark.parametrize(
    ("alpha", "published"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_critical_values_are_those_of_the_papers_table(alpha, published):
    for k, q in enumerate(published, start=2):
        found = critical_difference(k, 10, alpha) / np.sqrt(k * (k + 1) / 60)
        assert found == pytest.approx(q, abs=0.0015)


@given(blocks)
def test_friedman_is_scipys(values):
    ranks = scipy.stats.rankdata(values, axis=1)
    found = friedman(ranks)
    if (values == values[:, :1]).all():
        assert found == (0, 1)  # scipy divides by zero here
    else:
        expected = scipy.stats.friedmanchisquare(*values.T)
        assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
        assert found.p == pytest.approx(expected.pvalue, abs=1e-12)


@given(blocks)
def test_iman_and_davenports_f_is_that_of_an_analysis_of_variance_of_the_ranks(values):
    ranks = scipy.stats.rankdata(values, axis=1)
    n, k = ranks.shape
    between = n * np.sum((ranks.mean(axis=0) - ranks.mean()) ** 2)
    rest = np.sum((ranks - ranks.mean(axis=0) - ranks.mean(axis=1)[:, None] + ranks.mean()) ** 2)
    found = iman_davenport(ranks)
    if between < 1e-9:
        assert found == (0, 1)
    elif rest < 1e-9:
        assert found.statistic == INF
    else:
        f = between / rest * (n - 1)
        assert found.statistic == pytest.approx(f)
        assert found.p == pytest.approx(scipy.stats.f.sf(f, k - 1, (k - 1) * (n - 1)))


def test_full_agreement_has_the_probability_of_a_permutation():
    assert iman_davenport(np.array([[1.0, 2, 3]] * 3)) == (INF, pytest.approx(1 / 36))
    assert iman_davenport(np.array([[1.0, 2, 3]])).p == 1


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_critical_difference_agrees_with_nemenyis_p_values(seed):
    posthocs = pytest.importorskip("scikit_posthocs", reason="an oracle for Nemenyi's test")
    values = np.random.default_rng(seed).normal(size=(12, 5)) + np.arange(5) * 0.8
    found = compare_methods(problems_of(values))
    p = posthocs.posthoc_nemenyi_friedman(values).to_numpy()
    order = [int(method[1:]) for method in found.methods]
    np.testing.assert_array_equal(found.alike(), p[np.ix_(order, order)] > 0.05)
    assert 5 < found.alike().sum() < 25  # some of each


@pytest.mark.slow  # statsmodels takes seconds to load
@settings(max_examples=10)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p):
    multitest = pytest.importorskip(
        "statsmodels.stats.multitest", reason="an oracle for Holm's procedure"
    )
    expected = multitest.multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(np.array(p)), expected, atol=1e-12)


whole = st.integers(-5, 5).map(float)


@given(st.lists(st.tuples(whole, whole), min_size=1, max_size=8))
def test_wilcoxons_p_is_the_share_of_sign_flips_that_are_as_extreme(pairs):
    a, b = np.array(pairs).T
    d = (a - b)[a != b]
    ranks = scipy.stats.rankdata(np.abs(d))
    flips = np.array(list(product([-1, 1], repeat=len(d))))
    sums = np.abs(flips @ ranks) if len(d) else np.zeros(1)
    expected = np.mean(sums >= abs(np.sum(np.sign(d) * ranks)) - 1e-9)
    assert signed_rank(a, b) == (pytest.approx(np.sum(np.sign(d) * ranks)), pytest.approx(expected))


def test_infinity_is_the_largest_difference_and_two_of_them_are_none():
    a, b = np.array([1.0, 2, 3, 4, INF]), np.array([5.0, 7, 9, INF, INF])
    assert signed_rank(a, b) == (-10, pytest.approx(2 / 2**4))
    assert signed_rank(a, a) == (0, 1)


@given(st.integers(1, 6), st.integers(0, 2**15 - 1))
def test_cliques_are_the_longest_stretches_of_methods_alike(k, bits):
    alike = np.eye(k, dtype=bool)
    for bit, (i, j) in enumerate(combinations(range(k), 2)):
        alike[i, j] = alike[j, i] = bool(bits >> bit & 1)
    every = [(i, j) for i in range(k) for j in range(i + 2, k + 1) if alike[i:j, i:j].all()]
    longest = [
        (i, j)
        for i, j in every
        if not any((a, b) != (i, j) and a <= i and j <= b for a, b in every)
    ]
    assert cliques(alike) == longest


def test_seeds_of_one_problem_are_blocks_and_compared_in_pairs():
    random = np.random.default_rng(0)
    values = np.array([random.normal(size=20) + shift for shift in (0, 0, 3)])
    found = compare_methods(finals(a=values[0], b=values[1], c=values[2], start=[9.0] * 20))
    assert found.unit == "seeds"
    assert len(found.blocks) == 20
    assert START not in found.methods
    p = [scipy.stats.wilcoxon(x, y).pvalue for x, y in combinations(values, 2)]
    order = [list("abc").index(method) for method in found.methods]
    np.testing.assert_allclose(
        found.pairs[np.ix_(np.argsort(order), np.argsort(order))][0, 1:], holm(np.array(p))[:2]
    )
    assert found.cliques("wilcoxon") == [tuple(m for m in found.methods if m != "c")]
    assert found.smallest_p == 3 / 2**19


def test_ties_share_a_rank_and_failures_are_last():
    found = compare_methods(finals(a=[1.0, INF], b=[1.0, 3.0], c=[INF, INF]))
    assert dict(zip(found.methods, found.average, strict=True)) == {"b": 1.25, "a": 2, "c": 2.75}


def test_solved_is_solved():
    known = {"p": ProblemInfo("p", n=2, optimum=0.0, precision=True)}
    found = results(record(values=[1e-9]), record(method="b", values=[1e-15]), **known)
    assert compare_methods(found).average.tolist() == [1.5, 1.5]
    assert final_values(found).values.tolist() == [[1e-8, 1e-8]]


def test_gradients_are_read_where_the_passes_are_equal():
    greedy = record(method="g", values=[5, 1], spent=[30, 60], gradients=1)
    plain = record(method="b", values=[4, 3], spent=[40, 100])
    found = results(greedy, plain)
    assert final_values(found).values.tolist() == [[1, 3]]
    assert final_values(found, "passes").values.tolist() == [[5, 3]]
    assert final_values(found, "passes").at == {"p": 100}
    assert final_values(found, at=39).values.tolist() == [[5, INF]]


def test_unequal_budgets_are_read_at_the_smaller():
    found = results(record(budget=50, values=[3]), record(method="b", values=[4, 1], spent=[9, 80]))
    assert final_values(found).values.tolist() == [[3, 4]]


def test_seconds_are_read_while_all_are_at_work():
    slow = record(method="s", values=[5, 4], spent=[10, 50], seconds=10.0)
    fast = record(method="f", values=[3], spent=[100], seconds=2.0)
    broken = record(method="x", values=[], seconds=0.0)
    found = final_values(results(slow, fast, broken), "seconds")
    assert found.at == {"p": 2.0}
    assert found.values.tolist() == [[5, 3, INF]]
    assert final_values(results(broken), "seconds").values.tolist() == [[INF]]


def test_missing_runs_leave_their_block_out():
    found = results(record(seed=0), record(seed=1), record(method="b", seed=1, values=[2.0]))
    assert np.isnan(final_values(found).values).sum() == 1
    assert compare_methods(found).blocks == ("seed 1",)
    with pytest.raises(ValueError, match="no problem was run with every method"):
        compare_methods(results(record(seed=0), record(method="b", seed=1)))
    with pytest.raises(ValueError, match="at least one method"):
        compare_methods(results(record(method=START)))


def test_one_method_is_alone():
    found = compare_methods(finals(a=[1.0, 2.0]))
    assert (found.average, found.critical_difference, found.cliques()) == ([1.0], 0, [])


def test_decades_put_problems_on_one_scale():
    known = {
        "f": ProblemInfo("f", n=2, optimum=5.0, precision=True),
        "g": ProblemInfo("g", n=2),
        "h": ProblemInfo("h", n=2),
    }
    found = results(
        record("f", "a", values=[5.001]),
        record("f", "b", values=[5.0]),
        record("g", "a", values=[1e6, 1e5]),
        record("g", "b", values=[1e6, 0.0]),
        record("h", "a", values=[]),
        record("h", "b", values=[]),
        **known,
    )
    expected = [[-3, -8], [-1, -5], [INF, INF]]
    np.testing.assert_allclose(decades(found, final_values(found)), expected, atol=1e-9)


@given(st.integers(0, 500))
def test_messy_results_give_ranks_all_the_same(seed):
    found = compare_methods(by_chance(seed, missing=0.05))
    k = len(found.methods)
    np.testing.assert_allclose(found.ranks.sum(axis=1), k * (k + 1) / 2)
    assert (np.diff(found.average) >= 0).all()
    assert ((found.pairs >= 0) & (found.pairs <= 1)).all()
    assert not np.isnan([*found.friedman, *found.iman_davenport]).any()
