"""Many trainings at once: what makes no sense is refused before anything is trained."""

import numpy as np
import pytest
import torch
from torch import nn

from adapters import Bool, Choice, Float, Int, Space, TrainingObjective
from tests.adapters.test_training_objective import LR, mlp, objective, samples


@pytest.mark.parametrize(
    ("space", "options", "error", "message"),
    [
        (Space(lr=0.1, lrr=Float(0, 1)), {}, ValueError, "'lrr' is neither .*width"),
        (Space(momentum=Float(0, 1)), {}, ValueError, "nothing that adam uses"),
        (Space(lr=Float(-1, 1)), {}, ValueError, "lr must be at least 0"),
        (Space(beta1=Float(0.5, 1)), {}, ValueError, "beta1 must be at least 0 and below 1"),
        (Space(clip=Float(0, 1)), {}, ValueError, "clip must be above 0"),
        (Space(lr=LR["lr"], schedule="up"), {}, ValueError, "schedule must be one of constant"),
        (Space(batch_size=Int(0, 3)), {}, ValueError, "batch_size must be a whole number"),
        (Space(optimizer=Choice("sgd", "adma")), {}, ValueError, "optimizer must be one of sgd"),
        (LR, {"optimizer": "lion"}, ValueError, "optimizer must be one of sgd"),
        (LR, {"epochs": 0}, ValueError, "epochs must be a whole number from 1 on"),
        (LR, {"validation": 1.0}, ValueError, "validation must be a share"),
        (LR, {"validation": 0.99}, ValueError, "leaves none to train on"),
        (LR, {"validation": [one[:0] for one in samples()]}, ValueError, "validation holds no"),
        (LR, {"plan": "fast"}, ValueError, "plan must be one of"),
        (LR, {"dtype": torch.float16}, ValueError, "dtype must be"),
        (LR, {"device": "nowhere"}, ValueError, "device='nowhere'"),
        (LR, {"metric": 3}, TypeError, "metric must be a function"),
        ({"lr": 1}, {}, TypeError, "space must be an adapters.Space"),
    ],
)
def test_what_makes_no_sense_is_refused(space, options, error, message):
    with pytest.raises(error, match=message):
        objective(space=space, **options)


@pytest.mark.parametrize(
    ("make_model", "message"),
    [
        (lambda depth: mlp(), "needs 'depth', which the space has not"),
        (lambda: nn.Tanh(), "nothing to train"),
        (lambda: 3, "must return a torch.nn.Module"),
        ("mlp", "make_model must be a function"),
    ],
)
def test_a_maker_of_no_model_is_refused(make_model, message):
    with pytest.raises(TypeError, match=message):
        objective(make_model)


def test_a_parameter_of_the_model_that_is_not_always_there_needs_a_default():
    space = Space(lr=0.1, deep=Bool(), depth=Int(1, 2, when={"deep": True}))
    with pytest.raises(TypeError, match="'depth', which the space has only where"):
        objective(lambda deep, depth: mlp(), space)
    assert objective(lambda deep, depth=0: mlp(), space).n == 2


def test_data_and_losses_that_cannot_be_trained_on_are_refused():
    inputs, targets = samples()
    loss, options = nn.CrossEntropyLoss(), {"epochs": 1, "dtype": torch.float64}
    with pytest.raises(ValueError, match="targets 3"):
        TrainingObjective(mlp, loss, (inputs, targets[:3]), LR, **options)
    with pytest.raises(TypeError, match="samples must be a pair"):
        TrainingObjective(mlp, loss, inputs, LR, **options)
    with pytest.raises(ValueError, match="loss of an untrained model is NaN"):
        TrainingObjective(mlp, loss, (inputs * np.nan, targets), LR, **options)
    with pytest.raises(TypeError, match="must be one real number"):
        TrainingObjective(mlp, lambda outputs, targets: outputs, (inputs, targets), LR, **options)
    with pytest.raises(TypeError, match="does not depend differentiably"):
        TrainingObjective(
            mlp,
            lambda out, t: (out.argmax(1) != t).double().mean(),
            (inputs, targets),
            LR,
            **options,
        )


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((2, 3)), "points have shape"),
        (np.full((1, 1), np.nan), "points must be finite"),
        ([{"lr": 0.1, "x": 1}], "unknown: 'x'"),
        ([{}], "lr is missing"),
        ([{"lr": 5.0}], "lr"),
    ],
)
def test_points_that_are_none_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        objective()(points)
