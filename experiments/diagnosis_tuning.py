"""The runs on which the thresholds of the diagnosis were chosen; the test set has none of them."""

from functools import partial
from typing import Any

import numpy as np
from torch import nn

from blackbox import Result
from experiments.diagnosis_problems import (
    HEALTHY,
    Case,
    ackley,
    blobs,
    classifier,
    ellipsoid,
    failing,
    network,
    noisy,
    quiet,
    rastrigin,
    regressor,
    rosenbrock,
    rosenbrock_slope,
    sphere,
    waves,
)


def _blobs(minibatch: int | None = None, wrong: float = 0.0, **settings: Any) -> Any:
    data = blobs(11, 300, 8, 4, wrong=wrong)
    return classifier(network([8, 16, 4], 1), data, batch_size=minibatch, **settings)


def _trained(lr: float, method: str = "adam", steps: int = 400, **given: Any) -> Result:
    objective = _blobs(given.pop("minibatch", None), given.pop("wrong", 0.0))
    options = {"lr": lr} | given.pop("options", {})
    return quiet(
        objective, objective.x0, method=method, options=options, budget=steps, seed=0, **given
    )


def _waves(lr: float, steps: int = 500, activation: Any = nn.Tanh, **options: Any) -> Result:
    objective = regressor(network([1, 20, 20, 1], 2, activation), waves(12, 80))
    return quiet(
        objective, objective.x0, method="adam", options={"lr": lr} | options, budget=steps, seed=0
    )


def _deep(activation: Any, depth: int, method: str, bias: float | None = None, **o: Any) -> Result:
    model = network([8, *[16] * depth, 4], 3, activation, bias)
    objective = classifier(model, blobs(13, 200, 8, 4))
    return quiet(objective, objective.x0, method=method, options=o, budget=300, seed=0)


def _overfit(patience: int | None = None) -> Result:
    data, other = blobs(14, 60, 10, 3, 1.0, 0.4), blobs(14, 400, 10, 3, 1.0, 0.4)
    objective = classifier(network([10, 64, 3], 4), data, validation=other)
    every = {"validate_every": 10, "patience": patience}
    return quiet(
        objective, objective.x0, method="adam", options={"lr": 0.02}, budget=600, seed=0, **every
    )


def _regularized() -> Result:
    data, other = blobs(15, 400, 6, 3), blobs(15, 400, 6, 3)
    objective = classifier(network([6, 8, 3], 4), data, validation=other, batch_size=50)
    options = {"lr": 0.02, "schedule": "cosine"}
    return quiet(
        objective, objective.x0, method="adam", options=options, budget=600, seed=0,
        validate_every=10,
    )  # fmt: skip


def _root(x: Any) -> tuple[float, Any]:
    """A function whose gradient is sometimes NaN where its value is fine."""
    slope = 2 * x
    if int(abs(x[0]) * 1e6) % 3 == 0:
        slope = slope * np.nan
    return float(x @ x), slope


def _cliff(x: Any) -> float:
    """No values in half of the space."""
    return float(np.sum((x - 1) ** 2)) if x[0] < 0.5 else float("nan")


def _case(name: str, expected: str, fun: Any, *given: Any, **named: Any) -> Case:
    return Case(name, expected, partial(quiet, fun, *given, seed=named.pop("seed", 0), **named))


def _healthy() -> list[Case]:
    start = [2.0, -1.0, 1.5, 0.5]
    pushed = np.array([1.0, -2.0, 0.5, -0.3])
    return [
        _case("cma, sphere", HEALTHY, sphere, start, method="cma"),
        _case("cma, ellipsoid", HEALTHY, ellipsoid(1e4), np.ones(8), method="cma"),
        _case("cma, offset", HEALTHY, ellipsoid(10, 1, 1000), start, method="cma", budget=3000),
        _case("cma, ackley", HEALTHY, ackley, start, method="cma"),
        _case("de, sphere", HEALTHY, sphere, method="differential_evolution", bounds=[(-5, 5)] * 4),
        _case("de, ackley", HEALTHY, ackley, method="differential_evolution", bounds=[(-5, 4)] * 4),
        _case(
            "de, no polish", HEALTHY, ellipsoid(10, 0.5), method="differential_evolution",
            bounds=[(-5, 5)] * 3, options={"polish": False},
        ),
        _case("pso, sphere", HEALTHY, sphere, method="pso", bounds=[(-5, 5)] * 5),
        _case("pso, ackley", HEALTHY, ackley, method="pso", bounds=[(-5, 4)] * 3),
        _case("pyswarm, ellipsoid", HEALTHY, ellipsoid(10), method="pyswarm", bounds=[(-5, 4)] * 3),
        _case("nelder-mead", HEALTHY, ellipsoid(10), start[:3], method="nelder-mead"),
        _case("powell", HEALTHY, ellipsoid(100), start, method="powell"),
        _case("l-bfgs-b, differences", HEALTHY, rosenbrock, start, method="l-bfgs-b"),
        _case("bfgs, jac", HEALTHY, rosenbrock, start, method="bfgs", jac=rosenbrock_slope),
        _case("trust-constr", HEALTHY, sphere, start, method="trust-constr"),
        _case("cobyqa", HEALTHY, ellipsoid(10), start, method="cobyqa"),
        _case("direct", HEALTHY, ellipsoid(10, 0.3), method="direct", bounds=[(-2, 3)] * 2),
        _case("dual_annealing", HEALTHY, rastrigin, method="dual_annealing", bounds=[(-5, 4)] * 3),
        _case(
            "basinhopping", HEALTHY, rastrigin, start[:2], method="basinhopping",
            options={"niter": 30},
        ),
        _case(
            "slsqp, constraint", HEALTHY, sphere, start, method="slsqp",
            constraints={"type": "ineq", "fun": lambda x: x[0] + x[1] - 1},
        ),
        _case(
            "cma, constraint", HEALTHY, sphere, start, method="cma", budget=4000,
            constraints={"type": "ineq", "fun": lambda x: x[0] + x[1] - 1},
        ),
        _case("random, one variable", HEALTHY, sphere, method="random", bounds=(-1, 1), x0=[0.7],
              budget=1000),
        _case("chain", HEALTHY, rosenbrock, start, method="cma+l-bfgs-b", budget=2500),
        _case(
            "bipop-cma, rastrigin", HEALTHY, rastrigin, [3.0, -2.0], method="bipop-cma",
            budget=20_000, target=1e-8,
        ),
        _case("cma, noise by announcement", HEALTHY, noisy(ellipsoid(10), 0.1, 1), start,
              method="cma", noisy=True, budget=3000),
        _case("cma, noise", HEALTHY, noisy(ellipsoid(10), 0.05, 2), start, method="cma",
              budget=3000),
        _case("cma, few failures", HEALTHY, failing(sphere, 0.03, 3), start, method="cma"),
        _case(
            "l-bfgs-b, active bounds", HEALTHY, lambda x: float(np.sum((x - pushed) ** 2)),
            np.ones(4), method="l-bfgs-b", bounds=[(0, None)] * 4,
        ),
        _case(
            "cma, active bounds", HEALTHY, lambda x: float(np.sum((x - pushed) ** 2)),
            np.ones(4), method="cma", bounds=[(0, 5)] * 4,
        ),
        _case("several starts", HEALTHY, rosenbrock, np.random.default_rng(5).normal(size=(4, 3)),
              method="bfgs"),
        Case("adam, cosine", HEALTHY, partial(_trained, 0.02, options={"schedule": "cosine"})),
        Case("adam, constant", HEALTHY, partial(_trained, 0.02)),
        Case("adam, waves", HEALTHY, partial(_waves, 0.01, 1500, schedule="cosine")),
        Case("adam, minibatch", HEALTHY, partial(_trained, 0.01, minibatch=32)),
        Case(
            "adam, minibatch, warm-up", HEALTHY,
            partial(_trained, 0.02, minibatch=32, options={"schedule": "warmup(10%) + cosine"}),
        ),
        Case("sgd, minibatch", HEALTHY, partial(_trained, 0.2, "sgd", minibatch=32)),
        Case(
            "sgd, momentum", HEALTHY, partial(_trained, 0.1, "sgd", options={"momentum": 0.9})
        ),
        Case("deep, relu", HEALTHY, partial(_deep, nn.ReLU, 3, "adam", lr=0.01)),
        Case("sgd, clipping", HEALTHY,
             partial(_trained, 0.2, "sgd", minibatch=32, options={"clip_norm": 1.0})),
        Case("patience", HEALTHY, partial(_overfit, 8)),
        Case("validation", HEALTHY, _regularized),
        _case(
            "adam, three starts", HEALTHY, ellipsoid(10), np.eye(3) + 1, method="adam",
            options={"lr": 0.05, "schedule": "cosine"}, budget=6000,
            jac="2-point",
        ),
    ]  # fmt: skip


def _faulty() -> list[Case]:
    start = np.array([2.0, -1.0, 1.5, 0.5])
    bowl = ellipsoid(10, 0.5)
    far = lambda x: float(np.sum((x - 3) ** 2))  # noqa: E731
    return [
        _case("nelder-mead, short", "unfinished", rosenbrock, np.zeros(8), method="nelder-mead",
              budget=300),
        _case("cma, short", "unfinished", ellipsoid(100), np.ones(20), method="cma", budget=800),
        _case("l-bfgs-b, short", "unfinished", rosenbrock, np.full(12, -1.0), method="l-bfgs-b",
              budget=400),
        _case("de, short", "unfinished", rosenbrock, method="differential_evolution",
              bounds=[(-5, 5)] * 8, budget=2500),
        _case("cobyqa, short", "unfinished", rosenbrock, np.full(8, -1.0), method="cobyqa",
              budget=60),
        Case("adam, short", "unfinished", partial(_trained, 0.003, steps=150)),
        Case("adam, minibatch, short", "unfinished",
             partial(_trained, 0.002, steps=250, minibatch=32)),
        Case("adam, far too high", "diverging", partial(_waves, 1.0)),
        _case("adam, high", "oscillating", lambda x: (float(x @ x), 2 * x), start, method="adam",
              jac=True, options={"lr": 3.0, "betas": (0.5, 0.9)}, budget=300),
        Case("adam, minibatch, high", "oscillating",
             partial(_trained, 0.7, steps=600, minibatch=32, wrong=0.3), ("diverging",)),
        _case("sgd, kink", "oscillating", lambda x: (float(np.abs(x).sum()), np.sign(x)),
              start, method="sgd", jac=True, options={"lr": 0.7}, budget=300),
        _case("constant, cma", "flat", lambda x: 1.0, start, method="cma", budget=500),
        _case("constant, nelder-mead", "flat", lambda x: 0.0, start, method="nelder-mead"),
        _case("tiny scale, l-bfgs-b", "flat", lambda x: float(np.sum((x / 1e8 - 1) ** 2)), start,
              method="l-bfgs-b"),
        _case("tiny scale, adam", "flat",
              lambda x: (float(np.sum((x / 1e8 - 1) ** 2)), 2e-8 * (x / 1e8 - 1)), start,
              method="adam", jac=True, budget=500),
        Case("vanishing", "flat", partial(_deep, nn.Sigmoid, 8, "sgd", lr=0.1)),
        Case("dead", "flat", partial(_deep, nn.ReLU, 2, "adam", -30.0, lr=0.001)),
        _case("sgd, too high", "diverging", lambda x: (float(x @ (x * [1, 5, 20, 90])), 2 * x *
              np.array([1, 5, 20, 90])), start, method="sgd", jac=True, options={"lr": 0.05},
              budget=200),
        Case("sgd, network, too high", "diverging",
             partial(_waves_sgd, 3.0)),
        _case("adam, wrong sign", "diverging", lambda x: (float(x @ x), -2 * x), start,
              method="adam", jac=True, options={"lr": 0.05}, budget=300),
        _case("no lower bound, cma", "diverging", lambda x: float(x.sum() - x[0] ** 2), start,
              method="cma", budget=2000),
        _case("no lower bound, nelder-mead", "diverging", lambda x: float(x.sum()), start,
              method="nelder-mead"),
        Case("learned by heart", "overfitting", _overfit),
        _case("box, cma", "at_bound", far, np.zeros(3), method="cma", bounds=(-1, 1)),
        _case("box, adam", "at_bound", far, np.zeros(3), method="adam", bounds=(-1, 1),
              options={"lr": 0.05}, budget=1000),
        _case("box, de", "at_bound", bowl, method="differential_evolution",
              bounds=[(1, 4), (-4, 4), (-4, 4)]),
        _case("cliff", "failures", _cliff, [-0.5, 0.5, 3.0], method="cma", budget=1500),
        _case("random failures", "failures", failing(bowl, 0.3, 7), start, method="cma"),
        _case("all failed", "failures", lambda x: float("nan"), start, method="nelder-mead",
              budget=500),
        _case("pso, greedy", "premature", ellipsoid(100, 1.5), method="pso",
              bounds=[(-5, 5)] * 10,
              options={"swarmsize": 15, "omega": 0.1, "phip": 0.2, "phig": 0.6}, budget=3000),
        _case("de, few", "premature", ellipsoid(100, 1.5), method="differential_evolution",
              bounds=[(-5, 5)] * 10,
              options={"popsize": 1, "mutation": 0.3, "recombination": 0.9, "polish": False},
              budget=5000),
        _case("cma, local, with target", "premature", rastrigin, np.full(5, 3.0), method="cma",
              options={"sigma0": 0.1}, target=1e-3, budget=10_000),
        _case("noise, cma", "noise", noisy(sphere, 10.0, 4), np.full(4, 0.5), method="cma",
              budget=1000),
        _case("noise, nelder-mead", "noise", noisy(sphere, 5.0, 5), np.full(3, 0.5),
              method="nelder-mead", budget=300),
        Case("noise, sgd", "noise", partial(_trained, 1e-4, "sgd", minibatch=2)),
        _case("gradients that are NaN", "skipped", _root, start, method="adam", jac=True,
              options={"lr": 0.01}, budget=600),
        Case("clip_norm far too low", "clipped",
             partial(_trained, 0.1, "sgd", options={"clip_norm": 1e-3}), ("slow", "unfinished")),
        Case("adam, low", "slow", partial(_trained, 1e-6)),
        Case("sgd, low", "slow", partial(_trained, 1e-4, "sgd")),
        _case("infeasible", "infeasible", sphere, start[:2], method="nelder-mead", budget=300,
              constraints=[{"type": "ineq", "fun": lambda x: x[0] - 1},
                           {"type": "ineq", "fun": lambda x: -1 - x[0]}]),
        _case("nine evaluations", "too_short", rosenbrock, start, method="nelder-mead", budget=9),
        _case("two generations", "too_short", rosenbrock, start, method="cma", budget=17),
    ]  # fmt: skip


def _waves_sgd(lr: float) -> Result:
    objective = regressor(network([1, 20, 20, 1], 2), waves(12, 80))
    return quiet(objective, objective.x0, method="sgd", options={"lr": lr}, budget=300, seed=0)


def cases() -> list[Case]:
    """Return all of them, healthy ones first."""
    return _healthy() + _faulty()
