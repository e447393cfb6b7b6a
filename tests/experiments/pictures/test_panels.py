import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.optimize import minimize

from experiments.pictures import panels, scales


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 9)), max_size=9))
def test_spread_boxes_touch_but_never_overlap(boxes):
    wanted, heights = (
        (np.array(part, dtype=float) for part in zip(*boxes, strict=True))
        if (boxes)
        else (np.empty(0), np.empty(0))
    )
    centres = panels.spread(wanted, heights, 0.0, 100.0)
    order = np.argsort(centres, kind="stable")
    feet, tops = (centres - heights / 2)[order], (centres + heights / 2)[order]
    assert (feet[1:] >= tops[:-1] - 1e-9).all()
    assert (feet >= -1e-9).all()
    assert (tops <= 100 + 1e-9).all()


def test_boxes_with_room_stay_where_they_want_to_be():
    wanted, heights = np.array([80.0, 10.0, 40.0]), np.array([9.0, 5.0, 5.0])
    np.testing.assert_allclose(panels.spread(wanted, heights, 0, 100), wanted)


def test_spread_moves_as_little_as_there_is():
    """Against a solver: the least sum of squared moves of boxes kept in order and apart."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        wanted, heights = np.sort(rng.uniform(30, 70, 6)), rng.uniform(3, 9, 6)
        gaps = (heights[1:] + heights[:-1]) / 2
        apart = {"type": "ineq", "fun": lambda c, gaps=gaps: np.diff(c) - gaps}
        least = minimize(
            lambda c, wanted=wanted: ((c - wanted) ** 2).sum(),
            np.cumsum(np.full(6, 12.0)),
            constraints=apart,
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        # Equal in moves of the boxes' feet, as the pools are of boxes in a fixed order.
        found = panels.spread(wanted, heights, -1e3, 1e3)
        np.testing.assert_allclose(found, least.x, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 10, 24])
def test_a_grid_has_room_for_all(count):
    rows, columns = panels.shape(count)
    assert columns <= 4
    assert rows * columns >= count > (rows - 1) * columns


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1e-9, 1.0], "log"),
        ([2.0, 2.1], "linear"),
        ([0.0, 1e-9, 1.0], "symlog"),
        ([-3.0, 2.0, 1.0], "linear"),
        ([-1e6, -1.0, 1.0, 1e-3], "symlog"),
        ([0.0], "linear"),
        ([], "linear"),
        ([5e-324, 1e308], "log"),
    ],
)
def test_scales_suit_the_values(values, kind):
    axes = Figure().add_subplot()
    scales.fit_y(axes, np.array(values))
    assert axes.get_yscale() == kind
    axes.plot(range(len(values)), values)
    axes.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("value", "written"),
    [(1e-3, "10⁻³"), (0.01, "0.01"), (1000, "1000"), (1e4, "10⁴"), (-1e5, "−10⁵"), (0, "0")],
)
def test_powers_are_short(value, written):
    assert scales.power(value) == written
