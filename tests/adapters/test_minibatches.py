"""Objectives over minibatches: what is drawn, on every path, and what `minimize` makes of it."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from adapters import ModelObjective
from blackbox import minimize
from tests.adapters.cases import around, assert_close, by_hand, classes, normal, regression

PATHS = ["stack", "vmap", "loop"]


def setup(rows=50):
    torch.manual_seed(0)
    return regression(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), rows=rows)


def begun(objective, generation=0, seed=3):
    objective.begin(generation, np.random.default_rng(seed))
    return objective


class Seeing:
    """A loss that notes which samples it is given, by their targets."""

    def __init__(self):
        self.seen = []

    def __call__(self, output, target):
        self.seen.append(target.flatten().tolist())
        return output.square().mean()


@pytest.mark.parametrize("plan", ["stack", "loop"])
def test_rows_are_distinct_the_same_for_all_candidates_and_new_each_time(plan):
    loss = Seeing()
    model, inputs = nn.Linear(3, 1), normal(50, 3)
    objective = ModelObjective(
        model, loss, inputs, torch.arange(50.0)[:, None], batch_size=7, plan=plan
    )
    generations = []
    rng = np.random.default_rng(0)
    for generation in range(40):
        objective.begin(generation, rng)
        loss.seen.clear()
        objective(around(objective, 3))
        assert len({tuple(rows) for rows in loss.seen}) == 1
        generations.append(loss.seen[0])
    assert all(len(rows) == len(set(rows)) == 7 for rows in generations)
    assert len({tuple(sorted(rows)) for rows in generations}) == 40
    assert {row for rows in generations for row in rows} == set(range(50))


def test_rows_follow_from_the_generator_alone():
    objective, other = (ModelObjective(*setup(), batch_size=7, seed=seed) for seed in (0, 1))
    points = around(objective, 12)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = begun(objective)(points)
    assert not np.allclose(begun(objective, seed=4)(points), first)
    np.testing.assert_array_equal(begun(objective, generation=9)(points), first)
    np.testing.assert_array_equal(begun(other)(points), first)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def batch_norm():
    torch.manual_seed(0)
    return regression(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2), rows=50)


def images():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return regression(*layers, nn.Linear(8, 2), shape=(1, 4, 3), rows=50)


def frozen():
    made = images()
    made[0][0].requires_grad_(False)
    return made


def with_loss(loss, targets):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    return model, loss, normal(50, 3, dtype=torch.float64), targets


def labelled(loss=F.cross_entropy):
    return with_loss(loss, classes(50, 4))


def soft():
    return with_loss(F.cross_entropy, torch.softmax(normal(50, 4, dtype=torch.float64), 1))


def each():
    return with_loss(nn.L1Loss(reduction="sum"), normal(50, 4, dtype=torch.float64))


class ByRows(nn.Module):
    """Reads how many samples there are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x).view(x.shape[0], -1) * x.size(0)


def by_rows():
    torch.manual_seed(0)
    return regression(ByRows(), rows=50)


KINDS = [setup, batch_norm, images, frozen, labelled, soft, each, by_rows]


@pytest.mark.parametrize("plan", PATHS)
def test_a_minibatch_stays_until_the_next(plan):
    objective = ModelObjective(*setup(), batch_size=7, plan=plan)
    points = around(objective, 12)
    for seed in (1, 2):
        values = begun(objective, seed=seed)(points)
        assert_close(objective(points), values, torch.float64)
        for _ in range(2):
            assert_close(objective.value_and_gradient(points)[0], values, torch.float64)
        assert_close(np.array([objective(point) for point in points]), values, torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore::adapters.SlowPathWarning")
def test_all_paths_give_what_a_loop_gives_on_the_rows(kind, training):
    made = kind()
    made[0].train(training)
    rows = np.random.default_rng(3).choice(50, 12, replace=False, shuffle=False)
    some = *made[:2], made[2][rows], made[3][rows]
    every = [
        ModelObjective(*made, batch_size=12, training=training, plan=plan)
        for plan in ("auto", "loop")
    ]
    if not (training and kind is batch_norm):
        every.append(ModelObjective(*made, batch_size=12, training=training, plan="vmap"))
    points = around(every[0], 200)
    for k in (3, 12, 200):
        expected = by_hand(*some, points[:k], gradients=False)[0]
        for objective in every:
            begun(objective, seed=9)(points[:k])  # memory of another minibatch
            assert_close(begun(objective)(points[:k]), expected, torch.float64)
    expected, slopes = by_hand(*some, points[:12])
    for objective in every:
        values, gradients = begun(objective).value_and_gradient(points[:12])
        assert_close(values, expected, torch.float64)
        assert_close(gradients, slopes, torch.float64)


@pytest.mark.parametrize("plan", PATHS)
def test_full_is_on_all_the_data_and_leaves_the_minibatch(plan):
    objective = ModelObjective(*setup(), batch_size=7, plan=plan)
    whole = ModelObjective(*setup(), plan=plan)
    assert whole.begin is None
    for k in (12, 200):
        points = around(objective, k)
        expected = whole(points)
        assert_close(objective(points), expected, torch.float64)  # before any generation
        some = begun(objective)(points)
        assert not np.allclose(some, expected)
        np.testing.assert_array_equal(objective.full(points), expected)
        np.testing.assert_array_equal(objective(points), some)
        assert objective.full(points[0]) == pytest.approx(expected[0], rel=1e-12)
        objective.end()
        np.testing.assert_array_equal(objective(points), expected)
        objective.end()


def test_full_leaves_the_minibatch_also_after_an_exception():
    objective = ModelObjective(*setup(), batch_size=7)
    points = around(objective, 3)
    some = begun(objective)(points)
    with pytest.raises(ValueError, match="points"):
        objective.full(points[:, 1:])
    np.testing.assert_array_equal(objective(points), some)


def test_copies_begin_with_all_the_data():
    objective = begun(ModelObjective(*setup(), batch_size=7))
    points = around(objective, 3)
    some, full = objective(points), objective.full(points)
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        np.testing.assert_array_equal(other(points), full)
        np.testing.assert_array_equal(begun(other)(points), some)
    np.testing.assert_array_equal(objective(points), some)


@pytest.mark.parametrize(("method", "options"), [("cma", {"popsize": 8}), ("adam", {"lr": 0.05})])
@pytest.mark.parametrize("plan", PATHS)
def test_a_search_on_minibatches_reports_the_full_loss(method, options, plan):
    model, _, inputs, _ = setup(200)
    targets = torch.tanh(inputs @ normal(3, 2, dtype=torch.float64))
    arguments = model, F.mse_loss, inputs, targets
    objective = ModelObjective(*arguments, batch_size=20, plan=plan)
    search = {"method": method, "options": options, "budget": 240, "seed": 5}
    result = minimize(objective, objective.x0, **search)
    assert result.fun == pytest.approx(objective.full(result.x), rel=1e-12)
    assert result.fun == pytest.approx(by_hand(*arguments, result.x[None])[0][0], rel=1e-12)
    assert objective(result.x) == pytest.approx(result.fun, rel=1e-12)  # all the data again
    assert result.fun < objective(objective.x0)
    again = ModelObjective(*arguments, batch_size=20, plan=plan)
    np.testing.assert_array_equal(minimize(again, again.x0, **search).x, result.x)
    np.testing.assert_array_equal(minimize(objective, objective.x0, **search).x, result.x)


def test_a_line_search_is_refused_with_the_way_out():
    objective = ModelObjective(*setup(), batch_size=7)
    with pytest.raises(ValueError, match=r"slsqp.*changes.*full data"):
        minimize(objective, objective.x0, method="slsqp")
    objective = ModelObjective(*setup(), batch_size=50)
    assert objective.begin is None  # that is all of them
    minimize(objective, objective.x0, method="slsqp", budget=3)


@pytest.mark.parametrize("size", [0, -1, 51])
def test_a_batch_size_out_of_range_is_refused(size):
    with pytest.raises(ValueError, match=f"batch_size={size} must be between 1 and the 50"):
        ModelObjective(*setup(), batch_size=size)


@pytest.mark.parametrize("size", [3.0, "3", True, np.array(3)])
def test_a_batch_size_that_is_no_int_is_refused(size):
    with pytest.raises(TypeError, match="batch_size must be an int or None"):
        ModelObjective(*setup(), batch_size=size)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.weight * 2


def test_data_without_samples_are_refused():
    for inputs in (None, {}, torch.tensor(1.0), "text"):
        with pytest.raises(TypeError, match="batch_size needs tensors whose first axis"):
            ModelObjective(Constant(), lambda o, t: o.sum(), inputs, batch_size=2)
    with pytest.raises(ValueError, match="inputs hold 50 samples, targets 49"):
        ModelObjective(Constant(), lambda o, t: o.sum(), [normal(50)], (normal(49),), batch_size=2)


def test_data_of_every_kind_are_cut_alike():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x["a"] + x["b"][0])

    torch.manual_seed(0)
    model, a, b, y = Both(), normal(30, 3), 2 * normal(30, 3), normal(30, 2)
    nested = ModelObjective(model, F.mse_loss, {"a": a.numpy(), "b": (b,)}, y, batch_size=5)
    plain = ModelObjective(model.layer, F.mse_loss, a + b, y.numpy(), batch_size=5)
    points = around(plain, 12)
    assert plain.batching.path == "stack"
    assert nested.batching.path == "vmap"
    assert_close(begun(nested)(points), begun(plain)(points), torch.float32)
    assert_close(nested.full(points), plain.full(points), torch.float32)


def test_a_loader_is_read_whole():
    made = setup()
    loader = DataLoader(TensorDataset(made[2], made[3]), batch_size=16, shuffle=True)
    loaded = ModelObjective(*made[:2], loader, batch_size=7)
    whole = ModelObjective(*made)
    points = around(whole, 12)
    assert_close(loaded.full(points), whole(points), torch.float64)
    some = begun(loaded)(points)
    assert not np.allclose(some, whole(points))
    np.testing.assert_array_equal(begun(loaded)(points), some)  # read once


def test_arrays_come_in_the_models_precision():
    model, loss, inputs, targets = setup()
    model.float()
    given = inputs.numpy(), targets.numpy()
    objective = ModelObjective(model, loss, *given)
    assert objective.batching.path == "stack"
    single = ModelObjective(model, loss, inputs.float(), targets.float())
    points = around(objective, 12)
    np.testing.assert_array_equal(objective(points), single(points))


def test_validation_is_on_its_own_data_without_minibatch_or_noise():
    model, loss, inputs, targets = setup()
    model.insert(1, nn.Dropout(0.5))
    held = inputs[30:], targets[30:].numpy()
    objective = ModelObjective(
        *(model, loss, inputs[:30], targets[:30]),
        batch_size=4,
        training=True,
        randomness="different",
        validation=held,
        plan="loop",
    )
    points = around(objective, 12)
    model.eval()
    expected = by_hand(model, loss, inputs[30:], targets[30:], points)[0]
    for _ in range(2):
        assert_close(begun(objective).validate(points), expected, torch.float64)
    assert objective.validate(points[0]) == pytest.approx(expected[0], rel=1e-12)
    with pytest.raises(ValueError, match="give validation="):
        ModelObjective(*setup()).validate(points)
