import numpy as np
import pytest
import torch

from experiments.problems import PROBLEMS, article, find


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


@pytest.mark.parametrize("name", PROBLEMS)
def test_problem_keeps_its_word(name):
    problem = find(name)
    start, objective = problem.start(3), problem.make()
    assert problem.name == name
    assert start.shape == (problem.n,)
    np.testing.assert_array_equal(start, problem.start(3))
    assert not np.array_equal(start, problem.start(4))
    assert not np.array_equal(start, problem.start(3, 1))
    low, high = problem.bounds
    points = np.random.default_rng(0).uniform(low, high, (4, problem.n))
    values = objective(points)
    assert values.shape == (4,)
    assert (values >= problem.optimum).all()


def test_seed_42_gives_the_published_start():
    np.testing.assert_array_equal(find("article").start(42), article.start())


def test_unknown_problem_names_the_nearest():
    with pytest.raises(ValueError, match=r"'artcle' \(did you mean 'article'\?\)"):
        find("artcle")
