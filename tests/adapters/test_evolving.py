import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from adapters import (
    Bool,
    Choice,
    Float,
    Int,
    Log,
    Space,
    TrainingObjective,
    population_based_training,
)

INPUTS, TARGETS = load_iris(return_X_y=True)
SPACE = Space(
    lr=Log(1e-4, 1e-2),
    beta1=Float(0.5, 0.99),
    weight_decay=Float(0.0, 0.1, step=0.01),
    schedule=Choice("constant", "cosine", "linear"),
)


def objective(space=SPACE, make_model=None, epochs=6):
    return TrainingObjective(
        make_model or (lambda: torch.nn.Linear(4, 3).double()),
        torch.nn.CrossEntropyLoss(),
        (INPUTS, TARGETS),
        space,
        epochs=epochs,
        batch_size=32,
    )


def weights(model):
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


def test_the_schedule_replayed_gives_the_same_weights():
    found = population_based_training(objective(), members=12, seed=0)
    assert len(found.schedule) > 1
    assert [phase.epoch for phase in found.schedule] == sorted(
        {phase.epoch for phase in found.schedule}
    )
    again = found.replay()
    torch.testing.assert_close(weights(again), weights(found.model), rtol=1e-10, atol=1e-12)
    assert found.best_params == found.schedule[-1].params
    assert found.table["lr"].tolist() == [phase.params["lr"] for phase in found.schedule]


def test_the_worst_go_on_as_copies_of_the_best():
    found = population_based_training(objective(), members=8, quantile=0.25, seed=1)
    assert [epoch for epoch, _ in found.parents] == [1, 2, 3, 4, 5]
    for epoch, whose in found.parents:
        order = np.argsort(found.losses[epoch - 1])
        replaced = {i for i, parent in enumerate(whose) if parent != i}
        assert replaced == set(order[-2:].tolist())
        assert {whose[i] for i in replaced} <= set(order[:2].tolist())
    assert found.best_value == found.losses[-1].min()
    assert found.epochs == 48


def test_every_value_that_comes_up_is_one_of_the_space():
    found = population_based_training(objective(), members=16, resample=0.0, seed=2)
    assert len(found.schedule) > 1
    for before, after in zip(found.schedule, found.schedule[1:], strict=False):
        SPACE.encode(after.params)
        ratio = after.params["lr"] / before.params["lr"]
        at_end = after.params["lr"] in (1e-4, 1e-2)
        assert at_end or min(abs(ratio - 0.8), abs(ratio - 1.2)) < 1e-9
        assert after.params["schedule"] == before.params["schedule"]


def test_a_member_that_runs_away_is_replaced():
    space = Space(lr=Choice(1e-2, 1e300), momentum=Float(0, 0.9), optimizer="sgd")
    ours = objective(space, lambda: model(4))
    found = population_based_training(ours, members=8, quantile=0.5, seed=0)
    assert np.isinf(found.losses[0]).any()
    assert np.isfinite(found.best_value)


def test_the_same_seed_finds_the_same_and_every_spaces_selections():
    first, second = (
        population_based_training(objective(), members=6, every=2, seed=3) for _ in range(2)
    )
    assert first.schedule == second.schedule
    assert [epoch for epoch, _ in first.parents] == [2, 4]


def model(width):
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Linear(width, 3)).double()


@pytest.mark.parametrize(
    ("space", "given", "text"),
    [
        (Space(lr=Log(1e-4, 1), width=Int(2, 8)), {}, "width cannot change"),
        (Space(lr=Log(1e-4, 1), width=4, batch_size=Choice(8, 16)), {}, "batch_size cannot"),
        (
            Space(
                lr=Log(1e-4, 1, when={"nesterov": True}),
                nesterov=Bool(),
                width=4,
                optimizer="sgd",
                momentum=0.5,
            ),
            {},
            "lr is active only at times",
        ),
        (Space(lr=Log(1e-4, 1), width=4), {"members": 1}, "members must be"),
        (Space(lr=Log(1e-4, 1), width=4), {"quantile": 0.7}, "quantile must be"),
        (Space(lr=Log(1e-4, 1), width=4), {"resample": -1}, "resample must be"),
        (Space(lr=Log(1e-4, 1), width=4), {"factors": (0, 1)}, "factors must be"),
        (Space(lr=Log(1e-4, 1), width=4), {"factors": 0.8}, "factors must be"),
    ],
)
def test_bad_input_says_what_is_wrong(space, given, text):
    with pytest.raises(ValueError, match=text):
        population_based_training(objective(space, model), **given)


def test_only_trainings_evolve():
    with pytest.raises(TypeError, match="must be a TrainingObjective"):
        population_based_training(lambda x: x)
