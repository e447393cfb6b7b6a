"""Small problems of which runs are made that go well, or wrong in a known way."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from adapters import ModelObjective
from blackbox import Result, minimize

Array = NDArray[np.float64]
Function = Callable[[Array], float]

HEALTHY = "healthy"


@dataclass(frozen=True)
class Case:
    """A run of which it is known what its diagnosis should be.

    Attributes
    ----------
    name
        What it is.
    expected
        The name of the finding that it should have; ``"healthy"`` for none that is a fault.
    make
        Makes the run.
    also
        Findings that are true of it as well.
    """

    name: str
    expected: str
    make: Callable[[], Result]
    also: tuple[str, ...] = ()


def quiet(fun: Any, *given: Any, **named: Any) -> Result:
    """Run `minimize` without its warnings: some of the faults are warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minimize(fun, *given, **named)


def sphere(x: Array) -> float:
    """Return the sum of squares."""
    return float(x @ x)


def ellipsoid(condition: float, shift: float = 0.0, offset: float = 0.0) -> Function:
    """Return a quadratic, turned and shifted."""

    def value(x: Array) -> float:
        z = (x - shift)[::-1] + 0.3 * np.roll(x - shift, 1)
        return float(condition ** np.linspace(0, 1, len(x)) @ z**2) + offset

    return value


def rosenbrock(x: Array) -> float:
    """Return a bent valley."""
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def rosenbrock_slope(x: Array) -> Array:
    """Return its gradient."""
    slope = np.zeros_like(x)
    inner = x[1:] - x[:-1] ** 2
    slope[:-1] = -400 * x[:-1] * inner - 2 * (1 - x[:-1])
    slope[1:] += 200 * inner
    return slope


def rastrigin(x: Array) -> float:
    """Return a bowl full of holes."""
    return float(10 * len(x) + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))


def ackley(x: Array) -> float:
    """Return a plain full of holes around a sharp funnel."""
    far = -20 * np.exp(-0.2 * np.sqrt(np.mean(x**2)))
    return float(far - np.exp(np.mean(np.cos(2 * np.pi * x))) + 20 + np.e)


def griewank(x: Array) -> float:
    """Return a bowl with ripples."""
    waves = np.prod(np.cos(x / np.sqrt(np.arange(1, len(x) + 1))))
    return float(1 + np.sum(x**2) / 4000 - waves)


def styblinski(x: Array) -> float:
    """Return a quartic with two holes a variable."""
    return float(np.sum(x**4 - 16 * x**2 + 5 * x) / 2)


def noisy(f: Function, deviation: float, seed: int) -> Function:
    """Return the function with normal noise, new in each evaluation."""
    rng = np.random.default_rng(seed)
    return lambda x: f(x) + deviation * float(rng.standard_normal())


def failing(f: Function, share: float, seed: int) -> Function:
    """Return the function where a share of the evaluations gives NaN."""
    rng = np.random.default_rng(seed)
    return lambda x: f(x) if rng.random() > share else float("nan")


def blobs(
    seed: int, samples: int, features: int, classes: int, apart: float = 2.0, wrong: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and labels: a cloud a class; a share of the labels is drawn at random."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.standard_normal((classes, features))
    labels = rng.integers(classes, size=samples)
    inputs = centres[labels] + rng.standard_normal((samples, features))
    mixed = np.where(rng.random(samples) < wrong, rng.integers(classes, size=samples), labels)
    return torch.from_numpy(inputs).float(), torch.from_numpy(mixed)


def waves(seed: int, samples: int, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a regression problem in one variable."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-2, 2, (samples, 1))
    targets = np.sin(2 * inputs) + noise * rng.standard_normal((samples, 1))
    return torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()


def network(
    widths: list[int], seed: int, activation: type[nn.Module] = nn.Tanh, bias: float | None = None
) -> nn.Sequential:
    """Return a perceptron, by torch's own initialization; its hidden biases may be given."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for i in range(len(widths) - 1):
            layers += [nn.Linear(widths[i], widths[i + 1]), activation()]
    if bias is not None:
        for layer in layers[:-2]:
            if isinstance(layer, nn.Linear):
                nn.init.constant_(layer.bias, bias)
    return nn.Sequential(*layers[:-1])


def classifier(
    model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], **settings: Any
) -> ModelObjective:
    """Return the cross-entropy of a model as an objective."""
    return ModelObjective(model, nn.CrossEntropyLoss(), *data, **settings)


def regressor(
    model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], **settings: Any
) -> ModelObjective:
    """Return the mean squared error of a model as an objective."""
    return ModelObjective(model, nn.MSELoss(), *data, **settings)
