"""A model, a loss and data as an objective over the model's flat weights."""

import threading
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from adapters import data
from adapters.batched import Batching, Plan, Planned, make_plan
from adapters.bench import Bench
from adapters.changing import Changing
from adapters.compiled import as_mode
from adapters.flatten import ParameterVector, Select
from adapters.given import check_given, place_of, private_copy, undisturbed
from adapters.gradient_check import GradientCheck, check_gradient
from adapters.minibatches import Sampling, make_minibatches
from adapters.noise import Noise, Randomness
from adapters.points import as_batch, as_given
from adapters.precision import LossScale, check_autocast
from adapters.supervised import Supervised


class ModelObjective(Changing):
    """``loss(model(inputs), targets)`` as a function of the model's flat weights.

    Batches of candidates go through the model in one pass where that is right and faster, one by
    one elsewhere; `batching` says which and why. The model stays exactly as it is until `apply`:
    the objective works on a private copy, in eval mode, with its present buffers and frozen
    weights. Each candidate is evaluated afresh: running statistics, counters and caches do not
    carry over from one to the next. So equal weights have equal losses, unless you ask for
    minibatches or for randomness that changes; then candidates that are compared have the same.

    Parameters
    ----------
    model
        Any module.
    loss
        ``loss(output, targets)``, one real number. It must not read the model's weights itself
        (penalties on them): use `from_function` for that.
    inputs, targets
        Tensors, numpy arrays (floating ones are taken in the model's precision), or tuples, lists
        or dicts of them. Or a `torch.utils.data.DataLoader` as `inputs` and no `targets`: it is
        read once, whole, and held. Must not be changed afterwards: some paths copy them.
    select
        Which weights are free; as in `ParameterVector`. None: those that require gradients.
    device
        Where to evaluate; model and data are copied there. None: where the model is, and data
        follow it.
    plan
        ``"auto"``: in one pass if the loss, tried on two candidates, comes out as it does one by
        one, and batches promise to be faster: by matrix products with the samples last where all
        layers are known (``"stack"``), else by `torch.func.vmap` (``"vmap"``). Either name demands
        that path; ``"loop"`` goes one by one.
    training
        False: layers work as in evaluation (no dropout, running statistics). True: as in training,
        by the batch's own statistics; buffers are put back after each candidate. None: as they are.
    batch_size
        Samples of a minibatch, which `minimize` draws anew for each generation, from its seed, and
        the same for all candidates; what wins is evaluated on all the data before it counts as the
        best. None: all the data always. (Batch, stochastic and mini-batch descent: None, 1, 64.)
    sampling
        ``"independent"``: each minibatch is drawn from all samples. ``"epochs"``: each sample comes
        once an epoch, in a new order; the last minibatch of an epoch may be smaller.
    randomness
        What dropout and sampling draw. ``"fixed"``: always the same numbers, so that the loss is a
        function. ``"shared"``: new ones for each generation, the same for all its candidates.
        ``"different"``: new ones for every candidate.
    seed
        What random numbers outside a run come from; the global random state is never touched.
    validation
        ``(inputs, targets)`` for `validate`, and for `minimize`'s early stopping.
    autocast
        A lower precision (`torch.bfloat16`, `torch.float16`) in which the model computes where
        torch deems it safe; the loss is accumulated in float32, and for gradients in float16 it is
        scaled as by `torch.amp.GradScaler`. None: the model's own.
    compile
        True, or one of `torch.compile`'s modes ("max-autotune" chooses by a clock, and prints):
        batches of half a chunk and more are evaluated by a compiled pass, gradients are not. It
        takes 2 to 25 seconds when the objective is made or unpickled, twice that with minibatches,
        and a C++ compiler. Where it cannot be, or gives other losses, `batching` says why and all
        goes on without. It is for chains of small operations (normalisation, GELU, embeddings);
        products, convolutions and tiny models are faster without.

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
    vector
        The `ParameterVector`: names and slices; ``vector.read(x)`` gives a result by layer,
        ``vector.bounds({"*.bias": (-1, 1)})`` a box by groups.
    differentiable
        Whether there are gradients.
    batching
        A `Batching`: ``path``, ``chunk`` and ``reason``. Under vmap batches of fewer than ten go
        one by one; so does a single gradient always, by the operations of a training loop, and the
        gradients of models that are busy with memory anyway.
    begin
        ``begin(generation, rng)`` draws the next minibatch or noise; None where nothing changes.
        `minimize` calls it.
    batched
        True: a call takes points (k, n).

    Raises
    ------
    TypeError
        An argument is not what it should be; the loss is not one real number.
    ValueError
        Nothing to search; weights that are not finite; inputs and targets of different lengths; an
        unknown plan, device or mode; ``plan="stack"`` or ``"vmap"`` where that is not possible; a
        loss that is NaN.
    Exception
        What the model or the loss raises: it is evaluated a few times when the objective is made.

    Notes
    -----
    Points are numpy arrays or torch tensors, on any device, and results are what points are:
    float64 arrays, or tensors in the points' place. The model computes in its own precision. Losses
    that are NaN or infinite are returned as they are. Pickles if the model, the loss and the data
    do. An objective may be called from several threads, which then take turns; but with
    minibatches, one run at a time.

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
    reads_only = True
    """Points are never written."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Any],
        inputs: Any,
        targets: Any = None,
        *,
        select: Select = None,
        device: torch.device | str | None = None,
        plan: Plan = "auto",
        training: bool | None = False,
        batch_size: int | None = None,
        sampling: Sampling = "independent",
        randomness: Randomness = "fixed",
        seed: int = 0,
        validation: tuple[Any, Any] | None = None,
        autocast: torch.dtype | None = None,
        compile: bool | str = False,
    ) -> None:
        check_given(model, "loss", loss, plan, validation)
        self._mode = as_mode(compile)
        self._vector = ParameterVector(model, select)
        place = place_of(model, device)
        check_autocast(autocast, place or next(model.parameters()).device)
        inputs, targets = data.read(inputs, targets, self._vector.precision, place)
        self._minibatches = make_minibatches(inputs, targets, batch_size, sampling)
        closure = Supervised(loss, inputs, targets, autocast)
        self._prepare(model, closure, place, plan, training, randomness, seed)
        self._validation: ModelObjective | None = None
        if validation is not None:
            self._validation = type(self)(
                model, loss, *validation, select=select, device=device, plan=plan, autocast=autocast
            )

    @classmethod
    def from_function(
        cls,
        model: nn.Module,
        closure: Callable[[Any], Any],
        *,
        select: Select = None,
        device: torch.device | str | None = None,
        plan: Plan = "auto",
        training: bool | None = False,
        randomness: Randomness = "fixed",
        seed: int = 0,
        compile: bool | str = False,
    ) -> Self:
        """Make an objective of ``closure(model) -> loss``, for any other loss.

        Parameters
        ----------
        model, select, device, plan, training, randomness, seed, compile
            As for the class.
        closure
            Is given a private copy of the model that holds a candidate's weights, may do with it
            what it likes, and returns one real number. It must use the model it is given. Steps
            without derivatives are fine; then the objective has no gradients. Data that it holds
            must be on the device.
        """
        check_given(model, "closure", closure, plan)
        objective = cls.__new__(cls)
        objective._mode = as_mode(compile)
        objective._vector = ParameterVector(model, select)
        objective._minibatches, objective._validation = None, None
        place = place_of(model, device)
        objective._prepare(model, closure, place, plan, training, randomness, seed)
        return objective

    @torch.inference_mode(False)  # else the copy could not be written elsewhere
    def _prepare(
        self,
        model: nn.Module,
        closure: Callable[[Any], Any],
        place: torch.device | None,
        plan: Plan,
        training: bool | None,
        randomness: Randomness,
        seed: int,
    ) -> None:
        self.x0 = self._vector.pack()
        if not np.isfinite(self.x0).all():
            raise ValueError("model has weights that are not finite; reset them first")
        self.n = self._vector.n
        self.dtype = self._vector.dtype
        self.blocks = self._vector.shapes
        own, closure = private_copy(model, closure)
        for module in (own, closure):
            if isinstance(module, nn.Module) and place is not None:
                module.to(place)
        if training is not None:
            own.train(training)
        device = place or next(own.parameters()).device
        self._bench = Bench(own, closure, self._vector.names, Noise(randomness, seed, device))
        self._wanted = plan
        self._ready()

    def _ready(self) -> None:
        self._lock = threading.RLock()
        self._taken: Tensor | None = None
        self._bench.scale = None
        with undisturbed(), self._bench.noise.fixed():
            self._plan: Planned = make_plan(self._bench, self.x0, self._wanted)
            if self._mode is not None:
                self._compile(self._mode)
        self.differentiable = self._plan.differentiable
        if getattr(self._bench.closure, "autocast", None) is torch.float16:
            self._bench.scale = LossScale()

    def _compile(self, mode: str) -> None:
        """Compile for all the data, and for minibatches, whose sizes are others."""
        sizes = [] if self._minibatches is None else self._minibatches.sizes
        done = self._plan.compile(self._bench, self.x0, mode)
        for size in sizes if done else []:
            self._take(torch.arange(size, device=self._bench.device))
            self._plan.compile(self._bench, self.x0, mode)
        self._take(None)

    @property
    def vector(self) -> ParameterVector:
        """Names, slices and shapes of what is searched."""
        return self._vector

    @property
    def batching(self) -> Batching:
        """How batches are evaluated, and why."""
        return Batching(self._plan.path, self._plan.chunk, self._plan.reason)

    def __call__(self, points: Any) -> Any:
        """Return the losses (k,) of points (k, n), or the loss of one point (n,) as a float.

        Raises
        ------
        TypeError, ValueError
            Points of another width, or that are not finite real numbers.
        """
        batch = as_batch(points, self.n)
        with self._lock, undisturbed():
            values = self._plan.values(batch)
        self._plan.warn(len(batch))
        return as_given(values, points)

    def full(self, points: Any) -> Any:
        """Return losses on all the data, whatever the minibatch, and with the seed's own noise."""
        with self._lock, self._bench.noise.fixed():
            rows = self._taken
            self._take(None)
            try:
                return self(points)
            finally:
                self._take(rows)

    @property
    def has_validation(self) -> bool:
        """Whether there is validation data."""
        return self._validation is not None

    def validate(self, points: Any) -> Any:
        """Return losses on the validation data, with layers as in evaluation.

        Raises
        ------
        ValueError
            There are none.
        """
        if self._validation is None:
            raise ValueError("there is no validation data: give validation=(inputs, targets)")
        return self._validation(points)

    @property
    def value_and_gradient(self) -> Callable[[Any], tuple[Any, Any]] | None:
        """What returns losses (k,) and gradients (k, n) of points (k, n), or None.

        For one point (n,): a float and (n,). None where the loss does not depend differentiably
        on the weights. A derivative that is missing for some weights only is zero there.
        """
        return self._value_and_gradient if self.differentiable else None

    def _value_and_gradient(self, points: Any) -> tuple[Any, Any]:
        batch = as_batch(points, self.n)
        with self._lock, undisturbed():
            values, gradients = self._plan.gradients(batch)
            if self._bench.scale is not None:
                gradients = self._bench.scale.unscale(values, gradients)
        self._plan.warn(len(batch))
        return as_given(values, points), as_given(gradients, points)

    def check_gradient(self, x: Any = None) -> GradientCheck:
        """Compare the gradient at ``x`` (n,), by default `x0`, with finite differences.

        Raises
        ------
        ValueError
            The loss has no gradients.
        """
        if self.value_and_gradient is None:
            raise ValueError(f"the loss has no gradients: {self.batching.reason}")
        return check_gradient(
            self,
            self.value_and_gradient,
            self.x0 if x is None else x,
            self._vector.slices,
            torch.finfo(self._vector.precision).eps,
        )

    def apply(self, x: Any) -> nn.Module:
        """Write the weights ``x`` (n,) into the model, in place, and return the model."""
        self._vector.assign(x)
        return self._vector.model

    def __repr__(self) -> str:
        return (
            f"ModelObjective({type(self._vector.model).__name__}, n={self.n}, {self.dtype} "
            f"on {self._bench.device}, {self.batching})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """All but the plan, which is made again, and a run's minibatch."""
        left_out = ("_lock", "_plan", "_taken")
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self._bench.closure, Supervised):
            self._bench.closure.take(None)
        self._ready()
