"""The loops that everything is held against: one candidate after another, written by hand."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from experiments.architectures import Setup

Array = NDArray[np.float64]
Values = Callable[[NDArray[np.floating]], Array]
"""From points (k, n) to losses (k,)."""
Gradients = Callable[[NDArray[np.floating]], tuple[Array, Array]]
"""From points (k, n) to losses (k,) and gradients (k, n)."""


def tutorial(setup: Setup) -> Values:
    """Return the losses as tutorials compute them: vector into the parameters, forward, item.

    The model's weights are overwritten. What a pass leaves in it is not put back.
    """
    model, loss, inputs, targets = setup
    write = _writer(model)

    def values(points: NDArray[np.floating]) -> Array:
        found = np.empty(len(points))
        for row, point in enumerate(points):
            write(point)
            with torch.no_grad():
                found[row] = loss(model(inputs), targets).item()
        return found

    return values


def training(setup: Setup) -> Gradients:
    """Return losses and gradients as a training loop computes them; the model is overwritten."""
    model, loss, inputs, targets = setup
    write, parameters = _writer(model), list(model.parameters())

    def gradients(points: NDArray[np.floating]) -> tuple[Array, Array]:
        found, slopes = np.empty(len(points)), np.empty(points.shape)
        for row, point in enumerate(points):
            write(point)
            model.zero_grad()
            value = loss(model(inputs), targets)
            value.backward()  # type: ignore[no-untyped-call]
            found[row] = value.item()
            slopes[row] = torch.cat([_grad(p).reshape(-1) for p in parameters]).cpu().numpy()
        return found, slopes

    return gradients


def apart(setup: Setup, points: Array) -> tuple[Array, Array]:
    """Return losses (k,) and gradients (k, n), every candidate on a fresh copy of the model.

    So nothing (running statistics, counters) carries over from one to the next. A derivative that
    does not exist is zero.
    """
    found, slopes = np.empty(len(points)), np.zeros(points.shape)
    for row, point in enumerate(points):
        fresh = setup._replace(model=copy.deepcopy(setup.model))
        _copying(fresh.model)(point)
        parameters = list(fresh.model.parameters())
        value = fresh.loss(fresh.model(fresh.inputs), fresh.targets)
        found[row] = value.item()
        parts = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
        slopes[row] = torch.cat([part.reshape(-1).double() for part in parts]).numpy()
    return found, slopes


def weights(model: nn.Module) -> Array:
    """Return a model's weights as a vector, float64."""
    vector = parameters_to_vector(p.detach().double().cpu() for p in model.parameters())
    array: Array = vector.numpy()
    return array


def _grad(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _writer(model: nn.Module) -> Callable[[NDArray[np.floating]], None]:
    """Return what writes a vector into a model: torch's own function where it can."""
    parameters = list(model.parameters())
    if len({p.dtype for p in parameters}) > 1:  # it would leave all in the vector's precision
        return _copying(model)
    dtype, device = parameters[0].dtype, parameters[0].device

    def write(point: NDArray[np.floating]) -> None:
        vector_to_parameters(torch.as_tensor(point, dtype=dtype, device=device), parameters)

    return write


def _copying(model: nn.Module) -> Callable[[NDArray[np.floating]], None]:
    parameters = list(model.parameters())
    ends = np.cumsum([p.numel() for p in parameters])[:-1]

    def write(point: NDArray[np.floating]) -> None:
        with torch.no_grad():
            for parameter, part in zip(parameters, np.split(point, ends), strict=True):
                parameter.copy_(torch.tensor(part).reshape(parameter.shape))

    return write
