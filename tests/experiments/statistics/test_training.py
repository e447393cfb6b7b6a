import numpy as np
import pytest

from experiments.plan import Cell
from experiments.record import Curve, ProblemInfo, Record, Results, Training
from experiments.statistics.training import POINTS, all_courses, apart, courses

NAN = np.nan


def run(steps, losses, **more):
    return Training(np.array(steps), np.array(losses), 2 * np.array(losses), **more)


def test_medians_are_over_the_runs_under_way():
    found = courses([run([1, 3], [9.0, 3.0]), run([1, 2, 5], [7.0, NAN, 1.0]), run([], [])])
    assert list(found) == ["loss", "gradient norm"]
    np.testing.assert_array_equal(found["loss"].spent, [1, 2, 3, 5])
    np.testing.assert_array_equal(found["loss"].middle, [8.0, 9.0, 3.0, 1.0])
    np.testing.assert_array_equal(found["gradient norm"].middle, [16.0, 18.0, 6.0, 2.0])
    assert courses([]) == {}


def test_bands_are_numpys_quantiles_of_what_is_there():
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(7, 40))
    rows[rng.uniform(size=rows.shape) < 0.3] = np.inf
    rows[:, [0, -1]] = 1.0
    band = courses([run(np.arange(1, 41), row) for row in rows])["loss"]
    known = np.where(np.isfinite(rows), rows, NAN)
    for part, share in ((band.low, 0.25), (band.middle, 0.5), (band.high, 0.75)):
        np.testing.assert_allclose(part, np.nanquantile(known, share, axis=0))


def test_long_runs_are_seen_at_places_evenly_over_their_steps():
    band = courses([run(np.arange(1, 5001), np.arange(5000.0))])["loss"]
    assert len(band.spent) == POINTS
    assert (band.spent[0], band.spent[-1]) == (1, 5000)
    np.testing.assert_array_equal(band.middle, band.spent - 1)


def test_passes_count_gradients_and_validations_have_places_of_their_own():
    steps = run(
        [1, 2, 4],
        [3.0, 2.0, 1.0],
        gradients=np.array([1, 2, 3]),
        validated=np.array([3]),
        validated_gradients=np.array([2]),
        validation=np.array([7.0]),
    )
    found = courses([steps], "passes")
    assert found["loss"].spent.tolist() == [3, 6, 10]
    assert found["validation loss"].spent.tolist() == [7]
    assert found["validation loss"].middle.tolist() == [7]


def test_only_problems_with_steps_along_gradients_are_shown_and_populations_beside_them():
    steps = run([1, 2], [3.0, 2.0])
    generations = Training(
        np.array([9, 18]), np.array([2.0, 1.0]), np.full(2, NAN), spreads=np.array([1.0, 0.5])
    )
    assert steps.stepped
    assert not generations.stepped

    def record(problem, method, training):
        cell = Cell(problem, method, 0, 100)
        return Record(cell, 1.0, np.zeros(1), 100, 0, 1.0, 1, Curve.empty(), training=training)

    records = (
        record("f", "adam", steps),
        record("f", "cma", generations),
        record("f", "slsqp", None),
        record("g", "cma", generations),
    )
    results = Results(records, {name: ProblemInfo(name, 1) for name in ("f", "g")})
    found = all_courses(results, "evaluations")
    assert list(found) == ["f"]
    assert {method: list(kinds) for method, kinds in found["f"].items()} == {
        "adam": ["loss", "gradient norm"],
        "cma": ["loss", "spread"],
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([[0.1, 0.01, 1e-9]], False),
        ([[0.1, 0.01], [NAN, 0.05]], False),
        ([[0.1, 0.01], [0.001, 0.001]], True),
        ([[0.0, 0.0], [1.0]], False),
        ([[NAN]], False),
        ([], False),
    ],
)
def test_rates_are_apart_by_their_highest(lines, expected):
    assert apart(np.array(line) for line in lines) is expected
