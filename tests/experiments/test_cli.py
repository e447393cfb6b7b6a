import json
import shlex
import shutil
import subprocess
import sys

import pytest

import experiments.executing
from blackbox import ALGORITHMS
from experiments import cli
from experiments.arguments import names
from experiments.problems import FAMILIES
from experiments.running import run_cell

COMPARE = ["compare", "article", "--methods", "cma,slsqp", "--seeds", "2", "--budget", "60"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    assert cli.main([*COMPARE, "--out", str(out)]) == 0
    return out


@pytest.fixture
def folder(compared, tmp_path):
    return shutil.copytree(compared, tmp_path, dirs_exist_ok=True)


def test_no_command_shows_the_help_and_is_a_usage_error(capsys):
    assert cli.main([]) == 2
    assert "try:" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in cli._COMMANDS)])
def test_help_has_examples(command, capsys):
    assert cli.main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "try:\n  experiments" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["repoduce"], "did you mean 'reproduce'?"),
        (["compare", "artcle"], "did you mean 'article'?"),
        (["compare", "article", "--methods", "slsq"], "did you mean 'slsqp'"),
        (["compare", "article", "--methods", ","], "no name given"),
        (["compare", "article", "--budget", "0"], "'0' is not a whole number"),
        (["compare", "article", "--budget", "0n"], "'0' is not a whole number"),
        (["compare", "article", "--seeds", "x"], "'x' is not a whole number"),
        (["compare", "article", "--patience", "0"], "'0' is not a whole number"),
        (["compare", "article", "--validate-every", "x"], "'x' is not a whole number"),
        (["compare", "article", "--methods", "cma:schedule=cosine"], "has no learning rate"),
        (["compare", "article", "--methods", "sgd:schedule=warmup(5%)+cosine"], "in quotes"),
        (["lr-test", "artcle"], "did you mean 'article'?"),
        (["lr-test", "bbob:f=1,2:n=2"], "names 2 problems; name one"),
        (["lr-test", "article", "--methods", "adam,cma"], "'cma' has no learning rate"),
        (["lr-test", "article", "--methods", "adam+sgd"], "has no learning rate"),
        (["lr-test", "article", "--seed", "x"], "'x' is not a whole number of at least 0"),
        (["lr-test", "article", "--methods", "adam:lr=1"], "option 'lr' is what the test itself"),
        (["lr-test", "article", "--steps", "2"], "steps must be"),
        (["speed", "training", "--threads", "2"], "belong to `experiments speed population`"),
        (["compare", "article", "--max-seconds", "0"], "'0' is not a number of seconds"),
        (["compare", "article", "--only", "nothing"], "'nothing' names nothing in this plan"),
        (["compare", "bbob:g=1"], "g"),
        (["compare", "bbob:f=25"], "'25' is not among"),
        (["compare", "nowhere.py:f"], "nowhere.py"),
        (["compare", "article", "--by", "money"], "money"),
        (["export", "x", "--to", "excel"], "excel"),
        (["report"], "DIR"),
        (["compare"], "PROBLEM"),
        (["list", "colours"], "colours"),
        (["speed", "--fast"], "--fast"),
        (["speed", "polulation"], "polulation"),
        (["speed", "--threads", "2"], "belong to `experiments speed population`"),
        (["speed", "loop", "--device", "cpu"], "belong to `experiments speed population`"),
        (["speed", "population", "--device", "tpu"], "tpu"),
        (["speed", "population", "--threads", "0"], "'0' is not a whole number"),
    ],
)
def test_usage_errors_are_a_sentence_and_2(arguments, said, capsys):
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.startswith("experiments: ")
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert cli.main([*COMPARE, "--out", str(blocked)]) == 2
    assert "cannot write to" in capsys.readouterr().err


def test_version(capsys):
    import blackbox

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == blackbox.__version__


@pytest.mark.parametrize("width", [80, 120])
def test_list_names_everything_within_the_terminal(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in [*ALGORITHMS, *FAMILIES])
    assert max(map(len, shown.splitlines())) <= width


def test_list_json(capsys):
    assert cli.main(["list", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in read["methods"]] == list(ALGORITHMS)
    assert [row["name"] for row in read["problems"]] == list(FAMILIES)
    bbob = next(row for row in read["problems"] if row["name"] == "bbob")
    assert bbob["parameters"]["f"]["default"] == "1-24"
    assert cli.main(["list", "problems", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["problems"]


def test_list_says_which_methods_stand_an_objective_that_changes(capsys):
    assert cli.main(["list", "methods"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    place = next(line for line in lines if line[:1] == ["method"]).index("changing")
    shown = {line[0]: line[place] for line in lines if line and line[0] in ALGORITHMS}
    assert shown == {row.name: "yes" if row.changing else "-" for row in ALGORITHMS.values()}


def test_compare_shows_a_table_and_says_what_it_means(capsys):
    assert cli.main(COMPARE) == 0
    shown = capsys.readouterr()
    assert "article: 60 evaluations, 2 seeds" in shown.out
    assert "slsqp" in shown.out
    assert "2 seeds cannot show a difference" in " ".join(shown.out.split())
    assert shown.err == ""


@pytest.mark.usefixtures("undrawn")
def test_compare_writes_a_folder(tmp_path, capsys):
    out = tmp_path / "new"
    assert cli.main([*COMPARE, "--out", str(out), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read == json.loads((out / "results.json").read_text())
    assert read["complete"] is True
    assert read["command"].startswith(
        "experiments compare article --methods cma,slsqp --seeds 2 --budget 60"
    )
    assert {r["evaluations"] for r in read["records"]} == {60}
    names = sorted(p.name for p in out.iterdir())
    assert names == ["README.md", "comparison.sqlite", "figures", "report.html", "results.json"]


def test_report_makes_the_same_again_from_the_folder(folder, capsys, request):
    first = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix != ".sqlite" and path.is_file()
    }
    for path in first:
        path.unlink()
    assert cli.main(["report", str(folder)]) == 0
    again = {path: path.read_bytes() for path in first}
    assert {p.name for p in first if first[p] != again[p]} == set()
    request.getfixturevalue("undrawn")
    assert cli.main(["report", str(folder), "--by", "seconds"]) == 0
    assert "seconds" in (folder / "README.md").read_text()
    assert "2 seeds" in capsys.readouterr().out


def test_report_of_nothing_says_what_to_do(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert "there is no comparison in" in shown
    assert "experiments compare" in shown
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    out = tmp_path_factory.mktemp("mixed")
    experiments.compare(["bbob:f=1:n=2:i=1-2", "article"], ["cma", "slsqp"], 1, 30, out=out)
    return out


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("csv", {"runs.csv", "curves.csv"}),
        ("parquet", {"runs.parquet", "curves.parquet"}),
        ("coco", {"cma", "slsqp"}),
    ],
)
def test_export(kind, files, mixed, tmp_path, capsys):
    assert cli.main(["export", str(mixed), "--to", kind]) == 0
    assert {path.name for path in (mixed / kind).iterdir()} == files
    assert ("left out: article" in capsys.readouterr().err) == (kind == "coco")
    assert cli.main(["export", str(mixed), "--to", kind, "--out", str(tmp_path / "o")]) == 0
    assert {path.name for path in (tmp_path / "o").iterdir()} == files


def test_coco_wants_bbob(folder, capsys):
    assert cli.main(["export", str(folder), "--to", "coco"]) == 2
    assert "BBOB" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_a_file_of_ones_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def bowl(x):\n    return float(x @ x)\n\nbowl.bounds = [(-1, 1)] * 2\n"
    )
    command = ["compare", "mine.py:bowl", "--methods", "slsqp", "--seeds", "1", "--budget", "30"]
    assert cli.main([*command, "--out", "o"]) == 0
    assert "mine.py:bowl: 30 evaluations, 1 seed" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text("bowl = lambda x: float(x @ x)\nbowl.bounds = [(0, 1)]\n")
    assert cli.main([*command, "--out", "o"]) == 1
    assert "another version of mine.py:bowl" in capsys.readouterr().err
    (tmp_path / "mine.py").write_text("import nowhere\n")
    assert cli.main(command) == 2
    shown = capsys.readouterr().err
    assert "No module named 'nowhere'" in shown
    assert "line 1" in shown


def test_nothing_but_failures_is_1(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def f(x):\n    return x[9]\n\nf.bounds = [(0, 1)] * 2\n")
    assert cli.main(["compare", "mine.py:f", "--methods", "random", "--budget", "5"]) == 1
    shown = capsys.readouterr()
    assert "no run found a finite, feasible value" in shown.err
    assert "IndexError" in shown.out


def test_another_budget_in_the_same_folder_is_refused(folder, capsys):
    assert cli.main([*COMPARE[:-1], "61", "--out", str(folder)]) == 1
    assert "budget=60; this one has budget=61" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.slow
def test_workers_threads_and_parts(tmp_path):
    command = ["compare", "bbob:f=1:n=2", *COMPARE[2:]]  # workers start faster without torch
    command += ["--out", str(tmp_path), "--workers", "2", "--threads", "1"]
    assert cli.main([*command, "--only", "cma"]) == 0
    read = json.loads((tmp_path / "results.json").read_text())
    assert (read["complete"], len(read["records"])) == (False, 2)
    assert cli.main(command) == 0
    assert json.loads((tmp_path / "results.json").read_text())["complete"] is True


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    assert cli.main([*COMPARE, "--tensorboard", str(tmp_path)]) == 0
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 4


def test_a_comma_within_brackets_does_not_part_methods(capsys):
    methods = "adam:betas=(0.5,0.9),start, cma:CMA_stds=[1,2,3,4,5,6,7,8,9,10]"
    command = ["compare", "article", "--seeds", "1", "--budget", "30", "--json"]
    assert cli.main([*command, "--methods", methods]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [line["method"] for line in read["methods"]] == [
        "adam:betas=(0.5,0.9)",
        "start",
        "cma:CMA_stds=[1,2,3,4,5,6,7,8,9,10]",
    ]
    words = shlex.split(read["command"])
    assert cli._parser().parse_args(words[1:]).methods == names(methods)


def test_a_schedule_in_quotes_stays_whole_and_comes_back(capsys):
    methods = "adam:lr=0.1:schedule='warmup(5%) + cosine',sgd:schedule=warmup(5%),cma"
    command = ["compare", "article", "--seeds", "1", "--budget", "60", "--json"]
    assert cli.main([*command, "--gradients", "--patience", "40", "--methods", methods]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [line["method"] for line in read["methods"]] == names(methods)
    assert read["settings"]["patience"] == 40
    options = cli._parser().parse_args(shlex.split(read["command"])[1:])
    assert (options.methods, options.patience) == (names(methods), 40)


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_with_gradients_shows_how_it_trained(tmp_path):
    command = [*COMPARE, "--gradients", "--out", str(tmp_path)]
    command[3] = "adam:lr=0.1"
    assert cli.main(command) == 0
    assert (tmp_path / "figures" / "training.png").exists()
    assert "## Training" in (tmp_path / "README.md").read_text()
    assert "learning rate" in (tmp_path / "report.html").read_text()


def test_lr_test_shows_and_writes_what_it_finds(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    command = ["lr-test", "article", "--methods", "adam,sgd:momentum=0.9", "--steps", "30"]
    assert cli.main([*command, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Learning rates for article" in shown
    assert "sgd momentum=0.9" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"lr-test.json", "lr-test.png"}
    read = json.loads((tmp_path / "lr-test.json").read_text())
    assert [test["text"] for test in read["tests"]] == ["adam", "sgd:momentum=0.9"]
    assert read["tests"][0]["suggestion"] > 0
    assert cli.main([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [test["losses"] for test in again["tests"]] == [t["losses"] for t in read["tests"]]


def test_lr_test_takes_differences_where_there_are_no_gradients(capsys):
    command = ["lr-test", "bbob:f=1:n=2", "--methods", "sgd", "--steps", "20", "--json"]
    assert cli.main(command) == 0
    (test,) = json.loads(capsys.readouterr().out)["tests"]
    assert test["gradients"] == 0
    assert test["evaluations"] == 3 * len(test["rates"])


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    done = []

    def stops(cell, problem):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(run_cell(cell, problem))
        return done[-1]

    monkeypatch.setattr(experiments.executing, "run_cell", stops)
    command = [*COMPARE, "--out", str(tmp_path)]
    assert cli.main(command) == 130
    shown = capsys.readouterr()
    assert "stopped after 3 of 4 cells" in shown.err
    assert "go on by the same command" in shown.err
    again = shlex.split(shown.err.strip().splitlines()[-1])
    read = json.loads((tmp_path / "results.json").read_text())
    assert (len(read["records"]), read["complete"]) == (3, False)
    assert "stopped before its end" in (tmp_path / "README.md").read_text()
    monkeypatch.setattr(experiments.executing, "run_cell", run_cell)
    assert cli.main(again[1:]) == 0
    assert json.loads((tmp_path / "results.json").read_text())["complete"] is True


def test_ctrl_c_without_a_folder_shows_what_was_done(capsys, monkeypatch):
    def stops(cell, problem):
        if cell.seed:
            raise KeyboardInterrupt
        return run_cell(cell, problem)

    monkeypatch.setattr(experiments.executing, "run_cell", stops)
    assert cli.main(COMPARE) == 130
    shown = capsys.readouterr()
    assert "Incomplete: 2 of 4 cells" in shown.out
    assert "nothing is kept without --out" in shown.err


def test_ctrl_c_elsewhere_is_130(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.reproduce.reproduce", interrupted)
    assert cli.main(["reproduce", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "experiments: stopped\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from experiments.cli import main; main(['--help']);"
        "heavy = {'numpy', 'scipy', 'torch', 'matplotlib', 'rich', 'cma'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_speed_fixes_threads_before_the_libraries_load():
    code = (
        "import os, sys; from experiments import cli;"
        "run = type('C', (), {'speed': lambda options: 7, 'compare': lambda options: 7});"
        "sys.modules |= {f'experiments.commands.{n}': run for n in ('measuring', 'comparison')};"
        "assert cli.main(sys.argv[1:]) == 7;"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    for arguments, count in (
        (["speed"], "1"),
        (["speed", "population", "--threads", "2"], "2"),
        (["compare", "article"], "1"),
        (["compare", "article", "--threads", "2"], "2"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == count


def test_python_m_passes_the_exit_code_on():
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "nonsense"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no command 'nonsense'" in done.stderr
