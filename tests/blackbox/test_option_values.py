import math

import numpy as np
import pytest

from blackbox import ALGORITHMS, minimize
from blackbox.algorithms.option_values import NUMBERS


def unused(x):
    raise AssertionError("an evaluation took place")


@pytest.mark.parametrize(
    "name", ["differential_evolution", "pso", "adam", "bfgs", "shgo", "random"]
)
@pytest.mark.parametrize("value", ["x", math.nan, object(), {}])
def test_what_is_no_number_is_refused_before_the_first_evaluation(name, value):
    row, tried = ALGORITHMS[name], 0
    for option, default in row.options().items():
        if type(default) not in NUMBERS - {bool, type(None)}:
            continue
        tried += 1
        with pytest.raises((TypeError, ValueError), match=option):
            minimize(unused, [1.0, 2.0], bounds=(-5, 5), method=name, options={option: value})
    assert tried


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), np.array(3)])
def test_numbers_of_every_kind_are_taken(value):
    found = minimize(lambda x: x @ x, [1.0, 2.0], method="nelder-mead", options={"maxiter": value})
    assert found.nit == 3


def test_scipys_own_methods_take_a_number_for_each_variable():
    found = minimize(
        lambda x: x @ x, [1.0, 2.0], method="l-bfgs-b", options={"eps": np.array([1e-8, 1e-8])}
    )
    assert found.success
