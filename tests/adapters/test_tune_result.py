"""`tune`: what it refuses, what its result shows, what ``auto`` chooses."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from adapters import Choice, Float, Int, Log, Space, tune
from adapters.tuning.automatic import choose

SPACE = Space(lr=Log(1e-5, 1e-2), width=Int(8, 128))


def train(lr: float, width: int) -> float:
    return (math.log10(lr) + 3) ** 2 + ((width - 64) / 64) ** 2


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda lr: lr, "does not take 'width', which the space has"),
        (lambda lr, width, depth: lr, "needs 'depth', which the space does not have"),
        (lambda lr, width, depth, heads: lr, "needs 'depth', 'heads'"),
        (3, "train must be a function"),
    ],
)
def test_a_signature_that_does_not_fit_is_refused_at_once(function: Any, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        tune(function, SPACE, budget=3)


def test_signatures_that_fit() -> None:
    assert tune(lambda **all_of_them: 1.0, SPACE, budget=1).n_trials == 1
    assert tune(lambda lr, *, width, depth=3: 1.0, SPACE, budget=1).n_trials == 1
    conditional = Space(act=Choice("relu", "tanh"), slope=Float(0, 1, when={"act": "relu"}))
    with pytest.raises(TypeError, match=r"needs 'slope', which is not active always.*a default"):
        tune(lambda act, slope: 1.0, conditional, budget=1)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"budget": None}, "say when to stop"),
        ({"budget": 0}, "budget=0 leaves nothing"),
        ({"budget": 1.5}, "budget is a whole number"),
        ({"steps": 5}, "let it yield a value"),
        ({"fidelity": "median"}, "let it yield a value"),
        ({"max_seconds": -1}, "max_seconds must be above 0"),
        ({"direction": "max"}, "direction is 'minimize' or 'maximize'"),
        ({"on_error": "ignore"}, "on_error is"),
        ({"method": "nelder-mead"}, "runs under blackbox.minimize alone; for tuning there are"),
        ({"method": "magic"}, "is not known; for tuning there are auto"),
        ({"method": 3}, "method is a name"),
        ({"options": {"popsize": 4}}, "method='auto' give none"),
        ({"method": "tpe", "options": {"foo": 4}}, "options of tpe.*foo"),
        ({"method": "grid", "options": {"foo": 4}}, "grid has no option 'foo'"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"seed": 0.5}, "seed is an int"),
        ({"workers": 0}, "workers=0"),
        ({"workers": map}, "workers is an int or an Executor"),
        ({"at_once": 4}, "at_once is for a batched objective"),
        ({"storage": 3}, "storage is a path"),
        ({"storage": "no/such/folder/study.db"}, "there is no folder"),
        ({"space": {"lr": 1}}, "space must be a Space"),
        ({"space": None}, "space is missing"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(changed: dict[str, Any], error: str) -> None:
    asked = []
    given = {"space": SPACE, "budget": 3, **changed}
    with pytest.raises((TypeError, ValueError), match=error):
        tune(lambda lr, width: asked.append(lr), **given)
    assert not asked


def test_importance_finds_what_matters() -> None:
    result = tune(
        lambda a, b: 10 * a + 0.01 * b,
        Space(a=Float(0, 1), b=Float(0, 1)),
        "random",
        budget=40,
        seed=0,
    )
    shares = result.importance()
    assert shares["a"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    with pytest.raises(ValueError, match="two complete trials"):
        tune(train, SPACE, "random", budget=1).importance()


def test_tables_and_pictures_are_written(tmp_path: Path) -> None:
    import pandas

    space = Space(
        lr=Log(1e-5, 1e-2),
        act=Choice(None, "tanh"),
        slope=Float(0, 1, when={"act": "tanh"}),
        width=Int(1, 9),
    )

    def some_fail(lr: float, act: Any, width: int, slope: float = 0) -> float:
        return math.nan if width == 9 else slope + (act is None)

    result = tune(some_fail, space, "random", budget=30, seed=0)
    result.save_table(tmp_path / "trials.csv")
    table = pandas.read_csv(tmp_path / "trials.csv")
    assert table["lr"].tolist() == result.trials["lr"].tolist()
    assert {None, "tanh"} == set(result.trials["act"])
    for draw in (result.plot_history, result.plot_parallel, result.plot_slices):
        draw(tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    empty = tune(lambda lr, **_: math.nan, space, "random", budget=2)
    for draw in (empty.plot_history, empty.plot_parallel, empty.plot_slices):
        draw()


FLOATS = Space({f"x{i}": Float(0, 1) for i in range(5)})


@pytest.mark.parametrize(
    ("space", "given", "method"),
    [
        (FLOATS, {"budget": 60}, "gp"),
        (FLOATS, {"budget": 400}, "lq-cma"),
        (FLOATS, {"budget": 4000}, "cma"),
        (FLOATS, {"budget": None}, "tpe"),
        (FLOATS, {"budget": 60, "fidelity": True}, "tpe"),
        (FLOATS, {"budget": 200, "at_once": 16}, "cma"),
        (FLOATS, {"budget": 60, "at_once": 16}, "tpe"),
        (Space({f"x{i}": Float(0, 1) for i in range(40)}), {"budget": 60}, "tpe"),
        (Space(a=Int(0, 5), b=Choice(1, 2, 3), c=Log(1, 2)), {"budget": 60}, "tpe"),
        (
            Space(a=Choice(1, 2), b=Float(0, 1, when={"a": 1}), c=Log(1, 2), d=Log(1, 2)),
            {"budget": 400},
            "tpe",
        ),
    ],
)
def test_auto_goes_by_what_is_known(space: Space, given: dict[str, Any], method: str) -> None:
    asked: dict[str, Any] = {"fidelity": False, "at_once": 1, **given}
    chosen = choose(space, **asked)
    assert chosen.method == method
    assert chosen.why


def test_auto_says_what_it_chose_and_stays_with_it(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    first = tune(train, SPACE, budget=3, seed=0, storage=file)
    more = tune(train, SPACE, budget=5000, max_seconds=0.01, storage=file)
    assert first.method == more.method == "tpe"
    assert first.why == more.why == "most parameters are whole numbers or choices"


def test_parameters_may_have_the_names_of_columns() -> None:
    space = Space(value=Choice(7, 8), seconds=Float(8, 9), x=Float(0, 1))
    result = tune(lambda value, seconds, x: x, space, "random", budget=4, seed=0)
    table = result.trials
    assert table.columns.is_unique
    assert set(table["params_value"]) <= {7, 8}
    assert table["params_seconds"].min() >= 8 > table["seconds"].max()
    assert table["value"].tolist() == table["x"].tolist()
    result.plot_parallel()
    result.plot_slices()


def test_a_sampler_of_optunas_may_end_the_search() -> None:
    every = optuna.samplers.GridSampler({"x": [1, 2, 3]}, seed=0)
    result = tune(lambda x: float(x), Space(x=Int(1, 3)), every, budget=9)
    assert sorted(result.trials["x"]) == [1, 2, 3]
    assert result.stopped == "GridSampler has nothing left to try"


def test_what_makes_no_sense_is_refused_before_anything_is_trained() -> None:
    def never(lr: float, width: int) -> float:
        raise AssertionError("trained")

    with pytest.raises(TypeError, match="callback must be a function"):
        tune(never, SPACE, budget=1, callback=3, on_error="raise")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="options must be a dictionary"):
        tune(never, SPACE, "cma", budget=1, options=3, on_error="raise")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no database that there is"):
        tune(never, SPACE, budget=1, storage="redis2://x")


@pytest.mark.parametrize(
    "url", ["nonsense://me:secret@host/x", "postgresql+nodriver://me:secret@h/x"]
)
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises((ValueError, ImportError)) as caught:
        tune(train, SPACE, budget=1, storage=url)
    assert "secret" not in str(caught.value)
    assert "me:***@" in str(caught.value)
