"""Problems of known optimum: BBOB, constrained, the sphere, XOR."""

import time

import numpy as np
import pytest

from blackbox import minimize
from blackbox.constraints import measure_violation
from experiments.problems import bbob, constrained, expand, find

FUNCTIONS = range(1, 25)


@pytest.fixture
def ioh():
    return pytest.importorskip("ioh", reason="the BBOB functions come with ioh")


@pytest.mark.parametrize("f", FUNCTIONS)
def test_bbob_has_its_optimum_at_its_minimizer(ioh, f):
    for n, i in ((2, 1), (5, 2), (10, 5), (40, 3)):
        problem = find(f"bbob:f={f}:n={n}:i={i}")
        x = bbob.minimizer(f, n, i)
        low, high = problem.box()
        assert ((low <= x) & (x <= high)).all()
        assert problem.make()(x[None])[0] == pytest.approx(problem.optimum, abs=1e-8)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_bbob_values_are_those_of_the_library_point_by_point(ioh, f):
    points = np.random.default_rng(f).uniform(-5, 5, (6, 7))
    theirs = ioh.get_problem(f, 2, 7, ioh.ProblemClass.BBOB)
    values = find(f"bbob:f={f}:n=7:i=2").make()(points)
    np.testing.assert_array_equal(values, [theirs(x) for x in points])


def test_bbob_sphere_is_a_sphere(ioh):
    problem, points = find("bbob:f=1:n=4:i=3"), np.random.default_rng(0).uniform(-5, 5, (5, 4))
    expected = ((points - bbob.minimizer(1, 4, 3)) ** 2).sum(axis=1) + problem.optimum
    np.testing.assert_allclose(problem.make()(points), expected, rtol=1e-12)


def test_bbob_instances_of_a_function_are_one_group_and_differ(ioh):
    problems = expand("bbob:f=3:n=5:i=1-4")
    assert {p.info().group for p in problems} == {"bbob:f=3:n=5"}
    assert all(p.info().precision for p in problems)
    point = np.zeros((1, 5))
    assert len({p.make()(point)[0] for p in problems}) == 4


def test_bbob_descriptions_name_the_groups_of_the_report():
    names = [group for group, _ in bbob.NAMES]
    sizes = [names.count(group) for group in bbob.FUNCTIONS]
    assert sizes == [5, 4, 5, 5, 5]
    assert bbob.benchmark(8, 2, 1).description == "BBOB f8, Rosenbrock, moderate"


def test_a_whole_suite_is_named_quickly(ioh):
    expand("bbob:f=1")
    begun = time.process_time()
    assert len(expand("bbob:f=1-24:n=2,5,10,20:i=1-5")) == 480
    assert time.process_time() - begun < 3, "nothing is built to name a problem"


@pytest.mark.parametrize("name", constrained.CASES)
def test_constrained_optimum_is_feasible_and_its_value_the_stated_one(name):
    problem, x = find(f"constrained:problem={name}"), np.array(constrained.CASES[name].minimizer)
    assert problem.make()(x[None])[0] == pytest.approx(problem.optimum, rel=1e-7, abs=1e-9)
    assert measure_violation(problem.constraints)(x) < 1e-6
    low, high = problem.box()
    assert ((low <= x) & (x <= high)).all()


@pytest.mark.parametrize("name", constrained.CASES)
def test_slsqp_gets_to_the_constrained_optimum_and_no_further(name):
    problem = find(f"constrained:problem={name}")
    starts = [problem.start(seed) for seed in range(4)]
    if name == "g08":  # which has many local optima
        starts = [np.array([1.2, 4.2])]
    ends = []
    for start in starts:
        result = minimize(
            problem.make(),
            start,
            method="slsqp",
            options={"ftol": 1e-12, "maxiter": 500},
            bounds=problem.bounds,
            constraints=problem.constraints,
            budget=5000,
            seed=0,
        )
        if measure_violation(problem.constraints)(result.x) < 1e-7:
            ends.append(result.fun)
    assert min(ends) == pytest.approx(problem.optimum, rel=1e-4, abs=1e-6)
    assert min(ends) > problem.optimum - 1e-5 * max(1, abs(problem.optimum))


def test_hs71_begins_where_it_was_published():
    problem = find("constrained:problem=hs71")
    np.testing.assert_array_equal(problem.start(0), [1, 5, 5, 1])
    assert (problem.start(0, 1) != problem.start(0)).any()


def test_g08_is_finite_in_all_of_its_box():
    corners = np.array([[0.0, 0.0], [0.0, 5.0], [10.0, 0.0], [1e-12, 1e-12]])
    assert np.isfinite(find("constrained:problem=g08").make()(corners)).all()


def test_sphere_noise_is_normal_independent_and_of_the_stated_size():
    objective = find("sphere:n=3:noise=0.5").make()
    points = np.zeros((4000, 3))
    objective.begin(0, np.random.default_rng(0))
    noise = np.array([objective(points), objective(points)]) - 3
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert abs(noise.mean()) < 0.03
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05
    np.testing.assert_array_equal(objective.full(points), 3)


def test_sphere_without_noise_stands_methods_that_need_a_function():
    problem = find("sphere:n=3:noise=0")
    assert not problem.changing
    result = minimize(problem.make(), problem.start(0), method="slsqp", budget=100, seed=0)
    np.testing.assert_allclose(result.x, 1, atol=1e-4)


def test_xor_can_be_learned_to_the_last_digit():
    problem = find("xor")
    found = [
        minimize(
            problem.make(),
            problem.start(seed),
            method="slsqp",
            options={"ftol": 1e-15, "maxiter": 300},
            bounds=problem.bounds,
            budget=2000,
            seed=0,
        ).fun
        for seed in range(3)
    ]
    assert min(found) < 1e-12
