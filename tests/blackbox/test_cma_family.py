"""The CMA-ES family against the library cma, and what each kind is for."""

import math
import tracemalloc

import cma
import numpy as np
import pytest
from cma.restricted_gaussian_sampler import GaussVkDSampler

from blackbox import Optimizer, minimize
from blackbox.algorithms.cmaes_restarts import BIPOP, IPOP
from blackbox.budget import FAILURE_LIMIT

START = np.array([1.0, -1.0, 0.5, 2.0])
BOX = [(-3.0, 4.0)] * 4


def bumpy(x):
    return float(np.sum((x - 0.3) ** 2) + 0.5 * np.sum(np.sin(5 * x)))


def rastrigin(points):
    return 10 * points.shape[1] + np.sum(points**2 - 10 * np.cos(2 * np.pi * points), axis=1)


def library(options, seed=6):
    """The library's options with a stream of its own and nothing global."""
    rng = np.random.default_rng(seed)
    settings = {"randn": lambda *shape: rng.standard_normal(shape), "seed": np.nan}
    return settings | {"verbose": -10, "verb_log": 0, "signals_filename": ""} | options


@pytest.fixture
def global_state():
    """Fail the test where numpy's global random state changes."""
    before = np.random.get_state()  # noqa: NPY002
    yield
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


# Oracles: the library's own loops


@pytest.mark.parametrize(
    ("name", "options"),
    [("sep-cma", {"CMA_diagonal": True}), ("vkd-cma", GaussVkDSampler.extend_cma_options())],
)
@pytest.mark.parametrize("bounds", [None, BOX])
def test_restricted_kinds_walk_as_the_librarys_own_loop(name, options, bounds, finish):
    settings = library(options)
    if name == "vkd-cma":
        settings["CMA_sampler_options"] = {"randn": settings["randn"]}
    if bounds is not None:
        settings["bounds"] = [list(side) for side in zip(*bounds, strict=True)]
    es = cma.CMAEvolutionStrategy(START, 0.7, settings)
    theirs = []
    while not es.stop():
        theirs.append(np.array(es.ask()))
        es.tell(list(theirs[-1]), [bumpy(x) for x in theirs[-1]])
    with Optimizer(name, START, bounds=bounds, seed=6, sigma0=0.7) as run:
        ours = finish(run, bumpy)
    assert len(ours) == len(theirs) > 20
    for expected, asked in zip(theirs, ours, strict=True):
        if bounds is None:
            assert np.array_equal(expected, asked)
        else:
            assert np.abs(expected - asked).max() < 1e-12


@pytest.mark.parametrize("bounds", [None, BOX])
@pytest.mark.usefixtures("global_state")
def test_lq_evaluates_what_the_library_evaluates(bounds, watched):
    theirs, ours = watched(bumpy), watched(bumpy)
    settings = library({})
    if bounds is not None:
        settings["bounds"] = [list(side) for side in zip(*bounds, strict=True)]
    cma.fmin_lq_surr2(theirs, START, 0.7, settings)
    options = {"sigma0": 0.7}
    result = minimize(ours, START, method="lq-cma", bounds=bounds, seed=6, options=options)
    assert len(theirs.points) == result.nfev > 50
    # The library sorts one evaluated at a time as ours sorts one told at a time.
    assert np.abs(theirs.asked - ours.asked).max() < 1e-12


def test_lq_needs_fewer_evaluations_and_asks_in_batches(opened, finish):
    def valley(x):
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    settings = {"bounds": BOX, "seed": 1, "target": 1e-8}
    needed = {
        name: minimize(valley, START, method=name, **settings).nfev for name in ("cma", "lq-cma")
    }
    assert needed["lq-cma"] < 0.5 * needed["cma"]
    with Optimizer("lq-cma", START, seed=1, bounds=BOX) as run:
        sizes = [len(batch) for batch in finish(run, valley, rounds=8)]
    assert max(sizes) > 1
    assert min(sizes) >= 1


# Restarts


def sizes_of_runs(name, seed=0, **options):
    """Batches of runs on a flat landscape, where each soon ends."""
    batches = []
    with Optimizer(name, START, bounds=BOX, seed=seed, tolflatfitness=1, **options) as run:
        while not run.stopped:
            batches.append(run.ask())
            run.tell(np.zeros(len(batches[-1])))
    return batches, run


def test_ipop_doubles_the_population():
    batches, run = sizes_of_runs("ipop-cma", popsize=5, restarts=4)
    sizes = [len(batch) for batch in batches]
    assert sorted(set(sizes)) == sizes[:: len(sizes) // 5][:5] == [5, 10, 20, 40, 80]
    assert "run 5" in run.reason


@pytest.mark.parametrize(("factor", "expected"), [(3, [4, 12, 36]), (1.5, [4, 6, 9])])
def test_ipop_takes_another_factor(factor, expected):
    batches, _ = sizes_of_runs("ipop-cma", popsize=4, restarts=2, incpopsize=factor)
    assert sorted({len(batch) for batch in batches}) == expected


def test_without_restarts_both_are_one_run_of_cma(watched):
    runs = {}
    for name in ("cma", "ipop-cma", "bipop-cma"):
        runs[name] = watched(bumpy)
        options = {} if name == "cma" else {"restarts": 0}
        minimize(runs[name], START, method=name, bounds=BOX, seed=3, options=options)
    assert np.array_equal(runs["cma"].asked, runs["ipop-cma"].asked)
    assert np.array_equal(runs["cma"].asked, runs["bipop-cma"].asked)


def test_bipop_gives_both_regimes_their_share():
    batches, _ = sizes_of_runs("bipop-cma", popsize=8, restarts=5)
    sizes = [len(batch) for batch in batches]
    assert {16, 32, 64, 128, 256} <= set(sizes)
    assert sizes[0] == 8
    small = [size for size in sizes if size not in (16, 32, 64, 128, 256)]
    # Small populations lie between the first and half of the largest so far.
    assert 8 <= min(small) <= max(small) <= 128
    assert len(set(small)) > 2
    large_spent = sum(sizes) - sum(small)
    assert 0.2 * large_spent < sum(small) < 1.2 * large_spent


@pytest.mark.parametrize("bounds", [BOX, None])
def test_restarts_begin_elsewhere(bounds):
    with Optimizer("ipop-cma", START, bounds=bounds, seed=2, tolflatfitness=1) as run:
        centres, k = [], 0
        while len(centres) < 4:
            batch = run.ask()
            if len(batch) > k:
                k = len(batch)
                centres.append(batch.mean(axis=0))
            run.tell(np.zeros(len(batch)))
    assert len({tuple(np.round(centre, 3)) for centre in centres}) == 4
    if bounds is None:
        # The start plus a normal draw with the first step size, 0.5.
        assert np.linalg.norm(np.array(centres[1:]) - START, axis=1).max() < 4


@pytest.mark.parametrize("name", ["ipop-cma", "bipop-cma"])
def test_restarts_find_what_one_run_misses(name):
    solved = {"cma": 0, name: 0}
    for method in solved:
        for seed in range(2):
            result = minimize(
                rastrigin, method=method, bounds=[(-5, 5)] * 4, batched=True, seed=seed,
                budget=25_000, target=1e-8,
            )  # fmt: skip
            solved[method] += result.success and result.fun <= 1e-8
    assert solved[name] == 2 > solved["cma"]


@pytest.mark.parametrize("name", ["ipop-cma", "bipop-cma"])
def test_a_run_that_reached_ftarget_is_the_last(name):
    options = {"ftarget": 1e-3}
    result = minimize(
        lambda x: float(x @ x), START, method=name, seed=0, options=options, budget=10_000
    )
    assert result.success
    assert "ftarget" in result.message
    assert result.nfev < 1000


@pytest.mark.parametrize("name", ["ipop-cma", "bipop-cma"])
def test_nothing_but_failures_is_no_reason_for_a_restart(name):
    sizes = set()

    def fun(points):
        sizes.add(len(points))
        return np.full(len(points), math.nan)

    options = {"tolflatfitness": 1}
    result = minimize(fun, START, method=name, seed=0, options=options, batched=True)
    assert len(sizes) == 1
    assert result.nfev == FAILURE_LIMIT
    assert not result.success


@pytest.mark.parametrize("kind", [IPOP, BIPOP])
@pytest.mark.parametrize(
    "options", [{"restarts": -1}, {"incpopsize": 0.5}, {"incpopsize": math.nan}]
)
def test_restart_options_are_checked(kind, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        kind(**options)


# Options


@pytest.mark.parametrize("name", ["AdaptSigma", "CMA_active", "CMA_diagonal", "CMA_sampler"])
def test_vkd_refuses_what_it_sets_itself(name):
    with pytest.raises(ValueError, match=f"{name} is set by vkd-cma"):
        minimize(bumpy, START, method="vkd-cma", options={name: True})


@pytest.mark.parametrize("sampler", [None, GaussVkDSampler])
@pytest.mark.usefixtures("global_state")
def test_samplers_draw_from_the_runs_own_stream(sampler, watched):
    # The library makes a sampler of its own when it switches from a diagonal matrix to a full one.
    options = {"CMA_diagonal": 5}
    if sampler is not None:
        options = GaussVkDSampler.extend_cma_options()
    runs = [watched(bumpy) for _ in range(2)]
    for fun in runs:
        minimize(fun, START, method="cma", seed=0, budget=200, options=options)
    assert np.array_equal(runs[0].asked, runs[1].asked)


# Size


@pytest.mark.parametrize("name", ["sep-cma", "vkd-cma"])
def test_many_variables_need_no_matrix(name):
    n = 3000
    settings = {"method": name, "batched": True, "seed": 0, "bounds": [(-5, 5)] * n}
    sphere = lambda points: np.sum((points - 1) ** 2, axis=1)  # noqa: E731
    minimize(sphere, np.zeros(n), budget=1, **settings)  # imports and caches
    tracemalloc.start()
    result = minimize(sphere, np.zeros(n), budget=150, **settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.nfev == 150
    assert peak < 0.3 * 8 * n * n
