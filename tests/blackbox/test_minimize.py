"""What `minimize` takes and gives, beyond the laws: scipy's signature and ours."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize

BOX = [(-5.0, 5.0)] * 2


def bowl(x, centre=1.0):
    return float(np.sum((x - centre) ** 2))


# The objective and its gradient


def test_args_reach_the_objective_and_the_gradient():
    def jac(x, centre, scale):
        return 2 * scale * (x - centre)

    def fun(x, centre, scale):
        return float(scale * np.sum((x - centre) ** 2))

    result = minimize(fun, [0.0, 0.0], (2.0, 3.0), "slsqp", jac)
    assert np.allclose(result.x, 2)
    assert result.njev > 0
    assert result.history.stencil_count == 0


def test_one_argument_needs_no_tuple():
    assert np.allclose(minimize(bowl, [0.0, 0.0], 3.0, "slsqp").x, 3)


@pytest.mark.parametrize("jac", [None, False, "2-point", "3-point"])
def test_without_a_gradient_finite_differences_are_used(jac):
    result = minimize(bowl, [0.0, 0.0], method="slsqp", jac=jac)
    assert np.allclose(result.x, 1, atol=1e-6)
    assert result.history.stencil_count > 0
    assert result.history.gradient_count == 0
    assert result.njev > 0  # as scipy counts: gradients by differences too


def test_a_central_difference_takes_twice_the_points():
    forward, central = (
        minimize(bowl, [0.0, 0.0], method="adam", jac=jac, budget=25).history.stencil_count
        for jac in ("2-point", "3-point")
    )
    assert (forward, central) == (16, 20)


def test_jac_true_means_value_and_gradient():
    calls = []

    def fun(x):
        calls.append(x)
        return bowl(x), 2 * (x - 1)

    result = minimize(fun, [0.0, 0.0], method="slsqp", jac=True)
    assert result.fun < 1e-12
    assert result.nfev == len(calls)
    assert result.njev == result.nfev


@pytest.mark.parametrize("name", ["cma", "pso", "random", "pyswarm"])
def test_methods_without_gradients_take_the_value_of_a_pair(name):
    def fun(x):
        return bowl(x), 2 * (x - 1)

    result = minimize(fun, [0.0, 0.0], method=name, jac=True, bounds=BOX, budget=200, seed=0)
    assert result.fun < 2


def test_jac_true_wants_a_pair():
    with pytest.raises(TypeError, match="value, gradient"):
        minimize(bowl, [0.0, 0.0], method="slsqp", jac=True)


@pytest.mark.parametrize("jac", ["4-point", 3, "CS"])
def test_an_unknown_jac_is_refused(jac):
    with pytest.raises(ValueError, match="jac"):
        minimize(bowl, [0.0, 0.0], jac=jac)


@pytest.mark.parametrize(
    ("gradient", "error"),
    [
        (lambda x: np.ones(3), ValueError),
        (lambda x: None, TypeError),
        (lambda x: np.ones(2) * 1j, TypeError),
        (lambda x: "abc", TypeError),
    ],
)
@pytest.mark.parametrize("name", ["slsqp", "adam"])
def test_a_gradient_of_the_wrong_kind_is_refused(name, gradient, error):
    with pytest.raises(error, match="gradient"):
        minimize(bowl, [0.0, 0.0], method=name, jac=gradient, budget=20)


def test_a_batched_objective_sees_whole_batches():
    shapes = set()

    def fun(points):
        shapes.add(points.shape)
        return np.sum((points - 1) ** 2, axis=1)

    result = minimize(
        fun, method="random", bounds=BOX, batched=True, budget=128, options={"popsize": 32}
    )
    assert shapes == {(32, 2)}
    assert result.nfev == 128


def test_an_objective_may_say_that_it_is_batched():
    def fun(points):
        assert points.ndim == 2
        return np.sum((points - 1) ** 2, axis=1)

    fun.batched = True
    assert minimize(fun, [0.0, 0.0], method="cma", seed=0).fun < 1e-8


def test_batched_gradients_come_as_rows():
    def fun(points):
        return np.sum((points - 1) ** 2, axis=1), 2 * (points - 1)

    result = minimize(
        fun, np.zeros((3, 2)), method="adam", jac=True, batched=True, budget=30, options={"lr": 0.1}
    )
    assert result.njev == 30
    separate = minimize(
        lambda p: fun(p)[0],
        np.zeros((3, 2)),
        method="adam",
        jac=lambda p: fun(p)[1],
        batched=True,
        budget=30,
        options={"lr": 0.1},
    )
    assert result.fun == separate.fun


def test_an_objective_that_says_its_dimension_is_believed():
    class Named:
        n = 3  # of something else, for all that we know

        def __call__(self, x):
            return bowl(x)

    class Objective(Named):
        batched = False

    assert minimize(Named(), [0.0, 0.0], budget=10).x.shape == (2,)
    assert minimize(Objective(), bounds=(-1, 1), method="random", budget=10).x.shape == (3,)
    with pytest.raises(ValueError, match="3"):
        minimize(Objective(), [0.0, 0.0])


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (None, TypeError, "None"),
        ("1.2", TypeError, "string"),
        (1 + 2j, TypeError, "complex"),
        (np.ones(2), ValueError, "shape"),
        ([1.0, 2.0], ValueError, "shape"),
        (np.array([]), ValueError, "shape"),
        ({}, TypeError, "dict"),
        (-np.inf, ValueError, "-inf"),
    ],
)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_objective_that_returns_no_number_is_refused_at_once(name, value, error, says):
    calls = []

    def fun(x):
        calls.append(x)
        return value

    with pytest.raises(error, match=says):
        minimize(fun, [0.0, 0.0], method=name, bounds=BOX, seed=0)
    assert len(calls) <= 100


@pytest.mark.parametrize("value", [3, np.float32(3), np.array(3.0), np.array([3.0]), [3.0]])
def test_numbers_of_any_kind_are_values(value):
    assert minimize(lambda x: value, [0.0, 0.0], method="random", bounds=BOX, budget=3).fun == 3


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (lambda p: p, ValueError),
        (lambda p: np.ones(len(p) + 1), ValueError),
        (lambda p: 1.0, ValueError),
        (lambda p: None, TypeError),
        (lambda p: np.ones(len(p)) * 1j, TypeError),
        (lambda p: ["a"] * len(p), TypeError),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "penalize"])
def test_a_batched_objective_of_the_wrong_shape_is_refused(values, error, on_error):
    # Not a failed evaluation: a mistake, also where failures are penalized.
    with pytest.raises(error, match="batched objective"):
        minimize(values, [0.0, 0.0], method="cma", batched=True, on_error=on_error, budget=50)


def test_fun_must_be_callable():
    with pytest.raises(TypeError, match="fun"):
        minimize(3, [0.0])


# Where the objective runs, and what it may do there


def test_a_workers_map_is_used(watched):
    batches = []

    def spread(fun, points):
        batches.append(len(points))
        return [fun(x) for x in points]

    result = minimize(bowl, [0.0, 0.0], method="cma", seed=0, workers=spread, budget=100)
    assert sum(batches) == result.nfev
    assert max(batches) > 1
    assert result.fun == minimize(bowl, [0.0, 0.0], method="cma", seed=0, budget=100).fun


def test_an_executor_evaluates_in_its_threads():
    threads = set()

    def fun(x):
        threads.add(threading.current_thread())
        return bowl(x)

    with ThreadPoolExecutor(2) as pool:
        result = minimize(fun, [0.0, 0.0], method="cma", seed=0, workers=pool, budget=100)
        assert pool.submit(len, "open").result() == 4
    assert threading.current_thread() not in threads
    assert result.fun == minimize(bowl, [0.0, 0.0], method="cma", seed=0, budget=100).fun


def test_failures_in_workers_are_penalized():
    def fun(x):
        if x[0] > 0.5:
            raise ZeroDivisionError
        return bowl(x)

    def elsewhere(call, points):
        # What comes back from another process is a copy.
        return [pickle.loads(pickle.dumps(call(x))) for x in points]

    settings = {"method": "cma", "seed": 0, "on_error": "penalize", "budget": 200}
    result = minimize(fun, [0.0, 0.0], workers=elsewhere, **settings)
    assert result.fun == minimize(fun, [0.0, 0.0], **settings).fun
    assert result.history.failure_count > 0


@pytest.mark.slow
def test_processes_evaluate_and_are_gone_afterwards(no_thread_left):
    result = minimize(bowl, [0.0, 0.0], method="cma", seed=0, workers=2, budget=60)
    assert result.fun == minimize(bowl, [0.0, 0.0], method="cma", seed=0, budget=60).fun


@pytest.mark.parametrize(
    ("workers", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (2.5, TypeError), ("two", TypeError)],
)
def test_workers_of_no_meaning_are_refused(workers, error):
    with pytest.raises(error, match="workers"):
        minimize(bowl, [0.0, 0.0], workers=workers)


def test_a_batched_objective_takes_no_workers():
    with pytest.raises(ValueError, match="workers"):
        minimize(bowl, [0.0, 0.0], workers=map, batched=True)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("batched", [False, True])
def test_warnings_of_the_objective_reach_the_user(name, batched):
    def fun(x):
        np.log(x * 0 - 1)
        return np.sum((x - 1) ** 2, axis=-1)

    with pytest.warns(RuntimeWarning, match="encountered in log"):
        minimize(fun, [0.0, 0.0], method=name, bounds=BOX, seed=0, budget=20, batched=batched)


@pytest.mark.filterwarnings("ignore:Method .* does not use gradient:RuntimeWarning")
@pytest.mark.parametrize("kind", ["fun", "jac", "callback"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_callers_error_state_holds_in_all_user_code(name, kind):
    seen = []

    def note(who):
        if who == kind:
            seen.append(np.geterr())

    def fun(x):
        note("fun")
        return bowl(x)

    def jac(x):
        note("jac")
        return 2 * (x - 1)

    with np.errstate(divide="raise", over="ignore"):
        expected = np.geterr()
        minimize(
            fun,
            [0.0, 0.0],
            method=name,
            jac=jac,
            callback=lambda x: note("callback"),
            bounds=BOX,
            seed=0,
            budget=150,  # more than a swarm
        )
    assert all(state == expected for state in seen)
    assert seen or kind == "jac"


# Penalties


def test_on_error_is_one_of_two():
    with pytest.raises(ValueError, match="on_error"):
        minimize(bowl, [0.0], on_error="ignore")


def test_interrupts_are_never_penalized():
    def fun(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(fun, [0.0, 0.0], method="cma", on_error="penalize")
