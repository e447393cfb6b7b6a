"""Spaces written down: dictionaries, TOML, JSON, and what is wrong with them."""

import json
import math

import pytest
from hypothesis import given

from adapters import Bool, Choice, Fixed, Float, Int, Log, LogInt, Space
from tests.adapters.test_space import PARAMETERS

EVERY = Space(
    {
        "model.lr": Log(1e-5, 1e-2),
        "dropout": Float(0, 0.5, step=0.05),
        "one": Float(0, 3, step=1),
        "width": LogInt(8, 512),
        "depth": Int(1, 4),
        "odd": Int(1, 9, step=2, when={"depth": (2, 3)}),
        "act": Choice("relu", "tanh", None),
        "size": Choice(16, 32, 64, ordered=True, when={"bias": True}),
        "bias": Bool(),
        "twice": Bool(when={"widths": (64, 64)}),
        "widths": Choice((64,), (64, 64)),
        "batch": 64,
        "betas": Fixed((0.9, 0.99)),
        "seed": Fixed(3, when={"bias": False}),
        "extra": Fixed({"a": [1, 2]}),
    }
)

TOML = """
batch = 64
name = "digits"

[lr]
type = "log"
low = 1e-5
high = 1e-2

[width]
type = "int"
low = 8
high = 128
step = 8

["opt.beta"]
type = "float"
low = 0
high = 1
when = {act = ["relu", "gelu"]}

[act]
type = "choice"
options = ["relu", "tanh", "gelu"]
"""


def test_every_kind_there_and_back():
    described = json.loads(json.dumps(EVERY.to_dict()))
    assert described == EVERY.to_dict()
    back = Space.from_dict(described)
    assert list(back) == list(EVERY)
    assert back.to_dict() == described
    assert {name: back[name] for name in back if name != "extra"} == {
        name: EVERY[name] for name in EVERY if name != "extra"
    }
    assert back["extra"].value == {"a": (1, 2)}


def test_it_is_readable():
    space = Space(lr=Log(1e-5, 1e-2), n=Int(1, 3), batch=64, act=Choice("a", "b", ordered=True))
    assert space.to_dict() == {
        "lr": {"type": "log", "low": 1e-5, "high": 1e-2},
        "n": {"type": "int", "low": 1, "high": 3},
        "batch": 64,
        "act": {"type": "choice", "options": ["a", "b"], "ordered": True},
    }


@given(PARAMETERS)
def test_any_parameter_there_and_back(parameter):
    space = Space({"a b": parameter})
    back = Space.from_dict(json.loads(json.dumps(space.to_dict())))
    assert repr(back) == repr(space)


def test_toml_and_json(tmp_path):
    expected = Space(
        {
            "batch": 64,
            "name": "digits",
            "lr": Log(1e-5, 1e-2),
            "width": Int(8, 128, step=8),
            "opt.beta": Float(0, 1, when={"act": ("relu", "gelu")}),
            "act": Choice("relu", "tanh", "gelu"),
        }
    )
    path = tmp_path / "space.toml"
    path.write_text(TOML)
    assert Space.from_file(path) == expected
    other = tmp_path / "space.JSON"
    other.write_text(json.dumps(expected.to_dict()))
    assert Space.from_file(str(other)) == expected


WRONG = {
    "syntax": ("[lr\n", ValueError, "line 1"),
    "no type": ("[lr]\nlow = 1\nhigh = 2", ValueError, "lr: the field type is missing"),
    "dots": ("[model.lr]\ntype = 'bool'", ValueError, r'quoted: \["model.lr"\]'),
    "type": ("[lr]\ntype = 'logg'", ValueError, "lr: type must be.*did you mean 'log'"),
    "type is no text": ("[lr]\ntype = 3", ValueError, "lr: type must be one of float, .* got 3"),
    "field": (
        "[lr]\ntype='log'\nlow=1\nhi=2",
        ValueError,
        "lr: a log has no field 'hi'.*it has low",
    ),
    "missing": ("[lr]\ntype='log'\nlow=1", ValueError, "lr: the field high of the log is missing"),
    "value": ("[lr]\ntype='log'\nlow=0\nhigh=1", ValueError, "lr: Log: low must be positive"),
    "text": ("[lr]\ntype='log'\nlow='1'\nhigh=2", TypeError, "lr: Log: low must be a number"),
    "list": ("act = ['relu', 'tanh']", TypeError, "act is a list: give type 'choice'"),
    "options": ("[act]\ntype='choice'\noptions='abc'", TypeError, "act: options must be a list"),
    "empty": ("", ValueError, "nothing to search"),
    "condition": ("[a]\ntype='bool'\nwhen={b=1}", ValueError, "a is active only where b"),
    "when": ("[a]\ntype='bool'\nwhen='b'", TypeError, "a: Bool: when must be a dictionary"),
}


@pytest.mark.parametrize(("text", "kind", "says"), WRONG.values(), ids=WRONG)
def test_errors_name_file_parameter_and_field(tmp_path, text, kind, says):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(kind, match=rf"space\.toml: (.|\n)*{says}"):
        Space.from_file(path)


def test_files_that_are_none(tmp_path):
    for name, content, says in (
        ("space.yaml", b"", r"from a \.toml or a \.json file"),
        ("space.json", b"{", r"space\.json: Expecting"),
        ("list.json", b"[1]", r"list\.json: a space is described by a dictionary"),
        ("latin.toml", "ä".encode("latin-1"), r"latin\.toml: .*decode"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises((TypeError, ValueError), match=says):
            Space.from_file(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Space.from_file(tmp_path / "nowhere.toml")


def test_objects():
    space = Space(act=Choice(free, math.tanh), n=Int(1, 2))
    with pytest.raises(TypeError, match=r"act: <object .*give options names"):
        Space(act=Choice(object(), 1)).to_dict()
    described = json.loads(json.dumps(space.to_dict()))
    assert described["act"]["options"] == [{"object": f"{__name__}.free"}, {"object": "math.tanh"}]
    with pytest.raises(ValueError, match=r"act: .*free was an object"):
        Space.from_dict(described)


def free():
    return 0
