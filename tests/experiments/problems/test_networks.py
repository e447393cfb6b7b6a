"""Networks: digit classifiers, two spirals, the one that samples, hyperparameters, policies."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from blackbox import minimize
from experiments.problems import classifiers, control, digits, find, hyperparameters, sampling, toys
from experiments.problems.benchmark import Layers

CLASSIFIERS = [c.name for c in classifiers.CLASSIFIERS]


def test_starts_are_spread_as_torch_initializes_layers():
    layers = Layers(((9, 200), (400, 30)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = [nn.Conv2d(1, 200, 3), nn.Linear(400, 30)]
    drawn = np.split(layers(np.random.default_rng(0)), [10 * 200])
    for part, layer in zip(drawn, theirs, strict=True):
        reference = nn.utils.parameters_to_vector(layer.parameters()).detach()
        assert len(part) == len(reference)
        assert part.std() == pytest.approx(reference.std().item(), rel=0.05)
        assert abs(part).max() == pytest.approx(abs(reference).max().item(), rel=0.01)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_is_the_network_that_its_name_says(name):
    problem = find(name)
    objective = problem.make()
    assert problem.n == objective.n
    assert objective.batching.path == "stack"
    [classifier] = [c for c in classifiers.CLASSIFIERS if c.name == name]
    weights = [tuple(p.shape) for p in classifier.network().parameters()][::2]
    assert [(np.prod(w[1:]), w[0]) for w in weights] == list(problem.draw.layers)


def test_linear_classifier_is_a_softmax_regression_on_the_first_half():
    problem = find("digits-linear")
    x = problem.start(0)
    images, labels = (data.numpy() for data in digits.load())
    scores = images @ x[:640].reshape(10, 64).T + x[640:]
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    losses = -logs[np.arange(len(labels)), labels]
    assert problem.make()(x[None])[0] == pytest.approx(losses[:898].mean(), rel=1e-5)
    reported = problem.report(x)
    assert reported["validation loss"] == pytest.approx(losses[898:].mean(), rel=1e-5)
    right = scores.argmax(axis=1) == labels
    assert reported["validation accuracy"] == pytest.approx(right[898:].mean())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_learn_by_their_gradients(name):
    problem = find(name)
    objective, x = problem.make(), problem.start(0)[None]
    for _ in range(60):
        x = np.clip(x - 0.5 * objective.value_and_gradient(x)[1], *problem.bounds)
    assert problem.report(x[0])["validation accuracy"] > 0.8


def test_training_holds_out_digits_for_validation_and_others_for_the_test():
    rows = np.arange(len(digits.load()[1]))
    parts = [rows[part] for part in classifiers.VALIDATION_AND_TEST.values()]
    assert [len(part) for part in parts] == [449, 450]
    np.testing.assert_array_equal(np.concatenate([rows[:898], *parts]), rows)


@pytest.mark.parametrize("name", ["digits-training", "digits-mlp"])
def test_reports_are_of_the_model_on_data_held_out(name):
    problem = find(name)
    x = problem.start(3)
    reported, validated = problem.report(x), problem.make().validate(x[None])
    model = nn.Sequential(nn.Linear(64, problem.draw.layers[1][0]), nn.ReLU())
    model.append(nn.Linear(problem.draw.layers[1][0], 10))
    nn.utils.vector_to_parameters(torch.from_numpy(x).float(), model.parameters())
    images, labels = digits.load()
    [own] = [c for c in classifiers.CLASSIFIERS if c.name == name]
    assert {word.split()[0] for word in reported} == set(own.held_out)
    for part, kept in own.held_out.items():
        scores = model(images[kept]).detach()
        loss = nn.functional.cross_entropy(scores, labels[kept]).item()
        assert reported[f"{part} loss"] == pytest.approx(loss, rel=1e-5)
        right = (scores.argmax(1) == labels[kept]).double().mean().item()
        assert reported[f"{part} accuracy"] == right
    assert validated[0] == pytest.approx(reported["validation loss"], rel=1e-5)


def test_training_is_stopped_by_its_validation_loss_and_gives_its_best_weights():
    problem = find("digits-training:batch=200")
    settings = {"bounds": problem.bounds, "budget": 2000, "seed": 0}
    result = minimize(
        problem.make(),
        problem.start(0),
        method="adam",
        options={"lr": 0.01},
        validate_every=5,
        patience=6,
        **settings,
    )
    assert result.nfev < 2000
    reported = problem.report(result.x)
    assert reported["validation loss"] == pytest.approx(result.validation_loss, rel=1e-5)
    assert reported["validation accuracy"] > 0.94
    assert reported["test accuracy"] > 0.85


def test_a_minibatch_of_all_the_data_is_all_the_data():
    assert find("digits-linear:batch=897").changing
    assert not find("digits-linear:batch=898").changing
    assert find("digits-linear:batch=898").make().begin is None


def test_spirals_are_mirror_images_that_keep_apart():
    inputs, targets = (data.numpy() for data in toys.spirals())
    first, second = inputs[targets[:, 0] == 1], inputs[targets[:, 0] == 0]
    np.testing.assert_array_equal(first, -second)
    between = np.linalg.norm(first[:, None] - second[None], axis=-1).min()
    assert between > 0.05
    turns = np.abs(np.diff(np.unwrap(np.arctan2(*first.T)))).sum() / (2 * np.pi)
    assert turns == pytest.approx(3, abs=0.05)


def test_spirals_report_counts_right_answers():
    problem = find("spirals")
    assert problem.report(np.zeros(problem.n)) == {"accuracy": 0.5}


def expected_by_enumeration(x):
    """The loss by its definition: a sum over what six coins can show, for each point."""
    first, biases, last, bias = x[:12].reshape(6, 2), x[12:18], x[18:24], x[24]
    points, within = sampling.data()
    total = 0.0
    for point, inside in zip(points, within, strict=True):
        chances = expit(first @ point + biases)
        for coins in product([0, 1], repeat=6):
            odds = np.prod(np.where(coins, chances, 1 - chances))
            right = expit(last @ coins + bias)
            total -= odds * np.log(right if inside else 1 - right)
    return total / len(points)


def test_sampling_loss_is_the_sum_over_all_outcomes():
    points = np.random.default_rng(0).normal(size=(2, sampling.LAYERS.n))
    expected = [expected_by_enumeration(x) for x in points]
    np.testing.assert_allclose(sampling.Objective()(points), expected, rtol=1e-12)


def test_samples_are_the_loss_on_average():
    objective, rng = sampling.Objective(), np.random.default_rng(1)
    points = 3 * rng.normal(size=(3, sampling.LAYERS.n))
    samples = []
    for generation in range(2000):
        objective.begin(generation, rng)
        samples.append(objective(points))
    error = np.std(samples, axis=0) / np.sqrt(len(samples))
    assert (abs(np.mean(samples, axis=0) - objective.full(points)) < 4 * error).all()
    assert (error > 0).all()


def test_sampling_holds_out_far_away_without_a_warning():
    far = np.full((2, sampling.LAYERS.n), 10.0) * [[1], [-1]]
    assert np.isfinite(sampling.Objective()(far)).all()


def test_hyperparameters_are_read_from_corner_to_corner():
    low, high = hyperparameters.read(np.zeros(6)), hyperparameters.read(np.ones(6))
    assert low == pytest.approx((1e-3, 0, 1e-6, 4, 16, 0.1))
    assert high == pytest.approx((1, 0.99, 0.1, 64, 128, 10))


def test_training_by_hyperparameters_is_that_of_a_plain_loop():
    x = np.array([0.6, 0.8, 0.3, 0.5, 0.4, 0.5])
    choice = hyperparameters.read(x)
    rng = np.random.default_rng(hyperparameters.SEED)
    first, biases, last, bias = (
        w.detach().numpy().astype(float) for w in hyperparameters._initial(rng, choice)
    )
    weights = [first, biases, last, bias]
    speeds = [np.zeros_like(w) for w in weights]
    images, labels = (data.numpy() for data in digits.load())

    def softmax(rows):
        hidden = np.maximum(images[rows] @ weights[0] + weights[1], 0)
        scores = np.exp(hidden @ weights[2] + weights[3])
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    for _ in range(hyperparameters.EPOCHS):
        order = rng.permutation(600)
        for rows in np.split(order, range(choice.batch, 600, choice.batch)):
            hidden, wrong = softmax(rows)
            wrong[np.arange(len(rows)), labels[rows]] -= 1
            wrong /= len(rows)
            back = (wrong @ weights[2].T) * (hidden > 0)
            slopes = [images[rows].T @ back, back.sum(0), hidden.T @ wrong, wrong.sum(0)]
            for w, speed, slope in zip(weights, speeds, slopes, strict=True):
                speed[:] = choice.momentum * speed + slope + choice.decay * w
                w -= choice.rate * speed
    rows = np.arange(600, 1200)
    expected = -np.log(softmax(rows)[1][np.arange(600), labels[rows]]).mean()
    assert expected < 0.8
    assert hyperparameters.value(x) == pytest.approx(expected, rel=1e-3)


def test_a_training_that_runs_away_has_the_worst_value():
    assert hyperparameters.value(np.ones(6)) == hyperparameters.WORST


def play(task, x, layers, seed):
    """The return of an episode in gymnasium itself."""
    gym = pytest.importorskip("gymnasium", reason="gymnasium plays the episodes to compare with")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of itself
        env = gym.make({"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1"}[task])
    policy, total = control.Policies(x[None], layers), 0.0
    seen, _ = env.reset(seed=seed)
    while True:
        seen, reward, terminated, truncated, _ = env.step(
            int(policy(seen.astype(float)[None, None])[0, 0])
        )
        total += reward
        if terminated or truncated:
            env.close()
            return total


@pytest.mark.parametrize("hidden", [0, 8])
@pytest.mark.parametrize("task", control.TASKS)
def test_episodes_are_those_of_gymnasium(task, hidden):
    objective = control.Objective(task, hidden)
    rng = np.random.default_rng(3)
    points = rng.uniform(-3, 3, (24, objective.layers.n))
    values = objective(points)
    chosen = np.unique([*np.argsort(values)[:3], values.argmax(), 0])
    for point in chosen:
        episodes = [
            play(task, points[point], objective.layers, seed) for seed in range(control.EPISODES)
        ]
        assert values[point] == -np.mean(episodes)
    assert len(set(values)) > 3


def test_policies_are_networks_of_torch():
    layers = Layers(((4, 5), (5, 3)))
    rng = np.random.default_rng(0)
    points, seen = rng.normal(size=(6, layers.n)), rng.normal(size=(6, 7, 4))
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    chosen = control.Policies(points, layers)(seen)
    for x, observed, actions in zip(points, seen, chosen, strict=True):
        nn.utils.vector_to_parameters(torch.from_numpy(x), model.parameters())
        assert model(torch.from_numpy(observed)).argmax(-1).tolist() == actions.tolist()


def test_a_pole_can_be_balanced_to_the_end():
    problem = find("cartpole")
    # The right push wins where the pole leans and falls to the right.
    x = np.array([0, 0, 0, 0, 0.1, 0.2, 1.0, 1.0, 0, 0])
    assert problem.make()(x[None])[0] == problem.optimum == -500
