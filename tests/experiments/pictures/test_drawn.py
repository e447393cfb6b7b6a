"""Every kind of picture, of usual and of odd data."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from experiments.pictures import convergence, finals, ranks, shares, training, wins
from experiments.pictures import panels as frame
from experiments.pictures.style import looks
from experiments.record import Training
from experiments.statistics.training import courses

NASTY = [
    "start",
    "cma",
    "cma:CMA_diagonal=True:popsize=32:sigma0=0.1",
    r"$\frac{1}{0}$ and $x_1",
    "<script>alert(1)</script>&amp;",
    "two\nlines\tand \x00 \u202e\ud800 more",
    "w" * 200,
    "进化 🧬 é",
    "",
    "100 %_{n}",
    "pso",
    "slsqp",
]


def methods_of(count):
    return NASTY[-count:] if count < 3 else NASTY[:count]


def band(method, rng, points=60):
    middle = np.minimum.accumulate(10 ** rng.uniform(-6, 3, points))
    return convergence.Band(
        method, np.unique(np.geomspace(1, 1e4, points)), middle / 2, middle, middle * 3
    )


def slow(*values):
    """A case of a kind that another shows too."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (7, 1), slow(12, 1), slow(2, 5), (12, 3)])
def test_convergence(tmp_path, texts, count, panels):
    rng, methods = np.random.default_rng(0), methods_of(count)
    shown = [
        convergence.Panel(f"p{i} $", [band(m, rng) for m in methods], 1e-3) for i in range(panels)
    ]
    files = convergence.draw_convergence(shown, tmp_path / "c", looks(methods))
    told = texts(files)
    assert len(files) == 2
    assert "p0 $" in told
    assert "evaluations" in told
    for method in set(methods) & {"start", "cma", "pso", "100 %_{n}"}:
        assert told.count(method) >= (panels if count <= 8 and panels <= 4 else 1)


@pytest.mark.parametrize("page", [2, slow(frame.PAGE)])
def test_more_panels_than_a_page_holds_go_on(tmp_path, texts, monkeypatch, page):
    monkeypatch.setattr(frame.draw_pages, "__defaults__", (page,))
    flat = convergence.Band("cma", *np.ones((4, 1)))
    panels = [convergence.Panel(f"p{i}", [flat]) for i in range(page + 1)]
    files = convergence.draw_convergence(panels, tmp_path / "c.x", looks(["cma"]))
    assert [file.name for file in files] == ["c.x.svg", "c.x.png", "c.x-2.svg", "c.x-2.png"]
    assert {"p0", f"p{page - 1}"} <= set(texts(files[:2]))
    assert f"p{page}" in texts(files[2:])


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0], [1.0], [1.0]],
        [[NAN, NAN], [NAN, NAN], [NAN, NAN]],
        [[INF, 1.0], [INF, INF], [INF, INF]],
        [[-3.0, -4.0], [-2.0, -4.0], [INF, 0.0]],
        [[0.0, 0.0], [1e-9, 0.0], [1.0, 1e-12]],
        [[5e-324, 0.0], [1e300, 1.0], [1.7e308, 1e300]],
        [[], [], []],
    ],
)
def test_odd_curves(tmp_path, texts, rows):
    values = np.array(rows)
    odd = convergence.Band("cma", np.arange(1.0, 1 + values.shape[1]), *values)
    usual = band("pso", np.random.default_rng(1))
    panels = [
        convergence.Panel("alone", [odd], 0.0),
        convergence.Panel("beside another", [odd, usual], 0.0),
    ]
    told = texts(convergence.draw_convergence(panels, tmp_path / "c", looks(["cma", "pso"])))
    assert {"alone", "beside another", "cma", "pso"} <= set(told)


def test_what_has_no_value_says_so(tmp_path, texts):
    none = convergence.Band("pso", np.array([1.0, 9.0]), *np.full((3, 2), INF))
    panel = convergence.Panel("p", [none, band("cma", np.random.default_rng(1))])
    files = convergence.draw_convergence([panel], tmp_path / "c", looks(["cma", "pso"]))
    assert "(no value)" in texts(files)


def test_the_start_shows_where_another_line_lies_on_it(tmp_path):
    x, level = np.array([1.0, 10.0]), np.full(2, 0.5)
    found = looks(["start", "random", "pso"])
    start, other = (convergence.Band(name, x, level, level, level) for name in ("start", "pso"))

    def seen(*bands):
        panel = convergence.Panel("p", bands)
        picture = imread(convergence.draw_convergence([panel], tmp_path / "s", found)[1])[..., :3]
        colours = (to_rgb(found[name].colour) for name in ("start", "pso"))
        return [int((np.abs(picture - colour) < 0.02).all(-1).sum()) for colour in colours]

    for shown in (seen(start, other), seen(other, start)):
        assert min(shown) > 1000  # pixels; names and leads alone have fewer than 300


def test_thinned_lines_keep_their_ends_and_every_kept_value():
    rng = np.random.default_rng(0)
    whole = band("cma", rng, 1000)
    few = convergence._thinned(whole, 50)
    assert 2 <= len(few.spent) <= 50
    assert (few.spent[0], few.spent[-1]) == (whole.spent[0], whole.spent[-1])
    at = np.searchsorted(whole.spent, few.spent)
    np.testing.assert_array_equal(few.middle, whole.middle[at])


def test_pictures_are_the_same_each_time(tmp_path):
    panels = [convergence.Panel("p", [band("cma", np.random.default_rng(0))], 1e-3)]
    both = [
        [
            file.read_bytes()
            for file in convergence.draw_convergence(panels, tmp_path / name, looks(["cma"]))
        ]
        for name in ("a", "b")
    ]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("draw", "count", "panels"),
    [
        (shares.draw_ecdf, 7, 4),
        (shares.draw_ecdf, 12, 1),
        (shares.draw_performance_profile, 1, 1),
        (shares.draw_data_profile, 8, 1),
    ],
)
def test_shares(tmp_path, texts, draw, count, panels):
    methods = methods_of(count)
    steps = [
        shares.Steps(m, np.arange(1.0, 40) * (i + 1), np.linspace(0.01, 0.9, 39))
        for i, m in enumerate(methods)
    ]
    shown = [shares.Panel(f"{n}-D", steps, 100.0) for n in range(panels)]
    told = texts(draw(shown, tmp_path / "s", looks(methods)))
    assert {"0-D", f"{panels - 1}-D", "100%"} <= set(told)


def test_shares_end_where_they_are(tmp_path):
    x, y = shares._within(
        shares.Steps("m", np.array([1, 5, 50.0]), np.array([0.1, 0.4, 0.9])), 0.5, 10
    )
    np.testing.assert_array_equal(x, [0.5, 1, 5, 10])
    np.testing.assert_array_equal(y, [0, 0.1, 0.4, 0.4])


def test_shares_of_nothing(tmp_path, texts):
    nothing = shares.Steps("cma", np.empty(0), np.empty(0))
    told = texts(
        shares.draw_ecdf([shares.Panel("none", [nothing])], tmp_path / "s", looks(["cma"]))
    )
    assert "cma" in told


@pytest.mark.parametrize("count", [1, slow(2), slow(7), 12])
def test_ranks(tmp_path, texts, count):
    methods = methods_of(count)
    mean = {method: 1 + 0.9 * i for i, method in enumerate(methods)}
    told = texts(
        ranks.draw_ranks(
            mean, [methods[:3], methods[2:4], methods[-1:]], tmp_path / "r", looks(methods),
            difference=1.25, caption="by $ Demsar",
        )
    )  # fmt: skip
    assert "by $ Demsar" in told
    assert "critical difference 1.25" in told
    assert {f"{rank:.2f}" for rank in mean.values()} <= set(told)


def test_bars_of_cliques_lie_apart():
    bars = ranks._bars([[1, 3], [2, 4], [3.5, 5], [6, 7]])
    assert [level for *_, level in bars] == [0, 1, 0, 0]


def test_wins(tmp_path, texts):
    told = texts(
        wins.draw_wins(
            NASTY[:3], np.array([[0, 0.9, NAN], [0.1, 0, 0.5], [NAN, 0.5, 0]]), tmp_path / "w"
        )
    )
    assert {"90", "10", "50"} <= set(told)
    assert told.count("50") == 2
    assert texts(wins.draw_wins(NASTY, np.full((12, 12), 0.5), tmp_path / "w12"))


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (12, 1), slow(7, 5)])
def test_finals(tmp_path, texts, count, panels):
    rng, methods = np.random.default_rng(0), methods_of(count)
    values = {method: 10 ** rng.normal(0, 1, 9) for method in methods}
    values[methods[-1]][:4] = INF
    shown = [finals.Panel(f"p{i}", values, 0.1) for i in range(panels)]
    told = texts(finals.draw_finals(shown, tmp_path / "f", looks(methods)))
    assert told.count("× 4 failed") == panels


@pytest.mark.parametrize("values", [[1.0], [INF], [NAN, INF], [], [0.0, 0.0], [-1.0, 1e9, 0.0]])
def test_odd_finals(tmp_path, texts, values):
    panel = finals.Panel("odd", {"cma": np.array(values)}, 0.0)
    assert "cma" in texts(finals.draw_finals([panel], tmp_path / "f", looks(["cma"])))


@pytest.mark.parametrize(
    ("count", "panels", "validated"),
    [
        (1, 1, False),
        (12, 2, True),
        *(slow(3, 2, v) for v in (False, True)),
        slow(1, 1, True),
        slow(12, 2, False),
    ],
)
def test_training(tmp_path, texts, count, panels, validated):
    methods, spent = methods_of(count), np.arange(1, 50)
    more = {"validated": spent[::9], "validation": np.geomspace(9, 3, 6)} if validated else {}
    steps = Training(
        spent,
        np.geomspace(9, 0.1, 49),
        np.geomspace(5, 1e-3, 49),
        rates=np.linspace(0.1, 0, 49),
        **more,
    )
    lines = {method: courses([steps, steps]) for method in methods}
    shown = [training.Panel(f"p{i}", lines) for i in range(panels)]
    told = texts(training.draw_training(shown, tmp_path / "t", looks(methods)))
    assert {"loss", "learning rate", "gradient norm", "p0", f"p{panels - 1}"} <= set(told)
    assert ("validation loss" in told) is validated
    assert not {"step size", "spread"} & set(told), "there is nothing to see of them"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda p: convergence.draw_convergence([], p, {}), "no panels"),
        (lambda p: ranks.draw_ranks({"a": NAN}, [], p, {}), "finite"),
        (lambda p: ranks.draw_ranks({}, [], p, {}), "at least one"),
        (lambda p: wins.draw_wins(["a"], np.zeros((2, 2)), p), r"square.*\(2, 2\)"),
    ],
)
def test_nothing_to_draw_is_said(tmp_path, draw, words):
    with pytest.raises(ValueError, match=words):
        draw(tmp_path / "x")
    assert not list(tmp_path.iterdir())
