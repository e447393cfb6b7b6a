"""A model, a loss and data as an objective over the model's flat weights."""

import copy
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from adapters.batched import Path, Plan, make_plan
from adapters.bench import Bench
from adapters.flatten import Array, ParameterVector, Select, as_points
from adapters.supervised import Supervised


class ModelObjective:
    """``loss(model(inputs), targets)`` as a function of the model's flat weights.

    Batches of candidates go through the model in one pass where that is right and faster, one by
    one elsewhere; `path` and `reason` say which and why. The model stays exactly as it is until
    `apply`: the objective works on a private copy, in the model's present mode (train or eval),
    with its present buffers and frozen weights. Each candidate is evaluated afresh: running
    statistics, counters and caches do not carry over from one to the next, and losses with random
    numbers (dropout) draw the same ones every time, from torch's random state as it is now, which
    itself stays untouched. So equal weights have equal losses.

    Parameters
    ----------
    model
        Any module.
    loss
        ``loss(output, targets)``, one real number. It must not read the model's weights itself
        (penalties on them): use `from_function` for that.
    inputs, targets
        Tensors, or tuples, lists or dicts of them. Must not be changed afterwards: some paths
        copy them, others do not.
    select
        Which weights are free; as in `ParameterVector`. None: those that require gradients.
    device
        Where to evaluate; model and data are copied there. None: where the model is, and data
        follow it.
    plan
        ``"auto"``: in one pass if the loss, tried on two candidates, comes out as it does one by
        one, and batches promise to be faster: stacks of linear layers under a squared error or a
        cross-entropy by matrix products (``"stack"``), others by `torch.func.vmap` (``"vmap"``).
        Either name demands that path; ``"loop"`` goes one by one.

    Attributes
    ----------
    x0
        The model's weights when the objective was made: float64, (n,).
    n
        Number of free weights.
    dtype
        The precision of the weights, the lowest among them (bfloat16 counts as float16).
    blocks
        Shapes of the tensors behind the vector, in its order.
    differentiable
        Whether there are gradients.
    path, reason
        ``"stack"``, ``"vmap"`` or ``"loop"``, and why. Under vmap batches of fewer than five go
        one by one; so does a single gradient always, by the operations of a training loop.
    batched
        True: a call takes points (k, n).

    Raises
    ------
    TypeError
        An argument is not what it should be; the loss is not one real number.
    ValueError
        Nothing to search; weights that are not finite; an unknown plan or device;
        ``plan="stack"`` or ``"vmap"`` where that is not possible.
    Exception
        What the model or the loss raises: it is evaluated a few times when the objective is made.

    Notes
    -----
    Points and results are float64 numpy arrays; the model computes in its own precision. NaN and
    infinite losses are returned as they are. Pickles if the model, the loss and the data do. An
    objective may be called from several threads, which then take turns.

    References
    ----------
    PyTorch documentation, "Model ensembling" (stacked weights under `torch.func.vmap`).

    Examples
    --------
    >>> inputs, targets = torch.ones(8, 2), torch.ones(8, 1)
    >>> objective = ModelObjective(nn.Linear(2, 1), nn.MSELoss(), inputs, targets)
    >>> objective(np.zeros((5, 3)))
    array([1., 1., 1., 1., 1.])
    """

    batched = True

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Any],
        inputs: Any,
        targets: Any,
        *,
        select: Select = None,
        device: torch.device | str | None = None,
        plan: Plan = "auto",
    ) -> None:
        _check(model, "loss", loss, plan)
        place = _place(model, device)
        supervised = Supervised(loss, _moved(inputs, place), _moved(targets, place))
        self._prepare(model, supervised, select, place, plan)

    @classmethod
    def from_function(
        cls,
        model: nn.Module,
        closure: Callable[[Any], Any],
        *,
        select: Select = None,
        device: torch.device | str | None = None,
        plan: Plan = "auto",
    ) -> Self:
        """Make an objective of ``closure(model) -> loss``, for any other loss.

        Parameters
        ----------
        model, select, device, plan
            As for the class.
        closure
            Is given a private copy of the model that holds a candidate's weights, may do with it
            what it likes, and returns one real number. It must use the model it is given. Steps
            without derivatives are fine; then the objective has no gradients. Data that it holds
            must be on the device.
        """
        _check(model, "closure", closure, plan)
        objective = cls.__new__(cls)
        objective._prepare(model, closure, select, _place(model, device), plan)
        return objective

    @torch.inference_mode(False)  # else the copy could not be written elsewhere
    def _prepare(
        self,
        model: nn.Module,
        closure: Callable[[Any], Any],
        select: Select,
        place: torch.device | None,
        plan: Plan,
    ) -> None:
        self._vector = ParameterVector(model, select)
        self.x0 = self._vector.pack()
        if not np.isfinite(self.x0).all():
            raise ValueError("model has weights that are not finite; reset them first")
        self.n = self._vector.n
        self.dtype = self._vector.dtype
        self.blocks = self._vector.shapes
        own, closure = _private(model, closure)
        for module in (own, closure):
            if isinstance(module, nn.Module) and place is not None:
                module.to(place)
        self._bench = Bench(own, closure, self._vector.names)
        self._lock = threading.RLock()
        self._plan = make_plan(self._bench, self.x0, plan)
        self.differentiable = self._plan.differentiable
        self.path: Path = self._plan.path
        self.reason = self._plan.reason

    def __call__(self, points: ArrayLike) -> Any:
        """Return the losses (k,) of points (k, n), or the loss of one point (n,) as a float."""
        batch = as_points(points, self.n, "points")
        if batch.ndim == 1:
            return float(self(batch[None])[0])
        with self._lock, _outside_inference():
            return self._plan.values(len(batch)).values(batch)

    @property
    def value_and_gradient(self) -> Callable[[ArrayLike], tuple[Any, Array]] | None:
        """What returns losses (k,) and gradients (k, n) of points (k, n), or None.

        For one point (n,): a float and (n,). None where the loss does not depend differentiably
        on the weights. A derivative that is missing for some weights only is zero there.
        """
        return self._value_and_gradient if self.differentiable else None

    def _value_and_gradient(self, points: ArrayLike) -> tuple[Any, Array]:
        batch = as_points(points, self.n, "points")
        if batch.ndim == 1:
            values, gradients = self._value_and_gradient(batch[None])
            return float(values[0]), gradients[0]
        with self._lock, _outside_inference():
            return self._plan.gradients(len(batch)).gradients(batch)

    def apply(self, x: ArrayLike) -> nn.Module:
        """Write the weights ``x`` (n,) into the model, in place, and return the model."""
        self._vector.assign(x)
        return self._vector.model

    def __repr__(self) -> str:
        return (
            f"ModelObjective({type(self._vector.model).__name__}, n={self.n}, {self.dtype} "
            f"on {self._bench.device}, by {self.path}: {self.reason})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())


def _outside_inference() -> AbstractContextManager[Any]:
    """Leave the caller's inference mode: what it makes could not be written elsewhere."""
    return torch.inference_mode(False) if torch.is_inference_mode_enabled() else _NOTHING


_NOTHING = nullcontext()


def _private(
    model: nn.Module, closure: Callable[[Any], Any]
) -> tuple[nn.Module, Callable[[Any], Any]]:
    """Copy the modules, but not the data and functions that they refer to."""
    keep: list[Any] = [] if isinstance(closure, nn.Module) else [closure]
    if isinstance(closure, Supervised):
        keep.append(closure.data)
        if not isinstance(closure.loss, nn.Module):
            keep.append(closure.loss)
    try:
        with torch.no_grad():  # scripted modules copy by operations, which autograd would record
            return copy.deepcopy((model, closure), {id(kept): kept for kept in keep})
    except Exception as error:
        raise TypeError(f"model cannot be copied ({error}); the objective needs its own") from error


def _check(model: nn.Module, name: str, function: object, plan: Plan) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if not callable(function):
        raise TypeError(f"{name} must be callable, not {type(function).__name__}")
    if plan not in get_args(Plan):
        raise ValueError(f"plan must be one of {get_args(Plan)}, not {plan!r}")


def _place(model: nn.Module, device: torch.device | str | None) -> torch.device | None:
    """Return where to evaluate; None for a model spread over several devices."""
    if device is not None:
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, TypeError) as error:
            raise ValueError(f"device={device!r} cannot be used here: {error}") from error
    devices = {tensor.device for tensor in [*model.parameters(), *model.buffers()]}
    return devices.pop() if len(devices) == 1 else None


def _moved(data: Any, place: torch.device | None) -> Any:
    """Return data with its tensors moved, through tuples, lists and dicts."""
    if place is None:
        return data
    if type(data) is dict:
        return {key: _moved(value, place) for key, value in data.items()}
    if type(data) in (tuple, list):
        return type(data)(_moved(value, place) for value in data)
    return data.to(place) if hasattr(data, "to") else data  # tensors, packed sequences, encodings
