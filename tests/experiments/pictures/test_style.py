import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from experiments.pictures import style

METHODS = [*style.KNOWN, *(f"new{i}" for i in range(20)), "cma:popsize=20", "cma:popsize=40"]

# Machado, Oliveira and Fernandes (2009), IEEE TVCG 15: what the fully colour-blind see, on linear
# RGB; the last line is what a copy in grey shows.
SIGHTS = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
    "grey": np.tile([0.2126, 0.7152, 0.0722], (3, 1)),
}  # fmt: skip


def lab(colour, sight):
    """A colour in CIELAB (D65) as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    t = to_xyz @ seen / [0.9505, 1.0, 1.089]
    x, y, z = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_a_dozen_methods_are_told_apart(sight):
    for methods in (METHODS[:9] + METHODS[-2:], [f"m{i}" for i in range(12)]):
        for one, other in itertools.combinations(style.looks(methods).values(), 2):
            apart = np.linalg.norm(lab(one.colour, sight) - lab(other.colour, sight))
            assert apart > 10 or one.dash != other.dash or one.marker != other.marker
            assert one.marker != other.marker


def test_colours_themselves_stay_apart():
    found = [look.colour for look in style.looks([f"m{i}" for i in range(7)]).values()]
    for colours in (found, [look.colour for look in style.KNOWN.values()]):
        for sight in ("normal", "protan", "deutan"):
            for one, other in itertools.combinations(colours, 2):
                assert np.linalg.norm(lab(one, sight) - lab(other, sight)) > 5, (one, other, sight)


def test_names_are_readable_on_white():
    for look in style.looks(METHODS).values():
        rgb = np.array(to_rgb(look.ink))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 3.0  # WCAG 2, large text


def test_a_known_method_looks_the_same_everywhere():
    for methods in (["cma"], ["x", "cma:popsize=20", "cma"], list(reversed(METHODS))):
        assert style.looks(methods)["cma"] == style.KNOWN["cma"]
    assert style.looks(["x", "cma:popsize=9"])["cma:popsize=9"] == style.KNOWN["cma"]


def test_variants_and_strangers_have_looks_of_their_own():
    found = style.looks(METHODS)
    assert list(found) == METHODS
    assert len(set(found.values())) == len(METHODS)
    assert style.looks(METHODS[:15]) == {m: found[m] for m in METHODS[:15]}  # by order in the plan


@given(st.lists(st.text(), unique=True, max_size=40))
def test_any_text_may_be_a_method(methods):
    found = style.looks(methods)
    assert list(found) == methods
    assert len(set(found.values())) == len(methods)


@given(st.text(max_size=300), st.integers(4, 40), st.integers(1, 4))
def test_texts_fit(words, width, lines):
    found = style.text(words, width, lines).split("\n")
    assert len(found) <= lines
    assert all(len(line) <= width and line.isprintable() for line in found)


def test_options_stand_below_their_method():
    assert style.text("cma:CMA_diagonal=True:popsize=32", 24) == (
        "cma\nCMA_diagonal=True,\npopsize=32"
    )
    assert style.text("cma:popsize=32") == "cma:popsize=32"
    assert style.one_line("a\n\tb" + "c" * 50, 10) == "a b…cccccc"


def test_stems_may_have_dots(tmp_path):
    names = [path.name for path in style.paths(tmp_path / "f1.5-D")]
    assert names == ["f1.5-D.svg", "f1.5-D.png"]


def test_the_package_loads_nothing_heavy():
    code = "import sys, experiments.pictures; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_picture_needs_pyplot():
    code = (
        "import sys\n"
        "from experiments.pictures import convergence, finals, ranks, shares, training\n"
        "from experiments.pictures import article, wins\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
