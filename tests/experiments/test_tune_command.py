"""`experiments tune`: what it writes, how it goes on, what it refuses."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("optuna", reason="Optuna is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")

from experiments import cli

FILE = """
from pathlib import Path

from adapters import Choice, Float, Int, Space

space = Space(
    x=Float(-1, 1),
    k=Int(1, 9),
    act=Choice("a<b>", "c", "d"),
    m=Float(0, 1, when={"act": "c"}),
)

def train(x, k, act, m=0.5):
    if Path("stop").exists() and k > 4:
        raise KeyboardInterrupt
    if k == 9:
        raise MemoryError("<i>too</i> large")
    for epoch in range(3):
        yield x * x + (act == "d") + 1 / (1 + epoch)

def poor(x, k, act, m=0.5):
    return float("nan")

def forgetful(x, k, act, m=0.5):
    pass

def narrow(x):
    return x

def needy(x, k, act, m=0.5, *, depth):
    return x

number = 3
"""
SPACE = 'x = { type = "float", low = -1, high = 1 }\nk = 3\nact = "c"\n'


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What a search of twelve trials writes."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "mine.py").write_text(FILE)
    assert tune(folder, "train", "--budget", 12, "--fidelity", "median") == 0
    return folder


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder of a user's, which is the current one."""
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tune(folder, name, *arguments):
    given = [f"{folder / 'mine.py'}:{name}", "--out", folder / "out", "--method", "random"]
    return cli.main(["tune", *map(str, [*given, *arguments])])


def rows(folder):
    with (folder / "out" / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def best(folder):
    return json.loads((folder / "out" / "best.json").read_text())


def test_the_folder_tells_of_every_trial_and_of_the_best(written):
    found, said = rows(written), best(written)
    complete = [row for row in found if row["state"] == "complete"]
    assert len(found) == said["trials"] == 12
    assert said["complete"] == len(complete)
    assert said["value"] == min(float(row["value"]) for row in complete)
    (row,) = [row for row in complete if int(row["number"]) == said["trial"]]
    assert float(row["x"]) == said["params"]["x"]
    assert said["value"] == said["params"]["x"] ** 2 + (said["params"]["act"] == "d") + 1 / 3


def test_the_page_shows_all_of_it_and_takes_no_text_for_html(written):
    page = (written / "out" / "report.html").read_text()
    for title in ("History", "Importance", "Parallel coordinates", "Slices", "Best parameters"):
        assert f"<h2>{title}</h2>" in page
    assert "<b>d" not in page
    assert "a<b>" not in page
    assert "a&lt;b&gt;" in page
    assert page.count('class="dot late"') == 3 * best(written)["complete"] + sum(
        row["m"] != "" for row in rows(written) if row["state"] == "complete"
    )
    assert "experiments tune" in page


def test_report_writes_the_same_page_again(written, capsys):
    files = ["report.html", "README.md", "trials.csv", "best.json"]
    before = [(written / "out" / file).read_bytes() for file in files[:3]]
    (written / "out" / "report.html").unlink()
    capsys.readouterr()
    assert cli.main(["report", str(written / "out")]) == 0
    assert "report.html" in capsys.readouterr().out
    text = (written / "out" / "report.html").read_bytes()
    assert b"It ended because" in before[0]
    assert text.count(b'class="dot') == before[0].count(b'class="dot')
    assert [(written / "out" / file).read_bytes() for file in files[1:3]] == before[1:]


def test_a_stopped_search_says_how_it_goes_on_and_does(mine, capsys):
    (mine / "stop").touch()
    assert tune(mine, "train", "--budget", 10) == 130
    said = capsys.readouterr().err
    assert "go on by the same command:\n  experiments tune" in said
    assert (mine / "out" / "tuning.json").exists()
    before = rows(mine)
    assert 0 < len(before) < 10
    (mine / "stop").unlink()
    again = said.strip().splitlines()[-1].split()[1:]
    assert cli.main([*again, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == best(mine)
    assert told["trials"] == 10
    assert rows(mine)[: len(before)] == before


@pytest.mark.slow
def test_a_changed_file_is_told(mine, capsys):
    assert tune(mine, "train", "--budget", 2) == 0
    with (mine / "mine.py").open("a") as file:
        file.write("# changed\n")
    capsys.readouterr()
    assert tune(mine, "train", "--budget", 3) == 0
    assert "mine.py changed since" in capsys.readouterr().err
    assert "changed 1 times" in (mine / "out" / "report.html").read_text()


def test_failures_alone_are_a_failure_with_a_page(mine, capsys):
    assert tune(mine, "poor", "--budget", 3) == 1
    assert "no trial was completed" in capsys.readouterr().err
    page = (mine / "out" / "report.html").read_text()
    assert "the value was nan" in page
    assert "<h2>History</h2>" not in page
    assert best(mine)["value"] is None


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("trian", [], "did you mean 'train'?"),
        ("number", [], "number is int, not a function"),
        ("narrow", [], "does not take 'k'"),
        ("needy", [], "needs 'depth'"),
        ("train", ["--space", "no.toml"], "no.toml cannot be read: No such file"),
        ("train", ["--method", "cmaa"], "method 'cmaa' is not known"),
        ("train", ["--method", "cma:popsiz=3"], "did you mean 'popsize'"),
        ("train", ["--at-once", "2"], "--at-once is for a batched objective"),
        ("poor", ["--fidelity", "hyperband"], "--fidelity and --steps go by what train tells"),
        ("train", ["--storage", "nowhere://x/y"], "is no database that there is"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_written(
    mine, name, arguments, said, capsys
):
    assert tune(mine, name, "--budget", 2, *arguments) == 2
    assert said in (told := capsys.readouterr().err)
    assert len(told.strip().splitlines()) == 1
    assert not (mine / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("x = 3", "only constants"),
        (SPACE.replace("high = 1", "high = -2"), "x: Float"),
        (SPACE.replace("float", "log"), "x: Log"),
        ('x = { type = "choice", options = ["a"] }', "there must be two options"),
        (SPACE.replace("high = 1", "high = 1, when = { z = 1 }"), "where z has a value"),
        ("x = [", "space.toml"),
    ],
)
def test_a_wrong_space_is_told_in_a_line(mine, text, said, capsys):
    (mine / "space.toml").write_text(text)
    assert tune(mine, "train", "--space", "space.toml") == 2
    assert said in (told := capsys.readouterr().err)
    assert told.startswith("experiments: space.toml: ")
    assert len(told.strip().splitlines()) == 1


def test_a_function_without_a_value_is_a_mistake(mine, capsys):
    assert tune(mine, "forgetful", "--budget", 2) == 2
    assert "forgot `return`" in capsys.readouterr().err


@pytest.mark.slow
def test_another_study_in_the_folder_is_refused(mine, capsys):
    assert tune(mine, "train", "--budget", 1) == 0
    (mine / "space.toml").write_text(SPACE)
    assert tune(mine, "train", "--budget", 1, "--space", "space.toml") == 2
    assert "is there already, with another space" in capsys.readouterr().err
    assert tune(mine, "train", "--budget", 1, "--name", "other") == 2
    assert "holds the study 'mine-train', not 'other'" in capsys.readouterr().err
    assert best(mine)["trials"] == 1


def test_a_folder_with_a_page_of_others_is_left_alone(mine, capsys):
    (mine / "out").mkdir()
    (mine / "out" / "README.md").write_text("mine")
    assert tune(mine, "train", "--budget", 1) == 2
    assert "no tuning wrote" in capsys.readouterr().err
    assert (mine / "out" / "README.md").read_text() == "mine"


def test_a_password_is_written_nowhere(tmp_path):
    from experiments.commands.tuning import _without_password
    from experiments.tuning.folder import FolderError, load, make_record

    url = "postgresql://me:sesame@there/studies"
    record = make_record(tmp_path, name="a", storage=url, command="c", source={})
    assert "sesame" not in json.dumps(record) + _without_password(url)
    assert "me:***@there" in _without_password(url)
    with pytest.raises(FolderError, match="does not have the password"):
        load(tmp_path, record)


@pytest.mark.slow
def test_workers_read_the_file_themselves_and_a_kill_loses_nothing(mine):
    text = "import time\n" + FILE.replace("for epoch", "time.sleep(0.2)\n    for epoch")
    (mine / "mine.py").write_text(text)
    command = [sys.executable, "-m", "experiments", "tune", "mine.py:train", "--budget", "30"]
    command += ["--method", "random", "--workers", "2", "--out", "out"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (mine / "out" / "tuning.json").exists() and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    said = running.communicate()[1]
    assert running.returncode == 130, said
    assert "go on by the same command" in said
    before = rows(mine)
    assert 0 < len(before) < 30
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = rows(mine)
    assert len(after) == 30
    assert {row["number"] for row in before} <= {row["number"] for row in after}


@pytest.mark.slow
def test_a_batched_objective_is_trained_in_generations(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from adapters import Log, Space, TrainingObjective\n"
        "x = torch.linspace(-1, 1, 32)[:, None]\n"
        "train = TrainingObjective(lambda: torch.nn.Linear(1, 1), torch.nn.MSELoss(), (x, 2 * x),\n"
        "    Space(lr=Log(1e-3, 1.0)), epochs=2, batch_size=8)\n"
    )
    assert tune(tmp_path, "train", "--budget", 8) == 0
    assert best(tmp_path)["complete"] == 8
