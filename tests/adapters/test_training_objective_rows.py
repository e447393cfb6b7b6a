"""Trainings under way: epochs as fidelity, halving, copies, changes."""

import numpy as np
import pytest
import torch
from torch import nn

from adapters import Choice, Float, Int, Log, Space
from tests.adapters.test_training_objective import normed, objective, weights

SPACE = Space(lr=Log(1e-3, 1.0), momentum=Float(0.0, 0.9), schedule="cosine", warmup=0.2)
MIXED = Space(lr=Log(1e-3, 1.0), width=Int(2, 4), optimizer=Choice("sgd", "adam"))


def drawn(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.draw(rng) for _ in range(count)]


def begun(space=SPACE, count=6, **options):
    options = {"epochs": 6, "optimizer": "sgd"} | options
    return objective(space=space, **options).start(drawn(space, count))


def test_epochs_are_a_fidelity():
    made = objective(space=SPACE, epochs=5, optimizer="sgd")
    each = drawn(SPACE, 3)
    trainings = made.start(each)
    trainings.step(2)
    trainings.step(3)
    assert trainings.losses.shape == (5, 3)
    assert trainings.epochs_spent == 5
    for epochs in (1, 3, 5):
        np.testing.assert_array_equal(made(each, epochs=epochs), trainings.losses[epochs - 1])


@pytest.mark.parametrize("plan", ["auto", "loop"])
@pytest.mark.parametrize("space", [SPACE, MIXED])
def test_those_that_are_kept_go_on_as_if_nothing_had_happened(space, plan):
    whole, halved = begun(space, plan=plan), begun(space, plan=plan)
    whole.step(6)
    halved.step(2)
    halved.keep([4, 1, 3])
    halved.step(4)
    assert len(halved) == 3
    np.testing.assert_allclose(halved.losses, whole.losses[:, [4, 1, 3]], rtol=1e-12)
    assert halved.hyperparameters == [whole.hyperparameters[i] for i in (4, 1, 3)]
    np.testing.assert_allclose(
        weights(halved.model(1)).numpy(), weights(whole.model(1)).numpy(), atol=1e-12
    )


@pytest.mark.parametrize("plan", ["auto", "loop"])
def test_copies_go_on_as_what_they_were_copied_from_and_apart(plan):
    whole, copied = begun(MIXED, plan=plan), begun(MIXED, plan=plan)
    whole.step(6)
    copied.step(3)
    copied.copy([2, 2], [0, 5])
    copied.change(5, lr=1e-6)
    copied.step(3)
    rows = [2, 1, 2, 3, 4]
    np.testing.assert_allclose(copied.losses[:, :5], whole.losses[:, rows], rtol=1e-12)
    assert copied.losses[3, 5] != copied.losses[3, 0]
    np.testing.assert_array_equal(copied.losses[:3, 5], copied.losses[:3, 0])
    assert copied.hyperparameters[0] == whole.hyperparameters[2]
    assert copied.hyperparameters[5] == {**whole.hyperparameters[2], "lr": 1e-6}


def test_groups_without_members_are_left():
    trainings = begun(MIXED)
    assert len(trainings.batching) > 1
    trainings.keep([0])
    assert len(trainings.batching) == 1
    assert trainings.step().shape == (1,)


def test_changes_come_out_as_by_torch():
    rows = []
    for plan in ("auto", "loop"):
        trainings = begun(count=3, plan=plan)
        trainings.step(2)
        trainings.change(1, lr=0.01, momentum=0.5, weight_decay=0.1, clip=0.2)
        trainings.change(2, {"schedule": "linear"}, warmup=0.0)
        trainings.step(2)
        rows.append(trainings.losses)
    np.testing.assert_allclose(*rows, rtol=1e-12)
    untouched = begun(count=3)
    untouched.step(4)
    np.testing.assert_allclose(rows[0][:, 0], untouched.losses[:, 0], rtol=1e-12)
    assert (rows[0][3, 1:] != untouched.losses[3, 1:]).all()


def test_buffers_go_along():
    trainings = objective(normed, Space(lr=Log(1e-3, 1.0)), epochs=4).start(
        [{"lr": 0.01}, {"lr": 0.5}, {"lr": 0.1}]
    )
    assert trainings.batching[0].path == "vmap"
    trainings.step(2)
    trainings.copy([1], [0])
    values = trainings.step()
    model = trainings.model(1)
    assert isinstance(model[1], nn.BatchNorm1d)
    assert int(model[1].num_batches_tracked) == 3 * 4
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert values[0] != values[2]


def test_seeds_give_each_other_weights():
    made = objective()
    trainings = made.start([{"lr": 0.1}] * 3, seeds=[0, 1, 0])
    values = trainings.step(3)
    assert values[0] == pytest.approx(values[2], rel=1e-12)
    assert values[0] != values[1]
    assert values[1] == pytest.approx(made.start([{"lr": 0.1}], seeds=[1]).step(3)[0])
    with pytest.raises(ValueError, match="2 seeds for 1 trainings"):
        made.start([{"lr": 0.1}], seeds=[1, 2])
    for seeds in ([1.5], [-1], "1"):
        with pytest.raises(ValueError, match="seeds must be a list of whole numbers"):
            made.start([{"lr": 0.1}], seeds=seeds)


def test_a_model_read_on_the_way_is_the_callers():
    trainings = begun(count=2)
    trainings.step()
    model = trainings.model(0)
    with torch.no_grad():
        model[0].weight.zero_()
    untouched = begun(count=2)
    untouched.step(2)
    np.testing.assert_array_equal(trainings.step(), untouched.losses[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.step(7), "only 6 are left"),
        (lambda t: t.step(0), "epochs must be a whole number"),
        (lambda t: t.keep([]), "rows must be a list"),
        (lambda t: t.keep([6]), "rows must be between 0 and 5"),
        (lambda t: t.copy([0], [1, 2]), "1 sources, but 2 targets"),
        (lambda t: t.change(0, width=3), "width cannot change in the middle"),
        (lambda t: t.change(0, optimizer="rmsprop"), "optimizer cannot change"),
        (lambda t: t.change(0, alpha=0.5), "alpha is nothing that"),
        (lambda t: t.change(0, lr=-1.0), "lr must be at least 0"),
        (lambda t: t.change(0, typo=1), "'typo' is neither"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    trainings = begun(MIXED)
    with pytest.raises(ValueError, match=message):
        call(trainings)
    assert trainings.step().shape == (6,)
