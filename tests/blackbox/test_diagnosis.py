"""What a diagnosis says of small runs, and that it says something of any run at all."""

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize
from blackbox.diagnosis import NAMES, Diagnosis, Finding, diagnose
from blackbox.diagnosis import thresholds as at
from blackbox.trace import STEPS_KEPT, Series


def sphere(x):
    return float(x @ x)


def slope(x):
    return float(x @ x), 2 * x


def descend(fun, lr, steps=100, start=(1.0, -2.0), **given):
    options = {"lr": lr} | given.pop("options", {})
    return minimize(
        fun, np.array(start), method="sgd", jac=True, options=options, budget=steps, **given
    ).diagnose()


def test_a_run_that_converged_is_healthy_and_says_so_in_words():
    found = minimize(sphere, [1.0, 2.0], method="nelder-mead").diagnose()
    assert found == ()
    assert found.healthy
    text = str(found)
    assert text.startswith("healthy: no fault found. nelder-mead: best value ")
    assert " evaluations" in text
    assert repr(found) == text


def test_a_finding_has_words_evidence_and_remedy():
    (found,) = minimize(sphere, [9.0] * 6, method="cma", budget=200, seed=1).diagnose()
    assert found.name == "unfinished"
    assert found.fault
    assert found.evidence["evaluations"] == 200
    assert "budget=" in found.remedy
    text = str(found)
    assert text.startswith("unfinished: The loss was still falling")
    assert "  evidence: fell in the last quarter by " in text
    assert "  remedy: " in text
    assert max(map(len, text.splitlines())) <= 88


def test_the_evidence_is_what_was_recorded():
    result = minimize(
        lambda x: np.nan if x[0] > 0 else sphere(x), [-1.0, 0.0], method="cma", seed=1
    )
    (found,) = result.diagnose()
    assert found.name == "failures"
    assert found.evidence["failed"] == result.history.failure_count
    assert found.evidence["evaluations"] == result.nfev
    assert found.evidence["share"] == result.history.failure_count / result.nfev


def test_learning_rates_of_one_problem_from_too_low_to_too_high():
    """The quadratic x.x is solved at once with lr 0.5, and explodes from 1 on."""
    assert descend(slope, 1e-5).names == ("slow",)
    assert descend(slope, 0.1).healthy
    assert descend(slope, 0.5).healthy
    assert descend(slope, 1.0).names == ("oscillating",)
    assert descend(slope, 1.2).names == ("diverging",)


def test_leaps_between_two_equal_sides_are_oscillation_though_the_loss_stays():
    found = descend(lambda x: (float(np.abs(x).sum()), np.sign(x)), 0.6, start=(0.3, -0.3))
    assert found.names == ("oscillating",)
    assert found[0].evidence["all that the loss fell by"] < 1e-9


def test_badly_scaled_variables_are_told_from_a_flat_function():
    scales = np.array([1e-9, 1.0, 1e-9, 1e-9])

    def uneven(x):
        return float(np.sum((scales * x - 1) ** 2)) + 3.0, 2 * scales * (scales * x - 1)

    start = np.array([0.0, 0.995, 0.0, 0.0])
    (found,) = descend(lambda x: (uneven(x)[0], uneven(x)[1]), 1e-4, start=start)
    assert found.name == "flat"
    assert found.evidence["largest slope over the median slope"] > 1e6
    (found,) = descend(lambda x: (3.0, 0 * x), 0.1)
    assert found.name == "flat"
    assert "Candidates" in found.words


def test_a_start_at_the_optimum_is_told_as_one_of_the_candidates():
    (found,) = minimize(sphere, [0.0, 0.0], method="l-bfgs-b", jac=lambda x: 2 * x).diagnose()
    assert found.name == "flat"
    assert "an optimum already" in found.words
    assert found.evidence["largest slope at the end"] == 0


def test_an_active_bound_is_a_note_and_a_slope_that_leads_inside_a_fault():
    def pushed(x):
        return float(np.sum((x + 1) ** 2))

    found = minimize(pushed, [1.0, 1.0], method="l-bfgs-b", bounds=(0, 2)).diagnose()
    assert found.names == ("at_bound",)
    assert found.healthy
    assert found[0].evidence["coordinates"] == [0, 1]
    assert str(found).startswith("healthy: no fault found.")
    assert "at bound (a note): " in str(found)

    def stopped(fun, x0, args=(), **_):
        from scipy.optimize import OptimizeResult

        fun(x0)
        return OptimizeResult(x=x0, fun=fun(x0), jac=np.array([-2.0, 2.0]), success=True)

    result = minimize(sphere, [0.0, 0.5], method=stopped, bounds=[(0, 1), (0, 1)])
    assert "at_bound" not in result.diagnose().names  # a method of the user's own keeps its bounds
    history = result.history
    history.terms = replace(history.terms, lower=np.zeros(2), upper=np.ones(2))
    (found,) = (f for f in result.diagnose() if f.name == "at_bound")
    assert found.fault
    assert found.evidence["of these the slope leads inside in"] == [0]


def test_integers_and_fixed_variables_are_at_no_bound():
    result = minimize(
        lambda x: float(np.sum((x - [0, 0.3, 2]) ** 2)),
        method="differential_evolution",
        bounds=[(0, 1), (0, 1), (1, 1)],
        integrality=[1, 0, 0],
        seed=1,
    )
    assert result.x[[0, 2]].tolist() == [0, 1]
    assert result.diagnose() == ()


def test_overfitting_is_found_and_not_where_the_best_point_was_restored():
    """The training loss draws x to 3, the validation loss is lowest at 1 on the way there."""

    def run(**given):
        return minimize(
            lambda x: (float((x[0] - 3) ** 2), 2 * (x - 3)),
            [0.0],
            method="sgd",
            jac=True,
            options={"lr": 0.02},
            budget=400,
            validation=lambda x: 1 + float((x[0] - 1) ** 2),
            validate_every=5,
            **given,
        )

    result = run()
    assert "overfitting" in result.diagnose().names
    restored = run(patience=5)
    assert restored.x[0] == pytest.approx(1, abs=0.2)
    assert "overfitting" not in restored.diagnose().names


def test_clipping_is_found_where_it_always_acts_only():
    limits = {norm: descend(slope, 0.05, options={"clip_norm": norm}).names for norm in (1e-3, 3.0)}
    assert limits == {1e-3: ("clipped",), 3.0: ()}


def test_gradients_that_are_nan_are_found():
    def holed(x):
        return sphere(x), np.full(2, np.nan) if int(x[0] * 1e6) % 2 else 2 * x

    found = descend(holed, 0.01)
    assert found.names == ("skipped",)
    assert found[0].evidence["of"] == 100


def test_a_swarm_that_contracts_too_fast_is_premature_and_one_that_converges_is_not():
    greedy = {"swarmsize": 10, "omega": 0.1, "phip": 0.1, "phig": 0.8}

    def run(options):
        return minimize(
            lambda x: sphere(x - 1.7), method="pso", bounds=[(-5, 5)] * 8, options=options, seed=2
        )

    bad, good = run(greedy), run({})
    assert bad.fun > 1 > good.fun
    assert bad.diagnose().names == ("premature",)
    assert "premature" not in good.diagnose().names


def test_noise_is_found_where_it_hides_the_progress_only():
    rng = np.random.default_rng(1)

    def run(deviation):
        return minimize(
            lambda x: sphere(x) + deviation * rng.standard_normal(),
            [1.0, 1.0, 1.0],
            method="cma",
            budget=800,
            seed=1,
        ).diagnose()

    assert run(30.0).names == ("noise",)
    assert run(0.01).healthy


def test_the_lowest_of_runs_side_by_side_is_diagnosed():
    rates = [1e-6, 0.1, 1.2]
    found = descend(slope, rates, 300)
    assert found.healthy
    assert "slow" in descend(slope, [1e-5, 1e-6], 200).names


def test_a_chain_is_judged_by_its_end():
    result = minimize(sphere, [3.0, 1.0], method="cma+l-bfgs-b", budget=300, seed=1)
    assert result.diagnose().healthy
    jitter = {"adam": {"lr": 0.01, "betas": (0.0, 0.5)}}  # around what the first has found
    result = minimize(slope, [3.0, 1.0], method="cma+adam", jac=True, budget=900, options=jitter)
    assert result.history.trace.curves().loss[-1] > 100 * result.fun
    assert result.diagnose().healthy


def test_nothing_evaluated_and_all_failed():
    def broken(x):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError) as caught:
        minimize(broken, [1.0], method="cma")
    found = caught.value.result.diagnose()
    assert found.names == ("too_short",)
    assert not found.healthy
    assert str(found).startswith("no verdict. ")
    found = minimize(lambda x: np.nan, [1.0, 1.0], method="cma", budget=50).diagnose()
    assert found.names == ("failures",)
    assert "No evaluation gave a finite value" in found[0].words


def test_a_run_that_was_interrupted_has_its_diagnosis():
    calls = []

    def stopped(x):
        calls.append(x)
        if len(calls) == 150:
            raise KeyboardInterrupt
        return sphere(x)

    with pytest.raises(KeyboardInterrupt) as caught:
        minimize(stopped, [9.0] * 6, method="cma", seed=1)
    assert caught.value.result.diagnose().names == ("unfinished",)


def test_an_unpickled_result_has_the_same_diagnosis_and_so_has_a_pickled_diagnosis():
    result = minimize(sphere, [9.0] * 6, method="cma", budget=200, seed=1)
    found = result.diagnose()
    again = pickle.loads(pickle.dumps(result)).diagnose()
    assert str(again) == str(found)
    kept = pickle.loads(pickle.dumps(found))
    assert isinstance(kept, Diagnosis)
    assert str(kept) == str(found)


def test_a_result_without_terms_is_diagnosed_all_the_same():
    result = minimize(sphere, [9.0] * 6, method="cma", budget=200, seed=1)
    result.history.terms = None
    assert diagnose(result).names == ("unfinished",)


@pytest.mark.parametrize("budget", [1, 3, 30, 120])
def test_every_method_has_a_diagnosis_however_short(budget):
    for name, row in ALGORITHMS.items():
        if not row.installed or name in ("torch", "nlopt"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = {"hess": lambda x: 2 * np.eye(2)} if row.hessian else {}
            result = minimize(
                sphere, [1.0, 2.0], method=name, jac=lambda x: 2 * x, bounds=None
                if row.hessian else (-3, 4), budget=budget, seed=1, **given,
            )  # fmt: skip
        found = result.diagnose()
        assert set(found.names) <= set(NAMES), name
        assert found.summary.startswith(f"{name}: best value "), name
        assert str(found)


def test_values_that_are_infinite_here_and_there_leave_the_numbers_finite():
    rng = np.random.default_rng(3)

    def holes(x):
        return np.inf if rng.random() < 0.3 else sphere(x)

    for method in ("nelder-mead", "cma", "pso", "adam"):
        found = minimize(holes, [1.0, 2.0], method=method, bounds=(-3, 4), budget=300, seed=1)
        for finding in found.diagnose():
            assert np.isfinite([v for v in finding.evidence.values() if isinstance(v, float)]).all()


def test_names_are_stable():
    assert set(NAMES) == {
        "at_bound", "clipped", "diverging", "failures", "flat", "infeasible", "noise",
        "oscillating", "overfitting", "premature", "skipped", "slow", "too_short", "unfinished",
    }  # fmt: skip


def test_every_threshold_is_explained():
    import inspect

    text = inspect.getsource(at)
    constants = [name for name in vars(at) if name.isupper()]
    assert len(constants) > 20
    blocks = text.split('"""')
    before = [part for part in blocks if any(f"{name} = " in part for name in constants)]
    assert sum(part.count("=") for part in before) == len(before)


def test_findings_are_frozen():
    with pytest.raises(AttributeError):
        Finding("noise", "words").name = "other"  # type: ignore[misc]


def test_a_series_is_evenly_spaced_in_bounded_memory():
    series = Series()
    for i in range(10 * STEPS_KEPT):
        series.append(i + 1, float(i))
    spent, values = series.columns()
    assert STEPS_KEPT / 2 <= len(values) <= STEPS_KEPT + 1
    assert (spent == values + 1).all()
    assert values[0] == 0
    assert len(set(np.diff(values))) == 1


def test_where_all_variables_are_fixed_nothing_is_flat():
    result = minimize(slope, [1.0, 2.0], method="adam", bounds=[(1, 1), (2, 2)], jac=True)
    assert result.diagnose().healthy


def test_slopes_whose_products_overflow_are_no_trouble():
    def steep(x):
        return 1e200 * float(x @ x), 2e200 * x

    assert descend(steep, 0.1, options={"clip_norm": 1.0}).names == ("flat",)
