"""Problems of the user's own."""

import hashlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint

from adapters import ModelObjective
from blackbox import minimize
from experiments.problems import expand, find, from_object
from experiments.problems.user_file import UserFileError

SPHERE = """
def sphere(x):
    '''Sum of squares.

    More of it.
    '''
    return float((x**2).sum())

sphere.bounds = [(-5, 5)] * 3

def helper():
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder, into which files are written."""
    monkeypatch.chdir(tmp_path)
    return lambda name, text: write(tmp_path / name, text)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def function(**attributes):
    def square(x):
        return float((np.asarray(x) ** 2).sum())

    vars(square).update(attributes)
    return square


def test_a_function_of_a_file_is_a_problem(folder):
    path = folder("mine/code.py", SPHERE)
    problem = find("mine/code.py:sphere")
    assert problem.name == "mine/code.py:sphere"
    assert problem.description == "Sum of squares"
    assert problem.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert problem.n == 3
    assert problem.make()(np.array([1.0, 2, 3])) == 14
    result = minimize(
        problem.make(), problem.start(0), method="cma", bounds=problem.bounds, budget=900, seed=0
    )
    assert result.fun < 1e-6
    assert find(str(path) + ":sphere").name == f"{path}:sphere"


def test_a_file_gives_the_same_problem_in_another_process(folder):
    folder("code.py", SPHERE)
    code = "from experiments.problems import find; p = find('code.py:sphere'); print(p.start(5))"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert told.strip() == str(find("code.py:sphere").start(5))


def test_a_changed_file_is_another_version(folder):
    folder("code.py", SPHERE)
    before = find("code.py:sphere")
    folder("code.py", SPHERE.replace("x**2", "x**4"))
    after = find("code.py:sphere")
    assert before.fingerprint != after.fingerprint
    assert after.make()(np.array([2.0, 0, 0])) == 16


@pytest.mark.parametrize("name", ["torch.py", "test.py", "random.py", "article.py"])
def test_a_file_may_be_called_as_a_library(folder, name):
    folder(name, "import torch, random\nassert torch.tensor and random.random\n" + SPHERE)
    there = sys.modules.get(name.removesuffix(".py"))
    assert find(f"{name}:sphere").n == 3
    assert sys.modules.get(name.removesuffix(".py")) is there


def test_neighbours_can_be_imported_and_are_forgotten(folder):
    for where, power in (("one", 2), ("two", 4)):
        folder(f"{where}/neighbour_of_mine.py", f"POWER = {power}")
        folder(
            f"{where}/code.py",
            """
            from dataclasses import dataclass
            from neighbour_of_mine import POWER
            @dataclass
            class Power:
                x0 = (0.5, 0.5)
                bounds = (-1, 1)
                def __call__(self, x):
                    return (x**POWER).sum()
            """,
        )
    path = list(sys.path)
    values = [find(f"{where}/code.py:Power").make()(np.array([0.5])) for where in ("one", "two")]
    assert values == [0.25, 0.0625]
    assert sys.path == path
    assert "neighbour_of_mine" not in sys.modules


def test_an_object_says_more_of_itself(folder):
    folder(
        "code.py",
        """
        import numpy as np
        class Problem:
            batched = True
            bounds = (-2, 3)
            n = 4
            optimum = 0
            description = "squares"
            constraints = {"type": "ineq", "fun": lambda x: x[0]}
            def __call__(self, points):
                return (points**2).sum(axis=1)
            def start(self, rng):
                return rng.integers(0, 2, 4)
            def report(self, x):
                return {"norm": float(np.linalg.norm(x))}
        problem = Problem()
        """,
    )
    for name in ("Problem", "problem"):
        problem = find(f"code.py:{name}")
        assert problem.description == "squares"
        assert (problem.n, problem.optimum, len(problem.constraints)) == (4, 0.0, 1)
        assert list(problem.bounds) == [(-2.0, 3.0)] * 4
        starts = [problem.start(seed) for seed in range(9)]
        assert len({start.tobytes() for start in starts}) > 3
        assert all(set(start) <= {0.0, 1.0} for start in starts)
        assert problem.make()(np.ones((5, 4))).shape == (5,)
        assert problem.report(np.array([3.0, 4, 0, 0])) == {"norm": 5.0}
    assert find("code.py:Problem").make() is not find("code.py:Problem").make()


def test_starts_are_x0_first_and_uniform_in_the_box():
    problem = from_object(function(x0=[1, 2], bounds=[(0, 4), (2, 2)]))
    np.testing.assert_array_equal(problem.start(0), [1, 2])
    others = np.array([problem.start(seed, run) for seed in range(1, 60) for run in (0, 1)])
    assert (others[:, 1] == 2).all()
    assert others[:, 0].min() < 0.4
    assert others[:, 0].max() > 3.6
    assert (problem.start(0, 1) != problem.start(0)).any()


def test_starts_without_a_box_are_around_x0():
    problem = from_object(
        function(x0=[0.0, 50.0, -3.0], bounds=[(None, None), (None, 50), (-9, 9)])
    )
    assert problem.bounds is not None
    others = np.array([problem.start(seed) for seed in range(1, 400)])
    spread = (others - problem.x0).std(axis=0)
    assert spread[0] == pytest.approx(0.1, rel=0.2)
    assert spread[2] == pytest.approx(0.3, rel=0.2)
    assert (others[:, 1] <= 50).all()
    assert from_object(function(x0=[1.0])).bounds is None


@pytest.mark.parametrize(
    "given",
    [
        function(bounds=[(-1, 1)] * 2),
        function(bounds=Bounds([-1, -1], [1, 1])),
        function(bounds=np.array([[-1.0, 1.0], [-1.0, 1.0]])),
        function(bounds=(-1, 1), x0=torch.zeros(2, requires_grad=True)),
        function(bounds=(-1, 1), n=np.int64(2)),
        function(bounds=(-1, 1), start=lambda rng: rng.uniform(-1, 1, 2)),
    ],
)
def test_boxes_and_starts_are_taken_in_many_forms(given):
    problem = from_object(given)
    assert problem.n == 2
    assert list(problem.bounds) == [(-1.0, 1.0)] * 2
    assert problem.name == "square"
    assert problem.start(1).shape == (2,)


def test_a_models_objective_is_a_problem():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
    objective = ModelObjective(
        model, torch.nn.functional.mse_loss, torch.ones(8, 2), torch.ones(8, 1), batch_size=4
    )
    problem = from_object(objective, "line")
    assert (problem.name, problem.n, problem.bounds, problem.changing) == ("line", 3, None, True)
    assert problem.description == ""
    np.testing.assert_array_equal(problem.start(0), objective.x0)
    assert problem.make() is objective


def test_fingerprint_of_an_object_follows_its_text_where_there_is_one():
    def one(x):
        return x[0]

    def two(x):
        return x[1]

    one.x0 = two.x0 = [0.0, 0.0]
    prints = [from_object(f).fingerprint for f in (one, two, one)]
    assert prints[0] == prints[2] != prints[1]
    typed = {}
    exec("def f(x): return x[0]\nf.x0 = [0.0]", typed)
    assert from_object(typed["f"]).fingerprint == ""
    assert from_object(one).name == "one"


def test_constraints_are_always_a_tuple():
    constraint = LinearConstraint([[1, 1]], 0, 1)
    assert from_object(function(x0=[0], constraints=constraint)).constraints == (constraint,)
    assert from_object(function(x0=[0], constraints=[constraint])).constraints == (constraint,)
    assert from_object(function(x0=[0])).constraints == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            function(),
            r"neither x0 nor bounds.* add a line such as square\.bounds = \[\(-5, 5\)\] \* 3",
        ),
        (function(bounds=[(0, None)]), r"not finite and there is no x0.*square\.x0 = \[0\.0"),
        (function(bounds=(-1, 1)), "x0, which says how many there are, is missing"),
        (
            function(x0=[5.0], bounds=[(-1, 1)]),
            "x0 is outside the bounds at coordinate 0: 5 is not",
        ),
        (function(x0=[0, 0], bounds=[(-1, 1)] * 3), "bounds has 3 lower bounds, but x0 has 2"),
        (function(x0=[[0, 0], [1, 1]]), "must be one point"),
        (function(x0="no"), "x0 must be an array of real numbers"),
        (function(x0=[np.nan]), "x0 is not finite"),
        (function(start=3, x0=[0]), "start must be a function"),
    ],
)
def test_what_does_not_say_where_to_start_is_told_how_to(given, said):
    with pytest.raises(ValueError, match=said) as refusal:
        from_object(given)
    assert str(refusal.value).startswith("problem 'square': ")


def test_what_cannot_be_called_is_no_problem(folder):
    with pytest.raises(TypeError, match="'mine' is dict, which cannot be called"):
        from_object({"x0": [0]}, "mine")
    folder("code.py", "value = 3\n")
    with pytest.raises(ValueError, match="int, which cannot be called"):
        expand("code.py:value")


def refusal_of(text):
    with pytest.raises(UserFileError) as refusal:
        expand(text)
    return str(refusal.value)


def test_a_file_that_does_not_import_shows_its_own_traceback_and_no_more(folder):
    folder("inner.py", "def g():\n    import json\n    json.loads('{')\n")
    folder("code.py", "import inner\n\ninner.g()\n")
    told = refusal_of("code.py:f")
    assert "code.py does not import:" in told
    assert 'code.py", line 3, in <module>' in told
    assert 'inner.py", line 3, in g' in told
    assert told.splitlines()[-1].startswith("json.decoder.JSONDecodeError:")
    assert "importlib" not in told
    assert "experiments" not in told
    assert len(told.splitlines()) < 10


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (
            "import nothing_of_this_name",
            "ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("x = [1,\n", "SyntaxError: '[' was never closed"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def f():\n    f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
        ("class Odd(BaseException): pass\nassert 0, 'why'", "AssertionError: why"),
    ],
)
def test_what_is_wrong_with_a_file_is_the_last_line(folder, text, last):
    folder("code.py", text)
    before = set(sys.modules)
    told = refusal_of("code.py:f")
    assert told.splitlines()[-1].startswith(last)
    assert len(told.splitlines()) < 30
    assert not {name for name in set(sys.modules) - before if name.startswith("_user_file_")}


def test_ctrl_c_in_a_file_gets_through(folder):
    folder("code.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        expand("code.py:f")


def test_a_missing_file_names_those_that_are_near(folder):
    folder("mine/rosenbrock.py", SPHERE)
    assert refusal_of("mine/rosenbrok.py:f").endswith(
        "rosenbrok.py (did you mean 'rosenbrock.py'?)"
    )
    assert "nor a folder" in refusal_of("yours/rosenbrock.py:f")
    assert "cannot be read: File name too long" in refusal_of("a" * 300 + ".py:f")
    assert r"C:\work\code.py" in refusal_of(r"C:\work\code.py:f")


def test_a_missing_name_names_those_that_there_are(folder):
    folder("code.py", "from math import sqrt\nimport numpy\n" + SPHERE)
    told = refusal_of("code.py:sphre")
    assert "no function 'sphre' (did you mean 'sphere'?); it has: sphere, helper" in told
    assert "sqrt" not in told
    assert "Write code.py:name; it has: sphere, helper" in refusal_of("code.py")
    assert "no function 'sphere:n=3'" in refusal_of("code.py:sphere:n=3")


def test_a_class_that_wants_arguments_says_so(folder):
    folder("code.py", "class Hard:\n    def __init__(self, size): pass\n")
    assert "cannot be made without arguments: TypeError" in refusal_of("code.py:Hard")


def test_a_file_is_loaded_once_for_its_text(folder):
    folder(
        "code.py", "import sys\nsys.loads_of_mine = getattr(sys, 'loads_of_mine', 0) + 1\n" + SPHERE
    )
    try:
        for _ in range(3):
            find("code.py:sphere").make()
        assert sys.loads_of_mine == 1
    finally:
        del sys.loads_of_mine
