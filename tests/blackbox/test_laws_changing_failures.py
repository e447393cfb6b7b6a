"""Laws of every method on minibatches, second part: failures, errors, solvers of another kind."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox import ALGORITHMS, Optimizer, Stop, minimize
from blackbox.algorithms import Method
from blackbox.blocking import Blocking, Pointwise
from blackbox.types import Ask, Problem, Told
from tests.blackbox import descents
from tests.blackbox.minibatches import BOX, STEADY, LeastSquares, N, at_full_fidelity, search


class Broken(Exception):
    """What a failing objective raises."""


# Failures, errors, Ctrl-C


class Failing(LeastSquares):
    """Fails at random, on minibatches or at full fidelity."""

    def __init__(self, on_batches=0.0, in_full=0.0):
        super().__init__()
        self.coin, self.rates = np.random.default_rng(8), {"batch": on_batches, "full": in_full}

    def note(self, what, points, values):
        fails = self.coin.random(len(values)) < self.rates[what]
        return super().note(what, points, np.where(fails, np.nan, values))


@pytest.mark.law(6, 7)
@pytest.mark.parametrize("rates", [(0.25, 0.0), (0.0, 0.5), (0.25, 0.5)])
@pytest.mark.parametrize("name", STEADY)
def test_failures_are_counted_and_never_the_result(name, rates):
    fun = Failing(*rates)
    result = search(fun, name, np.zeros(N), budget=333)
    told = np.concatenate([values for *_, values in fun.log if values is not None])
    assert result.nfev == len(told) == 333
    assert result.history.failure_count == np.isnan(told).sum() > 0
    assert np.isfinite(result.fun)
    assert result.fun == at_full_fidelity(fun, result)


@pytest.mark.law(6, 7)
@pytest.mark.parametrize("name", STEADY)
def test_failures_at_full_fidelity_alone_leave_no_success(name):
    result = search(Failing(in_full=1.0), name, np.zeros(N), budget=100, target=-1.0)
    assert result.nfev == 100
    assert result.fun == np.inf
    assert not result.success
    assert np.isfinite(result.x).all()


@pytest.mark.law(7)
@pytest.mark.parametrize("name", STEADY)
def test_nothing_but_failures_on_minibatches_ends_soon(name):
    result = search(Failing(on_batches=1.0), name, np.zeros(N), budget=None)
    assert result.nfev < 1100
    assert result.fun == np.inf
    assert not result.success


class Breaking(LeastSquares):
    """Raises at the n-th call of a kind, once."""

    def __init__(self, what, at, error=Broken):
        super().__init__()
        self.what, self.until, self.error = what, at, error

    def begin(self, generation, rng):
        super().begin(generation, rng)
        self.check("begin")

    def note(self, what, points, values):
        super().note(what, points, values)
        self.check(what)
        return values

    def check(self, what):
        self.until -= what == self.what
        if what == self.what and self.until == 0:
            self.log.pop()
            raise self.error("stop here")


@pytest.mark.law(9)
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize(("what", "at"), [("begin", 8), ("batch", 15), ("full", 2)])
@pytest.mark.parametrize("name", STEADY)
def test_errors_reach_the_caller_with_the_best_at_full_fidelity(name, what, at, error):
    fun = Breaking(what, at, error)
    with pytest.raises(error, match="stop here") as caught:
        search(fun, name, np.zeros(N))
    result = caught.value.result
    assert result.nfev == fun.count("batch") + fun.count("full")
    assert result.fun == min(values[0] for *_, values in fun.calls("full"))
    assert result.fun == at_full_fidelity(fun, result)
    assert not result.success
    assert error.__name__ in result.message
    assert "provisional" not in result.message


@pytest.mark.law(9)
@pytest.mark.parametrize("name", STEADY)
def test_before_any_value_at_full_fidelity_the_result_is_provisional_and_says_so(name):
    fun = Breaking("full", 1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        search(fun, name, np.zeros(N))
    result, (_, _, points, values) = caught.value.result, fun.calls("batch")[0]
    assert "provisional" in result.message
    assert result.fun == values.min()
    assert np.array_equal(result.x, points[values.argmin()])
    assert result.history.best_value == np.inf


def test_an_error_before_anything_is_known_has_nothing_to_show():
    with pytest.raises(Broken) as caught:
        search(Breaking("begin", 1))
    assert caught.value.result.nfev == 0
    assert caught.value.result.fun == np.inf
    assert "provisional" not in caught.value.result.message


def test_points_scored_one_by_one_before_ctrl_c_are_known():
    class OneByOne(LeastSquares):
        batched = False

        def __call__(self, x):
            if self.count("batch") == 3:
                raise KeyboardInterrupt
            return float(super().__call__(x[None])[0])

    fun = OneByOne()
    with pytest.raises(KeyboardInterrupt) as caught:
        search(fun)
    assert caught.value.result.nfev == 3
    assert caught.value.result.fun == min(values[0] for *_, values in fun.calls("batch"))


@pytest.mark.law(7)
@pytest.mark.parametrize("name", STEADY)
def test_what_full_raises_may_count_as_a_failure(name):
    fun = Breaking("full", 2)
    result = search(fun, name, np.zeros(N), on_error="penalize")
    assert result.nfev == 200 == fun.count("batch") + fun.count("full") + 1
    assert result.history.failure_count == 1
    assert result.fun == at_full_fidelity(fun, result)


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (lambda p: 1.0, ValueError, "shape"),
        (lambda p: None, TypeError, "None"),
        (lambda p: np.full(len(p), -np.inf), ValueError, "-inf"),
    ],
)
def test_what_full_returns_is_checked(value, error, says):
    fun = LeastSquares()
    fun.full = value
    with pytest.raises(error, match=says):
        search(fun)


@pytest.mark.law(5, 6, 7)
@pytest.mark.parametrize("name", STEADY)
@settings(max_examples=25)
@given(
    budget=st.integers(1, 80),
    size=st.integers(2, 9),
    starts=st.integers(0, 3),
    rates=st.tuples(*[st.sampled_from([0.0, 0.3, 0.9])] * 2),
)
def test_promises_hold_whatever_fails(name, budget, size, starts, rates):
    fun = Failing(*rates)
    options = descents.rates(name, {"popsize": size})
    rows = starts if ALGORITHMS[name].several_starts else min(starts, 1)
    x0 = np.random.default_rng(size).uniform(-5, 5, (rows, N)) if rows else None
    result = search(fun, name, x0, budget=budget, options=options)
    assert result.nfev == fun.count("batch") + fun.count("full") <= budget
    assert result.nfev == budget or "budget" not in result.message
    finite = [values[0] for *_, values in fun.calls("full") if np.isfinite(values[0])]
    assert result.fun == min(finite, default=np.inf)
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize(("changing", "back_to"), [(True, 1), (False, 0)])
def test_adam_goes_back_to_its_latest_good_point_and_not_to_that_of_a_lucky_batch(
    changing, back_to
):
    box = np.full(2, 5.0)
    problem = Problem(-box, box, np.ones((1, 2)), gradients="joint", changing=changing)
    run = ALGORITHMS["adam"].make({"lr": 0.1}).run(problem, np.random.default_rng(0))
    asked = [next(run).points]
    for value in (1.0, 2.0, np.inf):
        asked.append(run.send(Told(np.array([value]), np.ones((1, 2)))).points)
    run.close()
    assert np.array_equal(asked[3], asked[back_to])


# Solvers that no method is yet: two calls a gradient; an end point by a provisional value


class TestMethod(Method):
    """A row whose class is given by a test."""

    __test__ = False
    solver: ClassVar[type]

    def load(self):
        return self.solver


@pytest.fixture
def register(monkeypatch):
    """Put a solver into the table, under the name "solver"."""

    def put(kind):
        fields = dataclasses.asdict(ALGORITHMS["random"]) | {"default_budget": None}
        monkeypatch.setattr(TestMethod, "solver", kind, raising=False)
        monkeypatch.setitem(ALGORITHMS, "solver", TestMethod(**fields))

    return put


@dataclasses.dataclass(frozen=True)
class Walker(Blocking):
    """Asks for values and for gradients in two calls, as scipy's solvers do."""

    def solve(self, problem, rng, evaluate):
        objective = Pointwise(problem, evaluate)
        for x in rng.uniform(-5, 5, (9, problem.n)):
            objective.value(x)
            objective.gradient(x)
        return Stop("done", success=True)


@pytest.mark.parametrize("budget", [None, 1, 2, 3, 7])
def test_a_gradient_asked_after_its_value_belongs_to_the_same_generation(register, budget):
    register(Walker)
    fun, asked = LeastSquares(), []

    def jac(points):
        asked.append((fun.generation, points))
        return np.ones(points.shape)

    result = minimize(fun, method="solver", jac=jac, bounds=BOX, seed=0, budget=budget)
    valued = fun.calls("batch")
    assert result.nfev == len(valued) + fun.count("full") == (budget or 11)
    assert len(fun.calls("begin")) == len(valued)
    for (generation, points), (_, expected, at, _) in zip(asked, valued, strict=False):
        assert generation == expected
        assert np.array_equal(points, at)
    assert len(asked) >= len(valued) - 1


@dataclasses.dataclass(frozen=True)
class Boaster(Blocking):
    """Asks for two batches and claims to have found something better elsewhere."""

    claim: ClassVar = (1.0, -2.0, 0.5, 3.0)

    def solve(self, problem, rng, evaluate):
        for _ in range(2):
            evaluate(Ask(rng.uniform(-5, 5, (3, problem.n))))
        return Stop("done", success=True, extras={"x": np.array(self.claim), "fun": -1.0})


@pytest.mark.parametrize("claim", [(1.0, -2.0, 0.5, 3.0), (5.0, 5.0, -5.0, -5.0)])
@pytest.mark.parametrize("budget", [None, 8, 9])
def test_a_solvers_own_end_point_wins_only_by_its_value_at_full_fidelity(
    claim, budget, register, monkeypatch
):
    register(Boaster)
    monkeypatch.setattr(Boaster, "claim", claim)
    fun = LeastSquares()
    result = minimize(fun, method="solver", bounds=BOX, seed=0, budget=budget)
    # Two batches of three, the winner of each; then its own end point, if that can be paid.
    assert result.nfev == (8 if budget == 8 else 9)
    told = {tuple(points[0]): values[0] for _, _, points, values in fun.calls("full")}
    assert result.fun == min(told.values()) == told[tuple(result.x)]
    assert (claim in told) == (budget != 8)
    assert np.array_equal(result.x, claim) == (budget != 8 and claim[0] == 1.0)


# Ask and tell


def test_in_ask_and_tell_values_count_as_the_caller_tells_them():
    fun = LeastSquares()
    with Optimizer("cma", np.zeros(N), seed=0, budget=60) as run:
        while not run.stopped:
            fun.begin(0, np.random.default_rng(run.evaluations))
            run.tell(fun(run.ask()))
    assert run.best_value == min(values.min() for *_, values in fun.calls("batch"))


class Ending(LeastSquares):
    """Goes back to all the rows after a run."""

    def end(self):
        self.drawn = slice(None)
        self.log.append(("end", self.generation, None, None))


@pytest.mark.law(9)
@pytest.mark.parametrize("name", STEADY)
def test_the_objective_is_told_that_the_run_is_over(name):
    fun = Ending()
    result = minimize(fun, np.zeros(N), method=name, bounds=BOX, budget=40, seed=0)
    assert [what for what, *_ in fun.log].count("end") == 1
    assert fun.log[-1][0] == "end"
    assert fun(result.x[None])[0] == result.fun


def test_the_objective_is_told_so_after_an_error_too():
    class Breaking(Ending):
        def __call__(self, points):
            if self.generation == 3:
                raise KeyboardInterrupt
            return super().__call__(points)

    fun = Breaking()
    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.zeros(N), method="cma", seed=0, budget=400)
    assert fun.log[-1][0] == "end"
