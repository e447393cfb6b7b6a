"""Model parameters as one flat vector, and back."""

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from scipy.optimize import Bounds

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
        The model is not a `torch.nn.Module`, `select` is none of these, or a chosen parameter is
        not of a real floating type.
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
    >>> vector.read([1.0, 2.0, 3.0])
    {'weight': array([[1., 2.]]), 'bias': array([3.])}
    >>> vector.bounds({"*": (-3, 3), "bias": (-1, None)})
    Bounds(array([-3., -3., -1.]), array([ 3.,  3., inf]))
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

        Raises ValueError where the vector has another shape or a value is not finite, or would not
        be in the parameter's precision.
        """
        point = _finite(as_points(vector, self.n, "vector", dimensions=(1,)), "vector")
        stacked = self.stack(torch.from_numpy(point[None]))
        tensors = {name: tensor[0] for name, tensor in zip(self.names, stacked, strict=True)}
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                largest = np.abs(point[self.slices[name]]).max()
                raise ValueError(
                    f"vector holds {largest:g}, beyond the range of {name!r} ({tensor.dtype})"
                )
        return tensors

    def unpack_batch(self, points: ArrayLike) -> dict[str, Tensor]:
        """Return fresh tensors (k, ...) by name, from points (k, n).

        Raises ValueError where the points have another shape or a value is not finite.
        """
        batch = _finite(as_points(points, self.n, "points", dimensions=(2,)), "points")
        return dict(zip(self.names, self.stack(torch.from_numpy(batch)), strict=True))

    def assign(self, vector: ArrayLike) -> None:
        """Write a vector (n,) into the model's parameters, in place: their storage stays.

        Raises ValueError as `unpack` does, and then writes nothing.
        """
        values = self.unpack(vector)
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                parameters[name].copy_(value)

    def read(self, vector: ArrayLike) -> dict[str, Array]:
        """Return a vector (n,) by layer: fresh float64 arrays, by name, in the parameters' shapes.

        Raises ValueError where the vector has another shape.
        """
        point = as_points(vector, self.n, "vector", dimensions=(1,))
        return {
            name: point[self.slices[name]].reshape(shape).copy()
            for name, shape in zip(self.names, self.shapes, strict=True)
        }

    def bounds(self, groups: Mapping[str, tuple[float | None, float | None]]) -> "Bounds":
        """Return a box over the vector, from bounds for groups of parameters.

        Parameters
        ----------
        groups
            Globs over names, as in `select`, to ``(lower, upper)``; None or infinite is no bound.
            Where several match a parameter, the last of them holds; where none does, it is free.

        Returns
        -------
        A `scipy.optimize.Bounds` with ``lb`` and ``ub`` of shape (n,), float64.

        Raises
        ------
        TypeError
            `groups` is not a mapping of globs to pairs of numbers or None.
        ValueError
            There are no groups, one matches no parameter of the vector, or its bounds are crossed,
            NaN, or leave no finite point.
        """
        from scipy.optimize import Bounds  # only those who ask for a box wait for scipy

        if not isinstance(groups, Mapping):
            kind = type(groups).__name__
            raise TypeError(f"groups must map globs to (lower, upper), not be a {kind}")
        if not groups:
            raise ValueError('groups is empty; {"*": (-1, 1)} bounds all parameters alike')
        lower, upper = np.full(self.n, -np.inf), np.full(self.n, np.inf)
        for group, pair in groups.items():
            low, high = _interval(group, pair)
            for name in self._group(group):
                lower[self.slices[name]] = low
                upper[self.slices[name]] = high
        return Bounds(lower, upper)

    def _group(self, glob: object) -> list[str]:
        """Return the names of the vector's parameters that a glob matches; at least one."""
        if not isinstance(glob, str):
            raise TypeError(f"groups takes globs over names as keys, not {glob!r:.60}")
        every = list(self.model.named_parameters(remove_duplicate=False))
        found = _by_glob(every, glob)
        parameters = dict(self.model.named_parameters())
        names = [name for name in self.names if id(parameters[name]) in found]
        if not names:
            fixed = _listing(name for name, p in every if id(p) in found)
            why = f"only what is frozen or not selected ({fixed})" if found else "no parameter"
            raise ValueError(f"groups: {glob!r} matches {why}; free are {_listing(self.names)}")
        return names

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


def _interval(group: object, pair: object) -> tuple[float, float]:
    """Return a pair of bounds as floats, infinite for None; name what is wrong, and the group."""
    wanted = f"groups[{group!r}] must be (lower, upper), numbers or None, not {pair!r:.60}"
    if isinstance(pair, str) or not isinstance(pair, Iterable):
        raise TypeError(wanted)
    ends = list(pair)
    if len(ends) != 2 or not all(end is None or isinstance(end, Real) for end in ends):
        raise TypeError(wanted)
    low = -math.inf if ends[0] is None else float(ends[0])
    high = math.inf if ends[1] is None else float(ends[1])
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"groups[{group!r}] is {pair!r:.60}: NaN; use None or inf for no bound")
    if low > high:
        raise ValueError(f"groups[{group!r}] is crossed: {low:g} > {high:g}; give (lower, upper)")
    if low == math.inf or high == -math.inf:
        raise ValueError(f"groups[{group!r}] is {pair!r:.60}: that leaves no finite point")
    return low, high


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
    elif isinstance(select, Iterable):
        chosen = _matching(model, list(select))
    else:
        raise TypeError(
            f"select must be a glob, a module, a list of these, or a predicate, not {select!r:.60}"
        )
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
            found = _by_glob(every, item)
        else:
            raise TypeError(f"select takes globs and modules, not {type(item).__name__}")
        if not found:
            names = _listing(name for name, _ in every)
            raise ValueError(f"select={item!r} matches no parameter; the model has {names}")
        wanted |= found
    return {name: p for name, p in model.named_parameters() if id(p) in wanted}


def _by_glob(every: list[tuple[str, nn.Parameter]], glob: str) -> set[int]:
    """Return the identities of the parameters with a name that matches."""
    return {id(p) for name, p in every if fnmatchcase(name, glob)}


def _listing(names: Iterable[str], most: int = 30) -> str:
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(shown[:most]) or "no parameters") + more
