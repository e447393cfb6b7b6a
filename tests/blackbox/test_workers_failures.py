"""The failure contract: how an evaluation ends, what the history tells, what stands for it."""

import logging
import pickle

import numpy as np
import pytest

from blackbox import Optimizer, minimize
from blackbox.failures import MESSAGE, Failed

START = np.zeros(2)
SETTINGS = {"method": "cma", "seed": 0, "budget": 120}


def bowl(x):
    return float(np.sum((x - 1) ** 2))


def fragile(x):
    if x[0] < -0.2:
        raise RuntimeError(f"left of it: {x[0] < 0}")
    if x[1] < -0.2:
        return np.nan
    if x[1] > 0.5:
        return np.inf
    return bowl(x)


def elsewhere(call, points):
    """As if in another process: what comes back is a copy."""
    return [pickle.loads(pickle.dumps(call))(pickle.loads(pickle.dumps(x))) for x in points]


@pytest.mark.parametrize("workers", [None, elsewhere])
def test_failures_are_told_by_kind_with_their_first_message(workers):
    result = minimize(fragile, START, on_error="penalize", workers=workers, **SETTINGS)
    told = result.history.failures
    assert set(told) == {"raised", "nan", "infinite"}
    assert told["raised"].message == "RuntimeError: left of it: True"
    assert told["nan"].message == "the value was nan"
    assert told["infinite"].message == "the value was inf"
    assert sum(each.count for each in told.values()) == result.history.failure_count > 10
    assert pickle.loads(pickle.dumps(told)) == told


def test_without_failures_there_are_none():
    assert minimize(bowl, START, **SETTINGS).history.failures == {}


def test_failures_of_a_batch():
    def fun(points):
        if (points > 1.4).any():
            raise ValueError("one of them")
        return np.where(points[:, 0] > 1, np.nan, np.sum((points - 1) ** 2, axis=1))

    result = minimize(fun, START, on_error="penalize", batched=True, **SETTINGS)
    told = result.history.failures
    assert set(told) == {"raised", "nan"}
    assert sum(each.count for each in told.values()) == result.history.failure_count


def test_failures_told_to_an_optimizer():
    with Optimizer("cma", START, seed=0) as opt:
        values = np.arange(float(len(opt.ask())))
        values[:3] = np.nan, np.inf, np.nan
        opt.tell(values)
        copy = pickle.loads(pickle.dumps(opt))
    for each in (opt, copy):
        assert each.history.failures["nan"].count == 2
        assert each.history.failures["infinite"].count == 1
    copy.close()


def test_a_long_message_is_cut():
    assert len(Failed("raised", error=ValueError("x" * 10 * MESSAGE)).message) == MESSAGE


@pytest.mark.parametrize("workers", [None, elsewhere])
def test_a_function_may_give_the_value(workers):
    seen = []

    def stand_in(x, error):
        seen.append((x, error))
        return 100.0

    result = minimize(fragile, START, on_error=stand_in, workers=workers, **SETTINGS)
    failures = result.history.failures
    assert failures["raised"].count == len(seen) > 0
    assert all(x[0] < -0.2 and "left of it" in str(error) for x, error in seen)
    assert result.history.failure_count == sum(each.count for each in failures.values())
    assert result.history.failure_count > failures["raised"].count


def test_a_function_sees_the_point_as_it_was_asked():
    def fun(x):
        x[:] = 7.0
        raise ValueError

    seen = []
    minimize(fun, START, on_error=lambda x, e: seen.append(x.copy()) or 1.0, **SETTINGS)
    assert not np.any(np.isin(seen, 7.0))


def test_a_function_gives_values_of_a_batch():
    def fun(points):
        raise ValueError("all of them")

    def stand_in(points, error):
        assert points.ndim == 2
        return points.sum(axis=1) ** 2

    settings = {**SETTINGS, "batched": True}
    by_points = minimize(fun, START, on_error=stand_in, **settings)
    assert by_points.fun < 1
    assert by_points.history.failures["raised"].count == by_points.nfev
    assert minimize(fun, START, on_error=lambda p, e: 3.0, **settings).fun == 3.0


def test_a_function_may_raise():
    def stand_in(x, error):
        raise KeyError("enough") from error

    with pytest.raises(KeyError, match="enough") as caught:
        minimize(fragile, START, on_error=stand_in, **SETTINGS)
    assert caught.value.result.nfev > 0


def test_a_function_may_stop_the_run():
    def stand_in(x, error):
        raise StopIteration

    result = minimize(fragile, START, on_error=stand_in, **SETTINGS)
    assert not result.success
    assert result.message.startswith("`on_error` raised `StopIteration` at RuntimeError: left")
    assert result.fun == result.history.best_value < 3


@pytest.mark.parametrize("given", [None, "2", 1j, [1.0, 2.0]])
def test_a_function_must_give_a_number(given):
    with pytest.raises(TypeError, match="on_error must return a number"):
        minimize(fragile, START, on_error=lambda x, e: given, **SETTINGS)


def test_gradients_that_fail_are_told():
    def jac(x):
        raise ZeroDivisionError("in jac")

    result = minimize(bowl, START, jac=jac, method="l-bfgs-b", on_error="penalize", budget=20)
    assert result.history.failures["raised"].message == "ZeroDivisionError: in jac"
    assert result.history.failure_count == result.njev == 1


def test_what_failed_before_an_exception_is_told():
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.nan if len(calls) == 2 else bowl(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        minimize(fun, START, **SETTINGS)
    assert caught.value.result.history.failures["nan"].count == 1
    assert caught.value.result.nfev == 3


def test_ctrl_c_may_return_the_result():
    calls = []

    def fun(x):
        calls.append(bowl(x))
        if len(calls) == 40:
            raise KeyboardInterrupt
        return calls[-1]

    result = minimize(fun, START, on_interrupt="return", **SETTINGS)
    assert result.message == "KeyboardInterrupt"
    assert not result.success
    assert result.nfev == 39
    assert result.fun == min(calls[:-1])
    with pytest.raises(ValueError, match="on_interrupt"):
        minimize(fun, START, on_interrupt="ignore", **SETTINGS)


def test_other_exceptions_propagate_all_the_same():
    with pytest.raises(RuntimeError, match="left of it"):
        minimize(fragile, START, on_interrupt="return", **SETTINGS)


def test_the_first_of_a_kind_is_logged(caplog):
    with caplog.at_level(logging.INFO, "blackbox"):
        minimize(fragile, START, on_error="penalize", **SETTINGS)
    told = [record.message for record in caplog.records if "failed" in record.message]
    assert sorted(told) == sorted(set(told))
    assert "an evaluation failed (raised): RuntimeError: left of it: True" in told
