import numpy as np
import pytest

from blackbox import ALGORITHMS, Result
from experiments.gathering import GENERATIONS_KEPT, STEPS_KEPT
from experiments.plan import Cell, make_plan
from experiments.problems import article, find, from_object
from experiments.running import run_cell
from tests.blackbox.conftest import EVERY_CASE
from tests.experiments import own


def run(problem, method, seed=0, budget=200, **more):
    plan = make_plan([problem], [method], [seed], budget, **more)
    (cell,) = plan.cells
    return run_cell(cell, plan.problems[cell.problem])


@pytest.fixture
def logged():
    return own.Logged()


EACH = [
    pytest.param(name, marks=[] if name in EVERY_CASE or i % 3 == 0 else pytest.mark.slow)
    for i, name in enumerate(ALGORITHMS)
]
"""The core tests them all: here a part stands for the others."""


@pytest.mark.parametrize("method", EACH)
@pytest.mark.parametrize("budget", [1, 137])
def test_budget_is_spent_exactly(logged, method, budget):
    record = run(logged, method, 1, budget)
    assert record.error == ""
    assert record.evaluations == budget == len(logged.points)


@pytest.mark.parametrize("method", EACH)
def test_the_best_is_the_best_of_what_was_evaluated_and_its_curve_falls(logged, method):
    record = run(logged, method)
    assert record.value == record.curve.values[-1] == logged(record.x[None])[0]
    assert record.value <= logged.points.min() ** 2 * 3
    assert (np.diff(record.curve.values) < 0).all()
    assert (np.diff(record.curve.evaluations) > 0).all()
    assert 1 <= record.curve.evaluations[0] <= record.curve.evaluations[-1] <= 200
    assert (np.diff(record.curve.seconds) >= 0).all()
    assert record.curve.seconds[-1] <= record.seconds


def test_methods_that_use_their_start_begin_at_that_of_the_seed(logged):
    start = from_object(logged).start(5)
    for method in ("slsqp", "adam"):
        logged.batches.clear()
        run(logged, method, 5, 30)
        np.testing.assert_array_equal(logged.points[0], start)


def test_a_method_that_ends_early_begins_again_at_the_next_start(logged):
    record = run(logged, "slsqp", 2, 300)
    evaluated = {x.tobytes() for x in logged.points}
    assert record.runs > 1
    starts = [from_object(logged).start(2, r).tobytes() for r in range(record.runs)]
    assert len(set(starts)) == record.runs
    assert evaluated >= set(starts)


def test_without_restarts_it_stays_ended(logged):
    record = run(logged, "slsqp", 2, 300, restarts=False)
    assert record.runs == 1
    assert record.evaluations < 300
    assert record.message == "Optimization terminated successfully"


def test_a_cell_gives_the_same_again():
    cell = Cell("article", "cma", seed=4, budget=200)
    first, again = run_cell(cell), run_cell(cell)
    np.testing.assert_array_equal(first.curve.values, again.curve.values)
    np.testing.assert_array_equal(first.x, again.x)
    assert first.value != run_cell(Cell("article", "cma", seed=6, budget=200)).value


def test_gradients_are_used_counted_and_kept_only_when_allowed():
    without = run_cell(Cell("article", "adam:lr=0.5", seed=0, budget=22))
    allowed = run_cell(Cell("article", "adam:lr=0.5", seed=0, budget=22, gradients=True))
    assert (without.gradients, allowed.gradients) == (0, 22)
    assert allowed.end("passes") == 22 + 2 * 22
    assert np.isnan(without.training.norms).all()
    assert without.training.evaluations.tolist() == [1, 12]  # a stencil of ten points lies between
    steps = allowed.training
    assert steps.evaluations.tolist() == steps.gradients.tolist() == list(range(1, 23))
    objective, x = article.objective(), find("article").start(0)
    value, gradient = objective.value_and_gradient(x[None])
    assert steps.losses[0] == without.training.losses[0] == value[0]
    assert steps.norms[0] == pytest.approx(np.linalg.norm(gradient))
    assert (steps.rates == 0.5).all()
    # Adam's first step is as long as the learning rate, in every variable.
    assert steps.moves[1] == pytest.approx(0.5 * np.sqrt(10), rel=1e-3)
    assert (np.diff(steps.seconds) >= 0).all()
    assert steps.stepped


def test_the_curve_counts_passes_as_it_goes():
    record = run(own.Sloped(), "adam", 0, 40, gradients=True)
    passes = record.curve.spent("passes")
    np.testing.assert_array_equal(passes, 3 * record.curve.spent("evaluations"))
    assert passes[-1] <= record.end("passes") == 120


def test_trainings_of_restarts_are_put_together_and_keep_their_ends():
    record = run(own.Sloped(), "l-bfgs-b", 0, 5000, gradients=True)
    steps = record.training
    assert record.runs > 1
    assert len(steps.losses) <= STEPS_KEPT
    assert (steps.evaluations[0], steps.evaluations[-1]) == (1, 5000)
    np.testing.assert_array_equal(steps.gradients, steps.evaluations)
    gaps = np.diff(steps.evaluations)
    assert gaps.min() > 0
    assert gaps.max() <= gaps.min() + 1, "no part of it is thinned more than the others"
    assert steps.seconds[-1] <= record.seconds


def test_populations_keep_a_few_generations(logged):
    record = run(logged, "cma", budget=1500)
    steps = record.training
    assert not steps.stepped
    assert 0.9 * GENERATIONS_KEPT < len(steps.losses) <= GENERATIONS_KEPT
    assert (steps.losses <= steps.medians).all()
    assert (steps.spreads > 0).all()
    first = logged.batches[0]
    assert steps.losses[0] == np.sum(first**2, axis=1).min()
    assert steps.spreads[0] == pytest.approx(np.sqrt(first.var(axis=0).sum()))


def test_validation_losses_are_measured_counted_and_reported():
    record = run(own.Validated(), "adam:lr=0.1", 0, 100, gradients=True, validate_every=10)
    steps = record.training
    assert record.evaluations == 100
    assert len(steps.validated) == 9
    assert len(steps.losses) == record.gradients == 91
    assert steps.validated.tolist() == [11 * (i + 1) for i in range(9)]
    assert steps.validated_gradients.tolist() == [10 * (i + 1) for i in range(9)]
    assert record.report == {"validation loss": steps.validation.min()}
    assert record.end("passes") == 100 + 2 * 91


def test_one_that_was_stopped_early_stays_so_and_gives_its_best_validated_point():
    problem = own.Validated()
    record = run(problem, "adam:lr=0.1", 0, 5000, gradients=True, validate_every=2, patience=3)
    assert record.runs == 1
    assert record.evaluations < 500
    assert "stopped early" in record.message
    assert problem.validate(record.x[None])[0] == record.report["validation loss"]
    assert problem(record.x[None])[0] > record.value
    without = run(problem, "adam:lr=0.1", 0, 500, gradients=True)
    assert (without.evaluations, without.report) == (500, {})


def test_without_validation_data_patience_goes_by_the_value():
    record = run(own.sphere, "random", 0, 50_000, validate_every=5, patience=10)
    assert record.runs == 1
    assert record.evaluations < 50_000
    assert "incumbent has not improved for 10 generations" in record.message
    assert record.report == {}
    start = run(own.Sloped(), "start", 0, 5000, validate_every=5, patience=10)
    assert (start.evaluations, start.training) == (1, None)


@pytest.mark.parametrize("problem", [own.sphere, own.unbounded, own.Sloped(), own.Disk()])
def test_the_start_alone_is_one_evaluation_of_it(problem):
    record = run(problem, "start", 3, 300, gradients=True)
    start = from_object(problem).start(3)
    value = problem(start[None])[0] if hasattr(problem, "batched") else problem(start)
    if isinstance(problem, own.Disk) and 2 - start @ start < 0:
        assert record.failed
    else:
        assert record.value == value
        np.testing.assert_array_equal(record.x, start)
    assert (record.evaluations, record.gradients, record.runs) == (1, 0, 1)


def test_options_reach_the_method(logged):
    run(logged, "pso:swarmsize=7", budget=30)
    assert len(logged.batches[0]) == 7


def test_a_method_that_needs_a_box_says_so_and_is_a_failure():
    record = run(own.unbounded, "pso")
    assert record.failed
    assert "bounds" in record.error
    assert (record.evaluations, record.runs, len(record.x)) == (0, 0, 0)
    assert len(record.curve.values) == 0


def test_exceptions_of_the_objective_are_failures_and_the_run_goes_on():
    record = run(own.moody, "cma", budget=400)
    assert record.error == ""
    assert 0 < record.failures < 400
    assert record.value == pytest.approx(0, abs=1e-3)
    assert "ArithmeticError: not on <this> side" in record.message


def test_an_objective_that_always_fails_gives_nothing_and_says_why():
    record = run(own.hopeless, "random", budget=50)
    assert record.failed
    assert record.failures == record.evaluations == 50
    assert "ArithmeticError: never" in record.message
    assert len(record.x) == 0


def test_what_went_wrong_is_kept_by_name(monkeypatch):
    assert run(own.hopeless, "random", budget=50).findings == ("failures",)
    assert run(own.sphere, "start").findings == ()
    # Of restarts the last one is cut off by the budget, which says nothing.
    record = run(own.sphere, "slsqp", budget=101)
    assert (record.runs > 1, record.findings) == (True, ())

    def fails(result):
        raise ZeroDivisionError

    monkeypatch.setattr(Result, "diagnose", fails)
    record = run(own.hopeless, "random", budget=50)
    assert (record.evaluations, record.findings, record.error) == (50, (), "")


def test_what_was_found_before_a_fault_is_kept():
    record = run(own.bottomless, "random:popsize=1", seed=3, budget=200)
    assert "-inf" in record.error
    assert record.evaluations >= 1


def test_the_result_of_constraints_is_feasible_and_its_curve_too():
    record = run(own.Disk(), "slsqp", budget=400)
    assert record.value == pytest.approx(0, abs=1e-4)
    assert record.violation <= 1e-8
    assert 2 - record.x @ record.x >= -1e-8
    assert (np.diff(record.curve.values) < 0).all()


@pytest.mark.parametrize("method", ["cma", "nelder-mead", "cma+slsqp", "slsqp:restarts=inf"])
def test_every_method_keeps_constraints_in_its_cell(method):
    record = run(own.Disk(), method, budget=400)
    assert not record.failed
    assert record.violation <= 1e-6
    assert record.evaluations == 400


def test_seconds_end_a_run():
    record = run(own.slow, "random", budget=10_000, max_seconds=0.2)
    assert 0.15 < record.seconds < 5
    assert record.evaluations < 10_000
    assert np.isfinite(record.value)


def test_what_a_problem_reports_is_of_its_best_point():
    record = run_cell(Cell("finetune", "start", 0, 1))
    assert record.report == find("finetune").report(record.x)


def test_a_problem_that_cannot_be_made_is_a_failed_cell():
    record = run_cell(Cell("nowhere", "cma", 0, 10))
    assert "unknown problem 'nowhere'" in record.error
    assert record.failed


def test_ctrl_c_is_not_a_failure_of_the_cell():
    def stops(x):
        raise KeyboardInterrupt

    stops.x0 = np.zeros(2)
    with pytest.raises(KeyboardInterrupt):
        run(stops, "cma")
