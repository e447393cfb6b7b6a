import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from experiments import plots


@pytest.fixture(autouse=True)
def untouched_settings():
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def drawn(path):
    """Whether the file is a picture of some size with more than one colour."""
    picture = imread(path)
    return min(picture.shape[:2]) > 500 and picture.std() > 0.01


CURVES = [
    plots.Curve("cma", "CMA-ES", np.array([1, 5, 20]), np.array([9.0, 3.0, 0.5]), 100),
    plots.Curve("new", "New", np.array([1, 2]), np.array([8.0, 1.0]), 2),
]


def test_article(tmp_path):
    plots.article({f"m{i}": np.array([1e5, 10.0, 1.0]) for i in range(5)}, tmp_path / "a.png")
    assert drawn(tmp_path / "a.png")


@pytest.mark.parametrize("optimum", [0.1, None, 0.0])
def test_losses(tmp_path, optimum):
    panels = {"evaluations": CURVES, "seconds": CURVES}
    plots.losses(panels, tmp_path / "l.png", title="T", optimum=optimum)
    assert drawn(tmp_path / "l.png")


@pytest.mark.parametrize("percentile", [5.0, 60.0])
def test_distribution(tmp_path, percentile):
    plots.distribution(
        np.geomspace(1, 1e5, 30),
        tmp_path / "d.png",
        title="T",
        published=4.0,
        percentile=percentile,
        optimum=0.7,
    )
    assert drawn(tmp_path / "d.png")


def test_bands(tmp_path):
    x = np.arange(1, 50.0)
    band = plots.Band("pso", "pso", x, 1 / x, 2 / x, 3 / x)
    plots.bands({"one": ([band], 0.01), "two": ([band], None)}, tmp_path / "b.png", caption="C")
    assert drawn(tmp_path / "b.png")


def test_the_start_shows_where_another_line_lies_on_it(tmp_path):
    x = np.array([1.0, 10.0])
    start = plots.Band("start", "start", x, *[np.full(2, 0.5)] * 3)
    other = plots.Band("random", "random", x, *[np.full(2, 0.5)] * 3)

    def seen(*rows):
        plots.bands({"p": (rows, None)}, tmp_path / "s.png", caption="C")
        picture = imread(tmp_path / "s.png")[..., :3]
        both = (to_rgb(plots.COLOURS[name]) for name in ("start", "random"))
        return [int((np.abs(picture - colour) < 0.02).all(-1).sum()) for colour in both]

    for shown in (seen(start, other), seen(other, start)):
        assert min(shown) > 1000  # pixels; the legend alone has fewer than 500


def test_a_curve_goes_on_to_the_end_of_what_was_spent():
    x, y = plots._to_the_end(CURVES[0])
    np.testing.assert_array_equal(x, [1, 5, 20, 100])
    np.testing.assert_array_equal(y, [9, 3, 0.5, 0.5])


def test_a_method_has_its_own_colour_everywhere():
    assert plots.colours(["cma", "new", "pso"])[::2] == [plots.COLOURS["cma"], plots.COLOURS["pso"]]
    assert len(set(plots.COLOURS.values())) == len(plots.COLOURS)
    assert len(set(plots.colours(["x", "y", "z", *plots.COLOURS]))) == 3 + len(plots.COLOURS)
