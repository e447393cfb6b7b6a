"""More runs on which the thresholds of the diagnosis were chosen."""

from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult
from torch import nn

from blackbox import Result
from experiments.diagnosis_problems import (
    HEALTHY,
    Array,
    Case,
    ackley,
    blobs,
    classifier,
    ellipsoid,
    failing,
    griewank,
    network,
    noisy,
    quiet,
    rastrigin,
    regressor,
    rosenbrock,
    sphere,
    styblinski,
    waves,
)

SEED = 20
"""Of data, models and runs, and from there."""


def zakharov(x: Array) -> float:
    """Return a bowl that gets steep far away."""
    along = float(0.5 * np.arange(1, len(x) + 1) @ x)
    return float(x @ x) + along**2 + along**4


def zakharov_slope(x: Array) -> Array:
    """Return its gradient."""
    weights = 0.5 * np.arange(1, len(x) + 1)
    along = float(weights @ x)
    slope: Array = 2 * x + (2 * along + 4 * along**3) * weights
    return slope


def soft(x: Array) -> tuple[float, Array]:
    """Return a smooth convex function, and its gradient."""
    matrix = np.sin(np.arange(6 * len(x)).reshape(6, len(x)) ** 1.3)
    z = matrix @ x + 1
    weights = np.exp(z - z.max())
    value = float(np.log(weights.sum()) + z.max() + 0.05 * x @ x)
    return value, matrix.T @ (weights / weights.sum()) + 0.1 * x


def kinked(x: Array) -> tuple[float, Array]:
    """Return a sum of absolute values, and a slope."""
    weights = np.arange(1.0, len(x) + 1)
    return float(weights @ np.abs(x - 0.3)), weights * np.sign(x - 0.3)


def steep(x: Array) -> tuple[float, Array]:
    """Return a quadratic of condition 60, and its gradient."""
    weights = np.linspace(1, 60, len(x))
    return float(weights @ x**2) / 2, weights * x


def least_squares(x: Array) -> float:
    """Return a residual whose least value has some variables below zero."""
    matrix = np.cos(np.arange(40).reshape(8, 5) ** 1.1)
    return float(np.sum((matrix @ (x - [1.0, -2.0, 0.5, -0.7, 1.4])) ** 2))


def own_method(fun: Any, x0: Array, args: tuple[Any, ...], **_: Any) -> OptimizeResult:
    """A method of a user's own: a pattern search."""
    x, step = np.array(x0, dtype=float), 1.0
    value = fun(x)
    while step > 1e-6:
        trials = [x + step * side * unit for unit in np.eye(len(x)) for side in (1, -1)]
        values = [fun(trial) for trial in trials]
        if min(values) < value:
            x, value = trials[int(np.argmin(values))], min(values)
        else:
            step /= 2
    return OptimizeResult(x=x, fun=value, success=True, message="the step is small enough")


def _letters(minibatch: int | None = None, wrong: float = 0.1, **settings: Any) -> Any:
    """A classifier of five clouds, a tenth of which are called by the wrong name."""
    data = blobs(SEED, 400, 6, 5, 1.5, wrong)
    return classifier(network([6, 24, 5], SEED, nn.ReLU), data, batch_size=minibatch, **settings)


def _train(
    objective: Any, method: str, steps: int, lr: Any, given: Any = None, **options: Any
) -> Result:
    return quiet(
        objective, objective.x0, method=method, options={"lr": lr} | options, budget=steps,
        seed=SEED, **(given or {}),
    )  # fmt: skip


def _learned(method: str, steps: int, lr: Any, minibatch: int | None = None, **o: Any) -> Result:
    return _train(_letters(minibatch), method, steps, lr, **o)


def _fitted(method: str, steps: int, lr: Any, samples: int = 60, **options: Any) -> Result:
    objective = regressor(network([1, 24, 24, 1], SEED + 1), waves(SEED, samples, 0.2))
    return _train(objective, method, steps, lr, **options)


def _pictures(steps: int, **options: Any) -> Result:
    """A small convolutional network on stripes, with validation data."""
    rng = np.random.default_rng(SEED)

    def stripes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = rng.integers(2, size=count)
        images = rng.standard_normal((count, 1, 8, 8))
        images[labels == 1, :, ::2] += 0.5
        images[labels == 0, :, :, ::2] += 0.5
        return torch.from_numpy(images).float(), torch.from_numpy(labels)

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 2)
        )
    objective = classifier(model, stripes(300), batch_size=50, validation=stripes(200))
    return _train(objective, "adam", steps, 0.01, {"validate_every": 10}, **options)


def _by_heart(method: str, lr: float, patience: int | None = None) -> Result:
    """A wide network on few points, many of which have the wrong label."""
    data, other = blobs(SEED + 2, 80, 12, 4, 0.8, 0.5), blobs(SEED + 2, 500, 12, 4, 0.8, 0.5)
    objective = classifier(network([12, 100, 4], SEED + 2, nn.ReLU), data, validation=other)
    return _train(objective, method, 500, lr, {"validate_every": 10, "patience": patience})


def _noisy_by_heart() -> Result:
    """A linear model with as many weights as samples, without gradients."""
    rng = np.random.default_rng(SEED)
    inputs, other = rng.standard_normal((12, 10)), rng.standard_normal((200, 10))
    targets, others = (z[:, 0] + 2.0 * rng.standard_normal(len(z)) for z in (inputs, other))
    return quiet(
        lambda w: float(np.mean((inputs @ w - targets) ** 2)), np.zeros(10), method="cma",
        validation=lambda w: float(np.mean((other @ w - others) ** 2)), validate_every=10,
        budget=4000, seed=SEED,
    )  # fmt: skip


def _deep(activation: Any, depth: int, method: str, lr: float, gain: float = 1.0) -> Result:
    model = network([6, *[12] * depth, 3], SEED + 3, activation)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(gain)
    return _train(classifier(model, blobs(SEED + 3, 150, 6, 3)), method, 250, lr)


def _killed() -> Result:
    """ReLU units whose biases have been pushed far below zero."""
    model = network([6, 12, 12, 3], SEED + 4, nn.ReLU, -12.0)
    return _train(classifier(model, blobs(SEED + 4, 150, 6, 3)), "rmsprop", 250, 1e-3)


def _away(x: Array) -> tuple[float, Array]:
    return float(np.sum((x - 4) ** 4)) / 100, (x - 4) ** 3 / 25


def _uphill(x: Array) -> tuple[float, Array]:
    value, slope = soft(x)
    return value, -slope


def _nowhere(x: Array) -> tuple[float, Array]:
    return np.nan, x


def _sometimes(x: Array) -> tuple[float, Array]:
    """A slope that is NaN wherever the second variable's digits say so."""
    value, slope = soft(x)
    return value, slope * np.nan if int(abs(x[1]) * 1e5) % 4 == 0 else slope


def _logarithm(x: Array) -> float:
    """A function of positive variables only."""
    return float(np.sum(x - np.log(x))) if (x > 0).all() else float("nan")


def _stubborn(x: Array) -> float:
    """A simulation that breaks down beyond a line."""
    if x[0] + x[1] > 0.5:
        raise ArithmeticError("no solution")
    return float(np.sum((x - 0.6) ** 2))


def _case(name: str, expected: str, fun: Any, *given: Any, also: Any = (), **named: Any) -> Case:
    named.setdefault("seed", SEED)
    return Case(name, expected, partial(quiet, fun, *given, **named), also)


def _healthy() -> list[Case]:
    start = np.array([1.5, -2.0, 0.7, 2.2, -0.4])
    box = [(-4.0, 5.0)]
    slope = {"jac": zakharov_slope}
    beyond = np.array([2.0, -3.0, 0.1])
    return [
        _case("sep-cma", HEALTHY, ellipsoid(100, 0.5), np.ones(12), method="sep-cma"),
        _case("vkd-cma", HEALTHY, zakharov, start, method="vkd-cma"),
        _case("ipop-cma", HEALTHY, griewank, start[:3], method="ipop-cma", budget=30_000,
              target=1e-7),
        _case("lq-cma", HEALTHY, ellipsoid(1000), start, method="lq-cma"),
        _case("cma in a box", HEALTHY, styblinski, start[:3], method="cma", bounds=box * 3),
        _case("cma, large offset", HEALTHY, lambda x: zakharov(x) - 5e4, start, method="cma"),
        _case("cma, funnel", HEALTHY, ackley, np.full(8, 1.7), method="cma"),
        _case("de, rand1bin", HEALTHY, rosenbrock, method="differential_evolution",
              bounds=box * 3, options={"strategy": "rand1bin"}),
        _case("de, integers", HEALTHY, lambda x: float(np.sum((x - [2, -1, 0.3]) ** 2)),
              method="differential_evolution", bounds=box * 3, integrality=[1, 1, 0]),
        _case("pso, ripples", HEALTHY, griewank, method="pso", bounds=box * 4,
              options={"swarmsize": 60}),
        _case("pyswarm", HEALTHY, sphere, method="pyswarm", bounds=box * 2),
        _case("tnc", HEALTHY, zakharov, start, method="tnc", **slope),
        _case("cg", HEALTHY, soft, start, method="cg", jac=True),
        _case("newton-cg", HEALTHY, soft, start, method="newton-cg", jac=True),
        _case("powell, two holes", HEALTHY, styblinski, start, method="powell"),
        _case("nelder-mead, bent", HEALTHY, rosenbrock, [-1.2, 1.0], method="nelder-mead"),
        _case("bobyqa, offset", HEALTHY, lambda x: zakharov(x) + 100, start[:3], method="bobyqa"),
        _case("shgo", HEALTHY, styblinski, method="shgo", bounds=box * 2),
        _case("dual_annealing, quartic", HEALTHY, styblinski, method="dual_annealing",
              bounds=box * 4, options={"maxiter": 200}),
        _case("slsqp, equality", HEALTHY, zakharov, start, method="slsqp",
              constraints={"type": "eq", "fun": lambda x: x.sum() - 1}),
        _case("cobyla, half-space", HEALTHY, sphere, start[:3], method="cobyla",
              constraints={"type": "ineq", "fun": lambda x: x[0] - 2 * x[1] - 1}),
        _case("pso, constraint", HEALTHY, sphere, method="pso", bounds=box * 2,
              constraints={"type": "ineq", "fun": lambda x: x[0] - 1}),
        _case("l-bfgs-b, not negative", HEALTHY, least_squares, np.ones(5), method="l-bfgs-b",
              bounds=[(0, None)] * 5),
        _case("de, corner", HEALTHY, lambda x: float(x.sum() + x @ x),
              method="differential_evolution", bounds=[(0, 3)] * 3),
        _case("adam, active bound", HEALTHY, lambda x: (float(np.sum((x - beyond) ** 2)),
              2 * (x - beyond)), np.ones(3), method="adam", jac=True, bounds=[(0, 4)] * 3,
              options={"lr": 0.05, "schedule": "cosine"}, budget=600),
        _case("restarts", HEALTHY, rastrigin, [2.2, -1.1], method="slsqp", bounds=box * 2,
              options={"restarts": 8}, budget=2000),
        _case("method of one's own", HEALTHY, ellipsoid(20, 0.2), start[:3], method=own_method),
        _case("chain of de and bfgs", HEALTHY, rosenbrock, method=["differential_evolution",
              "l-bfgs-b"], bounds=box * 4, budget=6000),
        _case("cma, one in 25 fails", HEALTHY, failing(zakharov, 0.04, SEED), start, method="cma"),
        _case("cma, small noise", HEALTHY, noisy(ellipsoid(5), 0.02, SEED), np.full(6, 2.0),
              method="cma", budget=3000),
        _case("nelder-mead, small noise", HEALTHY, noisy(ellipsoid(5), 1e-3, SEED), start[:3],
              method="nelder-mead", budget=200),
        _case("noise by announcement", HEALTHY, noisy(sphere, 0.2, SEED), start, method="cma",
              noisy=True, budget=4000),
        Case("adamw, minibatches", HEALTHY,
             partial(_learned, "adamw", 800, 0.02, 40, schedule="warmup(5%) + cosine")),
        Case("rmsprop, cosine", HEALTHY, partial(_learned, "rmsprop", 500, 0.01,
             schedule="cosine")),
        Case("sgd, Nesterov, exponential", HEALTHY,
             partial(_learned, "sgd", 800, 0.1, 40, momentum=0.9, nesterov=True,
                     schedule="exponential")),
        Case("nadam, waves", HEALTHY, partial(_fitted, "nadam", 1500, 0.01, schedule="cosine")),
        Case("adam, clipped now and then", HEALTHY,
             partial(_learned, "adam", 600, 0.02, 40, clip_norm=2.0, schedule="linear")),
        Case("one-cycle", HEALTHY, partial(_learned, "adamw", 500, 0.03, 50,
             schedule="one-cycle")),
        Case("lbfgs", HEALTHY, partial(_fitted, "lbfgs", 400, 0.5)),
        Case("convolution, validated", HEALTHY, partial(_pictures, 500, schedule="cosine")),
        Case("stopped early", HEALTHY, partial(_by_heart, "adamw", 0.01, 6)),
        Case("deep, ReLU", HEALTHY, partial(_deep, nn.ReLU, 4, "adam", 0.01)),
        Case("three learning rates", HEALTHY,
             partial(_learned, "adam", 1800, [1e-3, 1e-2, 3e-2], 50, schedule="cosine")),
        _case("rprop", HEALTHY, soft, start, method="rprop", jac=True, options={"lr": 0.01},
              budget=300),
    ]  # fmt: skip


def _faulty() -> list[Case]:
    start = np.array([1.5, -2.0, 0.7, 2.2, -0.4])
    box = [(-4.0, 5.0)]
    tiny = lambda x: float(np.sum((1e-9 * x - 2) ** 2)) + 3  # noqa: E731
    away = lambda x: float(np.sum((x - 4) ** 4))  # noqa: E731
    return [
        _case("sobol, two variables", "unfinished", ackley, method="sobol", bounds=[(-1, 2)] * 2,
              budget=2000),
        _case("sep-cma, short", "unfinished", rosenbrock, np.full(15, 2.0), method="sep-cma",
              budget=900),
        _case("nelder-mead, short", "unfinished", zakharov, np.full(6, 1.0), method="nelder-mead",
              budget=150),
        _case("cg, short", "unfinished", rosenbrock, np.full(10, -1.0), method="cg", budget=180),
        Case("adamw, short", "unfinished", partial(_learned, "adamw", 80, 0.003)),
        _case("rmsprop, constant", "oscillating", kinked, start, method="rmsprop", jac=True,
              options={"lr": 0.5}, budget=400),
        _case("sgd, at the edge", "oscillating", lambda x: (float(np.sum(np.log(np.cosh(20 * x)))),
              20 * np.tanh(20 * x)), start, method="sgd", jac=True, options={"lr": 0.03},
              budget=300),
        Case("adam, minibatches, high", "oscillating", partial(_learned, "adam", 600, 0.5, 40),
             ("diverging",)),
        Case("nadam, high", "oscillating", partial(_learned, "nadam", 400, 1.0), ("diverging",)),
        _case("plateau, de", "flat", lambda x: 7.0, method="differential_evolution",
              bounds=box * 3, budget=900),
        _case("tiny scale, bfgs", "flat", tiny, start, method="bfgs"),
        Case("small weights, deep", "flat", partial(_deep, nn.Tanh, 8, "sgd", 0.1, 0.3)),
        Case("saturated, deep", "flat", partial(_deep, nn.Sigmoid, 10, "adam", 1e-3)),
        Case("killed units", "flat", _killed),
        Case("sgd, momentum, too high", "diverging",
             partial(_fitted, "sgd", 300, 2.0, momentum=0.9)),
        _case("sgd, condition 60", "diverging", steep, start, method="sgd", jac=True,
              options={"lr": 0.1}, budget=150),
        _case("slope of the wrong sign", "diverging", _uphill, start,
              method="adamw", jac=True, options={"lr": 0.02}, budget=400),
        _case("no floor, sep-cma", "diverging", lambda x: float(x @ [1, 2, -1, 0, 1]), start,
              method="sep-cma", budget=1500),
        Case("labels by heart", "overfitting", partial(_by_heart, "adamw", 0.01)),
        Case("labels by heart, sgd", "overfitting", partial(_by_heart, "sgd", 0.5)),
        Case("noise by heart, cma", "overfitting", _noisy_by_heart),
        _case("small box, pso", "at_bound", away, method="pso", bounds=[(-1, 2)] * 3),
        _case("small box, l-bfgs-b", "at_bound", away, np.zeros(3), method="l-bfgs-b",
              bounds=(-1, 1)),
        _case("small box, sgd", "at_bound", _away, np.zeros(3), method="sgd", jac=True,
              bounds=(-1, 2), options={"lr": 0.02}, budget=500),
        _case("logarithm, de", "failures", _logarithm, method="differential_evolution",
              bounds=[(-3, 2)] * 3),
        _case("breaks down, cma", "failures", _stubborn, [-0.5, -0.5], method="cma",
              on_error="penalize"),
        _case("two in five fail, pso", "failures", failing(sphere, 0.4, SEED + 1), method="pso",
              bounds=box * 3),
        _case("nothing but NaN, adam", "failures", _nowhere, start, method="adam",
              jac=True, budget=200),
        _case("greedy swarm", "premature", rosenbrock, method="pso", bounds=box * 8,
              options={"swarmsize": 12, "omega": 0.05, "phip": 0.1, "phig": 0.7}),
        _case("greedy differences", "premature", zakharov, method="differential_evolution",
              bounds=box * 8, options={"popsize": 1, "mutation": 0.2, "polish": False}),
        _case("wrong hole, target", "premature", styblinski, np.full(4, 2.5), method="cma",
              options={"sigma0": 0.2}, target=-156.0),
        _case("wrong hole, sep-cma", "premature", rastrigin, np.full(6, 2.0), method="sep-cma",
              options={"sigma0": 0.2}, target=0.01),
        _case("noise, de", "noise", noisy(lambda x: sphere(x) / 100, 3.0, SEED),
              method="differential_evolution", bounds=box * 3, budget=1500),
        _case("noise, powell", "noise", noisy(sphere, 20.0, SEED), np.full(3, 0.7),
              method="powell", budget=400),
        _case("noise, cma, announced", "noise", noisy(sphere, 50.0, SEED), np.full(5, 0.5),
              method="cma", noisy=True, budget=2000),
        Case("single samples", "noise", partial(_learned, "sgd", 300, 2e-5, 1)),
        _case("slopes with holes", "skipped", _sometimes, start, method="adamw", jac=True,
              options={"lr": 0.02}, budget=400),
        Case("clipped to nothing", "clipped", partial(_learned, "sgd", 400, 1.0, 40,
             clip_norm=0.02), ("unfinished", "slow")),
        Case("clipped always", "clipped", partial(_learned, "sgd", 400, 5.0, clip_norm=0.005),
             ("unfinished", "slow")),
        Case("adamw, low", "slow", partial(_learned, "adamw", 300, 1e-6)),
        Case("sgd, minibatches, low", "slow", partial(_fitted, "sgd", 400, 3e-5)),
        _case("rmsprop, low", "slow", soft, start, method="rmsprop", jac=True,
              options={"lr": 1e-5}, budget=400),
        _case("impossible, cobyla", "infeasible", sphere, start[:2], method="cobyla",
              constraints=[{"type": "ineq", "fun": lambda x: x[0] + x[1] - 3},
                           {"type": "ineq", "fun": lambda x: 1 - x[0] - x[1]}]),
        Case("six steps", "too_short", partial(_learned, "adam", 6, 0.01)),
    ]  # fmt: skip


def cases() -> list[Case]:
    """Return all of them, healthy ones first."""
    return _healthy() + _faulty()
