"""Many small trainings as one objective over their hyperparameters."""

import dataclasses
import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adapters import data
from adapters.batched import Batching, Plan, SlowPathWarning
from adapters.given import undisturbed
from adapters.points import as_batch, as_given
from adapters.space import Space
from adapters.training.hyperparameters import Division, Params
from adapters.training.passes import Task
from adapters.training.setup import Setup
from adapters.training.trainings import Trainings
from blackbox.types import Array

AT_ONCE = 2**30
"""Bytes of weights and moments that are held at a time; more trainings go in several parts."""
HELD = 3
"""Arrays as large as the weights that a training holds: weights and moments."""

_HELD_OUT = 3
"""What random numbers are for: which samples are held out."""


class TrainingObjective:
    """The validation loss of a model after training, as a function of hyperparameters.

    A whole batch of candidates is trained in one program, each with a learning rate, momentum,
    weight decay, clipping and schedule of its own: on one thread many times as fast as one after
    another. Models that differ in shape are trained group by group. What torch cannot vectorise
    (recurrent layers, ``.item()``) is trained one after another, by `torch.optim`; `batching` says
    which and why. All candidates begin with the same random weights, see the same minibatches in
    the same order, and dropout draws the same numbers for all: they differ by hyperparameters
    alone.

    Parameters
    ----------
    make_model
        Returns a fresh `torch.nn.Module`. Parameters of the space whose names its signature has
        are given to it: ``def make_model(width, act)``.
    loss
        ``loss(outputs, targets)``, the mean over samples, one number. For penalties on weights use
        ``weight_decay``.
    samples
        ``(inputs, targets)``: tensors, numpy arrays (floating ones are taken in the models'
        precision), or tuples, lists or dicts of them; or a `torch.utils.data.DataLoader`, which is
        read once, whole.
    space
        What is searched, and constants. Names that are not make_model's are the training's:
        ``optimizer`` (``"sgd"``, ``"rmsprop"``, ``"adam"``, ``"adamw"``); ``lr``, ``momentum``,
        ``nesterov``, ``beta1``, ``beta2``, ``alpha``, ``eps``, ``weight_decay``, by torch's names
        and with its defaults; ``clip``, the greatest norm of a gradient (None: any); ``schedule``
        (``"constant"``, ``"linear"``, ``"cosine"``, ``"exponential"``, ``"inverse-time"``,
        ``"step"``, or a function from the share of the training that is done to the share of the
        learning rate, both arrays), after ``warmup``, a share of the training; ``batch_size``.
    epochs
        How long a whole training is. Schedules are laid out for it, also where only the first
        epochs are taken.
    batch_size
        Samples of a minibatch, where the space does not say; None: all. The last one of an epoch
        may be smaller.
    validation
        What values are measured on: a share of the samples, drawn from `seed` and not trained on;
        or ``(inputs, targets)``; None: the samples that are trained on.
    optimizer
        Where the space does not say.
    metric
        ``metric(outputs, targets)``, a number to judge by, lower is better; None: the loss.
    seed
        What initial weights, order of samples and dropout come from. torch's random state is left
        as it is.
    dtype, device
        Of the models; None: as they are made. Data follow.
    plan
        ``"auto"``, or the path that it has to be: as for `ModelObjective`.

    Attributes
    ----------
    space, n, bounds
        The space; its unit box's coordinates; ``(0.0, 1.0)``.
    epochs
        How long a whole training is.
    batched
        True: a call takes points (k, n).
    batching
        How models of the middle of the space are trained: ``path``, ``chunk`` and ``reason``.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it should be; a name of the space is nobody's; the model or the
        loss can't be trained: they are tried with the middle of the space.

    Notes
    -----
    Weights agree with those of `torch.optim` to rounding, which in float64 is 1e-12 after 100
    steps; in float32 trainings drift apart as on two machines. May be called from several threads,
    which then take turns. Pickles if make_model, loss, metric and data do.

    References
    ----------
    PyTorch documentation, "Model ensembling" (stacked weights under `torch.func.vmap`).

    Examples
    --------
    >>> from adapters import Log, Space
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> space = Space(lr=Log(1e-3, 1.0))
    >>> objective = TrainingObjective(
    ...     lambda: nn.Linear(1, 1), nn.MSELoss(), (x, 2 * x), space, epochs=5, batch_size=8
    ... )
    >>> small, large = objective([{"lr": 1e-3}, {"lr": 0.5}])
    >>> bool(large < small)
    True
    """

    batched = True
    reads_only = True
    """Points are never written."""

    def __init__(
        self,
        make_model: Callable[..., nn.Module],
        loss: Callable[[Any, Any], Any],
        samples: Any,
        space: Space,
        *,
        epochs: int,
        batch_size: int | None = None,
        validation: float | tuple[Any, Any] | None = 0.2,
        optimizer: str = "adam",
        metric: Callable[[Any, Any], Any] | None = None,
        seed: int = 0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        plan: Plan = "auto",
    ) -> None:
        _check(space, epochs, seed, dtype, plan)
        for name, function in (("loss", loss), ("metric", metric)):
            if not callable(function) and (name == "loss" or function is not None):
                raise TypeError(f"{name} must be a function, not {type(function).__name__}")
        self.space, self.n, self.bounds, self.epochs = space, space.n, space.bounds, int(epochs)
        division = Division(make_model, space, optimizer, batch_size)
        place = None if device is None else _place(device)
        middle = space.decode(np.full(space.n, 0.5))
        empty = Task(loss, None, None, None, None, metric)
        self._setup = Setup(make_model, division, empty, self.epochs, plan, seed, dtype, place)
        first = next((p for p in self._setup.model(middle).parameters()), None)
        if first is None:
            raise TypeError("make_model made a model that has nothing to train")
        read = _read(samples, validation, seed, first, dtype)
        self._setup.task = Task(loss, *read, metric)
        self._lock, self._warned = threading.RLock(), False
        with undisturbed():
            size = division.of_training(middle)["batch_size"]
            prototype, planned = self._setup.planned(self._setup.model(middle), size)
        self.batching: Batching = planned.batching
        self._at_once = max(1, AT_ONCE // (HELD * prototype.n * prototype.dtype.itemsize))

    def __call__(self, points: Any, epochs: int | None = None) -> Any:
        """Train from the beginning, and return validation losses.

        Parameters
        ----------
        points
            Of the unit box, (k, n), or one (n,); or a list of dictionaries of hyperparameters, or
            one.
        epochs
            How many of the whole training; None: all.

        Returns
        -------
        (k,), or a float for one; inf where a training runs away.

        Raises
        ------
        TypeError, ValueError
            Points of another shape; unknown, missing or impossible hyperparameters.
        """
        if isinstance(points, Mapping):
            return float(self._values([dict(points)], epochs)[0])
        if isinstance(points, Sequence) and points and isinstance(points[0], Mapping):
            return self._values([dict(one) for one in points], epochs)
        batch = as_batch(points, self.n)
        each = self.space.decode(batch.double().cpu().numpy())
        return as_given(torch.from_numpy(self._values(each, epochs)), points)

    def _values(self, each: list[Params], epochs: int | None) -> Array:
        parts = [each[i : i + self._at_once] for i in range(0, len(each), self._at_once)]
        found = [self.start(part).step(self.epochs if epochs is None else epochs) for part in parts]
        return np.concatenate(found) if found else np.empty(0)

    def start(
        self, each: Sequence[Mapping[str, Any]], *, seeds: Sequence[int] | None = None
    ) -> Trainings:
        """Begin trainings that go on epoch by epoch.

        Parameters
        ----------
        each
            Hyperparameters of each; constants of the space may be left out.
        seeds
            For the initial weights of each; None: the objective's own for all.

        Raises
        ------
        TypeError, ValueError
            There are none; unknown, missing or impossible hyperparameters; not as many seeds.
        """
        whole = [{**self.space.decode(self.space.encode(one)), **one} for one in each]
        if not whole:
            raise ValueError("start: give the hyperparameters of one training at least")
        if seeds is not None and len(seeds) != len(whole):
            raise ValueError(f"there are {len(seeds)} seeds for {len(whole)} trainings")
        trainings = Trainings(self._setup, self._lock, whole, seeds)
        if trainings.slow is not None and len(whole) > 1 and not self._warned:
            self._warned = True
            warnings.warn(
                f"trainings go one after another: {trainings.slow}. plan='loop' says that this is "
                "meant",
                SlowPathWarning,
                stacklevel=2,
            )
        return trainings

    def train(self, params: Mapping[str, Any], epochs: int | None = None) -> nn.Module:
        """Train one model, as it was for its value, and return it in evaluation mode."""
        trainings = self.start([params])
        trainings.step(self.epochs if epochs is None else epochs)
        return trainings.model(0)

    def __repr__(self) -> str:
        name = getattr(self._setup.make_model, "__name__", repr(self._setup.make_model))
        return f"TrainingObjective({name}, n={self.n}, {self.epochs} epochs, {self.batching})"

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, and the plans, which are made again."""
        state = {name: value for name, value in vars(self).items() if name != "_lock"}
        return state | {"_setup": dataclasses.replace(self._setup, plans=[])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()


def _check(space: Any, epochs: Any, seed: Any, dtype: Any, plan: Any) -> None:
    if not isinstance(space, Space):
        raise TypeError(f"space must be an adapters.Space, not {type(space).__name__}")
    for name, value, least in (("epochs", epochs, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} on; got {value!r}")
    if dtype not in (None, torch.float64, torch.float32):
        raise ValueError(f"dtype must be torch.float64, torch.float32 or None; got {dtype!r}")
    if plan not in get_args(Plan):
        raise ValueError(f"plan must be one of {get_args(Plan)}, not {plan!r}")


def _place(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device={device!r} cannot be used here: {error}") from error


def _read(
    samples: Any, validation: Any, seed: int, like: Tensor, dtype: torch.dtype | None
) -> tuple[Any, Any, Any, Any]:
    """Return inputs and targets, to train on and to judge by."""
    samples = (samples, None) if isinstance(samples, DataLoader) else _pair("samples", samples)
    inputs, targets = _converted(samples, like, dtype)
    count = data.count(inputs, targets)
    if validation is None:
        return inputs, targets, inputs, targets
    if isinstance(validation, tuple | list):
        held = _converted(_pair("validation", validation), like, dtype)
        if not data.count(*held):
            raise ValueError("validation holds no samples; give some, or a share of the others")
        return inputs, targets, *held
    share = float(validation) if isinstance(validation, Real) else math.nan
    if not 0 < share < 1:
        raise ValueError(
            "validation must be a share of the samples, between 0 and 1, a pair (inputs, targets), "
            f"or None; got {validation!r:.60}"
        )
    aside = max(1, round(count * share))
    if aside >= count:
        raise ValueError(f"validation={validation} of {count} samples leaves none to train on")
    order = torch.from_numpy(np.random.default_rng([seed, _HELD_OUT]).permutation(count))
    pair = inputs, targets
    return *data.take(pair, order[aside:]), *data.take(pair, order[:aside])


def _pair(name: str, given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise TypeError(f"{name} must be a pair, (inputs, targets), not {type(given).__name__}")
    return given[0], given[1]


def _converted(pair: tuple[Any, Any], like: Tensor, dtype: torch.dtype | None) -> tuple[Any, Any]:
    """Return data in the models' place, and precision, where that was asked for."""
    inputs, targets = data.read(*pair, like.dtype, like.device)
    if dtype is None:
        return inputs, targets
    floating = (
        one.to(dtype) if isinstance(one, Tensor) and one.is_floating_point() else one
        for one in (inputs, targets)
    )
    return tuple(floating)  # type: ignore[return-value]
