"""CMA-ES on noisy objectives and on integers."""

import cma
import numpy as np
import pytest
from cma.integer_centering import IntegerCentering

from blackbox import ALGORITHMS
from blackbox.algorithms.cmaes_integers import centred
from blackbox.algorithms.cmaes_noise import AVERAGES, Uncertainty, choose, measure
from blackbox.blocking import drive
from blackbox.types import Problem, Told

NOISY = [
    row.name
    for row in ALGORITHMS.values()
    if row.where.startswith("cmaes") and row.noise == "handled"
]
WHOLE = [
    row.name
    for row in ALGORITHMS.values()
    if row.where.startswith("cmaes") and row.integers == "native"
]


class Spent(Exception):
    """The budget of a test is spent."""


class World:
    """Answers a run: counts, remembers batches, ends it at its budget."""

    def __init__(self, fun, budget=None):
        self.fun, self.budget, self.batches, self.count = fun, budget, [], 0

    def __call__(self, ask):
        if self.budget is not None and self.count + len(ask.points) > self.budget:
            raise Spent
        self.batches.append(ask.points.copy())
        self.count += len(ask.points)
        return Told(self.fun(ask.points))

    @property
    def asked(self):
        return np.concatenate(self.batches)


def search(name, world, seed=0, make=np.random.default_rng, options=None, **problem):
    """Run a method; return its Stop, or None where the world ended it."""
    problem = {"budget": world.budget} | problem
    run = ALGORITHMS[name].make(options or {}).run(Problem(**problem), make(seed))
    try:
        return drive(run, world)
    except Spent:
        return None


def unbounded(n, start=0.0, **more):
    open_side = np.full(n, np.inf)
    return {"lower": -open_side, "upper": open_side, "starts": np.full((1, n), start)} | more


def boxed(n, half, **more):
    side = np.full(n, float(half))
    return {"lower": -side, "upper": side, "starts": np.empty((0, n))} | more


# Noise


def noisy_sphere(seed, std=1.0):
    coin = np.random.default_rng(1000 + seed)
    return lambda points: (
        np.sum((points - 0.7) ** 2, axis=1) + std * coin.standard_normal(len(points))
    )


def end_point(name, seed, noisy, budget):
    """Where the search ends: the run's own end point, else the centre of its last generation."""
    world = World(noisy_sphere(seed), budget)
    start = np.random.default_rng(seed).uniform(-3, 3, (1, 5))
    stop = search(name, world, seed, **unbounded(5, noisy=noisy, starts=start))
    assert world.count <= budget
    if stop is not None and "x" in stop.extras:
        return stop.extras["x"]
    return world.batches[-1].mean(axis=0)


@pytest.mark.parametrize(
    "name", ["cma", "sep-cma", pytest.param("vkd-cma", marks=pytest.mark.slow)]
)
def test_ends_nearer_to_the_optimum_of_a_noisy_sphere(name):
    true = {}
    for noisy in (True, False):
        ends = [end_point(name, seed, noisy, 2000) for seed in range(6)]
        true[noisy] = [float(np.sum((x - 0.7) ** 2)) for x in ends]
    assert np.median(true[True]) < 0.7 * np.median(true[False])
    assert np.median(true[True]) < 0.25


@pytest.mark.parametrize("name", NOISY)
def test_the_end_point_is_the_mean_and_its_value_an_average(name):
    world = World(noisy_sphere(0), 1000)
    stop = search(name, world, **unbounded(5, noisy=True))
    assert "budget of 1000" in stop.reason
    assert (stop.success, stop.status) == (False, 1)
    assert world.count == 1000
    x, value = stop.extras["x"], stop.extras["fun"]
    last = world.batches[-1]
    assert (last == x).all()
    assert abs(value - np.sum((x - 0.7) ** 2)) < 4 / np.sqrt(len(last))


@pytest.mark.parametrize("budget", [1, 2, 7, 9, 10, 11, 50])
def test_small_budgets_of_a_noisy_objective_are_kept(budget):
    world = World(noisy_sphere(0), budget)
    search("cma", world, **unbounded(3, noisy=True))
    assert world.count <= budget


def test_points_evaluated_again_are_asked_in_a_batch_of_their_own():
    world = World(noisy_sphere(0), 60)
    search("cma", world, options={"popsize": 10}, **unbounded(5, noisy=True))
    first, again = world.batches[:2]
    assert len(first) == 10
    assert len(again) in (2, 3)
    assert all((first == x).all(axis=1).any() for x in again)


def test_without_noise_nothing_is_evaluated_again():
    quiet, told = (World(lambda points: np.sum(points**2, axis=1), 400) for _ in range(2))
    search("cma", quiet, **unbounded(4, start=1.0))
    # What changes from batch to batch cannot be compared with another batch.
    search("cma", told, **unbounded(4, start=1.0, noisy=True, changing=True))
    assert np.array_equal(quiet.asked, told.asked)


def test_an_exact_objective_that_is_called_noisy_is_solved_all_the_same():
    world = World(lambda points: np.sum((points - 0.7) ** 2, axis=1))
    stop = search("cma", world, **unbounded(5, noisy=True))
    assert stop.success
    assert stop.extras["fun"] < 1e-9
    # No average is ever taken.
    assert len(world.batches[0]) == max(map(len, world.batches))


@pytest.mark.parametrize("seed", range(20))
def test_the_measure_is_that_of_the_library(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(5, 40))
    first = rng.standard_normal(k)
    chosen = rng.choice(k, int(rng.integers(1, 5)), replace=False)
    second = first.copy()
    second[chosen] += rng.choice([0.01, 0.3, 3.0]) * rng.standard_normal(len(chosen))
    handler = cma.NoiseHandler(4)
    handler.fit, handler.fitre, handler.idx = list(first), list(second), chosen
    expected = np.mean(handler.update_measure()[1])
    assert measure(first, second, chosen) == pytest.approx(expected, rel=1e-12)


def test_choosing_takes_the_first_and_the_best_of_the_rest():
    rng = np.random.default_rng(0)
    values = np.array([5.0, 4, 3, 2, 1, 0, 9, 8])
    counts = [len(choose(values, rng)) for _ in range(500)]
    assert set(counts) == {2, 3}
    assert 2.3 < np.mean(counts) < 2.5  # 2 + 8 / 20
    assert choose(values, rng)[0] == 0
    assert 5 in choose(values, rng)


def test_averages_grow_in_noise_shrink_without_and_have_a_limit():
    noise = Uncertainty(Problem(**unbounded(2)), np.random.default_rng(0))
    coin = np.random.default_rng(1)

    def generations(fun, count):
        world = World(fun)
        for _ in range(count):
            drive(noise.evaluate(np.random.default_rng(2).standard_normal((10, 2))), world)
        return world

    assert noise.widening == 1
    generations(lambda points: coin.standard_normal(len(points)), 60)
    assert noise.averages == AVERAGES
    assert noise.widening > 1
    world = generations(lambda points: points[:, 0], 200)
    assert noise.averages == noise.widening == 1
    assert len(world.batches[-2]) == 10


def test_failures_are_left_out_of_averages():
    coin = np.random.default_rng(3)

    def failing(points):
        values = np.sum((points - 0.7) ** 2, axis=1) + 0.3 * coin.standard_normal(len(points))
        return np.where(coin.random(len(points)) < 0.25, np.inf, values)

    world = World(failing, 4000)
    stop = search("cma", world, **unbounded(5, noisy=True))
    assert np.sum((stop.extras["x"] - 0.7) ** 2) < 0.2
    assert np.isfinite(stop.extras["fun"])


# Integers


def mixed(seed, n, k, weights):
    """A mixed-integer ellipsoid whose first k variables are integers, and their mask."""
    rng = np.random.default_rng(seed)
    mask = np.arange(n) < k
    optimum = rng.uniform(-8, 8, n)
    optimum = np.where(mask, np.rint(optimum), optimum)

    def fun(points):
        return np.where(mask, np.rint(points) - optimum, points - optimum) ** 2 @ weights

    return fun, mask


def best_of(name, seed, native, k, weights, budget):
    n = len(weights)
    fun, mask = mixed(seed, n, k, weights)
    world = World(fun, budget)
    problem = boxed(n, 10, integrality=mask if native else None)
    problem["starts"] = np.full((1, n), 2.0)
    search(name, world, seed, **problem)
    assert (np.abs(world.asked) <= 10).all()
    if native:
        assert np.array_equal(world.asked[:, mask], np.rint(world.asked[:, mask]))
        assert not np.array_equal(world.asked[:, ~mask], np.rint(world.asked[:, ~mask])) or k == n
    return min(fun(batch).min() for batch in world.batches)


@pytest.mark.parametrize(("n", "k", "condition"), [(6, 3, 100.0), (4, 4, 10.0)])
@pytest.mark.parametrize("name", WHOLE)
def test_reaches_the_optimum_of_mixed_integer_ellipsoids(name, n, k, condition):
    budget = 400 if k == n else 3000
    weights = np.logspace(0, np.log10(condition), n)[::-1]
    values = [best_of(name, seed, True, k, weights, budget) for seed in range(3)]
    assert max(values) < 1e-8


def test_integers_do_not_freeze_as_they_do_where_points_are_only_rounded():
    # Real variables matter so much more that steps are short before the integers are right.
    weights = np.array([0.01] * 3 + [1e4] * 3)
    solved = {
        native: sum(best_of("cma", seed, native, 3, weights, 3000) < 1e-8 for seed in range(4))
        for native in (True, False)
    }
    assert solved[True] == 4
    assert solved[False] <= 1


@pytest.mark.parametrize("name", WHOLE)
def test_one_integer(name):
    world = World(lambda points: (points[:, 0] - 3) ** 2, 300)
    search(name, world, **boxed(1, 10, integrality=np.array([True])))
    assert (world.asked == 3).any()
    assert np.array_equal(world.asked, np.rint(world.asked))


@pytest.mark.parametrize("optimum", [-9.0, 9.0])
@pytest.mark.parametrize("half", [4.0, 4.5, 4.9])
def test_integers_reach_the_last_whole_number_within_the_bounds(optimum, half):
    world = World(lambda points: np.sum((points - optimum) ** 2, axis=1), 400)
    problem = boxed(3, half, integrality=np.array([True, False, True]))
    search("cma", world, **problem)
    assert np.abs(world.asked[:, [0, 2]]).max() == 4
    assert np.abs(world.asked).max() <= half
    best = world.asked[np.sum((world.asked - optimum) ** 2, axis=1).argmin()]
    assert (best[[0, 2]] == np.sign(optimum) * 4).all()


def test_integers_without_bounds():
    optimum = np.array([17.0, -30.0, 0.25])
    world = World(lambda points: np.sum((points - optimum) ** 2, axis=1), 3000)
    search("cma", world, **unbounded(3, integrality=np.array([True, True, False])))
    assert min(np.sum((world.asked - optimum) ** 2, axis=1)) < 1e-8


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("name", sorted({*NOISY, *WHOLE}))
def test_runs_repeat_interleaved_and_leave_the_global_state_alone(name, noisy, make):
    def fun(points):
        return np.sum((points - 1.3) ** 2, axis=1) + noisy * np.sin(1e4 * points.sum(axis=1))

    mask = np.array([True, False, True, False])
    problem = Problem(**boxed(4, 5, integrality=mask, noisy=noisy, budget=400))
    before = np.random.get_state()  # noqa: NPY002

    def batches(*seeds):
        runs = [ALGORITHMS[name].make({}).run(problem, make(seed)) for seed in seeds]
        asks, seen = [next(run) for run in runs], [[] for _ in runs]
        for _ in range(12):
            for i, run in enumerate(runs):
                seen[i].append(asks[i].points.copy())
                asks[i] = run.send(Told(fun(asks[i].points)))
        return seen

    alone, (first, second) = [*batches(1), *batches(2)], batches(1, 2)
    for expected, seen in ((alone[0], first), (alone[1], second)):
        assert all(np.array_equal(a, b) for a, b in zip(expected, seen, strict=True))
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


@pytest.mark.parametrize("seed", range(20))
def test_centring_is_that_of_the_library(seed):
    rng = np.random.default_rng(seed)
    mask = np.array([True, False, True, True])
    x, mean = rng.normal(0, rng.choice([0.4, 1.0, 3.0]), (7, 4)), rng.normal(0, 1, 4)
    state = np.random.get_state()  # noqa: NPY002
    theirs = IntegerCentering(np.flatnonzero(mask).tolist())([row.copy() for row in x], mean.copy())
    np.random.set_state(state)  # noqa: NPY002
    ours = centred(x, mean, mask)
    assert np.allclose(np.array(theirs), ours, atol=1e-12)
    assert np.array_equal(np.rint(ours), np.rint(x))
    assert np.array_equal(ours[:, 1], x[:, 1])


def test_options_for_integers_give_way_to_the_users():
    mask = np.array([True, True, False])
    sizes = []
    for options in ({}, {"popsize": 5}):
        world = World(lambda points: np.sum(points**2, axis=1), 30)
        search("cma", world, options=options, **boxed(3, 9, integrality=mask))
        sizes.append(len(world.batches[0]))
    assert sizes == [11, 5]
