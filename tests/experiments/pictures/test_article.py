import numpy as np
import pytest
from matplotlib.image import imread

from experiments.pictures import article


def drawn(path):
    """Whether the file is a picture of some size with more than one colour."""
    picture = imread(path)
    return min(picture.shape[:2]) > 500 and picture.std() > 0.01


CURVES = [
    article.Curve("cma", "CMA-ES", np.array([1, 5, 20]), np.array([9.0, 3.0, 0.5]), 100),
    article.Curve("new", "New", np.array([1, 2]), np.array([8.0, 1.0]), 2),
]


def test_article(tmp_path):
    article.article({f"m{i}": np.array([1e5, 10.0, 1.0]) for i in range(5)}, tmp_path / "a.png")
    assert drawn(tmp_path / "a.png")


@pytest.mark.parametrize("optimum", [0.1, None, 0.0])
def test_losses(tmp_path, optimum):
    panels = {"evaluations": CURVES, "seconds": CURVES}
    article.losses(panels, tmp_path / "l.png", title="T", optimum=optimum)
    assert drawn(tmp_path / "l.png")


@pytest.mark.parametrize("percentile", [5.0, 60.0])
def test_distribution(tmp_path, percentile):
    article.distribution(
        np.geomspace(1, 1e5, 30),
        tmp_path / "d.png",
        title="T",
        published=4.0,
        percentile=percentile,
        optimum=0.7,
    )
    assert drawn(tmp_path / "d.png")


def test_a_curve_goes_on_to_the_end_of_what_was_spent():
    x, y = article._to_the_end(CURVES[0])
    np.testing.assert_array_equal(x, [1, 5, 20, 100])
    np.testing.assert_array_equal(y, [9, 3, 0.5, 0.5])
