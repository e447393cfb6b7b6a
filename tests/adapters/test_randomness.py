"""Passes that draw random numbers or behave as in training: who sees which numbers, what stays."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from adapters import ModelObjective
from blackbox import minimize
from tests.adapters.cases import (
    around,
    assert_close,
    assert_same,
    by_hand,
    normal,
    regression,
    snapshot,
    tutorial,
)

pytestmark = pytest.mark.filterwarnings("ignore::adapters.SlowPathWarning")


class Sampling(nn.Module):
    """A net that samples what it passes on, in any mode."""

    def __init__(self):
        super().__init__()
        self.mean, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.mean(x)
        return self.last(h + torch.randn_like(h))


def dropped():
    torch.manual_seed(0)
    return regression(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))


def sampled():
    torch.manual_seed(0)
    return regression(Sampling())


NOISY = [dropped, sampled]


@pytest.fixture(params=NOISY, ids=lambda kind: kind.__name__)
def setup(request):
    return request.param()


def noisy(setup, randomness, **settings):
    return ModelObjective(*setup, training=True, randomness=randomness, **settings)


def begun(objective, seed):
    objective.begin(0, np.random.default_rng(seed))
    return objective


def test_fixed_noise_makes_a_function(setup):
    before = snapshot(setup[0])
    objective = noisy(setup, "fixed", seed=7)
    assert objective.batching.path == "loop"
    assert "random numbers" in objective.batching.reason
    assert objective.begin is None
    points = around(objective, 5)
    values, gradients = objective.value_and_gradient(points)
    np.testing.assert_array_equal(objective(points), values)
    np.testing.assert_array_equal(objective.full(points), values)
    np.testing.assert_array_equal([objective(point) for point in points[::-1]], values[::-1])
    assert_same(setup[0], before)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        torch.manual_seed(7)
        expected, slopes = by_hand(*setup, point[None])
        assert_close(value, expected[0], torch.float64)
        assert_close(gradient, slopes[0], torch.float64)
    other = noisy(setup, "fixed", seed=8)
    assert not np.isclose(other(points), values).any()


def test_shared_noise_is_one_for_all_candidates_until_the_next_generation(setup):
    objective = noisy(setup, "shared")
    x = objective.x0
    generations = []
    for seed in range(5):
        values = begun(objective, seed)(np.tile(x, (4, 1)))
        assert len(set(values)) == 1
        assert objective(x) == objective.value_and_gradient(x)[0] == values[0]
        generations.append(values[0])
    assert len(set(generations)) == 5
    assert begun(objective, 2)(x) == generations[2]


def test_different_noise_is_new_for_each_candidate_and_repeats_from_the_same_generator(setup):
    objective = noisy(setup, "different")
    points = np.tile(objective.x0, (6, 1))
    first = begun(objective, 1)(points)
    assert len(set(first)) == 6
    assert not set(objective(points)) & set(first)
    np.testing.assert_array_equal(begun(objective, 1)(points), first)
    assert not set(begun(objective, 2)(points)) & set(first)
    values, _ = begun(objective, 1).value_and_gradient(points)
    np.testing.assert_allclose(values, first, rtol=1e-12)


@pytest.mark.parametrize("randomness", ["shared", "different"])
def test_full_has_the_seeds_own_noise_and_leaves_the_generations(setup, randomness):
    objective = noisy(setup, randomness, seed=7)
    fixed = noisy(setup, "fixed", seed=7)
    points = around(objective, 4)
    for seed in (1, 2):
        begun(objective, seed)
        np.testing.assert_array_equal(objective.full(points), fixed(points))
    first = begun(objective, 1)(points)
    begun(objective, 1).full(points)
    np.testing.assert_array_equal(objective(points), first)


@pytest.mark.parametrize("randomness", ["fixed", "shared", "different"])
def test_the_global_random_state_is_neither_read_nor_moved(setup, randomness):
    torch.manual_seed(1)
    objective = noisy(setup, randomness)
    points = around(objective, 3)
    values = objective(points)
    objective.value_and_gradient(points)
    if objective.begin is not None:
        begun(objective, 0)
    objective.full(points)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(1).get_state())
    torch.manual_seed(99)
    np.testing.assert_array_equal(noisy(setup, randomness)(points), values)


def test_a_pass_that_fails_leaves_the_random_state(setup):
    model, loss, inputs, targets = setup
    broken = []

    def failing(output, target):
        if broken:
            raise ZeroDivisionError
        return loss(output, target)

    objective = noisy((model, failing, inputs, targets), "shared")
    torch.manual_seed(1)
    broken.append(1)
    with pytest.raises(ZeroDivisionError):
        objective(objective.x0)
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(1).get_state())


def test_copies_go_on_with_the_same_noise(setup):
    objective = begun(noisy(setup, "different"), 3)
    points = around(objective, 3)
    objective(points)
    copies = copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))
    expected = objective(points)
    for other in copies:
        np.testing.assert_array_equal(other(points), expected)


@pytest.mark.parametrize("randomness", ["shared", "different"])
def test_a_search_under_noise_repeats_and_reports_the_seeds_own(setup, randomness):
    search = {"method": "cma", "budget": 60, "seed": 4, "options": {"popsize": 6}}
    objective = noisy(setup, randomness, plan="loop")
    result = minimize(objective, objective.x0, **search)
    assert result.fun == objective.full(result.x)
    again = noisy(setup, randomness, plan="loop")
    np.testing.assert_array_equal(minimize(again, again.x0, **search).x, result.x)
    with pytest.raises(ValueError, match="slsqp"):
        minimize(objective, objective.x0, method="slsqp")


def test_nothing_changes_where_nothing_is_drawn():
    for randomness in ("fixed", "shared", "different"):
        objective = ModelObjective(*dropped(), randomness=randomness)  # in eval mode
        assert objective.begin is None
        assert objective.batching.path == "stack"


def test_an_unknown_randomness_is_refused():
    with pytest.raises(ValueError, match=r"randomness must be one of .*; got 'none'"):
        ModelObjective(*dropped(), randomness="none")


def normalised():
    torch.manual_seed(0)
    setup = regression(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    setup[0](setup[2] + 1.0)  # running statistics of its own
    return setup


@pytest.mark.parametrize("plan", ["auto", "loop"])
@pytest.mark.parametrize("mode", [False, True])
def test_layers_work_as_in_training_or_in_evaluation(plan, mode):
    model, *rest = normalised()
    other = copy.deepcopy(model).train(mode)
    for given in (True, False):
        model.train(given)
        before = snapshot(model)
        for training in (mode, None):
            objective = ModelObjective(model, *rest, training=training, plan=plan)
            asked = given if training is None else mode
            expected, slopes = by_hand(copy.deepcopy(other).train(asked), *rest, TESTED)
            for _ in range(2):  # running statistics do not carry over
                assert_close(objective(TESTED), expected, torch.float64)
            assert_close(objective.value_and_gradient(TESTED)[1], slopes, torch.float64)
        assert_same(model, before)


TESTED = 0.5 * np.random.default_rng(0).standard_normal((7, 34))


def test_each_module_may_keep_its_own_mode():
    setup = dropped()
    setup[0].append(nn.BatchNorm1d(2).double())
    setup[0][2].eval()
    objective = ModelObjective(*setup, training=None)
    points = around(objective, 5)
    assert_close(objective(points), tutorial(*setup, points), torch.float64)
    frozen = ModelObjective(*setup)
    assert not np.isclose(frozen(points), objective(points)).any()


def test_what_an_objective_of_a_function_draws():
    inputs = normal(5, 3)

    def closure(model):
        return F.mse_loss(model(inputs), torch.randn(5, 2))

    objective = ModelObjective.from_function(nn.Linear(3, 2), closure, randomness="shared")
    x = objective.x0
    assert begun(objective, 1)(x) == objective(x) != begun(objective, 2)(x)
    assert objective.full(x) == objective.full(x)
    fixed = ModelObjective.from_function(nn.Linear(3, 2), closure)
    assert fixed.begin is None
    assert fixed(x) == fixed(x)
