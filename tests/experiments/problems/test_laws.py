"""What holds for every problem."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from blackbox import minimize
from blackbox.constraints import measure_violation
from experiments.problems import FAMILIES, find
from tests.experiments.problems.members import members

CHANGING = [
    *("sphere", "sampling", "digits-mlp:batch=32", "digits-linear:batch=32"),
    "digits-training",
]
REPORTING = [
    *("quantized", "finetune", "hyperparameters", "spirals"),
    *("digits-linear", "digits-mlp", "digits-conv", "digits-training"),
]
ELSEWHERE = ["article", "constrained:problem=beam", "cartpole", "sampling", "spirals"]


def sample(problem, count=3):
    """Starts, and points of all the box."""
    low, high = problem.box()
    inside = np.random.default_rng(5).uniform(low, high, (count, problem.n))
    return np.array([*(problem.start(seed) for seed in range(2)), *inside])


@pytest.mark.parametrize("name", members())
def test_objective_is_batched_finite_at_starts_and_a_function(name):
    problem = find(name)
    objective, points = problem.make(), sample(problem)
    given = points.copy()
    values = objective(points)
    assert objective.batched
    assert values.shape == (5,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(points, given)
    np.testing.assert_array_equal(objective(points), values)
    np.testing.assert_array_equal(problem.make()(points), values)
    np.testing.assert_allclose([objective(x[None])[0] for x in points], values, rtol=1e-4)


@pytest.mark.parametrize("name", members())
def test_starts_are_in_the_box_and_those_of_the_seed_and_the_restart(name):
    problem = find(name)
    low, high = problem.box()
    starts = [problem.start(s, r) for s, r in ((0, 0), (3, 0), (3, 0), (4, 0), (3, 1), (3, 2))]
    for start in starts:
        assert start.shape == (problem.n,)
        assert ((low <= start) & (start <= high)).all()
    always_the_same = name == "finetune"  # it begins at the pretrained network
    assert len({start.tobytes() for start in starts}) == (1 if always_the_same else 5)
    starts[0][:] = np.nan  # which is the caller's to change
    assert np.isfinite(problem.start(0)).all()


@pytest.mark.parametrize("name", members())
def test_no_feasible_value_is_below_the_optimum(name):
    problem = find(name)
    if problem.optimum is None:
        assert not problem.precision
        return
    points = sample(problem, count=40)
    broken = measure_violation(problem.constraints)
    feasible = points if broken is None else [x for x in points if broken(x) == 0]
    if len(feasible):
        assert problem.make()(np.array(feasible)).min() >= problem.optimum


@pytest.mark.parametrize("name", members())
def test_global_random_streams_are_left_alone(name):
    def states():
        return (
            torch.get_rng_state().numpy().tobytes(),
            np.random.get_state()[1].tobytes(),  # noqa: NPY002
            random.getstate(),
        )

    problem, before = find(name), states()
    objective = problem.make()
    objective(problem.start(1)[None])
    if problem.changing:
        objective.begin(0, np.random.default_rng(0))
        objective(problem.start(1)[None])
    if problem.report:
        problem.report(problem.start(0))
    assert states() == before


@pytest.mark.parametrize("name", members())
def test_a_name_and_a_pickle_lead_to_the_same_problem(name):
    problem = find(name)
    again, thawed = find(problem.name), pickle.loads(pickle.dumps(problem))
    assert again.info() == thawed.info() == problem.info()
    assert problem.info().name == problem.name == again.name == thawed.name
    point = problem.start(7)[None]
    np.testing.assert_array_equal(thawed.start(7)[None], point)
    np.testing.assert_array_equal(thawed.make()(point), problem.make()(point))


@pytest.mark.parametrize("name", REPORTING)
def test_report_is_of_finite_figures(name):
    problem = find(name)
    figures = problem.report(problem.start(0))
    assert figures
    assert all(type(value) is float and np.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("name", members())
def test_rows_say_what_they_are(name):
    problem = find(name)
    family = FAMILIES[name.split(":")[0]]
    texts = [family.variables, family.box, family.start, family.optimum, family.cost]
    for text in (problem.description, problem.source, problem.cost, problem.fingerprint, *texts):
        assert text.strip() == text != ""
    assert (family.optimum == "unknown") == (problem.optimum is None)
    low, high = problem.box()
    if family.box != "each its own":
        assert family.box == f"{low[0]:g} .. {high[0]:g}"
        assert len({*low, *high}) == 2
    if not family.parameters:
        assert family.variables == str(problem.n)


@pytest.mark.parametrize("name", members())
def test_changing_objectives_and_no_others_say_when_they_change(name):
    problem = find(name)
    assert (getattr(problem.make(), "begin", None) is not None) == problem.changing


@pytest.mark.parametrize("name", CHANGING)
def test_changing_objective_is_fixed_by_its_stream_and_itself_again_after_a_run(name):
    problem = find(name)
    objective, points = problem.make(), sample(problem)
    plain = objective(points)

    def told(seed):
        objective.begin(0, np.random.default_rng(seed))
        return objective(points)

    first = told(1)
    np.testing.assert_array_equal(told(1), first)
    assert (told(2) != first).all()
    assert (first != plain).all()
    np.testing.assert_allclose(objective.full(points), plain, rtol=1e-6)
    if not name.startswith("sphere"):  # its noise is of each evaluation
        np.testing.assert_allclose(told(1)[::-1], objective(points[::-1]), rtol=1e-5)
    objective.end()
    np.testing.assert_array_equal(objective(points), plain)


@pytest.mark.parametrize("name", CHANGING)
def test_best_of_a_run_on_a_changing_objective_is_by_its_exact_value(name):
    problem = find(name)
    objective = problem.make()
    method = "cma" if problem.n < 1000 else "sep-cma"
    result = minimize(
        objective, problem.start(0), method=method, bounds=problem.bounds, budget=100, seed=0
    )
    assert result.fun == pytest.approx(objective(result.x[None])[0], rel=1e-6)
    assert result.history.evaluation_count == 100


def test_another_process_finds_the_same_values_by_name():
    code = """
import sys
from experiments.problems import find
for name in sys.argv[1:]:
    problem = find(name)
    print(problem.name, problem.make()(problem.start(1)[None])[0].hex(), problem.fingerprint)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, *ELSEWHERE], check=True, capture_output=True, text=True
    )
    here = [
        f"{p.name} {p.make()(p.start(1)[None])[0].hex()} {p.fingerprint}"
        for p in map(find, ELSEWHERE)
    ]
    assert run.stdout.splitlines() == here
