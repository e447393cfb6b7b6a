"""The page of a tuning: its drawings, as a browser and another parser see them."""

import math
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.space import Choice, Float, Int, Log, Space
from experiments.page import Drawing, PageContent, write_page
from experiments.tuning.axes import parameter_axis, value_axis
from experiments.tuning.drawings import (
    Tried,
    draw_history,
    draw_importance,
    draw_parallel,
    draw_slices,
)

SPACE = Space(
    {
        "lr<x>": Log(1e-5, 1e-1),
        "k": Int(1, 8),
        "act": Choice("a&b", None, math.sin),
        "m": Float(0, 1, when={"act": None}),
    }
)


def make(values, states=None, *, down=True):
    rng = np.random.default_rng(0)
    count = len(values)
    given = states or ["complete"] * count
    params = [SPACE.draw(rng) for _ in range(count)]
    return Tried(SPACE, list(range(count)), np.array(values, float), given, params, down)


def drawn(text):
    return ElementTree.fromstring(text)


def of_kind(root, kind):
    return [part for part in root.iter() if kind in (part.get("class") or "").split()]


@pytest.mark.parametrize(
    ("parameter", "value", "place"),
    [
        (Log(1e-4, 1.0), 1e-2, 0.5),
        (Float(-1, 3), 0.0, 0.25),
        (Int(1, 5), 5, 1.0),
        (Choice("a", "b", None), None, 1.0),
        (Choice(1, True, 2), True, 0.5),
    ],
)
def test_a_parameters_axis_goes_from_end_to_end(parameter, value, place):
    axis = parameter_axis(parameter)
    assert axis.place(value) == pytest.approx(place)
    assert all(0 <= at <= 1 for at, _ in axis.ticks)
    assert len(axis.ticks) > 1


def test_whole_numbers_have_whole_ticks():
    for high in range(2, 40):
        assert not [text for _, text in parameter_axis(Int(1, high)).ticks if "." in text]


numbers = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30)


@given(numbers, st.booleans())
def test_better_values_never_lie_behind_worse_ones(values, down):
    axis = value_axis(np.array(values), down=down)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    best = min(values) if down else max(values)
    others = [value for value in values if value != best]
    assert not [v for v in others if axis.place(v) == axis.place(best) and abs(v - best) > 1e6]
    assert axis.ticks


def test_the_history_has_every_trial_and_ends_at_the_best():
    values = [5.0, 3.0, math.nan, 4.0, 2.0]
    root = drawn(draw_history(make(values, [*["complete"] * 2, "failed", "pruned", "complete"])))
    dots, hollow = of_kind(root, "dot"), of_kind(root, "hollow")
    assert (len(dots), len(hollow), len(of_kind(root, "fault"))) == (4, 1, 1)
    (line,) = of_kind(root, "best-so-far")
    levels = [float(y) for y in re.findall(r"[ V](\d+\.\d)", line.get("d"))]
    heights = [float(dot.get("cy")) for dot in dots if dot not in hollow]
    assert levels == heights
    assert levels == sorted(levels)  # downwards on the page


@pytest.mark.parametrize("down", [True, False])
def test_the_best_is_the_one_that_stands_out(down):
    tried = make([3.0, 1.0, 2.0], down=down)
    (top,) = of_kind(drawn(draw_parallel(tried)), "top")
    assert top[0].text.startswith(f"trial {1 if down else 0}: ")
    root = drawn(draw_slices(tried))
    best = f"trial {1 if down else 0}"
    ringed = {(ring.get("cx"), ring.get("cy")) for ring in of_kind(root, "ring")}
    dots = [dot for dot in of_kind(root, "late") if dot[0].text.startswith(best)]
    assert ringed == {(dot.get("cx"), dot.get("cy")) for dot in dots}


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [0.0, 0.0, 1e300], [1e-30, 1.0, math.nan]])
def test_odd_values_are_drawn_within_the_picture(values):
    states = ["failed" if value != value else "complete" for value in values]
    for draw in (draw_history, draw_parallel, draw_slices):
        text = draw(make(values, states))
        root = drawn(text)
        height = float(root.get("viewBox").split()[-1])
        assert not re.search(r"\b(nan|inf)\b", re.sub("<title>.*?</title>", "", text))
        assert all(0 <= float(dot.get("cy")) <= height for dot in of_kind(root, "dot"))


def test_texts_are_texts():
    for text in (draw_parallel(make([1.0, 2.0])), draw_importance({"lr<x>": 1.0, '"&': 0.0})):
        assert "lr<x>" in [part.text for part in drawn(text).iter()]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_drawings_without_complaint(tmp_path, scheme):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    tried = make(np.linspace(3, 1, 20).tolist())
    drawings = [Drawing("History", draw_history(tried)), Drawing("Slices", draw_slices(tried))]
    write_page(tmp_path / "report.html", PageContent("Tuning", drawings=drawings))
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_context(color_scheme=scheme).new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((tmp_path / "report.html").as_uri())
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        ink = page.evaluate("getComputedStyle(document.querySelector('.best-so-far')).stroke")
        dots = page.locator(".dot").count()
        chromium.close()
    assert said == []
    assert dots == 20 + sum(len(each) for each in tried.params)
    light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
    assert (light[0] > light[1]) is (scheme == "light")
