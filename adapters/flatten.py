"""Model parameters as one flat vector, and back."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Predicate = Callable[[str, nn.Parameter], bool]
Select = str | nn.Module | Iterable[str | nn.Module] | Predicate | None

# numpy has no bfloat16: float16 is the nearest that it knows.
_NUMPY = {torch.float64: np.float64, torch.float32: np.float32}


class _Form(NamedTuple):
    """What a parameter's tensor looks like."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class ParameterVector:
    """The free parameters of a model as one flat float64 vector.

    Parameters
    ----------
    model
        Its parameters appear in the order of `torch.nn.Module.named_parameters`; tied weights
        appear once, under their first name.
    select
        Which parameters. None: all that require gradients. A glob over names (``"head.*"``), a
        submodule, or a list of these; a pattern may also name a tied weight by another of its
        names. Or a predicate ``(name, parameter) -> bool``. What is chosen explicitly is free
        whether or not it requires gradients.

    Attributes
    ----------
    names
        The chosen parameters' names.
    shapes
        Their shapes, in the same order.
    slices
        Name to the slice of the vector that holds the parameter, row-major.
    n
        The vector's length.
    precision, dtype
        The lowest precision among the parameters, as torch and as numpy know it (bfloat16 counts
        as float16 in numpy).

    Raises
    ------
    TypeError
        The model is not a `torch.nn.Module`, or a chosen parameter is not of a real floating type.
    ValueError
        Nothing, or nothing for one of the patterns, is chosen; or a parameter is uninitialised
        (lazy modules before their first forward).

    Notes
    -----
    Each tensor keeps its own dtype, device and memory format (strides), as it has them when this
    is made.

    Examples
    --------
    >>> vector = ParameterVector(nn.Linear(2, 1))
    >>> vector.names, vector.n
    (('weight', 'bias'), 3)
    >>> vector.assign([1.0, 2.0, 3.0])
    >>> vector.pack()
    array([1., 2., 3.])
    """

    def __init__(self, model: nn.Module, select: Select = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        chosen = _choose(model, select)
        self.model = model
        self._forms = tuple(_form(name, parameter) for name, parameter in chosen.items())
        self.names = tuple(chosen)
        self.shapes = tuple(form.shape for form in self._forms)
        self._sizes = [parameter.numel() for parameter in chosen.values()]
        ends = [0, *accumulate(self._sizes)]
        self.slices = {n: slice(a, b) for n, (a, b) in zip(self.names, pairwise(ends), strict=True)}
        self.n = ends[-1]
        self.precision = max((form.dtype for form in self._forms), key=lambda d: torch.finfo(d).eps)
        self.dtype: np.dtype[Any] = np.dtype(_NUMPY.get(self.precision, np.float16))

    def __repr__(self) -> str:
        return f"ParameterVector({type(self.model).__name__}, n={self.n}, names={self.names})"

    def pack(self) -> Array:
        """Return the model's present values: a fresh float64 array of shape (n,)."""
        parameters = dict(self.model.named_parameters())
        # Off the device first: not every device knows float64.
        parts = [parameters[name].detach().reshape(-1).cpu().double() for name in self.names]
        return torch.cat(parts).numpy()

    def unpack(self, vector: ArrayLike) -> dict[str, Tensor]:
        """Return fresh tensors by name, shaped and placed as the model's, from an (n,) vector.

        Raises ValueError where the vector has another shape or a value is not finite.
        """
        point = _finite(as_points(vector, self.n, "vector", dimensions=(1,)), "vector")
        tensors = self.stack(torch.from_numpy(point[None]))
        return {name: tensor[0] for name, tensor in zip(self.names, tensors, strict=True)}

    def unpack_batch(self, points: ArrayLike) -> dict[str, Tensor]:
        """Return fresh tensors (k, ...) by name, from points (k, n).

        Raises ValueError where the points have another shape or a value is not finite.
        """
        batch = _finite(as_points(points, self.n, "points", dimensions=(2,)), "points")
        return dict(zip(self.names, self.stack(torch.from_numpy(batch)), strict=True))

    def assign(self, vector: ArrayLike) -> None:
        """Write a vector (n,) into the model's parameters, in place: their storage stays.

        Raises ValueError where the vector has another shape or a value is not finite.
        """
        values = self.unpack(vector)
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)

    def cut(self, points: Tensor) -> list[Tensor]:
        """Cut a float64 CPU tensor (k, n), unchecked, into one tensor (k, ...) per parameter.

        Views of ``points`` where its dtype and device are the parameter's, copies elsewhere.
        """
        k = len(points)
        moved: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}
        parts = []
        for i, form in enumerate(self._forms):
            kind = form.dtype, form.device
            if kind not in moved:  # one conversion, then one transfer, for all of a kind
                there = points.to(form.dtype).to(form.device)
                moved[kind] = torch.split_with_sizes(there, self._sizes, -1)
            parts.append(moved[kind][i].view(k, *form.shape))
        return parts

    def stack(self, points: Tensor) -> list[Tensor]:
        """Cut points likewise, into fresh tensors in the parameters' memory formats."""
        return [
            torch.empty_strided(
                part.shape, (size, *form.strides), dtype=form.dtype, device=form.device
            ).copy_(part)
            for part, size, form in zip(self.cut(points), self._sizes, self._forms, strict=True)
        ]


def as_points(
    value: ArrayLike, n: int, name: str, dimensions: tuple[int, ...] = (1, 2)
) -> NDArray[np.float64]:
    """Copy points (n,) or (k, n) into a fresh C-ordered float64 array; name what is wrong."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    if array.ndim not in dimensions or array.shape[-1] != n:
        expected = " or ".join({1: f"({n},)", 2: f"(k, {n})"}[d] for d in dimensions)
        raise ValueError(f"{name} has shape {array.shape}; expected {expected}, as n = {n}")
    return np.array(array, dtype=np.float64, order="C")


def _finite(points: Array, name: str) -> Array:
    if not np.isfinite(points).all():
        where = np.argwhere(~np.isfinite(points))[0].tolist()
        raise ValueError(f"{name} must be finite; {name}{where} is {points[tuple(where)]}")
    return points


def _form(name: str, parameter: nn.Parameter) -> _Form:
    if nn.parameter.is_lazy(parameter):
        raise ValueError(f"parameter {name!r} is uninitialised: run the model once first")
    if not parameter.is_floating_point():
        raise TypeError(
            f"parameter {name!r} is {parameter.dtype}: only real floating types can be searched; "
            "leave it out by `select`"
        )
    like = torch.empty_like(parameter)  # dense strides in the same memory format
    return _Form(tuple(like.shape), like.stride(), like.dtype, like.device)


def _choose(model: nn.Module, select: Select) -> dict[str, nn.Parameter]:
    parameters = dict(model.named_parameters())
    if select is None:
        chosen = {name: p for name, p in parameters.items() if p.requires_grad}
    elif isinstance(select, (str, nn.Module)):
        chosen = _matching(model, [select])
    elif callable(select):
        chosen = {name: p for name, p in parameters.items() if select(name, p)}
    else:
        chosen = _matching(model, list(select))
    if not chosen:
        what = "no parameter requires gradients" if select is None else f"select={select!r}: none"
        raise ValueError(f"nothing to search ({what}); the model has {_listing(parameters)}")
    return chosen


def _matching(model: nn.Module, items: list[str | nn.Module]) -> dict[str, nn.Parameter]:
    every = list(model.named_parameters(remove_duplicate=False))  # tied weights under all names
    wanted: set[int] = set()
    for item in items:
        if isinstance(item, nn.Module):
            found = {id(p) for p in item.parameters()} & {id(p) for _, p in every}
        elif isinstance(item, str):
            found = {id(p) for name, p in every if fnmatchcase(name, item)}
        else:
            raise TypeError(f"select takes globs and modules, not {type(item).__name__}")
        if not found:
            names = _listing(name for name, _ in every)
            raise ValueError(f"select={item!r} matches no parameter; the model has {names}")
        wanted |= found
    return {name: p for name, p in model.named_parameters() if id(p) in wanted}


def _listing(names: Iterable[str], most: int = 30) -> str:
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) or "no parameters") + more
