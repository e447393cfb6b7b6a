"""Training through `minimize`: the trajectories of a plain torch loop, on the same minibatches."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from blackbox import minimize
from tests.adapters.cases import classes, normal

SAMPLES, SIZE, STEPS = 200, 16, 100


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 4)).to(dtype)


def labelled(dtype=torch.float64):
    return normal(SAMPLES, 8, dtype=dtype), classes(SAMPLES, 4)


class Recording:
    """An objective that keeps the points, gradients and minibatches that it is asked for."""

    batched = reads_only = True

    def __init__(self, objective):
        self._objective, self.points, self.gradients, self.rows = objective, [], [], []
        for name in ("x0", "blocks", "dtype", "full", "end"):
            setattr(self, name, getattr(objective, name))

    def __call__(self, points):
        return self._objective(points)

    def begin(self, generation, rng):
        self._objective.begin(generation, rng)
        self.rows.append(self._objective._taken.clone())

    def value_and_gradient(self, points):
        values, gradients = self._objective.value_and_gradient(points)
        self.points.append(points.copy())
        self.gradients.append(gradients.copy())
        return values, gradients


def by_torch(start, rows, dtype, make):
    """The weights before each step, and the losses and gradients there: (steps, n)."""
    model, (inputs, targets) = network(dtype), labelled(dtype)
    nn.utils.vector_to_parameters(torch.from_numpy(start).to(dtype), model.parameters())
    optimizer, points, slopes = make(model.parameters()), [], []
    for chosen in rows:
        points.append(nn.utils.parameters_to_vector(model.parameters()).detach().double().numpy())
        optimizer.zero_grad()
        F.cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
        slopes.append(torch.cat([p.grad.flatten() for p in model.parameters()]).double().numpy())
        optimizer.step()
    return np.array(points), np.array(slopes)


@pytest.mark.parametrize("sampling", ["independent", "epochs"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("method", "make"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_one_run_is_a_training_loop_bit_for_bit(method, make, dtype, sampling):
    objective = ModelObjective(
        network(dtype), F.cross_entropy, *labelled(dtype), batch_size=SIZE, sampling=sampling
    )
    fun = Recording(objective)
    options = {"lr": 0.01}
    minimize(fun, fun.x0, method=method, options=options, budget=STEPS, seed=3)
    expected, slopes = by_torch(fun.x0, fun.rows, dtype, lambda p: make(p, lr=0.01))
    assert len(fun.points) > 0.8 * STEPS
    np.testing.assert_array_equal(np.concatenate(fun.gradients), slopes)
    np.testing.assert_array_equal(np.concatenate(fun.points), expected)


def test_many_runs_at_once_are_as_many_training_loops():
    objective = ModelObjective(network(), F.cross_entropy, *labelled(), batch_size=SIZE)
    fun, k = Recording(objective), 16
    starts = fun.x0 + 0.1 * np.random.default_rng(0).standard_normal((k, len(fun.x0)))
    options = {"lr": 0.01}
    minimize(fun, starts, method="adam", options=options, budget=k * (STEPS + 2), seed=3)
    points = np.array(fun.points[: STEPS + 1])  # the last batch may be cut
    assert points.shape[:2] == (STEPS + 1, k)
    rows = fun.rows[: STEPS + 1]
    for run in range(k):
        expected, _ = by_torch(
            starts[run], rows, torch.float64, lambda p: torch.optim.Adam(p, lr=0.01)
        )
        np.testing.assert_allclose(points[:, run], expected, rtol=0, atol=1e-12)


# Epochs


def drawn(seed=0, generations=39, **settings):
    """The minibatches of a run."""
    objective = ModelObjective(network(), F.cross_entropy, *labelled(), **settings)
    rng = np.random.default_rng(seed)
    rows = []
    for generation in range(generations):
        objective.begin(generation, rng)
        rows.append(objective._taken.tolist())
    return rows


def test_in_an_epoch_each_sample_comes_once_in_a_new_order():
    rows = drawn(batch_size=SIZE, sampling="epochs")
    per_epoch = -(-SAMPLES // SIZE)
    assert [len(r) for r in rows] == ([SIZE] * (per_epoch - 1) + [SAMPLES % SIZE]) * 3
    epochs = [list(chain(*rows[i : i + per_epoch])) for i in range(0, len(rows), per_epoch)]
    assert all(sorted(epoch) == list(range(SAMPLES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_epochs_follow_from_the_generator_and_begin_anew_with_each_run():
    settings = {"batch_size": SIZE, "sampling": "epochs"}
    assert drawn(**settings) == drawn(**settings) != drawn(seed=1, **settings)
    objective = ModelObjective(network(), F.cross_entropy, *labelled(), **settings)
    for _ in range(2):  # what the run before has left of its epoch makes no difference
        found = []
        rng = np.random.default_rng(0)
        for generation in range(5):
            objective.begin(generation, rng)
            found.append(objective._taken.tolist())
        assert found == drawn(generations=5, **settings)


def test_stochastic_descent_takes_each_sample_once_an_epoch():
    rows = drawn(batch_size=1, sampling="epochs", generations=SAMPLES)
    assert sorted(chain(*rows)) == list(range(SAMPLES))


@pytest.mark.parametrize("plan", ["stack", "vmap", "loop"])
def test_the_smaller_last_minibatch_is_right_on_every_path(plan):
    inputs, targets = labelled()
    settings = {"batch_size": 60, "sampling": "epochs", "plan": plan}
    objective = ModelObjective(network(), F.cross_entropy, inputs, targets, **settings)
    points = objective.x0 + np.random.default_rng(0).standard_normal((12, objective.n))
    rng, sizes = np.random.default_rng(0), []
    for generation in range(5):
        objective.begin(generation, rng)
        rows = objective._taken
        sizes.append(len(rows))
        whole = ModelObjective(network(), F.cross_entropy, inputs[rows], targets[rows])
        np.testing.assert_allclose(objective(points), whole(points), rtol=1e-12)
        np.testing.assert_allclose(
            objective.value_and_gradient(points)[1],
            whole.value_and_gradient(points)[1],
            rtol=1e-9,
            atol=1e-12,
        )
    assert sizes == [60, 60, 60, 20, 60]


def test_every_method_sees_the_same_minibatches():
    seen = []
    for method, options in (("adam", {}), ("sgd", {}), ("cma", {"popsize": 6})):
        objective = ModelObjective(
            network(), F.cross_entropy, *labelled(), batch_size=SIZE, sampling="epochs"
        )
        fun = Recording(objective)
        minimize(fun, fun.x0, method=method, options=options, budget=120, seed=7)
        seen.append([rows.tolist() for rows in fun.rows][:10])
    assert seen[0] == seen[1] == seen[2]


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ValueError, match=r"sampling must be one of .*'epochs'.*; got 'epoch'"):
        ModelObjective(network(), F.cross_entropy, *labelled(), batch_size=5, sampling="epoch")


# Early stopping on the model's own validation data


def test_early_stopping_restores_the_weights_with_the_lowest_validation_loss():
    inputs, targets = labelled()
    noise = classes(40, 4)  # labels that nothing explains: it can only be overfitted
    held = normal(40, 8, dtype=torch.float64), noise
    objective = ModelObjective(
        network(), F.cross_entropy, inputs[:60], targets[:60], batch_size=SIZE, validation=held
    )
    arguments = {"method": "adam", "options": {"lr": 0.02}, "budget": 4000, "seed": 0}
    result = minimize(objective, objective.x0, validate_every=5, patience=10, **arguments)
    assert "stopped early" in result.message
    assert result.validation_loss == pytest.approx(objective.validate(result.x), rel=1e-12)
    assert result.validation_loss == result.history.trace.curves().validation_loss.min()
    assert result.fun == pytest.approx(objective.full(result.x), rel=1e-12)
    again = minimize(objective, objective.x0, validate_every=5, patience=10, **arguments)
    np.testing.assert_array_equal(again.x, result.x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_is_trained(dtype):
    inputs, targets = labelled(dtype)
    objective = ModelObjective(network(dtype), F.cross_entropy, inputs, targets)
    options = {"lr": 0.02}
    result = minimize(objective, objective.x0, method="adam", options=options, budget=60, seed=0)
    assert result.nfev == 60
    assert result.fun < 0.9 * objective.value_and_gradient(objective.x0[None])[0][0]


def test_validation_is_a_pair():
    with pytest.raises(TypeError, match=r"validation must be a pair, \(inputs, targets\)"):
        ModelObjective(network(), F.cross_entropy, *labelled(), validation=labelled()[0])
