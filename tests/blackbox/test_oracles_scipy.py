"""Our methods walk as scipy's do: SLSQP, dual annealing, random search, finite differences."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, NonlinearConstraint
from scipy.optimize._numdiff import approx_derivative

from blackbox import minimize
from blackbox.blocking import drive
from blackbox.stencil import gradient
from blackbox.types import Problem, Told


def valley(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def valley_slope(x):
    slope = np.zeros_like(x)
    slope[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
    slope[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return slope


def rastrigin(x):
    return float(10 * len(x) + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))


def own_end(result):
    """The solver's own end point and value, whatever was better on its way."""
    return result.get("solver_x", result.x), result.get("solver_fun", result.fun)


# SLSQP

BOUNDS = {
    "none": None,
    "box": [(-2.0, 0.8)] * 4,
    "half open": [(-2.0, None), (None, 0.5), (None, None), (0.0, 3.0)],
    "Bounds": Bounds([-2, -np.inf, 0, -1], [0.9, 2, np.inf, 0.7]),
    "on a bound": [(-1.2, 2.0), (-3.0, 1.0), (-2.0, 2.0), (0.5, 0.5 + 1e-9)],
}
GRADIENTS = {
    "none": {},
    "jac": {"jac": valley_slope},
    "2-point": {"jac": "2-point"},
    "3-point": {"jac": "3-point"},
    "eps": {"options": {"eps": 1e-3}},
    "relative step": {"jac": "2-point", "options": {"finite_diff_rel_step": 1e-5}},
    "maxiter": {"options": {"maxiter": 4}},
    "tol": {"tol": 1e-3},
}


def same_walk(watched, fun, x0, **settings):
    """Run scipy and ours; every point, in order, and the end must be the same bits."""
    theirs, ours = watched(fun), watched(fun)
    expected = scipy.optimize.minimize(theirs, x0, method="SLSQP", **settings)
    result = minimize(ours, x0, method="slsqp", **settings)
    assert np.array_equal(theirs.asked, ours.asked)
    x, value = own_end(result)
    assert np.array_equal(expected.x, x)
    assert expected.fun == value
    assert expected.nfev == result.nfev
    assert expected.nit == result.nit
    assert expected.message == result.message
    assert expected.status == result.status
    assert expected.success == result.success
    return expected, result


@pytest.mark.parametrize("gradients", GRADIENTS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_slsqp_walks_as_scipys(bounds, gradients, watched):
    x0 = np.array([-1.2, 0.4, 0.5, 0.5])
    expected, result = same_walk(watched, valley, x0, bounds=BOUNDS[bounds], **GRADIENTS[gradients])
    if gradients == "jac":
        assert result.njev == expected.njev
        assert np.array_equal(result.jac, expected.jac)


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from([None, "2-point", "3-point"]),
)
def test_slsqp_walks_as_scipys_from_anywhere(start, bounded, jac):
    theirs, ours = [], []

    def quartic(seen):
        def fun(x):
            seen.append(x.copy())
            return float(np.sum((x - 0.3) ** 4 + np.cos(3 * x)))

        return fun

    bounds = [(-1.0, 2.0)] * len(start) if bounded else None
    x0 = np.clip(start, -1, 2) if bounded else np.array(start)
    settings = {"bounds": bounds, "jac": jac}
    expected = scipy.optimize.minimize(quartic(theirs), x0, method="SLSQP", **settings)
    result = minimize(quartic(ours), x0, method="slsqp", **settings)
    assert np.array_equal(np.array(theirs), np.array(ours))
    assert expected.nfev == result.nfev


def test_slsqp_with_the_gradient_beside_the_value(watched):
    theirs, ours = [], []

    def joint(seen):
        def fun(x):
            seen.append(x.copy())
            return valley(x), valley_slope(x)

        return fun

    x0 = np.array([-1.2, 1.0, 0.3])
    expected = scipy.optimize.minimize(joint(theirs), x0, method="SLSQP", jac=True)
    result = minimize(joint(ours), x0, method="slsqp", jac=True)
    assert np.array_equal(np.array(theirs), np.array(ours))
    assert expected.fun == own_end(result)[1]
    assert expected.nfev == result.nfev


CONSTRAINTS = {
    "ineq": {"type": "ineq", "fun": lambda x: 1 - x @ x},
    "eq": {"type": "eq", "fun": lambda x: x.sum() - 1},
    "with jac and args": {
        "type": "ineq",
        "fun": lambda x, r: r - x @ x,
        "jac": lambda x, r: -2 * x,
        "args": (0.5,),
    },
    "several": (
        {"type": "ineq", "fun": lambda x: np.array([1 - x[0], x[1] + 1])},
        {"type": "eq", "fun": lambda x: x[0] + x[1] - x[2]},
    ),
    "linear": LinearConstraint([[1, 1, 0], [0, 1, -1]], [-np.inf, 0.1], [0.5, 2]),
    "nonlinear": NonlinearConstraint(lambda x: x[0] ** 2 + x[1], -1, 0.4),
}


@pytest.mark.parametrize("gradients", ["none", "jac", "3-point", "eps"])
@pytest.mark.parametrize("bounds", [None, [(-1.0, 1.5)] * 3])
@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_slsqp_walks_as_scipys_under_constraints(kind, bounds, gradients, watched):
    settings = {"bounds": bounds, "constraints": CONSTRAINTS[kind]} | GRADIENTS[gradients]
    same_walk(watched, valley, np.array([0.1, 0.4, -0.2]), **settings)


def test_slsqp_calls_back_as_scipys():
    theirs, ours = [], []
    x0 = np.array([-1.2, 1.0])
    scipy.optimize.minimize(valley, x0, method="SLSQP", callback=lambda xk: theirs.append(xk))
    minimize(valley, x0, method="slsqp", callback=lambda xk: ours.append(xk))
    assert len(ours) > 5
    assert np.array_equal(theirs, ours)


# Dual annealing


def anneal(watched, fun, n, stream, x0=None, seed=3, **options):
    theirs, ours = watched(fun), watched(fun)
    bounds = [(-5.0, 5.0)] * n
    key = "seed" if stream is np.random.RandomState else "rng"
    expected = scipy.optimize.dual_annealing(
        theirs, bounds, x0=x0, **{key: stream(seed)}, **options
    )
    result = minimize(
        ours, x0, method="dual_annealing", bounds=bounds, seed=stream(seed), options=options
    )
    assert np.array_equal(theirs.asked, ours.asked)
    x, value = own_end(result)
    assert np.array_equal(expected.x, x)
    assert expected.fun == value
    assert expected.nfev == result.nfev
    assert expected.nit == result.nit
    assert expected.success == result.success
    assert result.message in (" ".join(expected.message), expected.message[0])


@pytest.mark.parametrize("stream", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("start", [None, [1.0, -2.0, 3.0]])
@pytest.mark.parametrize(
    "options",
    [
        {"maxiter": 30},
        {"maxiter": 60, "no_local_search": True},
        {"maxiter": 1000, "maxfun": 300},
        {"maxiter": 25, "initial_temp": 50.0, "visit": 2.2, "accept": -2.0},
        {"maxiter": 20, "restart_temp_ratio": 0.5},
        {"maxiter": 15, "minimizer_kwargs": {"method": "Nelder-Mead", "options": {"maxfev": 60}}},
    ],
    ids=lambda options: "-".join(options),
)
def test_dual_annealing_walks_as_scipys(stream, start, options, watched):
    anneal(watched, rastrigin, 3, stream, x0=start, **options)


@pytest.mark.parametrize("n", [1, 8])
def test_dual_annealing_walks_as_scipys_in_other_dimensions(n, watched):
    anneal(watched, rastrigin, n, np.random.default_rng, maxiter=15)


# Finite differences


def wave(x):
    return float(np.sum(np.sin(x * np.arange(1, len(x) + 1))) + 0.1 * np.sum(x**3))


def our_slope(fun, x, problem, **steps):
    seen = []

    def evaluate(ask):
        assert ask.stencil
        seen.append(ask.points)
        return Told(np.array([fun(p) for p in ask.points]))

    slopes = drive(gradient(problem, x[None], np.array([fun(x)]), **steps), evaluate)
    assert len(seen) == 1, "one batch a gradient"
    return slopes[0], np.concatenate(seen)


@st.composite
def boxes(draw):
    """A point and a box around it: roomy, narrow, half-open, the point inside or on a side."""
    n = draw(st.integers(1, 4))
    x, low, high = np.empty(n), np.empty(n), np.empty(n)
    width = st.sampled_from([np.inf, 10.0, 1e-2, 1e-7, 1e-9, 0.0])
    for i in range(n):
        x[i] = draw(st.floats(-100, 100).map(lambda v: round(v, 6)))
        below, above = draw(width), draw(width)
        if below == above == 0:
            above = 1e-8
        low[i], high[i] = x[i] - below, x[i] + above
    return x, low, high


@given(boxes(), st.sampled_from([None, 1e-3, 1.49e-8, 1e-4]), st.booleans())
def test_forward_stencils_are_scipys(box, size, relative):
    x, low, high = box
    problem = Problem(low, high, x[None], scheme="2-point" if relative else None)
    ours, points = our_slope(
        wave, x, problem, **{"relative_step" if relative else "step": size} if size else {}
    )
    expected = approx_derivative(
        wave,
        x,
        method="2-point",
        **{"rel_step" if relative else "abs_step": size} if size else {},
        f0=wave(x),
        bounds=(low, high),
    )
    assert np.array_equal(ours, np.atleast_1d(expected))
    assert (points >= low).all()
    assert (points <= high).all()


@given(boxes(), st.sampled_from([None, 1e-3, 1e-6]))
def test_central_stencils_are_scipys(box, relative_step):
    x, low, high = box
    problem = Problem(low, high, x[None], scheme="3-point")
    ours, points = our_slope(wave, x, problem, relative_step=relative_step)
    expected = approx_derivative(
        wave, x, method="3-point", rel_step=relative_step, f0=wave(x), bounds=(low, high)
    )
    assert np.array_equal(ours, np.atleast_1d(expected))
    assert (points >= low).all()
    assert (points <= high).all()


@given(st.integers(1, 4), st.integers(1, 5), st.sampled_from(["2-point", "3-point"]))
def test_a_batch_of_stencils_is_each_alone(k, n, scheme):
    points = np.random.default_rng(k * 10 + n).uniform(-2, 2, (k, n))
    problem = Problem(np.full(n, -2.0), np.full(n, 2.0), points, scheme=scheme)
    values = np.array([wave(x) for x in points])

    def evaluate(ask):
        return Told(np.array([wave(x) for x in ask.points]))

    together = drive(gradient(problem, points, values), evaluate)
    for x, slope in zip(points, together, strict=True):
        assert np.array_equal(slope, our_slope(wave, x, problem)[0])


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_a_failed_stencil_point_is_made_up_for(scheme):
    x = np.array([0.5, -0.5, 1.0])
    problem = Problem(np.full(3, -np.inf), np.full(3, np.inf), x[None], scheme=scheme)

    def cliff(point):
        # Nothing beyond the start in the first coordinate, nothing at all around the second.
        return np.inf if point[0] > 0.5 or point[1] != -0.5 else wave(point)

    def evaluate(ask):
        return Told(np.array([cliff(p) for p in ask.points]))

    with np.errstate(all="ignore"):  # as every run has it
        slope = drive(gradient(problem, x[None], np.array([cliff(x)])), evaluate)[0]
    expected = approx_derivative(wave, x)
    assert slope[0] == pytest.approx(expected[0], rel=1e-4)
    assert slope[1] == 0
    assert slope[2] == pytest.approx(expected[2], rel=1e-4)


# A coarse objective gets coarse steps.


class Coarse:
    """A quadratic in single precision: steps for double precision see nothing of it."""

    dtype = np.float32

    batched = False

    def __init__(self):
        self.points = []

    def __call__(self, x):
        self.points.append(x.copy())
        return float(np.sum((x.astype(np.float32) - np.float32(0.25)) ** 2, dtype=np.float32) + 1)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
@pytest.mark.parametrize("name", ["slsqp", "adam", "dual_annealing"])
def test_steps_fit_a_single_precision_objective(name, jac):
    fun = Coarse()
    options = {"slsqp": {}, "adam": {"lr": 0.05}, "dual_annealing": {"maxiter": 5}}[name]
    result = minimize(
        fun,
        [1.0, -1.0],
        method=name,
        bounds=(-4, 4),
        jac=jac,
        options=options,
        budget=3000,
        seed=0,
    )
    assert result.fun < 1 + 1e-4
    assert result.history.stencil_count > 0
    if name == "slsqp":
        steps = np.abs(np.array(fun.points[1:3]) - fun.points[0])
        assert 1e-4 < steps.max() < 2e-2


# Random search


@pytest.mark.parametrize("stream", [np.random.default_rng, np.random.RandomState])
def test_uniform_search_asks_the_stream(stream, watched):
    fun = watched(lambda x: float(x @ x))
    minimize(fun, [1.0, 2.0], method="random", bounds=(-3.0, 5.0), budget=129, seed=stream(9))
    drawn = stream(9).random_sample if stream is np.random.RandomState else stream(9).random
    assert np.array_equal(fun.points[0], [1.0, 2.0])
    assert np.array_equal(fun.asked[1:], -3.0 + 8.0 * drawn((128, 2)))
