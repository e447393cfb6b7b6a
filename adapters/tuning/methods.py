"""Names of methods, and the Optuna sampler behind each."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.space import Fixed, Space
from adapters.tuning.quiet import no_experimental_warnings

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

OWN = ("grid",)
OPTUNAS = ("tpe", "gp")
GRID_POINTS = 5
"""Of each continuous parameter, where no budget says how many."""


def check_name(method: Any) -> str:
    """Return the name of a method as it is written here.

    Raises
    ------
    TypeError, ValueError
        If there is none of this name; those that there are are named.
    """
    from adapters.tuning.sampler_generations import METHODS

    if not isinstance(method, str):
        raise TypeError(
            "method is a name, 'auto' among them, or a sampler of Optuna's (an object); got "
            f"{method!r:.60}"
        )
    name = method.lower()
    if name in ("auto", *OWN, *OPTUNAS, *METHODS):
        return name
    from blackbox.algorithms import find

    try:
        known = find(method).name
    except ValueError:
        known = ""
    if known in METHODS:
        return known
    why = "runs under blackbox.minimize alone" if known else "is not known"
    raise ValueError(
        f"method {method!r} {why}; for tuning there are auto, "
        f"{', '.join(sorted((*OWN, *OPTUNAS, *METHODS)))}, and any sampler of Optuna's"
    )


def make_sampler(
    name: str, space: Space, seed: int, first: bool, options: Mapping[str, Any]
) -> "BaseSampler":
    """Return the Optuna sampler of a method.

    Parameters
    ----------
    name
        As `check_name` returns it, but for ``"auto"``.
    space
        What is searched.
    seed
        Of the study.
    first
        Whether this process made the study. The others draw other numbers, where a sampler's
        numbers do not depend on the trial's own.
    options
        The method's, by its library's names.

    Raises
    ------
    TypeError, ValueError
        If it has no such option.
    """
    import optuna

    if name in OPTUNAS:
        own = seed if first else int(np.random.SeedSequence().generate_state(1)[0])
        own %= 2**32
        conditional = any(parameter.when for parameter in space.parameters.values())
        with no_experimental_warnings():
            try:
                if name == "tpe":
                    return optuna.samplers.TPESampler(
                        **{
                            "seed": own,
                            "multivariate": True,
                            "group": conditional,
                            "constant_liar": True,
                            **options,
                        }
                    )
                return optuna.samplers.GPSampler(
                    **{"seed": own, "warn_independent_sampling": False, **options}
                )
            except TypeError as error:
                raise TypeError(f"options of {name}: {error}") from None
    if name == "grid":
        if unknown := options.keys() - {"points"}:
            raise TypeError(f"grid has no option {min(unknown)!r}; it has 'points'")
        return optuna.samplers.RandomSampler(seed)
    from adapters.tuning.sampler import BlackboxSampler

    return BlackboxSampler(name, seed=seed, options=options, space=space)


def make_grid(
    space: Space, budget: int | None, seed: int, points: int | None = None
) -> list[dict[str, Any]]:
    """Return the parameters of all points of a grid, in a random order.

    Parameters
    ----------
    space
        Whole numbers, steps and choices have all their values in the grid.
    budget
        Continuous parameters get as many points each as make the grid no larger, at least 2.
    seed
        Of the order.
    points
        Of each continuous parameter.

    Raises
    ------
    ValueError
        If the grid has more than 100,000 points.
    """
    if points is not None and (isinstance(points, bool) or points < 2):
        raise ValueError(f"grid: points must be 2 or more, got {points!r}")
    sizes = _sizes(space)
    known = math.prod(size for size in sizes.values() if size)
    free = sum(not size for size in sizes.values())
    if points is None:
        points = GRID_POINTS if budget is None else 2
        while budget is not None and free and known * (points + 1) ** free <= budget:
            points += 1
    total = known * points**free
    if total > 10**5:
        raise ValueError(
            f"the grid has {total:.3g} points; give fewer with steps, Choice or options="
            "{'points': 2}, or take another method"
        )
    axes = [_axis(space, name, size or points) for name, size in sizes.items()]
    return _distinct(space, axes, seed)


def _sizes(space: Space) -> dict[str, int]:
    """How many values each parameter has; 0 where they are without number."""
    return {
        name: parameter.cells or (parameter.width if parameter.width > 1 else 0)
        for name, parameter in space.parameters.items()
        if not isinstance(parameter, Fixed)
    }


def _axis(space: Space, name: str, count: int) -> Any:
    """Coordinates (count, width) of the values of one parameter."""
    parameter = space[name]
    if parameter.width > 1:
        return np.eye(parameter.width)
    shares = np.linspace(0, 1, count) if not parameter.cells else (np.arange(count) + 0.5) / count
    return shares[:, None]


def _distinct(space: Space, axes: list[Any], seed: int) -> list[dict[str, Any]]:
    """What the products of the axes stand for: inactive parameters make many of them one."""
    places = np.stack(np.meshgrid(*(np.arange(len(axis)) for axis in axes), indexing="ij"), -1)
    found: dict[str, dict[str, Any]] = {}
    for row in places.reshape(-1, len(axes)):
        point = np.concatenate([axis[place] for axis, place in zip(axes, row, strict=True)])
        params = space.decode(point)
        found.setdefault(repr(params), params)
    order = np.random.default_rng(seed).permutation(len(found))
    every = list(found.values())
    return [
        {name: value for name, value in every[i].items() if not isinstance(space[name], Fixed)}
        for i in order
    ]
