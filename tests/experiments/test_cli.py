import json
import shlex
import subprocess
import sys

import pytest

import experiments.comparison
from blackbox import ALGORITHMS
from experiments import cli
from experiments.comparison import run_cell
from experiments.problems import PROBLEMS

COMPARE = ["compare", "article", "--methods", "cma,slsqp", "--seeds", "2", "--budget", "60"]


def test_no_command_shows_the_help_and_is_a_usage_error(capsys):
    assert cli.main([]) == 2
    assert "try:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [[], ["reproduce"], ["compare"], ["list"], ["speed"], ["agreement"]]
)
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
        (["compare", "article", "--methods", "slsq"], "did you mean 'slsqp'?"),
        (["compare", "article", "--methods", ","], "no name given"),
        (["compare", "article", "--budget", "0"], "'0' is not a whole number"),
        (["compare", "article", "--seeds", "x"], "'x' is not a whole number"),
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
    assert all(name in shown for name in [*ALGORITHMS, *PROBLEMS])
    assert max(map(len, shown.splitlines())) <= width


def test_list_json(capsys):
    assert cli.main(["list", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in read["methods"]] == list(ALGORITHMS)
    assert [row["name"] for row in read["problems"]] == list(PROBLEMS)
    assert cli.main(["list", "problems", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["problems"]


def test_list_says_which_methods_stand_an_objective_that_changes(capsys):
    assert cli.main(["list", "methods"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    place = next(line for line in lines if line[:1] == ["method"]).index("changing")
    shown = {line[0]: line[place] for line in lines if line and line[0] in ALGORITHMS}
    assert shown == {row.name: "yes" if row.changing else "-" for row in ALGORITHMS.values()}


def test_compare_shows_a_table(capsys):
    assert cli.main(COMPARE) == 0
    shown = capsys.readouterr()
    assert "article: 60 evaluations, 2 seeds" in shown.out
    assert "slsqp" in shown.out
    assert shown.err == ""


def test_compare_writes_page_figure_and_json(tmp_path, capsys):
    assert cli.main([*COMPARE, "--out", str(tmp_path / "new"), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read == json.loads((tmp_path / "new" / "results.json").read_text())
    assert read["complete"] is True
    assert read["command"] == (
        "experiments compare article --methods cma,slsqp --seeds 2 --budget 60"
    )
    assert {r["evaluations"] for r in read["records"]} == {60}
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == ["README.md", "comparison.png", "results.json"]
    assert str(tmp_path) not in (tmp_path / "new" / "README.md").read_text()


def test_a_comma_within_brackets_does_not_part_methods(capsys):
    methods = "adam:betas=(0.5,0.9),start, cma:CMA_stds=[1,2,3,4,5,6,7,8,9,10]"
    code = cli.main(
        ["compare", "article", "--methods", methods, "--seeds", "1", "--budget", "30", "--json"]
    )
    assert code == 0
    read = json.loads(capsys.readouterr().out)
    assert [line["method"] for line in read["methods"]] == [
        "adam:betas=(0.5,0.9)",
        "start",
        "cma:CMA_stds=[1,2,3,4,5,6,7,8,9,10]",
    ]
    words = shlex.split(read["command"])
    assert cli._parser().parse_args(words[1:]).methods == cli._names(methods)


@pytest.mark.parametrize(("problem", "needed"), [("article", False), ("finetune", True)])
def test_a_page_names_scikit_learn_where_its_data_are_used(problem, needed, tmp_path):
    arguments = ["compare", problem, "--methods", "start", "--seeds", "1", "--out", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert ("scikit-learn" in (tmp_path / "README.md").read_text()) == needed
    assert ("scikit-learn" in json.loads((tmp_path / "results.json").read_text())["versions"]) == (
        needed
    )


def test_ctrl_c_keeps_what_was_done(tmp_path, capsys, monkeypatch):
    done = []

    def stops(cell):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(run_cell(cell))
        return done[-1]

    monkeypatch.setattr(experiments.comparison, "run_cell", stops)
    assert cli.main([*COMPARE, "--out", str(tmp_path)]) == 130
    shown = capsys.readouterr()
    assert "stopped after 3 of 4; these are kept" in shown.err
    read = json.loads((tmp_path / "results.json").read_text())
    assert (len(read["records"]), read["complete"]) == (3, False)
    assert "stopped early" in (tmp_path / "README.md").read_text()


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
        "sys.modules['experiments.commands'] = type('C', (), {'speed': lambda options: 7});"
        "assert cli.main(sys.argv[1:]) == 7;"
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    for arguments, count in ((["speed"], "1"), (["speed", "population", "--threads", "2"], "2")):
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
