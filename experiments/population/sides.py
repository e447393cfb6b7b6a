"""The ways to score a population: ours, the tutorial's loop, and the peers as they document it.

Each is made for a model and a number of candidates, and is then a function from points (k, n), a
numpy array on the host, to losses (k,), another: so a device has done its work when it returns.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.architectures import Setup
from experiments.one_by_one import tutorial
from experiments.population.models import MODELS, Model, population

Score = Callable[[NDArray[np.floating]], NDArray[np.floating]]
CHUNKED = "JAX, chunks"
CHUNKS = (1, 4, 16, 64)
"""Of candidates that JAX takes at once; the fastest is its best foot."""


class Side(NamedTuple):
    """A way to score a population.

    Attributes
    ----------
    name
        What it is called.
    make
        ``make(model, count, device)`` returns what scores so many candidates.
    one_by_one
        Whether a candidate's price cannot depend on their number.
    double
        Whether it is given float64 points, whatever the model's precision.
    package
        What must be installed.
    """

    name: str
    make: Callable[[Model, int, str], Score]
    one_by_one: bool = False
    double: bool = False
    package: str | None = None

    def missing(self, device: str) -> str | None:
        """Return why it cannot run here, or None if it can."""
        if self.package is None:
            return None
        if find_spec(self.package) is None:
            return f"{self.package} is not installed; the extra `peers` has it"
        if self.package == "jax" and device != _jax_device():
            return f"the installed jax is not for {device}"
        return None


def _tutorial(model: Model, count: int, device: str) -> Score:
    return tutorial(model.setup(device))


def _ours(model: Model, count: int, device: str) -> Score:
    return _objective(model, "auto", device)


def _lean(model: Model, count: int, device: str) -> Score:
    return _objective(model, "loop", device)


def _objective(model: Model, plan: Any, device: str) -> Score:
    from adapters import ModelObjective

    return ModelObjective(*model.setup(device), plan=plan)


def _evotorch(model: Model, count: int, device: str) -> Score:
    """NEProblem: a network a candidate."""
    _load_evotorch()
    network, loss, inputs, targets = model.setup(device)

    def evaluate(net: nn.Module) -> Tensor:
        with torch.no_grad():
            return loss(net(inputs), targets)

    neuroevolution = import_module("evotorch.neuroevolution")
    return _evotorch_batch(neuroevolution.NEProblem("min", network, evaluate, device=device), count)


def _evotorch_vmap(model: Model, count: int, device: str) -> Score:
    """A vectorized problem: its flat functional module under `torch.vmap`."""
    evotorch, nets = _load_evotorch(), import_module("evotorch.neuroevolution.net")
    network, loss, inputs, targets = model.setup(device)
    flat = nets.make_functional_module(network, disable_autograd_tracking=True)
    problem = evotorch.Problem(
        "min",
        torch.vmap(lambda vector: loss(flat(vector, inputs), targets)),
        solution_length=flat.parameter_length,
        initial_bounds=(-1, 1),
        vectorized=True,
        dtype=inputs.dtype,
        device=device,
    )
    return _evotorch_batch(problem, count)


def _load_evotorch() -> Any:
    evotorch = import_module("evotorch")
    import_module("evotorch.tools").set_default_logger_config(
        logger_level=logging.ERROR, override=True
    )
    return evotorch


def _evotorch_batch(problem: Any, count: int) -> Score:
    batch = problem.generate_batch(count)

    def score(points: NDArray[np.floating]) -> NDArray[np.floating]:
        batch.set_values(torch.from_numpy(points).to(problem.device))
        problem.evaluate(batch)
        losses: NDArray[np.floating] = batch.evals[:, 0].cpu().numpy()
        return losses

    return score


def _jax(model: Model, count: int, device: str) -> Score:
    """`jax.jit` of `jax.vmap`, compiled beforehand for this number of candidates."""
    jax = _load_jax()
    setup = model.setup()
    return _compiled(jax, jax.vmap(_jax_loss(jax, setup)), population(setup, count))


def _jax_chunked(model: Model, count: int, device: str) -> Score:
    """`jax.lax.map` over chunks, of the size that is fastest for this model."""
    return _chunks(model, count, best_chunk(model.name))


@cache
def best_chunk(name: str, count: int = 64) -> int:
    """Return the chunk, of `CHUNKS`, at which JAX scores a model's candidates fastest."""
    points = population(MODELS[name].setup(), count)
    spent = {}
    for chunk in CHUNKS:
        score = _chunks(MODELS[name], count, chunk)
        score(points)
        spent[chunk] = min(_seconds(score, points) for _ in range(3))
    return min(spent, key=lambda chunk: spent[chunk])


def _seconds(score: Score, points: NDArray[np.floating]) -> float:
    began = perf_counter()
    score(points)
    return perf_counter() - began


def _chunks(model: Model, count: int, chunk: int) -> Score:
    jax = _load_jax()
    setup = model.setup()
    loss = _jax_loss(jax, setup)

    def mapped(points: Any) -> Any:
        return jax.lax.map(loss, points, batch_size=min(chunk, count))

    return _compiled(jax, mapped, population(setup, count))


def _load_jax() -> Any:
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)  # float64 where asked for; all arrays here are typed
    return jax


def _jax_device() -> str:
    backend: str = import_module("jax").default_backend()
    return {"gpu": "cuda"}.get(backend, backend)


def _compiled(jax: Any, function: Any, like: NDArray[np.floating]) -> Score:
    run = jax.jit(function).lower(jax.ShapeDtypeStruct(like.shape, like.dtype)).compile()
    return lambda points: np.asarray(run(jax.numpy.asarray(points)))


def _jax_loss(jax: Any, setup: Setup) -> Callable[[Any], Any]:
    """Return the cross-entropy of a `Sequential` as a JAX function of its flat weights."""
    numpy = jax.numpy
    inputs, targets = numpy.asarray(setup.inputs.numpy()), numpy.asarray(setup.targets.numpy())
    layers: Sequence[nn.Module] = list(setup.model.children())
    shapes = [tuple(p.shape) for p in setup.model.parameters()]
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1].tolist()

    def loss(vector: Any) -> Any:
        parts = numpy.split(vector, ends)
        free = iter([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])
        hidden = inputs
        for layer in layers:
            hidden = _jax_layer(jax, layer, hidden, free)
        chosen = numpy.take_along_axis(hidden, targets[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(hidden, 1) - chosen).mean()

    return loss


def _jax_layer(jax: Any, layer: nn.Module, hidden: Any, free: Any) -> Any:
    if isinstance(layer, nn.Linear):
        hidden = hidden @ next(free).T
        return hidden if layer.bias is None else hidden + next(free)
    if isinstance(layer, nn.Conv2d):
        places = ("NCHW", "OIHW", "NCHW")
        hidden = jax.lax.conv_general_dilated(
            hidden, next(free), (1, 1), "SAME", dimension_numbers=places
        )
        return hidden + next(free)[:, None, None]
    if isinstance(layer, nn.MaxPool2d):
        low, window = np.asarray(-np.inf, hidden.dtype), (1, 1, 2, 2)
        return jax.lax.reduce_window(hidden, low, jax.lax.max, window, window, "VALID")
    if isinstance(layer, nn.Flatten):
        return hidden.reshape(len(hidden), -1)
    if isinstance(layer, nn.ReLU):
        return jax.nn.relu(hidden)
    raise TypeError(f"no JAX form of {layer}")


SIDES: dict[str, Side] = {
    side.name: side
    for side in [
        Side("tutorial", _tutorial, one_by_one=True),
        Side("lean loop", _lean, one_by_one=True),
        Side("ours", _ours),
        Side("ours, float64", _ours, double=True),
        Side("evotorch NEProblem", _evotorch, one_by_one=True, package="evotorch"),
        Side("evotorch vmap", _evotorch_vmap, package="evotorch"),
        Side("JAX", _jax, package="jax"),
        Side(CHUNKED, _jax_chunked, package="jax"),
    ]
}
