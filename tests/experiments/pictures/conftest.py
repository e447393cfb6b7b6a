"""What every test of pictures wants: matplotlib's settings untouched, and pictures looked at."""

from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.image import imread


@pytest.fixture(autouse=True)
def _untouched_settings():
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def texts_of(files):
    """Check that files are pairs of pictures with something in them; return the SVGs' texts."""
    assert files
    found = []
    for svg, png in zip(files[::2], files[1::2], strict=True):
        assert (svg.suffix, png.suffix) == (".svg", ".png")
        picture = imread(png)[..., :3]
        assert min(picture.shape[:2]) > 150
        assert (picture < 0.99).any(axis=-1).mean() > 0.003
        root = ElementTree.parse(svg).getroot()
        found += [text for text in root.itertext() if text.strip()]
        assert not [tag for tag in root.iter() if tag.tag.endswith("script")]
    return found


@pytest.fixture
def texts():
    return texts_of
