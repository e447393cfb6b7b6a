"""Validation losses during a run: when, of what, counted, and what may be given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import Optimizer, minimize
from tests.blackbox.minibatches import Differentiable, LeastSquares
from tests.blackbox.overfitting import TURN, Held, N, descend, evaluate, slope, sphere

# When, and what


@pytest.mark.parametrize("every", [1, 3, 10])
def test_it_is_measured_at_every_so_manieth_point_of_the_run(every):
    held, told = Held(), []
    arguments = {"budget": 60, "validate_every": every}
    result = descend(lambda x: told.append(x.copy()) or sphere(x), validation=held, **arguments)
    expected = told[every - 1 :: every]
    np.testing.assert_array_equal(held.points[: len(expected)], expected)
    assert len(held.points) - len(expected) in (0, 1)  # where it has come to at the end
    assert result.nfev == len(told) + len(held.points) <= 60
    assert result.history.validation_count == len(held.points)
    losses = [np.sum((x - TURN) ** 2) for x in held.points]
    np.testing.assert_allclose(result.history.trace.curves().validation_loss, losses)
    assert result.validation_loss == min(losses)


def test_the_default_is_a_hundredth_of_the_run_but_ten_at_least():
    for budget, every in ((300, 10), (5000, 50)):
        held = Held()
        descend(validation=held, budget=budget, options={"lr": 1e-5})
        assert len(held.points) == pytest.approx(budget / (every + 1), abs=1.5)


def test_without_patience_it_changes_nothing_but_what_is_spent():
    plain = descend(budget=50)
    watched = descend(budget=55, validation=Held(), validate_every=10)
    np.testing.assert_array_equal(watched.x, plain.x)
    assert (watched.nfev, plain.nfev) == (55, 50)
    assert not hasattr(plain, "validation_loss")


def test_a_population_is_validated_at_its_incumbent_and_once_at_each():
    held = Held()
    result = minimize(
        sphere,
        np.zeros(N),
        method="cma",
        budget=300,
        seed=1,
        validation=held,
        validate_every=2,
    )
    assert len({tuple(x) for x in held.points}) == len(held.points) > 5
    values = [sphere(x) for x in held.points]
    assert values == sorted(values, reverse=True)
    assert result.nfev <= 300


@pytest.mark.parametrize("method", ["l-bfgs-b", "nelder-mead", "bfgs", "slsqp", "tnc"])
def test_serial_solvers_count_evaluations_as_generations_stencils_not(method):
    held = Held()
    result = minimize(sphere, np.zeros(N), method=method, validation=held, validate_every=3)
    assert held.points
    batches = result.history.batch_count
    assert len(held.points) <= batches // 3 + 1
    calls = result.nfev - len(held.points)
    plain = minimize(sphere, np.zeros(N), method=method)
    assert calls == plain.nfev
    np.testing.assert_array_equal(result.x, plain.x)


def test_a_run_that_ends_before_the_first_is_validated_where_it_ends():
    held = Held()
    result = minimize(sphere, np.zeros(N), method="bfgs", jac=slope, validation=held)
    assert result.history.batch_count < 10
    np.testing.assert_array_equal(held.points, [result.x])
    assert result.validation_loss == pytest.approx(12.0, abs=1e-6)


@given(
    st.integers(1, 60),
    st.integers(1, 12),
    st.sampled_from([None, 1, 3]),
    st.sampled_from(["sgd", "cma", "sgd, 3 starts"]),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_the_budget_is_never_exceeded_and_all_is_counted(budget, every, patience, name, changing):
    count = [0]

    def validate(points):
        count[0] += len(points)
        return evaluate(points)

    fun = Differentiable()
    if not changing:
        fun.begin = fun.full = None
        fun.drawn = slice(None)
        fun.rows = len(fun.targets)
    starts = np.zeros((3, 4)) + np.arange(3)[:, None] if "3" in name else np.zeros(4)
    result = minimize(
        fun,
        starts,
        method=name[:3],
        budget=budget,
        seed=0,
        options={"lr": 0.05} if name != "cma" else {"popsize": 5},
        validation=validate,
        validate_every=every,
        patience=patience,
    )
    spent = fun.count("batch") + fun.count("full") + count[0]
    assert result.nfev == spent <= budget
    if not np.isfinite(result.fun):
        assert budget < 3
    else:
        assert result.fun == pytest.approx(fun.score(result.x[None])[0], rel=1e-12)
    if patience is not None and count[0]:
        assert result.validation_loss == evaluate(result.x[None])[0]


# What is given


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"validation": 3}, TypeError, "validation is a function"),
        ({"patience": 2.0}, TypeError, "patience is a whole number"),
        ({"patience": True}, TypeError, "patience is a whole number"),
        ({"patience": 0}, ValueError, "patience must be at least 1"),
        ({"validation": Held(), "validate_every": -1}, ValueError, "validate_every must be at"),
        ({"validation": Held(), "validate_every": "2"}, TypeError, "validate_every is a whole"),
        ({"validate_every": 5}, ValueError, "nothing to validate on: give validation="),
    ],
)
def test_bad_arguments_are_refused_before_the_first_evaluation(arguments, error, words):
    def never(x):
        raise AssertionError

    with pytest.raises(error, match=words):
        descend(never, budget=20, **arguments)


@pytest.mark.parametrize(
    ("returned", "error"), [([1.0, 2.0], ValueError), (None, TypeError), ("low", TypeError)]
)
def test_what_is_no_number_is_refused_in_words(returned, error):
    with pytest.raises(error, match="validation") as caught:
        descend(validation=lambda x: returned, validate_every=1, budget=20)
    assert caught.value.result.nfev == 1


def test_numbers_of_every_kind_are_taken():
    for make in (np.float32, lambda v: np.array([v]), int):
        result = descend(validation=lambda x, make=make: make(x.sum()), validate_every=1, budget=20)
        assert np.isfinite(result.validation_loss)


def test_it_cannot_change_the_points_of_the_run():
    def vandal(x):
        x[:] = 99.0
        return 1.0

    spoilt = descend(validation=vandal, validate_every=1, budget=40)
    np.testing.assert_array_equal(
        spoilt.x, descend(validation=Held(), validate_every=1, budget=40).x
    )


class Own(LeastSquares):
    """An objective with validation data of its own."""

    has_validation = True

    def __init__(self):
        super().__init__()
        self.begin, self.drawn, self.validated = None, slice(None), 0

    def validate(self, points):
        self.validated += len(points)
        return evaluate(points)


@pytest.mark.parametrize(
    ("arguments", "measured"),
    [({}, False), ({"patience": 100}, True), ({"validate_every": 2}, True)],
)
def test_the_objectives_own_validation_is_used_where_something_goes_by_it(arguments, measured):
    fun = Own()
    result = minimize(fun, np.zeros(4), method="cma", budget=200, seed=0, **arguments)
    assert (fun.validated > 0) == measured
    assert hasattr(result, "validation_loss") == measured


def test_what_is_given_goes_before_the_objectives_own():
    fun = Own()
    result = minimize(
        fun, np.zeros(4), method="cma", budget=100, seed=0, validation=lambda p: p[:, 0] * 0 + 7.0
    )
    assert fun.validated == 0
    assert result.validation_loss == 7.0


def test_ask_and_tell_knows_no_validation():
    with pytest.raises(ValueError, match="validation"):
        Optimizer("cma", np.zeros(N), validation=Held())


def test_a_run_of_too_few_generations_says_that_none_was_validated():
    held = Held()
    result = minimize(
        sphere, np.zeros(N), method="pso", bounds=(-2, 2), budget=250, validation=held, patience=2
    )
    assert not held.points
    assert "no validation was due: there is one every 10 generations" in result.message
