"""Bad input meets a clear error or a sane result; all methods in `experiments reliability`."""

import pytest

from blackbox import ALGORITHMS
from experiments.reliability import BAD
from experiments.reliability_cases import CASES
from experiments.reliability_inputs import Outcome, try_all, try_case

FAST = ("cma",)
MORE = [row.name for row in ALGORITHMS.values() if row.installed and row.name not in FAST]


def cases(name):
    return [pytest.param(name, case, id=f"{name}-{case.name}") for case in CASES]


@pytest.mark.parametrize(("name", "case"), [case for name in FAST for case in cases(name)])
@pytest.mark.filterwarnings("ignore")
def test_what_is_wrong_is_said_and_what_is_right_works(name, case):
    outcome = try_case(ALGORITHMS[name], case)
    assert outcome is None or outcome.kind not in BAD, outcome


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_every_method_meets_every_case(name):
    bad = {
        case.name: outcome
        for case, outcome in zip(CASES, try_all(name), strict=True)
        if outcome is not None and outcome.kind in BAD
    }
    assert not bad


def test_the_judge_knows_bad_from_good(monkeypatch):
    """What the table calls silent, obscure and late is called so."""

    def judged(name, otherwise):
        case = next(case for case in CASES if case.name == name)
        monkeypatch.setattr("experiments.reliability_inputs.minimize", otherwise)
        return try_case(ALGORITHMS["cma"], case).kind

    def obscure(fun, **_):
        raise ValueError("operands could not be broadcast together")

    def late(fun, **arguments):
        fun([1.0, 1.0])
        raise ValueError("x0 is not finite")

    def silent(fun, **arguments):
        from blackbox import minimize

        return minimize(fun, [1.0, 1.0], method="cma", budget=20)

    def lying(fun, **arguments):
        found = silent(fun)
        found.fun -= 1e-3
        return found

    assert judged("x0: NaN", obscure) == "obscure"
    assert judged("x0: NaN", late) == "obscure"
    assert judged("x0: NaN", silent) == "silent"
    assert judged("x0: integers", lying) == "silent"
    assert judged("raises at evaluation 20", obscure) == "obscure"


def test_a_hang_and_a_death_are_told(monkeypatch):
    monkeypatch.setattr("experiments.reliability_inputs.PATIENCE", 0.0)
    assert next(iter(try_all("cma"))).kind == "hang"
    assert Outcome("ok", "").kind not in BAD
