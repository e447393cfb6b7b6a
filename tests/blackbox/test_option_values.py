import dataclasses
import json
import math

import numpy as np
import pytest

from blackbox import ALGORITHMS, JournalError, Optimizer, Result, minimize, read_journal
from blackbox.algorithms.option_values import takes
from blackbox.algorithms.takes import Takes, of_type
from blackbox.lines import write_line

INSTALLED = [name for name, row in ALGORITHMS.items() if row.installed]
READ_ELSEWHERE = {"schedule"}
"""Options of any type whose own module says what they take."""


def unused(x):
    raise AssertionError("an evaluation took place")


def sphere(x):
    return float(np.sum((x - 0.7) ** 2))


@pytest.mark.parametrize("name", INSTALLED)
def test_what_no_option_takes_is_refused(name):
    row = ALGORITHMS[name]
    known = takes(name, row.load())
    for option, what in known.items():
        if str in what.kinds or object in what.kinds:
            continue
        for value in ("x", object(), {1, 2}, 1j):
            with pytest.raises((TypeError, ValueError), match=option):
                row.make({option: value})
        if not what.kinds:
            with pytest.raises((TypeError, ValueError), match=option):
                row.make({option: math.nan})


@pytest.mark.parametrize("name", INSTALLED)
def test_it_is_known_of_every_option_what_it_takes(name):
    kind = ALGORITHMS[name].load()
    unknown = {f.name for f in dataclasses.fields(kind)} - takes(name, kind).keys()
    assert unknown <= READ_ELSEWHERE


@pytest.mark.parametrize("name", INSTALLED)
def test_an_option_takes_its_own_default(name):
    row = ALGORITHMS[name]
    for option, default in row.options().items():
        assert getattr(row.make({option: default}), option) == default


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("bfgs", "c1", 0),
        ("bfgs", "c1", 0.95),  # above c2
        ("bfgs", "eps", -math.inf),
        ("bfgs", "hess_inv0", [[1.0, 2.0], [2.0, 1.0]]),
        ("cg", "norm", 0),
        ("tnc", "scale", [1.0]),
        ("nelder-mead", "initial_simplex", np.ones((2, 2))),
        ("powell", "direc", np.eye(3)),
        ("trust-ncg", "max_trust_radius", 1.0),
        ("cobyqa", "final_tr_radius", 2.0),
        ("basinhopping", "interval", 0),
        ("basinhopping", "stepsize", -1),
        ("basinhopping", "minimizer_kwargs", {"metod": "cobyla"}),
        ("dual_annealing", "minimizer_kwargs", {"method": "cobila"}),
        ("dual_annealing", "visit", 1),
        ("differential_evolution", "init", np.ones((5, 3))),
        ("shgo", "options", {"maxfev": "many"}),
        ("shgo", "sampling_method", "sobolev"),
        ("direct", "vol_tol", -1),
        ("direct", "maxfun", 0),
        ("cma", "CMA_stds", [1.0, 2.0, 3.0]),
        ("cma", "CMA_stds", 0),
        ("cma", "minstd", -1),
        ("cma", "CMA_mu", 2.5),
        ("cma", "CMA_mu", 100),
        ("cma", "updatecovwait", 100),
        ("cma", "CMA_recombination_weights", [1, 2]),
        ("cma", "CMA_rankone", 100),
        ("cma", "CMA_teststds", "__import__('os').abort()"),
        ("muon", "adamw_betas", (0.9, 2.0)),
        ("rprop", "step_sizes", (0.1,)),
        ("asgd", "t0", -math.inf),
    ],
)
def test_what_is_out_of_range_is_refused_before_the_first_evaluation(name, option, value):
    if not ALGORITHMS[name].installed:
        pytest.skip("an extra")
    with pytest.raises((TypeError, ValueError), match=option):
        minimize(unused, [1.0, 2.0], bounds=(-5, 5), method=name, options={option: value}, seed=0)


@pytest.mark.parametrize("value", [3, 3.0, 2.5, np.int64(3), np.float32(3), np.array(3)])
def test_numbers_of_every_kind_are_taken(value):
    found = minimize(sphere, [1.0, 2.0], method="nelder-mead", options={"maxiter": value})
    assert found.nit == 3


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("l-bfgs-b", "eps", np.array([1e-8, 1e-8])),
        ("tnc", "scale", np.array([1.0, 2.0])),
        ("bfgs", "hess_inv0", np.diag([0.5, 2.0])),
        ("powell", "direc", np.eye(2)[::-1]),
        ("nelder-mead", "initial_simplex", [[0, 0], [1, 0], [0, 1]]),
        ("trust-constr", "disp", 0),
        ("cma", "CMA_stds", (0.5, 2.0)),
        ("differential_evolution", "mutation", [0.4, 0.9]),
        ("basinhopping", "minimizer_kwargs", {"method": "NELDER-MEAD", "tol": 1e-6}),
    ],
)
def test_arrays_and_mappings_are_taken(name, option, value):
    found = minimize(
        sphere,
        [1.0, 2.0],
        bounds=(-5, 5),
        method=name,
        options={option: value},
        budget=2000,
        seed=0,
    )
    assert found.fun < 1e-4


@pytest.mark.parametrize(
    ("name", "option"),
    [("slsqp", "maxiter"), ("tnc", "maxfun"), ("l-bfgs-b", "maxls"), ("cobyla", "maxiter")],
)
@pytest.mark.parametrize("most", [10**5, 2**40, math.inf])
def test_counts_beyond_a_c_int_are_as_many_as_it_takes(name, option, most):
    run = {"x0": [3.0, -2.0], "method": name}
    found, enough = (minimize(sphere, **run, options={option: count}) for count in (most, 10_000))
    assert found.success
    assert found.nfev == enough.nfev


@pytest.mark.parametrize("name", [name for name in INSTALLED if ALGORITHMS[name].holds])
def test_what_does_not_fit_into_memory_is_refused_before_it_is_allocated(name):
    row = ALGORITHMS[name]
    product = row.holds[0].split()[1:]
    option = next(each for each in product if each != "variables")
    run = {"x0": [1.0, 2.0], "bounds": [(-5, 5)] * 2, "seed": 0}
    for size in (10**13, 10**400):
        with pytest.raises(MemoryError, match=rf"{option}=1.*GiB.*smaller.*{option}"):
            minimize(unused, **run, method=name, options={option: size})
        with pytest.raises(MemoryError, match=option):
            Optimizer(name, **run, **{option: size})


def test_intervals():
    inside = Takes("[-inf, 0) or (0, 2]")
    for number in (-math.inf, -1, 2, np.float32(0.5)):
        assert inside.read(number, lenient=False) == number
    for number in (0, 2.1, math.inf, math.nan, 10**400):
        with pytest.raises((ValueError, OverflowError)):
            inside.read(number, lenient=False)


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (bool, [True, 0, 1, np.bool_(False)], [2, 0.5, "yes", [True]]),
        (int, [3, 3.0, np.int8(3), -1], [2.5, math.inf, True, "3"]),
        (float | None, [1, 0.5, math.inf], [math.nan, False, "1", [1.0, 2.0]]),
        (tuple[float, float], [(0.5, 1), np.ones(2)], [(1.0,), 1.0, ("a", "b")]),
        (float | list[float], [0.5], ["a"]),
    ],
)
def test_what_a_type_takes(kind, taken, refused):
    what = of_type(kind)
    for value in taken:
        assert np.all(what.read(value, lenient=False) == value)
    for value in refused:
        with pytest.raises((TypeError, ValueError)):
            what.read(value, lenient=False)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "no such"},
        {"method": 3},
        {"made with": {"budget": -1}},
        {"made with": {"budget": "x"}},
        {"options": {"swarmsize": "x"}},
        {"options": {"no such": 1}},
        {"options": {"journal": "x"}},
        {"seed": -1},
        {"dtype": "object"},
    ],
)
def test_a_strangers_header_that_makes_no_sense_is_a_journal_error(tmp_path, change):
    path = _header(tmp_path, change)
    with pytest.raises(JournalError, match="line 1 makes no sense"):
        Optimizer.restore(path)


def test_a_strangers_population_that_does_not_fit_is_refused(tmp_path):
    path = _header(tmp_path, {"options": {"swarmsize": 10**18}})
    with pytest.raises(MemoryError, match="swarmsize"):
        Optimizer.restore(path)


def _header(folder, change):
    path = folder / "run.journal"
    with Optimizer("pso", bounds=[(-2, 2)] * 2, seed=0, budget=500, journal=path):
        pass
    header = json.loads(path.read_bytes().splitlines()[0][9:])
    path.write_bytes(write_line({**header, **change}))
    return path


@pytest.mark.parametrize("path", [3, None, b"a"])
def test_what_is_no_path_is_named(path):
    result = minimize(sphere, [1.0, 2.0], method="slsqp")
    for call, name in (
        (Optimizer.restore, "journal"),
        (read_journal, "journal"),
        (result.save, "path"),
        (Result.load, "path"),
    ):
        with pytest.raises(TypeError, match=f"{name} is a"):
            call(path)


def test_an_empty_path_names_no_file():
    result = minimize(sphere, [1.0, 2.0], method="slsqp")
    with pytest.raises(JournalError, match="journal='' names no file"):
        minimize(unused, [1.0, 2.0], method="cma", journal="")
    with pytest.raises(JournalError, match="journal='' names no file"):
        Optimizer.restore("")
    with pytest.raises(ValueError, match="path='' names no file"):
        result.save("")
