"""Many trainings at once: each as torch.optim would train it alone, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from adapters import Bool, Choice, Float, Int, Log, SlowPathWarning, Space, TrainingObjective
from adapters.training.schedules import SCHEDULES, rates
from blackbox import ALGORITHMS, minimize
from blackbox.algorithms.descent.schedule import make_rates

STEPS = 100
LR = Space(lr=Log(1e-3, 1.0))


def samples(count=40, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 5, generator=generator, dtype=dtype)
    return inputs, torch.randint(0, 3, (count,), generator=generator)


def mlp(width=4):
    return nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 3))


def normed():
    return nn.Sequential(nn.Linear(5, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 3))


def dropping(dropout=0.5):
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(dropout), nn.Linear(8, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRU(1, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.out(self.cell(x[..., None])[0][:, -1])


def objective(make_model=mlp, space=LR, **options):
    given = {"epochs": 3, "batch_size": 10, "dtype": torch.float64} | options
    return TrainingObjective(make_model, nn.CrossEntropyLoss(), samples(), space, **given)


def weights(model):
    return torch.cat([tensor.detach().double().flatten() for tensor in model.state_dict().values()])


def by_hand(make, order, clip, **settings):
    """Train by torch's own optimizer, on these minibatches."""
    inputs, targets = samples()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = mlp().double()
    optimizer = make(model.parameters(), **settings)
    for rows in order:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[rows]), targets[rows]).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    return model


ADAM = {
    "lr": Log(1e-5, 1e-2),
    "beta1": Float(0.5, 0.99),
    "beta2": Float(0.9, 0.999),
    "eps": Log(1e-8, 1e-2),
    "weight_decay": Log(1e-4, 1e-1),
}
RULES = {
    "sgd": (
        torch.optim.SGD,
        Space(
            lr=Log(1e-3, 1.0),
            momentum=Float(0.1, 0.95),
            nesterov=Bool(),
            weight_decay=Log(1e-4, 1e-1),
            clip=Log(1e-2, 1.0),
        ),
    ),
    "rmsprop": (
        torch.optim.RMSprop,
        Space(
            lr=Log(1e-4, 1e-2),
            momentum=Float(0.0, 0.9),
            alpha=Float(0.5, 0.99),
            eps=Log(1e-8, 1e-2),
            weight_decay=Log(1e-4, 1e-1),
        ),
    ),
    "adam": (torch.optim.Adam, Space(ADAM)),
    "adamw": (torch.optim.AdamW, Space(ADAM, clip=Log(1e-2, 1.0))),
}


@pytest.mark.parametrize(
    "name",
    ["adam", *(pytest.param(name, marks=pytest.mark.slow) for name in RULES if name != "adam")],
)
def test_weights_are_those_of_torchs_own_optimizer(name):
    make, space = RULES[name]
    rng = np.random.default_rng(1)
    each = [space.draw(rng) for _ in range(3)]
    options = {"validation": None, "optimizer": name, "epochs": STEPS // 4}
    setup = objective(**options)._setup
    order = [rows for i in range(STEPS // 4) for rows in setup.epoch(i, 10).order]
    assert len(order) == STEPS
    expected = []
    for params in each:
        settings = {k: v for k, v in params.items() if k not in ("beta1", "beta2", "clip")}
        if "beta1" in params:
            settings["betas"] = params["beta1"], params["beta2"]
        expected.append(by_hand(make, order, params.get("clip"), **settings))
    for plan in ("stack", "vmap", "loop"):
        trainings = objective(space=space, plan=plan, **options).start(each)
        losses = trainings.step(STEPS // 4)
        for row, model in enumerate(expected):
            gap = weights(trainings.model(row)) - weights(model)
            assert gap.abs().max() <= 1e-12
            inputs, targets = samples()
            assert losses[row] == pytest.approx(F.cross_entropy(model(inputs), targets).item())


@pytest.mark.parametrize("make_model", [mlp, normed, dropping])
def test_all_paths_see_the_same_minibatches_masks_and_statistics(make_model):
    space = Space(lr=Log(1e-3, 0.5), schedule=Choice("cosine", "step"), warmup=Float(0.0, 0.5))
    points = np.random.default_rng(0).random((3, space.n))
    plans = {
        plan: objective(make_model, space, batch_size=7, optimizer="sgd", plan=plan)
        for plan in ("auto", "vmap", "loop")
    }
    assert plans["auto"].batching.path == ("vmap" if make_model is normed else "stack")
    expected = plans["loop"](points)
    for plan in ("auto", "vmap"):
        np.testing.assert_allclose(plans[plan](points), expected, rtol=1e-12)


def test_dropouts_of_any_strength_go_together():
    space = Space(lr=0.1, dropout=Float(0.0, 1.0))
    together, alone = objective(dropping, space), objective(dropping, space, plan="loop")
    points = np.array([[0.0], [0.3], [0.9], [1.0]])
    assert len(together.start(space.decode(points)).batching) == 1
    values = together(points)
    assert len(set(values)) == 4
    np.testing.assert_allclose(values, alone(points), rtol=1e-12)


def test_models_of_different_shapes_go_in_groups():
    space = Space(lr=0.1, width=Int(2, 4))
    points = np.array([[0.9], [0.1], [0.9], [0.5]])
    widths = objective(space=space)
    assert len(widths.start(space.decode(points)).batching) == 3
    np.testing.assert_allclose(widths(points), [widths(p) for p in points], rtol=1e-12)
    np.testing.assert_allclose(widths(points), objective(space=space, plan="loop")(points))


def test_plans_are_made_once_for_alike_models():
    made = objective(space=Space(lr=0.1, width=Int(2, 20)))
    each = [{"width": width} for width in range(2, 14)]
    made.start(each)
    known = [prototype for *_, prototype, _ in made._setup.plans]
    made.start(each)
    assert [prototype for *_, prototype, _ in made._setup.plans][-12:] == known[-12:]
    made.start([{"width": width} for width in range(2, 21)])
    assert len(made._setup.plans) == 16


def test_rules_and_sizes_of_minibatches_go_in_groups():
    space = Space(lr=0.1, optimizer=Choice("sgd", "adam"), batch_size=Choice(5, 16))
    each = [{"optimizer": rule, "batch_size": size} for rule in ("sgd", "adam") for size in (5, 16)]
    values = objective(space=space)(each)
    for params, value in zip(each, values, strict=True):
        one = objective(
            space=Space(lr=Float(0.1, 0.2)),
            batch_size=params["batch_size"],
            optimizer=params["optimizer"],
            plan="loop",
        )
        assert value == pytest.approx(one({"lr": 0.1}), rel=1e-12)


def test_what_cannot_go_together_goes_one_by_one_and_says_so():
    recurrent = objective(Recurrent)
    assert recurrent.batching.path == "loop"
    assert "gru" in recurrent.batching.reason
    with pytest.warns(SlowPathWarning, match="one after another"):
        values = recurrent(np.array([[0.1], [0.5]]))
    assert np.isfinite(values).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meant = objective(Recurrent, plan="loop")
        np.testing.assert_array_equal(meant(np.array([[0.1], [0.5]])), values)


def test_functional_dropout_and_a_loss_of_ones_own():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x):
            return self.layer(F.dropout(x, 0.4, self.training))

    def loss(outputs, targets):
        return (outputs - F.one_hot(targets, 3)).abs().pow(1.5).mean()

    points = np.array([[0.2], [0.8]])
    values = []
    for plan in ("auto", "loop"):
        made = TrainingObjective(
            Functional, loss, samples(), LR, epochs=2, batch_size=9, plan=plan, dtype=torch.float64
        )
        values.append(made(points))
    np.testing.assert_allclose(*values, rtol=1e-12)
    stacked = TrainingObjective(
        mlp, loss, samples(), LR, epochs=2, dtype=torch.float64, plan="stack"
    )
    alone = TrainingObjective(mlp, loss, samples(), LR, epochs=2, dtype=torch.float64, plan="loop")
    np.testing.assert_allclose(stacked(points), alone(points), rtol=1e-12)


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_a_training_that_runs_away_gives_inf_and_the_others_go_on(plan):
    space = Space(lr=Log(1e-3, 1e308))
    made = objective(space=space, optimizer="sgd", plan=plan, epochs=6)
    values = made([{"lr": 1e-2}, {"lr": 1e308}, {"lr": 1e-1}])
    assert values[1] == np.inf
    alone = objective(space=space, optimizer="sgd", plan="loop", epochs=6)
    expected = alone([{"lr": 1e-2}, {"lr": 1e-1}])
    np.testing.assert_allclose(values[[0, 2]], expected, rtol=1e-12)


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_a_metric_that_counts_is_no_way_out_for_one_that_runs_away(plan):
    def count(outputs, targets):  # NaN has a greatest number, too: its first
        return float((outputs.argmax(1) != 0).float().mean())

    space = Space(lr=Log(1e-3, 1e308))
    made = objective(space=space, optimizer="sgd", plan=plan, epochs=6, metric=count)
    values = made([{"lr": 1e-2}, {"lr": 1e308}])
    assert 0 <= values[0] <= 1
    assert values[1] == np.inf


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_a_metric_judges(plan):
    def errors(outputs, targets):
        return float((outputs.argmax(1) != targets).float().mean())

    made = objective(metric=errors, plan=plan, epochs=30)
    held = made._setup.task.held_targets
    model = made.train({"lr": 0.05})
    got = made({"lr": 0.05})
    assert got == pytest.approx(errors(model(made._setup.task.held_inputs), held))
    assert 0 <= got < 1


def test_validation_is_held_out_given_or_what_is_trained_on():
    inputs, targets = samples()
    setup = objective(validation=0.25)._setup
    assert len(setup.task.inputs) == 30
    assert len(setup.task.held_inputs) == 10
    both = torch.cat([setup.task.inputs, setup.task.held_inputs])
    assert torch.equal(both.sort(0).values, inputs.sort(0).values)
    given = objective(validation=(inputs[:4], targets[:4]))._setup
    assert torch.equal(given.task.held_inputs, inputs[:4])
    assert len(given.task.inputs) == 40
    assert torch.equal(objective(validation=None)._setup.task.held_inputs, inputs)


def test_arrays_and_loaders_are_data_too():
    inputs, targets = samples()
    points = np.array([[0.3]])
    expected = objective()(points)
    loss = nn.CrossEntropyLoss()
    options = {"epochs": 3, "batch_size": 10, "dtype": torch.float64}
    arrays = TrainingObjective(mlp, loss, (inputs.numpy(), targets.numpy()), LR, **options)
    np.testing.assert_array_equal(arrays(points), expected)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16)
    np.testing.assert_array_equal(
        TrainingObjective(mlp, loss, loader, LR, **options)(points), expected
    )


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 12])
def test_schedules_are_those_of_gradient_methods(name, warmup):
    total = 108
    text = f"warmup({warmup}) + {name}" if warmup else name
    descent = ALGORITHMS["sgd"].make({"schedule": text})
    theirs = make_rates(descent, {**descent.keywords(), "lr": 0.5}, total, False)
    expected = []
    for _ in range(total):
        expected.append(theirs.values["lr"])
        theirs.advance(0.0, None)
    settings = {"lr": np.array([0.5]), "warmup": np.array([warmup / total])}
    ours = rates(settings, [name], np.arange(total)[:, None], total)[:, 0]
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_minimize_tunes_it():
    made = objective(space=Space(lr=Log(1e-4, 1e1)), epochs=5)
    result = minimize(made, method="random", bounds=made.bounds, budget=12, seed=0)
    assert result.nfev == 12
    assert result.fun < made({"lr": 1e-4})
    model = made.train(made.space.decode(result.x))
    task = made._setup.task
    loss = F.cross_entropy(model(task.held_inputs), task.held_targets).item()
    assert loss == pytest.approx(result.fun)


def test_points_may_be_arrays_tensors_or_dictionaries():
    made = objective()
    value = made({"lr": made.space.decode(np.array([0.3]))["lr"]})
    assert made(np.array([0.3])) == value
    assert made(np.array([[0.3]])).tolist() == [value]
    found = made(torch.tensor([[0.3]], dtype=torch.float64))
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [value]
    assert made(np.empty((0, 1))).shape == (0,)


def test_it_is_a_function_of_its_arguments_and_leaves_torchs_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = objective(dropping)
    points = np.array([[0.3], [0.6]])
    first = made(points)
    made(np.array([[0.9]]))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(made(points), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(made))(points), first)
    assert (objective(dropping, seed=1)(points) != first).all()


def test_callers_modes_do_not_show():
    made, points = objective(), np.array([[0.3], [0.6]])
    expected = made(points)
    with torch.no_grad():
        np.testing.assert_array_equal(made(points), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(made(points), expected)
        objective()
