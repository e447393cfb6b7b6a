"""Every method on torch models, as a user would call it."""

import threading

import numpy as np
import pytest
import torch

from adapters import ModelObjective
from blackbox import ALGORITHMS, Optimizer, minimize
from experiments.problems import article
from tests.blackbox.conftest import EVERY_CASE
from tests.blackbox.descents import DESCENTS, rates

BOTH = EVERY_CASE | {"adam", "auto"}
BUDGETS = {"shgo": 1500, **dict.fromkeys(["cobyla", "cobyqa", "trust-constr"], 200)}
"""The first begins with all corners of the box; an evaluation of the others is dear."""


@pytest.fixture(scope="module")
def small_network():
    """A float32 perceptron on a curve."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    inputs = torch.linspace(-1, 1, 32)[:, None]
    return ModelObjective(model, torch.nn.functional.mse_loss, inputs, inputs**2)


@pytest.fixture
def objective(request, small_network):
    return article.objective() if request.param.startswith("article") else small_network


@pytest.mark.parametrize(
    ("objective", "method"),
    [
        # A network for each method, one by one; both for those that meet every case.
        pytest.param(
            name,
            method,
            # Its triangulation alone takes seconds.
            marks=[] if (i % 2 == j or method in BOTH) and method != "shgo" else pytest.mark.slow,
        )
        for i, method in enumerate([*ALGORITHMS, "auto"])
        for j, name in enumerate(["article, float64", "perceptron, float32"])
    ],
    indirect=["objective"],
)
def test_every_method_improves_a_model(objective, method):
    if method == "shgo" and objective.n > 12:
        pytest.skip("it joins all corners of the box with one another")
    options = {"random": {"popsize": 200}, "lars": {"lr": 0.5}}.get(method, {})
    if method in DESCENTS and not options:
        options = rates(method) | {"clip_norm": 1.0}  # slopes of 1e5 at the article's start
    start = article.start() if objective.n == article.N else np.clip(objective.x0, -1, 1)
    budget = BUDGETS.get(method, 600)
    result = minimize(
        objective, start, method=method, bounds=(-1, 1), budget=budget, seed=0, options=options
    )
    before = objective(start)
    # Random points rarely beat a start: it must at least not lose it.
    baseline = method != "auto" and ALGORITHMS[method].kind == "baseline"
    assert result.fun <= before if baseline else result.fun < 0.9 * before
    assert result.fun == pytest.approx(objective(result.x), rel=1e-5)
    assert np.all(np.abs(result.x) <= 1)
    assert result.nfev <= budget


@pytest.mark.parametrize("method", ["slsqp", "adam", "dual_annealing"])
def test_gradients_of_the_model_are_used_unless_forbidden(small_network, method):
    def run(jac):
        return minimize(
            small_network,
            small_network.x0,
            method=method,
            jac=jac,
            bounds=(-9, 9),
            budget=300,
            seed=0,
        )

    assert run(None).njev > 0
    assert run(None).history.stencil_count == 0
    assert run(False).njev == 0
    assert run(False).history.stencil_count > 0


def test_float32_stencils_take_steps_that_float32_can_see(small_network):
    result = minimize(small_network, small_network.x0, method="slsqp", jac=False)
    assert result.fun < 0.2 * small_network(small_network.x0)


def test_adam_walks_as_torch_does_in_the_models_own_precision(small_network):
    vector = torch.nn.Parameter(torch.tensor(small_network.x0, dtype=torch.float32))
    rule = torch.optim.Adam([vector], lr=0.05)
    for _ in range(20):
        point = vector.detach().double().numpy()
        _, gradient = small_network.value_and_gradient(point)
        vector.grad = torch.tensor(gradient, dtype=torch.float32)
        rule.step()
    seen = []
    with Optimizer("adam", small_network.x0, gradients=True, dtype=np.float32, lr=0.05) as opt:
        for _ in range(21):
            seen.append(opt.ask()[0])
            opt.tell(*small_network.value_and_gradient(seen[-1][None]))
    assert np.array_equal(seen[-1], vector.detach().double().numpy())


def test_many_starts_are_one_batch(small_network):
    starts = np.random.default_rng(0).normal(size=(5, small_network.n))
    alone = [
        minimize(small_network, start, method="adam", options={"lr": 0.05}, budget=50).fun
        for start in starts
    ]
    together = minimize(small_network, starts, method="adam", options={"lr": 0.05}, budget=250)
    assert together.fun == pytest.approx(min(alone), rel=1e-4)
    assert together.nit == 50


def test_the_best_weights_are_in_the_model_only_when_applied():
    objective = article.objective()
    model, _ = article.network()
    own = ModelObjective(model, torch.nn.functional.mse_loss, *article.network()[1:] * 2)
    before = [p.clone() for p in model.parameters()]
    result = minimize(own, own.x0, method="slsqp")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    own.apply(result.x)
    loss = torch.nn.functional.mse_loss(model(article.network()[1]), article.network()[1])
    assert loss.item() == pytest.approx(result.fun)
    assert objective(result.x) == pytest.approx(result.fun)
    assert threading.active_count() == 1
