"""Journals of runs of every kind: minibatches, noise, derivatives, workers, seeds, limits."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blackbox import JournalError, Optimizer, journal, minimize, read_journal
from tests.blackbox.conftest import shifted_sphere
from tests.blackbox.test_journal_laws import Killed, same

BOX = [(-5.0, 5.0)] * 2


class Minibatches:
    """An objective that changes from batch to batch, by what it draws."""

    batched = True

    def __init__(self, last=None):
        self.last, self.count, self.fulls = last, 0, 0

    def begin(self, generation, rng):
        self.shift = rng.normal(size=2) + generation

    def __call__(self, points):
        if self.last is not None and self.count >= self.last:
            raise Killed
        self.count += len(points)
        return ((points - self.shift) ** 2).sum(axis=1)

    def full(self, points):
        self.fulls += 1
        return ((points - 0.7) ** 2).sum(axis=1)

    def value_and_gradient(self, points):
        return self(points), 2 * (points - self.shift)


class Pointwise:
    """An objective of one point that dies at an evaluation."""

    def __init__(self, last=None, fun=shifted_sphere):
        self.last, self.count, self.fun = last, 0, fun

    def __call__(self, x, *args):
        if self.count == self.last:
            raise Killed
        self.count += 1
        return self.fun(x, *args)


def goes_on(make, path, last, again=None, **settings):
    """Run to the end; run, die and go on; return both results and the objective that went on."""
    settings = {"bounds": BOX, "seed": 1, "budget": 80} | settings
    whole = minimize(make(None), **settings)
    with pytest.raises(Killed):
        minimize(make(last), journal=path, **settings)
    rest = make(None)
    found = minimize(rest, journal=path, **settings | (again or {}))
    assert again is not None or same(found, whole)
    return found, whole, rest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.journal"


@pytest.mark.parametrize("method", ["cma", "adam", "random", "pso"])
def test_minibatches(path, method):
    if method == "pso":
        method = "sep-cma"
    found, _, rest = goes_on(Minibatches, path, 33, method=method, x0=[3.0, 3.0])
    assert 0 < rest.count < 80
    assert 0 < rest.fulls < 12
    past = read_journal(path)
    assert past.best_value == found.fun  # of values at full fidelity only
    assert np.array_equal(past.best_x, found.x)


def test_noise(path):
    def make(last):
        rng = np.random.default_rng(5)

        def fun(x):
            return shifted_sphere(x) + 0.1 * rng.normal()

        return Pointwise(last, fun)

    settings = {"method": "cma", "bounds": BOX, "seed": 1, "budget": 80, "noisy": True}
    with pytest.raises(Killed):
        minimize(make(50), journal=path, **settings)
    rest = make(None)
    found = minimize(rest, journal=path, **settings)
    assert found.nfev == 80
    assert rest.count == 30
    assert found.history.repeat_count > 0
    assert same(minimize(make(0), journal=path, **settings), found)


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "l-bfgs-b", "jac": lambda x: 2 * (x - 0.7)},
        {"method": "bfgs", "jac": "3-point", "bounds": None},
        {"method": "slsqp", "jac": "cs"},
        {"method": "trust-constr", "jac": lambda x: 2 * (x - 0.7), "hess": "cs"},
        {"method": "trust-constr", "jac": "2-point", "constraints": {"type": "ineq", "fun": sum}},
        {"method": "newton-cg", "jac": lambda x: 2 * (x - 0.7), "bounds": None},
        {"method": "l-bfgs-b", "x0": [[3.0, 3.0], [-4.0, 2.0], [1.0, 1.0]]},
        {"method": "cma+l-bfgs-b"},
        {"method": None},
        {"method": "auto"},
        {"method": "differential_evolution", "integrality": [1, 0]},
        {"method": "nelder-mead", "target": 0.5},
        {"method": "cma", "patience": 3},
        {"method": "cma", "validation": shifted_sphere, "validate_every": 2},
        {"method": "nelder-mead", "tol": 1e-3},
    ],
    ids=lambda settings: "-".join(str(v)[:12] for v in settings.values() if isinstance(v, str)),
)
@pytest.mark.filterwarnings("ignore")
def test_derivatives_starts_and_limits(path, settings):
    def fun(x):
        return ((x - 0.7) ** 2).sum()

    settings = {"x0": [3.0, 3.0]} | settings
    for last in (1, 7, 23):
        before = minimize(Pointwise(None, fun), **{"bounds": BOX, "seed": 1} | settings, budget=80)
        if last < before.nfev - 2:
            goes_on(lambda at: Pointwise(at, fun), path, last, **settings)
            path.unlink()


def test_a_method_of_the_users_own(path):
    def search(fun, x0, args=(), **_):
        for step in np.linspace(0, 1, 30):
            value = fun(x0 + step)
        from scipy.optimize import OptimizeResult

        return OptimizeResult(x=x0 + 1, fun=value, success=True, message="done", nit=30)

    settings = {"method": search, "x0": [0.0, 0.0], "bounds": None}
    goes_on(Pointwise, path, 11, **settings)


@pytest.mark.parametrize("seed", [0, 2**70, np.int64(5), "generator", "legacy"])
def test_seeds_of_every_kind(path, seed):
    def fresh():
        kinds = {
            "generator": lambda: np.random.default_rng(3),
            "legacy": lambda: np.random.RandomState(3),
        }
        return kinds[seed]() if isinstance(seed, str) else seed

    settings = {"method": "cma", "bounds": BOX, "budget": 60}
    whole = minimize(shifted_sphere, seed=fresh(), **settings)
    with pytest.raises(Killed):
        minimize(Pointwise(31), seed=fresh(), journal=path, **settings)
    found = minimize(shifted_sphere, seed=fresh(), journal=path, **settings)
    assert found.x.tobytes() == whole.x.tobytes()
    if isinstance(seed, str):
        used = fresh()
        used.random()
        with pytest.raises(JournalError, match="seed is 'state"):
            minimize(shifted_sphere, seed=used, journal=path, **settings)
        with pytest.raises(JournalError, match="the state of its generator"):
            Optimizer.restore(path)


def test_a_fresh_seed_is_found_again(path):
    settings = {"method": "cma", "bounds": BOX, "budget": 60}
    with pytest.raises(Killed) as caught:
        minimize(Pointwise(31), journal=path, **settings)
    found = minimize(shifted_sphere, journal=path, **settings)
    assert found.seed == caught.value.result.seed
    assert found.nfev == 60
    assert minimize(shifted_sphere, seed=found.seed, **settings).fun == found.fun


def test_workers_give_results_in_order(path):
    with ThreadPoolExecutor(3) as pool:
        whole = minimize(shifted_sphere, method="cma", bounds=BOX, seed=1, budget=60)
        with pytest.raises(Killed):
            minimize(
                Pointwise(31),
                method="cma",
                bounds=BOX,
                seed=1,
                budget=60,
                workers=pool,
                journal=path,
            )
        rest = Pointwise()
        found = minimize(
            rest, method="cma", bounds=BOX, seed=1, budget=60, workers=pool, journal=path
        )
    assert same(found, whole)
    assert rest.count < 60


def test_half_a_batch_is_kept_where_an_exception_ends_it(path):
    goes_on(Pointwise, path, 15, method="cma", options={"popsize": 10})
    path.unlink()
    _, _, rest = goes_on(Pointwise, path, 19, method="random")
    assert rest.count == 80 - 19


def test_a_larger_budget_goes_on_where_the_method_does_not_plan_by_it(path):
    first = minimize(shifted_sphere, method="cma", bounds=BOX, seed=1, budget=33, journal=path)
    rest = Pointwise()
    found = minimize(rest, method="cma", bounds=BOX, seed=1, budget=90, journal=path)
    assert rest.count == 90 - 33  # the last batch of 33 was cut: its rest is evaluated
    assert found.fun <= first.fun
    assert same(found, minimize(shifted_sphere, method="cma", bounds=BOX, seed=1, budget=90))
    smaller = minimize(Pointwise(0), method="cma", bounds=BOX, seed=1, budget=18, journal=path)
    assert smaller.nfev == 18
    with pytest.raises(JournalError, match="budget is 33 there and 20 here"):
        minimize(Pointwise(0), method="cma", bounds=BOX, seed=1, budget=20, journal=path)
    assert read_journal(path).evaluations == 90


def test_seconds_count_on(path):
    def slow(x):
        time.sleep(0.02)
        return shifted_sphere(x)

    settings = {"method": "nelder-mead", "x0": [3.0, 3.0], "budget": 1000}
    with pytest.raises(Killed):
        minimize(Pointwise(10, slow), journal=path, **settings)
    began = read_journal(path).seconds
    assert began >= 0.2
    # Replay takes no time of its own: what is there already is as late as it was.
    found = minimize(slow, journal=path, max_seconds=began + 0.1, **settings)
    assert found.nfev > 10
    assert began < found.seconds < began + 1
    assert "max_seconds" in found.message
    assert minimize(Pointwise(0), journal=path, max_seconds=0.01, **settings).nfev <= 10


def test_callbacks_are_called_again_on_the_way_back(path):
    seen, again = [], []
    settings = {"method": "nelder-mead", "x0": [1.0, 2.0], "budget": 40}
    with pytest.raises(Killed):
        minimize(Pointwise(21), callback=seen.append, journal=path, **settings)
    minimize(shifted_sphere, callback=again.append, journal=path, **settings)
    assert len(seen) > 3
    assert all(np.array_equal(a, b) for a, b in zip(seen, again, strict=False))


def test_failures_are_failures_again(path):
    def fun(x):
        if x[0] > 1:
            raise ValueError("beyond")
        return np.nan if x[1] > 2 else shifted_sphere(x)

    settings = {"method": "cma", "bounds": BOX, "seed": 1, "budget": 60, "on_error": "penalize"}
    whole = minimize(fun, journal=path, **settings)
    found = minimize(Pointwise(0, fun), journal=path, **settings)
    assert same(found, whole)
    assert found.history.failure_count == whole.history.failure_count > 0
    assert found.history.failures == whole.history.failures
    assert found.history.failures["raised"].message == "ValueError: beyond"
    assert read_journal(path).failures == whole.history.failure_count


def test_long_points_are_kept_where_they_improve(path, monkeypatch):
    monkeypatch.setattr(journal, "POINTS_UP_TO", 3)
    settings = {"method": "cma", "bounds": [(-5.0, 5.0)] * 4, "seed": 1, "budget": 100}
    whole = minimize(shifted_sphere, **settings)
    with pytest.raises(Killed):
        minimize(Pointwise(51), journal=path, **settings)
    found = minimize(shifted_sphere, journal=path, **settings)
    assert same(found, whole)
    past = read_journal(path)
    assert len(past.points) < past.evaluations == 100
    assert np.array_equal(past.best_x, found.x)
    assert past.best_value == found.fun
    assert (np.diff(past.values) < 0).all()


def test_gradients_that_were_too_long_to_keep_are_computed_again(path, monkeypatch):
    class Smooth(Minibatches):
        begin = None
        asked = 0
        shift = 0.7

        def value_and_gradient(self, points):
            self.asked += 1
            return super().value_and_gradient(points)

    monkeypatch.setattr(journal, "GRADIENTS_UP_TO", 16 * 12)  # twelve of two numbers each
    _, whole, rest = goes_on(Smooth, path, 33, method="adam", x0=[3.0, 3.0])
    assert rest.asked == whole.nfev - 12
    path.unlink()

    def go_on(run, rounds=1000):
        asked = []
        while not run.stopped and len(asked) < rounds:
            x = run.ask()
            asked.append(x)
            run.tell(((x - 0.7) ** 2).sum(axis=1), 2 * (x - 0.7))
        return asked

    settings = {"x0": [3.0, 3.0], "gradients": True, "seed": 1, "budget": 40}
    with Optimizer("adam", **settings) as run:
        expected = go_on(run)
    with Optimizer("adam", journal=path, **settings) as run:
        go_on(run, 30)
    with Optimizer.restore(path) as twin:
        assert twin.evaluations == 12
        rest = go_on(twin)
    assert np.array_equal(np.array(expected[12:]), np.array(rest))
    assert read_journal(path).evaluations == 40


def test_what_no_file_holds_keeps_a_run_from_being_restored_and_is_named(path):
    with Optimizer(
        "slsqp", [1.0, 1.0], constraints={"type": "ineq", "fun": sum}, journal=path
    ) as run:
        run.tell([1.0])
    with pytest.raises(JournalError, match="does not hold constraints: make the Optimizer"):
        Optimizer.restore(path)
    Optimizer("slsqp", [1.0, 1.0], constraints={"type": "ineq", "fun": sum}, journal=path).close()


def test_options_come_back_as_they_were(path):
    options = {"sigma0": np.float64(0.25), "popsize": np.int64(7), "CMA_stds": np.array([1.0, 2.0])}
    options["tolx"] = np.inf
    with Optimizer("random", bounds=BOX, journal=path, seed=1) as run:
        run.tell(np.ones(len(run.ask())))
    from blackbox.header import from_plain, to_plain

    back = from_plain(to_plain(options))
    assert back["sigma0"] == 0.25
    assert back["tolx"] == np.inf
    assert np.array_equal(back["CMA_stds"], options["CMA_stds"])
    assert to_plain(np.bool_(True)) is True
    assert to_plain({"b", "a"}) == to_plain({"a", "b"})


def test_a_run_says_that_it_goes_on_and_what_was_cut(path, caplog):
    with pytest.raises(Killed):
        minimize(Pointwise(31), method="cma", bounds=BOX, seed=1, journal=path)
    path.write_bytes(path.read_bytes()[:-3])
    with caplog.at_level(logging.INFO, "blackbox"):
        minimize(shifted_sphere, method="cma", bounds=BOX, seed=1, journal=path, budget=40)
    assert "ends in the middle of a line" in caplog.text
    assert "going on after" in caplog.text


def test_a_past_warms_up_another_run(path):
    with pytest.raises(Killed):
        minimize(Pointwise(41), method="random", bounds=BOX, seed=1, journal=path)
    past = read_journal(path)
    starts = past.best(5)
    values = [shifted_sphere(x) for x in starts]
    assert starts.shape == (5, 2)
    assert values == sorted(values)
    assert values[0] == past.best_value == np.sort(past.values)[0]
    for method in ("pso", "l-bfgs-b", "nelder-mead", "grid"):
        found = minimize(shifted_sphere, starts, method=method, bounds=BOX, seed=1, budget=200)
        assert found.fun <= past.best_value
    found = minimize(shifted_sphere, past.best_x, method="cma", bounds=BOX, seed=1, budget=200)
    assert found.fun <= past.best_value
    with pytest.raises(ValueError, match="count is a whole number"):
        past.best(0)
    told = str(past)
    for word in ("random, seed 1", "41", "going on, or was killed", "numpy"):
        assert word in told
