"""Each rule of gradient descent beside torch: the same options, the same steps, bit for bit."""

import dataclasses
import importlib.metadata
import inspect

import numpy as np
import pytest
import torch

from blackbox import ALGORITHMS, minimize
from blackbox.algorithms.descent.habits import HABITS
from tests.blackbox.descents import (
    INSTALLED,
    Perceptron,
    build,
    rates,
    start,
    torch_class,
    torch_walk,
)

RULES = [name for name in INSTALLED if name != "torch"]
ELEMENTWISE = [name for name in RULES if not ALGORITHMS[name].load().per_tensor]
PER_TENSOR = [name for name in RULES if ALGORITHMS[name].load().per_tensor]
OTHERS = {
    "sgd": [{"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "dampening": 0.1}],
    "adagrad": [{"lr_decay": 0.01, "initial_accumulator_value": 0.1}],
    "adadelta": [{"rho": 0.8}],
    "rmsprop": [{"momentum": 0.9, "centered": True, "alpha": 0.9}],
    "rprop": [{"etas": (0.6, 1.3), "step_sizes": (1e-5, 0.5)}],
    "adam": [{"amsgrad": True, "betas": (0.8, 0.99)}],
    "adamw": [{"amsgrad": True, "weight_decay": 0.1}],
    "nadam": [{"momentum_decay": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}],
    "radam": [{"decoupled_weight_decay": True, "weight_decay": 0.1}],
    "adamax": [{"betas": (0.8, 0.99)}],
    "asgd": [{"lambd": 0.01, "alpha": 0.9, "t0": 3.0}],
    "adafactor": [{"d": 2.0, "beta2_decay": -0.6}],
    "muon": [{"adamw_lr": 0.01, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}],
    "lars": [{"weight_decay": 0.1, "nesterov": True}],
    "lamb": [{"weight_decay": 0.1, "weight_decouple": False}, {"rectify": True}],
    "ftrl": [{"lambda_1": 0.01, "lambda_2": 0.01, "beta": 1.0}],
    "shampoo": [{"momentum": 0.9, "preconditioning_compute_steps": 3}],
}
DECAYING = [name for name in RULES if "weight_decay" in ALGORITHMS[name].options()]
CASES = [
    *((name, {}) for name in INSTALLED),
    *((name, more) for name in RULES for more in OTHERS[name]),
    *((name, {"weight_decay": 0.05}) for name in DECAYING),
]
LEFT_OUT = {"params", "foreach", "fused", "maximize", "capturable", "differentiable", "kwargs"}


def arguments_of(kind):
    found = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    return {name: default for name, default in found.items() if name not in LEFT_OUT}


@pytest.mark.parametrize("name", [*RULES, "lbfgs"])
def test_options_are_the_rules_own_by_name_and_default(name):
    own = {key: v for key, v in ALGORITHMS[name].options().items() if key not in HABITS}
    expected = arguments_of(torch.optim.LBFGS if name == "lbfgs" else torch_class(name))
    if name == "adam":
        del expected["decoupled_weight_decay"]  # that is AdamW
    if name == "muon":
        adamw = arguments_of(torch.optim.AdamW) | {"lr": None}
        del adamw["amsgrad"]
        expected |= {f"adamw_{key}": value for key, value in adamw.items()}
    assert own == expected


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "more"), CASES)
def test_it_walks_as_a_plain_torch_loop(name, more, dtype):
    options, fun, x = rates(name) | more, Perceptron(dtype), start()
    result = minimize(fun, x, method=name, options=options, budget=25)
    assert np.array_equal(fun.walk(), torch_walk(name, x, dtype, 25, options))
    assert result.njev == result.nfev == 25
    assert len(np.unique(fun.walk(), axis=0)) >= 20


def stepped(name, whole, slopes, options):
    """Where rows of a tensor come to: stepped as one, or each alone."""
    tensor = torch.from_numpy(whole.copy())
    (optimizer,) = build(name, [tensor], options)
    for slope in slopes:
        tensor.grad = torch.from_numpy(slope.copy())
        optimizer.step()
    return tensor.numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "more"), [(n, more) for n in ELEMENTWISE for more in [{}, *OTHERS[n]]]
)
def test_an_elementwise_rule_steps_rows_as_each_alone(name, more, dtype):
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((5, 13)).astype(dtype)
    slopes = rng.standard_normal((40, 5, 13)).astype(dtype)
    options = rates(name) | more
    together = stepped(name, whole, slopes, options)
    for i, row in enumerate(whole):
        assert np.array_equal(stepped(name, row, slopes[:, i], options), together[i])


@pytest.mark.parametrize("name", [n for n in PER_TENSOR if n != "muon"])
def test_a_rule_of_tensors_does_not(name):
    rng = np.random.default_rng(0)
    whole, slopes = rng.standard_normal((5, 13)), rng.standard_normal((3, 5, 13))
    together = stepped(name, whole, slopes, rates(name))
    alone = [stepped(name, row, slopes[:, i], rates(name)) for i, row in enumerate(whole)]
    assert not np.allclose(together, alone)


# Muon


def test_without_matrices_muon_is_adamw():
    class Flat(Perceptron):
        blocks = ()

    walks = []
    for name in ("muon", "adamw"):
        fun = Flat()
        minimize(fun, start(), method=name, options={"lr": 0.05}, budget=20)
        walks.append(fun.walk())
    assert np.array_equal(*walks)
    assert "without matrices it is AdamW" in ALGORITHMS["muon"].summary


def test_a_schedule_keeps_the_ratio_of_muons_two_rates():
    def walk_of(halves):
        fun = Perceptron()
        options = {"lr": 0.02, "adamw_lr": 0.01, "schedule": halves}
        result = minimize(fun, start(), method="muon", options=options, budget=6)
        return fun.walk(), result.history.trace.curves().learning_rate

    walk, rate = walk_of(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5))
    assert np.allclose(rate, [0.02] * 3 + [0.01] * 3)
    plain = torch_walk("muon", start(), "float64", 4, {"lr": 0.02, "adamw_lr": 0.01})
    assert np.array_equal(walk[:4], plain)
    # The fourth step is half as long in all of the tensors that have just been moved by AdamW.
    settled, _ = walk_of(None)
    bias = slice(12, 16)
    assert np.allclose((walk[4] - walk[3])[bias], (settled[4] - settled[3])[bias] / 2, rtol=1e-3)


def test_muon_says_which_torch_it_needs(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.8.1+cpu")
    with pytest.raises(ImportError, match=r"pip install 'torch>=2\.9'"):
        minimize(Perceptron(), start(), method="muon", budget=3)


def test_every_class_is_a_frozen_recipe():
    for name in [*INSTALLED, "lbfgs"]:
        algorithm = ALGORITHMS[name].make({})
        with pytest.raises(dataclasses.FrozenInstanceError):
            algorithm.lr = 1.0
