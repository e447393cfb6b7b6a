import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.page import (
    Chart,
    DataColumn,
    DataTable,
    Line,
    MethodInfo,
    PageContent,
    Panel,
    StaticFigure,
    View,
    write_page,
)
from experiments.page.embed import numbers, page_data, to_script
from experiments.page.numbers import readable
from experiments.page.write import CONTRAST, DARK, contrast, lightened, render

HOSTILE = [
    "</script><script>window.__pwned=1</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "a\u2028b\u2029c",
    '"\' onmouseover="alert(1)',
    "&lt;b&gt; & {{data}} {{script}}",
    "</title></style><svg onload=alert(1)>",
    "$x_1$ \x00 \ud800 \u202e",
    "]]> =1+1",
]


class Reader(HTMLParser):
    """The elements of a page and their texts, as another parser than the browser's sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.within = [], [], [], []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.within.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.within and self.within[-1] == (
            "script",
            {"type": "application/json", "id": "data"},
        ):
            self.data += data
        else:
            self.texts.append(data)


def script_of(page):
    return re.findall(r"<script>(.*?)</script>", page, re.S)


def test_all_that_is_given_is_shown(make, tmp_path):
    write_page(tmp_path / "report.html", make())
    texts = " ".join(Reader((tmp_path / "report.html").read_text(encoding="utf-8")).texts)
    for text in [
        "A title",
        "adam is best.",
        "Friedman.",
        "no bounds",
        "The same starts.",
        "draw it",
    ]:
        assert text in texts
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_what_is_empty_is_left_out():
    page = render(PageContent(title="Nothing"))
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["How it was made"]


def test_the_only_script_is_the_one_that_the_policy_names(make):
    page = render(make())
    (script,) = script_of(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "http:" not in policy
    assert "https:" not in policy


def test_nothing_is_asked_for_from_outside(make):
    page = Reader(render(make()))
    asked = [value for name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert asked
    assert all(value.startswith(("#", "data:image/svg+xml;base64,")) for value in asked)
    assert "link" not in page.tags


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_texts(make, label):
    good = Reader(render(make(("a", "b"), ("c", "d"))))
    content = make((label, "b"), (label + "!", "d"))
    fields = vars(content) | {
        "title": label,
        "verdict": label,
        "facts": [(label, label)],
        "notes": [label],
        "command": label,
        "versions": {label: label},
        "machine": {label: label},
        "figures": [StaticFigure(label, label, label)],
    }
    bad = Reader(render(PageContent(**fields)))
    # The same elements and attributes in the same order: labels added none.
    optional = {"wbr", "pre", "code", "details", "summary"}
    kept = [tag for tag in bad.tags if tag not in optional]
    assert sorted(set(kept)) == sorted(set(good.tags) - optional)
    assert kept.count("script") == good.tags.count("script") == 2
    assert {name for name, _ in bad.attributes} == {name for name, _ in good.attributes}
    read = json.loads(bad.data)
    assert read["methods"][0]["label"] == label
    assert read["charts"][0]["panels"][0]["name"] == label + "!"


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_embedded_json_is_the_value_again_and_has_no_markup(value):
    text = to_script(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


@given(st.lists(st.floats()))
def test_numbers_are_short_and_near(values):
    found = json.loads(json.dumps(numbers(np.array(values)), allow_nan=False))
    assert len(found) == len(values)
    for value, short in zip(values, found, strict=True):
        if short is None:
            assert not np.isfinite(value) or abs(value) > 1.7e308
        else:
            assert short == pytest.approx(value, rel=1e-4, abs=5e-324)


def test_lines_share_grids_and_keep_their_ends():
    spent = np.arange(1.0, 1001.0)
    lines = {name: Line(spent, 1 / spent) for name in "abc"}
    methods = [MethodInfo(name, name, "#000000") for name in "abc"]
    chart = Chart("C", [Panel("p", [View("v", "x", "y", lines)])])
    (view,) = page_data(methods, [chart])["charts"][0]["panels"][0]["views"]
    (grid,) = view["grids"]
    assert len(grid) <= 240
    assert (grid[0], grid[-1]) == (1, 1000)
    for _, index, middle, low, high in view["lines"]:
        assert index == 0
        assert low is None
        assert high is None
        np.testing.assert_allclose(middle, 1 / np.array(grid), rtol=1e-4)


def test_large_comparisons_are_small_files_soon_made(make, tmp_path):
    content = make([f"method {i}" for i in range(7)], [f"p{i}" for i in range(100)], points=150)
    before = time.process_time()
    write_page(tmp_path / "r.html", content)
    assert time.process_time() - before < 3
    assert (tmp_path / "r.html").stat().st_size < 4e6


def test_tables_are_read_without_a_script(make):
    page = render(make())
    (body, *_) = re.findall(r"<tbody>(.*?)</tbody>", page, re.S)
    values = re.findall(r'data-value="([^"]*)">(.*?)</td>', body)[::2]
    assert values == [
        ("5.0", "5"),
        ("Infinity", "failed"),
        ("0.25", "<b>0.25</b>"),
        ("", "–"),
        ("12.0", "12"),
        ("-3.0", "<b>−3</b>"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.78312, "0.7831"),
        (1234.5, "1,234"),
        (1e7, "1e7"),
        (-2.5e-8, "−2.5e−8"),
        (np.inf, "failed"),
        (np.nan, "–"),
    ],
)
def test_numbers_for_people(value, text):
    assert readable(value) == text


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_every_colour_is_seen_on_a_dark_page(colour):
    def parts(text):
        return [int(text[i : i + 2], 16) for i in (1, 3, 5)]

    found = lightened(colour)
    assert contrast(parts(found), DARK) >= CONTRAST
    if contrast(parts(colour), DARK) >= CONTRAST:
        assert found == colour


def test_contrast_is_that_of_the_guidelines():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="#rrggbb; got 'red;}'"):
        MethodInfo("a", "a", "red;}")
    with pytest.raises(ValueError, match="dash"):
        MethodInfo("a", "a", "#000000", (-1.0,))
    with pytest.raises(ValueError, match="one shape"):
        Line(np.arange(3.0), np.arange(2.0))
    chart = Chart("C", [Panel("p", [View("v", "x", "y", {"z": Line(np.ones(1), np.ones(1))})])])
    with pytest.raises(ValueError, match="'z', which is not among"):
        render(PageContent(title="t", charts=[chart]))
    table = DataTable("T", [DataColumn("a")], [[1, 2]])
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        render(PageContent(title="t", tables=[table]))
