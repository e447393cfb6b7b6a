"""Methods, options, budgets and constraints as `minimize` understands them."""

import time

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning

from blackbox import ALGORITHMS, Optimizer, minimize
from tests.blackbox.descents import rates

BOX = [(-5.0, 5.0)] * 2


def bowl(x):
    return float(np.sum((x - 1) ** 2))


# Names


@pytest.mark.parametrize("name", ["SLSQP", "slsqp", "Dual_Annealing", "dual-annealing", "Pso"])
def test_names_hold_in_any_case(name):
    result = minimize(bowl, [0.0, 0.0], method=name, bounds=BOX, budget=50, seed=0)
    assert result.method == name.lower().replace("-", "_")


@pytest.mark.parametrize(
    ("name", "nearest"), [("cmaes", "cma"), ("slsq", "slsqp"), ("dual_anealing", "dual_annealing")]
)
def test_an_unknown_name_gets_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=f"did you mean.*'{nearest}'"):
        minimize(bowl, [0.0, 0.0], method=name)
    with pytest.raises(ValueError, match=r"there are .*slsqp"):
        Optimizer("zzz", [0.0])


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="method"):
        minimize(bowl, [0.0, 0.0], method=3)


@pytest.mark.parametrize(
    ("settings", "method", "why"),
    [
        ({}, "cma", "evaluations enough"),
        ({"budget": 10_000}, "cma", "evaluations enough"),
        ({"budget": 100}, "slsqp", "fewer than 100"),
        ({"jac": lambda x: 2 * (x - 1)}, "slsqp", "gradients"),
        ({"constraints": {"type": "ineq", "fun": lambda x: x[0]}}, "slsqp", "constraints"),
        ({"x0": np.zeros(101), "jac": lambda x: 2 * (x - 1), "budget": 5}, "l-bfgs-b", "large"),
        ({"x0": np.zeros(501), "budget": 10**6, "max_seconds": 0.2}, "sep-cma", "large"),
    ],
)
def test_auto_chooses_and_says_why(settings, method, why):
    result = minimize(bowl, **({"x0": np.zeros(2), "seed": 0, "method": "AUTO"} | settings))
    assert result.method == method
    assert why in result.method_reason


def test_auto_is_the_default_and_a_named_method_says_so():
    assert minimize(bowl, [0.0, 0.0], seed=0).method_reason != "named by the caller"
    assert minimize(bowl, [0.0], method="slsqp").method_reason == "named by the caller"


# Options


@pytest.mark.parametrize("name", ALGORITHMS)
def test_unknown_options_are_refused_or_warned_of_as_scipy_does(name):
    row = ALGORITHMS[name]
    settings = {"method": name, "bounds": BOX, "budget": 5, "seed": 0}
    if row.lenient:
        with pytest.warns(OptimizeWarning, match="no_such"):
            minimize(bowl, [0.0, 0.0], options={"no_such": 1}, **settings)
        return
    with pytest.raises(ValueError, match="no_such") as caught:
        minimize(bowl, [0.0, 0.0], options={"no_such": 1}, **settings)
    assert all(option in str(caught.value) for option in row.options())
    with pytest.raises(ValueError, match="no_such"):
        Optimizer(name, [0.0, 0.0], bounds=BOX, no_such=1)


def test_a_misspelt_option_gets_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean.*'swarmsize'"):
        minimize(bowl, method="pso", bounds=BOX, options={"swarm_size": 3})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cma", {"popsize": 1}),
        ("cma", {"sigma0": 0.0}),
        ("cma", {"sigma0": np.nan}),
        ("pso", {"swarmsize": 1}),
        ("pso", {"maxiter": 0}),
        ("pso", {"updating": "sometimes"}),
        ("pyswarm", {"swarmsize": 1}),
        ("pyswarm", {"maxiter": 0}),
        ("random", {"popsize": 0}),
        ("random", {"sampling": "grid"}),
        ("adam", {"lr": -1.0}),
        ("dual_annealing", {"maxiter": 0}),
    ],
)
def test_values_of_options_are_checked_before_the_first_evaluation(name, options):
    calls = []
    with pytest.raises(ValueError, match=next(iter(options))):
        minimize(calls.append, [0.0, 0.0], method=name, bounds=BOX, options=options)
    assert not calls
    with pytest.raises(ValueError, match=next(iter(options))):
        Optimizer(name, [0.0, 0.0], bounds=BOX, **options)


def test_what_a_solver_refuses_reaches_the_caller(no_thread_left):
    few = np.zeros((2, 2))
    with pytest.raises(ValueError, match="population supplied"):
        minimize(bowl, method="differential_evolution", bounds=BOX, options={"init": few})
    with pytest.raises(ValueError, match="population supplied"):
        Optimizer("differential_evolution", bounds=BOX, init=few)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tol_sets_the_methods_own_tolerance(name):
    row = ALGORITHMS[name]
    settings = {"method": name, "bounds": BOX, "seed": 0, "budget": 3000}
    if not row.tolerance_options:
        with pytest.raises(ValueError, match="tol"):
            minimize(bowl, [0.0, 0.0], tol=1e-3, **settings)
        return
    rough = minimize(bowl, [-3.0, 2.0], tol=1e-1, **settings)
    fine = minimize(bowl, [-3.0, 2.0], tol=1e-12, **settings)
    assert rough.nfev <= fine.nfev
    same = minimize(
        bowl, [-3.0, 2.0], options=dict.fromkeys(row.tolerance_options, 1e-1), **settings
    )
    assert same.nfev == rough.nfev
    kept = minimize(
        bowl, [-3.0, 2.0], tol=1e-12, options=dict.fromkeys(row.tolerance_options, 1e-1), **settings
    )
    assert kept.nfev == rough.nfev


# Budgets, seconds, targets


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_target_ends_a_run_with_success(name):
    seen = []

    def fun(x):
        seen.append(bowl(x))
        return seen[-1]

    start = None if ALGORITHMS[name].start == "seeded" else [3.0, -3.0]
    options = rates(name)
    result = minimize(
        fun, start, method=name, bounds=BOX, seed=0, target=1.0, options=options, budget=5000
    )
    assert result.success
    assert "target" in result.message
    assert result.fun <= 1.0
    assert result.nfev == len(seen) < 5000


def test_a_target_at_an_infeasible_point_is_none():
    result = minimize(
        lambda x: float(x @ x),
        [0.0, 0.0],
        method="slsqp",
        constraints={"type": "ineq", "fun": lambda x: x[0] - 1},
        target=0.5,
    )
    assert result.x[0] == pytest.approx(1)
    assert result.fun == pytest.approx(1)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_seconds_end_a_run(name):
    began = time.perf_counter()
    ticks = []

    def slow(x):
        ticks.append(x)
        while time.perf_counter() - began < min(0.004 * len(ticks), 0.2):
            pass
        return bowl(x)

    result = minimize(slow, [-4.0, 4.0], method=name, bounds=BOX, seed=0, max_seconds=0.02)
    assert not result.success or result.seconds < 0.02
    if not result.success:
        assert "max_seconds" in result.message
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("max_seconds", 0),
        ("max_seconds", -1.0),
        ("max_seconds", np.nan),
        ("max_seconds", "1"),
        ("target", np.nan),
        ("target", "low"),
    ],
)
def test_limits_are_checked(argument, value):
    with pytest.raises((TypeError, ValueError), match=argument):
        minimize(bowl, [0.0, 0.0], **{argument: value})


def test_numpy_integers_are_budgets_and_seeds():
    result = minimize(bowl, [0.0, 0.0], method="cma", budget=np.int64(30), seed=np.int32(2))
    assert result.nfev == 30
    assert result.seed == 2


@pytest.mark.parametrize("name", [k for k, row in ALGORITHMS.items() if row.default_budget])
def test_methods_that_never_stop_get_a_stated_budget(name):
    result = minimize(bowl, [0.0, 0.0], method=name, bounds=BOX, seed=0)
    assert result.nfev == ALGORITHMS[name].default_budget


# Boxes


DRAWING = [k for k, row in ALGORITHMS.items() if row.random or row.start == "used"]


@pytest.mark.parametrize("name", DRAWING)
def test_a_start_is_drawn_where_none_is_given(name):
    first, other = (minimize(bowl, method=name, bounds=BOX, seed=s, budget=1) for s in (0, 1))
    assert not np.array_equal(first.x, other.x)
    assert (np.abs(first.x) <= 5).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_methods_that_need_a_box_say_so(name):
    settings = {"method": name, "seed": 0, "budget": 30}
    if ALGORITHMS[name].bounds == "strict":
        assert np.isfinite(minimize(bowl, [0.0, 0.0], **settings).fun)
        with pytest.raises(ValueError, match="x0"):
            minimize(bowl, None, bounds=[(None, 1), (0, 1)], **settings)
        return
    with pytest.raises(ValueError, match="bounds"):
        minimize(bowl, [0.0, 0.0], **settings)
    with pytest.raises(ValueError, match="bounds"):
        minimize(bowl, [0.0, 0.0], bounds=[(0, 1), (0, None)], **settings)


# Options of cma


@pytest.mark.parametrize(
    "option",
    [
        {"CMA_const_trace": True},
        {"CMA_diagonal": True},
        {"CMA_diagonal_decoding": 1.0},
        {"CMA_elitist": True},
        {"CMA_mirrors": 0.3},
        {"CSA_squared": True},
        {"maxstd_boundrange": 0.2},
        {"mean_shift_line_samples": True},
        {"pc_line_samples": True},
        {"BoundaryHandler": "penalty"},
    ],
    ids=lambda option: next(iter(option)),
)
def test_options_of_cma_keep_the_bounds_and_the_global_state(option):
    import cma

    if "BoundaryHandler" in option:
        option = {"BoundaryHandler": cma.BoundPenalty}
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()  # noqa: NPY002
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(np.sum((x - 2) ** 2))

    minimize(fun, [0.0] * 3, method="cma", bounds=(-1, 1), budget=300, seed=0, options=option)
    after = np.random.get_state()  # noqa: NPY002
    assert np.abs(seen).max() <= 1
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_two_point_adaptation_is_refused():
    from cma.sigma_adaptation import CMAAdaptSigmaTPA

    with pytest.raises(ValueError, match="AdaptSigma"):
        minimize(lambda x: 0.0, [0.0], method="cma", options={"AdaptSigma": CMAAdaptSigmaTPA})
