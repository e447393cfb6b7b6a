"""Pictures of one run, of runs as they are."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from blackbox import minimize
from blackbox.lr_range import LRRange
from experiments import draw_lr_range, draw_training
from tests.experiments import own


def shown(figure):
    """Every panel's label and the names in its legend; check that there is something drawn."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    assert (np.asarray(figure.canvas.buffer_rgba())[..., :3] < 250).any(axis=-1).mean() > 0.003
    return {
        axes.get_ylabel(): [line.get_label() for line in axes.lines if line.get_label()[0] != "_"]
        for axes in figure.axes
    }


def sloped(x0, **more):
    problem = own.Validated()
    return minimize(problem, x0, method="adam", budget=201, seed=0, **more)


def test_a_run_of_a_gradient_method_with_validation():
    result = sloped(own.Sloped.x0, options={"lr": 0.1}, validate_every=10)
    figure = draw_training(result)
    assert shown(figure) == {
        "loss": ["loss", "validation loss", "its lowest"],
        "learning rate": [],
        "gradient norm": [],
        "step size": [],
    }
    assert figure.axes[0].get_title(loc="left") == "adam"
    best = next(line for line in figure.axes[0].lines if line.get_label() == "its lowest")
    assert best.get_ydata()[0] == result.history.validated_value
    assert draw_training(result.history, title="mine").axes[0].get_title(loc="left") == "mine"


def test_runs_side_by_side_are_all_drawn():
    result = sloped(np.tile(own.Sloped.x0, (3, 1)), options={"lr": [0.3, 0.1, 0.01]})
    figure = draw_training(result)
    assert all(len(axes.lines) == 4 for axes in figure.axes)
    assert "all 3 runs" in figure.axes[-1].get_xlabel()
    assert figure.axes[1].get_yscale() == "log", "rates this far apart"


def test_a_population():
    result = minimize(own.sphere, np.ones(3), method="cma", budget=200, seed=0)
    assert shown(draw_training(result)) == {"loss": ["loss", "median"], "spread": []}


def test_what_cannot_be_drawn_says_why():
    result = minimize(own.sphere, np.ones(3), method="slsqp", budget=20)
    with pytest.raises(ValueError, match="no steps to draw"):
        draw_training(result)
    with pytest.raises(TypeError, match=r"result must be what minimize returns.*got int"):
        draw_training(3)
    with pytest.raises(ValueError, match="no range test was given"):
        draw_lr_range([])
    with pytest.raises(ValueError, match="one for each of 1 tests; got 2"):
        draw_lr_range(a_range(), titles=["a", "b"])


def a_range(losses=None, suggestion=0.01, diverged=False):
    rates = np.geomspace(1e-6, 1, 50)
    losses = np.linspace(2, 1, 50) if losses is None else np.full(50, losses)
    return LRRange("adam", rates, losses, losses, suggestion, "why", 50, 50, diverged)


@pytest.mark.parametrize("losses", [None, 1.0, 0.0, -3.0, np.nan])
def test_a_range_test_of_usual_and_odd_losses(losses):
    figure = draw_lr_range(a_range(losses))
    assert set(shown(figure)) == {"loss"}
    assert figure.axes[0].get_xscale() == "log"
    assert "0.01" in [text.get_text() for text in figure.axes[0].texts]


def test_several_range_tests_have_panels():
    figure = draw_lr_range([a_range(), a_range(diverged=True)], titles=["one", "two"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two, diverged"]
