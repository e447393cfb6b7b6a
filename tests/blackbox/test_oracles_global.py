"""scipy's global methods walk as scipy's do, in batches, and keep the user's code undisturbed."""

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import LinearConstraint, NonlinearConstraint

from blackbox import minimize
from blackbox.algorithms.basinhopping import BasinHopping
from blackbox.algorithms.differential_evolution import DifferentialEvolution
from blackbox.types import Problem, Told

BOX = [(-3.0, 4.0), (-2.0, 5.0), (-4.0, 4.0)]
STREAMS = [("rng", np.random.default_rng), ("seed", np.random.RandomState)]
NAMES = ["differential_evolution", "basinhopping", "shgo", "direct", "dual_annealing"]


def ripples(x):
    return float(np.sum((x - 0.3) ** 2) - np.cos(4 * x).sum())


def slope(x):
    return 2 * (x - 0.3) + 4 * np.sin(4 * x)


def assert_same(theirs, expected, ours, result):
    assert np.array_equal(theirs.asked, ours.asked)
    assert min(theirs.values) == result.fun == min(expected.fun, result.fun)
    assert expected.nit == result.nit
    assert expected.success == result.success


# Differential evolution


@pytest.mark.parametrize(("keyword", "stream"), STREAMS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"updating": "immediate"},
        {"strategy": "rand2exp", "mutation": 0.7, "recombination": 0.9},
        {"init": "sobol"},
        {"init": "random", "popsize": 4, "tol": 1e-4, "atol": 1e-4},
        {"init": np.random.default_rng(5).uniform(-2, 4, (9, 3))},
    ],
    ids=str,
)
def test_differential_evolution_walks_as_scipys(options, keyword, stream, watched):
    if str(options.get("init")) == "sobol" and keyword == "seed":
        pytest.skip("scipy itself cannot draw Sobol points from a RandomState")
    theirs, ours = watched(ripples), watched(ripples)
    options = {"maxiter": 25, "polish": False} | options
    settings = {"updating": "deferred"} | options | {keyword: stream(3)}
    expected = scipy.optimize.differential_evolution(theirs, BOX, **settings)
    result = minimize(
        ours, method="differential_evolution", bounds=BOX, options=options, seed=stream(3)
    )
    assert_same(theirs, expected, ours, result)
    assert np.array_equal(expected.x, result.x)
    assert expected.message == result.message


def test_differential_evolution_polishes_as_scipys(watched):
    theirs, ours = watched(ripples), watched(ripples)
    settings = {"updating": "deferred", "rng": np.random.default_rng(1)}
    expected = scipy.optimize.differential_evolution(theirs, BOX, **settings)
    result = minimize(ours, method="differential_evolution", bounds=BOX, seed=1)
    assert np.array_equal(theirs.asked, ours.asked)
    assert (expected.fun, expected.nit) == (result.fun, result.nit)
    assert np.array_equal(expected.x, result.x)
    assert result.history.stencil_count > 0
    assert np.abs(slope(result.x)).max() < 1e-3


def test_differential_evolution_polishes_by_the_objectives_own_gradient():
    settings = {"method": "differential_evolution", "bounds": BOX, "seed": 1}
    result = minimize(ripples, jac=slope, **settings)
    assert result.history.stencil_count == 0
    assert 0 < result.njev < 30
    assert np.abs(slope(result.x)).max() < 1e-3


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            {"type": "ineq", "fun": lambda x, a: [x[0] - a, 2 - x[1]], "args": (1.0,)},
            NonlinearConstraint(lambda x: [x[0] - 1.0, 2 - x[1]], 0, np.inf),
        ),
        (LinearConstraint([[1, 1, 1]], -1, 0.5), LinearConstraint([[1, 1, 1]], -1, 0.5)),
    ],
)
@pytest.mark.parametrize("updating", ["deferred", "immediate"])
def test_differential_evolution_keeps_constraints_as_scipys(ours, theirs, updating, watched):
    told, expected = watched(ripples), watched(ripples)
    options = {"maxiter": 20, "polish": False, "updating": updating}
    settings = options | {"constraints": theirs, "rng": np.random.default_rng(2)}
    scipy.optimize.differential_evolution(expected, BOX, **settings)
    method = {"method": "differential_evolution", "options": options, "seed": 2}
    result = minimize(told, bounds=BOX, constraints=ours, **method)
    assert np.array_equal(expected.asked, told.asked)
    assert result.maxcv == 0


def test_a_polish_under_constraints_stays_inside():
    disc = {"type": "ineq", "fun": lambda x: 1.5 - x @ x}
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(np.sum((x - 4) ** 2))

    box = [(-1.0, 0.8)] * 3
    method = {"method": "differential_evolution", "seed": 0}
    result = minimize(fun, bounds=box, constraints=disc, **method)
    assert np.abs(result.x - 0.5**0.5).max() < 1e-4
    assert result.history.stencil_count > 0
    assert np.array(seen).max() <= 0.8


def test_a_constraint_that_is_nan_is_broken():
    options = {"maxiter": 30, "polish": False}
    method = {"method": "differential_evolution", "seed": 0, "options": options}
    nowhere = {"type": "ineq", "fun": lambda x: 1.0 if x[0] > 1 else np.nan}
    result = minimize(lambda x: float(x @ x), bounds=BOX, constraints=nowhere, **method)
    assert 1 < result.x[0] < 1.5


def test_a_generation_is_a_batch_and_the_start_is_asked_exactly():
    sizes, first = [], []

    def fun(points):
        sizes.append(len(points))
        first.append(points[0])
        return np.array([ripples(x) for x in points])

    start = np.array([4.0, 1 / 3, -4.0])
    options = {"maxiter": 3, "popsize": 7, "polish": False}
    method = {"method": "differential_evolution", "options": options, "seed": 0}
    minimize(fun, start, bounds=BOX, batched=True, **method)
    assert sizes == [21] * 4
    assert np.array_equal(first[0], start)


def solve(algorithm, fun, **fields):
    """Run an algorithm on a bare problem; return all that it asked, and its end."""
    asked = []

    def evaluate(ask):
        asked.append(ask)
        return Told(np.array([fun(x) for x in ask.points]))

    lower, upper = np.array(BOX).T
    problem = Problem(lower, upper, fields.pop("starts", np.empty((0, 3))), **fields)
    stop = algorithm.solve(problem, np.random.default_rng(0), evaluate)
    return np.concatenate([ask.points for ask in asked]), asked, stop


def test_integers_stay_integers_and_walk_as_scipys(watched):
    integrality = np.array([True, False, True])
    theirs = watched(ripples)
    settings = {"rng": np.random.default_rng(0), "polish": False, "maxiter": 10}
    scipy.optimize.differential_evolution(
        theirs, BOX, updating="deferred", integrality=integrality, **settings
    )
    algorithm = DifferentialEvolution(maxiter=10)
    points, asked, _ = solve(algorithm, ripples, integrality=integrality)
    size = len(theirs.asked)
    assert np.array_equal(points[:size], theirs.asked)
    assert (points[:size, integrality] % 1 == 0).all()
    assert len(points) > size
    assert (points[:, integrality] % 1 == 0).all()
    assert {len(ask.points) for ask in asked} == {45, 1}  # a stencil is of one real variable


# Basin hopping


@pytest.mark.parametrize(("keyword", "stream"), STREAMS)
@pytest.mark.parametrize(
    "options", [{}, {"stepsize": 3.0, "T": 0.1, "interval": 4}, {"niter_success": 3}], ids=str
)
def test_basinhopping_walks_as_scipys(options, keyword, stream, watched):
    theirs, ours = watched(ripples), watched(ripples)
    x0 = np.array([-1.0, 4.0, 2.0])
    options = {"niter": 15} | options
    expected = scipy.optimize.basinhopping(
        theirs,
        x0,
        minimizer_kwargs={"method": "L-BFGS-B", "bounds": BOX},
        **options,
        **{keyword: stream(4)},
    )
    result = minimize(ours, x0, method="basinhopping", bounds=BOX, options=options, seed=stream(4))
    assert np.array_equal(theirs.asked, ours.asked)
    assert expected.fun == result.fun
    assert np.array_equal(expected.x, result.x)
    assert (expected.nit, expected.success) == (result.nit, result.success)
    assert " ".join(expected.message) == result.message


def test_basinhopping_by_the_objectives_own_gradient(watched):
    x0 = np.array([-1.0, 4.0, 2.0])
    theirs, ours = watched(ripples), watched(ripples)
    local = {"method": "L-BFGS-B", "bounds": BOX, "jac": slope}
    scipy.optimize.basinhopping(
        theirs, x0, niter=10, minimizer_kwargs=local, rng=np.random.default_rng(4)
    )
    settings = {"method": "basinhopping", "bounds": BOX, "options": {"niter": 10}, "seed": 4}
    result = minimize(ours, x0, jac=slope, **settings)
    assert np.array_equal(theirs.asked, ours.asked)
    assert result.history.stencil_count == 0


class Leap:
    """A step of the user's that leaves the box, of a size that scipy adapts."""

    def __init__(self):
        self.stepsize, self.sizes = 50.0, []

    def __call__(self, x):
        self.sizes.append(self.stepsize)
        return x + self.stepsize * (-1) ** len(self.sizes)


@pytest.mark.parametrize("local", [None, {"method": "Nelder-Mead"}])
def test_basinhopping_keeps_the_bounds_whatever_the_user_configures(local, watched):
    leap, fun = Leap(), watched(ripples)
    options = {"take_step": leap, "niter": 12, "interval": 3, "minimizer_kwargs": local}
    minimize(fun, [1.0, 1.0, 1.0], method="basinhopping", bounds=BOX, options=options, seed=0)
    lower, upper = np.array(BOX).T
    assert (fun.asked >= lower).all()
    assert (fun.asked <= upper).all()
    assert len(leap.sizes) == 12
    assert len(set(leap.sizes)) > 2


def test_a_step_without_a_size_is_left_alone():
    steps = []

    def step(x):
        steps.append(x)
        return x + 1

    solve(BasinHopping(niter=5, take_step=step), ripples)
    assert len(steps) == 5


def test_basinhopping_goes_on_from_a_hop_into_failures():
    def fun(x):
        return np.inf if abs(x[0] - 0.3) > 1 else ripples(x)

    _, asked, stop = solve(BasinHopping(stepsize=3.0, niter=60), fun)
    told = [fun(x) for ask in asked for x in ask.points if not ask.stencil]
    assert np.isinf(told).sum() > 5
    assert min(told) < -2.7
    assert stop.success


# SHGO


HALF = {"type": "ineq", "fun": lambda x: x[0] - 0.5}


@pytest.mark.parametrize(
    ("options", "constrained"),
    [
        ({"sampling_method": "sobol", "n": 32}, False),
        ({"sampling_method": "sobol", "n": 32}, True),
        ({"sampling_method": "halton", "n": 20, "iters": 2}, True),
        ({"options": {"maxfev": 40, "minimize_every_iter": True}}, False),
    ],
)
def test_shgo_walks_as_scipys(options, constrained, watched):
    theirs, ours = watched(ripples), watched(ripples)
    given = {"constraints": HALF} if constrained else {}
    expected = scipy.optimize.shgo(theirs, BOX, **given, **options)
    result = minimize(ours, method="shgo", bounds=BOX, options=options, **given)
    assert np.array_equal(theirs.asked, ours.asked)
    assert expected.message == result.message
    assert expected.nit == result.nit
    assert np.array_equal(expected.xl, result.xl)
    assert np.array_equal(expected.funl, result.funl)


def test_shgo_ends_where_scipys_does_where_a_descent_meets_the_bounds_of_a_simplex(watched):
    # A stencil there steps over the simplex, and not to its other side.
    theirs, ours = watched(ripples), watched(ripples)
    options = {"options": {"maxfev": 40}}
    expected = scipy.optimize.shgo(theirs, BOX, constraints=HALF, **options)
    result = minimize(ours, method="shgo", bounds=BOX, constraints=HALF, options=options)
    assert not np.array_equal(theirs.asked, ours.asked)
    np.testing.assert_allclose(result.funl, expected.funl, atol=1e-6)
    np.testing.assert_allclose(result.x, expected.x, atol=1e-4)


def test_shgo_samples_in_one_batch():
    sizes = []

    def fun(points):
        sizes.append(len(points))
        return np.array([ripples(x) for x in points])

    minimize(fun, method="shgo", bounds=BOX, batched=True)
    assert sizes[0] == 2**3 + 1
    assert set(sizes[1:]) == {1, 3}


def test_shgo_refuses_the_corners_of_a_box_of_many_variables(watched):
    fun, box = watched(ripples), [(-1, 1)] * 30
    with pytest.raises(ValueError, match="n = 30"):
        minimize(fun, method="shgo", bounds=box)
    assert not fun.points
    assert minimize(fun, method="shgo", bounds=box, options={"n": 50}, budget=60).nfev == 60


# DIRECT


@pytest.mark.parametrize(
    "options",
    [{}, {"locally_biased": False}, {"eps": 1e-2, "maxfun": 500}, {"f_min": -3.0, "maxiter": 30}],
    ids=str,
)
def test_direct_walks_as_scipys(options, watched):
    theirs, ours = watched(ripples), watched(ripples)
    expected = scipy.optimize.direct(theirs, BOX, **options)
    result = minimize(ours, method="direct", bounds=BOX, options=options)
    assert_same(theirs, expected, ours, result)
    np.testing.assert_allclose(result.x, expected.x, rtol=0, atol=1e-15)
    assert (expected.message, expected.status) == (result.message, result.status)


@pytest.mark.parametrize("name", ["direct", "shgo"])
def test_starts_are_asked_first_and_count(name, watched):
    plain, fun = watched(ripples), watched(ripples)
    minimize(plain, method=name, bounds=BOX, budget=50)
    starts = np.array([[0.3, 0.3, 0.3], [1.0, 1.0, 1.0]])
    minimize(fun, starts, method=name, bounds=BOX, budget=52)
    assert np.array_equal(fun.asked[:2], starts)
    assert np.array_equal(fun.asked[2:], plain.asked)
