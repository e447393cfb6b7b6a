import json
import shutil

import pytest

from experiments import cli, compare, quality
from experiments.comparison import Comparison, load
from tests.conftest import leave_undrawn
from tests.experiments import own
from tests.experiments.statistics.cases import record
from tests.experiments.statistics.test_area import KNOWN


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    command = ["compare", "bbob:f=1:n=2,3", "--methods", "random,slsqp,start", "--seeds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        leave_undrawn(patch)
        assert cli.main([*command, "--budget", "100n", "--out", str(out), "--json"]) == 0
    return out


@pytest.fixture
def folder(compared, tmp_path):
    return shutil.copytree(compared, tmp_path / "mine")


def test_the_command_shows_and_writes_a_table_a_dimension(folder, capsys):
    before = (folder / "README.md").read_text()
    capsys.readouterr()
    assert cli.main(["quality", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert shown.index("all problems") < shown.index("2 variables") < shown.index("3 variables")
    page = (folder / "quality.md").read_text()
    assert f"`experiments quality {folder}`" in page
    assert "experiments compare bbob:f=1:n=2,3" in page
    assert page.count("| slsqp |") == page.count("| random |") == 3
    assert "| start |" not in page
    assert (folder / "README.md").read_text() == before
    read = json.loads((folder / "quality.json").read_text())
    everything = read["sections"]["all problems"]
    assert list(everything) == ["slsqp", "random"], "the best first"
    assert everything["slsqp"]["solved"] == 1
    assert everything["slsqp"]["areas"][2] is None, "100 evaluations a variable were run"
    mean = [
        sum(read["sections"][f"{n} variables"]["random"]["areas"][i] for n in (2, 3)) / 2
        for i in range(2)
    ]
    assert everything["random"]["areas"][:2] == pytest.approx(mean)


def test_out_leaves_the_comparison_alone(folder, tmp_path, capsys):
    there = {path.name for path in folder.iterdir()}
    capsys.readouterr()
    assert cli.main(["quality", str(folder), "--out", str(tmp_path / "new"), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read == json.loads((tmp_path / "new" / "quality.json").read_text())
    assert {path.name for path in folder.iterdir()} == there


def test_methods_that_were_not_run_on_all_problems_come_last():
    runs = [
        record("p", "part", 0, [0.0], [1], budget=5000),
        record("p", "weak", 0, [1e3], [1], budget=5000),
        record("q", "weak", 0, [1e3], [1], budget=5000),
    ]
    standing = quality.measure(Comparison(tuple(runs), KNOWN))
    assert list(standing["all problems"]) == ["weak", "part"]
    assert list(standing["2 variables"]) == ["part", "weak"]


@pytest.mark.usefixtures("undrawn")
def test_without_an_optimum_there_is_nothing_to_measure(tmp_path, capsys):
    out = tmp_path / "mine"
    command = ["compare", f"{own.__file__}:sphere", "--methods", "random", "--seeds", "1"]
    assert cli.main([*command, "--budget", "8", "--out", str(out), "--json"]) == 0
    capsys.readouterr()
    assert cli.main(["quality", str(out)]) == 2
    assert "no problem here has a known optimum" in capsys.readouterr().err
    assert not (out / "quality.md").exists()


def test_a_folder_without_a_comparison_is_refused(tmp_path, capsys):
    assert cli.main(["quality", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("experiments: ")


def test_each_dimension_has_its_table_also_where_not_all_methods_were_run(tmp_path):
    folder = tmp_path / "some"
    compare(["bbob:f=1:n=2,3"], ["cma", "random"], seeds=1, budget=60, out=folder)
    compare(["bbob:f=1:n=2"], ["slsqp"], seeds=1, budget=60, out=folder)
    shown = [table.title for table in quality.tables(quality.measure(load(folder)))]
    assert shown == ["all problems", "2 variables", "3 variables"]
