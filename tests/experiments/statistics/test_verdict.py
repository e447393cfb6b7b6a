import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.plan import START
from experiments.record import AXES, ProblemInfo
from experiments.statistics import verdict
from tests.experiments.statistics.cases import by_chance, finals, record, results

INF = np.inf


def around(middle, seeds=20, spread=0.05):
    """Values of so many seeds, with the middle for their median."""
    return list(middle * np.linspace(1 - spread, 1 + spread, seeds))


def on_problems(count, seeds=1, **by_method):
    """Results on so many problems, with the same value for a method on all of them."""
    return results(
        *(
            record(f"p{i}", name, seed, [value])
            for i in range(count)
            for name, value in by_method.items()
            for seed in range(seeds)
        )
    )


def test_a_winner_by_how_much_and_how_sure():
    said = verdict(finals(cma=around(0.5), slsqp=around(2.5)))
    assert said == (
        "cma is best on p: its median 0.5 is 5 times smaller than that of slsqp (95 % interval "
        "5 to 5); Wilcoxon-Holm p < 0.001 over 20 seeds."
    )


def test_a_winner_over_several():
    said = verdict(finals(cma=around(0.5, 8), slsqp=around(2.5, 8), pso=around(4, 8)))
    assert "cma is best on p" in said
    assert "p = 0.023 or less against each of the others over 8 seeds" in said


def test_a_small_lead_is_a_difference():
    said = verdict(finals(a=around(100, 10, 0.001), b=around(101, 10, 0.001)))
    assert "its median 100 is 1 lower than that of b" in said
    said = verdict(finals(a=around(1), b=around(2), c=around(3)))
    assert "Wilcoxon-Holm p < 0.001 against each of the others over 20 seeds" in said
    said = verdict(finals(a=around(-8, 10), b=around(-2, 10)))
    assert "its median -8 is 6 lower than that of b" in said


def test_no_winner():
    random = np.random.default_rng(0)
    a, b = random.normal(5, 1, 30), random.normal(5, 1, 30)
    said = verdict(finals(a=a, b=b, c=around(50, 30)))
    assert said.startswith("No method is clearly best: ")
    assert re.search(r"a is not distinguishable from b|b is not distinguishable from a", said)
    assert not re.search(r"\bc\b", said)


def test_few_seeds_cannot_show_anything():
    assert verdict(finals(cma=around(1, 3), slsqp=around(9, 3))) == (
        "cma has the lowest median on p, 1 against 9 of slsqp, but 3 seeds cannot show a "
        "difference: the smallest p possible is 0.25."
    )
    said = verdict(finals(a=[1.0], b=[2.0], c=[3.0]))
    assert "1 seed cannot show a difference between 3 methods" in said


def test_the_lowest_median_may_lose_by_more_than_it_wins():
    said = verdict(finals(a=[0.99] * 51 + [5.0] * 49, b=[1.0] * 100))
    assert said.startswith("No method is clearly best: a has the lowest median")
    assert said.endswith("but start by start Wilcoxon's test favours b.")


def test_all_the_same():
    said = verdict(finals(a=[1.0] * 9, b=[1.0] * 9))
    assert "a and b have the same median on p, 1, but a is not distinguishable from b" in said
    assert "p = 1" in said


def test_failures_are_said():
    said = verdict(finals(a=[1.0] * 9, b=[INF] * 2 + [3.0] * 7, c=[INF] * 9))
    assert said.endswith("Nothing was found by b in 2 of 9 runs and c in 9 of 9 runs.")
    said = verdict(finals(a=[1.0] * 9, c=[INF] * 9))
    assert "its median is 1, and c has no value in most of its runs" in said
    said = verdict(finals(a=[1.0] + [INF] * 8, b=[INF] * 8 + [1.0]))
    assert "a and b have the same median on p, no value, but a is not distinguishable" in said
    assert verdict(finals(a=[INF], b=[INF])) == (
        "No method found a finite, feasible value in any of 2 runs."
    )


def test_one_method_and_none():
    assert verdict(finals(a=around(3, 9), start=around(9, 9))) == (
        "Only a was run on p: its median is 3 (95 % interval 2.9 to 3.1) over 9 seeds."
    )
    assert verdict(on_problems(3, seeds=2, a=1.0)) == (
        "Only a was run, on 3 problems, 2 runs each."
    )
    assert verdict(results(record(method=START))) == "No method was run."
    assert verdict(results()) == "No method was run."


def test_nothing_in_common():
    assert verdict(results(record("p", "a"), record("q", "b"))).startswith("There is nothing to")


def test_solved_is_said():
    known = {"p": ProblemInfo("p", n=2, optimum=0.0, precision=True)}
    runs = [
        record(method=m, seed=s, values=[v * (1 + s)])
        for s in range(9)
        for m, v in {"a": 1e-12, "b": 1e-3}.items()
    ]
    said = verdict(results(*runs, **known))
    assert "its median precision is 1e-8 or less, that of b 0.005" in said


def test_problems_are_ranked():
    said = verdict(on_problems(24, seeds=5, cma=1.0, slsqp=2.0, pso=3.0, start=0.0))
    assert said == (
        "cma is best: its average rank is 1 of 3 on 24 problems, 5 runs each; the next, slsqp, has "
        "2, further away than the critical difference 0.68."
    )


def test_problems_that_do_not_tell_methods_apart():
    said = verdict(on_problems(8, a=1.0, b=2.0, c=3.0))
    assert said == (
        "a has the best average rank, 1 of 3 on 8 problems, 1 run each; it is not distinguishable "
        "from b (critical difference 1.2)."
    )
    assert "2 problems cannot show a difference" in verdict(on_problems(2, a=1.0, b=2.0))


@pytest.mark.parametrize(
    ("axis", "read"), [("passes", "100 forward passes"), ("seconds", "0.1 seconds")]
)
def test_where_values_were_read(axis, read):
    assert verdict(finals(a=around(1), b=around(2)), axis).endswith(f", all read after {read}.")


def test_values_are_read_where_one_asks():
    late = [record(method="late", seed=s, values=[9, 1], spent=[1, 60]) for s in range(9)]
    early = [record(method="early", seed=s, values=[8, 2], spent=[1, 20]) for s in range(9)]
    found = results(*late, *early)
    assert verdict(found).startswith("late is best on p: its median 1 is 2 times smaller")
    said = verdict(found, at=50)
    assert said.startswith("early is best on p: its median 2 is 4.5 times smaller")
    assert said.endswith("over 9 seeds, all read after 50 evaluations.")


def test_methods_keep_their_options():
    runs = [record(method=m, seed=s) for m in ("cma:popsize=8", "cma") for s in range(9)]
    assert "cma:popsize=8 and cma have the same median" in verdict(results(*runs))


@given(
    st.integers(0, 300),
    st.sampled_from(list(AXES)),
    st.integers(1, 4),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.3]),
)
def test_whatever_the_results_the_words_make_sense(seed, axis, problems, seeds, missing):
    said = verdict(by_chance(seed, problems=problems, seeds=seeds, missing=missing), axis)
    assert said.endswith(".")
    assert not re.search(r"\b(nan|inf|None)\b|\(\)|  ", said)
