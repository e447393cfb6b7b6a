"""The fixed set of runs on which the diagnosis is tested: healthy ones, and each kind of fault.

No threshold was chosen on any of them: those were other functions, data and seeds (see
`experiments.diagnosis_tuning` and `experiments.diagnosis_tuning_more`).
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from adapters import ModelObjective
from blackbox import Result
from experiments.diagnosis_problems import (
    HEALTHY,
    Array,
    Case,
    blobs,
    classifier,
    failing,
    network,
    noisy,
    quiet,
    regressor,
)

SEED = 71
"""Of data, models and runs, and from there."""

START = np.array([-1.1, 0.8, 2.4, -0.3])
BOX = [(-6.0, 3.0)]


def dixon(x: Array) -> float:
    """Return a narrow valley (Dixon and Price, 1989)."""
    return float((x[0] - 1) ** 2 + np.arange(2, len(x) + 1) @ (2 * x[1:] ** 2 - x[:-1]) ** 2)


def levy(x: Array) -> float:
    """Return a wavy bowl (Levy and Montalvo, 1985)."""
    w = 1 + (x - 1) / 4
    inner = np.sum((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2))
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + inner + last)


def schwefel(x: Array) -> float:
    """Return a sum of squares of partial sums, around (0.5, 0.5, ...)."""
    return float(np.sum(np.cumsum(x - 0.5) ** 2))


def powers(x: Array) -> float:
    """Return a sum of different powers: flatter and flatter at its optimum."""
    return float(np.sum(np.abs(x) ** np.linspace(2, 6, len(x))))


def holes(x: Array) -> float:
    """Return a bowl with many holes, none as deep as that at (1, 1, ...)."""
    return float(np.sum((x - 1) ** 2 + 6 * np.sin(3 * (x - 1)) ** 2))


def logistic(x: Array) -> tuple[float, Array]:
    """Return a logistic regression on twenty fixed samples, and its gradient."""
    rows = np.sin(np.arange(20 * len(x)).reshape(20, len(x)) * 1.7)
    signs = np.where(np.arange(20) % 3 == 0, -1.0, 1.0)
    z = signs * (rows @ x)
    slope: Array = -(rows * signs[:, None]).T @ (1 / (1 + np.exp(z))) / 20 + 0.02 * x
    return float(np.mean(np.logaddexp(0, -z)) + 0.01 * x @ x), slope


def valley(x: Array) -> tuple[float, Array]:
    """Return a quadratic of condition 400, and its gradient."""
    weights = np.geomspace(0.5, 200, len(x))
    return float(weights @ x**2) / 2, weights * x


def backwards(x: Array) -> tuple[float, Array]:
    """Return a function with the negative of its gradient."""
    value, slope = logistic(x)
    return value, -slope


def edge(x: Array) -> tuple[float, Array]:
    """Return the largest absolute value, and a slope."""
    k = int(np.abs(x).argmax())
    return float(np.abs(x[k])), np.eye(len(x))[k] * np.sign(x[k])


def beyond(x: Array) -> float:
    """Return a bowl whose centre lies far outside any box used here."""
    return float(np.sum((x - 20) ** 2))


def beyond_slope(x: Array) -> Array:
    """Return its gradient."""
    return 2 * (x - 20)


def faint(x: Array) -> tuple[float, Array]:
    """Return a bowl in units of ten million, and its gradient."""
    z = x / 1e7 - 1
    return float(z @ z), 2e-7 * z


def torn(x: Array) -> tuple[float, Array]:
    """Return a value, and a gradient that is NaN in a stripe in three."""
    value, slope = logistic(x)
    return value, slope * np.nan if int(np.floor(abs(x[0]) * 1e4)) % 3 == 1 else slope


def polluted(x: Array) -> float:
    """Return a value where all variables are below 0.2, and an error elsewhere."""
    if (x > 0.2).any():
        raise FloatingPointError("the solver did not converge")
    return schwefel(x)


def rooted(x: Array) -> float:
    """Return the sum of square roots of what may be negative."""
    with np.errstate(invalid="ignore"):
        return float(np.sum(np.sqrt(x) + (x - 0.1) ** 2))


def _train(objective: Any, method: str, steps: int, lr: Any, **options: Any) -> Result:
    given = {name: options.pop(name) for name in ("patience", "validate_every") if name in options}
    return quiet(
        objective, objective.x0, method=method, options={"lr": lr} | options, budget=steps,
        seed=SEED, **given,
    )  # fmt: skip


def _clouds(method: str, steps: int, lr: Any, minibatch: int | None = None, **o: Any) -> Result:
    """Three clouds that overlap, by a perceptron of two layers."""
    data = blobs(SEED, 500, 10, 3, 0.7)
    model = network([10, 20, 12, 3], SEED, nn.GELU)
    return _train(classifier(model, data, batch_size=minibatch), method, steps, lr, **o)


def _linear(method: str, steps: int, lr: Any, minibatch: int | None = None, **o: Any) -> Result:
    """A linear regression with noise."""
    rng = np.random.default_rng(SEED + 1)
    inputs = rng.standard_normal((240, 15))
    targets = inputs @ rng.standard_normal((15, 1)) + 0.5 * rng.standard_normal((240, 1))
    data = torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()
    objective = regressor(network([15, 1], SEED + 1), data, batch_size=minibatch)
    return _train(objective, method, steps, lr, **o)


def _code(method: str, steps: int, lr: Any, minibatch: int | None = None, **o: Any) -> Result:
    """An autoencoder of points near a plane."""
    rng = np.random.default_rng(SEED + 2)
    plane = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 12))
    points = torch.from_numpy(plane + 0.1 * rng.standard_normal(plane.shape)).float()
    model = network([12, 8, 2, 8, 12], SEED + 2)
    return _train(regressor(model, (points, points), batch_size=minibatch), method, steps, lr, **o)


def _memory(method: str, lr: float, width: int = 80, **given: Any) -> Result:
    """Few points of many features, a third of them under a wrong label."""
    data, other = blobs(SEED + 3, 50, 20, 3, 0.5, 0.33), blobs(SEED + 3, 400, 20, 3, 0.5, 0.33)
    objective = classifier(network([20, width, 3], SEED + 3), data, validation=other)
    return _train(objective, method, 450, lr, **({"validate_every": 15} | given))


def _curve(steps: int) -> Result:
    """A polynomial of high degree through few points, validated in between."""
    inputs = np.linspace(-1, 1, 14)
    targets = np.sin(3 * inputs) + 0.4 * np.random.default_rng(SEED).standard_normal(14)
    between = np.linspace(-0.95, 0.95, 60)
    basis, other = (np.polynomial.chebyshev.chebvander(z, 12) for z in (inputs, between))

    def value(x: Array) -> tuple[float, Array]:
        residual = basis @ x - targets
        return float(residual @ residual) / 14, 2 * basis.T @ residual / 14

    def validate(x: Array) -> float:
        return float(np.mean((other @ x - np.sin(3 * between)) ** 2))

    return quiet(
        value, np.zeros(13), method="nadam", jac=True, options={"lr": 0.02}, budget=steps,
        validation=validate, validate_every=20, seed=SEED,
    )  # fmt: skip


def _stack(activation: Any, depth: int, method: str, lr: float, gain: float | None = None) -> Any:
    model = network([5, *[10] * depth, 4], SEED + 4, activation)
    if gain is not None:
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(gain)
    data = blobs(SEED + 4, 200, 5, 4, 1.0)
    return _train(classifier(model, data), method, 300, lr)


def _drowned() -> Result:
    """ReLU units that a first layer full of large negative weights never wakes."""
    model = network([5, 10, 10, 4], SEED + 5, nn.ReLU, -25.0)
    return _train(classifier(model, blobs(SEED + 5, 200, 5, 4)), "sgd", 300, 0.05)


def _rootless() -> Result:
    """A penalty by the root of an exact zero: its gradient is NaN."""
    model = nn.Linear(3, 1, bias=False)
    inputs = torch.linspace(-1, 1, 90).reshape(30, 3)

    def closure(held: Any) -> Any:
        return (held(inputs) - 1).square().mean() + (held.weight[0, 1] * 0).square().sqrt()

    return _train(ModelObjective.from_function(model, closure), "adam", 200, 0.01)


def _case(name: str, expected: str, fun: Any, *given: Any, also: Any = (), **named: Any) -> Case:
    named.setdefault("seed", SEED)
    return Case(name, expected, partial(quiet, fun, *given, **named), also)


def _well(name: str, fun: Any, *given: Any, **named: Any) -> Case:
    return _case(name, HEALTHY, fun, *given, **named)


def _trained(name: str, train: Any, *given: Any, **named: Any) -> Case:
    return Case(name, HEALTHY, partial(train, *given, **named))


def _healthy() -> list[Case]:
    de = "differential_evolution"
    cosine = {"schedule": "cosine"}
    half = {"type": "ineq", "fun": lambda x: 1.0 - x[0] - x[1]}
    return [
        _well("cma, partial sums", schwefel, np.full(10, -2.0), method="cma"),
        _well("cma, powers", powers, np.full(6, 1.5), method="cma", budget=8000),
        _well("cma, two variables", levy, [3.0, -2.0], method="cma", bounds=BOX * 2),
        _well("sep-cma, offset", lambda x: powers(x) * 1e3 + 1e6, START, method="sep-cma"),
        _well("vkd-cma, partial sums", schwefel, np.full(20, 1.0), method="vkd-cma"),
        _well("bipop-cma, holes", holes, START, method="bipop-cma", bounds=BOX * 4,
              budget=40_000, target=1e-6),
        _well("de, levy", levy, method=de, bounds=BOX * 5),
        _well("de, valley, currenttobest", dixon, method=de, bounds=BOX * 3,
              options={"strategy": "currenttobest1bin"}),
        _well("pso, levy", levy, method="pso", bounds=BOX * 3, options={"swarmsize": 80}),
        _well("pyswarm, levy", levy, method="pyswarm", bounds=BOX * 2),
        _well("nelder-mead, levy", levy, START[:2], method="nelder-mead"),
        _well("cobyqa, valley", dixon, START[:3], method="cobyqa"),
        _well("bfgs, differences", schwefel, START, method="bfgs"),
        _well("l-bfgs-b, slopes", logistic, START, method="l-bfgs-b", jac=True),
        _well("trust-constr, half-space", schwefel, START, method="trust-constr",
              constraints=half),
        _well("cobyla, half-space", schwefel, START, method="cobyla", constraints=half),
        _well("de, half-space", levy, method=de, bounds=BOX * 2, constraints=half),
        _well("basinhopping, holes", holes, START[:2], method="basinhopping",
              options={"niter": 25}),
        _well("dual_annealing, holes", holes, method="dual_annealing", bounds=BOX * 3,
              options={"maxiter": 150}),
        _well("direct, levy", levy, method="direct", bounds=[(-6.0, 4.1)] * 2,
              budget=3000),
        _well("grid, one variable", lambda x: float((x[0] - 0.4) ** 2), method="grid",
              bounds=BOX, budget=400),
        _well("slsqp, several starts", dixon, np.random.default_rng(SEED).normal(size=(5, 3)),
              method="slsqp"),
        _well("slsqp, restarts", holes, START, method="slsqp", bounds=BOX * 4,
              options={"restarts": 20}, budget=4000),
        _well("chain", levy, method=["pso", "slsqp"], bounds=BOX * 4, budget=6000),
        _well("slsqp, bound is a law", lambda x: float(np.sum(np.exp(x) + x)), np.ones(4),
              method="slsqp", bounds=[(0, None)] * 4),
        _well("cma, bound is a law", lambda x: float(np.sum((x + 1) ** 2)), np.ones(3),
              method="cma", bounds=[(0, 2)] * 3),
        _well("sgd, bound is a law", lambda x: (float(np.sum((x - [-1, 1, 2]) ** 2)),
              2 * (x - [-1, 1, 2])), np.full(3, 0.5), method="sgd", jac=True,
              bounds=[(0, 5)] * 3, options={"lr": 0.1}, budget=300),
        _well("cma, one in 20 fails", failing(schwefel, 0.05, SEED), START, method="cma"),
        _well("cma, noise of a hundredth", noisy(schwefel, 0.05, SEED), np.full(5, 2.0),
              method="cma", budget=2500),
        _well("pso, noise", noisy(levy, 0.05, SEED), method="pso", bounds=BOX * 3, budget=3000),
        _well("noise by announcement", noisy(levy, 0.1, SEED), START, method="cma", noisy=True,
              budget=4000),
        _well("adam, logistic", logistic, START, method="adam", jac=True,
              options={"lr": 0.05}, budget=800),
        _well("adamax by differences", logistic_value, START, method="adamax",
              options={"lr": 0.1} | cosine, budget=3000),
        _trained("adam, clouds", _clouds, "adam", 600, 0.01, 50, **cosine),
        _trained("sgd, momentum, clouds", _clouds, "sgd", 800, 0.05, 50, momentum=0.9,
                 schedule="warmup(5%) + linear"),
        _trained("radam, all the data", _clouds, "radam", 400, 0.01, schedule="one-cycle"),
        _trained("asgd, regression", _linear, "asgd", 500, 0.1),
        _trained("adagrad, regression", _linear, "adagrad", 800, 0.5),
        _trained("rmsprop, regression, minibatches", _linear, "rmsprop", 800, 0.02, 30,
                 schedule="step"),
        _trained("regression, two rates", _linear, "adam", 2000, [0.03, 0.1], 40, **cosine),
        _trained("autoencoder", _code, "adamw", 1200, 0.01, 60, **cosine),
        _trained("autoencoder, lbfgs", _code, "lbfgs", 500, 0.5),
        _trained("stopped early", _memory, "adam", 0.01, patience=5),
        _trained("small network, validated", _memory, "sgd", 0.02, 2, weight_decay=0.1,
                 schedule="cosine"),
        _trained("deep, SiLU", _stack, nn.SiLU, 3, "adam", 0.02),
        _trained("clipping that seldom acts", _clouds, "adam", 600, 0.01, 50, clip_norm=5.0,
                 schedule="cosine"),
    ]  # fmt: skip


def logistic_value(x: Array) -> float:
    """Return the logistic regression's value alone."""
    return logistic(x)[0]


def _faulty() -> list[Case]:
    de = "differential_evolution"
    bad = np.full(12, 2.0)
    return [
        _case("cma, short", "unfinished", dixon, bad, method="cma", budget=900),
        _case("nelder-mead, short", "unfinished", schwefel, bad[:8], method="nelder-mead",
              budget=250),
        _case("l-bfgs-b, short", "unfinished", dixon, bad, method="l-bfgs-b", budget=130),
        _case("de, short", "unfinished", schwefel, method=de, bounds=BOX * 10, budget=2000),
        _case("lhs", "unfinished", levy, method="lhs", bounds=BOX * 3, budget=600),
        Case("adam, short", "unfinished", partial(_clouds, "adam", 60, 0.002)),
        Case("sgd, regression, short", "unfinished", partial(_linear, "sgd", 60, 0.01)),
        Case("autoencoder, short", "unfinished", partial(_code, "adam", 250, 0.003, 60)),
        _case("adam, edge", "oscillating", edge, START, method="adam", jac=True,
              options={"lr": 1.0}, budget=300),
        _case("adam, valley", "oscillating", valley, START, method="adam", jac=True,
              options={"lr": 4.0, "betas": (0.3, 0.5)}, budget=300),
        Case("adamw, minibatches, high", "oscillating", partial(_clouds, "adamw", 600, 0.3, 50),
             ("diverging",)),
        Case("rmsprop, regression, high", "oscillating", partial(_linear, "rmsprop", 500, 0.8),
             ("diverging",)),
        _case("constant, pso", "flat", lambda x: -3.0, method="pso", bounds=BOX * 3, budget=600),
        _case("constant, powell", "flat", lambda x: 0.25, START, method="powell"),
        _case("faint, slsqp", "flat", faint, START, method="slsqp", jac=True),
        _case("faint, rmsprop", "flat", faint, START, method="rmsprop", jac=True, budget=400),
        Case("sigmoids", "flat", partial(_stack, nn.Sigmoid, 9, "sgd", 0.3)),
        Case("small weights", "flat", partial(_stack, nn.Tanh, 6, "sgd", 0.2, 0.2)),
        Case("drowned", "flat", _drowned),
        _case("sgd, valley", "diverging", valley, START, method="sgd", jac=True,
              options={"lr": 0.02}, budget=200),
        Case("sgd, autoencoder, too high", "diverging", partial(_code, "sgd", 300, 5.0)),
        Case("sgd, regression, too high", "diverging", partial(_linear, "sgd", 200, 2.0, 30)),
        _case("backwards", "diverging", backwards, START, method="nadam", jac=True,
              options={"lr": 0.05}, budget=300),
        _case("no floor, cma", "diverging", lambda x: float(-np.sum(np.abs(x) ** 1.5)), START,
              method="cma", budget=3000),
        _case("no floor, cg", "diverging", lambda x: float(x.sum()), START, method="cg"),
        Case("by heart, adam", "overfitting", partial(_memory, "adam", 0.01)),
        Case("by heart, sgd", "overfitting", partial(_memory, "sgd", 0.5, momentum=0.9)),
        Case("by heart, polynomial", "overfitting", partial(_curve, 3000)),
        _case("small box, de", "at_bound", beyond, method=de, bounds=[(-1, 1)] * 4),
        _case("small box, slsqp", "at_bound", beyond, np.zeros(3), method="slsqp",
              bounds=[(-5, 5), (None, 3), (None, None)]),
        _case("small box, adam", "at_bound", lambda x: (beyond(x), beyond_slope(x)), np.zeros(2),
              method="adam", jac=True, bounds=(-1, 1), options={"lr": 0.1}, budget=300),
        _case("breaks down, de", "failures", polluted, method=de, bounds=BOX * 3,
              on_error="penalize"),
        _case("roots, cma", "failures", rooted, np.full(3, 0.5), method="cma"),
        _case("one in four fails, nelder-mead", "failures", failing(schwefel, 0.25, SEED), START,
              method="nelder-mead", budget=400),
        _case("only NaN, pso", "failures", lambda x: float("nan"), method="pso", bounds=BOX * 2,
              budget=500),
        _case("greedy swarm", "premature", schwefel, method="pso", bounds=BOX * 12,
              options={"swarmsize": 10, "omega": 0.1, "phip": 0.1, "phig": 0.8}),
        _case("greedy differences", "premature", dixon, method=de, bounds=BOX * 10,
              options={"popsize": 1, "mutation": 0.25, "polish": False}),
        _case("default swarm, 30 variables", "premature", schwefel, method="pso",
              bounds=BOX * 30, budget=8000),
        _case("wrong hole, cma", "premature", holes, np.full(5, -2.0), method="cma",
              options={"sigma0": 0.1}, target=1e-3),
        _case("noise, cma", "noise", noisy(schwefel, 40.0, SEED), np.full(4, 0.6), method="cma",
              budget=1200),
        _case("noise, nelder-mead", "noise", noisy(levy, 8.0, SEED), np.full(3, 0.8),
              method="nelder-mead", budget=300),
        _case("noise, pso", "noise", noisy(lambda x: levy(x) / 50, 2.0, SEED), method="pso",
              bounds=BOX * 3, budget=2000),
        Case("few samples", "noise", partial(_clouds, "adam", 300, 1e-6, 2)),
        Case("root of zero", "skipped", _rootless),
        _case("torn", "skipped", torn, START, method="sgd", jac=True, options={"lr": 0.05},
              budget=400),
        Case("clipped, clouds", "clipped", partial(_clouds, "sgd", 400, 1.0, 50, clip_norm=0.01)),
        Case("clipped, autoencoder", "clipped", partial(_code, "adam", 400, 0.005, 60,
             clip_norm=0.001)),
        Case("adam, low", "slow", partial(_clouds, "adam", 300, 1e-6)),
        Case("sgd, low, minibatches", "slow", partial(_linear, "sgd", 600, 2e-5, 120)),
        _case("nadam, low", "slow", logistic, START, method="nadam", jac=True,
              options={"lr": 1e-5}, budget=300),
        _case("impossible", "infeasible", schwefel, START[:2], method="slsqp",
              constraints=[{"type": "ineq", "fun": lambda x: x[0] - 2},
                           {"type": "ineq", "fun": lambda x: 1 - x[0]}]),
        Case("four steps", "too_short", partial(_clouds, "sgd", 4, 0.1)),
    ]  # fmt: skip


def cases() -> list[Case]:
    """Return all of them, healthy ones first."""
    return _healthy() + _faulty()
