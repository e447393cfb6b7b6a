"""Users' functions that do what they should not: the comparison goes on and says what happened."""

import sys

import numpy as np
import pytest

from experiments import compare, running
from experiments.comparison import load

BOX = [(-1, 1)] * 2


def bowl(x):
    return float(np.sum((x - 0.3) ** 2))


def made(function, **attributes):
    """The function as a problem, with these attributes."""
    for name, value in ({"bounds": BOX} | attributes).items():
        setattr(function, name, value)
    return function


def why(comparison):
    return [row[-1] for row in comparison.failures().rows]


def test_a_report_may_have_numbers_of_numpy(tmp_path):
    def f(x):
        return bowl(x)

    made(f, report=lambda x: {"half": np.float32(0.5), 3: np.int64(2), "none": np.nan})
    compare([f], ["slsqp"], 1, 20, out=tmp_path)
    (record,) = load(tmp_path).records
    assert record.report["half"] == 0.5
    assert record.report["3"] == 2.0
    assert np.isnan(record.report["none"])


@pytest.mark.parametrize("report", [{"text": "hello"}, {"many": np.zeros(3)}, 7])
def test_a_report_of_no_numbers_spoils_only_itself(report):
    def f(x):
        return bowl(x)

    found = compare([made(f, report=lambda x: report)], ["slsqp"], 1, 20)
    (record,) = found.records
    assert record.value < 1e-6
    assert record.error.startswith("report: ")
    assert why(found) == [record.error]


def test_an_objective_that_exits_is_a_failure():
    def leaves(x):
        if x[0] > 0:
            sys.exit("no licence")
        return bowl(x)

    found = compare([made(leaves)], ["random"], 1, 40)
    (record,) = found.records
    assert 0 < record.failures < 40
    assert record.evaluations == 40
    assert why(found) == ["SystemExit: no licence"]


def test_why_it_failed_is_what_the_objective_did():
    def nan(x):
        return np.nan if x[0] > 0 else bowl(x)

    def raises(x):
        raise ArithmeticError("too | hot (again)")

    found = compare([made(nan), made(raises)], ["random", "slsqp"], 1, 30)
    assert set(why(found)) == {"values that are not finite", "ArithmeticError: too | hot (again)"}


@pytest.mark.parametrize("optimum", [np.nan, np.inf, "low", [0.0, 1.0]])
def test_an_optimum_is_a_finite_number(optimum):
    def f(x):
        return bowl(x)

    with pytest.raises(ValueError, match="optimum must be a finite number"):
        compare([made(f, optimum=optimum)], ["slsqp"], 1, 20)


def test_what_a_method_needs_is_loaded_before_its_first_run(monkeypatch):
    """Else the first run of a process would be charged seconds for an import."""
    import blackbox

    def f(x):
        return bowl(x)

    minimize, seen = blackbox.minimize, []

    def watched(objective, *arguments, **options):
        seen.append(isinstance(objective, running.Watched))
        return minimize(objective, *arguments, **options)

    monkeypatch.setattr(blackbox, "minimize", watched)
    running._warm.cache_clear()
    compare([made(f)], ["random"], 2, 20)
    assert seen == [False, True, True]
