"""How problems are written, and what is said of those that are not there."""

import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.problems import FAMILIES, bbob, digits, expand, find
from experiments.problems.family import Real, Whole, Words

numbers = st.integers(1, 99)


@st.composite
def written(draw):
    """A text of whole numbers, and the numbers."""
    parts, meant = [], []
    for low, width in draw(st.lists(st.tuples(numbers, st.integers(0, 9)), min_size=1, max_size=4)):
        parts.append(f"{low}-{low + width}" if width else str(low))
        meant += range(low, low + width + 1)
    return ",".join(parts), meant


@given(written())
def test_whole_numbers_are_read_as_written(pair):
    text, meant = pair
    assert list(Whole(1, 200).read(text)) == meant


@pytest.mark.parametrize(
    "text", ["", "0", "201", "3-2", "1-201", "-1", "1.5", "a", "1,", "1--2", "1e3", "٣", "9" * 40]
)
def test_what_is_no_allowed_whole_number_is_refused(text):
    with pytest.raises(ValueError, match="is not among whole numbers from 1 to 200"):
        Whole(1, 200).read(text)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=5))
def test_names_of_numbers_lead_back_to_them(noises):
    found = expand(f"sphere:n=2:noise={','.join(map(repr, noises))}")
    assert [float(p.name.rpartition("=")[2]) for p in found] == list(dict.fromkeys(noises))
    assert [find(p.name).name for p in found] == [p.name for p in found]


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "x", ""])
def test_what_is_no_allowed_number_is_refused(text):
    with pytest.raises(ValueError, match="numbers from 0 on"):
        Real(0).read(text)


def test_words_are_read_as_written():
    assert Words(("a", "b")).read("b, a") == ["b", "a"]
    with pytest.raises(ValueError, match="'c' is not among a, b"):
        Words(("a", "b")).read("c")


def some(low, high):
    return st.lists(st.integers(low, high), min_size=1, max_size=4)


@given(f=some(1, 24), n=some(2, 100), i=some(1, 10**6))
def test_a_text_names_each_combination_once(f, n, i):
    pytest.importorskip("ioh")
    texts = [",".join(map(str, values)) for values in (f, n, i)]
    expected = [f"bbob:f={a}:n={b}:i={c}" for a, b, c in product(f, n, i)]
    found = [p.name for p in expand("bbob:f={}:n={}:i={}".format(*texts))]
    assert found == list(dict.fromkeys(expected))


def test_parameters_left_out_have_their_defaults_in_any_order():
    pytest.importorskip("ioh")
    assert len(expand("bbob")) == 24
    assert [p.name for p in expand(" bbob : n = 3 : f=8 ")] == ["bbob:f=8:n=3:i=1"]
    assert find("digits-mlp").name == "digits-mlp:batch=0"
    assert find("constrained:problem=hs71").n == 4


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_usage_is_what_the_name_alone_stands_for(family):
    if family.name == "bbob":
        pytest.importorskip("ioh")
    assert [p.name for p in expand(family.usage)] == [p.name for p in expand(family.name)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("artcle", r"unknown problem 'artcle' \(did you mean 'article'\?\); there are: acrobot,"),
        ("my/file", r"a function of yours is written path/to/file\.py:name"),
        ("", "unknown problem ''"),
        ("article:n=3", "problem 'article' has no parameter 'n'; its parameters: none"),
        ("bbob:g=3", "problem 'bbob' has no parameter 'g'; its parameters: f, n, i"),
        ("bbob:f=25", "problem 'bbob': f=25: '25' is not among whole numbers from 1 to 24"),
        ("bbob:n=1", "n=1: '1' is not among whole numbers from 2 to 100"),
        ("bbob:8", r"'8' is not written parameter=value, as in bbob:f=1-24:n=10:i=1"),
        ("bbob:f=8:f=9", "gives f twice"),
        ("bbob:i=1-900000", "'1-900000' are more than 100,000 at once"),
        ("bbob:i=1-90000", "more than 100,000 problems"),
        ("constrained:problem=hs72", "'hs72' is not among disk, hs71"),
        ("sphere:noise=-1", "numbers from 0 on"),
    ],
)
def test_what_is_not_there_is_refused_in_one_clear_line(text, said):
    with pytest.raises(ValueError, match=said) as refusal:
        expand(text)
    assert "\n" not in str(refusal.value)


def test_several_problems_are_not_one():
    with pytest.raises(ValueError, match="names 2 problems, from 'sphere:n=2:noise=0' on"):
        find("sphere:n=2,3:noise=0")


@pytest.mark.parametrize(
    ("module", "package", "text"),
    [
        (bbob, "ioh", "bbob:f=1"),
        (digits, "sklearn", "digits-mlp"),
        (digits, "sklearn", "quantized"),
    ],
)
def test_missing_packages_are_named_with_their_remedy(monkeypatch, module, package, text):
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name == package else object()
    )
    with pytest.raises(ValueError, match=r"not installed; run: pip install -e \"\.\[problems\]\""):
        expand(text)


def test_listing_problems_loads_nothing_heavy():
    code = """
import sys
from experiments.problems import FAMILIES
assert len(FAMILIES) > 10
assert not {"torch", "sklearn", "scipy", "ioh", "matplotlib", "gymnasium"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
