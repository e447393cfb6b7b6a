"""The rules of `recommend`: all alive, all about methods that exist and can take the problem."""

import inspect
import itertools

import numpy as np
import pytest

from blackbox import ALGORITHMS, Problem, minimize, recommend
from blackbox.cases import FLAGS, Case
from blackbox.choice import check_fit
from blackbox.recommend import RULES

SAID = [name for name in FLAGS if name != "expensive"]
INSTALLED = all(row.installed for row in ALGORITHMS.values())


def cases():
    """Every combination of flags and bounds, in sizes on both sides of each limit of a rule."""
    sizes = [(2, None), (5, 5), (5, 400), (50, 60_000), (200, 400), (200, 5000), (200, 10**6)]
    sizes += [(501, None), (501, 20_000)]
    for given in itertools.product([False, True], repeat=len(SAID)):
        for (n, budget), bounds in itertools.product(sizes, ["none", "some", "all"]):
            yield Case(n, budget, bounds=bounds, **dict(zip(SAID, given, strict=True)))


@pytest.fixture(scope="module")
def answers():
    """The rule of each case."""
    return [(case, next(rule for rule in RULES if rule.fits(case))) for case in cases()]


def problem_of(case):
    """A problem as the case describes it."""
    upper = np.full(case.n, np.inf)
    upper[: {"none": 0, "some": 1, "all": case.n}[case.bounds]] = 1.0
    lower = np.where(np.isfinite(upper), -1.0, -np.inf)
    constraint = {"type": "ineq", "fun": lambda x: x[0]}
    return Problem(
        lower,
        upper,
        np.zeros((1, case.n)),
        constraints=(constraint,) if case.constraints else (),
        gradients="joint" if case.gradients else "none",
        budget=case.budget,
        changing=case.changing,
        noisy=case.noisy,
        integrality=np.arange(case.n) < 1 if case.integers else None,
        hess=np.eye if case.hessian else None,
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.when} {rule.method}")
def test_a_rule_names_methods_of_the_table_and_its_reasons(rule):
    assert set(rule.methods) <= set(ALGORITHMS)
    assert rule.reason.strip(".") == rule.reason != ""
    assert any(character.isdigit() for character in rule.source), "a year"


@pytest.mark.skipif(not INSTALLED, reason="a rule gives way where its library is missing")
def test_no_rule_is_dead(answers):
    used = {rule.when for _, rule in answers}
    assert [str(rule.when) for rule in RULES if rule.when not in used] == []


def test_what_is_recommended_can_take_the_problem(answers):
    for case, rule in answers:
        for name in rule.methods:
            check_fit(ALGORITHMS[name], problem_of(case))


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({"n": 10}, "cma"),
        ({"n": 10, "budget": 10_000}, ["slsqp", "ipop-cma"]),
        ({"n": 10, "budget": 50_000}, "cma"),
        ({"n": 10, "budget": 900}, "slsqp"),
        ({"n": 300, "budget": 9000}, "l-bfgs-b"),
        ({"n": 300, "budget": 600}, "sep-cma"),
        ({"n": 10, "gradients": True}, "slsqp"),
        ({"n": 300, "gradients": True}, "l-bfgs-b"),
        ({"n": 300, "gradients": True, "smooth": False}, "adam"),
        ({"n": 300, "gradients": True, "changing": True}, "adam"),
        ({"n": 300, "changing": True}, "cma"),
        ({"n": 3, "smooth": False, "budget": 100}, "nelder-mead"),
        ({"n": 10, "noisy": True, "budget": 300}, "cma"),
        ({"n": 5000}, "sep-cma"),
        ({"n": 10, "constraints": True}, "slsqp"),
        ({"n": 10, "constraints": True, "expensive": True}, "cobyqa"),
        ({"n": 10, "integers": True}, "cma"),
        (
            {"n": 10, "integers": True, "constraints": True, "bounds": "all"},
            "differential_evolution",
        ),
        ({"n": 10, "many_optima": True}, "bipop-cma"),
        ({"n": 10, "many_optima": True, "gradients": True}, ["cma", "l-bfgs-b"]),
        ({"n": 10, "hessian": True, "gradients": True}, "trust-exact"),
    ],
)
def test_what_the_page_promises(given, method):
    assert recommend(**given).method == method


def test_restarts_of_a_local_search_end_with_the_budget():
    told = recommend(5, 400, many_optima=True)
    assert (told.method, told.options) == ("slsqp", {"restarts": np.inf})
    result = minimize(
        lambda x: float(np.sum(x**2 + 2 * (1 - np.cos(6 * x)))),
        np.full(5, 3.0),
        method=told.method,
        options=told.options,
        bounds=(-5, 5),
        budget=400,
        seed=0,
    )
    assert result.nfev == 400


def test_an_expensive_evaluation_asks_for_a_model_whatever_the_budget():
    assert recommend(5, 50).method == "cobyqa"
    assert recommend(5, 300, expensive=True).method == "cobyqa"
    assert recommend(5, 50, expensive=False).method == "slsqp"


def test_a_missing_library_gives_way_to_the_next_rule(monkeypatch):
    assert recommend(5).method == "cma"
    there = property(lambda row: row.name != "cma")
    monkeypatch.setattr(type(ALGORITHMS["cma"]), "installed", there)
    assert recommend(5).method == "sep-cma"


def test_matrices_that_do_not_fit_into_memory_are_avoided():
    assert recommend(400).method == "cma"
    assert recommend(400, memory=8 * 400**2).method == "sep-cma"


def test_the_reason_and_its_source_come_with_the_method():
    told = recommend(10, 900)
    assert "fewer than 100" in told.reason
    assert "1988" in told.source
    assert told.options == {}


def test_the_arguments_are_those_of_a_case():
    said, known = (list(inspect.signature(f).parameters.values()) for f in (recommend, Case))
    assert [(p.name, p.default) for p in said] == [(p.name, p.default) for p in known]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n": 0}, ValueError, "n must be at least 1; got 0"),
        ({"n": 2.0}, TypeError, "n must be a whole number"),
        ({"n": True}, TypeError, "n must be a whole number"),
        ({"n": 2, "budget": 0}, ValueError, "budget must be at least 1"),
        ({"n": 2, "budget": "many"}, TypeError, "budget must be a whole number"),
        ({"n": 2, "noisy": 1}, TypeError, "noisy must be True or False"),
        ({"n": 2, "noisy": None}, TypeError, "noisy must be True or False"),
        ({"n": 2, "expensive": "yes"}, TypeError, "expensive must be True, False or None"),
        ({"n": 2, "bounds": (-1, 1)}, ValueError, "bounds must be 'none', 'some' or 'all'"),
        ({"n": 2, "memory": 0}, ValueError, "memory must be above 0"),
        ({"n": 2, "memory": float("nan")}, ValueError, "memory must be above 0"),
        ({"n": 2, "memory": "1G"}, TypeError, "memory must be a number of bytes"),
    ],
)
def test_arguments_are_checked(given, error, message):
    with pytest.raises(error, match=message):
        recommend(**given)


def test_numpy_integers_are_numbers():
    assert recommend(np.int64(10), np.int32(900)).method == "slsqp"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"jac": lambda x: 2 * x},
        {"jac": lambda x: 2 * x, "hess": lambda x: 2 * np.eye(len(x))},
        {"budget": 30},
        {"noisy": True, "budget": 400},
        {"integrality": [True, False, False], "budget": 400},
        {"constraints": {"type": "ineq", "fun": lambda x: 1 - x[0]}},
        {"bounds": (-2, 2), "budget": 200},
    ],
)
def test_auto_asks_the_same_rules(given):
    result = minimize(lambda x: float(x @ x), np.ones(3), method="auto", seed=0, **given)
    asked = recommend(
        3,
        given.get("budget"),
        gradients="jac" in given,
        hessian="hess" in given,
        noisy="noisy" in given,
        integers="integrality" in given,
        constraints="constraints" in given,
        expensive=False,
        bounds="all" if "bounds" in given else "none",
    )
    assert result.method == asked.method
    assert result.method_reason == asked.reason
    assert result.fun < 1


def test_auto_counts_the_variables_that_are_free():
    bounds = [(None, None)] * 5 + [(1.0, 1.0)] * 1000
    result = minimize(lambda x: float(x @ x), np.ones(1005), bounds=bounds, budget=400, seed=0)
    assert result.method == "slsqp"
