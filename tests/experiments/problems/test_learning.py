import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score

from adapters import ParameterVector
from experiments.problems import article, digits, find, finetune, quantized

LEARNING = ["quantized", "finetune"]


def test_article_loss_at_start_is_the_published_one():
    objective = article.objective()
    assert objective(article.start()[None])[0] == pytest.approx(article.START_LOSS, rel=1e-13)


def test_article_leaves_global_random_streams_alone():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    article.objective()
    article.start()
    article.stream()
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_article_stream_stands_after_the_draw_of_the_start():
    rng = np.random.RandomState(42)
    np.testing.assert_array_equal(article.start(), 0.1 * rng.randn(10))
    assert article.stream().rand() == rng.rand()


def test_article_data_are_torchs_draw_after_the_model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        drawn_model = [torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2)]
        drawn = torch.randn(32, 2).double() * torch.tensor([1.0, 1000.0])
    model, data = article.network()
    torch.testing.assert_close(data, drawn, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip([model[0], model[2]], drawn_model, strict=True):
        assert torch.equal(ours.weight, theirs.weight.double())


def test_article_objective_is_the_loss_of_the_network_point_by_point():
    model, data = article.network()
    points = np.random.default_rng(0).normal(size=(5, 10))
    expected = []
    for x in points:
        torch.nn.utils.vector_to_parameters(torch.from_numpy(x), model.parameters())
        expected.append(torch.nn.functional.mse_loss(model(data), data).item())
    np.testing.assert_allclose(article.objective()(points), expected, rtol=1e-12)


def test_order_of_rows_changes_no_more_than_rounding():
    points = np.random.default_rng(1).normal(size=(3, 10))
    order = np.random.default_rng(2).permutation(article.ROWS)
    np.testing.assert_allclose(
        article.objective(order)(points), article.objective()(points), rtol=1e-12
    )


@pytest.mark.parametrize("name", LEARNING)
def test_learning_problems_leave_global_random_streams_alone(name):
    finetune._pretrained.cache_clear()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    problem = find(name)
    problem.make()
    problem.report(problem.start(0))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_digits_are_those_of_scikit_learn():
    images, labels = digits.load()
    own = load_digits()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(images.numpy() * 16, own.data)
    np.testing.assert_array_equal(labels.numpy(), own.target)


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    digits.load.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="pip install"):
        digits.load()
    for name in LEARNING:
        with pytest.raises(ValueError, match="pip install"):
            find(name)


def test_quantized_weights_are_three_levels_and_more_precision_changes_nothing():
    model = quantized.network()
    x = np.random.default_rng(0).uniform(*quantized.BOUNDS, quantized.N)
    ParameterVector(model).assign(x)
    levels = model[0].rounded(model[0].weight)
    assert set(levels.unique().tolist()) == {-0.5, 0.0, 0.5}
    objective = quantized.objective()
    rounded = 0.5 * np.clip(np.round(x / 0.5), -1, 1)
    assert objective(x[None])[0] == objective(rounded[None])[0]


def test_quantized_loss_is_the_rounded_networks_cross_entropy():
    x = np.random.default_rng(1).uniform(*quantized.BOUNDS, quantized.N)
    levels = 0.5 * np.clip(np.round(x / 0.5), -1, 1)
    first, bias, last, end = np.split(levels, [1024, 1040, 1200])
    own = load_digits()
    images, labels = own.data[:898] / 16, own.target[:898]
    scores = np.maximum(images @ first.reshape(16, 64).T + bias, 0) @ last.reshape(10, 16).T + end
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = -logs[np.arange(898), labels].mean()
    assert quantized.objective()(x[None])[0] == pytest.approx(expected, rel=1e-5)


def test_quantized_has_no_slope_anywhere():
    model = quantized.network()
    x = np.random.default_rng(2).uniform(*quantized.BOUNDS, quantized.N)
    ParameterVector(model).assign(x)
    images, labels = digits.load()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    assert all((weights.grad == 0).all() for weights in model.parameters())


def test_macro_f1_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    for classes in (2, 3, 10):
        scores = torch.randn(4, 40, classes, generator=generator)
        scores[1, :, 0] = -9  # a class that is never predicted
        labels = torch.randint(classes, (40,), generator=generator)
        labels[labels == classes - 1] = 0  # and one that never occurs
        expected = [
            1
            - f1_score(
                labels, one.argmax(-1), average="macro", zero_division=0, labels=range(classes)
            )
            for one in scores
        ]
        found = [finetune.missed_f1(one, labels).item() for one in scores]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_pretrained_network_knows_its_digits_but_not_when_out_of_focus():
    model = finetune.network()
    images, labels = digits.load()
    sharp = finetune.missed_f1(model(images[finetune.HELD_OUT]), labels[finetune.HELD_OUT])
    start = finetune.draw(np.random.default_rng(0))
    assert sharp.item() < 0.15
    assert finetune.report(start)["held-out F1"] < 0.75


def test_pretraining_gives_the_same_weights_each_time_and_hands_out_copies():
    start = finetune.draw(np.random.default_rng(0))
    ParameterVector(finetune.network()).assign(np.zeros(64 * 16 + finetune.N))
    np.testing.assert_array_equal(finetune.draw(np.random.default_rng(0)), start)
    finetune._pretrained.cache_clear()
    with torch.no_grad():
        np.testing.assert_array_equal(finetune.draw(np.random.default_rng(0)), start)


def test_fine_tuning_and_held_out_digits_are_not_those_of_the_pretraining():
    rows = range(len(digits.load()[1]))
    parts = [set(rows[part]) for part in (finetune.PRETRAINING, finetune.TUNING, finetune.HELD_OUT)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len(rows)


def test_fine_tuning_changes_biases_and_the_last_layer_alone():
    objective = finetune.objective()
    before = {k: v.clone() for k, v in finetune.network().state_dict().items()}
    after = objective.apply(objective.x0 + 1).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize("name", LEARNING)
def test_report_is_about_digits_that_the_objective_has_not_seen(name, monkeypatch):
    problem = find(name)
    x = np.random.default_rng(0).uniform(*problem.bounds, problem.n)
    value, reported = problem.make()(x[None])[0], problem.report(x)
    images, labels = digits.load()
    unseen = slice(quantized.TRAINING, None) if name == "quantized" else finetune.HELD_OUT
    spoilt = images.clone()
    spoilt[unseen] = images[unseen].flip(0)
    monkeypatch.setattr(digits, "load", lambda: (spoilt, labels))
    assert problem.make()(x[None])[0] == value
    assert problem.report(x) != reported


def test_seed_42_gives_the_published_start():
    np.testing.assert_array_equal(find("article").start(42), article.start())
