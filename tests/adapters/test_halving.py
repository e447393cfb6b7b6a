import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris

from adapters import Choice, Float, Log, Space, TrainingObjective, hyperband, successive_halving
from adapters.training.halving import brackets, rungs

INPUTS, TARGETS = load_iris(return_X_y=True)
SPACE = Space(lr=Log(1e-4, 1.0), beta1=Float(0.5, 0.99))


def model():
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)).double()


def objective(epochs=9, space=SPACE, **more):
    return TrainingObjective(
        model,
        torch.nn.CrossEntropyLoss(),
        (INPUTS, TARGETS),
        space,
        epochs=epochs,
        batch_size=32,
        **more,
    )


def test_brackets_are_those_of_the_paper():
    # Table 1 of Li et al. (2018): R = 81, eta = 3.
    assert [[tuple(rung) for rung in ladder] for ladder in brackets(81)] == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 200), st.integers(2, 5))
@settings(max_examples=100, deadline=None)
def test_rungs_shrink_and_reach_the_end(candidates, first, last, factor):
    ladder = rungs(candidates, first, last, factor)
    assert ladder[0].rows == candidates
    assert ladder[-1].epochs == last
    assert all(a.rows >= b.rows and a.epochs < b.epochs for a, b in pairwise(ladder))


def test_a_survivor_is_trained_as_if_it_were_alone():
    ours = objective()
    found = hyperband(ours, seed=0)
    whole = [each for each in found.trials if each.epochs == 9]
    assert len(whole) > 2
    for each in whole[:3]:
        assert ours(each.params) == pytest.approx(each.value, rel=1e-12)
    dropped = next(each for each in found.trials if each.epochs == 1)
    assert ours([dropped.params], epochs=1)[0] == pytest.approx(dropped.value, rel=1e-12)
    assert found.best_value == min(each.value for each in whole)
    assert found.table["epochs"].sum() == found.epochs


def test_the_worse_are_dropped():
    candidates = [{"lr": lr, "beta1": 0.9} for lr in np.logspace(-4, -0.5, 9)]
    found = successive_halving(objective(), candidates)
    assert sorted(each.epochs for each in found.trials) == [1] * 6 + [3] * 2 + [9]
    first = objective()(candidates, epochs=1)
    assert {i for i, each in enumerate(found.trials) if each.epochs > 1} == set(
        np.argsort(first)[:3].tolist()
    )


@given(st.integers(1, 150))
@settings(max_examples=12, deadline=None)
def test_the_budget_is_never_exceeded_and_all_of_it_used(budget):
    found = hyperband(objective(), budget=budget, seed=1)
    assert found.epochs == sum(each.epochs for each in found.trials) == budget
    assert math.isfinite(found.best_value)


def test_the_same_seed_finds_the_same():
    first, second = (hyperband(objective(epochs=3), seed=5) for _ in range(2))
    assert first.trials == second.trials


def test_what_runs_away_does_not_come_back():
    space = Space(lr=Choice(1e-2, 1e300), optimizer="sgd")
    found = successive_halving(objective(space=space), [{"lr": 1e300}] * 3 + [{"lr": 1e-2}])
    assert [each.epochs for each in found.trials] == [1, 1, 1, 9]
    nothing = successive_halving(objective(space=space), [{"lr": 1e300}] * 3)
    assert nothing.best_value == math.inf


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"budget": 0}, "budget must be"),
        ({"factor": 1}, "factor must be 2"),
        ({"min_epochs": 10}, "min_epochs=10"),
        ({"min_epochs": True}, "min_epochs must be"),
    ],
)
def test_bad_input_says_what_is_wrong(given, text):
    with pytest.raises(ValueError, match=text):
        hyperband(objective(), **given)
    with pytest.raises(TypeError, match="must be a TrainingObjective"):
        hyperband(lambda x: x)
    with pytest.raises(ValueError, match="candidates"):
        successive_halving(objective(), [])
    with pytest.raises(TypeError, match="candidates must be a list of dictionaries"):
        successive_halving(objective(), {"lr": 0.1})


def test_a_table_has_room_for_hyperparameters_of_its_columns_names():
    space = Space(lr=Log(1e-4, 1.0), value=Choice(7, 8), epochs=5, params=6)
    ours = TrainingObjective(
        lambda value, epochs, params: model(),
        torch.nn.CrossEntropyLoss(),
        (INPUTS, TARGETS),
        space,
        epochs=3,
    )
    table = hyperband(ours, seed=0).table
    names = ["epochs", "value", "bracket", "lr", "params_value", "params_epochs", "params"]
    assert list(table) == names
    assert set(table["params_value"]) == {7, 8}
    assert table["value"].max() < 7
