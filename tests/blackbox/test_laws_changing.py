"""Laws of every method on an objective that changes from batch to batch: minibatches.

A batch is scored on rows of the data that are drawn before it; what won it, on all of them.
"""

import threading
import time

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize
from blackbox.types import SELDOM
from tests.blackbox.descents import DESCENTS
from tests.blackbox.minibatches import (
    BOX,
    STEADY,
    Differentiable,
    LeastSquares,
    N,
    at_full_fidelity,
    search,
)

REMEMBERING = [name for name in ALGORITHMS if name not in STEADY]


# Who takes it


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_method_that_remembers_values_refuses_and_says_the_way_out(name):
    fun = LeastSquares()
    with pytest.raises(ValueError, match="changes from batch to batch") as caught:
        minimize(fun, np.zeros(N), method=name, bounds=BOX, budget=50)
    assert all(
        part in str(caught.value)
        for part in (repr(name), "batch_size=None", "randomness='fixed'", "'cma'", "'adam'")
    )
    assert not fun.log


@pytest.mark.law(5)
@pytest.mark.parametrize("name", REMEMBERING)
def test_it_takes_an_objective_that_says_it_does_not_change(name):
    fun = LeastSquares()
    fun.begin, fun.drawn = None, slice(None)
    result = minimize(fun, np.zeros(N), method=name, bounds=BOX, budget=50, seed=0)
    assert result.nfev == fun.count("batch")
    assert not fun.calls("full")
    assert result.history.full_count == 0


def test_an_objective_that_is_not_of_the_protocol_may_have_such_names():
    def fun(x):
        return float(x @ x)

    fun.begin, fun.full, fun.reads_only = "Monday", 3, True
    assert minimize(fun, np.ones(N), method="slsqp").fun < 1e-8


@pytest.mark.parametrize("what", ["begin", "full"])
def test_what_cannot_be_called_is_refused(what):
    fun = LeastSquares()
    setattr(fun, what, True)
    with pytest.raises(TypeError, match=f"fun.{what} must be a function or None; got True"):
        search(fun)
    assert not fun.log


@pytest.mark.parametrize(
    ("fun", "n", "method", "why"),
    [
        (LeastSquares(), N, "cma", "ranks values within a batch"),
        (Differentiable(), N, "adam", "averages gradients over batches"),
    ],
)
def test_auto_takes_a_method_that_stands_it_and_says_why(fun, n, method, why):
    result = minimize(fun, np.zeros(n), budget=20, seed=0)
    assert result.method == method
    assert why in result.method_reason


def test_auto_learns_variances_alone_where_there_are_many_variables():
    class Wide:
        batched = True

        def begin(self, generation, rng):
            self.offset = rng.random()

        def __call__(self, points):
            return np.sum((points - self.offset) ** 2, axis=1)

    settings = {"budget": 60, "seed": 0}
    expected = minimize(Wide(), np.zeros(501), method="sep-cma", **settings).fun
    assert minimize(Wide(), np.zeros(501), **settings).fun == expected


# Generations


@pytest.mark.parametrize("name", STEADY)
def test_each_generation_is_announced_once_before_it(name):
    fun = LeastSquares()
    result = search(fun, name, np.zeros(N))
    begun = [generation for _, generation, _, _ in fun.calls("begin")]
    assert begun == list(range(len(begun)))
    assert len(begun) == result.history.batch_count > 10
    # Between two announcements: one batch and perhaps a winner; or a point and its stencil.
    batches = [generation for _, generation, _, _ in fun.calls("batch")]
    if name not in DESCENTS:
        assert batches == begun
        return
    sizes = [len(points) for _, _, points, _ in fun.calls("batch")]
    assert sizes[:6] == [1, N] * 3
    assert batches[:6] == [0, 0, 1, 1, 2, 2]
    assert result.history.stencil_count == fun.count("batch") - len(begun)


def test_gradients_belong_to_the_generation_of_their_point():
    fun = Differentiable()
    result = search(fun, "adam", np.zeros((3, N)), budget=100)
    assert len(fun.calls("begin")) == len(fun.calls("batch")) == result.history.batch_count
    assert result.history.stencil_count == 0
    assert result.njev == fun.count("batch")


def test_gradients_asked_apart_belong_to_the_generation_of_their_point():
    fun = LeastSquares()
    asked = []

    def jac(points):
        asked.append(fun.generation)
        return (
            2 * (points @ fun.inputs[fun.drawn].T - fun.targets[fun.drawn]) @ fun.inputs[fun.drawn]
        )

    search(fun, "adam", np.zeros(N), jac=jac, budget=30)
    assert asked == [generation for _, generation, _, _ in fun.calls("batch")][: len(asked)]
    assert len(asked) > 20


@pytest.mark.law(2)
@pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("name", STEADY)
def test_same_seed_same_minibatches_and_same_run(name, make):
    logs = []
    for seed in (5, 5, 6):
        fun = LeastSquares()
        result = search(fun, name, seed=make(seed))
        logs.append((fun.log, result))
    (first, one), (second, two), (other, _) = logs
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert np.array_equal(one.x, two.x)
    assert one.message == two.message
    assert not all(same(a, b) for a, b in zip(first, other, strict=False))


def same(entry, other):
    return all(np.array_equal(a, b) for a, b in zip(entry, other, strict=True))


class Still(LeastSquares):
    """Announced, but always the same."""

    def begin(self, generation, rng):
        super().begin(generation, rng)
        self.drawn = slice(None)


@pytest.mark.law(2)
@pytest.mark.parametrize("name", STEADY)
def test_what_the_objective_draws_does_not_disturb_the_method(name):
    changing, plain = Still(), Still()
    plain.begin, plain.drawn = None, slice(None)
    for fun in (changing, plain):
        search(fun, name, seed=np.random.default_rng(9), budget=150)
    asked, expected = (
        np.concatenate([points for _, _, points, _ in fun.calls("batch")])
        for fun in (changing, plain)
    )
    assert 100 < len(asked) < len(expected)
    assert np.array_equal(asked, expected[: len(asked)])


def test_a_generator_that_cannot_spawn_is_drawn_from():
    logs = []
    for _ in range(2):
        fun = LeastSquares()
        bits = np.random.RandomState(4)._bit_generator
        logs.append((fun.log, search(fun, seed=np.random.Generator(bits)).fun))
    assert logs[0][1] == logs[1][1]
    assert all(same(a, b) for a, b in zip(logs[0][0], logs[1][0], strict=True))


def test_runs_in_threads_do_not_disturb_each_other():
    expected = [search(LeastSquares(), seed=s).fun for s in range(3)]
    told = {}

    def work(seed):
        told[seed] = search(LeastSquares(), seed=seed).fun

    threads = [threading.Thread(target=work, args=(s,)) for s in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [told[s] for s in range(3)] == expected


# What counts


@pytest.mark.law(5, 6)
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 50, 333])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("name", STEADY)
def test_the_budget_is_exact_and_the_result_is_of_full_fidelity(name, gradients, budget):
    fun = Differentiable() if gradients else LeastSquares()
    result = search(fun, name, np.zeros(N), budget=budget)
    full = fun.count("full")
    assert result.nfev == result.history.evaluation_count == fun.count("batch") + full == budget
    assert result.history.full_count == full >= 1
    assert "budget" in result.message
    assert not result.success
    assert result.fun == min(value[0] for *_, value in fun.calls("full"))
    assert result.fun == pytest.approx(at_full_fidelity(fun, result), rel=1e-14)


def test_a_budget_of_one_is_spent_at_full_fidelity_and_that_is_said():
    fun = LeastSquares()
    result = search(fun, "adam", np.ones(N), budget=1)
    assert [what for what, *_ in fun.log] == ["full"]
    assert np.array_equal(result.x, np.ones(N))
    assert "one point at full fidelity" in result.message


def test_a_method_without_a_budget_of_its_own_gets_the_stated_one():
    fun = LeastSquares()
    result = search(fun, "random", budget=None, options={"popsize": 500})
    assert result.nfev == ALGORITHMS["random"].default_budget
    assert result.nfev == fun.count("batch") + fun.count("full")


@pytest.mark.law(6)
@pytest.mark.parametrize("name", STEADY)
def test_winners_are_evaluated_in_full_in_every_tenth_generation_and_at_the_end(name):
    fun = LeastSquares()
    search(fun, name, np.zeros(N), budget=333)
    winners = {}
    for what, generation, points, values in fun.log:
        if what == "batch" and generation not in winners:
            winners[generation] = points[values.argmin()]
    valued = {generation: points for what, generation, points, _ in fun.log if what == "full"}
    regular = {generation for generation in winners if generation % SELDOM == 0}
    assert list(valued) == sorted(regular | {max(winners)})
    assert len(valued) >= 4
    assert all(np.array_equal(points[0], winners[g]) for g, points in valued.items())


@pytest.mark.law(6)
@pytest.mark.parametrize("name", STEADY)
def test_improvements_are_those_at_full_fidelity(name):
    fun = LeastSquares()
    result = search(fun, name, np.zeros(N), budget=333)
    expected, spent, best = [], 0, np.inf
    for what, _, points, values in fun.log:
        spent += 0 if points is None else len(points)
        if what == "full" and values[0] < best:
            best = values[0]
            expected.append((spent, best))
    history = result.history
    assert list(zip(history.evaluations, history.values, strict=True)) == expected
    assert history.best_value == result.fun == best


def test_callbacks_see_values_at_full_fidelity():
    fun, seen = LeastSquares(), []
    result = search(fun, callback=lambda intermediate_result: seen.append(intermediate_result))
    assert len(seen) == result.history.batch_count
    told = {float(values[0]) for *_, values in fun.calls("full")}
    assert {report.fun for report in seen} <= told
    assert all(report.fun == fun.score(report.x[None])[0] for report in seen)


def test_a_callback_that_stops_the_run_gets_the_last_winner_evaluated():
    fun, calls = LeastSquares(), []

    def callback(x):
        calls.append(x)
        if len(calls) == 5:
            raise StopIteration

    result = search(fun, callback=callback)
    assert result.status == 99
    assert [generation for _, generation, _, _ in fun.calls("full")] == [0, 4]
    assert result.fun == at_full_fidelity(fun, result)


def test_seconds_that_are_over_get_the_last_winner_evaluated():
    class Slow(LeastSquares):
        def begin(self, generation, rng):
            super().begin(generation, rng)
            time.sleep(0.25 if generation == 3 else 0)

    fun = Slow()
    result = search(fun, "random", budget=None, max_seconds=0.2)
    assert "max_seconds" in result.message
    assert fun.log[-1][:2] == ("full", fun.calls("begin")[-1][1])
    assert result.fun == at_full_fidelity(fun, result)


def test_a_target_is_reached_at_full_fidelity_only():
    fun = LeastSquares(rows=3, noise=2.0)
    target = 1.15 * fun.optimum
    result = search(fun, "cma", budget=20_000, target=target, options={"popsize": 20})
    seeming = [values.min() <= target for _, _, _, values in fun.calls("batch")]
    assert sum(seeming) > 1
    assert result.success
    assert "target" in result.message
    assert result.fun == fun.calls("full")[-1][-1][0] <= target
    assert all(values[0] > target for *_, values in fun.calls("full")[:-1])
    # What seems to reach it is looked at in its own generation.
    looked_at = {generation for _, generation, _, _ in fun.calls("full")}
    assert {g for g, seems in enumerate(seeming) if seems} <= looked_at


@pytest.mark.parametrize("budget", [1, 8])
def test_a_target_may_be_reached_by_the_last_evaluation(budget):
    fun = LeastSquares()
    result = search(fun, "cma", budget=budget, target=1e9)
    assert result.success
    assert "target" in result.message
    assert result.nfev == min(budget, 7)


def test_without_full_fidelity_values_count_as_they_are_told():
    fun = LeastSquares()
    fun.full = None
    result = search(fun, "random", budget=100)
    told = np.concatenate([values for *_, values in fun.calls("batch")])
    assert result.nfev == len(told) == 100
    assert result.fun == told.min()
    assert result.history.full_count == 0
    assert len(fun.calls("begin")) == result.history.batch_count


def test_further_arguments_reach_full_too():
    class Shifted(LeastSquares):
        def __call__(self, points, offset):
            return super().__call__(points) + offset

        def full(self, points, offset):
            return super().full(points) + offset

    fun = Shifted()
    result = search(fun, args=(1000.0,), budget=50)
    assert result.fun == pytest.approx(1000 + at_full_fidelity(fun, result))


# It solves


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
@pytest.mark.parametrize(
    ("name", "kind", "arguments", "slack"),
    [
        ("cma", LeastSquares, {"budget": 4000, "options": {"popsize": 20}}, 1.1),
        ("adam", Differentiable, {"budget": 1000, "options": {"lr": 0.05}}, 1.02),
        ("adam", LeastSquares, {"budget": 5000, "options": {"lr": 0.05}}, 1.02),
    ],
)
def test_comes_near_the_full_optimum_by_minibatches(name, kind, arguments, slack, seed):
    fun = kind(rows=20)
    result = search(fun, name, np.zeros(N), seed=seed, **arguments)
    assert fun.optimum <= result.fun <= slack * fun.optimum
    assert fun.score(np.zeros((1, N)))[0] > 50 * fun.optimum
